#include <doctest/doctest.h>

#include <array>
#include <string_view>

#include "swerve/bgp/open.hpp"
#include "tests/support/hex.hpp"

namespace swerve::bgp {
namespace {

using namespace std::chrono_literals;
using test::bgp_message;
using test::hex;

Asn as(std::uint32_t number) { return *Asn::from(number); }
RouterId id(std::string_view text) { return *RouterId::parse(text); }

OpenPolicy ours() {
    return {as(64500), id("192.0.2.1"), as(64496), 9s, {Family::ipv4, Family::ipv6}};
}

Open theirs() {
    return make_open(
        {as(64496), id("192.0.2.254"), std::nullopt, 90s, {Family::ipv4, Family::ipv6}});
}

void check_refused(const OpenPolicy& policy, const Open& open, std::uint8_t sub,
                   std::string_view data = "") {
    const auto result = negotiate(policy, open);
    REQUIRE_FALSE(result);
    CHECK(result.error() == Notification{ErrorCode::open_message, sub, hex(data)});
}

TEST_CASE("negotiate: takes the smaller hold time, a third of it for keepalives") {
    const auto done = negotiate(ours(), theirs());
    REQUIRE(done);
    CHECK(done->remote_as == as(64496));
    CHECK(done->remote_id == id("192.0.2.254"));
    CHECK_FALSE(done->internal);
    CHECK(done->four_octet_as);
    CHECK(done->route_refresh);
    CHECK(done->hold_time == 9s);
    CHECK(done->keepalive == 3s);
    CHECK(done->families == FamilySet{Family::ipv4, Family::ipv6});

    Open shorter = theirs();
    shorter.hold_time_s = 3;
    CHECK(negotiate(ours(), shorter)->hold_time == 3s);
    CHECK(negotiate(ours(), shorter)->keepalive == 1s);
    shorter.hold_time_s = 4;
    CHECK(negotiate(ours(), shorter)->keepalive > 1s);
}

TEST_CASE("negotiate: a wrong AS is 2/2 with the number, two octets where it fits") {
    Open other = theirs();
    other.as = as(64497);
    check_refused(ours(), other, subcode::bad_peer_as, "fbf1");
    other.as = as(70000);
    check_refused(ours(), other, subcode::bad_peer_as, "00011170");
    OpenPolicy any = ours();
    any.remote_as.reset();
    CHECK(negotiate(any, other)->remote_as == as(70000));
}

TEST_CASE("negotiate: malformed 20: our own identifier is 2/3 inside one AS and legal outside") {
    Open twin = theirs();
    twin.router_id = ours().router_id;
    CHECK(negotiate(ours(), twin));
    twin.as = as(64500);
    OpenPolicy internal = ours();
    internal.remote_as = as(64500);
    check_refused(internal, twin, subcode::bad_bgp_identifier);
    twin.router_id = id("192.0.2.2");
    CHECK(negotiate(internal, twin)->internal);
}

TEST_CASE("negotiate: a hold time of 0 is 2/6, unless ours is 0 as well: then no timer runs") {
    // RFC 4271 §4.2, §4.4.
    Open forever = theirs();
    forever.hold_time_s = 0;
    check_refused(ours(), forever, subcode::unacceptable_hold_time, "0000");
    OpenPolicy patient = ours();
    patient.hold_time = 0s;
    CHECK(make_open(patient).hold_time_s == 0);
    for (const Open& open : {forever, theirs()}) {
        const auto done = negotiate(patient, open);
        REQUIRE(done);
        CHECK(done->hold_time == 0s);
        CHECK(done->keepalive == 0s);
    }
}

TEST_CASE("negotiate: families are those of both; none in common is 2/7 with ours") {
    Open six = theirs();
    six.capabilities.multiprotocol = {Family::ipv6};
    CHECK(negotiate(ours(), six)->families == FamilySet{Family::ipv6});
    OpenPolicy four_only = ours();
    four_only.families = {Family::ipv4};
    check_refused(four_only, six, subcode::unsupported_capability, "0104 0001 00 01");
    // RFC 4760 §8: without the capability IPv4 unicast is meant, with foreign ones it is not.
    Open plain = theirs();
    plain.capabilities = {};
    CHECK(negotiate(ours(), plain)->families == FamilySet{Family::ipv4});
    CHECK_FALSE(negotiate(ours(), plain)->four_octet_as);
    CHECK_FALSE(negotiate(ours(), plain)->route_refresh);
    plain.capabilities.has_multiprotocol = true;
    check_refused(ours(), plain, subcode::unsupported_capability,
                  "0104 0001 00 01 0104 0002 00 01");
}

TEST_CASE("negotiate: RFC 8654 §4: each side's word decides what the other may send") {
    for (const bool we_offer : {false, true}) {
        for (const bool they_offer : {false, true}) {
            OpenPolicy policy = ours();
            policy.extended_message = we_offer;
            Open open = theirs();
            open.capabilities.extended_message = they_offer;
            const auto done = negotiate(policy, open);
            REQUIRE(done);
            CHECK(done->receive_extended == we_offer);
            CHECK(done->send_extended == they_offer);
        }
    }
}

TEST_CASE("negotiate: what both must have is had when both have it") {
    OpenPolicy policy = ours();
    Open open = theirs();
    CHECK(negotiate(policy, open)->enhanced_route_refresh);
    open.capabilities.enhanced_route_refresh = false;
    CHECK_FALSE(negotiate(policy, open)->enhanced_route_refresh);

    policy.ipv4_over_ipv6 = true;
    CHECK_FALSE(negotiate(policy, open)->ipv4_over_ipv6);
    open.capabilities.ipv4_over_ipv6 = true;
    CHECK(negotiate(policy, open)->ipv4_over_ipv6);
    policy.ipv4_over_ipv6 = false;
    CHECK_FALSE(negotiate(policy, open)->ipv4_over_ipv6);

    // RFC 7911 §4: one side takes what the other sends.
    open.capabilities.add_path_send = {Family::ipv6};
    open.capabilities.add_path_receive = {Family::ipv4, Family::ipv6};
    CHECK(negotiate(policy, open)->add_path.empty());
    policy.add_path_receive = true;
    CHECK(negotiate(policy, open)->add_path == FamilySet{Family::ipv6});
    open.capabilities.multiprotocol = {Family::ipv4};
    CHECK(negotiate(policy, open)->add_path.empty());
}

TEST_CASE("negotiate: RFC 9234 §4.2: only the three pairs agree, all others are 2/11") {
    constexpr std::array<std::array<bool, 6>, 5> agrees{{
        // provider, RS, RS client, customer, peer, 5 (not assigned)
        {false, false, false, true, false, false},  // provider
        {false, false, true, false, false, false},  // RS
        {false, true, false, false, false, false},  // RS client
        {true, false, false, false, false, false},  // customer
        {false, false, false, false, true, false},  // peer
    }};
    for (std::size_t mine = 0; mine < 5; ++mine) {
        for (std::size_t its = 0; its < 6; ++its) {
            CAPTURE(mine);
            CAPTURE(its);
            OpenPolicy policy = ours();
            policy.role = static_cast<Role>(mine);
            Open open = theirs();
            open.capabilities.role = static_cast<Role>(its);
            if (agrees[mine][its]) {
                CHECK(negotiate(policy, open)->role == policy.role);
                CHECK(negotiate(policy, open)->remote_role == open.capabilities.role);
            } else {
                check_refused(policy, open, subcode::role_mismatch);
            }
            // RFC 9234 §4: inside one AS nobody is anybody's customer.
            policy.remote_as = as(64500);
            open.as = as(64500);
            REQUIRE(negotiate(policy, open));
            CHECK_FALSE(negotiate(policy, open)->role);
        }
    }
}

TEST_CASE("negotiate: RFC 9234 §4.2: a neighbor without a role is refused in strict mode only") {
    OpenPolicy policy = ours();
    policy.role = Role::customer;
    CHECK(negotiate(policy, theirs())->role == Role::customer);
    CHECK_FALSE(negotiate(policy, theirs())->remote_role);
    policy.role_strict = true;
    check_refused(policy, theirs(), subcode::role_mismatch);
    // Without one of our own theirs is only noted.
    Open open = theirs();
    open.capabilities.role = Role::provider;
    CHECK(negotiate(ours(), open)->remote_role == Role::provider);
    CHECK_FALSE(negotiate(ours(), open)->role);
}

TEST_CASE("negotiate: RFC 4724 §3: R and F in the OPEN after a planned restart, N never") {
    OpenPolicy policy = ours();
    CHECK_FALSE(make_open(policy).capabilities.graceful_restart);
    policy.restart_time = 15s;
    const FamilySet both{Family::ipv4, Family::ipv6};
    CHECK(make_open(policy).capabilities.graceful_restart ==
          GracefulRestart{.restart_time_s = 15, .families = both});
    policy.restarting = true;
    CHECK(make_open(policy).capabilities.graceful_restart ==
          GracefulRestart{
              .restarting = true, .restart_time_s = 15, .families = both, .forwarding = both});
    policy.restart_time = 2h;  // twelve bits
    CHECK(make_open(policy).capabilities.graceful_restart->restart_time_s == 4095);
    Open open = theirs();
    open.capabilities.graceful_restart = GracefulRestart{.notification = true};
    CHECK(negotiate(policy, open)->remote_restart == open.capabilities.graceful_restart);
}

TEST_CASE("negotiate: RFC 5492 §3: a plain OPEN offers nothing, so nothing is agreed on") {
    OpenPolicy policy = ours();
    policy.plain = true;
    policy.extended_message = policy.ipv4_over_ipv6 = policy.add_path_receive = true;
    policy.role = Role::customer;
    policy.restart_time = 15s;
    const Open open = make_open(policy);
    CHECK(open.capabilities == Capabilities{});
    CHECK(encode(open) == bgp_message(1, hex("04 fbf4 0009 c0000201 00")));
    Open all = theirs();
    all.capabilities.extended_message = all.capabilities.ipv4_over_ipv6 = true;
    all.capabilities.add_path_send = {Family::ipv4};
    const auto done = negotiate(policy, all);
    REQUIRE(done);
    CHECK(done->families == FamilySet{Family::ipv4});
    CHECK_FALSE(done->four_octet_as);
    CHECK_FALSE(done->receive_extended);
    CHECK_FALSE(done->ipv4_over_ipv6);
    CHECK_FALSE(done->enhanced_route_refresh);
    CHECK_FALSE(done->role);
    CHECK(done->add_path.empty());
    policy.local_as = as(70000);  // RFC 6793 §4.2.1: AS_TRANS stands for it
    CHECK(encode(make_open(policy)) == bgp_message(1, hex("04 5ba0 0009 c0000201 00")));
    policy.families = {Family::ipv6};
    check_refused(policy, all, subcode::unsupported_capability, "0104 0002 00 01");
}

TEST_CASE("role: each has its name, and no other name is one") {
    for (unsigned value = 0; value < 5; ++value) {
        CHECK(parse_role(to_string(static_cast<Role>(value))) == static_cast<Role>(value));
    }
    CHECK(to_string(Role::route_server_client) == "route_server_client");
    CHECK_FALSE(parse_role("unknown"));
    CHECK_FALSE(parse_role("Customer"));
}

}  // namespace
}  // namespace swerve::bgp
