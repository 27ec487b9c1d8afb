#pragma once
// A peer on the bench with a scripted neighbor, for the tests of bgp/peer.

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "swerve/bgp/framer.hpp"
#include "swerve/bgp/peer.hpp"

namespace swerve::test {

using namespace swerve::bgp;
using namespace std::chrono_literals;

/// The least step of time: what is due at n is not due at n - tick_size.
inline constexpr Duration tick_size{1};
inline const Address local_address = *Address::parse("192.0.2.1");

inline OpenPolicy policy(std::uint32_t as, std::string_view id, std::uint32_t remote_as) {
    return {.local_as = *Asn::from(as),
            .router_id = *RouterId::parse(id),
            .remote_as = Asn::from(remote_as),
            .hold_time = 9s,
            .families = {Family::ipv4}};
}
/// Ours; the neighbor is 64496 with identifier 192.0.2.254, which dominates.
inline PeerConfig local_config(std::string_view id = "192.0.2.1") {
    return {.open = policy(64500, id, 64496), .seed = 1};
}
inline OpenPolicy neighbor_policy() { return policy(64496, "192.0.2.254", 64500); }

inline Bytes operator+(Bytes left, const Bytes& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}
inline Bytes raw(MessageType type, const Bytes& body) {
    Bytes out;
    const std::size_t begin = begin_message(out, type);
    out.insert(out.end(), body.begin(), body.end());
    finish_message(out, begin);
    return out;
}
inline Bytes neighbor_open() { return encode(make_open(neighbor_policy())); }

/// The types of the messages in `octets`, one letter each: O, U, N, K, R.
inline std::string types_in(ByteView octets) {
    Framer framer;
    framer.feed(octets);
    std::string types;
    while (const auto frame = framer.next().value_or(std::nullopt)) {
        types += "?OUNKR"[static_cast<std::size_t>(frame->type)];
    }
    return types;
}

template <class Action>
std::vector<Action> all(const PeerActions& actions) {
    std::vector<Action> found;
    for (const PeerAction& action : actions) {
        if (const auto* one = std::get_if<Action>(&action)) found.push_back(*one);
    }
    return found;
}

template <class Action>
Action last(const PeerActions& actions) {
    const auto found = all<Action>(actions);
    REQUIRE_FALSE(found.empty());
    return found.back();
}

/// One peer with a scripted neighbor.
struct Bench {
    explicit Bench(const PeerConfig& config = local_config()) : peer(config) {}

    void handle(const PeerEvent& event) { peer.handle(now, event, actions); }
    void receive(Side side, const Bytes& bytes) { handle(BytesReceived{side, bytes}); }
    void connect(Side side) { handle(TcpConnected{side, local_address}); }
    void advance(Duration span) {
        now += span;
        peer.tick(now, actions);
    }
    void advance_to(TimePoint when) { advance(when - now); }
    /// What is to be written, all of it taken.
    Bytes drain(Side side) {
        std::vector<ByteView> views;
        const std::size_t size = peer.produce(now, side, 1 << 20, views);
        Bytes out;
        for (const ByteView view : views) out.insert(out.end(), view.begin(), view.end());
        REQUIRE(out.size() == size);
        peer.consumed(now, side, size);
        return out;
    }
    /// Lets time pass with a neighbor that keeps the session.
    void live(Side side, Duration span) {
        const TimePoint until = now + span;
        while (now < until) {
            receive(side, encode_keepalive());
            drain(side);
            advance(std::min<Duration>(2s, until - now));
        }
    }
    void establish(Side side = Side::dialled) {
        if (all<Dial>(actions).empty() && !peer.config().passive) handle(Start{});
        connect(side);
        receive(side, neighbor_open() + encode_keepalive());
        REQUIRE(peer.state() == State::established);
    }
    /// Follows the deadlines until it dials.
    Duration until_dial() {
        const TimePoint began = now;
        const std::size_t dials = all<Dial>(actions).size();
        while (all<Dial>(actions).size() == dials) {
            const auto next = peer.next_deadline();
            REQUIRE(next);
            REQUIRE(*next - began < 5min);
            if (*next > now + tick_size) {
                advance(*next - now - tick_size);
                REQUIRE(all<Dial>(actions).size() == dials);
            }
            advance_to(*next);
        }
        return now - began;
    }
    /// The last NOTIFICATION that was sent.
    [[nodiscard]] Notification sent() const {
        const auto exchanged = last<NotificationExchanged>(actions);
        REQUIRE(exchanged.sent);
        return exchanged.notification;
    }
    [[nodiscard]] CloseTcp closed() const { return last<CloseTcp>(actions); }

    Peer peer;
    PeerActions actions;
    TimePoint now{1h};
};

inline BlockRef block(const std::vector<std::string>& prefixes) {
    std::vector<Prefix> parsed;
    parsed.reserve(prefixes.size());
    for (const std::string& text : prefixes) parsed.push_back(*Prefix::parse(text));
    return std::make_shared<const PrefixBlock>(parsed);
}

/// Distinct /24s.
inline BlockRef large_block(std::uint32_t count) {
    std::vector<Prefix> prefixes;
    prefixes.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i) {
        prefixes.push_back(
            *Prefix::parse(Address::v4(0x0a000000U + (i << 8U)).to_string() + "/24"));
    }
    return std::make_shared<const PrefixBlock>(prefixes);
}

inline void advertise(Peer& peer, const BlockRef& prefixes) {
    peer.rib_out().advertise(prefixes, prefixes->all(), std::make_shared<const RouteAttributes>());
}

}  // namespace swerve::test
