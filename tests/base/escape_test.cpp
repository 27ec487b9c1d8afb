#include "swerve/base/escape.hpp"

#include <doctest/doctest.h>

#include <string>

namespace swerve {
namespace {

using namespace std::string_literals;

TEST_CASE("escape: plain text and well-formed UTF-8 stay as they are") {
    CHECK(escape("") == "");
    CHECK(escape("maintenance, back at 03:00 ~") == "maintenance, back at 03:00 ~");
    CHECK(escape("Wartung \xc3\xbc \xe2\x82\xac \xf0\x9f\x9a\x92") ==
          "Wartung \xc3\xbc \xe2\x82\xac \xf0\x9f\x9a\x92");
}

TEST_CASE("escape: control characters at both ends of their ranges") {
    CHECK(escape("\0"s) == R"(\x00)");
    CHECK(escape("\x1f ") == R"(\x1f )");
    CHECK(escape("~\x7f") == R"(~\x7f)");
    CHECK(escape("\n\t\x1b[31m") == R"(\x0a\x09\x1b[31m)");
    // C1 as UTF-8, and the first character behind it.
    CHECK(escape("\xc2\x80\xc2\x9f\xc2\xa0") == "\\xc2\\x80\\xc2\\x9f\xc2\xa0");
}

TEST_CASE("escape: what is no UTF-8, octet by octet") {
    CHECK(escape("\xff") == R"(\xff)");
    CHECK(escape("a\x80z") == R"(a\x80z)");
    CHECK(escape("\xc1\xbf") == R"(\xc1\xbf)");                  // overlong
    CHECK(escape("\xe0\x9f\xbf") == R"(\xe0\x9f\xbf)");          // overlong
    CHECK(escape("\xf0\x8f\xbf\xbf") == R"(\xf0\x8f\xbf\xbf)");  // overlong
    CHECK(escape("\xed\xa0\x80") == R"(\xed\xa0\x80)");          // surrogate
    CHECK(escape("\xed\x9f\xbf") == "\xed\x9f\xbf");             // the last before them
    CHECK(escape("\xf4\x90\x80\x80") == R"(\xf4\x90\x80\x80)");  // beyond U+10FFFF
    CHECK(escape("\xf4\x8f\xbf\xbf") == "\xf4\x8f\xbf\xbf");
    CHECK(escape("\xe2\x82") == R"(\xe2\x82)");  // cut off
    CHECK(escape("\xe2") == R"(\xe2)");
}

TEST_CASE("escape: input at the limit is whole, one octet more is cut and marked") {
    CHECK(escape("12345", 5) == "12345");
    CHECK(escape("123456", 5) == "12345…");
    CHECK(escape("1234\xc3\xbc", 5) == "1234…");
    CHECK(escape("123\xc3\xbc", 5) == "123\xc3\xbc");
    CHECK(escape("\n\n\n", 2) == R"(\x0a\x0a…)");
    CHECK(escape("x", 0) == "…");
    CHECK(escape(std::string(512, 'x')).size() == 512);
}

}  // namespace
}  // namespace swerve
