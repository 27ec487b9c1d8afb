#pragma once
// Knows what a site has to do, from its configuration, from what its operator said and from the
// truth about its services; looks at the site after every turn. It decides nothing the way the
// shipping code does: docs/simulation.md lists the invariants that are named here.

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "daemon/speaker/speaker.hpp"
#include "tests/sim/belief.hpp"
#include "tests/sim/memory.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/trace.hpp"
#include "tests/sim/upstream.hpp"
#include "tests/sim/wire.hpp"

namespace swerve::sim {

using Truths = std::map<std::string, RealService>;  ///< by check

class Oracle {
public:
    Oracle(std::string site, const Timeline& timeline, const Truths& truths)
        : site_(std::move(site)), timeline_(timeline), truths_(truths) {}

    // The life of the daemon.
    /// `counted`: the disk has taken the start, before anything else happens.
    void started(const daemon::Speaker& speaker, const failover::Restored& restored,
                 const Machine& machine, bool counted);
    void ended();
    void stopping() { stopping_ = true; }
    void reloaded(const conf::Change& change);
    /// It stood still, or its probes did, until now.
    void disturbed();
    void probes_stalled(bool stalled);

    // What it was told.
    void told(failover::CheckId check, health::ProbeResult result, bool late);
    void event(failover::CheckId check, health::ProbeResult finding);
    /// An operator's word (absent: taken back) that the daemon has accepted.
    void said(const Subject& subject, std::optional<Word> word);
    void cleared(const Subject& subject);
    void disabled(const std::string& neighbor, bool disabled);

    // What it says. Checks that depend on others are asked by what the daemon believes of those.
    void check_changed(const std::string& check, health::CheckState to);
    void intent_changed(const std::string& service, failover::Intent from, failover::Intent to);
    /// An announcement, or a full one, waits for the sake of upstreams that damp; absent: no more.
    void waits(const std::string& service, const std::optional<failover::Damping::Wait>& wait);

    // What it wrote down.
    [[nodiscard]] Memory memory(const Machine& machine, bool clean) const;
    [[nodiscard]] Notebook& notebook() { return notebook_; }

    // What it did.
    void state_changed(daemon::NeighborId neighbor, bgp::State from, bgp::State to);
    void session_up(daemon::NeighborId neighbor, Socket socket);
    void session_down(daemon::NeighborId neighbor);
    void removed(daemon::NeighborId neighbor);
    void wrote(const bgp::Peer& peer, daemon::NeighborId neighbor, Socket socket, ByteView octets);
    void received(Socket socket, ByteView octets);
    void asked_for_routes(daemon::NeighborId neighbor);
    void closed(Socket socket, ByteView last_words);

    // BFD.
    /// Main is told this now.
    void told(const daemon::Speaker& speaker, const bfd::Report& report);
    /// What became of an Established session in the turn that was told: whether it was ended, as
    /// it has to be.
    [[nodiscard]] bool ended_by(const daemon::Speaker& speaker, const bfd::Report& report,
                                ByteView last_words) const;
    /// The first octets of a connection are sent to a neighbor.
    void opens(const daemon::Speaker& speaker, daemon::NeighborId id) const;
    [[nodiscard]] bool bfd_is_up(const daemon::Neighbor& neighbor) const;

    /// Before and after each turn; `blocked`: the kernel takes no more for this neighbor.
    void check(const daemon::Speaker& speaker, bool routes_changed,
               const std::function<bool(daemon::NeighborId)>& blocked);
    /// What may be said of a service when everything works, and has for long.
    [[nodiscard]] std::set<failover::Verdict> verdicts_in_quiet(const conf::Service& service) const;
    /// When all has been quiet for long: what the router holds.
    void check_quiet(const daemon::Speaker& speaker, daemon::NeighborId neighbor,
                     const std::vector<Prefix>& held);

private:
    /// What may be done about a prefix, and what must.
    struct Ruling {
        bool may;
        bool must;
        friend bool operator==(const Ruling&, const Ruling&) = default;
    };
    /// With which attributes a route of a service may stand.
    struct Degrees {
        bool full = false;
        bool degraded = false;
        bool draining = false;
        friend bool operator==(const Degrees&, const Degrees&) = default;
    };
    /// Whether a service may have started, or surely has, since it was down last: gates count for
    /// those that have not.
    struct Started {
        bool may = false;
        bool must = false;
    };
    /// The verdict of a service before a reload made checks of it undecided.
    struct Standing {
        Possible before;
        Degrees degrees;
        TimePoint until;
        bool interrupted = false;  ///< perhaps its checks have decided it since
    };
    /// The stages of a drain: what was announced may stand degraded, and then with
    /// GRACEFUL_SHUTDOWN, and what surely was so without a break must.
    struct Leaving {
        TimePoint until;
        std::optional<TimePoint> degraded_until{};
        bool by_verdict = false;  ///< prefixes on which there is no word must
        std::set<Prefix> words;   ///< an operator announced these, and they must
    };
    /// Both directions of one connection, as the wire shows them.
    struct Conversation {
        WireReader out{};
        WireReader in{};
        bool open_sent = false;
        bool open_received = false;
        bool keepalive_sent = false;
        bool keepalive_received = false;
        bool notified = false;
    };
    /// What an octet changed in what a neighbor holds.
    struct Change {
        Prefix prefix;
        std::optional<WireRoute> before;
        std::optional<WireRoute> after;
    };
    struct Session {
        std::optional<Socket> socket{};
        std::map<Prefix, WireRoute> held{};  ///< by the neighbor, as the octets say
        bool refreshed = false;
        bool touched = true;  ///< since it was compared last
        std::vector<Change> changes{};
        bool amnesty = false;  ///< a reload has changed what it holds
    };

    [[nodiscard]] TimePoint now() const { return timeline_.now(); }
    /// Takes in what time, truth and the daemon's word on checks say.
    [[nodiscard]] std::vector<Possible> verdicts();
    [[nodiscard]] Possible serving(const conf::Service& service,
                                   const std::vector<Possible>& checks);
    [[nodiscard]] Degrees degrees_of(const conf::Service& service,
                                     const std::vector<Possible>& checks) const;
    void ask_checks();
    /// Those that a route of this prefix may stand with now; null: as in ruling().
    [[nodiscard]] Degrees allowed(const Prefix* prefix, failover::ServiceId service) const;
    /// Null: any prefix of the service on which there is no word.
    [[nodiscard]] Ruling ruling(const Prefix* prefix,
                                std::optional<failover::ServiceId> service) const;
    [[nodiscard]] std::optional<failover::ServiceId> service_of(const Prefix& prefix) const;
    enum class In : std::uint8_t { no, fading, force };
    /// Whether such a word is in force; one that has just run out may be noticed a little late.
    [[nodiscard]] In look_up(const Subject& subject, failover::OverrideKind kind) const;
    [[nodiscard]] std::optional<Leaving> begin_to_leave(const std::string& service) const;
    void forget_leaving(const Prefix& prefix);
    void index();
    void compare_desired(const daemon::Neighbor& neighbor) const;
    void compare_sent(const daemon::Neighbor& neighbor, const Session& session) const;
    void take_update(Session& session, const WireMessage& message) const;
    void weigh(const daemon::Neighbor& neighbor, Session& session);
    [[nodiscard]] bool is_waiting(const conf::Service& service) const;
    [[nodiscard]] bool undrained_midway(failover::ServiceId service) const;
    void forget_upstreams(const std::string& service);
    void inherit(const conf::Config& after, std::map<std::string, Started>& started);
    void nothing_overtaken(const bgp::Peer& peer, const Session& session) const;
    [[nodiscard]] WireRoute expected_route(const conf::Neighbor& neighbor,
                                           std::optional<failover::ServiceId> service,
                                           Family family, const Address& local,
                                           failover::Shown shown) const;

    std::string site_;
    const Timeline& timeline_;
    const Truths& truths_;
    Notebook notebook_;
    std::shared_ptr<const conf::Config> config_;
    std::map<Prefix, failover::ServiceId> services_;  ///< of every prefix
    std::vector<CheckBelief> beliefs_;                ///< by check
    std::map<std::string, Standing> standing_;        ///< by service
    std::map<std::string, Leaving> leaving_;          ///< by service
    std::map<std::string, Started> started_;          ///< by service
    std::set<std::string> heirs_;                     ///< services that go on under this name
    std::map<std::string, TimePoint> waits_;          ///< by service, as the daemon says
    std::map<std::string, TimePoint> returning_;      ///< by service: degraded until then
    std::map<std::string, health::CheckState> said_;  ///< by check, as the daemon says
    Upstreams upstreams_;
    std::map<Prefix, TimePoint> given_back_;  ///< when an operator last spoke of it
    std::map<Subject, Word> words_;
    std::set<std::string> disabled_;  ///< neighbors
    struct Bfd {
        bfd::Report last{};
        bool failed = false;  ///< it left Up with it
    };
    std::map<Address, Bfd> bfd_;  ///< by neighbor, as main was told
    std::map<daemon::NeighborId, bgp::State> states_;
    std::map<daemon::NeighborId, Session> sessions_;
    std::map<Socket, Conversation> conversations_;
    std::optional<TimePoint> hold_until_;
    TimePoint disturbed_{};  ///< when it last went on after it had stood still
    std::optional<TimePoint> stalled_since_;
    bool stopping_ = false;
    bool kept_ = false;  ///< neighbors have kept the routes over a planned restart

    std::vector<Possible> verdicts_;  ///< by service, now: pass if it is up or degraded
    std::vector<Degrees> degrees_;    ///< by service, now, by its checks alone
    std::vector<std::pair<Ruling, Degrees>> rulings_;  ///< when routes were compared last
};

}  // namespace swerve::sim
