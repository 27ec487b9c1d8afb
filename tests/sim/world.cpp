#include "tests/sim/world.hpp"

#include <algorithm>

namespace swerve::sim {
namespace {

/// L1: a minute after the last fault all is well again; the first seconds are for daemons that
/// were just stopping.
constexpr Duration until_well = seconds{70};
/// BFD is many packets: the other worlds are for what takes long.
constexpr unsigned worlds_with_bfd = 40;

}  // namespace

World::World(std::uint64_t seed, Trace::Wants wants)
    : random_(seed),
      trace_(wants),
      network_(timeline_, random_),
      witness_(timeline_, trace_, tally_),
      with_bfd_(chance(random_, worlds_with_bfd)) {
    if (with_bfd_) ++tally_["worlds with BFD"];
    for (unsigned i = between(random_, 2, 4); i > 0; --i) {
        routers_.push_back(std::make_unique<Router>(fmt::format("router-{}", routers_.size()),
                                                    timeline_, network_, trace_, random_,
                                                    witness_));
        if (with_bfd_ && chance(random_, 30)) routers_.back()->keep_bfd_apart();
    }
    for (unsigned i = between(random_, 2, 5); i > 0; --i) {
        build_site(static_cast<unsigned>(hosts_.size()));
    }
    for (const auto& router : routers_) router->begin_bfd();
}
World::~World() = default;

Duration World::lived() const { return timeline_.now() - TimePoint{std::chrono::hours{1}}; }

void World::build_site(unsigned number) {
    SitePlan plan{.name = fmt::format("site-{}", number),
                  .local_as = *Asn::from(64'500),
                  .router_id = *RouterId::from(0x0a000001U + number),
                  .uplinks = {}};
    const auto uplinks = std::min<std::size_t>(routers_.size(), between(random_, 1, 3));
    const std::size_t first = random_.below(routers_.size());
    for (std::size_t i = 0; i < uplinks; ++i) {
        const std::size_t router = (first + i) % routers_.size();
        const bool ipv6 = chance(random_, 30);
        const bool internal = chance(random_, 15);
        const auto address = [&](unsigned end) {
            return *Address::parse(ipv6
                                       ? fmt::format("2001:db8:ffff:{}:{}::{}", number, router, end)
                                       : fmt::format("192.0.{}.{}", 2 + number, router * 16 + end));
        };
        std::optional<BfdPlan> bfd = some_bfd();
        plan.uplinks.push_back(
            {.router_address = address(2),
             .local_address = address(1),
             .router_as = *Asn::from(internal ? 64'500U : 64'600U + static_cast<unsigned>(router)),
             .router_dials = chance(random_, 40),
             .bfd = std::move(bfd)});
    }
    hosts_.push_back(std::make_unique<Host>(
        Surroundings{timeline_, network_, trace_, random_, tally_, witness_}, plan));
    Host& host = *hosts_.back();
    for (std::size_t i = 0; i < uplinks; ++i) {
        const Uplink& uplink = plan.uplinks[i];
        Router& router = *routers_[(first + i) % routers_.size()];
        Path path{std::make_unique<Link>(host, router,
                                         between(random_, milliseconds{1}, milliseconds{30})),
                  &host, &router};
        if (chance(random_, 20)) path.link->window = between(random_, 60, 4096);
        if (chance(random_, 20)) path.link->room = between(random_, 60, 8192);
        host.attach(i, *path.link);
        const bool keeps_routes = chance(random_, 70);
        bgp::PeerConfig config{
            .open = {.local_as = uplink.router_as,
                     .router_id =
                         *RouterId::from((chance(random_, 50) ? 5U : 200U) << 24U |
                                         static_cast<unsigned>((first + i) % routers_.size() + 1)),
                     .remote_as = plan.local_as,
                     .hold_time = seconds{between(random_, 3, 30)},
                     .families = {Family::ipv4, Family::ipv6},
                     .restart_time =
                         keeps_routes ? std::optional<Duration>{seconds{60}} : std::nullopt},
            .passive = !uplink.router_dials,
            .connect_retry = seconds{between(random_, 2, 10)},
            .next_hop_ipv4 = {},
            .next_hop_ipv6 = {},
            .seed = random_.next()};
        router.serve(*path.link, plan.name, uplink.router_address, config);
        attach_bfd(path, uplink);
        paths_.push_back(std::move(path));
    }
}

void World::run() {
    for (const auto& host : hosts_) {
        timeline_.after(between(random_, Duration{0}, seconds{3}), [&host] { host->start(); });
    }
    for (unsigned round = 0; round < 2; ++round) {
        chaos(between(random_, seconds{200}, seconds{360}));
        heal();
        timeline_.run_until(timeline_.now() + until_well);
        let_octets_arrive();
        check_quiet();
    }
}

void World::chaos(Duration span) {
    quiet_from_ = timeline_.now() + span;
    timeline_.after(between(random_, Duration{0}, seconds{30}), [this] { strike_again(); });
    timeline_.run_until(quiet_from_);
}

void World::strike_again() {
    if (timeline_.now() + seconds{5} > quiet_from_) return;
    unsigned whole = 0;
    for (const Misfortune& each : odds()) whole += each.of_bfd && !with_bfd_ ? 0 : each.weight;
    unsigned drawn = between(random_, 0, whole - 1);
    for (const Misfortune& each : odds()) {
        if (each.of_bfd && !with_bfd_) continue;
        if (drawn >= each.weight) {
            drawn -= each.weight;
            continue;
        }
        ++tally_[fmt::format("fault: {}", each.name)];
        (this->*each.strike)();
        break;
    }
    timeline_.after(between(random_, milliseconds{20}, seconds{chance(random_, 30) ? 20 : 6}),
                    [this] { strike_again(); });
}

void World::heal() {
    trace_.story(timeline_.now(), "all is to be well again");
    for (Path& path : paths_) {
        Link& link = *path.link;
        link.cut = false;
        link.jitter = Duration{0};
        link.piece = 65'536;
        link.loss = {};
        if (path.bfd) path.router->speak_bfd(link, path.bfd);
        network_.release(link);
        path.router->stop_reading(link, false);
        path.router->give_up_waiting(link);
    }
    for (const auto& router : routers_) router->pause(false);
    for (const auto& host : hosts_) {
        for (const auto& [check, truth] : host->truths()) host->become(check, Condition::serving);
        host->stall_probes(false);
        host->disk().set_room(std::nullopt);
        (void)host->take_tear();
    }
    // Operators tidy up once every daemon runs again.
    timeline_.after(seconds{8}, [this] {
        for (const auto& host : hosts_) tidy_up(*host);
    });
}

void World::tidy_up(Host& host) {
    for (const conf::Neighbor& neighbor : host.config()->neighbors) {
        host.command(neighbor.name, daemon::NeighborCommand::enable);
    }
    // RFC 4271 §8.2.2 grants an OPEN four minutes to be answered, also by a router that lost power
    // meanwhile: longer than a quiet world lasts.
    if (const Daemon* daemon = host.daemon(); daemon != nullptr) {
        std::vector<std::string> waiting;
        for (const auto& [id, neighbor] : daemon->speaker().neighbors()) {
            if (neighbor->peer.state() == bgp::State::open_sent) waiting.push_back(neighbor->name);
        }
        for (const std::string& name : waiting) host.command(name, daemon::NeighborCommand::reset);
    }
    if (chance(random_, 50)) return;
    for (const conf::Service& service : host.config()->services) {
        host.say(service.name, std::nullopt);
    }
}

/// A word that runs out, say, may have moved routes a moment ago: both ends are compared when
/// nothing is under way between them. Keepalives are, now and then.
void World::let_octets_arrive() {
    constexpr unsigned tries = 40;
    for (unsigned i = 0; network_.carries_octets(); ++i) {
        if (i == tries) violate("L1", "octets are under way in a quiet world, and stay so");
        timeline_.run_until(timeline_.now() + milliseconds{50});
    }
}

void World::check_quiet() {
    for (const auto& host : hosts_) check_quiet(*host);
    // S8: nothing piles up while nothing happens.
    if (timeline_.pending() > 200 * hosts_.size()) {
        violate("S8", "{} events are pending in a quiet world", timeline_.pending());
    }
    if (network_.connections() > 3 * paths_.size()) {
        violate("S8", "{} connections over {} paths", network_.connections(), paths_.size());
    }
}

void World::check_quiet(Host& host) {
    const std::string& site = host.plan().name;
    Daemon* const daemon = host.daemon();
    if (daemon == nullptr || host.paused()) violate("L1", "{}: the daemon does not run", site);
    const daemon::Speaker& speaker = daemon->speaker();
    // L1: every session is up, and both ends hold the same (S6).
    for (const auto& [id, neighbor] : speaker.neighbors()) {
        Path& path = *std::ranges::find_if(paths_, [&](const Path& each) {
            return each.link.get() == &host.link_to(neighbor->address);
        });
        if (neighbor->config->bfd && path.bfd &&
            !(host.oracle().bfd_is_up(*neighbor) && witness_.is_up(*path.link, 0) &&
              witness_.is_up(*path.link, 1))) {
            violate("L1", "{}: BFD with {} is not up", site, neighbor->name);
        }
        if (witness_.polls(*path.link, 0) || witness_.polls(*path.link, 1)) {
            violate("L1", "{}: a poll of BFD with {} has no answer", site, neighbor->name);
        }
        if (neighbor->disabled) violate("P3", "{}: {} is disabled still", site, neighbor->name);
        if (neighbor->peer.state() != bgp::State::established ||
            !path.router->established(*path.link)) {
            violate("L1", "{}: the session with {} is not up: {} {}", site, neighbor->name,
                    to_string(neighbor->peer.state()), neighbor->last_error);
        }
        if (neighbor->peer.rib_out().pending()) {
            violate("L1", "{}: {} is not sent what it is to hold", site, neighbor->name);
        }
        host.oracle().check_quiet(speaker, id, path.router->table(*path.link));
    }
    // L1: every verdict equals the truth, which is that all works.
    const failover::SiteView view = speaker.site().view();
    for (std::size_t i = 0; i < view.services.size(); ++i) {
        const auto& service = view.services[i];
        if (!host.oracle()
                 .verdicts_in_quiet(speaker.config()->services[i])
                 .contains(service.verdict)) {
            violate("L1", "{}: {} is {}: {}", site, service.name, to_string(service.verdict),
                    service.verdict_reason);
        }
    }
    // S8: nothing is left over of what has ended.
    if (speaker.neighbors().size() != speaker.config()->neighbors.size() ||
        daemon->sockets() != speaker.neighbors().size() || host.backlog() > 0) {
        violate("S8", "{}: {} sockets and {} neighbors for {} configured", site, daemon->sockets(),
                speaker.neighbors().size(), speaker.config()->neighbors.size());
    }
    if (speaker.recorder().records().size() > failover::Recorder::kept ||
        std::ranges::any_of(
            speaker.recorder().records(),
            [](const failover::FailoverRecord& record) { return !record.complete(); })) {
        violate("S8", "{}: a failover record never completes", site);
    }
}

}  // namespace swerve::sim
