#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <unordered_map>

#include "swerve/bgp/adj_rib_out.hpp"

namespace swerve::bgp {

/// The path attributes of a route as one session sends them, MP_REACH_NLRI excepted.
using EncodedAttributes = std::shared_ptr<const Bytes>;

/// Encodes routes for one session and remembers the result: a route is encoded once, however many
/// messages carry it.
class RouteEncoder {
public:
    explicit RouteEncoder(const SessionEncoding& session);

    [[nodiscard]] bool negotiated(Family family) const {
        return session_.families.contains(family);
    }
    /// The next hop with which routes of this family can be sent, if there is one.
    [[nodiscard]] std::optional<Address> next_hop(Family family) const;
    void set_next_hop(Family family, const std::optional<Address>& next_hop);
    /// The next hop as MP_REACH_NLRI carries it, 16 or 32 octets; empty where routes of this family
    /// go without that attribute. The view stays valid until set_next_hop().
    [[nodiscard]] ByteView mp_next_hop(Family family) const {
        return mp_next_hops_[static_cast<std::size_t>(family)];
    }
    /// Whether routes of this family are announced and withdrawn in the attributes of RFC 4760.
    [[nodiscard]] bool uses_mp(Family family) const {
        return family == Family::ipv6 || !mp_next_hop(family).empty();
    }
    [[nodiscard]] std::size_t largest_message() const { return session_.largest_message; }
    /// Nothing if this session cannot carry the route.
    [[nodiscard]] EncodedAttributes encode(const RouteRef& route, Family family) const;

private:
    struct Known {
        RouteRef route;  ///< keeps the key alive, so that no other route takes its address
        EncodedAttributes attributes;
    };
    using Cache = std::unordered_map<const RouteAttributes*, Known>;

    [[nodiscard]] Bytes encode_mp_next_hop(Family family) const;
    [[nodiscard]] EncodedAttributes encode_anew(const RouteAttributes& route, Family family) const;
    [[nodiscard]] PathAttributes path_attributes(const RouteAttributes& route) const;

    /// A site has a handful of routes at a time; old ones are forgotten together when operators
    /// have gone through this many.
    static constexpr std::size_t most_known = 256;

    SessionEncoding session_;
    std::array<Bytes, 2> mp_next_hops_;   ///< by family
    mutable std::array<Cache, 2> known_;  ///< by family
};

}  // namespace swerve::bgp
