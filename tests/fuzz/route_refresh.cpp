// A ROUTE-REFRESH that means something is written as the same octets; an error gives back the
// message and no more, and only to who has RFC 7313.

#include "bgp/route_refresh.hpp"

#include <algorithm>

#include "swerve/bgp/framer.hpp"
#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

using namespace bgp;

void route_refresh(ByteView input) {
    const Chosen chosen{input};
    const ByteView body = chosen.rest.first(
        std::min<std::size_t>(chosen.rest.size(), max_extended_size - header_size));
    const bool enhanced = chosen.bit(0);
    const auto read = decode_route_refresh(body, enhanced);
    if (!read) {
        demand(enhanced && body.size() != 4, "only a marker of another length is an error");
        demand(read.error().code == 7 && read.error().subcode == 1, "which is 7/1");
        demand(read.error().data.size() == body.size() + header_size, "with the message");
        return;
    }
    if (!read->has_value()) return;
    const RouteRefresh& message = **read;
    demand(enhanced || message.subtype == RefreshSubtype::request, "markers need RFC 7313");
    const Bytes again = encode(message);
    demand(std::ranges::equal(ByteView{again}.subspan(header_size), body),
           "a ROUTE-REFRESH is written as it was read");
}

}  // namespace swerve::fuzz
