#include "daemon/operations/views.hpp"

#include <doctest/doctest.h>

#include <boost/json/parse.hpp>

#include "daemon/operations/adj_out_view.hpp"
#include "daemon/operations/json_text.hpp"
#include "daemon/operations/route_state.hpp"
#include "tests/support/snapshot.hpp"

using namespace swerve;
using namespace swerve::test;
namespace json = boost::json;
namespace views = swerve::daemon::views;

namespace {

[[nodiscard]] json::object first(const json::array& list) { return list.at(0).as_object(); }

[[nodiscard]] std::string text(const json::object& object, std::string_view name) {
    return std::string{object.at(name).as_string()};
}

}  // namespace

TEST_CASE("json: doubles keep a decimal point and are never written with a bare exponent") {
    CHECK(daemon::to_text(9.0) == "9.0");
    CHECK(daemon::to_text(0.8) == "0.8");
    CHECK(daemon::to_text(0.0) == "0.0");
    CHECK(daemon::to_text(-1.5) == "-1.5");
    CHECK(json::parse(daemon::to_text(5e-05)).as_double() == 5e-05);
    CHECK(json::parse(daemon::to_text(1e300)).as_double() == 1e300);
    CHECK(daemon::to_text(std::numeric_limits<double>::infinity()) == "null");
    CHECK(daemon::to_text(std::numeric_limits<double>::quiet_NaN()) == "null");
}

TEST_CASE("json: what is written reads back as the same value") {
    const json::value value = json::parse(
        R"({"a":[1,-2,18446744073709551615,null,true,{}],"b \"q\" \u0001":{"c":"\\ \n é","d":[]}})");
    CHECK(json::parse(daemon::to_text(value)) == value);
}

TEST_CASE("json: a string of any octets becomes valid UTF-8 without control characters") {
    CHECK(daemon::json_string("a\xff\x1b[31m\xc3\xa9").as_string() == "a\\xff\\x1b[31mé");
    CHECK(daemon::json_string(std::string(20'000, 'x')).as_string().size() < 17'000);
}

TEST_CASE("json: wall time is RFC 3339 in UTC with milliseconds") {
    CHECK(daemon::rfc3339(sample_wall) == "2027-01-15T08:00:00.000Z");
    CHECK(daemon::rfc3339(sample_wall + 5ms + 999us) == "2027-01-15T08:00:00.005Z");
    CHECK(daemon::rfc3339(WallTime{} - 1ms) == "1969-12-31T23:59:59.999Z");
}

TEST_CASE("views: an established neighbor shows what was negotiated and no retry") {
    const auto snapshot = sample_snapshot();
    const json::object up = first(views::neighbors(snapshot, "upstream-a"));
    CHECK(text(up, "state") == "established");
    CHECK(up.at("up_s").as_double() == 10.0);
    CHECK(text(up, "since") == "2027-01-15T07:59:50.000Z");
    CHECK(up.at("hold_time_s").as_double() == 9.0);
    CHECK(up.at("families") == json::array{"ipv4", "ipv6"});
    CHECK(up.at("prefixes_advertised") == json::object{{"ipv4", 1}, {"ipv6", 1}});
    CHECK(up.at("next_retry_s").is_null());
    CHECK(up.at("last_error").is_null());
    CHECK(up.at("messages_sent").as_object().size() == 5);
}

TEST_CASE("views: a neighbor without a session shows its retry and last error") {
    const auto snapshot = sample_snapshot();
    const json::object down = first(views::neighbors(snapshot, "upstream-b"));
    CHECK(text(down, "state") == "active");
    CHECK(down.at("up_s").is_null());
    CHECK(down.at("hold_time_s").is_null());
    CHECK(down.at("families") == json::array{});
    CHECK(down.at("next_retry_s").as_double() == 2.0);
    CHECK(text(down, "last_error") == "connection refused");
}

TEST_CASE("views: every neighbor has every field") {
    const auto snapshot = sample_snapshot();
    const json::array all = views::neighbors(snapshot);
    REQUIRE(all.size() == 2);
    for (const auto* name : {"name",
                             "description",
                             "address",
                             "port",
                             "remote_as",
                             "state",
                             "since",
                             "up_s",
                             "local_address",
                             "passive",
                             "disabled",
                             "out_of_sync",
                             "hold_time_s",
                             "keepalive_s",
                             "families",
                             "prefixes_advertised",
                             "prefixes_received",
                             "pending_withdrawals",
                             "pending_announcements",
                             "unsent_octets",
                             "updates_sent",
                             "messages_sent",
                             "messages_received",
                             "established_count",
                             "next_retry_s",
                             "last_error"}) {
        CHECK_MESSAGE(all[0].as_object().contains(name), name);
        CHECK_MESSAGE(all[1].as_object().contains(name), name);
    }
}

TEST_CASE("views: a service shows who holds its prefixes") {
    auto snapshot = sample_snapshot();
    const json::object held = first(views::services(snapshot));
    CHECK(text(held, "verdict") == "up");
    CHECK(text(held, "intent") == "announce");
    CHECK(text(held, "healthy_when") == "web");
    CHECK(held.at("prefix_count").to_number<int>() == 2);
    CHECK(held.at("prefixes") == json::array{"198.51.100.0/24", "2001:db8::/32"});
    CHECK(held.at("drain").is_null());
    CHECK(held.at("sent_to").to_number<int>() == 1);
    CHECK(held.at("established_neighbors").to_number<int>() == 1);

    snapshot.neighbors[0].sent = {{snapshot.site.services[0].prefixes[0], {0, 0}}};
    CHECK(first(views::services(snapshot)).at("sent_to").to_number<int>() == 0);
}

TEST_CASE("views: a service shows twenty prefixes and counts them all") {
    auto snapshot = sample_snapshot();
    std::vector<Prefix> many;
    for (std::uint32_t i = 0; i < 21; ++i) {
        many.push_back(*Prefix::masked(Address::v4(0x0a000000U + (i << 8U)), 24));
    }
    snapshot.site.services[0].prefixes = {block(many)};
    const json::object shown = first(views::services(snapshot));
    CHECK(shown.at("prefix_count").to_number<int>() == 21);
    CHECK(shown.at("prefixes").as_array().size() == 20);
}

TEST_CASE("views: a drained service shows who drains it and for how long") {
    auto snapshot = sample_snapshot();
    snapshot.site.services[0].drain = failover::Override{.kind = failover::OverrideKind::drain,
                                                         .reason = "",
                                                         .who = "alice",
                                                         .set_at = sample_wall - 5s,
                                                         .expires = sample_now + 600s};
    const json::object drain = first(views::services(snapshot)).at("drain").as_object();
    CHECK(text(drain, "kind") == "drain");
    CHECK(text(drain, "who") == "alice");
    CHECK(drain.at("reason").is_null());
    CHECK(drain.at("expires_s").as_double() == 600.0);
}

TEST_CASE("views: a drain tells its stage, and when it withdraws") {
    auto snapshot = sample_snapshot();
    const auto service = [&] { return first(views::services(snapshot)); };
    CHECK(service().at("drain_stage").is_null());
    CHECK(service().at("drain_stage_s").is_null());
    auto& drained = snapshot.site.services[0];
    drained.drain = failover::Override{failover::OverrideKind::drain, "", "root", sample_wall, {}};
    drained.leaving_until = sample_now + 12s;
    CHECK(service().at("drain_stage") == "graceful_shutdown");
    CHECK(service().at("drain_stage_s") == 12.0);
    drained.leaving_until.reset();
    CHECK(service().at("drain_stage") == "withdrawn");
    CHECK(service().at("drain_stage_s").is_null());
}

TEST_CASE("views: a check shows its bound, its last attempt and what it proves little of") {
    const auto snapshot = sample_snapshot();
    const json::object check = first(views::checks(snapshot));
    CHECK(text(check, "type") == "tcp");
    CHECK(text(check, "target") == "tcp://198.51.100.1:80");
    CHECK(check.at("detection_bound_s").as_double() ==
          daemon::seconds(health::detection_bound({})));
    const json::object last = check.at("last").as_object();
    CHECK(text(last, "result") == "pass");
    CHECK(last.at("duration_s").as_double() == 0.002);
    CHECK(last.at("age_s").as_double() == 0.998);
    CHECK(check.at("results") == json::object{{"pass", 40U}, {"fail", 2U}, {"unknown", 1U}});
    CHECK(check.at("held_until_s").is_null());
    CHECK(text(check, "caveat").find("proves little") != std::string::npos);
    CHECK(check.at("services") == json::array{"portal"});
}

TEST_CASE("views: a check that never ran has no last attempt") {
    auto snapshot = sample_snapshot();
    snapshot.site.checks[0].last.reset();
    CHECK(first(views::checks(snapshot)).at("last").is_null());
}

TEST_CASE("views: an unknown name gives an empty list") {
    const auto snapshot = sample_snapshot();
    CHECK(views::neighbors(snapshot, "nobody").empty());
    CHECK(views::services(snapshot, "nothing").empty());
    CHECK(views::checks(snapshot, "none").empty());
    CHECK(views::failovers(snapshot, 1).empty());
}

TEST_CASE("views: routes of this site carry the intent of their service and their holders") {
    const auto snapshot = sample_snapshot();
    const json::object answer = views::routes(snapshot, {}, 1000);
    const json::array& routes = answer.at("routes").as_array();
    REQUIRE(routes.size() == 2);
    CHECK(text(routes[0].as_object(), "service") == "portal");
    CHECK(text(routes[0].as_object(), "intent") == "announce");
    CHECK(routes[0].as_object().at("sent_to").to_number<int>() == 1);
    CHECK(answer.at("cut") == false);
}

TEST_CASE("views: the limit cuts routes off one after it") {
    const auto snapshot = sample_snapshot();
    CHECK(views::routes(snapshot, {}, 2).at("cut") == false);
    const json::object cut = views::routes(snapshot, {}, 1);
    CHECK(cut.at("routes").as_array().size() == 1);
    CHECK(cut.at("cut") == true);
}

TEST_CASE("views: a prefix of interest selects what covers it and what lies inside") {
    auto snapshot = sample_snapshot();
    snapshot.site.services[0].prefixes = {
        block({prefix("10.0.0.0/8"), prefix("10.1.0.0/16"), prefix("10.1.2.0/24"),
               prefix("10.1.3.0/24"), prefix("10.2.0.0/16"), prefix("11.0.0.0/8")})};
    const auto selected = [&](const char* wanted) {
        std::string out;
        daemon::for_each_route(snapshot, prefix(wanted), [&](const daemon::SiteRoute& route) {
            out += route.prefix.to_string() + " ";
            return true;
        });
        return out;
    };
    CHECK(selected("10.1.0.0/16") == "10.0.0.0/8 10.1.0.0/16 10.1.2.0/24 10.1.3.0/24 ");
    CHECK(selected("10.1.2.128/25") == "10.0.0.0/8 10.1.0.0/16 10.1.2.0/24 ");
    CHECK(selected("0.0.0.0/0") ==
          "10.0.0.0/8 10.1.0.0/16 10.1.2.0/24 10.1.3.0/24 10.2.0.0/16 11.0.0.0/8 ");
    CHECK(selected("12.0.0.0/8").empty());
    CHECK(selected("2001:db8::/32").empty());
}

TEST_CASE("views: an override on a prefix outranks its service as DESIGN.md orders them") {
    auto snapshot = sample_snapshot();
    const Prefix subject = prefix("198.51.100.0/24");
    const auto intent = [&] {
        const json::object answer = views::routes(snapshot, subject, 1000);
        return text(answer.at("routes").as_array().at(0).as_object(), "intent");
    };
    auto& on_prefix = snapshot.site.prefix_overrides;
    auto& service = snapshot.site.services[0];
    const failover::Override base{failover::OverrideKind::announce, "", "alice", sample_wall, {}};
    service.intent = failover::Intent::withdraw;
    on_prefix.insert_or_assign(subject, base);
    CHECK(intent() == "announce");
    service.drain = base;
    service.drain->kind = failover::OverrideKind::drain;
    service.intent = failover::Intent::drain;
    CHECK(intent() == "drain");
    on_prefix.at(subject).kind = failover::OverrideKind::withdraw;
    CHECK(intent() == "withdraw");
}

TEST_CASE("views: a manual route belongs to no service") {
    auto snapshot = sample_snapshot();
    const Prefix manual = prefix("198.51.100.128/25");
    snapshot.site.manual_routes = {manual};
    snapshot.neighbors[0].sent.push_back({block({manual}), {0, 1}});
    const json::object answer = views::routes(snapshot, {}, 1000);
    const json::object route = answer.at("routes").as_array().at(2).as_object();
    CHECK(route.at("service").is_null());
    CHECK(text(route, "intent") == "announce");
    CHECK(route.at("sent_to").to_number<int>() == 1);
}

TEST_CASE("views: a received route shows its attributes") {
    auto snapshot = sample_snapshot();
    auto attributes = std::make_shared<bgp::PathAttributes>();
    attributes->as_path.segments.push_back({bgp::AsPathSegment::Type::as_sequence,
                                            {Asn::from(64496).value(), Asn::from(64500).value()}});
    attributes->med = 5;
    attributes->communities = {*Community::parse("no_export")};
    snapshot.received.push_back({prefix("198.51.100.0/24"),
                                 "upstream-a",
                                 {.neighbor = 0,
                                  .next_hop = Address::parse("192.0.2.254").value(),
                                  .attributes = attributes,
                                  .since = sample_now - 3s,
                                  .own_as_in_path = true},
                                 true});
    snapshot.received_cut = true;
    const json::object answer = views::routes(snapshot, {}, 1000);
    const json::object route = answer.at("received").as_array().at(0).as_object();
    CHECK(text(route, "as_path") == "64496 64500");
    CHECK(text(route, "origin") == "igp");
    CHECK(route.at("med").to_number<int>() == 5);
    CHECK(route.at("local_pref").is_null());
    CHECK(route.at("communities") == json::array{"no_export"});
    CHECK(route.at("best") == true);
    CHECK(route.at("own_as_in_path") == true);
    CHECK(route.at("age_s").as_double() == 3.0);
    CHECK(answer.at("cut") == true);
}

TEST_CASE("views: a failover has its stages in seconds from the verdict") {
    auto snapshot = sample_snapshot();
    snapshot.failovers = {sample_failover(1), sample_failover(2)};
    const json::array all = views::failovers(snapshot);
    REQUIRE(all.size() == 2);
    CHECK(all[0].as_object().at("id").to_number<int>() == 2);  // newest first
    const json::object record = first(views::failovers(snapshot, 1));
    CHECK(record.at("detection_s").as_double() == 0.5);
    CHECK(record.at("written_s").as_double() == 50e-6);
    CHECK(record.at("acknowledged_s").as_double() == 0.001);
    const json::object neighbor = first(record.at("neighbors").as_array());
    CHECK(text(neighbor, "name") == "upstream-a");
    CHECK(neighbor.at("written_boottime_ns").to_number<std::int64_t>() == 999'900'050'000);
}

TEST_CASE("views: a stage of a failover stands open until the last neighbor reached it") {
    auto snapshot = sample_snapshot();
    auto record = sample_failover(1);
    record.neighbors.push_back({.neighbor = 1, .written = {}, .acknowledged = {}});
    snapshot.failovers = {record};
    CHECK(first(views::failovers(snapshot)).at("written_s").is_null());
    record.neighbors[1].session_lost = sample_now - 40ms;  // which withdraws as well
    snapshot.failovers = {record};
    const json::object lost = first(views::failovers(snapshot));
    CHECK(lost.at("written_s").as_double() == 50e-6);
    const json::array neighbors = lost.at("neighbors").as_array();
    CHECK(neighbors.at(0).at("session_lost_s").is_null());
    CHECK(neighbors.at(1).at("session_lost") == true);
    CHECK(neighbors.at(1).at("session_lost_s").as_double() == 0.06);
}

TEST_CASE("views: status carries everything one screen needs") {
    const auto snapshot = sample_snapshot();
    const json::object status = views::status(snapshot, {});
    CHECK(text(status, "schema") == "swerve.status/1");
    CHECK(text(status, "time") == "2027-01-15T08:00:00.000Z");
    CHECK(status.at("boottime_ns").to_number<std::int64_t>() == 1'000'000'000'000);
    CHECK(text(status, "site") == "fra1");
    CHECK(text(status, "mode") == "site");
    CHECK(status.at("local_as").to_number<std::uint32_t>() == 64500);
    CHECK(status.at("uptime_s").as_double() == 60.0);
    CHECK(status.at("stopping") == false);
    for (const auto* list : {"neighbors", "services", "checks", "events"}) {
        CHECK(status.at(list).is_array());
    }
}

TEST_CASE("views: explain says what the decision and the neighbors say") {
    const auto snapshot = sample_snapshot();
    const json::object answer = views::explain(snapshot, prefix("198.51.100.0/24"));
    CHECK(text(answer, "prefix") == "198.51.100.0/24");
    CHECK(answer.at("announced") == true);
    CHECK(answer.at("wanted") == true);
    CHECK(answer.at("steps").as_array().size() >= 4);
    const std::string whole = daemon::to_text(answer);
    CHECK(whole.find("proves little") != std::string::npos);
}

TEST_CASE("views: text of many lines keeps its line ends alone") {
    CHECK(views::text_lines("a\n\tb\x1b\n").as_string() == "a\n\\x09b\\x1b\n");
    CHECK(views::text_lines("").as_string().empty());
    CHECK(views::text_lines("no end").as_string() == "no end");
}

TEST_CASE("views: adj-out says what was sent, what is to be sent and what is to be done") {
    auto snapshot = sample_snapshot();
    const auto plain = std::make_shared<const bgp::RouteAttributes>();
    const auto longer = std::make_shared<const bgp::RouteAttributes>(bgp::RouteAttributes{
        .prepend = 2, .med = 5, .communities = {*Community::parse("64500:1")}});
    const Prefix subject = prefix("198.51.100.0/24");
    snapshot.adj_out = {
        {subject, "upstream-a", plain, plain},         {subject, "upstream-a", plain, nullptr},
        {subject, "upstream-a", longer, plain},        {subject, "upstream-a", nullptr, plain},
        {subject, "upstream-a", plain, nullptr, true}, {subject, "upstream-a", plain, plain, true}};
    snapshot.adj_out_cut = true;
    const json::object answer = views::adj_out(snapshot);
    CHECK(answer.at("cut") == true);
    std::vector<std::string> states;
    for (const auto& route : answer.at("adj_out").as_array()) {
        states.push_back(text(route.as_object(), "state"));
    }
    CHECK(states == std::vector<std::string>{"sent", "to_announce", "to_change", "to_withdraw",
                                             "withheld", "to_withdraw"});
    const json::object changed = answer.at("adj_out").as_array().at(2).as_object();
    CHECK(changed.at("sent").as_object().at("med").is_null());
    CHECK(changed.at("desired") == json::object{{"origin", "igp"},
                                                {"prepend", 2},
                                                {"med", 5},
                                                {"local_pref", nullptr},
                                                {"communities", {"64500:1"}},
                                                {"extended_communities", json::array{}},
                                                {"large_communities", json::array{}}});
    CHECK(answer.at("adj_out").as_array().at(3).as_object().at("desired").is_null());
}
