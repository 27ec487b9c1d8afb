#pragma once
// TCP between hosts as far as BGP can tell: octets in order, late, in pieces or not at all; ends
// that close, break or vanish without a word; receivers whose window is shut.

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <variant>

#include "swerve/base/bytes.hpp"
#include "swerve/base/random.hpp"
#include "tests/sim/timeline.hpp"

namespace swerve::sim {

enum class End : std::uint8_t { dialler, acceptor };
[[nodiscard]] constexpr End other(End end) {
    return end == End::dialler ? End::acceptor : End::dialler;
}

/// One end of a connection.
struct Socket {
    std::uint32_t connection = 0;
    End end = End::dialler;

    friend auto operator<=>(const Socket&, const Socket&) = default;
};

class Link;

/// A datagram as it arrives.
struct Letter {
    Bytes octets;
    int ttl = 255;
    bool forged = false;  ///< no daemon has sent it; nobody but the oracle is told
};

/// A host's program, told what its kernel has for it.
class Station {
public:
    Station() = default;
    Station(const Station&) = delete;
    Station& operator=(const Station&) = delete;
    virtual ~Station() = default;

    /// The host has power; otherwise nothing reaches it and nothing answers.
    [[nodiscard]] virtual bool powered() const = 0;
    /// Somebody listens there.
    [[nodiscard]] virtual bool listens() const = 0;
    virtual void accepted(Link& link, Socket socket) = 0;
    virtual void connected(Socket socket) = 0;
    virtual void refused(Socket socket) = 0;
    /// Octets have come, or the end.
    virtual void readable(Socket socket) = 0;
    virtual void writable(Socket socket) = 0;
    virtual void acknowledged(Socket socket) = 0;
    virtual void datagram(Link& link, Letter letter) = 0;
};

/// The path between two stations and what it does to packets.
class Link {
public:
    Link(Station& left, Station& right, Duration delay) : ends_{&left, &right}, delay_(delay) {}

    /// What becomes of the datagrams of one end. TCP sends again what is lost, so this is not
    /// for it: its octets arrive.
    struct Loss {
        bool all = false;
        unsigned percent = 0;  ///< how often a burst of losses begins
        unsigned longest = 1;  ///< of such a burst; the datagram behind one arrives
        unsigned left = 0;     ///< of the one that goes on
        bool spared = false;   ///< the next one
    };

    [[nodiscard]] std::size_t side_of(const Station& station) const {
        return ends_[0] == &station ? 0 : 1;
    }

    bool cut = false;
    Duration jitter{0};           ///< of every packet, at most
    std::size_t piece = 65'536;   ///< octets are read in pieces of 1 to this many
    std::size_t window = 65'536;  ///< what a receiver takes without its program reading
    std::size_t room = 262'144;   ///< unsent octets that a sending kernel takes
    std::array<Loss, 2> loss{};   ///< by the sending end
    int ttl = 255;                ///< with which datagrams arrive

private:
    friend class Network;
    struct Held;

    std::array<Station*, 2> ends_;
    Duration delay_;
    std::deque<std::pair<Socket, struct Packet>> held_;
};

struct Packet {
    enum class Kind : std::uint8_t { open, opened, refused, data, ack, end, reset };
    Kind kind;
    Bytes octets{};
    std::size_t count = 0;  ///< of an acknowledgement
};

class Network {
public:
    Network(Timeline& timeline, Random& random) : timeline_(timeline), random_(random) {}

    [[nodiscard]] Socket dial(Link& link, Station& from);
    struct Read {
        Bytes octets{};
        bool ended = false;
        std::string reason{};
    };
    /// The next piece; `ended` once nothing more will come, and then the socket is gone.
    [[nodiscard]] Read read(Socket socket);
    [[nodiscard]] bool has_input(Socket socket) const;
    [[nodiscard]] bool runs_over(Socket socket, const Link& link) const {
        const auto found = connections_.find(socket.connection);
        return found != connections_.end() && found->second.link == &link;
    }
    /// Returns how many octets the kernel took.
    std::size_t write(Socket socket, ByteView octets);
    [[nodiscard]] std::size_t unsent(Socket socket) const;
    /// Octets written so far, and acknowledged of them.
    [[nodiscard]] std::uint64_t written(Socket socket) const;
    [[nodiscard]] std::uint64_t acknowledged(Socket socket) const;
    // A dial that was refused is gone already, and a program that stood still does not know it yet:
    // to end it again changes nothing.
    /// The kernel delivers what it has taken and `last_words`, then the end.
    void close(Socket socket, ByteView last_words = {});
    void reset(Socket socket);
    /// The program died: the kernel closes, by a reset if octets were left unread.
    void abandon(Socket socket);
    /// The host died: no packet is sent.
    void vanish(Socket socket);

    /// A datagram from one of its ends to the other, which may get it.
    void post(Link& link, const Station& from, Bytes octets);
    /// To one of its ends, whoever has sent it.
    void deliver(Link& link, std::size_t to, Letter letter, Duration after);

    /// Delivers what was held up, if the link carries again.
    void release(Link& link);

    /// Something that was written is not acknowledged yet.
    [[nodiscard]] bool carries_octets() const;
    [[nodiscard]] std::size_t connections() const { return connections_.size(); }
    [[nodiscard]] std::uint64_t octets() const { return octets_; }

private:
    struct Half {
        enum class Phase : std::uint8_t { opening, open, lingering, gone };
        Phase phase = Phase::gone;
        Station* station = nullptr;
        std::deque<std::uint8_t> received{};
        bool ended = false;
        std::string reason{};
        std::deque<std::uint8_t> unsent{};
        std::size_t in_flight = 0;  ///< not acknowledged yet
        bool end_sent = false;
        std::uint64_t written = 0;
        std::uint64_t acknowledged = 0;
        TimePoint last_arrival{};

        /// Closed, and all it had to say was heard.
        [[nodiscard]] bool silent() const {
            return phase == Phase::lingering && unsent.empty() && in_flight == 0 && end_sent;
        }
    };
    struct Connection {
        Link* link;
        std::array<Half, 2> halves;
    };

    [[nodiscard]] bool known(Socket socket) const {
        return connections_.contains(socket.connection);
    }
    [[nodiscard]] Half& half(Socket socket) {
        return connections_.at(socket.connection).halves[static_cast<std::size_t>(socket.end)];
    }
    [[nodiscard]] const Half& half(Socket socket) const {
        return connections_.at(socket.connection).halves[static_cast<std::size_t>(socket.end)];
    }
    void send(Socket from, Packet packet, Duration extra = {});
    void arrive(Socket at, Packet packet);
    void opened(Socket at);
    void take(Socket at, Packet& packet);
    void pump(Socket socket);
    void forget(Socket socket);

    Timeline& timeline_;
    Random& random_;
    std::map<std::uint32_t, Connection> connections_;
    std::uint32_t next_ = 1;
    std::uint64_t octets_ = 0;
};

}  // namespace swerve::sim
