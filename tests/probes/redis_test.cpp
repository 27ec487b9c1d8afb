#include <doctest/doctest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <vector>

#include "tests/probes/freeze.hpp"
#include "tests/probes/redis_rig.hpp"
#include "tests/probes/support.hpp"
#include "tests/probes/web.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr std::string_view secret = "correct-horse-battery";

FieldMap at(const Endpoint& endpoint) { return {{"endpoint", {endpoint}}}; }
FieldMap with(FieldMap values, std::string key, FieldValue value) {
    values[std::move(key)] = std::move(value);
    return values;
}
FieldMap as(const Endpoint& endpoint, std::string role) {
    return with(at(endpoint), "role", text(std::move(role)));
}
FieldMap with_password(FieldMap values, const TempDir& dir, std::string_view password) {
    const std::string file = dir.write("password", std::string{password} + "\n");
    std::filesystem::permissions(file, std::filesystem::perms{0600});
    return with(std::move(values), "password_file", text(file));
}

/// Attempts until the probe says so; the last outcome.
Outcome comes_to(Loop& loop, ProbeResult result, const FieldMap& values) {
    const auto probe = make_probe("redis", values);
    Outcome outcome;
    loop.run_until([&] {
        outcome = loop.attempt(*probe);
        return outcome.result == result;
    });
    return outcome;
}

asio::awaitable<void> converse(tcp::socket socket, std::vector<std::string> answers, bool stay) {
    constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
    std::array<char, 4096> command{};
    for (const std::string& answer : answers) {
        auto [error, count] = co_await socket.async_read_some(asio::buffer(command), as_result);
        if (error) co_return;
        std::tie(error, count) =
            co_await asio::async_write(socket, asio::buffer(answer), as_result);
        if (error) co_return;
    }
    while (stay) {
        auto [error, count] = co_await socket.async_read_some(asio::buffer(command), as_result);
        if (error) co_return;
    }
}

/// A stand-in that gives one of these for each command, then closes.
Server::Serve answers(std::vector<std::string> all) {
    return [all](tcp::socket socket) { return converse(std::move(socket), all, false); };
}
/// … or then says nothing any more.
Server::Serve answers_and_stays(std::vector<std::string> all) {
    return [all](tcp::socket socket) { return converse(std::move(socket), all, true); };
}

/// What the probe makes of a stand-in with these answers.
Outcome judged(std::vector<std::string> all, std::string key = "", FieldValue value = {}) {
    Loop loop;
    Server server(loop, answers(std::move(all)));
    FieldMap values = at(server.endpoint());
    if (!key.empty()) values[key] = std::move(value);
    return loop.attempt("redis", values);
}

std::string bulk(const std::string& content) {
    return "$" + std::to_string(content.size()) + "\r\n" + content + "\r\n";
}

}  // namespace

TEST_CASE("redis: a master and its replica, which loses it") {
    if (!has_redis()) return;
    Loop loop;
    const Redis master;
    Outcome outcome = loop.attempt("redis", as(master.endpoint(), "master"));
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "master with 0 replicas in reach");
    outcome = loop.attempt("redis", as(master.endpoint(), "replica"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == master.endpoint().to_string() + " is a master");
    const FieldMap needing =
        with(with(as(master.endpoint(), "master"), "replicas", {std::int64_t{1}}), "max_lag",
             {std::int64_t{1'000'000}});
    outcome = loop.attempt("redis", needing);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "master with 0 replicas in reach and within max_lag, 1 are needed");

    const Redis replica(master.as_master());
    const FieldMap following =
        with(as(replica.endpoint(), "replica"), "max_lag", {std::int64_t{1000}});
    outcome = comes_to(loop, ProbeResult::pass, following);
    CHECK(outcome.reason ==
          "replica of '" + master.endpoint().to_string() + "', 0 octets not applied");
    outcome = comes_to(loop, ProbeResult::pass, needing);
    CHECK(outcome.reason == "master with 1 replicas in reach and within max_lag");
    outcome = loop.attempt("redis", as(replica.endpoint(), "master"));
    CHECK(outcome.result == ProbeResult::fail);

    // A master that hangs keeps the link up for a minute: only its silence tells.
    freeze(master.process());
    CHECK(loop.attempt("redis", at(master.endpoint()), 80ms).reason ==
          "no answer within 80ms, waiting for the answer to PING from " +
              master.endpoint().to_string());
    outcome = comes_to(loop, ProbeResult::fail,
                       with(as(replica.endpoint(), "replica"), "max_silence", {Duration{1s}}));
    CHECK(outcome.reason.find("', silent for ") != std::string::npos);
    master.process().kill();
    outcome = comes_to(loop, ProbeResult::fail, following);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason.find("', link down for ") != std::string::npos);
    CHECK(loop.attempt("redis", with(at(replica.endpoint()), "link", text("any"))).result ==
          ProbeResult::pass);
    replica.command({"CONFIG", "SET", "replica-serve-stale-data", "no"});
    outcome = loop.attempt("redis", with(at(replica.endpoint()), "link", text("any")));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason.find("answers PING with 'MASTERDOWN ") != std::string::npos);
}

TEST_CASE("redis: a replica that hangs is not in reach of its master") {
    if (!has_redis()) return;
    Loop loop;
    const Redis master;
    const Redis replica(master.as_master());
    const FieldMap needing =
        with(with(as(master.endpoint(), "master"), "replicas", {std::int64_t{1}}), "max_silence",
             {Duration{2s}});
    CHECK(comes_to(loop, ProbeResult::pass, needing).result == ProbeResult::pass);
    freeze(replica.process());
    const Outcome outcome = comes_to(loop, ProbeResult::fail, needing);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "master with 0 replicas in reach, 1 are needed");
}

TEST_CASE("redis: passwords and users") {
    if (!has_redis()) return;
    Loop loop;
    TempDir dir;
    const Redis server(
        "requirepass correct-horse-battery\n"
        "user watcher on >watch-word resetchannels -@all +ping +info\n"
        "user pinger on >ping-word resetchannels -@all +ping\n");
    const std::string who = server.endpoint().to_string();
    Outcome outcome = loop.attempt("redis", at(server.endpoint()));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == who + " asks for a password: give `password_file`");
    outcome = loop.attempt("redis", with_password(at(server.endpoint()), dir, "wrong"));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == who + " refuses the user or the password");
    CHECK(loop.attempt("redis", with_password(at(server.endpoint()), dir, secret)).result ==
          ProbeResult::pass);
    const auto as_user = [&](std::string user, std::string_view password) {
        return loop.attempt("redis", with(with_password(at(server.endpoint()), dir, password),
                                          "username", text(std::move(user))));
    };
    CHECK(as_user("watcher", "watch-word").result == ProbeResult::pass);
    CHECK(as_user("watcher", secret).result == ProbeResult::unknown);
    outcome = as_user("pinger", "ping-word");
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason.starts_with(who + " does not let this user run INFO: 'NOPERM "));
    outcome =
        loop.attempt("redis", with(at(server.endpoint()), "password_file", text(dir.file("none"))));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == "password_file " + dir.file("none") + ": No such file or directory");

    const Redis open;
    CHECK(loop.attempt("redis", with_password(at(open.endpoint()), dir, secret)).reason ==
          open.endpoint().to_string() +
              " cannot take the password: it may have none, or know no users");
}

TEST_CASE("redis: a server that loads its data set is not ready") {
    if (!has_redis()) return;
    Loop loop;
    Redis server("enable-debug-command yes\n");
    CHECK(loop.attempt("redis", at(server.endpoint())).result == ProbeResult::pass);
    server.command({"DEBUG", "POPULATE", "200", "key", "2000"});
    server.restart("key-load-delay 100000\nloading-process-events-interval-bytes 1024\n");
    const Outcome outcome = loop.attempt("redis", at(server.endpoint()));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason.find(" answers PING with 'LOADING ") != std::string::npos);
}

TEST_CASE("redis: over TLS, verified") {
    if (!has_redis()) return;
    Loop loop;
    const Certificates certificates;
    const std::uint16_t port = free_port();
    const Redis server("tls-port " + std::to_string(port) +
                       "\ntls-auth-clients no\ntls-cert-file " + certificates.file("good.pem") +
                       "\ntls-key-file " + certificates.file("good.key") + "\ntls-ca-cert-file " +
                       certificates.file("ca.pem") + "\n");
    const auto trusting = [&](std::string_view authority) {
        return with(
            at({Address::v4(0x7f000001), port}), "tls",
            {FieldMap{{"enabled", {true}}, {"ca_file", text(certificates.file(authority))}}});
    };
    CHECK(loop.attempt("redis", trusting("ca.pem")).reason == "master with 0 replicas in reach");
    CHECK(loop.attempt("redis", with(trusting("ca.pem"), "server_name", text("portal.example")))
              .result == ProbeResult::pass);
    CHECK(loop.attempt("redis", with(trusting("ca.pem"), "server_name", text("other.example")))
              .reason.find("certificate") != std::string::npos);
    CHECK(loop.attempt("redis", trusting("other.pem")).result != ProbeResult::pass);
    FieldMap plain = trusting("ca.pem");
    plain.erase("tls");
    CHECK(loop.attempt("redis", plain).result != ProbeResult::pass);
}

TEST_CASE("redis: a server that asks for a certificate, over TLS 1.3 after the handshake") {
    if (!has_redis()) return;
    Loop loop;
    const Certificates certificates;
    const std::uint16_t port = free_port();
    const Redis server("tls-port " + std::to_string(port) +
                       "\ntls-auth-clients yes\ntls-cert-file " + certificates.file("good.pem") +
                       "\ntls-key-file " + certificates.file("good.key") + "\ntls-ca-cert-file " +
                       certificates.file("ca.pem") + "\n");
    FieldMap tls{{"enabled", {true}}, {"ca_file", text(certificates.file("ca.pem"))}};
    const auto look = [&] {
        return loop.attempt("redis", with(at({Address::v4(0x7f000001), port}), "tls", {tls}));
    };
    const Outcome outcome = look();
    CAPTURE(outcome.reason);
    CHECK(outcome.result == ProbeResult::unknown);
    tls["certificate_file"] = text(certificates.file("good.pem"));
    tls["key_file"] = text(certificates.file("good.key"));
    CHECK(look().result == ProbeResult::pass);
}

TEST_CASE("redis: stand-ins that refuse") {
    Outcome outcome = judged({"-LOADING Redis is loading the dataset in memory\r\n"});
    CHECK(outcome.result == ProbeResult::fail);
    outcome = judged({"-ERR max number of clients reached\r\n"});
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason.find(" takes no more clients: ") != std::string::npos);
    CHECK(judged({"-DENIED Redis is running in protected mode\r\n"}).result ==
          ProbeResult::unknown);
    CHECK(judged({"-MISCONF Errors writing to the AOF file\r\n"}).result == ProbeResult::fail);
    CHECK(judged({"-BUSY Redis is busy running a script\r\n"}).result == ProbeResult::fail);
    CHECK(judged({"-ERR unknown command\r\n"}).result == ProbeResult::unknown);
    CHECK(judged({"+PONG\r\n", "-ERR unknown command\r\n"}).result == ProbeResult::unknown);
    {
        Loop loop;
        const TempDir dir;
        const Server old(loop, answers({"-ERR invalid password\r\n"}));
        CHECK(loop.attempt("redis", with_password(at(old.endpoint()), dir, secret))
                  .reason.ends_with(" refuses the user or the password"));
    }
    CHECK(judged({"+OK\r\n"}).reason.ends_with("instead of PONG: it may be no Redis"));
}

TEST_CASE("redis: a stand-in whose replica says odd things") {
    const std::string up =
        "role:slave\r\nmaster_host:\x1b[2J\r\nmaster_port:1\r\nmaster_link_status:up\r\n";
    Outcome outcome = judged({"+PONG\r\n", bulk(up + "master_last_io_seconds_ago:-1\r\n")});
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "replica of '\\x1b[2J:1', which has said nothing yet");
    CHECK(judged({"+PONG\r\n", bulk(up)}).result == ProbeResult::fail);
    CHECK(judged({"+PONG\r\n", bulk(up + "master_last_io_seconds_ago:15\r\n")}).result ==
          ProbeResult::pass);
    CHECK(judged({"+PONG\r\n", bulk(up + "master_last_io_seconds_ago:16\r\n")}).result ==
          ProbeResult::fail);
    CHECK(judged({"+PONG\r\n", bulk(up + "master_last_io_seconds_ago:9223372036854775807\r\n")})
              .result == ProbeResult::fail);
    const std::string fresh = up + "master_last_io_seconds_ago:1\r\n";
    const FieldValue lag{std::int64_t{10}};
    CHECK(judged({"+PONG\r\n", bulk(fresh)}, "max_lag", lag).result == ProbeResult::unknown);
    CHECK(judged({"+PONG\r\n",
                  bulk(fresh + "slave_read_repl_offset:110\r\nslave_repl_offset:100\r\n")},
                 "max_lag", lag)
              .result == ProbeResult::pass);
    CHECK(judged({"+PONG\r\n",
                  bulk(fresh + "slave_read_repl_offset:111\r\nslave_repl_offset:100\r\n")},
                 "max_lag", lag)
              .result == ProbeResult::fail);
}

TEST_CASE("redis: offsets that no server has") {
    const std::string up =
        "role:slave\r\nmaster_host:h\r\nmaster_port:1\r\nmaster_link_status:up\r\n"
        "master_last_io_seconds_ago:1\r\n";
    const FieldValue lag{std::int64_t{10}};
    CHECK(judged({"+PONG\r\n", bulk(up + "slave_read_repl_offset:9223372036854775807\r\n"
                                         "slave_repl_offset:-2\r\n")},
                 "max_lag", lag)
              .result == ProbeResult::fail);
    Loop loop;
    const auto master = [&](const std::string& offset, const std::string& replica) {
        Server server(loop,
                      answers({"+PONG\r\n",
                               bulk("role:master\r\nmaster_repl_offset:" + offset +
                                    "\r\nslave0:ip=h,port=1,state=online," + replica + "\r\n")}));
        return loop
            .attempt("redis", with(with(as(server.endpoint(), "master"), "max_lag", lag),
                                   "replicas", {std::int64_t{1}}))
            .result;
    };
    CHECK(master("110", "offset=100,lag=15") == ProbeResult::pass);
    CHECK(master("111", "offset=100,lag=15") == ProbeResult::fail);
    CHECK(master("110", "offset=100,lag=16") == ProbeResult::fail);
    CHECK(master("110", "offset=100,lag=-1") == ProbeResult::fail);
    CHECK(master("110", "offset=100") == ProbeResult::fail);
    CHECK(master("9223372036854775807", "offset=-2,lag=0") == ProbeResult::fail);
}

TEST_CASE("redis: hostile stand-ins") {
    CHECK(judged({""}).reason.find(" closed without an answer to PING") != std::string::npos);
    CHECK(judged({"+PONG\r\n"}).result == ProbeResult::fail);
    CHECK(judged({"+PONG\r\n+PONG\r\n"}).reason.ends_with(" says more than it was asked"));
    Outcome outcome = judged({"HTTP/1.1 400 Bad Request\r\n\r\n"});
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason.find("what cannot be read: ") != std::string::npos);
    CHECK(judged({"$99999999\r\n"}).result == ProbeResult::unknown);
    CHECK(judged({"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"}).result == ProbeResult::unknown);
    CHECK(judged({std::string(1 << 20, '+')}).result == ProbeResult::unknown);
    CHECK(judged({std::string(4096, '\xff')}).result == ProbeResult::unknown);
    CHECK(judged({"+PONG\r\n", "$70000\r\n" + std::string(70000, 'x')}).result ==
          ProbeResult::unknown);
    CHECK(judged({"+PONG\r\n", ":1\r\n"}).result == ProbeResult::unknown);

    Loop loop;
    Server resetting(loop, [](tcp::socket socket) -> asio::awaitable<void> {
        socket.set_option(asio::socket_base::linger(true, 0));
        socket.close();
        co_return;
    });
    outcome = loop.attempt("redis", at(resetting.endpoint()));
    CHECK(outcome.result == ProbeResult::fail);
    for (const std::size_t steps : {0U, 1U}) {
        Server hanging(loop, answers_and_stays(std::vector<std::string>(steps, "+PONG\r\n")));
        outcome = loop.attempt("redis", at(hanging.endpoint()), 80ms);
        CHECK(outcome.result == ProbeResult::fail);
        CHECK(outcome.reason == "no answer within 80ms, waiting for the answer to " +
                                    std::string{steps == 0 ? "PING" : "INFO"} + " from " +
                                    hanging.endpoint().to_string());
    }
    Server dripping(loop, drips("+PONG\r\n"));
    outcome = loop.attempt("redis", at(dripping.endpoint()));
    CHECK(outcome.reason.ends_with(" closed without an answer to INFO"));
}

TEST_CASE("redis: a secret that a server repeats is not told") {
    Loop loop;
    TempDir dir;
    const std::string echo = "with args '" + std::string{secret} + "'";
    const std::vector<std::vector<std::string>> scripts{
        {"-ERR unknown command `AUTH`, " + echo + "\r\n"},
        {"-BUSY " + echo + "\r\n"},
        {std::string{secret} + "\r\n"},
        {"+OK\r\n", std::string{secret.substr(0, 10)}},
        {"+OK\r\n", "-WEIRD " + echo + "\r\n"},
        {"+OK\r\n", "+" + echo + "\r\n"},
        {"+OK\r\n", "+PONG\r\n", "-NOPERM " + echo + "\r\n"},
        {"+OK\r\n", "+PONG\r\n", "*" + std::string{secret} + "\r\n"},
        {"+OK\r\n", "+PONG\r\n", bulk("role:" + std::string{secret} + "\r\n")},
        {"+OK\r\n", "+PONG\r\n",
         bulk("role:slave\r\nmaster_link_status:down\r\nmaster_host:" + std::string{secret})},
    };
    for (const auto& script : scripts) {
        Server server(loop, answers(script));
        std::string steps;
        const ProbeContext context{.owned = {},
                                   .step = [&](const std::string& done) { steps += done; }};
        const Outcome outcome =
            loop.attempt("redis", with_password(at(server.endpoint()), dir, secret), 5s, context);
        CHECK(outcome.result != ProbeResult::pass);
        INFO(outcome.reason);
        CHECK(outcome.reason.find(secret) == std::string::npos);
        CHECK(steps.find(secret) == std::string::npos);
    }
}

TEST_CASE("redis: values that make no probe") {
    const FieldMap values = at(*Endpoint::parse("127.0.0.1:6379"));
    CHECK(fault_of("redis", values) == "none");
    CHECK(fault_of("redis", at(*Endpoint::parse("127.0.0.1:0"))) ==
          "endpoint: port 0 cannot be connected to");
    CHECK(fault_of("redis", with(values, "role", text("slave"))) == "role: 'slave' is no role");
    CHECK(fault_of("redis", with(values, "link", text("down"))) ==
          "link: 'down' is no state of a link");
    CHECK(fault_of("redis", with(values, "max_silence", {Duration{999ms}}))
              .starts_with("max_silence: is less than 1s"));
    CHECK(fault_of("redis", with(values, "max_silence", {Duration{1s}})) == "none");
    CHECK(fault_of("redis", with(values, "username", text("me"))) ==
          "password_file: is missing: a user needs a password");
    CHECK(fault_of("redis", with(values, "replicas", {std::int64_t{1}})) ==
          "replicas: is asked of a master only");
    CHECK(fault_of("redis",
                   with(with(values, "role", text("master")), "max_lag", {std::int64_t{1}})) ==
          "max_lag: is of replicas, of which this master needs none");
    CHECK(fault_of("redis", with(values, "server_name", text("cache.example"))) ==
          "server_name: means nothing without TLS");
    CHECK(fault_of("redis", with(values, "tls", {FieldMap{{"insecure", {true}}}})) ==
          "tls: means nothing while `enabled` is false");
    CHECK(fault_of("redis", with(values, "tls", {FieldMap{{"insecure", {false}}}})) == "none");
    const ProbeType& type = *find_probe_type("redis");
    CHECK(type.target(values) == "redis://127.0.0.1:6379");
    CHECK(type.caveat(values).empty());
    CHECK_FALSE(
        type.caveat(with(values, "tls", {FieldMap{{"enabled", {true}}, {"insecure", {true}}}}))
            .empty());
}
