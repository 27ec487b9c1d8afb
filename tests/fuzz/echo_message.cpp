// A reply is what a request of the same content would be answered with, and nothing else is one.

#include "health/probes/echo_message.hpp"

#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

void echo_message(ByteView input) {
    const Chosen chosen{input};
    const Family family = chosen.bit(0) ? Family::ipv4 : Family::ipv6;
    if (const auto behind = health::behind_ipv4_header(chosen.rest)) {
        demand(behind->size() + 20 <= chosen.rest.size(), "a header has 20 octets at least");
    }
    const auto reply = health::decode_reply(family, chosen.rest);
    if (!reply) return;
    demand(reply->payload.size() + 8 == chosen.rest.size(), "nothing is left out");
    Bytes request = health::encode_request(family, *reply);
    demand(!health::decode_reply(family, request), "a request is no reply");
    request[0] = chosen.rest[0];
    demand(health::decode_reply(family, request) == reply, "the reply is read again");
}

}  // namespace swerve::fuzz
