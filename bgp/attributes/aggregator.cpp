// AGGREGATOR and its AS4_ twin (RFC 6793 §3).

#include "bgp/attributes/row.hpp"

namespace swerve::bgp {

namespace {

std::string_view decode_value(ByteView value, bool four_octet, std::optional<Aggregator>& out) {
    if (value.size() != (four_octet ? 8U : 6U)) {
        return four_octet ? "length is not 8" : "length is not 6";
    }
    Reader reader{value};
    const std::uint32_t number = four_octet ? reader.u32().value_or(0) : reader.u16().value_or(0);
    const auto as = Asn::from(number);
    if (!as) return "AS 0";  // RFC 7607 §2
    const auto address = Address::from_octets(reader.rest());
    if (address) out = Aggregator{*as, *address};
    return {};
}

}  // namespace

std::string_view decode_aggregator(ByteView value, const AttributeContext& context,
                                   DecodedAttributes& out) {
    return decode_value(value, context.four_octet_as, out.path.aggregator);
}

std::string_view decode_as4_aggregator(ByteView value, const AttributeContext&,
                                       DecodedAttributes& out) {
    return decode_value(value, true, out.as4_aggregator);
}

bool encode_aggregator(const EncodeInput& input, Bytes& out) {
    const auto& aggregator = input.path.aggregator;
    if (!aggregator) return false;
    Writer writer{out};
    if (input.context.four_octet_as) {
        writer.u32(aggregator->as.value());
    } else {
        writer.u16(aggregator->as.fits_two_octets()
                       ? static_cast<std::uint16_t>(aggregator->as.value())
                       : Asn::trans);
    }
    writer.bytes(aggregator->address.octets());
    return true;
}

bool encode_as4_aggregator(const EncodeInput& input, Bytes& out) {
    const auto& aggregator = input.path.aggregator;
    if (!aggregator || input.context.four_octet_as || aggregator->as.fits_two_octets()) {
        return false;
    }
    Writer writer{out};
    writer.u32(aggregator->as.value());
    writer.bytes(aggregator->address.octets());
    return true;
}

}  // namespace swerve::bgp
