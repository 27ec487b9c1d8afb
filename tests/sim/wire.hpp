#pragma once
// What Swerve writes, read by somebody else: a decoder of its own, made from the RFCs alone, that
// forgives nothing. It shares no line with bgp/.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "swerve/base/bytes.hpp"
#include "swerve/net/prefix.hpp"

namespace swerve::sim {

/// The attributes of a route as they stood on the wire.
struct WireRoute {
    std::uint8_t origin = 255;
    std::vector<std::uint32_t> as_path{};  ///< of one AS_SEQUENCE
    std::optional<Address> next_hop{};
    std::optional<std::uint32_t> med{};
    std::optional<std::uint32_t> local_pref{};
    std::vector<std::uint32_t> communities{};
    std::vector<std::array<std::uint32_t, 3>> large_communities{};

    friend bool operator==(const WireRoute&, const WireRoute&) = default;
};
[[nodiscard]] std::string to_string(const WireRoute& route);

struct WireMessage {
    enum class Type : std::uint8_t { open = 1, update, notification, keepalive, route_refresh };
    Type type;
    std::vector<Prefix> withdrawn{};
    std::vector<Prefix> announced{};
    WireRoute route{};  ///< of `announced`
    [[nodiscard]] bool end_of_rib() const {
        return type == Type::update && withdrawn.empty() && announced.empty();
    }
};

/// One direction of one connection. Every fault is a Violation of S1.
class WireReader {
public:
    /// Appends the messages that these octets begin, as far as they are complete.
    void feed(ByteView octets, std::vector<WireMessage>& out);
    /// Octets of a message that is not complete.
    [[nodiscard]] std::size_t incomplete() const { return buffer_.size(); }

private:
    Bytes buffer_;
};

}  // namespace swerve::sim
