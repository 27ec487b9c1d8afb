// Keys, the words between daemon and worker, and what answers mean, without any server.

#include <doctest/doctest.h>

#include "health/probes/postgres_judge.hpp"
#include "health/probes/postgres_wire.hpp"
#include "tests/probes/support.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;

namespace {

std::string judged(const PostgresFailure& failure) {
    const Outcome outcome = judge_postgres_failure(failure, "HERE");
    return std::string{to_string(outcome.result)} + ": " + outcome.reason;
}

std::string of_state(std::string state) { return judged({false, false, std::move(state), "said"}); }

PostgresRows idle_standby() {
    return {"SELECT 1",
            {{"t", "t", "t", std::nullopt, "7", "", "on", "0", std::nullopt, "t", "63550", "f",
              "streaming", "18960", "0"}},
            {}};
}

FieldMap keys(FieldMap more) {
    more.insert(
        {{"endpoint", {Endpoint{Address::v4(0x7f000001), 5432}}}, {"username", text("swerve")}});
    return more;
}

}  // namespace

TEST_CASE("postgres: keys that contradict each other are refused by name") {
    const auto fault = [](FieldMap more) { return fault_of("postgres", keys(std::move(more))); };
    CHECK(fault({}) == "none");
    CHECK(fault({{"socket_directory", text("/run/postgresql")}}) ==
          "endpoint: one of endpoint and socket_directory must be given");
    CHECK(fault_of("postgres", {{"username", text("swerve")}}) ==
          "endpoint: one of endpoint and socket_directory must be given");
    CHECK(fault({{"role", text("master")}}) == "role: 'master' is no role");
    CHECK(fault({{"max_lag", {Duration{1s}}}}) == "max_lag: is asked of a standby");
    CHECK(fault({{"writable", {true}}}) == "writable: is asked of a primary");
    const auto heartbeat = [&](std::string name) {
        return fault({{"role", text("primary")},
                      {"heartbeat", {FieldMap{{"table", text(std::move(name))}}}}});
    };
    CHECK(heartbeat("swerve.heartbeat") == "none");
    for (const char* name : {"", "a.b.c", "x; drop table y", "a\"b", "1a", ".a", "a.", "A"}) {
        CHECK(heartbeat(name).starts_with("heartbeat.table: "));
    }
    CHECK(fault_of("postgres",
                   {{"socket_directory", text("/run/a,/run/b")}, {"username", text("swerve")}})
              .starts_with("socket_directory: has a comma in it"));
    const auto tls = [&](FieldMap group) { return fault({{"tls", {std::move(group)}}}); };
    CHECK(tls({{"mode", text("prefer")}}) == "tls.mode: 'prefer' is no mode");
    CHECK(tls({{"mode", text("verify-full")}}) ==
          "tls.ca_file: is missing, so that nothing could be verified");
    CHECK(tls({{"mode", text("require")}, {"ca_file", text("/x")}}) ==
          "tls.ca_file: is used by mode verify-full alone");
    CHECK(tls({{"mode", text("verify-full")}, {"ca_file", text("/x")}}) == "none");
    const auto named = [&](const char* name) {
        return tls(
            {{"mode", text("verify-full")}, {"ca_file", text("/x")}, {"server_name", text(name)}});
    };
    CHECK(named("db.example") == "none");
    CHECK(named("db1,db2") == "tls.server_name: 'db1,db2' is not a name of a server");
}

TEST_CASE("postgres: of two things to say of a check the graver is said") {
    const ProbeType& type = *find_probe_type("postgres");
    const auto caveat = [&](const char* address, FieldMap more) {
        more.insert({{"endpoint", {Endpoint{*Address::parse(address), 5432}}},
                     {"username", text("swerve")}});
        return type.caveat(more);
    };
    CHECK(caveat("192.0.2.1", {}).starts_with("whoever answers at that address passes"));
    CHECK(caveat("127.0.0.1", {}).starts_with("any role passes"));
    CHECK(caveat("127.0.0.1", {{"role", text("standby")}}) ==
          "nothing is asked of its lag, so a standby cut off from its primary passes");
    CHECK(caveat("127.0.0.1", {{"role", text("standby")}, {"max_lag", {Duration{1s}}}}).empty());
    CHECK(caveat("127.0.0.1", {{"role", text("standby")}, {"max_lag_bytes", {std::int64_t{1}}}})
              .empty());
}

TEST_CASE("postgres: SQLSTATE says whose fault it is") {
    for (const char* state : {"57P01", "57P02", "57P03", "53300", "53100", "54000", "25006",
                              "40001", "58030", "XX000", "08006", "57014"}) {
        CHECK(of_state(state).starts_with("fail: "));
    }
    for (const char* state :
         {"28P01", "28000", "3D000", "42501", "42P01", "42601", "08P01", "0A000", "22012", "?"}) {
        CHECK(of_state(state).starts_with("unknown: "));
    }
}

TEST_CASE("postgres: of a verbose message the SQLSTATE and the sentence are taken") {
    CHECK(judged({true, false, "",
                  "connection to server at \"192.0.2.1\", port 5432 failed: FATAL:  28P01: no such "
                  "luck\nLOCATION:  auth_failed, auth.c:335\n"}) ==
          "unknown: HERE: no such luck (SQLSTATE 28P01)");
    CHECK(judged({true, false, "", "FATAL:  not a state:  53300: full\n"}) ==
          "fail: HERE: full (SQLSTATE 53300)");
    CHECK(judged({true, false, "", "FATAL:  28P0"}) == "fail: HERE: FATAL:  28P0");
    CHECK(judged({true, false, "", ""}) == "fail: HERE: ");
    CHECK(judged({true, true, "", "fe_sendauth: no password supplied"}) ==
          "unknown: HERE asks for a password; set password_file");
    for (const char* ours : {"could not create socket: Address family not supported by protocol",
                             "authentication method 13 not supported",
                             "none of the server's SASL authentication mechanisms are supported",
                             "GSSAPI continuation error: no credentials"}) {
        CHECK(judged({true, false, "", ours}) == std::string{"unknown: HERE: "} + ours);
    }
    CHECK(judged({true, false, "", "root certificate file \"/x\" does not exist\nmore"}) ==
          "unknown: HERE: root certificate file \"/x\" does not exist");
}

TEST_CASE("postgres: how many standbys COMMIT waits for") {
    for (const auto& [names, count] : {std::pair{"", 0},
                                       {"  ", 0},
                                       {"a", 1},
                                       {"a, b", 1},
                                       {"*", 1},
                                       {"2 (a, b, c)", 2},
                                       {"FIRST 3 (a,b,c)", 3},
                                       {"first 2(a,b)", 2},
                                       {"ANY 2 (*)", 2},
                                       {"any  4\t(a)", 4},
                                       {"any", 1},
                                       {"first", 1},
                                       {"2nd, other", 1},
                                       {"99999999999999999999 (a)", 1},
                                       {"-1 (a)", 1},
                                       {"0 (a)", 1}}) {
        CAPTURE(names);
        CHECK(demanded_standbys(names) == count);
    }
}

TEST_CASE("postgres: an idle standby that hears its primary is not behind, up to 45 s") {
    PostgresFacts facts = *read_postgres_facts(idle_standby());
    CHECK(facts.in_recovery);
    CHECK(facts.timeline == 7);
    CHECK(postgres_lag(facts) == 0s);
    facts.bytes_behind = 1048576;
    CHECK(postgres_lag(facts) == 0s);
    // What was received is replayed, and the primary is far ahead of it.
    facts.bytes_behind = 1048577;
    CHECK(postgres_lag(facts) == 63'550ms);
    facts.bytes_behind.reset();
    CHECK(postgres_lag(facts) == 0s);
    facts.message_age_ms = 45'000;
    CHECK(postgres_lag(facts) == 0s);
    facts.message_age_ms = 45'001;
    CHECK(postgres_lag(facts) == 63'550ms);
    facts.message_age_ms = 0;
    facts.receiver = "waiting";
    CHECK(postgres_lag(facts) == 63'550ms);
    facts.receiver = "streaming";
    facts.received_is_replayed = false;
    CHECK(postgres_lag(facts) == 63'550ms);
    facts.replay_age_ms = -5;
    CHECK(postgres_lag(facts) == 0s);
    facts.replay_age_ms.reset();
    CHECK_FALSE(postgres_lag(facts));
}

TEST_CASE("postgres: the limits of lag, from both sides") {
    PostgresFacts facts = *read_postgres_facts(idle_standby());
    facts.received_is_replayed = false;
    facts.replay_age_ms = 2000;
    facts.bytes_behind = 4096;
    std::set<PostgresWaiter> before;
    PostgresWants wants{.role = PostgresRole::standby, .max_lag = 2s};
    CHECK(judge_postgres(wants, facts, before).result == ProbeResult::pass);
    facts.replay_age_ms = 2001;
    CHECK(judge_postgres(wants, facts, before).reason ==
          "standby on timeline 7, 2.001s behind, more than 2s");
    wants = {.role = PostgresRole::standby, .max_lag_bytes = 4096};
    CHECK(judge_postgres(wants, facts, before).result == ProbeResult::pass);
    facts.bytes_behind = 4097;
    CHECK(judge_postgres(wants, facts, before).result == ProbeResult::fail);
    facts.bytes_behind = 0;
    facts.receiver = "";
    CHECK(
        judge_postgres(wants, facts, before).reason ==
        "standby on timeline 7, how many bytes it is behind cannot be told, no WAL receiver runs");
}

TEST_CASE("postgres: answers that no server gives are no facts") {
    const auto with = [](std::size_t column, std::optional<std::string> value) {
        PostgresRows rows = idle_standby();
        rows.rows[0][column] = std::move(value);
        return read_postgres_facts(rows).has_value();
    };
    CHECK(with(0, "f"));
    CHECK_FALSE(with(0, "true"));
    CHECK_FALSE(with(0, std::nullopt));
    CHECK(with(3, "00000002000000000000000A"));
    CHECK_FALSE(with(3, "0000000200000000000000A"));
    CHECK_FALSE(with(3, "xx000002000000000000000A"));
    CHECK_FALSE(with(4, "-1"));
    CHECK_FALSE(with(7, "many"));
    CHECK(with(8, "12:1 13:2"));
    CHECK_FALSE(with(8, "12 13"));
    CHECK_FALSE(with(10, "1e9"));
    PostgresRows short_row = idle_standby();
    short_row.rows[0].pop_back();
    CHECK_FALSE(read_postgres_facts(short_row));
    CHECK_FALSE(read_postgres_facts({}));
}

TEST_CASE("postgres wire: what is written is what is read, in pieces and with more behind it") {
    const PostgresRequest request{
        {{"user", "swerve"}, {"password", std::string{"\0x", 2}}}, {"SELECT 1", ""}, 70'000};
    const std::vector<PostgresReply> replies{
        PostgresProgress{"connecting"}, PostgresRows{},
        PostgresRows{"UPDATE 1", {{"a", std::nullopt, ""}, {}}, {"SyncRepWaitForLSN"}},
        PostgresFailure{true, false, "28P01", "no"}, PostgresFailure{false, true, "", ""}};
    Bytes stream = *encode(request);
    std::optional<Bytes> body;
    REQUIRE(take_frame(stream, body));
    CHECK(stream.empty());
    CHECK(decode_postgres_request(*body) == request);
    CHECK_FALSE(decode_postgres_reply(*body));
    for (std::size_t size = 0; size < body->size(); ++size) {
        CHECK_FALSE(decode_postgres_request(ByteView{*body}.first(size)));
    }
    body->push_back(0);
    CHECK_FALSE(decode_postgres_request(*body));

    Bytes all;
    for (const PostgresReply& reply : replies) {
        const Bytes frame = *encode(reply);
        all.insert(all.end(), frame.begin(), frame.end());
    }
    std::vector<PostgresReply> read;
    for (const std::uint8_t octet : all) {
        stream.push_back(octet);
        REQUIRE(take_frame(stream, body));
        if (body) read.push_back(*decode_postgres_reply(*body));
    }
    CHECK(read == replies);
}

TEST_CASE("postgres wire: nothing longer or more than the limits") {
    CHECK(encode(PostgresReply{PostgresProgress{std::string(65'530, 'x')}}));
    CHECK_FALSE(encode(PostgresReply{PostgresProgress{std::string(65'531, 'x')}}));
    PostgresRequest request;
    request.statements.resize(64);
    CHECK(encode(request));
    request.statements.resize(65);
    CHECK_FALSE(encode(request));
    std::optional<Bytes> body;
    Bytes stream{0, 1, 0, 0};
    CHECK(take_frame(stream, body));
    CHECK_FALSE(body);
    stream = {0, 1, 0, 1};
    CHECK_FALSE(take_frame(stream, body));
}
