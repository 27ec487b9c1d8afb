#pragma once
// Two bfd loops on one host, for tests.

#include <array>
#include <cstdint>
#include <numeric>
#include <string>

#include "tests/support/bfd_site.hpp"

namespace swerve::testing {

using namespace std::chrono_literals;
using bfd::Discard;
using bfd::SessionConfig;
using bfd::State;

inline SessionConfig session(const std::string& local, const std::string& remote,
                             const std::string& interface = "") {
    return {.owner = 1,
            .key = {.local = *Address::parse(local),
                    .remote = *Address::parse(remote),
                    .interface = interface,
                    .multihop = false},
            .hops = 1,
            .timing = {.min_tx = 100ms, .min_rx = 100ms, .multiplier = 100}};
}

inline SessionConfig multihop(const std::string& local, const std::string& remote) {
    SessionConfig out = session(local, remote);
    out.owner = 2;
    out.key.multihop = true;
    out.hops = 3;
    return out;
}

/// Two sites of one host, and a session between them that nothing but what a test does ends.
struct Two {
    explicit Two(const SessionConfig& of_a = session("127.0.0.2", "127.0.0.3"),
                 const SessionConfig& of_b = session("127.0.0.3", "127.0.0.2")) {
        a.start();
        b.start();
        a.want({of_a});
        b.want({of_b});
        a.hears(State::up);
        b.hears(State::up);
    }

    BfdSite a{1};
    BfdSite b{2};
};

template <std::size_t size>
std::uint64_t total(const std::array<std::uint64_t, size>& counters) {
    return std::accumulate(counters.begin(), counters.end(), std::uint64_t{0});
}

inline std::uint64_t count(const std::array<std::uint64_t, bfd::discard_count>& counters,
                           Discard why) {
    return counters[static_cast<std::size_t>(why)];
}

inline Bytes some_packet() {
    return bfd::encode(
        {.my_discriminator = 7, .desired_min_tx_us = 1'000'000, .required_min_rx_us = 1'000'000});
}

}  // namespace swerve::testing
