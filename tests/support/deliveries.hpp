#pragma once

#include <doctest/doctest.h>

#include <algorithm>

#include "swerve/bgp/framer.hpp"
#include "tests/support/hex.hpp"

namespace swerve::test {

/// A vector in three deliveries: whole, octet by octet, and with foreign octets behind. Each time
/// the framer hands out exactly this body.
inline void check_deliveries(bgp::MessageType type, ByteView body) {
    const Bytes message =
        bgp_message(static_cast<std::uint8_t>(type), Bytes(body.begin(), body.end()));
    const Bytes foreign = hex("de ad be ef");
    const auto take = [&](bgp::Framer& framer) {
        const auto frame = framer.next();
        REQUIRE(frame);
        REQUIRE(frame->has_value());
        CHECK((*frame)->type == type);
        CHECK(std::ranges::equal((*frame)->body, body));
    };
    bgp::Framer whole;
    whole.feed(message);
    take(whole);
    bgp::Framer slow;
    for (const std::uint8_t octet : message) {
        CHECK_FALSE(slow.next()->has_value());
        slow.feed({&octet, 1});
    }
    take(slow);
    bgp::Framer followed;
    followed.feed(joined({message, foreign}));
    take(followed);
    CHECK_FALSE(followed.next()->has_value());
    CHECK(followed.buffered() == foreign.size());
}

}  // namespace swerve::test
