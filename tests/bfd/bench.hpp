#pragma once
// One session without a neighbor, fed by hand.

#include <doctest/doctest.h>

#include <vector>

#include "swerve/bfd/session.hpp"

namespace swerve::bfd::test {

using namespace std::chrono_literals;

inline constexpr Timing fast{50ms, 50ms, 3};
inline constexpr Timing usual{300ms, 300ms, 3};

/// One session, fed by hand.
struct Bench {
    Session session{TimePoint{}, 0x01020304, usual, std::nullopt, 7};
    TimePoint now{};
    Actions actions{};

    Packet said(State state, std::uint32_t your = 0x01020304) const {
        return {.state = state,
                .detect_multiplier = 3,
                .my_discriminator = 0x0a0b0c0d,
                .your_discriminator = your,
                .desired_min_tx_us = 300'000,
                .required_min_rx_us = 300'000};
    }
    void receive(const Packet& packet) {
        actions.clear();
        const Bytes octets = encode(packet);
        session.handle(now, PacketReceived{*decode(octets)}, actions);
    }
    void handle(const Event& event) {
        actions.clear();
        session.handle(now, event, actions);
    }
    void reach(State state) {
        if (state == State::admin_down) return handle(Administer{false});
        if (state == State::init || state == State::up) receive(said(State::down, 0));
        if (state == State::up) receive(said(State::init));
        REQUIRE(session.state() == state);
    }
    template <class T>
    std::vector<T> all() const {
        std::vector<T> out;
        for (const Action& action : actions) {
            if (const auto* what = std::get_if<T>(&action)) out.push_back(*what);
        }
        return out;
    }
    std::vector<Packet> sent() const {
        std::vector<Packet> out;
        for (const Send& each : all<Send>()) out.push_back(decode(each.octets)->packet);
        return out;
    }
};

}  // namespace swerve::bfd::test
