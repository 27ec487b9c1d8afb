#pragma once
// The main loop: the speaker between the probes and the neighbors. Each turn takes one event to the
// wire and tells everybody else afterwards.

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/bfd_loop.hpp"
#include "daemon/deadline_timer.hpp"
#include "daemon/main_port.hpp"
#include "daemon/neighbors.hpp"
#include "daemon/probe_runner.hpp"
#include "daemon/speaker/speaker.hpp"

namespace swerve::daemon {

/// Who hears what happened; called after the wire was served.
class EventSink {
public:
    EventSink() = default;
    EventSink(const EventSink&) = delete;
    EventSink& operator=(const EventSink&) = delete;
    virtual ~EventSink() = default;
    virtual void publish(Event event) = 0;
    /// What is to outlive the process has changed.
    virtual void save() = 0;
};

class MainLoop final : public MainPort {
public:
    struct Loops {
        boost::asio::io_context& main;
        boost::asio::io_context& probes;
        boost::asio::io_context& bfd;
        boost::asio::io_context& operations;
    };
    using LoopViews = std::function<std::vector<LoopView>()>;

    /// `events` is called on main, `loop_views` on operations.
    MainLoop(Loops loops, std::shared_ptr<const conf::Config> config,
             const failover::Restored& restored, EventSink& events, LoopViews loop_views,
             std::uint64_t seed);
    ~MainLoop() override;

    /// Binds the BGP listeners; to be called before the threads run. The error is a sentence.
    [[nodiscard]] Result<void, std::string> listen();
    /// First turn: sessions are dialled, first attempts start. `stopped` is called on main at the
    /// end that stop() begins.
    void start(std::function<void()> stopped);
    /// Ends the attempts under way, so that the probes loop runs out of work. From any thread.
    void end_probes() { probes_.stop(); }
    /// Says AdminDown to every neighbor with BFD and ends the bfd loop's work; to be called when
    /// the BGP sessions have ended, for AdminDown is no reason for a neighbor to drop the routes.
    void end_bfd() { bfd_.stop(); }
    /// Path Down to every neighbor with BFD, before the process is ended for hanging. From any
    /// thread.
    void hold_bfd_down() { bfd_.hold_down(); }
    /// Withdraws everything, waits until the neighbors' TCP has acknowledged (at most `grace`) and
    /// sends Cease/Administrative Shutdown. A second call skips the wait. For a planned restart
    /// neighbors that keep the routes are left without a word. On main.
    void stop(StopRequest request);
    /// Whether the end was one for a planned restart; to be asked when the loop has ended.
    [[nodiscard]] bool planned_restart() const { return planned_restart_; }

    void snapshot(SnapshotRequest request,
                  std::function<void(std::shared_ptr<const Snapshot>)> done) override;
    void set_override(Subject subject, failover::Override value, std::optional<Duration> lasting,
                      std::function<void(std::optional<failover::Refusal>)> done) override;
    void clear_overrides(Subject subject, std::optional<failover::OverrideKind> only,
                         std::function<void(std::size_t)> done) override;
    void command_neighbor(CommandNeighbor command, std::function<void(bool)> done) override;
    void apply(std::shared_ptr<const conf::Change> change,
               std::function<void(std::optional<std::string>)> done) override;
    void stop(StopRequest request, std::function<void(std::optional<std::string>)> done) override;
    void when_settled(std::function<void()> done) override;
    void probe_once(const conf::Check& check, std::function<void(ProbeTrial)> done) override;
    void saved_state(std::function<void(failover::SavedState)> done) override;

    static constexpr Duration grace = std::chrono::seconds{3};

private:
    using SiteSubject = std::variant<failover::ServiceId, Prefix>;

    std::size_t turn(const SpeakerEvent& event);
    void take_turn(const std::function<void(Moment, SpeakerOutput&)>& what);
    void tick();
    /// `due`: when what is begun here was due.
    void carry_out(SpeakerOutput& out, TimePoint due);
    void finish_stop();
    void configure_bfd();
    void tell_alarm(std::string alarm);
    [[nodiscard]] std::optional<SiteSubject> find(const Subject& subject) const;
    [[nodiscard]] std::optional<std::string> reload(
        const std::shared_ptr<const conf::Change>& change);
    [[nodiscard]] std::shared_ptr<Snapshot> describe(const SnapshotRequest& request) const;

    Loops loops_;
    EventSink& events_;
    LoopViews loop_views_;
    TimePoint started_;
    WallTime started_wall_;
    Speaker speaker_;
    Neighbors neighbors_;
    ProbeRunner probes_;
    BfdLoop bfd_;
    DeadlineTimer timer_;

    enum class Phase : std::uint8_t { running, stopping, stopped };
    Phase phase_ = Phase::running;
    std::string stop_reason_;
    bool planned_restart_ = false;
    std::function<void()> stopped_;
    DeadlineTimer stop_timer_;
};

}  // namespace swerve::daemon
