#pragma once
// The order of the session protocol as one literal (RFC 4271 §8.2.2): what is not listed here
// cannot happen. Connection::enter() looks every change of state up, and documentation draws its
// diagram from it.

#include <algorithm>
#include <array>
#include <string_view>

#include "swerve/bgp/peer.hpp"

namespace swerve::bgp {

/// One permitted change of state of one connection.
struct Edge {
    State from;
    State to;
    std::string_view on;  ///< what causes it
};

inline constexpr std::array edges = std::to_array<Edge>({
    {State::idle, State::connect, "start"},
    {State::idle, State::active, "start, listening"},

    {State::connect, State::connect, "connect retry timer"},
    {State::connect, State::active, "TCP failed"},
    {State::connect, State::open_sent, "TCP connected"},
    {State::connect, State::idle, "stop, or any other event"},

    {State::active, State::connect, "connect retry timer"},
    {State::active, State::open_sent, "TCP connected"},
    {State::active, State::idle, "stop, or any other event"},

    {State::open_sent, State::open_confirm, "OPEN"},
    {State::open_sent, State::active, "TCP failed"},
    {State::open_sent, State::idle, "stop, error, hold timer, NOTIFICATION"},

    {State::open_confirm, State::established, "KEEPALIVE"},
    {State::open_confirm, State::idle, "stop, error, hold timer, NOTIFICATION, TCP failed"},

    {State::established, State::idle, "stop, error, a timer, NOTIFICATION, TCP failed"},
});

[[nodiscard]] constexpr bool allowed(State from, State to) {
    return std::ranges::any_of(
        edges, [&](const Edge& edge) { return edge.from == from && edge.to == to; });
}

}  // namespace swerve::bgp
