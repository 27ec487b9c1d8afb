#pragma once
// What an Adj-RIB-Out is tested against: a neighbor that decodes every octet and holds the routes.

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "swerve/bgp/adj_rib_out.hpp"
#include "swerve/bgp/framer.hpp"
#include "swerve/bgp/update.hpp"

namespace swerve::bgp::test {

inline Prefix prefix(std::string_view text) { return Prefix::parse(text).value(); }
inline Address address(std::string_view text) { return Address::parse(text).value(); }
inline Asn asn(std::uint32_t number) { return Asn::from(number).value(); }

inline BlockRef block(const std::vector<Prefix>& prefixes) {
    return std::make_shared<const PrefixBlock>(prefixes);
}
inline BlockRef block(std::initializer_list<std::string_view> texts) {
    std::vector<Prefix> prefixes;
    for (const auto text : texts) prefixes.push_back(prefix(text));
    return block(prefixes);
}
/// `count` consecutive prefixes of one length.
inline std::vector<Prefix> consecutive(std::uint32_t first, unsigned length, std::uint32_t count) {
    std::vector<Prefix> prefixes;
    prefixes.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i) {
        prefixes.push_back(*Prefix::masked(Address::v4(first + (i << (32U - length))), length));
    }
    return prefixes;
}

inline RouteRef route(std::uint32_t med = 0, std::size_t communities = 0) {
    RouteAttributes attributes;
    attributes.med = med;
    attributes.communities.assign(communities, Community{0xfbf40001});
    for (std::size_t i = 0; i < communities; ++i) {
        attributes.communities[i].value += static_cast<std::uint32_t>(i);
    }
    return std::make_shared<const RouteAttributes>(attributes);
}

inline SessionEncoding session() {
    return {.local_as = asn(64500),
            .attributes = {.four_octet_as = true, .internal = false},
            .families = {Family::ipv4, Family::ipv6},
            .next_hop_ipv4 = address("192.0.2.1"),
            .next_hop_ipv6 = address("2001:db8::1")};
}

/// A decoded UPDATE and its size on the wire.
struct Heard {
    Update update;
    std::size_t size;
};

/// The far end of one session.
class Listener {
public:
    explicit Listener(const SessionEncoding& session)
        : context_{session.attributes, session.families, {}, session.ipv4_over_ipv6},
          framer_{session.largest_message} {}

    void feed(ByteView octets) {
        framer_.feed(octets);
        for (;;) {
            const auto frame = framer_.next();
            REQUIRE(frame.has_value());
            if (!frame->has_value()) return;
            REQUIRE((*frame)->type == MessageType::update);
            const auto update = decode_update((*frame)->body, context_);
            REQUIRE(update.has_value());
            REQUIRE(update->consequence == Consequence::none);
            apply(*update);
            heard_.push_back({*update, (*frame)->body.size() + header_size});
        }
    }

    /// MED by prefix.
    [[nodiscard]] const std::map<Prefix, std::uint32_t>& held() const { return held_; }
    /// Of what is held.
    [[nodiscard]] const std::map<Prefix, Address>& next_hops() const { return next_hops_; }
    [[nodiscard]] std::vector<Heard> take_heard() { return std::exchange(heard_, {}); }
    [[nodiscard]] bool end_of_rib(Family family) const {
        return end_of_rib_[static_cast<std::size_t>(family)];
    }

private:
    void apply(const Update& update) {
        // One form of NLRI per UPDATE.
        const std::size_t forms = (update.withdrawn.empty() ? 0U : 1U) + update.reach.size() +
                                  (update.end_of_rib ? 1U : 0U);
        REQUIRE(forms == 1);
        for (const Prefix& withdrawn : update.withdrawn) {
            // Only what was announced is withdrawn.
            REQUIRE(held_.erase(withdrawn) == 1);
            next_hops_.erase(withdrawn);
        }
        for (const Reach& reach : update.reach) {
            for (const Prefix& announced : reach.prefixes) {
                held_[announced] = update.attributes->med.value();
                next_hops_.insert_or_assign(announced, reach.next_hop);
            }
        }
        if (update.end_of_rib) {
            auto& seen = end_of_rib_[static_cast<std::size_t>(*update.end_of_rib)];
            REQUIRE_FALSE(seen);
            seen = true;
        }
    }

    UpdateContext context_;
    Framer framer_;
    std::map<Prefix, std::uint32_t> held_;
    std::map<Prefix, Address> next_hops_;
    std::vector<Heard> heard_;
    std::array<bool, 2> end_of_rib_{};
};

/// Takes all that a rib wants to say, `budget` octets at a time.
inline Bytes drain(AdjRibOut& rib, std::size_t budget = 1U << 18U) {
    Bytes stream;
    while (rib.pending()) {
        std::vector<ByteView> views;
        const std::size_t size = rib.produce(budget, views);
        REQUIRE(size > 0);
        for (const ByteView view : views) stream.insert(stream.end(), view.begin(), view.end());
        REQUIRE(rib.consumed(size).empty());
    }
    return stream;
}

}  // namespace swerve::bgp::test
