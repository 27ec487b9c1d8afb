#include "daemon/state/codec.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tests/support/state_maker.hpp"

using namespace swerve;
using daemon::decode;
using daemon::decode_sign_of_life;
using daemon::encode;
using daemon::Generation;
using daemon::SignOfLife;

namespace {

failover::SavedState sample() {
    return {
        .boot_id = "b",
        .saved_at = TimePoint{Duration{12}},
        .saved_wall = WallTime{Duration{1'800'000'000'123'456'789}},
        .started = TimePoint{Duration{11}},
        .ended_clean = false,
        .crashes = 2,
        .overrides = {{.subject = "portal",
                       .kind = failover::OverrideKind::drain,
                       .reason = "kernel",
                       .who = "root",
                       .set_at = WallTime{Duration{7}},
                       .expires = failover::SavedDeadline{TimePoint{Duration{20}},
                                                          WallTime{Duration{30}}}}},
        .checks = {{"web", 0xffff'ffff'ffff'ffffU, health::CheckState::pass}},
        .disabled_neighbors = {"upstream-a"},
        .damping = {{.service = "portal",
                     .damping = {.penalty = 1432.5,
                                 .at = TimePoint{Duration{10}},
                                 .withdrawn_at = TimePoint{Duration{10}},
                                 .withdrawals = {TimePoint{Duration{-9}}, TimePoint{Duration{10}}}},
                     .shown = failover::Shown::degraded}}};
}

/// The same FNV-1a as in the manual of the format, so that a test can write what Swerve would not.
std::string sealed(const std::string& head, const std::string& body) {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const char octet : head + body) {
        hash = (hash ^ static_cast<std::uint8_t>(octet)) * 0x100000001b3U;
    }
    static constexpr std::string_view hex = "0123456789abcdef";
    std::string digits;
    for (unsigned shift = 64; shift > 0; shift -= 4) digits += hex[(hash >> (shift - 4)) & 15U];
    return head + digits + "\n" + body;
}

std::string body_of(const failover::SavedState& state) {
    const std::string text = encode(Generation{1, state});
    return text.substr(text.find('\n') + 1);
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const auto at = text.find(from);
    REQUIRE_MESSAGE(at != std::string::npos, from);
    return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("state codec: what a person finds in the file") {
    CHECK(body_of(sample()) == R"({
"boot_id": "b",
"saved_at": 12,
"saved_wall": 1800000000123456789,
"started": 11,
"ended_clean": false,
"crashes": 2,
"overrides": [
  {"service":"portal","kind":"drain","reason":"kernel","who":"root","set_at":7,"expires":{"boot":20,"wall":30}}],
"checks": [
  {"name":"web","fingerprint":18446744073709551615,"state":"pass"}],
"damping": [
  {"service":"portal","shown":"degraded","penalty_thousandths":1432500,"age":2,"withdrawn":2,"withdrawals":[21,2]}],
"disabled_neighbors": [
  "upstream-a"]
}
)");
    CHECK(encode(Generation{42, sample()}) == sealed("swerve-state 2 42 ", body_of(sample())));
}

TEST_CASE("state codec: every state comes back as it was") {
    for (std::uint64_t seed = 0; seed < 2000; ++seed) {
        CAPTURE(seed);
        const failover::SavedState state = test::StateMaker{seed}.make();
        const auto back = decode(encode(Generation{seed, state}));
        REQUIRE_MESSAGE(back.has_value(), back.error());
        REQUIRE(back->sequence == seed);
        REQUIRE(back->state == state);
    }
}

TEST_CASE("state codec: what the version before has written is read, and knows no damping") {
    failover::SavedState state = sample();
    const std::string body = body_of(state);
    const auto from = body.find("\"damping\"");
    const auto to = body.find("\"disabled_neighbors\"");
    const std::string old = body.substr(0, from) + body.substr(to);
    const auto read = decode(sealed("swerve-state 1 7 ", old));
    REQUIRE_MESSAGE(read.has_value(), read.error());
    state.damping.clear();
    CHECK(read->state == state);
    CHECK(decode(sealed("swerve-state 1 7 ", body)).error() == "the state has a member too many");
    CHECK(decode(sealed("swerve-state 2 7 ", old)).error() == "the state has no damping");
    CHECK(decode_sign_of_life(sealed("swerve-alive 1 7 ", "b\n")).has_value());
}

TEST_CASE("state codec: a planned restart is told in its own files alone") {
    failover::SavedState state = sample();
    CHECK(body_of(state).find("planned_restart") == std::string::npos);
    state.planned_restart = true;
    const auto read = decode(encode(Generation{1, state}));
    REQUIRE(read.has_value());
    CHECK(read->state == state);
}

TEST_CASE("state codec: no truncation and no damaged octet goes unseen") {
    const std::string text = encode(Generation{7, sample()});
    for (std::size_t size = 0; size < text.size(); ++size) {
        REQUIRE_FALSE(decode(text.substr(0, size)).has_value());
    }
    for (std::size_t at = 0; at < text.size(); ++at) {
        for (unsigned change = 1; change < 256; ++change) {
            std::string damaged = text;
            damaged[at] = static_cast<char>(static_cast<unsigned char>(damaged[at]) ^ change);
            REQUIRE_FALSE(decode(damaged).has_value());
        }
    }
    CHECK_FALSE(decode(text + "\n").has_value());
}

TEST_CASE("state codec: faults are told apart") {
    const std::string body = body_of(sample());
    const auto fault = [](const std::string& text) {
        const auto decoded = decode(text);
        REQUIRE_FALSE(decoded.has_value());
        return decoded.error();
    };
    const auto fault_of = [&](const std::string& from, const std::string& to) {
        return fault(sealed("swerve-state 2 7 ", replaced(body, from, to)));
    };
    REQUIRE(decode(sealed("swerve-state 2 7 ", body)).has_value());

    CHECK(fault("").starts_with("torn"));
    CHECK(fault("\n") == "does not begin with swerve-state");
    CHECK(fault(sealed("swerve-state 3 7 ", "anything"))
              .starts_with("written by a later version of Swerve"));
    CHECK(fault("swerve-state 4 what/this/version cannot know\n")
              .starts_with("written by a later version of Swerve"));
    CHECK(fault(sealed("swerve-state 2 seven ", body)) == "its first line is not of this version");
    CHECK(fault(sealed("swerve-state 2 07 ", body)) == "its first line is not of this version");
    CHECK(fault(sealed("swerve-state 2 7 7 ", body)).starts_with("torn or damaged"));
    CHECK(fault(sealed("swerve-state 2 7 ", body + "}")).starts_with("its content is no JSON"));
    CHECK(fault(sealed("swerve-state 2 7 ", "[]")) == "the state is no object");

    CHECK(fault_of("\"crashes\": 2,\n", "") == "the state has no crashes");
    CHECK(fault_of("\"crashes\": 2", "\"crashes\": 2, \"more\": 1") ==
          "the state has a member too many");
    CHECK(fault_of("\"crashes\": 2", "\"crashes\": -1") == "the state crashes is out of range");
    CHECK(fault_of("\"crashes\": 2", "\"crashes\": 2.0") == "the state crashes is out of range");
    CHECK(fault_of("\"crashes\": 2", "\"crashes\": \"2\"") == "the state crashes is out of range");
    CHECK(fault_of("\"started\": 11", "\"started\": -1") == "the state started is out of range");
    CHECK(fault_of("\"started\": 11", "\"started\": 4611686018427387904") ==
          "the state started is out of range");
    CHECK(fault_of("false", "0") == "the state ended_clean is neither true nor false");
    CHECK(fault_of("\"b\"", "1") == "the state boot_id is no text");
    CHECK(fault_of("\"kind\":\"drain\"", "\"kind\":\"dream\"") ==
          "an override kind is 'dream', which this version does not know");
    CHECK(fault_of("\"state\":\"pass\"", "\"state\":\"\"") ==
          "a check state is '', which this version does not know");
    CHECK(fault_of("\"service\":\"portal\"", "\"prefix\":\"198.51.100.1/24\"") ==
          "an override is on '198.51.100.1/24', which is no prefix");
    CHECK(fault_of(":1432500", ":-1") ==
          "the damping of a service penalty_thousandths is out of range");
    CHECK(fault_of("\"age\":2", "\"age\":4611686018427387904") ==
          "the damping of a service has a moment out of range");
    CHECK(fault_of("[21,2]", "[21,null]") ==
          "the damping of a service a withdrawal is out of range");
    CHECK(fault_of("\"wall\":30", "\"wall\":30,\"moon\":1") ==
          "the end of an override has a member too many");
    CHECK(fault_of("[\n  \"upstream-a\"]", "{}") == "the state disabled_neighbors is no list");
    CHECK(fault_of("\"upstream-a\"", "\"a\",\"a\"") ==
          "the state has a disabled neighbor twice or without a name");
    CHECK(fault_of("\"upstream-a\"", "1") ==
          "the state has a disabled neighbor twice or without a name");
}

TEST_CASE("state codec: nothing may stand there twice") {
    failover::SavedState state = sample();
    state.overrides.push_back(state.overrides.front());
    CHECK(decode(encode(Generation{1, state})).error() == "the state has an override twice");
    state.overrides.back().kind = failover::OverrideKind::withdraw;
    CHECK(decode(encode(Generation{1, state})).has_value());
    state.checks.push_back({"web", 1, health::CheckState::fail});
    CHECK(decode(encode(Generation{1, state})).error() == "the state has a check twice");
    state.checks.pop_back();
    state.damping.push_back(state.damping.front());
    CHECK(decode(encode(Generation{1, state})).error() ==
          "the state has the damping of a service twice");
}

TEST_CASE("state codec: 4 MiB are read, one octet more is damage") {
    const auto of_size = [](std::size_t octets) {
        failover::SavedState state = sample();
        const std::size_t without = encode(Generation{1, state}).size();
        state.boot_id += std::string(octets - without, 'x');
        return encode(Generation{1, state});
    };
    REQUIRE(of_size(daemon::largest_generation).size() == 4U << 20U);
    CHECK(decode(of_size(daemon::largest_generation)).has_value());
    const auto large = decode(of_size(daemon::largest_generation + 1));
    REQUIRE_FALSE(large.has_value());
    CHECK(large.error() == "4194305 octets, more than 4 MiB");
}

TEST_CASE("state codec: a sign of life is whole or none") {
    const SignOfLife sign{"boot \n\xff", TimePoint{Duration{123'456'789'012}}};
    const std::string text = encode(sign);
    CHECK(decode_sign_of_life(text) == sign);
    for (std::size_t size = 0; size < text.size(); ++size) {
        REQUIRE(decode_sign_of_life(text.substr(0, size)) == std::nullopt);
    }
    CHECK(decode_sign_of_life(encode(Generation{1, sample()})) == std::nullopt);
    CHECK(decode_sign_of_life(sealed("swerve-alive 2 4611686018427387904 ", "b\n")) ==
          std::nullopt);
}
