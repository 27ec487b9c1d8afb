#pragma once
// Two peers on an imaginary link with its own clock: hours of protocol in a millisecond. Delays,
// segmentation and everything that goes wrong come from one seed, so that a failing run can be had
// again.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "swerve/base/overloaded.hpp"
#include "swerve/base/random.hpp"
#include "swerve/base/time.hpp"
#include "swerve/bgp/peer.hpp"

namespace swerve::test {

struct LinkConditions {
    Duration delay{std::chrono::milliseconds{5}};  ///< one way
    Duration delay_spread{0};                      ///< added at random; order is kept
    std::size_t largest_segment = 64 * 1024;       ///< octets arrive in pieces of 1 to this many
    std::size_t window = 256 * 1024;               ///< octets one side may have on their way
    bool refuses = false;                          ///< nobody listens
};

/// Two bgp::Peer and the TCP connections between them.
class Pair {
public:
    enum class End : std::uint8_t { left, right };
    using Side = bgp::Side;

    struct Site {
        Site(const bgp::PeerConfig& config, Address where) : peer(config), address(where) {}

        bgp::Peer peer;
        Address address;
        bgp::PeerActions log;                ///< every action, in order
        bool reads = true;                   ///< false: takes nothing from its sockets
        bool listens = true;                 ///< false: connections to it are refused
        std::array<std::uint64_t, 2> tcp{};  ///< connection by Side, 0 is none
    };

    Pair(const bgp::PeerConfig& left, const bgp::PeerConfig& right, std::uint64_t seed = 1,
         LinkConditions conditions = {})
        : conditions_(conditions),
          random_(seed),
          sites_{Site{left, *Address::parse("192.0.2.1")},
                 Site{right, *Address::parse("192.0.2.2")}} {}

    [[nodiscard]] TimePoint now() const { return now_; }
    [[nodiscard]] Site& at(End end) { return sites_[index(end)]; }
    [[nodiscard]] Site& left() { return at(End::left); }
    [[nodiscard]] Site& right() { return at(End::right); }
    [[nodiscard]] LinkConditions& conditions() { return conditions_; }

    void start() {
        handle(End::left, bgp::Start{});
        handle(End::right, bgp::Start{});
    }
    void handle(End end, const bgp::PeerEvent& event) {
        bgp::PeerActions actions;
        at(end).peer.handle(now_, event, actions);
        perform(end, actions);
        flush(end);
    }
    /// Writes what a change of the Adj-RIB-Out made pending.
    void flush(End end) {
        for (const Side side : {Side::dialled, Side::accepted}) pump(end, side);
    }

    void run_for(Duration span) {
        run_until([] { return false; }, span);
    }
    /// Returns whether `condition` became true within `limit`.
    template <class Condition>
    bool run_until(const Condition& condition, Duration limit) {
        const TimePoint stop_at = now_ + limit;
        while (!condition()) {
            const auto next = next_event();
            if (!next || *next > stop_at) {
                now_ = stop_at;
                return condition();
            }
            now_ = std::max(now_, *next);
            step();
        }
        return true;
    }

    /// Breaks every connection; both ends learn at once.
    void reset_connections(const std::string& reason = "connection reset by peer") {
        for (const End end : {End::left, End::right}) {
            for (const Side side : {Side::dialled, Side::accepted}) {
                if (at(end).tcp[index(side)] == 0) continue;
                forget(end, side);
                handle(end, bgp::TcpFailed{side, reason});
            }
        }
    }
    /// Starts or stops reading; what has waited meanwhile arrives now.
    void set_reads(End end, bool reads) {
        at(end).reads = reads;
        if (!reads) return;
        for (Delivery& held : std::exchange(held_, {})) schedule(now_, std::move(held));
    }

    [[nodiscard]] bool both_established() {
        return left().peer.state() == bgp::State::established &&
               right().peer.state() == bgp::State::established;
    }
    [[nodiscard]] std::uint64_t octets_delivered() const { return octets_delivered_; }

private:
    struct Connecting {};
    struct Connected {};
    struct Refused {
        std::string reason;
    };
    struct Octets {
        Bytes bytes;
    };
    struct Closed {
        std::string reason;
    };
    struct Delivery {
        End to;
        Side side;  ///< of the receiver
        std::uint64_t tcp;
        std::variant<Connecting, Connected, Refused, Octets, Closed> what;
    };

    static std::size_t index(End end) { return static_cast<std::size_t>(end); }
    static std::size_t index(Side side) { return static_cast<std::size_t>(side); }
    static End other(End end) { return end == End::left ? End::right : End::left; }
    static Side mirrored(Side side) {
        return side == Side::dialled ? Side::accepted : Side::dialled;
    }

    [[nodiscard]] std::optional<TimePoint> next_event() {
        std::optional<TimePoint> next;
        if (!due_.empty()) next = due_.begin()->first.first;
        for (Site& site : sites_) {
            const auto deadline = site.peer.next_deadline();
            if (deadline && (!next || *deadline < *next)) next = deadline;
        }
        return next;
    }
    void step() {
        if (!due_.empty() && due_.begin()->first.first <= now_) {
            Delivery delivery = std::move(due_.begin()->second);
            due_.erase(due_.begin());
            return deliver(std::move(delivery));
        }
        for (const End end : {End::left, End::right}) {
            const auto deadline = at(end).peer.next_deadline();
            if (!deadline || *deadline > now_) continue;
            bgp::PeerActions actions;
            at(end).peer.tick(now_, actions);
            perform(end, actions);
            flush(end);
        }
    }

    void schedule(TimePoint when, Delivery delivery) {
        due_.emplace(std::pair{when, next_sequence_++}, std::move(delivery));
    }
    /// Sends over the link: in order per direction of one connection, after the delay.
    void send(Delivery delivery) {
        const Duration spread{static_cast<Duration::rep>(
            random_.below(static_cast<std::uint64_t>(conditions_.delay_spread.count()) + 1))};
        TimePoint& last = last_arrival_[{delivery.tcp, index(delivery.to)}];
        last = std::max(last, now_ + conditions_.delay + spread);
        schedule(last, std::move(delivery));
    }

    void deliver(Delivery delivery) {
        Site& site = at(delivery.to);
        if (std::holds_alternative<Connecting>(delivery.what)) return accept(delivery);
        if (site.tcp[index(delivery.side)] != delivery.tcp) return;  // closed meanwhile
        const bool data = std::holds_alternative<Octets>(delivery.what) ||
                          std::holds_alternative<Closed>(delivery.what);
        if (data && !site.reads) return held_.push_back(std::move(delivery));
        std::visit(Overloaded{
                       [](const Connecting&) {},
                       [&](const Connected&) {
                           up_[delivery.tcp] = true;
                           handle(delivery.to, bgp::TcpConnected{delivery.side, site.address});
                       },
                       [&](const Refused& refused) {
                           forget(delivery.to, delivery.side);
                           handle(delivery.to, bgp::TcpFailed{delivery.side, refused.reason});
                       },
                       [&](const Octets& octets) { take(delivery, octets.bytes); },
                       [&](const Closed& closed) {
                           forget(delivery.to, delivery.side);
                           handle(delivery.to, bgp::TcpFailed{delivery.side, closed.reason});
                       },
                   },
                   delivery.what);
    }
    void take(const Delivery& delivery, const Bytes& bytes) {
        octets_delivered_ += bytes.size();
        in_flight_[{delivery.tcp, index(delivery.to)}] -= bytes.size();
        ByteView rest{bytes};
        while (!rest.empty() && at(delivery.to).tcp[index(delivery.side)] == delivery.tcp) {
            const ByteView segment = rest.first(piece(rest.size()));
            rest = rest.subspan(segment.size());
            handle(delivery.to, bgp::BytesReceived{delivery.side, segment});
        }
        pump(other(delivery.to), mirrored(delivery.side));
    }
    std::size_t piece(std::size_t available) {
        return std::min(available, 1 + random_.below(conditions_.largest_segment));
    }

    void accept(const Delivery& delivery) {
        Site& site = at(delivery.to);
        const End dialler = other(delivery.to);
        const auto answer = [&](auto what) {
            send({dialler, Side::dialled, delivery.tcp, std::move(what)});
        };
        if (!site.listens || conditions_.refuses) return answer(Refused{"connection refused"});
        answer(Connected{});
        if (const auto refusal = site.peer.refuses_connection()) {
            answer(Octets{bgp::encode(*refusal)});
            return answer(Closed{"connection closed by peer"});
        }
        site.tcp[index(Side::accepted)] = delivery.tcp;
        up_[delivery.tcp + accepted_flag] = true;
        handle(delivery.to, bgp::TcpConnected{Side::accepted, site.address});
    }

    void perform(End end, bgp::PeerActions& actions) {
        Site& site = at(end);
        for (bgp::PeerAction& action : actions) {
            site.log.push_back(action);
            if (std::holds_alternative<bgp::Dial>(action)) {
                const std::uint64_t tcp = next_tcp_;
                next_tcp_ += 2;
                site.tcp[index(Side::dialled)] = tcp;
                send({other(end), Side::accepted, tcp, Connecting{}});
            } else if (std::holds_alternative<bgp::CancelDial>(action)) {
                close(end, Side::dialled, {}, "connection closed by peer");
            } else if (auto* order = std::get_if<bgp::CloseTcp>(&action)) {
                close(end, order->side, order->last_words,
                      order->reset ? "connection reset by peer" : "connection closed by peer");
            }
        }
    }
    void close(End end, Side side, const Bytes& last_words, const std::string& reason) {
        const std::uint64_t tcp = at(end).tcp[index(side)];
        if (tcp == 0) return;
        forget(end, side);
        if (!last_words.empty()) send({other(end), mirrored(side), tcp, Octets{last_words}});
        send({other(end), mirrored(side), tcp, Closed{reason}});
    }
    void forget(End end, Side side) { at(end).tcp[index(side)] = 0; }

    [[nodiscard]] bool writable(End end, Side side) {
        const std::uint64_t tcp = at(end).tcp[index(side)];
        return tcp != 0 && up_[side == Side::dialled ? tcp : tcp + accepted_flag];
    }
    void pump(End end, Side side) {
        Site& site = at(end);
        std::vector<ByteView> views;
        while (writable(end, side) && site.peer.wants_write(side)) {
            const std::uint64_t tcp = site.tcp[index(side)];
            std::size_t& in_flight = in_flight_[{tcp, index(other(end))}];
            const std::size_t room = conditions_.window - std::min(conditions_.window, in_flight);
            views.clear();
            site.peer.produce(now_, side, room, views);
            Bytes bytes;
            for (const ByteView view : views) bytes.insert(bytes.end(), view.begin(), view.end());
            bytes.resize(std::min({bytes.size(), room, piece(bytes.size())}));
            if (bytes.empty()) return;
            site.peer.consumed(now_, side, bytes.size());
            in_flight += bytes.size();
            send({other(end), mirrored(side), tcp, Octets{std::move(bytes)}});
        }
    }

    static constexpr std::uint64_t accepted_flag = 1;  // connections have odd numbers

    LinkConditions conditions_;
    Random random_;
    TimePoint now_{std::chrono::hours{1}};
    std::array<Site, 2> sites_;
    std::map<std::pair<TimePoint, std::uint64_t>, Delivery> due_;
    std::deque<Delivery> held_;
    std::map<std::pair<std::uint64_t, std::size_t>, TimePoint> last_arrival_;
    std::map<std::pair<std::uint64_t, std::size_t>, std::size_t> in_flight_;
    std::map<std::uint64_t, bool> up_;
    std::uint64_t next_sequence_ = 0;
    std::uint64_t next_tcp_ = 1;
    std::uint64_t octets_delivered_ = 0;
};

}  // namespace swerve::test
