// An OPEN that is taken is written and read again as the same one, and every agreement lies within
// what both sides said.

#include "swerve/bgp/open.hpp"

#include "swerve/bgp/framer.hpp"
#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

namespace {

using namespace bgp;

/// What the encoder can say: unknown capabilities and families are kept for display only.
Open sayable(Open open) {
    open.capabilities.unknown.clear();
    open.capabilities.has_multiprotocol = !open.capabilities.multiprotocol.empty();
    return open;
}

void check_round_trip(const Open& open) {
    const Bytes message = encode(open);
    demand(message.size() <= max_message_size, "an OPEN never exceeds the ordinary size");
    const auto again = decode_open(ByteView{message}.subspan(header_size));
    demand(again && *again == open, "an OPEN is read as it was written");
}

OpenPolicy policy_of(const Chosen& chosen) {
    OpenPolicy out{.local_as = *Asn::from(chosen.bit(0) ? 64500 : 4200000000),
                   .router_id = *RouterId::from(0xc0000201),
                   .hold_time = std::chrono::seconds{chosen.bit(1) ? 9 : 0},
                   .families = {Family::ipv4, Family::ipv6}};
    if (chosen.bit(2)) out.families.remove(Family::ipv4);
    out.extended_message = chosen.bit(3);
    out.ipv4_over_ipv6 = chosen.bit(3);
    out.add_path_receive = chosen.bit(4);
    if (chosen.bit(5)) out.role = Role::customer;
    out.role_strict = chosen.bit(6);
    if (chosen.bit(4)) out.restart_time = std::chrono::seconds{20};
    out.restarting = chosen.bit(6);
    out.plain = chosen.bit(7);
    return out;
}

void check_agreement(const OpenPolicy& policy, const Open& theirs) {
    const auto agreed = negotiate(policy, theirs);
    if (!agreed) {
        demand(agreed.error().code == 2, "a refusal is code 2");
        demand(agreed.error().data.size() <= 12, "the data of a refusal is ours and short");
        return;
    }
    demand(agreed->remote_as == theirs.as, "the neighbor is who it says");
    demand(!agreed->families.empty(), "there is a family");
    demand(agreed->families.intersection(policy.families) == agreed->families, "and we offered it");
    demand(agreed->hold_time <= policy.hold_time, "the smaller hold time holds");
    demand(agreed->hold_time <= std::chrono::seconds{theirs.hold_time_s}, "for both sides");
    demand((agreed->keepalive == Duration{0}) == (agreed->hold_time == Duration{0}),
           "keepalives come with a hold time");
    demand(agreed->keepalive * 3 <= std::max<Duration>(agreed->hold_time, Duration{0}),
           "three keepalives fit the hold time");
    demand(!agreed->four_octet_as || theirs.capabilities.four_octet_as.has_value(),
           "four octets are agreed");
}

}  // namespace

void open(ByteView input) {
    const Chosen chosen{input};
    const OpenPolicy policy = policy_of(chosen);
    const auto open = decode_open(chosen.rest);
    if (!open) {
        demand(open.error().code == 2, "an error of an OPEN is code 2");
        demand(open.error().data.size() <= 4, "no more than a field goes back");
        return;
    }
    demand(open->hold_time_s == 0 || open->hold_time_s >= 3, "no hold time of 1 or 2");
    demand(open->as.value() != Asn::trans, "nobody is AS_TRANS");
    check_round_trip(sayable(*open));
    // Without capabilities a large AS number is AS_TRANS, which names nobody.
    if (!policy.plain || policy.local_as.fits_two_octets()) check_round_trip(make_open(policy));
    check_agreement(policy, *open);
}

}  // namespace swerve::fuzz
