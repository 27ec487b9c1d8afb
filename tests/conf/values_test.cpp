#include <doctest/doctest.h>
#include <fmt/format.h>

#include <limits>
#include <string>

#include "conf/faults.hpp"
#include "conf/values.hpp"

namespace swerve::conf {
namespace {

using namespace std::chrono_literals;

std::string read(const Key& key, std::string_view text, bool is_quoted = false) {
    const auto value = parse_value(key, text, is_quoted);
    if (!value) return "refused";
    if (const auto* number = std::get_if<std::int64_t>(&*value)) return std::to_string(*number);
    if (const auto* number = std::get_if<double>(&*value)) return fmt::format("{}", *number);
    if (const auto* flag = std::get_if<bool>(&*value)) return *flag ? "true" : "false";
    if (const auto* duration = std::get_if<Duration>(&*value)) return format_duration(*duration);
    return "read";
}

TEST_CASE("values: integers are plain decimal and in range") {
    const Key key{.name = "n", .type = Type::integer, .least = 1, .most = 20};
    for (const char* text : {"1", "9", "20"}) CHECK(read(key, text) == text);
    for (const char* text :
         {"0", "21", "-1", "+1", "01", "010", "0x10", "0o7", "0b1", "1e1", "1.0", "1_0", " 1", "1 ",
          "", "18446744073709551616", "99999999999999999999", "1,0", "١"}) {
        CAPTURE(text);
        CHECK(read(key, text) == "refused");
    }
    CHECK(read(key, "1", true) == "refused");
    const Key zero{.name = "n", .type = Type::integer, .least = 0, .most = 5};
    CHECK(read(zero, "0") == "0");
    CHECK(read(zero, "00") == "refused");
}

TEST_CASE("values: numbers are plain decimal") {
    const Key key{.name = "n", .type = Type::number};
    for (const char* text : {"0", "-1", "0.95", "1.5", "-0.25", "999999999999999"}) {
        CHECK(read(key, text) == text);
    }
    CHECK(read(key, "2.0") == "2");
    for (const char* text :
         {"", "-", ".5", "1.", "+1", "01", "00.5", "1e3", "0x10", "inf", "nan", "1,5", " 1", "1 ",
          "1.2.3", "--1", "1000000000000000", "0.1234567890123456", "١"}) {
        CAPTURE(text);
        CHECK(read(key, text) == "refused");
    }
    CHECK(read(key, "1.5", true) == "refused");
}

TEST_CASE("values: durations carry a unit and stay in range") {
    const Key key{.name = "d", .type = Type::duration, .least = 10, .most = 3600'000};
    CHECK(read(key, "10ms") == "10ms");
    CHECK(read(key, "1000ms") == "1s");
    CHECK(read(key, "90s") == "90s");
    CHECK(read(key, "60m") == "1h");
    CHECK(read(key, "1h") == "1h");
    CHECK(read(key, "1s", true) == "1s");
    for (const char* text :
         {"9ms", "3601s", "2h", "1", "1d", "1 s", "s", "", "1.5s", "-1s", "+1s", "01s", "1S", "1us",
          "1m30s", "0x1s", "9223372036854775807h", "9223372036854775808ms"}) {
        CAPTURE(text);
        CHECK(read(key, text) == "refused");
    }
    const Key unlimited{.name = "d", .type = Type::duration};
    CHECK(read(unlimited, "2562047h") == "2562047h");
    CHECK(read(unlimited, "2562048h") == "refused");
}

TEST_CASE("values: what is read is what is printed") {
    CHECK(format_duration(0ms) == "0s");
    CHECK(format_duration(1500ms) == "1500ms");
    CHECK(format_duration(9s) == "9s");
    CHECK(format_duration(120s) == "2m");
    CHECK(format_duration(65535s) == "65535s");
}

TEST_CASE("values: true and false are the only booleans") {
    const Key key{.name = "b", .type = Type::boolean};
    CHECK(read(key, "true") == "true");
    CHECK(read(key, "false") == "false");
    for (const char* text : {"yes", "no", "on", "off", "True", "FALSE", "1", "0", "y", ""}) {
        CHECK(read(key, text) == "refused");
    }
    CHECK(read(key, "true", true) == "refused");
}

TEST_CASE("values: a name has 1 to 63 characters and starts with a letter or digit") {
    CHECK(is_name("a"));
    CHECK(is_name("9"));
    CHECK(is_name("upstream-a.b_c"));
    CHECK(is_name(std::string(63, 'a')));
    CHECK_FALSE(is_name(std::string(64, 'a')));
    for (const char* text : {"", "-a", ".a", "_a", "a b", "a/b", "ä", "a\n"}) {
        CHECK_FALSE(is_name(text));
    }
}

TEST_CASE("nearest: a slip is recognised, another word is not") {
    const std::vector<std::string_view> keys{"address", "port", "remote_as", "ipv4"};
    CHECK(nearest("adress", keys) == "address");
    CHECK(nearest("addrses", keys) == "address");
    CHECK(nearest("remote-as", keys) == "remote_as");
    CHECK(nearest("prot", keys) == "port");
    CHECK(nearest("colour", keys).empty());
    CHECK(nearest("", keys).empty());
    CHECK(nearest(std::string(100'000, 'a'), keys).empty());
}

TEST_CASE("schema: every default can be read as its own key demands") {
    const auto visit = [](const auto& self, std::span<const Key> keys) -> void {
        for (const Key& key : keys) {
            CAPTURE(key.name);
            if (!key.fallback.empty()) CHECK(parse_value(key, key.fallback, false).has_value());
            CHECK((key.type == Type::not_yet) == key.help.empty());
            self(self, key.members);
        }
    };
    visit(visit, schema());
}

}  // namespace
}  // namespace swerve::conf
