#pragma once

#include <cstdint>
#include <optional>

#include "swerve/base/bytes.hpp"
#include "swerve/base/result.hpp"
#include "swerve/bgp/notification.hpp"
#include "swerve/net/address.hpp"

namespace swerve::bgp {

/// RFC 7313 §3.2: what stood reserved in RFC 2918.
enum class RefreshSubtype : std::uint8_t {
    request = 0,
    begin = 1,  ///< BoRR: all routes follow once more
    end = 2,    ///< EoRR: that was all
};

struct RouteRefresh {
    Family family;
    RefreshSubtype subtype;

    friend bool operator==(const RouteRefresh&, const RouteRefresh&) = default;
};

/// Nothing for a family or a subtype that this speaker does not know, a request of another length,
/// and, without `enhanced` (the neighbor has RFC 7313), all but requests. With it the error is 7/1
/// with the message for a BoRR or EoRR of another length.
[[nodiscard]] Result<std::optional<RouteRefresh>, Notification> decode_route_refresh(ByteView body,
                                                                                     bool enhanced);
/// The whole message.
[[nodiscard]] Bytes encode(const RouteRefresh& message);

}  // namespace swerve::bgp
