#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "tests/probes/udp_rig.hpp"
#include "tests/support/skipped.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

FieldMap asking(const Endpoint& at, std::string name, std::string type = "A",
                FieldMap expect = {}) {
    return {{"endpoint", {at}},
            {"name", text(std::move(name))},
            {"type", text(std::move(type))},
            {"expect", {std::move(expect)}}};
}

FieldMap over_tcp(FieldMap values) {
    values["transport"] = text("tcp");
    return values;
}

FieldValue number(std::int64_t value) { return {value}; }

/// NSD with the zone example.test, on a loopback port.
class Nsd {
public:
    explicit Nsd(Loop& loop) : loop_(loop) {
        const std::string port = std::to_string(at_.port);
        std::string zone =
            "$TTL 60\n$ORIGIN example.test.\n"
            "@ SOA ns mail 2026112101 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n"
            "www A 192.0.2.1\nwww A 192.0.2.2\nwww AAAA 2001:db8::1\nalias CNAME www\n"
            "text TXT \"\x01\xff\"\n";
        for (int i = 1; i <= 100; ++i) zone += "many A 10.0.0." + std::to_string(i) + "\n";
        dir_.write("zone", zone);
        const std::string conf = dir_.write(
            "conf", "server:\n  ip-address: 127.0.0.1\n  port: " + port +
                        "\n  username: \"\"\n  chroot: \"\"\n  database: \"\"\n  server-count: 1\n"
                        "  pidfile: \"" +
                        dir_.file("pid") + "\"\n  zonesdir: \"" + dir_.file("") +
                        "\"\n  zonelistfile: \"" + dir_.file("list") + "\"\n  xfrdfile: \"" +
                        dir_.file("xfrd") + "\"\n  xfrdir: \"" + dir_.file("") +
                        "\"\nremote-control:\n  control-enable: no\n"
                        "zone:\n  name: example.test\n  zonefile: zone\n"
                        "zone:\n  name: broken.test\n  zonefile: none\n");
        server_.emplace(std::vector<std::string>{"/usr/sbin/nsd", "-d", "-c", conf});
        // It says nothing when it is ready; until then the kernel refuses.
        asio::steady_timer pause(loop.io);
        for (int i = 0; i < 500 && outcome("example.test", "SOA").result != ProbeResult::pass;
             ++i) {
            bool over = false;
            pause.expires_after(10ms);
            pause.async_wait([&over](const auto&) { over = true; });
            REQUIRE(loop.run_until([&over] { return over; }));
        }
    }

    ~Nsd() {
        signal(SIGCONT);
        // On SIGKILL it would leave its children behind.
        server_->signal(SIGTERM);
        server_->wait();
    }
    Nsd(const Nsd&) = delete;
    Nsd& operator=(const Nsd&) = delete;

    [[nodiscard]] Endpoint at() const { return at_; }
    /// To the server and to the processes that it serves with.
    void signal(int number) const { signal_family(server_->pid(), number); }

    Outcome outcome(std::string name, std::string type, FieldMap expect = {}) {
        return loop_.attempt("dns",
                             asking(at_, std::move(name), std::move(type), std::move(expect)));
    }
    std::string attempt(std::string name, std::string type, FieldMap expect = {}) {
        const Outcome found = outcome(std::move(name), std::move(type), std::move(expect));
        return std::string{to_string(found.result)} + ": " + found.reason;
    }

private:
    static void signal_family(int pid, int number) {
        ::kill(pid, number);
        const std::string process = std::to_string(pid);
        std::ifstream children("/proc/" + process + "/task/" + process + "/children");
        for (int child = 0; children >> child;) signal_family(child, number);
    }

    Loop& loop_;
    TempDir dir_;
    Endpoint at_{*Address::parse("127.0.0.1"), free_port()};
    std::optional<Child> server_;
};

bool no_nsd() {
    if (std::filesystem::exists("/usr/sbin/nsd")) return false;
    swerve::testing::skipped("needs nsd");
    return true;
}

/// A stand-in's answer to the query: the flags, and as many records of 192.0.2.N.
std::string answer_to(std::string_view query, unsigned flags, unsigned records) {
    std::string out{query};
    out[2] = static_cast<char>(flags >> 8U);
    out[3] = static_cast<char>(flags & 0xffU);
    out[7] = static_cast<char>(records);
    for (unsigned i = 1; i <= records; ++i) {
        out += std::string{"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2", 15} + static_cast<char>(i);
    }
    return out;
}

constexpr unsigned good = 0x8400;

/// Answers over TCP with what `answer` makes of a query, length and all; keeps the connection.
Server::Serve answers(std::function<std::string(std::string_view)> answer) {
    return [answer = std::move(answer)](tcp::socket socket) {
        return [](tcp::socket peer, auto make) -> asio::awaitable<void> {
            constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
            std::string query(2, '\0');
            co_await asio::async_read(peer, asio::buffer(query), as_result);
            query.resize(static_cast<unsigned char>(query[1]));
            co_await asio::async_read(peer, asio::buffer(query), as_result);
            const std::string out = make(query);
            co_await asio::async_write(peer, asio::buffer(out), as_result);
            co_await peer.async_wait(tcp::socket::wait_read, as_result);
        }(std::move(socket), answer);
    };
}

std::string framed(const std::string& message) {
    return std::string{static_cast<char>(message.size() >> 8U),
                       static_cast<char>(message.size() & 0xffU)} +
           message;
}

}  // namespace

TEST_CASE("dns: nsd answers, over UDP and TCP") {
    if (no_nsd()) return;
    Loop loop;
    Nsd nsd(loop);
    CHECK(nsd.attempt("example.test", "SOA") ==
          "pass: NOERROR for example.test SOA, 1 record, serial 2026112101");
    CHECK(nsd.attempt("www.example.test.", "A") ==
          "pass: NOERROR for www.example.test. A, 2 records");
    CHECK(nsd.attempt("alias.example.test", "AAAA",
                      {{"address", text("2001:db8::1")}, {"answers", number(1)}})
              .starts_with("pass"));
    CHECK(nsd.attempt("text.example.test", "TXT").starts_with("pass"));
    const Outcome outcome = loop.attempt("dns", over_tcp(asking(nsd.at(), "example.test", "soa")));
    CHECK(outcome.reason == "NOERROR for example.test soa, 1 record, serial 2026112101");

    // An answer that does not fit is asked for again over TCP.
    std::string steps;
    const ProbeContext context{.step = [&](std::string text) { steps += text + "\n"; }};
    const FieldMap many = asking(nsd.at(), "many.example.test", "A",
                                 {{"answers", number(100)}, {"address", text("10.0.0.100")}});
    CHECK(loop.attempt("dns", many, 5s, context).reason ==
          "NOERROR for many.example.test A, 100 records");
    CHECK(steps.contains("the answer was cut: asking again over TCP\nconnected to "));
}

TEST_CASE("dns: what nsd's answers lack") {
    if (no_nsd()) return;
    Loop loop;
    Nsd nsd(loop);
    CHECK(nsd.attempt("none.example.test", "A") ==
          "fail: NXDOMAIN instead of NOERROR for none.example.test A");
    CHECK(nsd.attempt("none.example.test", "A", {{"rcode", text("nxdomain")}}) ==
          "pass: NXDOMAIN for none.example.test A, 0 records");
    CHECK(nsd.attempt("ns.example.test", "AAAA") ==
          "fail: NOERROR for ns.example.test AAAA, but 0 records instead of at least 1");
    CHECK(nsd.attempt("ns.example.test", "AAAA", {{"answers", number(0)}}).starts_with("pass"));
    CHECK(nsd.attempt("www.example.test", "A", {{"answers", number(2)}}).starts_with("pass"));
    CHECK(nsd.attempt("www.example.test", "A", {{"answers", number(3)}}) ==
          "fail: NOERROR for www.example.test A, but 2 records instead of at least 3");
    CHECK(nsd.attempt("ns.example.test", "A", {{"address", text("192.0.2.1")}}) ==
          "fail: NOERROR for ns.example.test A, but 192.0.2.1 is not among the addresses, only "
          "127.0.0.1");
    CHECK(nsd.attempt("example.test", "SOA", {{"soa_serial_at_least", number(2026112101)}})
              .starts_with("pass"));
    CHECK(nsd.attempt("example.test", "SOA", {{"soa_serial_at_least", number(2026112102)}}) ==
          "fail: NOERROR for example.test SOA, but serial 2026112101 is older than 2026112102");
    // A zone that could not be loaded, and one that is not here.
    CHECK(nsd.attempt("broken.test", "SOA") ==
          "fail: SERVFAIL instead of NOERROR for broken.test SOA");
    CHECK(nsd.attempt("example.org", "A") == "fail: REFUSED instead of NOERROR for example.org A");
    CHECK(nsd.attempt("example.org", "A", {{"rcode", text("REFUSED")}}).starts_with("pass"));
    // Stopped, it is silent over both; gone, the kernel refuses.
    nsd.signal(SIGSTOP);
    FieldMap values = asking(nsd.at(), "example.test", "SOA");
    const std::string at = nsd.at().to_string();
    CHECK(loop.attempt("dns", values, 80ms).reason ==
          "no answer within 80ms, waiting for the answer of " + at);
    CHECK(loop.attempt("dns", over_tcp(values), 80ms).reason ==
          "no answer within 80ms, waiting for the answer of " + at);
}

TEST_CASE("dns: nobody listens") {
    Loop loop;
    const Endpoint at{*Address::parse("127.0.0.1"), free_port()};
    for (const FieldMap& values :
         {asking(at, "example.test"), over_tcp(asking(at, "example.test"))}) {
        const Outcome outcome = loop.attempt("dns", values);
        CHECK(outcome.result == ProbeResult::fail);
        CHECK(outcome.reason == "connection refused by " + at.to_string());
    }
}

TEST_CASE("dns: id and case of a query differ from attempt to attempt, and RD is off") {
    Loop loop;
    UdpServer server(loop,
                     [](std::string_view query) { return std::vector{answer_to(query, good, 1)}; });
    FieldMap values = asking(server.endpoint(), "a-long-name-of-letters.example.test");
    for (int i = 0; i < 3; ++i) {
        CHECK(loop.attempt("dns", values).result == ProbeResult::pass);
    }
    values["recurse"] = {true};
    CHECK(loop.attempt("dns", values).result == ProbeResult::pass);
    REQUIRE(server.heard.size() == 4);
    CHECK(server.heard[0].substr(0, 2) != server.heard[1].substr(0, 2));
    CHECK(server.heard[0].substr(12) != server.heard[1].substr(12));
    CHECK(server.heard[1].substr(12) != server.heard[2].substr(12));
    CHECK(server.heard[0].substr(2, 2) == std::string(2, '\0'));
    CHECK(server.heard[3].substr(2, 2) == std::string("\1\0", 2));
}

TEST_CASE("dns: a stand-in that is no authority") {
    Loop loop;
    UdpServer server(
        loop, [](std::string_view query) { return std::vector{answer_to(query, 0x8180, 1)}; });
    FieldMap values = asking(server.endpoint(), "example.test");
    const Outcome outcome = loop.attempt("dns", values);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason ==
          "NOERROR for example.test A, but not authoritative: the zone is not served by " +
              server.endpoint().to_string());
    values["expect"] = {FieldMap{{"aa", {false}}}};
    CHECK(loop.attempt("dns", values).result == ProbeResult::pass);
    values = asking(server.endpoint(), "example.test");
    values["recurse"] = {true};
    CHECK(loop.attempt("dns", values).result == ProbeResult::pass);
}

TEST_CASE("dns: what is no answer to the query is passed over until the deadline") {
    Loop loop;
    std::vector<std::string> before;
    bool answers_then = true;
    const auto forge = [&](std::string_view query) {
        std::vector<std::string> out = before;
        std::string forged = answer_to(query, 0x8402, 0);
        forged[1] ^= 1;
        out.push_back(forged);  // another id
        forged = answer_to(query, 0x8402, 0);
        for (std::size_t i = 12; i < forged.size(); ++i) {
            if (forged[i] >= 'A' && forged[i] <= 'Z') forged[i] ^= 0x20;
        }
        out.push_back(forged);  // another case
        if (answers_then) out.push_back(answer_to(query, good, 1));
        return out;
    };
    UdpServer server(loop, forge);
    const FieldMap values = asking(server.endpoint(), "a-long-name-of-letters.example.test");
    CHECK(loop.attempt("dns", values).result == ProbeResult::pass);
    answers_then = false;
    Outcome outcome = loop.attempt("dns", values, 80ms);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason ==
          "no answer within 80ms, waiting for the answer of " + server.endpoint().to_string() +
              ", and passed over what came: it does not keep the case of the letters in the "
              "question");
    answers_then = true;
    before.assign(64, "");
    CHECK(loop.attempt("dns", values).result == ProbeResult::pass);
    before.assign(256, "x");
    outcome = loop.attempt("dns", values);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "none of 256 messages from " + server.endpoint().to_string() +
                                " answers the question, and passed over what came: it is too "
                                "short");
}

TEST_CASE("dns: an answer that cannot be read is unknown") {
    Loop loop;
    UdpServer server(loop, [](std::string_view query) {
        std::string out = answer_to(query, good, 1);
        out.resize(out.size() - 16);
        return std::vector{out + "\xc0\xff"};
    });
    const Outcome outcome = loop.attempt("dns", asking(server.endpoint(), "example.test"));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == "the answer of " + server.endpoint().to_string() +
                                " cannot be read: the name of a record");
}

TEST_CASE("dns: hostile answers over TCP") {
    Loop loop;
    const auto attempt = [&](Server::Serve serve, Duration timeout = 5s) {
        Server server(loop, std::move(serve));
        const Outcome outcome =
            loop.attempt("dns", over_tcp(asking(server.endpoint(), "example.test")), timeout);
        std::string out = std::string{to_string(outcome.result)} + ": " + outcome.reason;
        const std::string at = server.endpoint().to_string();
        for (auto found = out.find(at); found != std::string::npos; found = out.find(at)) {
            out.replace(found, at.size(), "AT");
        }
        return out;
    };
    CHECK(attempt(says("")) == "fail: AT closed without an answer");
    CHECK(attempt(says("\1")) == "fail: AT closed without an answer");
    CHECK(attempt(says("\xff\xff")) ==
          "fail: AT closed in the middle of its answer, after 0 of 65535 octets");
    CHECK(attempt(says_and_stays("\xff\xffxxx"), 80ms) ==
          "fail: no answer within 80ms, waiting for the answer of AT, 3 of 65535 octets of it "
          "came");
    CHECK(attempt(says_and_stays(""), 80ms) ==
          "fail: no answer within 80ms, waiting for the answer of AT");
    // Empty messages without end, and large ones.
    CHECK(attempt(says_and_stays(std::string(4096, '\0'))) ==
          "fail: none of 256 messages from AT answers the question, and passed over what came: it "
          "is too short");
    CHECK(attempt(says_and_stays(std::string(200'000, '\xff')))
              .starts_with("fail: none of 1 messages"));
    // Others before the right one, all in one write.
    CHECK(attempt(answers([](std::string_view query) {
              std::string other = answer_to(query, good, 1);
              other[0] ^= 1;
              return framed("") + framed(other) + framed(answer_to(query, good, 1));
          })) == "pass: NOERROR for example.test A, 1 record");
    CHECK(attempt(answers([](std::string_view query) {
              return framed(answer_to(query, good | 0x200U, 0));
          })) == "fail: NOERROR for example.test A, but the answer is cut over TCP too");
    // A right answer of the largest size there is.
    CHECK(attempt(answers([](std::string_view query) {
              std::string large = answer_to(query, good, 1);
              large.resize(65535, '\0');
              return framed(large);
          })) == "pass: NOERROR for example.test A, 1 record");
}

TEST_CASE("dns: cut over UDP, and nobody answers over TCP") {
    Loop loop;
    UdpServer server(loop, [](std::string_view query) {
        return std::vector{answer_to(query, good | 0x200U, 0)};
    });
    const Outcome outcome = loop.attempt("dns", asking(server.endpoint(), "example.test"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "over TCP, as the answer over UDP was cut: connection refused by " +
                                server.endpoint().to_string());
}

TEST_CASE("dns: a target in owned must be an address of this host") {
    Loop loop;
    UdpServer server(
        loop, [](std::string_view query) { return std::vector{answer_to(query, good, 1)}; },
        "127.5.6.7");
    const ProbeContext here{.owned = {*Prefix::parse("127.5.6.0/24")}};
    CHECK(loop.attempt("dns", asking(server.endpoint(), "example.test"), 5s, here).result ==
          ProbeResult::pass);
    CHECK(server.from == "127.5.6.7");
    const ProbeContext elsewhere{.owned = {*Prefix::parse("203.0.113.0/24")}};
    const FieldMap values = asking(*Endpoint::parse("203.0.113.1:53"), "example.test");
    CHECK(loop.attempt("dns", values, 5s, elsewhere).reason ==
          "203.0.113.1: address not on this host");
    CHECK(loop.attempt("dns", over_tcp(values), 5s, elsewhere).reason ==
          "203.0.113.1: address not on this host");
}

TEST_CASE("dns: values that make no probe, and what is said of one") {
    const Endpoint at = *Endpoint::parse("127.0.0.1:53");
    CHECK(fault_of("dns", asking(at, "example.test")) == "none");
    CHECK(fault_of("dns", asking(*Endpoint::parse("127.0.0.1:0"), "a")) ==
          "endpoint: port 0 cannot be sent to");
    CHECK(fault_of("dns", asking(*Endpoint::parse("0.0.0.0:53"), "a")) ==
          "endpoint: '0.0.0.0' is no address of a server");
    CHECK(fault_of("dns", asking(at, "a b")) == "name: 'a b' is no name in DNS");
    CHECK(fault_of("dns", asking(at, "a", "X")) == "type: 'X' is no type of record");
    FieldMap values = asking(at, "a");
    values["transport"] = text("tls");
    CHECK(fault_of("dns", values) == "transport: 'tls' is neither udp nor tcp");
    const auto expecting = [&](std::string type, FieldMap expect) {
        return fault_of("dns", asking(at, "a", std::move(type), std::move(expect)));
    };
    CHECK(expecting("A", {{"rcode", text("OK")}}) ==
          "expect.rcode: 'OK' is no rcode to be expected");
    CHECK(expecting("A", {{"rcode", text("SERVFAIL")}}).starts_with("expect.rcode"));
    CHECK(expecting("A", {{"address", text("x")}}) == "expect.address: 'x' is no address");
    CHECK(expecting("AAAA", {{"address", text("192.0.2.1")}}) ==
          "expect.address: '192.0.2.1' is never in records other than A");
    CHECK(expecting("A", {{"soa_serial_at_least", number(1)}}) ==
          "expect.soa_serial_at_least: is only in records of type SOA");
    const ProbeType& type = *find_probe_type("dns");
    values = asking(at, "example.test", "SOA");
    CHECK(type.target(values) == "dns://127.0.0.1:53/example.test SOA");
    CHECK(type.sees_hangs(values));
    CHECK(type.caveat(values).empty());
    values["recurse"] = {true};
    CHECK(type.caveat(values).starts_with("what a resolver finds"));
}
