#pragma once
// One BFD session in asynchronous mode (RFC 5880 §6.8): pure, in virtual or real time alike.

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "swerve/base/deadlines.hpp"
#include "swerve/base/event_rate.hpp"
#include "swerve/base/random.hpp"
#include "swerve/base/time.hpp"
#include "swerve/bfd/packet.hpp"

namespace swerve::bfd {

struct Timing {
    Duration min_tx{std::chrono::milliseconds{300}};  ///< how often we send at most, once Up
    Duration min_rx{std::chrono::milliseconds{300}};  ///< how often the neighbor may send
    std::uint8_t multiplier = 3;  ///< packets in a row the neighbor may miss; 1 to 255

    friend bool operator==(const Timing&, const Timing&) = default;
};

/// Why a session left Up, or came back down before it was: what decides about BGP (RFC 5882 §3.2).
enum class Cause : std::uint8_t {
    came_up,                 ///< it did not go down
    neighbor_agrees,         ///< on the way up
    detection_time_expired,  ///< nothing arrived
    neighbor_signaled_down,  ///< the neighbor hears nothing, or has begun anew
    neighbor_admin_down,     ///< switched off over there: says nothing about the path
    admin_down,              ///< switched off here
    path_down                ///< we told the neighbor to leave us
};
[[nodiscard]] std::string_view to_string(Cause cause);

// What happens to a session.
struct PacketReceived {
    Received received;  ///< decoded; for this session by its discriminator or its addresses
};
/// Other timing. While Up a poll sequence tells the neighbor (RFC 5880 §6.8.3).
struct Retime {
    Timing timing;
};
/// Switches the session off, with AdminDown to the neighbor for a detection time (of a slow one a
/// minute), or on again.
struct Administer {
    bool up = true;
};
/// Down with Path Down, and no way up any more: for a daemon that hangs.
struct HoldDown {};
using Event = std::variant<PacketReceived, Retime, Administer, HoldDown>;

// What a session wants.
struct Send {
    Bytes octets;
};
struct StateChanged {
    State from;
    State to;
    Diagnostic diagnostic;  ///< ours, as the neighbor is told
    Cause cause;
};
/// The packet changed nothing.
struct Discarded {
    Discard why;
};
using Action = std::variant<Send, StateChanged, Discarded>;
using Actions = std::vector<Action>;

/// Begins Down and active: it sends from the first tick. Its driver calls tick() at
/// next_deadline(), after it has read what has arrived: a packet that waited in the socket while we
/// did not run has not come late.
class Session {
public:
    /// The discriminator is not 0 and of no other session (RFC 5880 §6.8.1).
    Session(TimePoint now, std::uint32_t discriminator, Timing timing,
            std::optional<Authentication> authentication, std::uint64_t seed);

    void handle(TimePoint now, const Event& event, Actions& out);
    void tick(TimePoint now, Actions& out);
    [[nodiscard]] std::optional<TimePoint> next_deadline() const { return deadlines_.next(); }

    [[nodiscard]] std::uint32_t discriminator() const { return discriminator_; }
    [[nodiscard]] State state() const { return state_; }
    [[nodiscard]] Diagnostic diagnostic() const { return diagnostic_; }
    [[nodiscard]] const Timing& timing() const { return timing_; }
    /// Of the last packet that counted; nothing before the first, and once it is forgotten.
    [[nodiscard]] const std::optional<Packet>& neighbor() const { return neighbor_; }
    /// Whether the last that counted said AdminDown; silence is no other word.
    [[nodiscard]] bool is_neighbor_off() const { return neighbor_off_; }
    /// Of one that is switched off: whether AdminDown was said often enough to count as heard, or
    /// the neighbor wants no packets.
    [[nodiscard]] bool has_said_farewell() const;
    /// Without jitter; nothing while the neighbor wants no packets.
    [[nodiscard]] std::optional<Duration> transmit_interval() const;
    /// After which silence the session goes down; nothing before the first packet.
    [[nodiscard]] std::optional<Duration> detection_time() const;

private:
    enum class Timer : std::uint8_t { transmit, detect, farewell, next_poll, count_ };

    void on(TimePoint now, const PacketReceived& event, Actions& out);
    void on(TimePoint now, const Retime& event, Actions& out);
    void on(TimePoint now, const Administer& event, Actions& out);
    void on(TimePoint now, const HoldDown& event, Actions& out);

    [[nodiscard]] std::optional<Discard> refuse(const Received& received) const;
    [[nodiscard]] std::optional<Discard> authenticate(TimePoint now, const Received& received);
    [[nodiscard]] bool is_way_up(const Packet& packet) const;
    void take_values(TimePoint now, const Packet& packet);
    void follow(TimePoint now, const Packet& packet, Actions& out);
    void enter(TimePoint now, State to, Diagnostic diagnostic, Cause cause, Actions& out);
    void set_intervals();
    bool begin_poll();
    void end_poll(TimePoint now);
    void send(bool is_answer, Actions& out);
    void send_and_rearm(TimePoint now, Actions& out);
    void arm_transmit(TimePoint from);
    void hasten_transmit();
    [[nodiscard]] bool is_silent() const;
    [[nodiscard]] Duration silence_allowed(const Packet& packet) const;

    std::uint32_t discriminator_;
    Timing timing_;
    std::optional<Authentication> authentication_;
    Random random_;
    State state_ = State::down;
    Diagnostic diagnostic_ = Diagnostic::none;
    bool held_down_ = false;
    std::optional<Packet> neighbor_;
    std::uint32_t neighbor_discriminator_ = 0;
    bool neighbor_off_ = false;
    EventRate changes_;  ///< what its packets change, for each may be news to many
    // What packets say, and what counts until the neighbor has answered a poll: of the transmit
    // intervals the shorter one, of the receive intervals the longer one (RFC 5880 §6.8.3).
    Duration desired_tx_{};
    Duration counted_tx_{};
    Duration required_rx_{};
    Duration counted_rx_{};
    bool polling_ = false;
    std::optional<TimePoint> asked_at_;  ///< the poll was first sent: no final before is its own
    int farewells_ = 0;                  ///< AdminDown was said
    TimePoint last_sent_{};
    EventRate urgent_;  ///< finals and changes of state, which do not wait for the interval
    std::uint32_t sequence_;
    std::optional<std::uint32_t> neighbor_sequence_;
    TimePoint sequence_counts_until_{};
    Deadlines<Timer> deadlines_;
};

}  // namespace swerve::bfd
