#include "tests/sim/host.hpp"

#include <algorithm>
#include <utility>

namespace swerve::sim {

Host::Host(const Surroundings& world, SitePlan plan)
    : world_(world),
      plan_(std::move(plan)),
      draft_(plan_, world.random),
      config_(draft_.build(plan_)),
      links_(plan_.uplinks.size()),
      disk_(world.random.next()),
      oracle_(plan_.name, world.timeline, truths_),
      bfd_(world.timeline, world.network, world.random, world.witness, *this) {
    for (const conf::Check& check : config_->checks) truths_[check.name];
}
Host::~Host() = default;

void Host::attach(std::size_t uplink, Link& link) {
    links_.at(uplink) = &link;
    const Uplink& at = plan_.uplinks[uplink];
    if (at.bfd) bfd_.attach(link, fmt::format("{} upstream-{}", plan_.name, uplink), at.bfd_key());
}

void Host::start() {
    if (daemon_ || !powered_) return;
    world_.trace.story(world_.timeline.now(), "{}: the daemon starts", plan_.name);
    disk_.process_ended();
    daemon_ = std::make_unique<Daemon>(*this, ++life_);
    begin_bfd();
    daemon_->begin();
}

void Host::begin_bfd() {
    bfd_.begin(since_boot_, {[this, life = life_](const bfd::Report& report) {
                                 enter(life,
                                       [report](Daemon& daemon) { daemon.bfd_reported(report); });
                             },
                             [this](const Link& link, const bfd::SessionConfig& session) {
                                 check_admin_down(link, session);
                             }});
}

/// S12: AdminDown makes nobody drop a route, so it must not be said for one that stands; unless it
/// is BFD that is switched off, or begun anew under another key.
void Host::check_admin_down(const Link& link, const bfd::SessionConfig& session) const {
    const auto at = static_cast<std::size_t>(std::ranges::find(links_, &link) - links_.begin());
    const daemon::Speaker& speaker = daemon_->speaker();
    const auto id = speaker.neighbors().at(plan_.uplinks.at(at).router_address);
    const daemon::Neighbor* neighbor = id ? speaker.neighbors().find(*id) : nullptr;
    if (neighbor == nullptr || neighbor->peer.state() != bgp::State::established) return;
    const auto& bfd = neighbor->config->bfd;
    if (bfd && bfd->authentication == session.authentication) {
        violate("S12", "{}: AdminDown is said to {} while its BGP session is up", plan_.name,
                neighbor->name);
    }
}

void Host::end(bool with_the_host) {
    if (!daemon_) return;
    bfd_.end();
    daemon_->die(with_the_host);
    for (const Socket socket : std::exchange(unaccepted_, {})) {
        if (with_the_host) {
            world_.network.vanish(socket);
        } else {
            world_.network.abandon(socket);
        }
    }
    oracle_.ended();
    daemon_.reset();
    ++life_;
    paused_ = false;
    backlog_.clear();
    disk_.process_ended();
}

void Host::exited(std::uint64_t life, bool clean) {
    // From a fresh event, for it is still at work.
    world_.timeline.after({}, [this, life, clean] {
        if (life != life_ || !daemon_) return;
        world_.trace.story(world_.timeline.now(), "{}: the daemon {}", plan_.name,
                           clean ? "has stopped" : "is killed while it saves");
        end(false);
        world_.timeline.after(between(world_.random, milliseconds{100}, seconds{5}),
                              [this] { start(); });
    });
}

void Host::crash(Duration down_for) {
    if (!daemon_) return;
    world_.trace.story(world_.timeline.now(), "{}: the daemon is killed", plan_.name);
    end(false);
    world_.timeline.after(down_for, [this] { start(); });
}

void Host::restart(bool planned) {
    if (!daemon_ || paused_) return;
    world_.trace.story(world_.timeline.now(), "{}: the daemon is to stop{}", plan_.name,
                       planned ? " for a planned restart" : "");
    daemon_->stop(planned);
}

void Host::lose_power(Duration down_for) {
    if (!powered_) return;
    world_.trace.story(world_.timeline.now(), "{}: power is lost", plan_.name);
    end(true);
    disk_.power_lost();
    powered_ = false;
    world_.timeline.after(down_for, [this] {
        powered_ = true;
        ++boot_;
        since_boot_ = world_.timeline.now() - TimePoint{seconds{20}};
        for (Link* link : links_) world_.network.release(*link);
        start();
    });
}

void Host::pause(Duration span) {
    if (!daemon_ || paused_) return;
    world_.trace.story(world_.timeline.now(), "{}: the process stands still for {} ms", plan_.name,
                       span / milliseconds{1});
    paused_ = true;
    bfd_.pause(true);
    world_.timeline.after(span, [this, life = life_] { resume(life); });
}

void Host::stall_main(Duration span) {
    if (!daemon_ || paused_) return;
    world_.trace.story(world_.timeline.now(), "{}: main stands still for {} ms", plan_.name,
                       span / milliseconds{1});
    paused_ = true;
    world_.timeline.after(span, [this, life = life_] { resume(life); });
}

void Host::hang(Duration patience, Duration down_for) {
    if (!daemon_ || paused_) return;
    world_.trace.story(world_.timeline.now(), "{}: main hangs", plan_.name);
    paused_ = true;
    world_.timeline.after(patience, [this, down_for, life = life_] {
        if (life != life_) return;
        bfd_.hold_down();
        crash(down_for);
    });
}

void Host::resume(std::uint64_t life) {
    if (life != life_ || !paused_) return;
    paused_ = false;
    world_.trace.story(world_.timeline.now(), "{}: the process goes on", plan_.name);
    oracle_.disturbed();
    bfd_.pause(false);
    // Which loop comes first is anybody's guess.
    const bool timers_first = chance(world_.random, 50);
    if (timers_first) daemon_->resumed();
    for (Late& late : std::exchange(backlog_, {})) enter(late.life, std::move(late.what));
    if (!timers_first && daemon_ && life == life_) daemon_->resumed();
    oracle_.disturbed();
}

void Host::enter(std::uint64_t life, std::move_only_function<void(Daemon&)> what) {
    if (life != life_ || !daemon_) return;
    if (paused_) {
        backlog_.push_back({life, std::move(what)});
    } else {
        daemon_->look();
        what(*daemon_);
    }
}

void Host::become(const std::string& check, Condition condition, unsigned failing_percent) {
    RealService& truth = truths_[check];
    if (truth.condition() == condition) return;
    truth.become(world_.timeline.now(), condition, failing_percent);
    world_.trace.story(world_.timeline.now(), "{}: what {} probes is {}", plan_.name, check,
                       to_string(condition));
    if (condition == Condition::dead) report_event(check);
}

void Host::report_event(const std::string& check) {
    const Duration after = between(world_.random, Duration{0}, milliseconds{2});
    world_.timeline.after(after, [this, check, life = life_] {
        enter(life, [this, check](Daemon& daemon) {
            const bool there = truths_[check].condition() != Condition::dead;
            daemon.source_event(check,
                                there ? health::ProbeResult::pass : health::ProbeResult::fail);
        });
    });
}

void Host::stall_probes(bool stalled) {
    enter(life_, [stalled](Daemon& daemon) { daemon.stalled(stalled); });
}

void Host::reload() { reload(draft_.edit(plan_, world_.random)); }

void Host::replace_probe(const std::string& check) { reload(draft_.replace_probe(check)); }

void Host::replace_key(const Link& link, const bfd::Authentication& key) {
    const auto at = static_cast<std::size_t>(std::ranges::find(links_, &link) - links_.begin());
    plan_.uplinks.at(at).bfd->authentication = key;
    reload(draft_.replace_key(static_cast<unsigned>(at), key));
}

void Host::reload(const std::string& what) {
    config_ = draft_.build(plan_);
    for (const conf::Check& check : config_->checks) truths_[check.name];
    world_.trace.story(world_.timeline.now(), "{}: reload, {}", plan_.name, what);
    enter(life_, [this](Daemon& daemon) { daemon.reload(config_); });
}

void Host::say(const Subject& subject, std::optional<failover::OverrideKind> kind,
               std::optional<Duration> lasting) {
    const auto* prefix = std::get_if<Prefix>(&subject);
    world_.trace.story(world_.timeline.now(), "{}: an operator says {} {} for {} ms", plan_.name,
                       kind ? to_string(*kind) : "auto",
                       prefix != nullptr ? prefix->to_string() : std::get<std::string>(subject),
                       lasting.value_or(Duration{0}) / milliseconds{1});
    enter(life_, [subject, kind, lasting](Daemon& daemon) { daemon.say(subject, kind, lasting); });
}

void Host::command(const std::string& neighbor, daemon::NeighborCommand command) {
    world_.trace.story(world_.timeline.now(), "{}: neighbor {} {}", plan_.name, neighbor,
                       to_string(command));
    enter(life_, [neighbor, command](Daemon& daemon) { daemon.command(neighbor, command); });
}

void Host::step_clock(Duration by) {
    world_.trace.story(world_.timeline.now(), "{}: the wall clock steps by {} ms", plan_.name,
                       by / milliseconds{1});
    wall_offset_ += by;
}

void Host::damage(bool both) {
    // Never behind the back of a process, which would not notice before it writes.
    const bool a = chance(world_.random, 50);
    for (const char* name : {"state.a", "state.b"}) {
        if (!both && (name[6] == 'a') != a) continue;
        if (disk_.peek(name)) disk_.plant(name, "rubbish");
        oracle_.notebook().damaged(name);
    }
    world_.trace.story(world_.timeline.now(), "{}: {} of the state file is damaged", plan_.name,
                       both ? "all" : "one generation");
}

WallTime Host::wall() const {
    return WallTime{world_.timeline.now().time_since_epoch() + std::chrono::hours{480'000} +
                    wall_offset_};
}

Machine Host::machine(TimePoint process_started, unsigned crashes) const {
    return {world_.timeline.now(), since_boot_, wall_offset_, boot_, process_started, crashes};
}

Link& Host::link_to(const Address& router) const {
    const auto& uplink = uplink_to(router);
    return *links_.at(static_cast<std::size_t>(&uplink - plan_.uplinks.data()));
}

const Uplink& Host::uplink_to(const Address& router) const {
    return *std::ranges::find(plan_.uplinks, router, &Uplink::router_address);
}

void Host::accepted(Link& link, Socket socket) {
    const auto at = std::ranges::find(links_, &link) - links_.begin();
    const Address from = plan_.uplinks[static_cast<std::size_t>(at)].router_address;
    if (paused_) unaccepted_.push_back(socket);
    enter(life_, [this, from, socket](Daemon& daemon) {
        std::erase(unaccepted_, socket);
        daemon.accepted(from, socket);
    });
}

void Host::connected(Socket socket) {
    enter(life_, [socket](Daemon& daemon) { daemon.connected(socket); });
}
void Host::refused(Socket socket) {
    enter(life_, [socket](Daemon& daemon) { daemon.refused(socket); });
}
void Host::readable(Socket socket) {
    enter(life_, [socket](Daemon& daemon) { daemon.readable(socket); });
}
void Host::writable(Socket socket) {
    enter(life_, [socket](Daemon& daemon) { daemon.writable(socket); });
}
void Host::acknowledged(Socket socket) {
    enter(life_, [socket](Daemon& daemon) { daemon.acknowledged(socket); });
}

}  // namespace swerve::sim
