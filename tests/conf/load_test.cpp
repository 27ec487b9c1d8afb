#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>

#include "swerve/conf/load.hpp"
#include "tests/conf/rig.hpp"

namespace swerve::conf {
namespace {

using namespace std::chrono_literals;

TEST_CASE("load: the minimal file gets the defaults of the design") {
    const Config config = config_of(head + neighbors + checks + services);
    CHECK(config.state_dir == "/var/lib/swerve");
    CHECK(config.control_socket == "/run/swerve/control.sock");
    CHECK_FALSE(config.http_listen);
    CHECK(config.bgp_listen.empty());
    CHECK_FALSE(config.collector);
    const Neighbor& neighbor = config.neighbors.at(0);
    CHECK(neighbor.port == 179);
    CHECK(neighbor.hold_time == 9s);
    CHECK(neighbor.connect_retry == 5s);
    CHECK_FALSE(neighbor.passive);
    CHECK_FALSE(neighbor.multihop);
    CHECK_FALSE(neighbor.services);
    CHECK(neighbor.families == bgp::FamilySet{Family::ipv4});
    CHECK_FALSE(neighbor.range);
    CHECK_FALSE(neighbor.local_as);
    CHECK_FALSE(neighbor.admin_down);
    CHECK_FALSE(neighbor.ttl_security);
    CHECK(neighbor.password_file.empty());
    CHECK(neighbor.prefix_limit == PrefixLimit{.kept = 10'000, .received = {}, .idle = 15min});
    CHECK_FALSE(neighbor.role);
    CHECK_FALSE(neighbor.extended_message);
    CHECK_FALSE(neighbor.extended_next_hop);
    CHECK_FALSE(neighbor.add_path_receive);
    CHECK_FALSE(neighbor.restart_time);
    CHECK(neighbor.mrt_file.empty());
    CHECK(config.services.at(0).graceful_shutdown_for == 10s);
    CHECK_FALSE(config.site_community);
    const health::TrackerPolicy defaults{};
    CHECK(config.checks.at(0).timing == defaults);
    CHECK(config.checks.at(0).timing.interval == 1s);
    CHECK(config.checks.at(0).timing.fast_interval == 200ms);
    CHECK(config.checks.at(0).timing.timeout == 800ms);
    CHECK(config.checks.at(0).timing.rise == 5);
    CHECK(config.checks.at(0).timing.fall == 3);
    CHECK(config.checks.at(0).timing.window_failures == 5);
    CHECK(config.checks.at(0).timing.window_of == 10);
}

TEST_CASE("load: fast_interval left out is the smaller of 200ms and interval") {
    const auto fast = [](const std::string& interval) {
        const Config config = config_of(
            head + neighbors +
            "checks:\n  web: {tcp: {endpoint: \"198.51.100.1:80\"}, interval: " + interval + "}\n");
        return config.checks.at(0).timing.fast_interval;
    };
    CHECK(fast("199ms") == 199ms);
    CHECK(fast("200ms") == 200ms);
    CHECK(fast("201ms") == 200ms);
}

TEST_CASE("load: families left out are those that have a next hop") {
    const auto families = [](const std::string& keys) {
        return config_of(head + "neighbors:\n  a: {remote_as: 64496, " + keys + "}\n")
            .neighbors.at(0)
            .families;
    };
    CHECK(families("address: 192.0.2.254") == bgp::FamilySet{Family::ipv4});
    CHECK(families("address: \"2001:db8::fe\"") == bgp::FamilySet{Family::ipv6});
    CHECK(families("address: 192.0.2.254, export: {next_hop: {ipv6: \"2001:db8::1\"}}") ==
          bgp::FamilySet{Family::ipv4, Family::ipv6});
    CHECK(families("address: \"2001:db8::fe\", export: {next_hop: {ipv4: 192.0.2.1}}") ==
          bgp::FamilySet{Family::ipv4, Family::ipv6});
    CHECK(families("address: 192.0.2.254, families: [ipv6]") == bgp::FamilySet{Family::ipv6});
    CHECK(families("address: \"2001:db8::fe\", extended_next_hop: true") ==
          bgp::FamilySet{Family::ipv4, Family::ipv6});
}

TEST_CASE("load: a range is passive, and stands where its first address is") {
    const Config config = config_of(head + "bgp: {listen: [\"192.0.2.1:179\"]}\n" +
                                    "neighbors:\n  a: {range: 192.0.2.64/26, remote_as: 64496}\n");
    const Neighbor& neighbor = config.neighbors.at(0);
    CHECK(neighbor.range == Prefix::parse("192.0.2.64/26").value());
    CHECK(neighbor.address == Address::parse("192.0.2.64"));
    CHECK(neighbor.passive);
    CHECK(neighbor.range_limit == 100);
    CHECK(neighbor.families == bgp::FamilySet{Family::ipv4});
}

TEST_CASE("load: names are resolved to positions, expressions keep their shape") {
    const Config config = config_of(
        head + "neighbors:\n  a: {address: 192.0.2.254, remote_as: 64496, services: [b, a]}\n" +
        "checks:\n  x: {tcp: {endpoint: \"198.51.100.1:80\"}}\n"
        "  y: {tcp: {endpoint: \"198.51.100.1:81\"}}\n"
        "services:\n  a: {prefixes: [198.51.100.0/25], healthy_when: y}\n"
        "  b: {prefixes: [198.51.100.128/25], healthy_when: {all: [x, {not: y}, "
        "{at_least: {count: 2, of: [x, {any: [y]}]}}]}}\n");
    CHECK(config.neighbors.at(0).services == std::vector<failover::ServiceId>{1, 0});
    CHECK(config.services.at(0).healthy_when ==
          health::Expression{health::Expression::Op::check, 1, 0, {}});
    const auto name_of = [&](std::uint32_t id) -> std::string_view {
        return config.checks.at(id).name;
    };
    CHECK(health::to_string(config.services.at(1).healthy_when, name_of) ==
          "all(x, not(y), at_least(2, x, any(y)))");
}

TEST_CASE("load: fields of a probe get the defaults of their registry line") {
    const Config config =
        config_of(head + neighbors + "checks:\n  web: {http: {url: \"http://198.51.100.1/\"}}\n");
    const auto& fields = config.checks.at(0).probe.fields;
    const auto* expect = health::get<health::FieldMap>(fields, "expect");
    REQUIRE(expect != nullptr);
    const auto* status = health::get<std::vector<std::int64_t>>(*expect, "status");
    REQUIRE(status != nullptr);
    CHECK(*status == std::vector<std::int64_t>{200});
}

TEST_CASE("load: a file of exactly 16 MiB is read, one octet more is refused in one line") {
    std::string text = head + neighbors;
    const std::string line = "#" + std::string(1022, 'x') + "\n";
    while (text.size() + 2 * line.size() <= max_file_octets) text += line;
    text += "#" + std::string(max_file_octets - text.size() - 1, 'x');
    CHECK(faults_of(text).empty());
    text += 'x';
    CHECK(joined(faults_of(text)) == "swerve.yaml: is larger than 16 MiB\n");

    const Scratch scratch;
    const std::string file = scratch.write("big.yaml", std::string(max_file_octets + 1, 'a'));
    const auto loaded = load(file);
    REQUIRE_FALSE(loaded);
    CHECK(joined(loaded.error()) == file + ": is larger than 16 MiB\n");
}

TEST_CASE(
    "load: a line of 1 MiB is read, one octet more is refused before anything is made of it") {
    const std::string line = "#" + std::string((1U << 20U) - 1, 'x');
    CHECK(faults_of(head + neighbors + line + "\n").empty());
    CHECK(joined(faults_of(head + neighbors + line + "x\n")) ==
          "swerve.yaml:7:1: the line is longer than 1 MiB (hint: break it)\n");
    CHECK(faults_of(std::string(max_file_octets, '[')).size() == 1);
}

TEST_CASE("load: a file that cannot be read is one line without a place") {
    const auto loaded = load("/nonexistent/swerve.yaml");
    REQUIRE_FALSE(loaded);
    CHECK(joined(loaded.error()) ==
          "/nonexistent/swerve.yaml: cannot be read: No such file or directory\n");
    const Scratch scratch;
    const auto directory = load(std::filesystem::path{scratch.write("x", "")}.parent_path());
    REQUIRE_FALSE(directory);
    CHECK(directory.error().at(0).message == "cannot be read: Is a directory");
}

TEST_CASE("load: faults beyond the limit are counted, not listed") {
    const auto faults = [](std::size_t count) {
        std::string text = head + neighbors;
        for (std::size_t i = 0; i < count; ++i) text += "zzzzzz" + std::to_string(i) + ": 1\n";
        return faults_of(text);
    };
    CHECK(faults(max_diagnostics).size() == max_diagnostics);
    CHECK(faults(max_diagnostics).back().line == 106);
    const Diagnostics more = faults(max_diagnostics + 1);
    REQUIRE(more.size() == max_diagnostics + 1);
    CHECK(more.back().to_string() == "swerve.yaml: and 1 more");
    CHECK(faults(20'000).back().to_string() == "swerve.yaml: and 19900 more");
}

TEST_CASE("load: nesting of 32 levels is read, one more is not") {
    const auto text = [](std::size_t depth) {
        // Three levels stand around the expression: the file, services and the service.
        std::string expression = "web";
        for (std::size_t i = 3; i < depth; ++i) expression = "{not: " + expression + "}";
        return head + neighbors + checks +
               "services:\n  p: {prefixes: [10.0.0.0/8], healthy_when: " + expression + "}\n";
    };
    CHECK(faults_of(text(32)).empty());
    const auto faults = faults_of(text(33));
    REQUIRE(faults.size() == 1);
    CHECK(faults[0].message == "nested more than 32 levels deep");
}

TEST_CASE("load: much of anything is refused in few lines") {
    const auto repeated = [](const std::string& piece) {
        std::string out;
        while (out.size() + piece.size() <= 256U << 10U) out += piece;
        return out;
    };
    for (const std::string piece : {"[",    "{",  "- ",    "? ",    "a: ",      "[a, ",
                                    "{a: ", "\"", "'",     "|",     ">",        "&a ",
                                    "*a ",  "!",  "%",     "---\n", "a: b\n",   "- a\n",
                                    "#\n",  "\n", " ",     "\t",    "<<: {",    ":",
                                    ",",    "]",  "a:\n ", "\r",    "\xc3\xa9", "key: [1, 2, 3]\n",
                                    "@",    "`"}) {
        CAPTURE(piece);
        const auto faults = faults_of(repeated(piece));
        CHECK_FALSE(faults.empty());
        CHECK(faults.size() <= max_diagnostics + 1);
    }
}

TEST_CASE("load: a file cut anywhere is refused or read, never more") {
    const std::string text = head + neighbors + checks + services;
    for (std::size_t size = 0; size < text.size(); ++size) {
        const auto loaded = load_text(text.substr(0, size), "swerve.yaml");
        if (!loaded) CHECK_FALSE(loaded.error().empty());
    }
}

TEST_CASE("load: every octet, in every place of a file, is refused or read, never more") {
    const std::string text = head + neighbors + checks + services;
    for (std::size_t at = 0; at < text.size(); at += 3) {
        for (const int octet : {0, 4, 9, 10, 13, 34, 38, 42, 58, 63, 91, 123, 127, 128, 255}) {
            std::string changed = text;
            changed[at] = static_cast<char>(octet);
            const auto loaded = load_text(changed, "swerve.yaml");
            if (!loaded) CHECK_FALSE(loaded.error().empty());
        }
    }
}

TEST_CASE("diagnostic: one line, whatever the file put into it") {
    const Diagnostic fault{"a\nb.yaml", 3, 7, "x\ry", "bad \x1b[31m value", "no\nhint"};
    CHECK(fault.to_string() ==
          "a\\x0ab.yaml:3:7: x\\x0dy: bad \\x1b[31m value (hint: no\\x0ahint)");
    CHECK(Diagnostic{"f", 0, 0, "", "m", ""}.to_string() == "f: m");
}

}  // namespace
}  // namespace swerve::conf
