// Everything that can go wrong in a world, and how often.

#include <algorithm>
#include <tuple>
#include <utility>

#include "tests/sim/world.hpp"

namespace swerve::sim {

using failover::OverrideKind;

std::span<const World::Misfortune> World::odds() {
    static constexpr std::array table{
        Misfortune{"service dies", 10, &World::service_dies},
        Misfortune{"service hangs", 8, &World::service_hangs},
        Misfortune{"brown-out", 5, &World::brown_out},
        Misfortune{"answers prove nothing", 3, &World::service_is_mute},
        Misfortune{"flapping", 4, &World::service_flaps},
        Misfortune{"false alarm", 4, &World::false_alarm},
        Misfortune{"probe loop stalls", 3, &World::probes_stall},
        Misfortune{"daemon crash", 3, &World::daemon_crash},
        Misfortune{"crash loop", 1, &World::crash_loop},
        Misfortune{"clean restart", 2, &World::clean_restart},
        Misfortune{"planned restart", 3, &World::planned_restart},
        Misfortune{"power loss", 2, &World::power_loss},
        Misfortune{"process pause", 4, &World::process_pause},
        Misfortune{"link cut", 5, &World::link_cut},
        Misfortune{"slow link", 3, &World::slow_link},
        Misfortune{"single bytes", 3, &World::single_bytes},
        Misfortune{"TCP reset", 3, &World::tcp_reset},
        Misfortune{"zero window", 4, &World::zero_window},
        Misfortune{"router pause", 3, &World::router_pause},
        Misfortune{"router restart", 2, &World::router_restart},
        Misfortune{"half-open TCP", 2, &World::half_open},
        Misfortune{"router NOTIFICATION", 2, &World::router_notification},
        Misfortune{"router refresh", 3, &World::router_asks},
        Misfortune{"reload", 12, &World::reload},
        Misfortune{"undecided through reloads", 2, &World::undecided},
        Misfortune{"withdraw", 5, &World::withdraw},
        Misfortune{"announce", 5, &World::announce},
        Misfortune{"drain", 5, &World::drain},
        Misfortune{"auto", 5, &World::take_back},
        Misfortune{"neighbor command", 4, &World::neighbor_command},
        Misfortune{"clock step", 3, &World::clock_step},
        Misfortune{"disk full", 2, &World::disk_full},
        Misfortune{"torn save", 3, &World::torn_save},
        Misfortune{"damaged state", 1, &World::damaged_state},
        Misfortune{"datagrams lost", 8, &World::datagrams_lost, true},
        Misfortune{"one-way loss", 5, &World::one_way_loss, true},
        Misfortune{"datagrams forged", 6, &World::datagrams_forged, true},
        Misfortune{"main stalls", 4, &World::main_stalls, true},
        Misfortune{"main hangs", 2, &World::main_hangs, true},
        Misfortune{"router BFD timing", 4, &World::router_bfd_timing, true},
        Misfortune{"router BFD off", 3, &World::router_bfd_off, true},
        Misfortune{"BFD key changes", 3, &World::key_changes, true},
    };
    return table;
}

Host& World::some_host() { return *pick(random_, hosts_); }
World::Path& World::some_path() { return pick(random_, paths_); }

const std::string& World::some_check(Host& host) {
    return pick(random_, host.config()->checks).name;
}

Subject World::some_subject(Host& host) {
    if (chance(random_, 40)) return host.draft().some_service(random_);
    return host.draft().some_prefix(random_);
}

std::optional<Duration> World::some_term() {
    if (chance(random_, 40)) return std::nullopt;
    return between(random_, milliseconds{500}, seconds{chance(random_, 50) ? 20 : 150});
}

Duration World::some_span(Duration low, Duration high) {
    return std::min<Duration>(between(random_, low, high), quiet_from_ - timeline_.now());
}

void World::sicken(Condition condition, unsigned failing_percent, Duration longest) {
    Host& host = some_host();
    const std::string check = some_check(host);
    host.become(check, condition, failing_percent);
    timeline_.after(some_span(milliseconds{200}, longest),
                    [&host, check] { host.become(check, Condition::serving); });
}

void World::service_flaps() {
    Host& host = some_host();
    const std::string check = some_check(host);
    const Duration half = between(random_, milliseconds{100}, seconds{4});
    flap(host, check, half, between(random_, 4, 20));
}

void World::flap(Host& host, const std::string& check, Duration half, unsigned times) {
    const bool last = times == 0 || timeline_.now() + half >= quiet_from_;
    const Condition next = !last && times % 2 == 0 ? Condition::dead : Condition::serving;
    host.become(check, next);
    if (last) return;
    timeline_.after(half,
                    [this, &host, check, half, times] { flap(host, check, half, times - 1); });
}

void World::false_alarm() {
    Host& host = some_host();
    host.report_event(some_check(host));
}

void World::probes_stall() {
    Host& host = some_host();
    trace_.story(timeline_.now(), "{}: the probe loop stalls", host.plan().name);
    host.stall_probes(true);
    timeline_.after(some_span(milliseconds{300}, seconds{chance(random_, 50) ? 5 : 90}),
                    [&host] { host.stall_probes(false); });
}

void World::daemon_crash() {
    some_host().crash(some_span(milliseconds{50}, seconds{chance(random_, 70) ? 5 : 100}));
}

void World::crash_loop() {
    Host& host = some_host();
    Duration at{0};
    for (unsigned i = between(random_, 3, 5); i > 0; --i) {
        if (timeline_.now() + at + seconds{10} > quiet_from_) return;
        timeline_.after(at, [&host] { host.crash(milliseconds{200}); });
        at += between(random_, milliseconds{300}, seconds{8});
    }
}

void World::clean_restart() { some_host().restart(false); }
void World::planned_restart() { some_host().restart(true); }

void World::power_loss() {
    some_host().lose_power(some_span(seconds{1}, seconds{chance(random_, 70) ? 20 : 100}));
}

void World::process_pause() {
    some_host().pause(some_span(milliseconds{100}, seconds{chance(random_, 80) ? 10 : 120}));
}

void World::link_cut() {
    Path& path = some_path();
    trace_.story(timeline_.now(), "the link of {} is cut", path.host->plan().name);
    path.link->cut = true;
    timeline_.after(some_span(milliseconds{100}, seconds{30}), [this, &link = *path.link] {
        link.cut = false;
        network_.release(link);
    });
}

void World::slow_link() {
    Link& link = *some_path().link;
    link.jitter = between(random_, milliseconds{10}, seconds{2});
    timeline_.after(some_span(seconds{1}, seconds{30}), [&link] { link.jitter = Duration{0}; });
}

void World::single_bytes() {
    Link& link = *some_path().link;
    link.piece = between(random_, 1, 5);
    timeline_.after(some_span(seconds{1}, seconds{30}), [&link] { link.piece = 65'536; });
}

void World::tcp_reset() {
    Path& path = some_path();
    path.router->reset_tcp(*path.link);
}

void World::zero_window() {
    Path& path = some_path();
    trace_.story(timeline_.now(), "a router stops reading from {}", path.host->plan().name);
    // Little is taken then by either kernel, so that a site has to wait before long.
    Link& link = *path.link;
    const auto before = std::pair{link.window, link.room};
    link.window = between(random_, 30, 300);
    link.room = between(random_, 30, 300);
    path.router->stop_reading(link, true);
    if (chance(random_, 50)) busy_operator(*path.host);
    timeline_.after(some_span(milliseconds{200}, seconds{50}), [&path, before] {
        std::tie(path.link->window, path.link->room) = before;
        path.router->stop_reading(*path.link, false);
    });
}

/// Gives what cannot be sent something to pile up, and moves it about.
void World::busy_operator(Host& host) {
    for (unsigned i = between(random_, 2, 12); i > 0; --i) {
        timeline_.after(some_span(Duration{0}, seconds{20}), [this, &host] {
            const std::string service = host.draft().some_service(random_);
            switch (between(random_, 0, 3)) {
                case 0:
                    return host.say(service, OverrideKind::drain, some_term());
                case 1:
                    return host.say(service, std::nullopt);
                default:
                    return host.reload();
            }
        });
    }
}

void World::router_pause() {
    Router& router = *pick(random_, routers_);
    router.pause(true);
    timeline_.after(some_span(milliseconds{100}, seconds{40}), [&router] { router.pause(false); });
}

void World::router_restart() {
    Router& router = *pick(random_, routers_);
    const auto ending = chance(random_, 50) ? Router::Ending::clean : Router::Ending::killed;
    router.restart(some_span(milliseconds{100}, seconds{20}), ending);
}

void World::half_open() {
    Router& router = *pick(random_, routers_);
    router.restart(some_span(milliseconds{100}, seconds{40}), Router::Ending::power);
}

void World::router_notification() {
    Path& path = some_path();
    path.router->notify(*path.link);
}

void World::router_asks() {
    Path& path = some_path();
    path.router->ask_for_routes(*path.link);
}

void World::reload() { some_host().reload(); }

void World::speak(OverrideKind kind) {
    Host& host = some_host();
    const Prefix prefix = host.draft().some_prefix(random_);
    host.say(prefix, kind, some_term());
}

void World::drain() {
    Host& host = some_host();
    const std::string service = host.draft().some_service(random_);
    host.say(service, OverrideKind::drain, some_term());
}

/// What a check proves is lost, while an operator changes one thing after the other.
void World::undecided() {
    Host& host = some_host();
    const std::string check = some_check(host);
    host.become(check, Condition::mute);
    host.replace_probe(check);
    const Duration lasts = some_span(seconds{40}, seconds{110});
    for (Duration at{0}; at < lasts; at += between(random_, seconds{2}, seconds{20})) {
        timeline_.after(at, [&host] { host.reload(); });
    }
    timeline_.after(lasts, [&host, check] { host.become(check, Condition::serving); });
}

void World::take_back() {
    Host& host = some_host();
    host.say(some_subject(host), std::nullopt);
}

void World::neighbor_command() {
    constexpr std::array commands{daemon::NeighborCommand::enable, daemon::NeighborCommand::disable,
                                  daemon::NeighborCommand::reset, daemon::NeighborCommand::refresh};
    Host& host = some_host();
    const std::string& neighbor = pick(random_, host.config()->neighbors).name;
    host.command(neighbor, pick(random_, commands));
}

void World::clock_step() {
    some_host().step_clock(between(random_, seconds{-7200}, seconds{7200}));
}

void World::disk_full() {
    Host& host = some_host();
    host.disk().set_room(between(random_, 0, 3000));
    timeline_.after(some_span(seconds{1}, seconds{60}),
                    [&host] { host.disk().set_room(std::nullopt); });
}

void World::torn_save() { some_host().tear_next_save(between(random_, 0, 2)); }

void World::damaged_state() {
    Host& host = some_host();
    if (host.daemon() == nullptr) return;
    host.crash(seconds{1});
    host.damage(chance(random_, 40));
}

}  // namespace swerve::sim
