#include "swerve/bfd/table.hpp"

#include <doctest/doctest.h>

#include <set>

#include "tests/bfd/sites.hpp"

using namespace swerve;
using namespace swerve::bfd;
using namespace swerve::bfd::test;

namespace {

const SessionConfig over_ipv4{
    .owner = 1, .key = {address("192.0.2.1"), address("192.0.2.2")}, .timing = fast};
const SessionConfig over_ipv6{
    .owner = 2, .key = {address("2001:db8::1"), address("2001:db8::2")}, .timing = fast};
const SessionConfig over_hops{.owner = 3,
                              .key = {address("192.0.2.1"), address("192.0.2.2"), {}, true},
                              .hops = 3,
                              .timing = fast};
const Authentication key{AuthType::meticulous_keyed_sha1, 1, "a key"};

SessionConfig on_link(std::uint32_t owner, std::string interface) {
    return {.owner = owner,
            .key = {address("fe80::1"), address("fe80::2"), std::move(interface)},
            .timing = fast};
}

/// From the neighbor of the session.
Datagram datagram(const SessionKey& to, ByteView octets, int ttl = 255) {
    return {.octets = octets,
            .local = to.local,
            .remote = to.remote,
            .interface = to.interface,
            .multihop = to.multihop,
            .ttl = ttl};
}

std::vector<std::pair<State, Cause>> told(const Site& site, std::uint32_t owner) {
    std::vector<std::pair<State, Cause>> out;
    for (const Report& each : site.reports) {
        if (each.owner == owner) out.emplace_back(each.state, each.cause);
    }
    return out;
}

using Told = std::vector<std::pair<State, Cause>>;

}  // namespace

TEST_CASE("bfd table: sessions of all kinds come up side by side, each between its own ends") {
    // Single hop and multihop of the same addresses, link-local addresses on two links.
    const std::vector<SessionConfig> all{over_ipv4, over_ipv6, over_hops, on_link(4, "eth0"),
                                         on_link(5, "eth1")};
    Sites sites;
    sites.multihop_ttl = 253;
    sites.configure_both(all);
    CHECK(sites.a().opened.size() == 5);
    REQUIRE(sites.a().reports.size() == 5);
    CHECK(sites.a().reports[0] == Report{.owner = over_ipv4.owner});
    sites.come_up();
    sites.run(2s);
    std::set<std::uint32_t> discriminators;
    for (const SessionConfig& each : all) {
        const auto view = sites.a().find(each.key);
        REQUIRE(view);
        CHECK(discriminators.insert(view->discriminator).second);
        CHECK(view->discriminator != 0);
        CHECK(view->neighbor->my_discriminator ==
              sites.b().find(mirrored(each).key)->discriminator);
        CHECK(view->transmit_interval == 50ms);
        CHECK(view->detection_time == 150ms);
        CHECK(view->neighbor_detection_time == 150ms);
        CHECK(view->counters.received > 20);
        CHECK(view->counters.downs == 0);
        CHECK(view->cause == Cause::came_up);
        // Down to Init to Up, or straight to Up: a report for each.
        CHECK(told(sites.a(), each.owner).back() == std::pair{State::up, Cause::came_up});
    }
    CHECK(std::ranges::all_of(sites.a().table->discarded(), [](auto n) { return n == 0; }));
    // One link dies, and no other session hears of it.
    sites.a().forget();
    sites.lost = [](std::size_t, const SessionKey& on) { return on.interface == "eth1"; };
    sites.run(200ms);
    CHECK(told(sites.a(), 5) == Told{{State::down, Cause::detection_time_expired}});
    CHECK(sites.a().reports.size() == 1);
    CHECK(sites.a().reports[0].detection_time == 150ms);
    CHECK(sites.a().reports[0].diagnostic == Diagnostic::detection_time_expired);
    CHECK(sites.a().find(on_link(5, "eth1").key)->counters.downs == 1);
}

TEST_CASE("bfd table: TTL 255 for a single hop, 256 less the hops for more, and no lower") {
    Sites sites;
    sites.configure(0, {over_ipv4, over_hops});
    const Bytes octets = encode({.my_discriminator = 7});
    struct Row {
        const SessionConfig& to;
        int ttl;
        bool counts;
    };
    for (const Row& row :
         {Row{over_ipv4, 255, true}, Row{over_ipv4, 254, false}, Row{over_ipv4, 0, false},
          Row{over_hops, 255, true}, Row{over_hops, 253, true}, Row{over_hops, 252, false}}) {
        const auto before = sites.a().find(row.to.key);
        sites.receive(0, datagram(row.to.key, octets, row.ttl));
        const auto after = sites.a().find(row.to.key);
        CAPTURE(row.ttl);
        CHECK((after->counters.received > before->counters.received) == row.counts);
        CHECK((discarded(after, Discard::ttl_too_low) > discarded(before, Discard::ttl_too_low)) !=
              row.counts);
    }
    // From somebody unknown it is looked at as well, before anything else.
    const SessionKey stranger{over_ipv4.key.local, address("192.0.2.9")};
    sites.receive(0, datagram(stranger, {}, 64));
    CHECK(sites.a().discarded(Discard::ttl_too_low) == 1);
}

TEST_CASE("bfd table: a discriminator counts from its neighbor alone") {
    Sites sites;
    sites.configure_both({over_ipv4, over_hops, on_link(4, "eth0")});
    sites.come_up();
    sites.run(1s);
    const auto guessed = sites.a().find(over_ipv4.key)->discriminator;
    const Bytes down =
        encode({.state = State::down, .my_discriminator = 7, .your_discriminator = guessed});
    const SessionKey elsewhere[] = {
        {over_ipv4.key.local, address("192.0.2.9")},
        {address("192.0.2.9"), over_ipv4.key.remote},
        {over_ipv4.key.local, over_ipv4.key.remote, "eth0"},
        {over_ipv6.key.local, over_ipv6.key.remote},
    };
    for (const SessionKey& each : elsewhere) sites.receive(0, datagram(each, down));
    CHECK(sites.a().discarded(Discard::unknown_discriminator) == 4);
    // To the right addresses, but of the other kind, or on the other link.
    sites.receive(0, datagram(over_hops.key, down));
    CHECK(discarded(sites.a().find(over_hops.key), Discard::unknown_discriminator) == 1);
    sites.receive(0, datagram(on_link(4, "eth1").key, down));
    CHECK(sites.a().discarded(Discard::unknown_discriminator) == 5);
    // A number that nobody has, and none at all from a stranger.
    const Bytes wrong =
        encode({.state = State::down, .my_discriminator = 7, .your_discriminator = guessed ^ 1U});
    const auto received = sites.a().find(over_ipv4.key)->counters.received;
    sites.receive(0, datagram(over_ipv4.key, wrong));
    CHECK(sites.a().find(over_ipv4.key)->counters.received == received);
    CHECK(discarded(sites.a().find(over_ipv4.key), Discard::unknown_discriminator) == 1);
    sites.receive(0, datagram(elsewhere[0], encode({.my_discriminator = 7})));
    CHECK(sites.a().discarded(Discard::unknown_discriminator) == 6);
    CHECK(sites.a().all_up());
    sites.receive(0, datagram(over_ipv4.key, down));
    CHECK(sites.a().state(over_ipv4.key) == State::down);
}

TEST_CASE("bfd table: another owner and another timing disturb no session") {
    Sites sites;
    sites.configure_both({over_ipv4, over_ipv6});
    sites.come_up();
    sites.run(1s);
    const auto before = sites.a().find(over_ipv4.key);
    sites.a().forget();
    sites.b().forget();
    SessionConfig changed = over_ipv4;
    changed.owner = 17;
    changed.timing = usual;
    sites.configure(0, {over_ipv6, changed});
    CHECK(told(sites.a(), 17) == Told{{State::up, Cause::came_up}});
    CHECK(sites.a().reports.size() == 1);
    sites.configure(0, {over_ipv6, changed});
    sites.run(5s);
    CHECK(sites.a().reports.size() == 1);
    CHECK(sites.b().reports.empty());
    CHECK(sites.a().opened.empty());
    CHECK(sites.a().closed.empty());
    const auto after = sites.a().find(over_ipv4.key);
    CHECK(after->discriminator == before->discriminator);
    CHECK(after->since == before->since);
    CHECK(after->transmit_interval == 300ms);
    CHECK(after->neighbor_detection_time == 900ms);
    CHECK(sites.b().find(mirrored(over_ipv4).key)->detection_time == 900ms);
}

TEST_CASE("bfd table: an owner hears of the neighbor's AdminDown, also where no state changes") {
    Sites sites;
    sites.configure(0, {over_ipv4});
    sites.a().forget();
    sites.configure(1, {mirrored(over_ipv4)});
    sites.configure(1, {});
    sites.run(900ms);
    REQUIRE_FALSE(sites.a().reports.empty());
    CHECK(sites.a().reports.back().state == State::down);
    CHECK(sites.a().reports.back().neighbor_admin_down);
    sites.a().forget();
    // Silence is no other word: some say it once.
    sites.run(2min);
    CHECK(sites.a().reports.empty());
    sites.configure(1, {mirrored(over_ipv4)});
    sites.come_up();
    REQUIRE_FALSE(sites.a().reports.empty());
    CHECK_FALSE(sites.a().reports[0].neighbor_admin_down);
}

TEST_CASE("bfd table: the report of an expiry tells the silence that it was, not the next one") {
    SessionConfig patient = over_ipv4;
    patient.timing.min_rx = 400ms;
    Sites sites;
    sites.configure(0, {patient});
    sites.configure(1, {mirrored(over_ipv4)});
    sites.come_up();
    sites.run(2s);
    sites.a().forget();
    // RFC 5880 §6.8.3: the longer interval counts until the neighbor has answered, which it cannot.
    sites.lost = [](std::size_t, const SessionKey&) { return true; };
    sites.configure(0, {over_ipv4});
    sites.run(3s);
    REQUIRE_FALSE(sites.a().reports.empty());
    CHECK(sites.a().reports[0].cause == Cause::detection_time_expired);
    CHECK(sites.a().reports[0].detection_time == 1200ms);
}

TEST_CASE("bfd table: the report of an expiry tells what the neighbor last said") {
    Sites sites;
    sites.configure(0, {over_ipv4});
    sites.run(10ms);
    sites.receive(0, datagram(over_ipv4.key, encode({.diagnostic = Diagnostic::path_down,
                                                     .my_discriminator = 7,
                                                     .desired_min_tx_us = 1,
                                                     .required_min_rx_us = 1})));
    sites.a().forget();
    sites.run(10s);
    REQUIRE(sites.a().reports.size() == 1);
    CHECK(sites.a().reports[0].cause == Cause::detection_time_expired);
    CHECK(sites.a().reports[0].neighbor_diagnostic == Diagnostic::path_down);
    CHECK_FALSE(sites.a().find(over_ipv4.key)->neighbor);
}

TEST_CASE("bfd table: a way up that fails is told, and is no way down from Up") {
    Sites sites;
    sites.configure(0, {over_ipv4});
    sites.run(10ms);
    sites.a().forget();
    const Bytes octets =
        encode({.my_discriminator = 7, .desired_min_tx_us = 1, .required_min_rx_us = 1});
    sites.receive(0, datagram(over_ipv4.key, octets));
    sites.run(10s);
    CHECK(told(sites.a(), 1) == Told{{State::init, Cause::neighbor_agrees},
                                     {State::down, Cause::detection_time_expired}});
    const auto view = sites.a().find(over_ipv4.key);
    CHECK(view->counters.downs == 0);
    CHECK_FALSE(view->neighbor);
    CHECK_FALSE(view->neighbor_detection_time);
}

TEST_CASE("bfd table: one that goes says AdminDown for a detection time, then it is closed") {
    Sites sites;
    sites.configure_both({over_ipv4, over_ipv6});
    sites.come_up();
    sites.run(1s);
    const auto gone = sites.a().find(over_ipv4.key)->discriminator;
    sites.a().forget();
    sites.b().forget();
    CHECK(sites.a().table->has_said_farewell());
    sites.configure(0, {over_ipv6});
    CHECK_FALSE(sites.a().table->has_said_farewell());
    CHECK(sites.a().sent.back().second.state == State::admin_down);
    CHECK_FALSE(sites.a().find(over_ipv4.key));
    CHECK(sites.a().table->view(gone)->state == State::admin_down);
    sites.configure(0, {over_ipv6});
    sites.run(40ms);
    CHECK(sites.a().table->has_said_farewell());
    sites.run(1960ms);
    CHECK(sites.a().closed.empty());
    sites.run(2s);
    CHECK(sites.a().closed == std::vector{gone});
    CHECK(sites.a().reports.empty());
    CHECK(told(sites.b(), 1).at(0) == std::pair{State::down, Cause::neighbor_admin_down});
    CHECK(told(sites.b(), 2).empty());
    sites.configure(0, {});
    sites.run(4s);
    CHECK(sites.a().closed.size() == 2);
    CHECK_FALSE(sites.a().table->next_deadline());
}

TEST_CASE("bfd table: wanted again while it goes, it lives on under its number") {
    Sites sites;
    sites.configure_both({over_ipv4});
    sites.come_up();
    sites.run(1s);
    const auto before = sites.a().find(over_ipv4.key)->discriminator;
    sites.configure(0, {});
    sites.run(500ms);
    sites.a().forget();
    SessionConfig again = over_ipv4;
    again.owner = 9;
    again.timing = usual;
    sites.configure(0, {again});
    CHECK(told(sites.a(), 9) == Told{{State::down, Cause::admin_down}});
    sites.come_up();
    sites.run(10s);
    CHECK(sites.a().opened.empty());
    CHECK(sites.a().closed.empty());
    CHECK(sites.a().find(over_ipv4.key)->discriminator == before);
    CHECK(sites.a().find(over_ipv4.key)->transmit_interval == 300ms);
}

TEST_CASE("bfd table: another number of hops counts from the next packet on, and ends nothing") {
    Sites sites;
    sites.multihop_ttl = 253;
    sites.configure_both({over_hops});
    sites.come_up();
    const auto before = sites.a().find(over_hops.key)->discriminator;
    sites.a().forget();
    SessionConfig nearer = over_hops;
    nearer.hops = 2;
    sites.configure(0, {nearer});
    CHECK(sites.a().find(over_hops.key)->discriminator == before);
    CHECK(sites.a().opened.empty());
    sites.run(10s);
    CHECK(sites.a().find(over_hops.key)->state == State::down);
    sites.configure(0, {over_hops});
    sites.come_up();
    CHECK(sites.a().find(over_hops.key)->discriminator == before);
}

TEST_CASE("bfd table: another authentication makes a session anew") {
    SessionConfig with_key = over_ipv4;
    with_key.authentication = key;
    for (const auto& [from, to] :
         {std::pair{over_ipv4, with_key}, std::pair{with_key, over_ipv4}}) {
        Sites sites;
        sites.configure_both({from});
        sites.come_up();
        sites.run(1s);
        const auto before = sites.a().find(from.key)->discriminator;
        sites.a().forget();
        sites.b().forget();
        sites.configure(0, {to});
        CHECK(sites.a().closed.empty());
        REQUIRE(sites.a().opened.size() == 1);
        CHECK(sites.a().opened[0] != before);
        REQUIRE(sites.a().sent.size() == 1);
        CHECK(sites.a().sent[0].second.state == State::admin_down);
        CHECK(sites.a().sent[0].second.my_discriminator == before);
        // Whoever thinks that it is Up still learns that it begins, and that nothing has failed.
        CHECK(sites.a().reports == std::vector{Report{.owner = to.owner}});
        sites.run(40ms);
        CHECK(sites.a().closed == std::vector{before});
        CHECK(std::ranges::count(sites.a().sent, State::admin_down,
                                 [](const auto& each) { return each.second.state; }) == 3);
        sites.configure(1, {mirrored(to)});
        sites.come_up();
        CHECK(sites.a().sockets.size() == 1);
        const auto view = sites.a().find(to.key);
        REQUIRE(view->config.authentication.has_value() == to.authentication.has_value());
        if (to.authentication) {
            CHECK(view->config.authentication->type == key.type);
            CHECK(view->config.authentication->key_id == key.key_id);
            CHECK(view->config.authentication->secret.empty());
        }
    }
}

TEST_CASE("bfd table: a new process behind the same addresses is heard") {
    Sites sites;
    sites.configure_both({over_ipv4, over_ipv6});
    sites.come_up();
    sites.run(1s);
    sites.a().forget();
    const auto before = sites.b().find(mirrored(over_ipv4).key)->discriminator;
    sites.replace(1, 4711);
    sites.configure(1, {mirrored(over_ipv4), mirrored(over_ipv6)});
    sites.run(100ms);
    CHECK(told(sites.a(), 1).at(0) == std::pair{State::down, Cause::neighbor_signaled_down});
    sites.come_up();
    CHECK(sites.a().find(over_ipv4.key)->neighbor->my_discriminator != before);
}

TEST_CASE("bfd table: held down, every session says Path Down, those of later too stay down") {
    Sites sites;
    sites.configure_both({over_ipv4, over_ipv6});
    sites.come_up();
    sites.run(1s);
    sites.a().forget();
    sites.b().forget();
    sites.hold_down(0);
    CHECK(told(sites.a(), 1) == Told{{State::down, Cause::path_down}});
    CHECK(sites.a().sent.size() == 2);
    for (const auto& [on, packet] : sites.a().sent) {
        CHECK(packet.state == State::down);
        CHECK(packet.diagnostic == Diagnostic::path_down);
    }
    sites.run(2ms);
    REQUIRE(sites.b().reports.size() == 2);
    CHECK(sites.b().reports[0].cause == Cause::neighbor_signaled_down);
    CHECK(sites.b().reports[0].neighbor_diagnostic == Diagnostic::path_down);
    sites.configure_both({over_ipv4, over_hops});
    sites.configure(0, {over_ipv4, over_hops, over_ipv6});
    sites.run(20s);
    for (const SessionView& each : sites.a().table->views()) CHECK(each.state == State::down);
    CHECK(sites.a().table->views().size() == 3);
}
