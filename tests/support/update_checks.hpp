#pragma once
// What tests of received UPDATEs share: the attributes of an ordinary route, and the three answers.

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "swerve/bgp/update.hpp"
#include "tests/support/deliveries.hpp"
#include "tests/support/hex.hpp"

namespace swerve::test {

inline const std::string origin = "400101 00 ";
inline const std::string as_path = "400206 02 01 0000fbf0 ";
inline const std::string base = origin + as_path;  ///< what every route needs
inline const std::string next_hop = "400304 c0000201 ";

/// An external four-octet peer, both families.
inline const bgp::UpdateContext external_peer{{.four_octet_as = true, .internal = false},
                                              {Family::ipv4, Family::ipv6}};

[[nodiscard]] inline Address address(std::string_view text) { return *Address::parse(text); }

[[nodiscard]] inline std::vector<Prefix> prefixes(const std::vector<std::string_view>& texts) {
    std::vector<Prefix> out;
    for (const std::string_view text : texts) out.push_back(*Prefix::parse(text));
    return out;
}

/// An UPDATE with one MP_REACH_NLRI (`head` is what stands before its NLRI) and what a route needs.
[[nodiscard]] inline Bytes mp_reach_body(const std::string& head, const Bytes& nlri) {
    const Bytes value = joined({hex(head), nlri});
    Bytes attribute{0x80, 0x0e, static_cast<std::uint8_t>(value.size())};
    attribute.insert(attribute.end(), value.begin(), value.end());
    return update_body("", to_hex(attribute) + base, "");
}

/// Decodes an UPDATE, after it came through a framer in three deliveries.
[[nodiscard]] inline Result<bgp::Update, bgp::Notification> received(const Bytes& body) {
    // A shorter one ends in the framer.
    if (body.size() >= 4) check_deliveries(bgp::MessageType::update, body);
    return bgp::decode_update(body, external_peer);
}

/// Decodes an UPDATE in which nothing is wrong.
[[nodiscard]] inline bgp::Update decode_good(const Bytes& body) {
    auto update = received(body);
    REQUIRE(update);
    CHECK(update->fault == "");
    CHECK(update->consequence == bgp::Consequence::none);
    CHECK((update->attributes != nullptr) == !update->reach.empty());
    return std::move(*update);
}

inline void check_reset(const Bytes& body, std::uint8_t sub, std::string_view data = "") {
    CAPTURE(to_hex(body));
    const auto update = received(body);
    REQUIRE_FALSE(update);
    CHECK(update.error().code == 3);
    CHECK(update.error().subcode == sub);
    CHECK(to_hex(update.error().data) == to_hex(hex(data)));
}

/// Treat-as-withdraw: exactly these prefixes are withdrawn and nothing is announced.
inline void check_withdraw(const Bytes& body, const std::vector<std::string_view>& expected) {
    CAPTURE(to_hex(body));
    const auto update = received(body);
    REQUIRE(update);
    CHECK(update->consequence == bgp::Consequence::treat_as_withdraw);
    CHECK_FALSE(update->fault.empty());
    CHECK(update->withdrawn == prefixes(expected));
    CHECK(update->reach.empty());
    CHECK_FALSE(update->attributes);
}

/// The routes stand, at most an attribute was left out.
inline void check_announce(const Bytes& body, const std::vector<std::string_view>& expected,
                           bgp::Consequence consequence = bgp::Consequence::none) {
    CAPTURE(to_hex(body));
    const auto update = received(body);
    REQUIRE(update);
    CHECK(update->consequence == consequence);
    CHECK(update->withdrawn.empty());
    REQUIRE(update->reach.size() == 1);
    CHECK(update->reach[0].prefixes == prefixes(expected));
    CHECK(update->attributes);
}

}  // namespace swerve::test
