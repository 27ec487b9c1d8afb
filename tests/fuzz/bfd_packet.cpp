// A control packet that is taken says the same when it is written again, and its authentication
// holds for the key it was made with alone.

#include "swerve/bfd/packet.hpp"

#include <algorithm>

#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

void bfd_packet(ByteView input) {
    using namespace bfd;
    const Authentication password{AuthType::simple_password, 1, "password"};
    const Authentication key{AuthType::meticulous_keyed_sha1, 1, "a key"};

    const auto read = decode(input);
    if (!read) {
        demand(!to_string(read.error()).empty(), "each reason has a name");
        return;
    }
    demand(read->octets.size() <= input.size(), "no octet is made up");
    demand(read->packet.my_discriminator != 0 && read->packet.detect_multiplier != 0,
           "RFC 5880 §6.8.6");
    demand(!to_string(read->packet.diagnostic).empty(), "each diagnostic has a name");
    const Bytes written = encode(read->packet);
    const auto again = decode(written);
    demand(again && again->packet == read->packet, "the packet is read again");
    if (read->authentication.empty() && read->octets.size() == written.size()) {
        demand(std::ranges::equal(read->octets, written), "it has one form");
    }
    for (const Authentication& each : {password, key}) {
        const auto believed = verify(*read, each);
        if (read->authentication.empty()) demand(!believed, "no section, no belief");
        if (believed && each.type == AuthType::meticulous_keyed_sha1) {
            demand(encode(read->packet, &each, *believed).size() == read->octets.size(),
                   "as long as what we write");
        }
        const Bytes signed_octets = encode(read->packet, &each, 7);
        const auto taken = decode(signed_octets);
        demand(taken && verify(*taken, each), "our own is believed");
        demand(!verify(*taken, each.type == key.type ? password : key), "by the right key alone");
    }
}

}  // namespace swerve::fuzz
