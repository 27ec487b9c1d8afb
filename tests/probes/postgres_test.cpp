// The probe against real servers.

#include <doctest/doctest.h>
#include <signal.h>
#include <time.h>

#include <fstream>

#include "health/probes/runtime.hpp"
#include "tests/probes/postgres_rig.hpp"
#include "tests/probes/web.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;

namespace {

/// "fail: reason", with the server's address as HERE.
std::string found(const Outcome& outcome, const Postgres& server) {
    std::string out = std::string{to_string(outcome.result)} + ": " + outcome.reason;
    const std::string name = server.endpoint().to_string();
    for (std::size_t at = out.find(name); at != std::string::npos; at = out.find(name)) {
        out.replace(at, name.size(), "HERE");
    }
    return out;
}

std::string look(const Postgres& server, FieldMap more, Duration timeout = 5s) {
    Loop loop;
    return found(loop.attempt("postgres", server.check(std::move(more)), timeout), server);
}

/// Whether this process has no worker left, dead or alive, once the loop has done what there is.
bool no_workers(Loop& loop) {
    return loop.run_until([] { return postgres_workers().empty(); });
}

FieldValue table(std::string name) { return {FieldMap{{"table", text(std::move(name))}}}; }

}  // namespace

TEST_CASE("postgres: a primary and its standby are told apart") {
    if (!has_postgres()) return;
    const auto& [primary, near] = PostgresPair::shared();
    CHECK(look(primary, {}) == "pass: HERE is primary on timeline 1");
    CHECK(look(primary, {{"role", text("primary")}}) ==
          "pass: HERE is primary on timeline 1, no COMMIT hangs");
    CHECK(look(primary, {{"role", text("standby")}}) ==
          "fail: HERE is a primary on timeline 1, not a standby");
    CHECK(near.becomes_true("EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status='streaming')"));
    CHECK(look(near, {}) == "pass: HERE is standby on timeline 1");
    CHECK(look(near, {{"role", text("standby")}}) == "pass: HERE is standby on timeline 1");
    CHECK(look(near, {{"role", text("primary")}}) ==
          "fail: HERE is a standby on timeline 1, not the primary");
}

TEST_CASE("postgres: who may not log in, and what is not there, says nothing of the service") {
    if (!has_postgres()) return;
    const Postgres& primary = PostgresPair::shared().primary;
    CHECK(look(primary, {{"password_file", text(primary.file("wrong"))}}) ==
          "unknown: HERE: password authentication failed for user \"swerve\" (SQLSTATE 28P01)");
    CHECK(look(primary, {{"username", text("nobody")}}) ==
          "unknown: HERE: password authentication failed for user \"nobody\" (SQLSTATE 28P01)");
    CHECK(look(primary, {{"database", text("nowhere")}}) ==
          "unknown: HERE: database \"nowhere\" does not exist (SQLSTATE 3D000)");
    FieldMap bare = primary.check();
    bare.erase("password_file");
    Loop loop;
    CHECK(found(loop.attempt("postgres", bare), primary) ==
          "unknown: HERE asks for a password; set password_file");
    CHECK(look(primary, {{"password_file", text(primary.file("missing"))}})
              .starts_with("unknown: password_file "));
    CHECK(look(primary, {{"username", text("plain")}, {"role", text("primary")}}) ==
          "unknown: HERE: the check's user may not see what other sessions wait for nor how "
          "replication stands; GRANT pg_monitor TO it");
    CHECK(look(primary,
               {{"username", text("plain")}, {"role", text("primary")}, {"writable", {false}}}) ==
          "pass: HERE is primary on timeline 1");
    CHECK(look(primary, {{"tls", {FieldMap{{"mode", text("require")}}}}}) ==
          "fail: HERE: server does not support SSL, but SSL was required");
    CHECK(no_workers(loop));
}

TEST_CASE("postgres: over the server's socket, without a password") {
    if (!has_postgres()) return;
    const Postgres& primary = PostgresPair::shared().primary;
    Loop loop;
    FieldMap values{{"socket_directory", text(primary.directory())},
                    {"port", {std::int64_t{primary.port()}}},
                    {"username", text("swerve")}};
    const Outcome outcome = loop.attempt("postgres", values);
    CHECK(outcome.reason ==
          primary.directory() + ":" + std::to_string(primary.port()) + " is primary on timeline 1");
    values["port"] = {std::int64_t{1}};
    const Outcome none = loop.attempt("postgres", values);
    CHECK(none.result == ProbeResult::fail);
    CHECK(none.reason.ends_with("No such file or directory"));
}

TEST_CASE("postgres: nobody there is a fail") {
    Loop loop;
    const Endpoint nobody{Address::v4(0x7f000001), free_port()};
    const Outcome outcome =
        loop.attempt("postgres", {{"endpoint", {nobody}}, {"username", text("swerve")}});
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == nobody.to_string() + ": Connection refused");
}

TEST_CASE("postgres: an idle pair has no lag, one whose replay is paused has") {
    if (!has_postgres()) return;
    const auto& [primary, near] = PostgresPair::shared();
    const FieldMap wants{{"role", text("standby")},
                         {"max_lag", {Duration{1s}}},
                         {"max_lag_bytes", {std::int64_t{0}}}};
    (void)primary.sql("INSERT INTO load VALUES ('first')");
    REQUIRE(near.becomes_true("EXISTS (SELECT FROM load)"));
    // The age of the last transaction, which a naive look takes for the lag.
    REQUIRE(near.becomes_true("now() - pg_last_xact_replay_timestamp() > interval '1.1 s'"));
    CHECK(look(near, wants) == "pass: HERE is standby on timeline 1, 0s behind, 0 bytes behind");

    (void)near.sql("SELECT pg_wal_replay_pause()");
    REQUIRE(near.becomes_true("pg_get_wal_replay_pause_state() = 'paused'"));
    (void)primary.sql("INSERT INTO load SELECT repeat('x', 1000) FROM generate_series(1, 100)");
    REQUIRE(near.becomes_true("pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()"));
    const std::string late = look(near, wants);
    CHECK(late.starts_with("fail: HERE standby on timeline 1, "));
    CHECK(late.ends_with("s behind, more than 1s, replay is paused"));
    const std::string bytes =
        look(near, {{"role", text("standby")}, {"max_lag_bytes", {std::int64_t{1000}}}});
    CHECK(bytes.starts_with("fail: HERE standby on timeline 1, "));
    CHECK(bytes.ends_with(" bytes behind, more than 1000, replay is paused"));
    (void)near.sql("SELECT pg_wal_replay_resume()");
    REQUIRE(near.becomes_true("pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()"));
    CHECK(look(near, wants).starts_with("pass: "));
}

TEST_CASE("postgres: the heartbeat is written, and tells what keeps it from being") {
    if (!has_postgres()) return;
    const Postgres& primary = PostgresPair::shared().primary;
    const auto beat = [&](const std::string& name, FieldMap more = {}) {
        more.insert({{"role", text("primary")}, {"heartbeat", table(name)}});
        return look(primary, std::move(more));
    };
    CHECK(beat("public.heartbeat") ==
          "pass: HERE is primary on timeline 1, no COMMIT hangs, heartbeat written");
    CHECK(primary.sql("SELECT now() - beat < interval '10 s' FROM heartbeat") == "t");
    CHECK(beat("empty") == "unknown: HERE: empty is empty; insert the one row of the heartbeat");
    CHECK(beat("load").starts_with("unknown: HERE: column \"beat\" of relation \"load\""));
    CHECK(beat("absent").starts_with("unknown: HERE: relation \"absent\" does not exist"));
    CHECK(beat("locked").starts_with("unknown: HERE: permission denied for table locked"));
    (void)primary.sql("ALTER ROLE swerve SET default_transaction_read_only = on");
    CHECK(beat("heartbeat") ==
          "fail: HERE primary on timeline 1, but read-only: default_transaction_read_only is on");
    CHECK(beat("heartbeat", {{"writable", {false}}}) ==
          "fail: HERE: cannot execute UPDATE in a read-only transaction (SQLSTATE 25006)");
    (void)primary.sql("ALTER ROLE swerve RESET default_transaction_read_only");
}

TEST_CASE("postgres: a lost synchronous standby is seen, by every means") {
    if (!has_postgres()) return;
    Postgres& primary = PostgresPair::shared().primary;
    Postgres far(primary, "far");
    REQUIRE(primary.becomes_true(
        "EXISTS (SELECT FROM pg_stat_replication WHERE application_name='far' AND "
        "state='streaming')"));
    primary.set("synchronous_standby_names", "FIRST 1 (far)");
    REQUIRE(
        primary.becomes_true("EXISTS (SELECT FROM pg_stat_replication WHERE sync_state='sync')"));
    const FieldMap counts{
        {"role", text("primary")}, {"writable", {false}}, {"sync_standbys", {std::int64_t{1}}}};
    const FieldMap writes{
        {"role", text("primary")}, {"writable", {false}}, {"heartbeat", table("heartbeat")}};
    CHECK(look(primary, counts) ==
          "pass: HERE is primary on timeline 1, 1 synchronous standby streaming");
    CHECK(look(primary, writes) == "pass: HERE is primary on timeline 1, heartbeat written");

    far.stop();
    REQUIRE(primary.becomes_true(
        "NOT EXISTS (SELECT FROM pg_stat_replication WHERE application_name='far')"));
    CHECK(look(primary, counts) ==
          "fail: HERE primary on timeline 1, 0 synchronous standbys streaming, but 1 is demanded");
    CHECK(look(primary, {{"role", text("primary")}}) ==
          "fail: HERE primary on timeline 1, but every COMMIT hangs: synchronous_standby_names is "
          "'FIRST 1 (far)', and of the 1 synchronous standby that it waits for none is streaming");
    CHECK(look(primary, writes, 1s) ==
          "fail: HERE: the COMMIT of a row in heartbeat waited in vain for a synchronous standby");
    // The server has ended the wait by itself: no session is left hanging by the probe.
    CHECK(primary.becomes_true(
        "NOT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event='SyncRep')"));

    // What sessions wait for tells the same where the settings of the check's role do not.
    (void)primary.sql(
        "SET synchronous_commit = local; ALTER ROLE swerve SET synchronous_commit = local");
    Loop loop;
    const auto probe = make_probe("postgres", primary.check({{"role", text("primary")}}));
    CHECK(loop.attempt(*probe).result == ProbeResult::pass);
    const auto hanging = primary.psql("INSERT INTO load VALUES ('hangs')");
    REQUIRE(
        primary.becomes_true("EXISTS (SELECT FROM pg_stat_activity WHERE wait_event='SyncRep')"));
    const std::string process =
        primary.sql("SELECT pid FROM pg_stat_activity WHERE wait_event='SyncRep'");
    CHECK(loop.attempt(*probe).result == ProbeResult::pass);
    CHECK(found(loop.attempt(*probe), primary) ==
          "fail: HERE primary on timeline 1, but 1 session waits in COMMIT for a synchronous "
          "standby since the attempt before, among them process " +
              process);
    (void)primary.sql("SET synchronous_commit = local; ALTER ROLE swerve RESET synchronous_commit");
    primary.set("synchronous_standby_names", "");
    CHECK(hanging->wait() == 0);
    CHECK(loop.attempt(*probe).result == ProbeResult::pass);
}

TEST_CASE("postgres: a standby that is promoted and demands a standby of its own is no primary") {
    if (!has_postgres()) return;
    Postgres promoted(PostgresPair::shared().primary, "promoted");
    promoted.set("synchronous_standby_names", "gone");
    Loop loop;
    const auto standby = make_probe("postgres", promoted.check({{"role", text("standby")}}));
    const auto primary = make_probe("postgres", promoted.check({{"role", text("primary")}}));
    CHECK(loop.attempt(*standby).result == ProbeResult::pass);
    CHECK(found(loop.attempt(*primary), promoted) ==
          "fail: HERE is a standby on timeline 1, not the primary");
    CHECK(promoted.sql("SELECT pg_promote()") == "t");
    // On the connections that were opened before it was promoted.
    CHECK(found(loop.attempt(*standby), promoted) ==
          "fail: HERE is a primary on timeline 2, not a standby");
    CHECK(found(loop.attempt(*primary), promoted) ==
          "fail: HERE primary on timeline 2, but every COMMIT hangs: synchronous_standby_names is "
          "'gone', and of the 1 synchronous standby that it waits for none is streaming");
    promoted.set("synchronous_standby_names", "");
    CHECK(found(loop.attempt(*primary), promoted) ==
          "pass: HERE is primary on timeline 2, no COMMIT hangs");
}

TEST_CASE("postgres: the connection is kept, and made anew where it ended meanwhile") {
    if (!has_postgres()) return;
    Postgres server;
    Loop loop;
    const auto probe = make_probe("postgres", server.check({{"role", text("primary")}}));
    CHECK(loop.attempt(*probe).result == ProbeResult::pass);
    const std::string session = "SELECT pid FROM pg_stat_activity WHERE application_name='swerve'";
    const std::string first = server.sql(session);
    CHECK(loop.attempt(*probe).result == ProbeResult::pass);
    CHECK(server.sql(session) == first);
    // An administrator ends it; then the server restarts.
    (void)server.sql("SELECT pg_terminate_backend(" + first + ")");
    CHECK(loop.attempt(*probe).result == ProbeResult::pass);
    CHECK(server.sql(session) != first);
    const std::vector<int> workers = postgres_workers();
    CHECK(workers.size() == 1);
    server.stop();
    const Outcome down = loop.attempt(*probe);
    CHECK(found(down, server) == "fail: HERE: Connection refused");
    server.start();
    CHECK(loop.attempt(*probe).result == ProbeResult::pass);
    CHECK(postgres_workers() == workers);
    // A password that was changed is used at once.
    (void)server.sql("ALTER ROLE swerve PASSWORD 'neu'");
    std::ofstream(server.file("password"), std::ios::trunc) << "neu\n";
    CHECK(loop.attempt(*probe).result == ProbeResult::pass);
    (void)server.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
        "application_name='swerve'; ALTER ROLE swerve PASSWORD 'anders'");
    CHECK(loop.attempt(*probe).result == ProbeResult::unknown);
}

TEST_CASE("postgres: a server without room for one more session fails") {
    if (!has_postgres()) return;
    Postgres server;
    (void)server.sql("ALTER ROLE swerve CONNECTION LIMIT 0");
    CHECK(look(server, {}) ==
          "fail: HERE: too many connections for role \"swerve\" (SQLSTATE 53300)");
}

TEST_CASE("postgres: a server that is frozen costs the timeout and the worker, no more") {
    if (!has_postgres()) return;
    Postgres server;
    Loop loop;
    const auto probe = make_probe("postgres", server.check({{"role", text("primary")}}));
    server.signal(SIGSTOP);
    CHECK(found(loop.attempt(*probe, 2s), server) ==
          "fail: no answer within 2s, HERE: in the authentication");
    CHECK(no_workers(loop));
    server.signal(SIGCONT);
    CHECK(loop.attempt(*probe).result == ProbeResult::pass);
    // The session alone.
    const int session =
        std::stoi(server.sql("SELECT pid FROM pg_stat_activity WHERE application_name='swerve'"));
    const auto worker = postgres_workers();
    REQUIRE(worker.size() == 1);
    ::kill(session, SIGSTOP);
    CHECK(found(loop.attempt(*probe, 2s), server) ==
          "fail: no answer within 2s, HERE: asking how it stands");
    CHECK(no_workers(loop));
    ::kill(session, SIGCONT);
    CHECK(loop.attempt(*probe).result == ProbeResult::pass);
    CHECK(postgres_workers() != worker);
}

TEST_CASE("postgres: over TLS, whom to trust and for whom the certificate is") {
    if (!has_postgres()) return;
    const Certificates certificates;
    Postgres server;
    server.serve_tls(certificates.file("good.pem"), certificates.file("good.key"));
    const auto over = [&](FieldMap group) { return look(server, {{"tls", {std::move(group)}}}); };
    const std::string fine = "pass: HERE is primary on timeline 1";
    CHECK(over({{"mode", text("require")}}) == fine);
    FieldMap full{{"mode", text("verify-full")}, {"ca_file", text(certificates.file("ca.pem"))}};
    CHECK(over(full) == fine);
    full["server_name"] = text("portal.example");
    CHECK(over(full) == fine);
    full["server_name"] = text("other.example");
    CHECK(over(full).find("does not match host name \"other.example\"") != std::string::npos);
    CHECK(over(full).starts_with("fail: "));
    full.erase("server_name");
    full["ca_file"] = text(certificates.file("other.pem"));
    CHECK(over(full) == "fail: HERE: SSL error: certificate verify failed");
    full["ca_file"] = text(certificates.file("missing.pem"));
    CHECK(over(full).starts_with("unknown: HERE: root certificate file "));
    server.serve_tls(certificates.file("expired.pem"), certificates.file("expired.key"));
    full["ca_file"] = text(certificates.file("ca.pem"));
    CHECK(over(full) == "fail: HERE: SSL error: certificate verify failed");
}

TEST_CASE("postgres: the CPU that an attempt costs on a kept connection") {
    if (!has_postgres()) return;
    const Postgres& primary = PostgresPair::shared().primary;
    Loop loop;
    const auto probe = make_probe("postgres", primary.check({{"role", text("primary")}}));
    CHECK(loop.attempt(*probe).result == ProbeResult::pass);
    const auto ours = [] {
        ::timespec spent{};
        ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
        return static_cast<double>(spent.tv_sec) * 1e6 + static_cast<double>(spent.tv_nsec) / 1e3;
    };
    const auto of_worker = [] {
        double spent_ns = 0;
        std::ifstream("/proc/" + std::to_string(postgres_workers().at(0)) + "/schedstat") >>
            spent_ns;
        return spent_ns / 1e3;
    };
    constexpr int times = 200;
    const double worker_before = of_worker();
    const double before = ours();
    for (int i = 0; i < times; ++i) (void)loop.attempt(*probe);
    const double each = (ours() - before) / times;
    MESSAGE("daemon's side " << each << " us, worker " << (of_worker() - worker_before) / times
                             << " us an attempt");
    // The claim is 1 ms; builds with sanitizers take several times what others do.
    CHECK(each < 5000);
}
