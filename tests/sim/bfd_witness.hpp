#pragma once
// Sees every BFD packet that is sent and every one that arrives, and says what both ends of a
// session may make of them: S10 to S14 of docs/simulation.md. It reads the packets with a decoder
// of its own and asks no shipping code.

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "swerve/bfd/table.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/trace.hpp"

namespace swerve::sim {

/// What a run counts, by name.
using Tally = std::map<std::string, std::uint64_t>;

/// A packet as RFC 5880 §4.1 draws it.
struct BfdWords {
    unsigned state = 0;  ///< 0 AdminDown, 1 Down, 2 Init, 3 Up
    bool poll = false;
    bool final = false;
    unsigned multiplier = 0;
    std::uint32_t my = 0;
    std::uint32_t your = 0;
    std::uint32_t desired_us = 0;
    std::uint32_t required_us = 0;
    std::optional<std::uint32_t> sequence{};  ///< of meticulous authentication
};
/// Violates S10 if a daemon has written something else.
[[nodiscard]] BfdWords read_bfd(ByteView octets);

class BfdWitness {
public:
    BfdWitness(Timeline& timeline, Trace& trace, Tally& tally)
        : timeline_(timeline), trace_(trace), tally_(tally) {}

    // The life of the process at one end.
    void began(const Link& link, std::size_t end, const std::string& name);
    void ended(const Link& link, std::size_t end);
    void paused(const Link& link, std::size_t end, bool paused);
    /// What is configured there; nothing: no session.
    void wants(const Link& link, std::size_t end, const bfd::SessionConfig* config);

    // What happens to its session.
    void sent(const Link& link, std::size_t end, ByteView octets);
    /// By somebody else than the forger, and now in the hands of the running process.
    void arrived(const Link& link, std::size_t end, ByteView octets);
    void reported(const Link& link, std::size_t end, const bfd::Report& report);
    /// A packet that was forged has come to this.
    void forged(const Link& link, std::size_t end, const bfd::TableOutput& out);

    [[nodiscard]] bool is_up(const Link& link, std::size_t end) const;
    // For forgers.
    [[nodiscard]] std::optional<BfdWords> last_words(const Link& link, std::size_t end) const;
    /// A packet that has surely counted at this end, the last one or one that said Down; nothing if
    /// it may count once more.
    [[nodiscard]] std::optional<Bytes> heard(const Link& link, std::size_t end, bool down) const;
    /// It asks for something and waits for the answer.
    [[nodiscard]] bool polls(const Link& link, std::size_t end) const;

private:
    struct End {
        std::string name{};
        bool runs = false;
        TimePoint runs_since{};
        std::optional<bfd::SessionConfig> wanted{};
        TimePoint key_since{};  ///< when its key was changed
        bool up = false;
        TimePoint up_since{};
        std::optional<BfdWords> said{};
        TimePoint said_at{};
        Duration gap{};           ///< until it has to say the next, while Up
        unsigned unheard = 0;     ///< how many of its packets have not arrived since the last did
        TimePoint lossy_until{};  ///< for the direction to this end
        // Values that may be in force here, in microseconds: they are until a poll is answered.
        std::set<std::uint32_t> required{};
        /// Of those, what the neighbor has confirmed: a shorter one counts for no detection time
        /// (RFC 5880 §6.8.3).
        std::uint32_t confirmed = 0;
        std::set<std::uint32_t> desired{};
        /// The last packet that counted, and those behind it that may have.
        std::vector<BfdWords> heard{};
        std::array<Bytes, 2> counted{};  ///< the last packet that did, and the last that said Down
        TimePoint sure_at{};
        TimePoint possible_at{};
        bool certain = false;  ///< about the sequence number it expects
        std::optional<std::uint32_t> sequence{};
        std::uint64_t watch = 0;
    };

    [[nodiscard]] End& at(const Link& link, std::size_t end) { return ends_[&link][end]; }
    [[nodiscard]] const End* find(const Link& link, std::size_t end) const;
    [[nodiscard]] TimePoint now() const { return timeline_.now(); }
    [[nodiscard]] static Duration detection(const End& end, bool longest);
    [[nodiscard]] static Duration longest_gap(const End& end);
    static void take_timing(End& end);
    void came_up(const Link& link, std::size_t end);
    void expired(const Link& link, std::size_t end);
    void watch(const Link& link, std::size_t end);
    void look(const Link& link, std::size_t end, std::uint64_t watch);

    Timeline& timeline_;
    Trace& trace_;
    Tally& tally_;
    std::map<const Link*, std::array<End, 2>> ends_;  ///< never in its order
};

}  // namespace swerve::sim
