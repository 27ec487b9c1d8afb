#include "daemon/main_loop.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "swerve/base/clock.hpp"

namespace swerve::daemon {
namespace {

/// Whoever knows the jitter of BGP is not to know the discriminators from it.
constexpr std::uint64_t bfd_seed = 0x5bfd'5eed'9e37'79b9;

Moment moment() { return {BootClock::now(), wall_now()}; }

}  // namespace

MainLoop::MainLoop(Loops loops, std::shared_ptr<const conf::Config> config,
                   const failover::Restored& restored, EventSink& events, LoopViews loop_views,
                   std::uint64_t seed)
    : loops_(loops),
      events_(events),
      loop_views_(std::move(loop_views)),
      started_(BootClock::now()),
      started_wall_(wall_now()),
      speaker_(std::move(config), seed, restored, moment()),
      neighbors_(
          loops.main, loops.operations, speaker_, [this](const auto& what) { take_turn(what); },
          [this](std::string alarm) { tell_alarm(std::move(alarm)); }),
      probes_(loops.probes, loops.main, *speaker_.config(),
              {.finished =
                   [this](failover::CheckId check, std::uint64_t attempt, health::Outcome outcome) {
                       turn(failover::ProbeFinished{check, attempt, std::move(outcome)});
                   },
               .event =
                   [this](failover::CheckId check, health::Outcome finding) {
                       turn(failover::SourceEvent{check, std::move(finding)});
                   }}),
      bfd_(loops.bfd,
           {.report =
                [this](bfd::Report report) {
                    boost::asio::post(loops_.main, [this, report] {
                        if (phase_ != Phase::stopped) turn(BfdReported{report});
                    });
                },
            .alarm =
                [this](std::string alarm) {
                    boost::asio::post(loops_.main, [this, alarm = std::move(alarm)]() mutable {
                        tell_alarm(std::move(alarm));
                    });
                }},
           seed ^ bfd_seed),
      timer_(loops.main, [this] { tick(); }),
      stop_timer_(loops.main, [this] { finish_stop(); }) {}

MainLoop::~MainLoop() = default;

Result<void, std::string> MainLoop::listen() { return neighbors_.listen(*speaker_.config()); }

void MainLoop::start(std::function<void()> stopped) {
    stopped_ = std::move(stopped);
    const Moment now = moment();
    events_.publish({now.now, now.wall, DaemonEvent{DaemonEvent::Kind::started, "started"}});
    neighbors_.start();
    probes_.start();
    turn(failover::Begin{});
}

/// Returns how many overrides came or went.
std::size_t MainLoop::turn(const SpeakerEvent& event) {
    std::size_t overrides = 0;
    take_turn([&](Moment at, SpeakerOutput& out) {
        speaker_.handle(at, event, out);
        overrides = static_cast<std::size_t>(std::ranges::count_if(out.events, [](const Event& e) {
            return std::holds_alternative<failover::OverrideChanged>(e.what);
        }));
    });
    return overrides;
}

void MainLoop::take_turn(const std::function<void(Moment, SpeakerOutput&)>& what) {
    const Moment at = moment();
    SpeakerOutput out;
    what(at, out);
    carry_out(out, at.now);
}

void MainLoop::tick() {
    const Moment at = moment();
    // Of several attempts that are due none was so before this.
    const TimePoint due = std::min(at.now, speaker_.next_deadline().value_or(at.now));
    SpeakerOutput out;
    speaker_.tick(at, out);
    carry_out(out, due);
}

void MainLoop::carry_out(SpeakerOutput& out, TimePoint due) {
    neighbors_.carry_out(out);
    for (const failover::StartProbe& start : out.probes) {
        if (phase_ == Phase::stopped) break;
        probes_.attempt(start.check, start.attempt, start.timeout, due);
    }
    if (out.bfd_changed) configure_bfd();
    for (Event& event : out.events) events_.publish(std::move(event));
    if (out.save) events_.save();
    if (phase_ != Phase::stopped) timer_.arm(speaker_.next_deadline());
}

void MainLoop::configure_bfd() {
    bfd_.configure({speaker_.bfd_sessions(), speaker_.config()->bfd_realtime});
}

void MainLoop::tell_alarm(std::string alarm) {
    const Moment now = moment();
    events_.publish({now.now, now.wall, DaemonEvent{DaemonEvent::Kind::alarm, std::move(alarm)}});
}

void MainLoop::stop(StopRequest request) {
    if (phase_ != Phase::running) return finish_stop();
    phase_ = Phase::stopping;
    stop_reason_ = std::move(request.reason);
    planned_restart_ = request.planned_restart;
    if (planned_restart_) {
        // A neighbor that calls back before we are gone would be refused, and told so.
        neighbors_.stop_listening();
        turn(VanishForRestart{});
    }
    turn(failover::StopAnnouncing{stop_reason_});
    const Moment now = moment();
    events_.publish({now.now, now.wall, DaemonEvent{DaemonEvent::Kind::stopping, stop_reason_}});
    stop_timer_.arm(now.now + grace);
    neighbors_.when_settled([this] { finish_stop(); });
}

void MainLoop::finish_stop() {
    if (phase_ == Phase::stopped) return;
    phase_ = Phase::stopped;
    stop_timer_.arm(std::nullopt);
    timer_.arm(std::nullopt);
    neighbors_.stop_listening();
    turn(EndSessions{stop_reason_});
    stopped_();
}

void MainLoop::snapshot(SnapshotRequest request,
                        std::function<void(std::shared_ptr<const Snapshot>)> done) {
    boost::asio::post(loops_.main, [this, request = std::move(request), done = std::move(done)] {
        bfd_.describe([this, done, made = describe(request)](BfdSnapshot bfd) {
            made->bfd = std::move(bfd);
            boost::asio::post(loops_.operations, [this, done, made] {
                made->loops = loop_views_();
                done(made);
            });
        });
    });
}

std::optional<MainLoop::SiteSubject> MainLoop::find(const Subject& subject) const {
    if (const auto* prefix = std::get_if<Prefix>(&subject)) return *prefix;
    const auto& services = speaker_.site().policy().services;
    const auto found =
        std::ranges::find(services, std::get<std::string>(subject), &failover::ServicePolicy::name);
    if (found == services.end()) return std::nullopt;
    return static_cast<failover::ServiceId>(found - services.begin());
}

void MainLoop::set_override(Subject subject, failover::Override value,
                            std::optional<Duration> lasting,
                            std::function<void(std::optional<failover::Refusal>)> done) {
    boost::asio::post(loops_.main, [this, subject = std::move(subject), value = std::move(value),
                                    lasting, done = std::move(done)]() mutable {
        const auto at = find(subject);
        const auto refusal = at ? speaker_.site().refuses(*at, value.kind)
                                : std::optional{failover::Refusal::no_such_object};
        if (!refusal) {
            if (lasting) value.expires = BootClock::now() + *lasting;
            turn(failover::SetOverride{*at, std::move(value)});
        }
        boost::asio::post(loops_.operations, [done, refusal] { done(refusal); });
    });
}

void MainLoop::clear_overrides(Subject subject, std::optional<failover::OverrideKind> only,
                               std::function<void(std::size_t)> done) {
    boost::asio::post(
        loops_.main, [this, subject = std::move(subject), only, done = std::move(done)] {
            const auto at = find(subject);
            const std::size_t cleared = at ? turn(failover::ClearOverrides{*at, only}) : 0;
            boost::asio::post(loops_.operations, [done, cleared] { done(cleared); });
        });
}

void MainLoop::command_neighbor(CommandNeighbor command, std::function<void(bool)> done) {
    boost::asio::post(loops_.main, [this, command = std::move(command), done = std::move(done)] {
        const bool known = speaker_.neighbors().find(command.name).has_value();
        if (known && phase_ == Phase::running) turn(command);
        boost::asio::post(loops_.operations, [done, known] { done(known); });
    });
}

void MainLoop::apply(std::shared_ptr<const conf::Change> change,
                     std::function<void(std::optional<std::string>)> done) {
    boost::asio::post(loops_.main, [this, change = std::move(change), done = std::move(done)] {
        boost::asio::post(loops_.operations, [done, why_not = reload(change)] { done(why_not); });
    });
}

std::optional<std::string> MainLoop::reload(const std::shared_ptr<const conf::Change>& change) {
    if (phase_ != Phase::running) return "the daemon is stopping";
    if (change->before != speaker_.config()) return "the configuration was changed meanwhile";
    if (const auto bound = neighbors_.listen(*change->after); !bound) {
        return bound.error();
    }
    take_turn([&](Moment at, SpeakerOutput& out) {
        speaker_.handle(at, Reload{change}, out);
        // First, for the turn starts attempts under the new numbers of the checks.
        probes_.reconfigure(*change->after, change->checks);
    });
    neighbors_.retarget();
    return std::nullopt;
}

void MainLoop::stop(StopRequest request, std::function<void(std::optional<std::string>)> done) {
    boost::asio::post(loops_.main,
                      [this, request = std::move(request), done = std::move(done)]() mutable {
                          std::optional<std::string> why_not;
                          if (phase_ != Phase::running) {
                              why_not = "the daemon is stopping already";
                          } else if (request.planned_restart) {
                              why_not = speaker_.refuses_planned_restart();
                          }
                          boost::asio::post(loops_.operations, [done, why_not] { done(why_not); });
                          if (!why_not) stop(std::move(request));
                      });
}

void MainLoop::when_settled(std::function<void()> done) {
    boost::asio::post(loops_.main, [this, done = std::move(done)] {
        neighbors_.when_settled([this, done] { boost::asio::post(loops_.operations, done); });
    });
}

void MainLoop::probe_once(const conf::Check& check, std::function<void(ProbeTrial)> done) {
    probes_.run_once(check, loops_.operations, std::move(done));
}

void MainLoop::saved_state(std::function<void(failover::SavedState)> done) {
    boost::asio::post(loops_.main, [this, done = std::move(done)] {
        boost::asio::post(loops_.operations,
                          [done, state = speaker_.saved(moment())] { done(state); });
    });
}

std::shared_ptr<Snapshot> MainLoop::describe(const SnapshotRequest& request) const {
    auto out = std::make_shared<Snapshot>();
    const Moment now = moment();
    out->now = now.now;
    out->wall = now.wall;
    out->started = started_;
    out->started_wall = started_wall_;
    out->attempt_lateness = probes_.lateness().copy();
    neighbors_.describe(request, *out);
    return out;
}

}  // namespace swerve::daemon
