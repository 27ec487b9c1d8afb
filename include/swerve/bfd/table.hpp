#pragma once
// All BFD sessions of a site: which of them a datagram is for (RFC 5880 §6.3, RFC 5881 §3 to §5,
// RFC 5883), what a change of the configuration does to them. Pure; its driver has the sockets.

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "swerve/base/bytes.hpp"
#include "swerve/base/random.hpp"
#include "swerve/base/time.hpp"
#include "swerve/bfd/packet.hpp"
#include "swerve/bfd/session.hpp"
#include "swerve/net/address.hpp"

namespace swerve::bfd {

inline constexpr std::uint16_t single_hop_port = 3784;  ///< RFC 5881 §4
inline constexpr std::uint16_t multihop_port = 4784;    ///< RFC 5883 §5

/// Between which two ends, and of which kind: what makes two sessions two.
struct SessionKey {
    Address local;
    Address remote;
    std::string interface{};  ///< of link-local addresses; empty: none
    bool multihop = false;    ///< RFC 5883

    friend auto operator<=>(const SessionKey&, const SessionKey&) = default;
};

/// One session as it is wanted.
struct SessionConfig {
    std::uint32_t owner = 0;  ///< whom its reports are for; another one each time is no new session
    SessionKey key;
    unsigned hops = 1;  ///< to the neighbor at most, 1 to 255; of a single hop 1
    Timing timing{};
    std::optional<Authentication> authentication{};

    friend bool operator==(const SessionConfig&, const SessionConfig&) = default;
};

/// As the socket tells it.
struct Datagram {
    ByteView octets;
    Address local;
    Address remote;
    std::string_view interface{};  ///< of link-local addresses; empty: none
    bool multihop = false;         ///< by the port it came to
    int ttl = 0;                   ///< TTL or hop limit it arrived with
};

/// How a session is: told of a new session (Down, came_up), when it has changed state, when the
/// neighbor's AdminDown comes or goes, and anew to an owner that it came to. Of one that goes
/// nothing is told.
struct Report {
    std::uint32_t owner = 0;
    State state = State::down;
    Cause cause = Cause::came_up;                       ///< of the last change
    Diagnostic diagnostic = Diagnostic::none;           ///< ours
    Diagnostic neighbor_diagnostic = Diagnostic::none;  ///< as it last said
    bool neighbor_admin_down = false;  ///< its last word: BFD is switched off over there
    /// After which silence it would have gone, or has gone, down; 0 before the first packet. Of one
    /// that has just come up it is still the slow one of before.
    Duration detection_time{};

    friend bool operator==(const Report&, const Report&) = default;
};

/// What a call asks of the driver. Sessions are named by our discriminator. Of one that is closed
/// the table knows nothing any more: the driver keeps the addresses of those that are open.
struct TableOutput {
    struct Transmission {
        std::uint32_t session;
        Bytes octets;
    };
    std::vector<std::uint32_t> opened;  ///< view() tells the addresses; a socket is wanted
    std::vector<Transmission> transmissions;
    std::vector<Report> reports;
    std::vector<std::uint32_t> closed;  ///< gone, after its transmissions
};

struct SessionCounters {
    std::uint64_t received = 0;  ///< those that counted
    std::array<std::uint64_t, discard_count> discarded{};
    std::uint64_t downs = 0;  ///< how often it left Up
};

/// A copy, for people and metrics.
struct SessionView {
    SessionConfig config;  ///< without the secret
    std::uint32_t discriminator;
    State state;
    TimePoint since;
    Cause cause;
    std::optional<Cause> last_down{};  ///< why it last left Up
    Diagnostic diagnostic;
    std::optional<Packet> neighbor;  ///< its last packet that counted
    std::optional<Duration> transmit_interval;
    std::optional<Duration> detection_time;  ///< of ours
    /// After which silence of ours the neighbor goes down; while Up only.
    std::optional<Duration> neighbor_detection_time;
    SessionCounters counters;
};

class Table {
public:
    /// Discriminators and jitter come of the seed: one that nobody can guess, another one in each
    /// process.
    explicit Table(std::uint64_t seed);
    ~Table();
    Table(const Table&) = delete;
    Table& operator=(const Table&) = delete;

    /// From now on these are the sessions, no two of the same key. One that stays is not disturbed:
    /// other timing is negotiated (RFC 5880 §6.8.3), another owner gets a report. One that goes
    /// says AdminDown for a detection time first, and lives on if it is wanted again meanwhile;
    /// another authentication makes a session anew, beside the old one as long as that has not
    /// said AdminDown three times.
    void configure(TimePoint now, std::vector<SessionConfig> wanted, TableOutput& out);
    /// In the order in which they arrived; to be called with all that has arrived before tick().
    void receive(TimePoint now, const Datagram& datagram, TableOutput& out);
    void tick(TimePoint now, TableOutput& out);
    [[nodiscard]] std::optional<TimePoint> next_deadline() const;
    /// All sessions go down with Path Down, and none comes up: the daemon hangs.
    void hold_down(TimePoint now, TableOutput& out);
    /// Whether every session that goes has said so often enough to count as heard.
    [[nodiscard]] bool has_said_farewell() const;

    [[nodiscard]] std::optional<SessionView> view(std::uint32_t session) const;
    /// In the order of their keys, without those that are going.
    [[nodiscard]] std::vector<SessionView> views() const;
    /// Datagrams between addresses that no session has.
    [[nodiscard]] const std::array<std::uint64_t, discard_count>& discarded() const;

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace swerve::bfd
