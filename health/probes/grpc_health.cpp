#include "health/probes/grpc_health.hpp"

#include <optional>

#include "swerve/base/bytes.hpp"

namespace swerve::health {
namespace {

enum class Wire : std::uint8_t { varint = 0, fixed64 = 1, text = 2, fixed32 = 5 };

constexpr std::size_t service_limit = 255;
constexpr unsigned status_field = 1;

/// Base 128, least significant group first; at most ten octets, of which bits beyond 64 are lost.
std::optional<std::uint64_t> varint(Reader& reader) {
    std::uint64_t out = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        const auto octet = reader.u8();
        if (!octet) return std::nullopt;
        out |= shift < 64 ? std::uint64_t{*octet & 0x7fU} << shift : 0;
        if (*octet < 0x80) return out;
    }
    return std::nullopt;
}

/// Steps over the value of a field that says nothing to us; false if it is none.
bool skip(Reader& reader, Wire wire) {
    switch (wire) {
        case Wire::varint:
            return varint(reader).has_value();
        case Wire::fixed64:
            return reader.take(8).has_value();
        case Wire::fixed32:
            return reader.take(4).has_value();
        case Wire::text: {
            const auto length = varint(reader);
            return length && *length <= reader.remaining() && reader.take(*length).has_value();
        }
    }
    return false;
}

}  // namespace

std::string health_request(std::string_view service) {
    service = service.substr(0, service_limit);
    std::string message;
    if (!service.empty()) {
        message += '\x0a';  // field 1, text
        if (service.size() >= 0x80) message += static_cast<char>((service.size() & 0x7fU) | 0x80U);
        message +=
            static_cast<char>(service.size() >= 0x80 ? service.size() >> 7U : service.size());
        message += service;
    }
    std::string out(4, '\0');  // not compressed, and three octets of a length below 2^16
    out[3] = static_cast<char>(message.size() >> 8U);
    out += static_cast<char>(message.size() & 0xffU);
    return out + message;
}

Result<ServingStatus, std::string> serving_status(std::string_view body) {
    const Bytes octets(body.begin(), body.end());
    Reader reader(octets);
    const auto compressed = reader.u8();
    const auto length = reader.u32();
    if (!compressed || !length) return fail("no message");
    if (*compressed != 0) return fail("a compressed message, though it was told not to");
    if (*length != reader.remaining()) return fail("a message of another length than it says");
    // proto3 leaves out what is 0, and the last of equal fields counts.
    std::uint64_t status = 0;
    while (!reader.empty()) {
        const auto tag = varint(reader);
        if (!tag) return fail("no protobuf");
        const auto wire = static_cast<Wire>(*tag & 7U);
        if (*tag >> 3U == status_field && wire == Wire::varint) {
            const auto value = varint(reader);
            if (!value) return fail("no protobuf");
            status = *value;
        } else if (*tag >> 3U == 0 || !skip(reader, wire)) {
            return fail("no protobuf");
        }
    }
    return static_cast<ServingStatus>(status);
}

}  // namespace swerve::health
