#include "daemon/main_loop.hpp"

#include <boost/asio/post.hpp>
#include <utility>

#include "swerve/base/clock.hpp"
#include "swerve/base/overloaded.hpp"

namespace swerve::daemon {
MainLoop::MainLoop(Loops loops, std::shared_ptr<const conf::Config> config, EventSink& events,
                   LoopViews loop_views, std::uint64_t seed)
    : loops_(loops),
      config_(std::move(config)),
      events_(events),
      loop_views_(std::move(loop_views)),
      started_(BootClock::now()),
      started_wall_(wall_now()),
      site_(conf::site_policy(*config_, seed)),
      neighbors_(loops.main, *config_, events, seed),
      probes_(loops.probes, loops.main, *config_,
              {.finished =
                   [this](failover::CheckId check, std::uint64_t attempt, health::Outcome outcome) {
                       turn(failover::ProbeFinished{check, attempt, std::move(outcome)});
                   },
               .event =
                   [this](failover::CheckId check, health::Outcome finding) {
                       turn(failover::SourceEvent{check, std::move(finding)});
                   }}),
      timer_(loops.main, [this] { tick(); }),
      stop_timer_(loops.main, [this] { finish_stop(); }) {}

MainLoop::~MainLoop() = default;

void MainLoop::start() {
    events_.publish(
        {BootClock::now(), wall_now(), DaemonEvent{DaemonEvent::Kind::started, "started"}});
    neighbors_.start();
    probes_.start();
    turn(failover::Begin{});
}

void MainLoop::turn(const failover::SiteEvent& event) {
    if (phase_ == Phase::stopped) return;  // an attempt that was still under way
    failover::SiteActions actions;
    site_.handle(BootClock::now(), event, actions);
    carry_out(actions);
}

void MainLoop::tick() {
    failover::SiteActions actions;
    site_.tick(BootClock::now(), actions);
    carry_out(actions);
}

void MainLoop::carry_out(const failover::SiteActions& actions) {
    to_the_wire(actions);
    tell(actions);
    timer_.arm(site_.next_deadline());
}

void MainLoop::to_the_wire(const failover::SiteActions& actions) {
    std::optional<failover::FailoverRecord> record;
    std::vector<failover::NeighborId> holders;
    bool changed = false;
    const auto close_record = [&] {
        if (record) neighbors_.open_record(std::move(*record), holders);
        record.reset();
        holders.clear();
    };
    for (const failover::SiteAction& action : actions) {
        if (const auto* began = std::get_if<failover::FailoverBegan>(&action)) {
            close_record();
            record = failover::FailoverRecord{.subject = began->subject,
                                              .reason = began->reason,
                                              .wall = wall_now(),
                                              .first_evidence = began->first_evidence,
                                              .verdict = began->verdict};
        } else if (const auto* withdraw = std::get_if<failover::Withdraw>(&action)) {
            neighbors_.withdraw(withdraw->block, withdraw->range, holders);
            if (record) record->prefixes += withdraw->range.size();
            changed = true;
        } else if (const auto* advertise = std::get_if<failover::Advertise>(&action)) {
            neighbors_.advertise(advertise->service, advertise->block, advertise->range);
            changed = true;
        }
    }
    close_record();
    if (changed) neighbors_.flush();
}

void MainLoop::tell(const failover::SiteActions& actions) {
    const TimePoint now = BootClock::now();
    const WallTime wall = wall_now();
    const auto publish = [&](const auto& what) { events_.publish({now, wall, what}); };
    for (const failover::SiteAction& action : actions) {
        std::visit(Overloaded{
                       [&](const failover::StartProbe& start) {
                           probes_.attempt(start.check, start.attempt, start.timeout);
                       },
                       [](const failover::Advertise&) {},
                       [](const failover::Withdraw&) {},
                       [](const failover::FailoverBegan&) {},
                       [&](const failover::CheckChanged& what) { publish(what); },
                       [&](const failover::EvidenceLost& what) { publish(what); },
                       [&](const failover::VerdictChanged& what) { publish(what); },
                       [&](const failover::IntentChanged& what) { publish(what); },
                       [&](const failover::OverrideChanged& what) { publish(what); },
                   },
                   action);
    }
    neighbors_.publish_completed();
}

void MainLoop::stop(std::string reason, std::function<void()> stopped) {
    if (phase_ != Phase::running) return finish_stop();
    phase_ = Phase::stopping;
    stop_reason_ = std::move(reason);
    stopped_ = std::move(stopped);
    turn(failover::StopAnnouncing{stop_reason_});
    events_.publish(
        {BootClock::now(), wall_now(), DaemonEvent{DaemonEvent::Kind::stopping, stop_reason_}});
    stop_timer_.arm(BootClock::now() + grace);
    neighbors_.when_settled([this] { finish_stop(); });
}

void MainLoop::finish_stop() {
    if (phase_ == Phase::stopped) return;
    phase_ = Phase::stopped;
    stop_timer_.arm(std::nullopt);
    timer_.arm(std::nullopt);
    neighbors_.stop(
        bgp::cease(bgp::subcode::administrative_shutdown, config_->site + ": " + stop_reason_));
    stopped_();
}

void MainLoop::snapshot(SnapshotRequest request,
                        std::function<void(std::shared_ptr<const Snapshot>)> done) {
    boost::asio::post(loops_.main, [this, request = std::move(request), done = std::move(done)] {
        boost::asio::post(loops_.operations, [this, done, made = describe(request)]() mutable {
            made->loops = loop_views_();
            done(std::move(made));
        });
    });
}

void MainLoop::set_override(SubjectId subject, failover::Override value,
                            std::optional<Duration> lasting,
                            std::function<void(std::optional<failover::Refusal>)> done) {
    boost::asio::post(loops_.main, [this, subject, value = std::move(value), lasting,
                                    done = std::move(done)]() mutable {
        const auto refusal = site_.refuses(subject, value.kind);
        if (!refusal) {
            if (lasting) value.expires = BootClock::now() + *lasting;
            turn(failover::SetOverride{subject, std::move(value)});
        }
        boost::asio::post(loops_.operations, [done, refusal] { done(refusal); });
    });
}

void MainLoop::clear_overrides(SubjectId subject, std::optional<failover::OverrideKind> only,
                               std::function<void(std::size_t)> done) {
    boost::asio::post(loops_.main, [this, subject, only, done = std::move(done)] {
        failover::SiteActions actions;
        site_.handle(BootClock::now(), failover::ClearOverrides{subject, only}, actions);
        carry_out(actions);
        std::size_t cleared = 0;
        for (const failover::SiteAction& action : actions) {
            cleared += std::holds_alternative<failover::OverrideChanged>(action) ? 1 : 0;
        }
        boost::asio::post(loops_.operations, [done, cleared] { done(cleared); });
    });
}

std::shared_ptr<Snapshot> MainLoop::describe(const SnapshotRequest& request) const {
    auto out = std::make_shared<Snapshot>();
    out->now = BootClock::now();
    out->wall = wall_now();
    out->started = started_;
    out->started_wall = started_wall_;
    out->config = config_;
    out->site = site_.view();
    neighbors_.describe(request, *out);
    return out;
}

}  // namespace swerve::daemon
