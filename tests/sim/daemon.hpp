#pragma once
// The daemon of the simulation: the shipping machine with sockets, timers, probes and a state file
// that are not real. It keeps the contract of daemon/main_loop and daemon/peer_driver: what was
// read counts before a timer, connections first, then the wire, then probes, then what is saved.

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/speaker/speaker.hpp"
#include "daemon/state/store.hpp"
#include "tests/sim/bfd_witness.hpp"
#include "tests/sim/oracle.hpp"

namespace swerve::sim {

class Host;

class Daemon {
public:
    /// `life` tells this process from others of the host.
    Daemon(Host& host, std::uint64_t life);
    ~Daemon();

    /// Reads the state file and takes the first turn.
    void begin();

    /// Shows the oracle what stands before anything else happens: what ought to have gone by now
    /// must not be there, even if the next turn takes it away.
    void look();

    // What operators do.
    void reload(const std::shared_ptr<const conf::Config>& after);
    /// Without a word: takes back what was said.
    void say(const Subject& subject, std::optional<failover::OverrideKind> kind,
             std::optional<Duration> lasting);
    void command(const std::string& neighbor, daemon::NeighborCommand command);
    /// `planned`: for a restart through which neighbors keep the routes, if any does.
    void stop(bool planned);

    // What the host brings.
    void source_event(const std::string& check, health::ProbeResult finding);
    void accepted(const Address& from, Socket socket);
    void connected(Socket socket);
    void refused(Socket socket);
    void readable(Socket socket);
    void writable(Socket socket);
    void acknowledged(Socket socket);
    void stalled(bool stalled);
    void bfd_reported(const bfd::Report& report);
    /// Timers that came due while the process stood still.
    void resumed();
    /// The kernel is left with the sockets, or they are gone with it.
    void die(bool with_the_host);

    [[nodiscard]] const daemon::Speaker& speaker() const { return *speaker_; }
    [[nodiscard]] std::size_t sockets() const { return sockets_.size(); }
    [[nodiscard]] bool is_stopping() const { return stopping_; }

private:
    using NeighborId = daemon::NeighborId;
    struct Mark {
        std::uint64_t octets;
        TimePoint written_at;
    };
    /// The sockets of one neighbor.
    struct Driver {
        std::array<std::optional<Socket>, 2> sockets{};
        std::array<bool, 2> open{};
        std::array<bool, 2> blocked{};
        std::optional<bgp::Side> session{};
        bool withdrawals_open = false;
        std::deque<Mark> marks{};

        [[nodiscard]] std::optional<Socket>& socket(bgp::Side side) {
            return sockets[static_cast<std::size_t>(side)];
        }
        [[nodiscard]] bool& is_open(bgp::Side side) { return open[static_cast<std::size_t>(side)]; }
    };
    struct At {
        NeighborId neighbor;
        bgp::Side side;
    };
    /// An attempt that has an outcome to deliver.
    struct Attempt {
        std::uint64_t probe;  ///< which of `probes_`
        std::uint64_t number;
        TimePoint started;
        TimePoint deadline;
        Condition at_start;
    };

    /// `writer`: this neighbor may have something to write, whatever comes of the turn.
    void take_turn(const std::function<void(daemon::Moment, daemon::SpeakerOutput&)>& what,
                   std::optional<NeighborId> writer = {});
    void tell(const daemon::SpeakerEvent& event, std::optional<NeighborId> writer = {});
    void carry_out(daemon::SpeakerOutput& out, std::optional<NeighborId> writer);
    void note(const daemon::Event& event);
    void perform(NeighborId id, Driver& driver, const bgp::PeerAction& action);
    void close(Driver& driver, bgp::Side side, ByteView last_words, bool reset);
    void flush(NeighborId id);
    void flush(NeighborId id, Driver& driver, bgp::Side side);
    void read(NeighborId id, bgp::Side side);
    void read_all(NeighborId id);
    void deliver(NeighborId id, const bgp::PeerEvent& event);

    void start(const failover::StartProbe& order);
    void answer(const Attempt& attempt);
    void finish(const Attempt& attempt, health::ProbeResult result, const char* reason);
    [[nodiscard]] std::optional<failover::CheckId> check_of(std::uint64_t probe) const;

    void arm();
    void wake();
    void look_settled();
    void finish_stop();
    void save_soon(Duration after);
    void save(bool clean);
    void sign_of_life();
    [[nodiscard]] failover::SavedState state(bool clean) const;

    Host& host_;
    std::uint64_t life_;
    daemon::StateStore store_;
    std::unique_ptr<daemon::Speaker> speaker_;
    TimePoint started_;  ///< boot clock
    unsigned crashes_ = 0;
    std::map<NeighborId, Driver> drivers_;
    std::map<Socket, At> sockets_;
    std::vector<std::uint64_t> probes_;              ///< by check; a number is never used again
    std::map<std::uint64_t, std::uint64_t> latest_;  ///< attempt of a probe
    std::uint64_t next_probe_ = 0;
    bool stalled_ = false;
    std::vector<std::move_only_function<void()>> held_;  ///< what stalled probes will report
    std::optional<TimePoint> armed_;                     ///< world's clock
    std::uint64_t arming_ = 0;
    unsigned depth_ = 0;
    bool routes_changed_ = false;
    bool save_pending_ = false;
    bool stopping_ = false;
    bool planned_ = false;  ///< that end is a planned restart
    bool finished_ = false;
    Bytes last_words_;  ///< of the connection that was closed last
};

}  // namespace swerve::sim
