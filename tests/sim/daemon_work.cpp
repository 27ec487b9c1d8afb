// The part of the daemon that is not about sockets: probes, operators, the state file.

#include <algorithm>
#include <utility>

#include "tests/sim/daemon.hpp"
#include "tests/sim/host.hpp"

namespace swerve::sim {

using daemon::SpeakerOutput;
using health::ProbeResult;

namespace {

/// As daemon/main_loop: how long a stop waits for its withdrawals to be acknowledged.
constexpr Duration stop_grace = seconds{3};
constexpr Duration between_signs_of_life = seconds{10};
constexpr Duration save_retry = seconds{5};
/// What an answer takes, and how late a loop is.
constexpr Duration longest_answer = milliseconds{40};
constexpr Duration longest_lateness = milliseconds{3};

}  // namespace

void Daemon::start(const failover::StartProbe& order) {
    Random& random = host_.world().random;
    const std::uint64_t probe = probes_.at(order.check);
    const RealService& truth = host_.truth(speaker_->config()->checks[order.check].name);
    const TimePoint now = host_.world().timeline.now();
    const Attempt attempt{probe, order.attempt, now, now + order.timeout, truth.condition()};
    latest_[probe] = order.attempt;
    const Duration takes =
        between(random, Duration{0}, std::min(longest_answer, order.timeout / 2));
    host_.world().timeline.after(takes, [&host = host_, life = life_, attempt] {
        host.enter(life, [attempt](Daemon& daemon) { daemon.answer(attempt); });
    });
}

void Daemon::answer(const Attempt& attempt) {
    const auto check = check_of(attempt.probe);
    if (!check) {
        return;
    }
    Random& random = host_.world().random;
    const RealService& truth = host_.truth(speaker_->config()->checks[*check].name);
    const auto found = truth.answer(attempt.at_start, random);
    const bool late = host_.world().timeline.now() > attempt.deadline;
    const ProbeResult result = !found || late ? ProbeResult::fail : *found;
    const char* reason = !found || late                ? "no answer in time"
                         : result == ProbeResult::pass ? "it answers"
                         : result == ProbeResult::fail ? "connection refused"
                                                       : "the answer proves nothing";
    const TimePoint at = found ? host_.world().timeline.now() : attempt.deadline;
    host_.world().timeline.at(at + between(random, Duration{0}, longest_lateness),
                              [&host = host_, life = life_, attempt, result, reason] {
                                  host.enter(life, [attempt, result, reason](Daemon& daemon) {
                                      if (!daemon.stalled_)
                                          return daemon.finish(attempt, result, reason);
                                      daemon.held_.push_back([&daemon, attempt, result, reason] {
                                          daemon.finish(attempt, result, reason);
                                      });
                                  });
                              });
}

void Daemon::finish(const Attempt& attempt, ProbeResult result, const char* reason) {
    const auto check = check_of(attempt.probe);
    if (!check) return;
    const TimePoint now = host_.world().timeline.now();
    host_.world().trace.detail(now, "{}: {} {} {}", host_.plan().name,
                               speaker_->config()->checks[*check].name, to_string(result), reason);
    if (latest_[attempt.probe] == attempt.number) {
        host_.oracle().told(*check, result, now >= attempt.deadline + health::answer_grace);
    }
    const Duration boot = now - host_.clock();
    tell(failover::SiteEvent{failover::ProbeFinished{
        *check, attempt.number, {result, reason, attempt.started - boot, host_.clock()}}});
}

void Daemon::source_event(const std::string& check, ProbeResult finding) {
    const auto& checks = speaker_->config()->checks;
    const auto found = std::ranges::find(checks, check, &conf::Check::name);
    if (found == checks.end() || found->probe.type != "process") return;
    const auto report = [this, check, finding] {
        const auto& now_known = speaker_->config()->checks;
        const auto at = std::ranges::find(now_known, check, &conf::Check::name);
        if (at == now_known.end()) return;
        const auto id = static_cast<failover::CheckId>(at - now_known.begin());
        host_.oracle().event(id, finding);
        tell(failover::SiteEvent{failover::SourceEvent{
            id, {finding, "the process ended", host_.clock(), host_.clock()}}});
    };
    if (stalled_) {
        held_.emplace_back(report);
    } else {
        report();
    }
}

void Daemon::stalled(bool stalled) {
    if (std::exchange(stalled_, stalled) == stalled) return;
    host_.oracle().probes_stalled(stalled);
    if (stalled) return;
    for (auto& report : std::exchange(held_, {})) {
        // Some never come.
        if (chance(host_.world().random, 80)) report();
    }
}

std::optional<failover::CheckId> Daemon::check_of(std::uint64_t probe) const {
    const auto found = std::ranges::find(probes_, probe);
    if (found == probes_.end()) return std::nullopt;
    return static_cast<failover::CheckId>(found - probes_.begin());
}

void Daemon::reload(const std::shared_ptr<const conf::Config>& after) {
    if (stopping_) return;
    const auto change = conf::compare(speaker_->config(), after);
    if (!change) violate("P3", "a valid configuration is refused");
    ++host_.world().tally["reloads"];
    for (const auto& [id, neighbor] : speaker_->neighbors()) {
        if (neighbor->peer.rib_out().pending_withdrawals() > 0) {
            ++host_.world().tally["reloads with withdrawals pending"];
        }
    }
    take_turn([&](daemon::Moment at, SpeakerOutput& out) {
        host_.oracle().reloaded(**change);
        speaker_->handle(at, daemon::Reload{*change}, out);
        std::vector<std::uint64_t> probes;
        for (const auto from : (*change)->checks) {
            probes.push_back(from ? probes_[*from] : next_probe_++);
        }
        probes_ = std::move(probes);
    });
}

void Daemon::say(const Subject& subject, std::optional<failover::OverrideKind> kind,
                 std::optional<Duration> lasting) {
    std::variant<failover::ServiceId, Prefix> at{failover::ServiceId{0}};
    if (const auto* prefix = std::get_if<Prefix>(&subject)) {
        at = *prefix;
    } else {
        const auto& services = speaker_->config()->services;
        const auto found =
            std::ranges::find(services, std::get<std::string>(subject), &conf::Service::name);
        if (found == services.end()) return;
        at = static_cast<failover::ServiceId>(found - services.begin());
    }
    if (!kind) {
        host_.oracle().cleared(subject);
        return tell(failover::SiteEvent{failover::ClearOverrides{at, {}}});
    }
    if (speaker_->site().refuses(at, *kind)) return;
    failover::Override value{*kind, "simulated", "operator", host_.wall(), {}};
    Word word{*kind, {}};
    if (lasting) {
        value.expires = host_.clock() + *lasting;
        word.until = host_.world().timeline.now() + *lasting;
    }
    ++host_.world().tally["overrides"];
    host_.oracle().said(subject, word);
    tell(failover::SiteEvent{failover::SetOverride{at, std::move(value)}});
}

void Daemon::command(const std::string& neighbor, daemon::NeighborCommand command) {
    if (stopping_) return;
    if (command == daemon::NeighborCommand::refresh) {
        if (const auto id = speaker_->neighbors().find(neighbor))
            host_.oracle().asked_for_routes(*id);
    }
    if (command == daemon::NeighborCommand::enable || command == daemon::NeighborCommand::disable) {
        host_.oracle().disabled(neighbor, command == daemon::NeighborCommand::disable);
    }
    tell(daemon::CommandNeighbor{neighbor, command, "operator", "simulated"});
}

void Daemon::stop(bool planned) {
    if (std::exchange(stopping_, true)) return;
    planned_ = planned && !speaker_->refuses_planned_restart();
    if (planned_) {
        ++host_.world().tally["planned restarts"];
        tell(daemon::VanishForRestart{});
    }
    host_.oracle().stopping();
    tell(failover::SiteEvent{failover::StopAnnouncing{"simulated"}});
    host_.world().timeline.after(stop_grace, [&host = host_, life = life_] {
        host.enter(life, [](Daemon& daemon) { daemon.finish_stop(); });
    });
    look_settled();
}

void Daemon::look_settled() {
    if (!stopping_ || depth_ > 0) return;
    const bool settled = std::ranges::all_of(drivers_, [&](const auto& each) {
        return !each.second.withdrawals_open && each.second.marks.empty() &&
               speaker_->neighbors().find(each.first)->peer.rib_out().pending_withdrawals() == 0;
    });
    if (!settled) return;
    // Not from within the turn that settled it.
    host_.world().timeline.after({}, [&host = host_, life = life_] {
        host.enter(life, [](Daemon& daemon) { daemon.finish_stop(); });
    });
}

void Daemon::finish_stop() {
    if (std::exchange(finished_, true)) return;
    tell(daemon::EndSessions{"simulated"});
    save(true);
    host_.bfd().stop([&host = host_, life = life_] { host.exited(life, true); });
}

failover::SavedState Daemon::state(bool clean) const {
    failover::SavedState out = speaker_->saved({host_.clock(), host_.wall()});
    out.boot_id = host_.boot_id();
    out.started = started_;
    out.crashes = crashes_;
    out.ended_clean = clean;
    out.planned_restart = clean && planned_;
    return out;
}

void Daemon::save_soon(Duration after) {
    if (std::exchange(save_pending_, true)) return;
    host_.world().timeline.after(after, [&host = host_, life = life_] {
        host.enter(life, [](Daemon& daemon) {
            daemon.save_pending_ = false;
            daemon.save(false);
        });
    });
}

void Daemon::save(bool clean) {
    if (host_.disk().stopped()) return;
    const Machine machine = host_.machine(host_.on_the_world(started_), crashes_);
    Memory memory = host_.oracle().memory(machine, clean);
    if (const auto steps = host_.take_tear()) host_.disk().stop_after(*steps);
    const auto saved = store_.save(state(clean));
    if (saved) return host_.oracle().notebook().saved(std::move(memory));
    if (!host_.disk().stopped()) return save_soon(save_retry);
    // Killed in the middle of it.
    host_.oracle().notebook().torn(std::move(memory));
    host_.exited(life_, false);
}

void Daemon::sign_of_life() {
    (void)store_.alive(host_.boot_id(), host_.clock());
    host_.world().timeline.after(between_signs_of_life, [&host = host_, life = life_] {
        host.enter(life, [](Daemon& daemon) { daemon.sign_of_life(); });
    });
}

}  // namespace swerve::sim
