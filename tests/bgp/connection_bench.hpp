#pragma once
// One connection on the bench, for the tests of bgp/connection.

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bgp/connection.hpp"
#include "bgp/route_refresh.hpp"
#include "swerve/bgp/update.hpp"

namespace swerve::test::one_connection {

using namespace swerve::bgp;
using namespace std::chrono_literals;

inline constexpr Duration tick_size{1};

inline OpenPolicy local_policy() {
    return {.local_as = *Asn::from(64500),
            .router_id = *RouterId::parse("192.0.2.1"),
            .remote_as = Asn::from(64496),
            .hold_time = 9s,
            .families = {Family::ipv4}};
}

inline OpenPolicy remote_policy() {
    return {.local_as = *Asn::from(64496),
            .router_id = *RouterId::parse("192.0.2.254"),
            .remote_as = Asn::from(64500),
            .hold_time = 9s,
            .families = {Family::ipv4}};
}

inline Bytes body_of(const Bytes& message) {
    return {message.begin() + static_cast<std::ptrdiff_t>(header_size), message.end()};
}

/// The code and subcode of a whole NOTIFICATION at the end of `octets`, as "4/0".
inline std::string notification_in(ByteView octets) {
    Framer framer;
    framer.feed(octets);
    std::string found;
    while (auto frame = framer.next().value_or(std::nullopt)) {
        if (frame->type != MessageType::notification) continue;
        const Notification words = decode_notification(frame->body);
        found = std::to_string(words.code) + "/" + std::to_string(words.subcode);
    }
    return found;
}

/// One connection and what it did.
struct Bench {
    explicit Bench(Side side = Side::dialled, bool persists = true,
                   const OpenPolicy& policy = local_policy())
        : connection({side, policy, 5s, persists, 1}, counters) {}

    void handle(const ConnectionEvent& event) { connection.handle(now, event, actions); }
    void tick() { connection.tick(now, actions); }
    void advance(Duration span) {
        now += span;
        tick();
    }
    /// Everything the connection wants to send now.
    Bytes drain() {
        std::vector<ByteView> views;
        const std::size_t size = connection.outbox().produce(views);
        Bytes out;
        for (const ByteView view : views) out.insert(out.end(), view.begin(), view.end());
        CHECK(connection.outbox().consumed(size, counters) == 0);
        return out;
    }
    template <class Action>
    [[nodiscard]] std::size_t count() const {
        return static_cast<std::size_t>(std::ranges::count_if(
            actions, [](const auto& action) { return std::holds_alternative<Action>(action); }));
    }
    template <class Action>
    [[nodiscard]] const Action& last() const {
        for (auto at = actions.rbegin(); at != actions.rend(); ++at) {
            if (const auto* found = std::get_if<Action>(&*at)) return *found;
        }
        FAIL("no such action");
        std::abort();
    }

    /// Leads it there the ordinary way.
    void bring_to(State state) {
        if (state == State::idle) return;
        if (state == State::active && connection.side() == Side::accepted) {
            return handle(StartListening{});
        }
        if (connection.side() == Side::dialled)
            handle(StartDialling{});
        else
            handle(StartListening{});
        if (state == State::connect) return;
        if (state == State::active) return handle(TcpDown{"connection refused"});
        handle(TcpUp{*Address::parse("192.0.2.1")});
        if (state == State::open_sent) return;
        open = body_of(encode(make_open(remote_policy())));
        handle(OpenMessage{open});
        if (state == State::open_confirm) return;
        handle(KeepaliveMessage{});
    }

    PeerCounters counters;
    Connection connection;
    ConnectionActions actions;
    TimePoint now{1h};
    Bytes open;
};

inline const Bytes good_open = body_of(encode(make_open(remote_policy())));
inline const Bytes bad_open = [] {
    Bytes body = good_open;
    body[0] = 3;  // version
    return body;
}();
inline const Bytes empty_update = body_of(encode_end_of_rib(Family::ipv4));
inline const Bytes bad_update{0xff, 0xff, 0, 0};  // withdrawn routes beyond the message
inline const Bytes refresh = body_of(encode_route_refresh(Family::ipv4));
inline const Bytes refresh_begin =
    body_of(encode(RouteRefresh{Family::ipv4, RefreshSubtype::begin}));
inline const Bytes refresh_end = body_of(encode(RouteRefresh{Family::ipv4, RefreshSubtype::end}));
inline const Bytes bad_refresh{0, 1, 1, 1, 0};  // BoRR with an octet too many

}  // namespace swerve::test::one_connection
