#pragma once
// An upstream router: one session per site, and a table of what each has told it.

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "swerve/bgp/peer.hpp"
#include "tests/sim/bfd_side.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/trace.hpp"

namespace swerve::sim {

class Router final : public Station {
public:
    Router(std::string name, Timeline& timeline, Network& network, Trace& trace, Random& random,
           BfdWitness& witness);
    ~Router() override;

    /// A session with the site at the other end of `link`.
    void serve(Link& link, const std::string& site, Address own, bgp::PeerConfig config);
    /// BFD on that link, with these; nothing: none any more, which the site is told.
    void speak_bfd(Link& link, std::optional<bfd::SessionConfig> config);
    [[nodiscard]] bool speaks_bfd(const Link& link) const;
    /// Its BFD goes on while it stands still.
    void keep_bfd_apart() { bfd_apart_ = true; }
    void begin_bfd();

    // Misfortune.
    enum class Ending : std::uint8_t {
        clean,   ///< says goodbye
        killed,  ///< its kernel closes the connections
        power,   ///< nobody closes anything: connections stay half-open
    };
    /// Every session begins anew after `down_for`.
    void restart(Duration down_for, Ending ending);
    void notify(Link& link);
    void ask_for_routes(Link& link);
    void reset_tcp(Link& link);
    /// Waits no longer for an OPEN; see World::tidy_up().
    void give_up_waiting(Link& link);
    /// The whole process stands still.
    void pause(bool paused);
    /// Reads nothing from this link, but goes on sending: the site's kernel fills up.
    void stop_reading(Link& link, bool stopped);

    // What the oracle looks at.
    [[nodiscard]] bool established(const Link& link) const;
    [[nodiscard]] std::vector<Prefix> table(const Link& link) const;
    [[nodiscard]] std::size_t sockets() const { return sockets_.size(); }
    [[nodiscard]] std::uint64_t routes_learned() const { return routes_learned_; }

    // Station.
    [[nodiscard]] bool powered() const override { return powered_; }
    [[nodiscard]] bool listens() const override { return up_; }
    void accepted(Link& link, Socket socket) override;
    void connected(Socket socket) override;
    void refused(Socket socket) override;
    void readable(Socket socket) override;
    void writable(Socket socket) override;
    void acknowledged(Socket /*socket*/) override {}
    void datagram(Link& link, Letter letter) override { bfd_.receive(link, std::move(letter)); }

private:
    struct Session;
    struct At {
        Session* session;
        bgp::Side side;
    };

    [[nodiscard]] Session& session(const Link& link) const;
    void handle(Session& session, const bgp::PeerEvent& event);
    void perform(Session& session, const bgp::PeerActions& actions);
    void forget(Session& session, bgp::Side side);
    void read(Socket socket);
    void read_all();
    void flush(Session& session);
    void arm(Session& session);
    void tick(Session& session, std::uint64_t armed);
    void keep_alive(Session& session, std::uint64_t life);
    void configure_bfd();
    void hear(const bfd::Report& report);

    std::string name_;
    Timeline& timeline_;
    Network& network_;
    Trace& trace_;
    bool up_ = true;
    bool powered_ = true;
    bool paused_ = false;
    std::vector<std::unique_ptr<Session>> sessions_;
    std::map<Socket, At> sockets_;
    std::vector<Socket> waiting_;  ///< accepted while paused
    std::uint64_t routes_learned_ = 0;
    BfdSide bfd_;
    bool bfd_apart_ = false;
    std::vector<bfd::Report> unheard_;  ///< while it stands still
};

}  // namespace swerve::sim
