#include "swerve/base/span.hpp"

#include <doctest/doctest.h>

namespace swerve {

TEST_CASE("span: two units, each from the first moment it is needed") {
    using namespace std::chrono_literals;
    CHECK(span_text(-5s) == "0s");
    CHECK(span_text(0s) == "0s");
    CHECK(span_text(1999ms) == "1s");
    CHECK(span_text(59'999ms) == "59s");
    CHECK(span_text(60s) == "1m00s");
    CHECK(span_text(12min + 3s) == "12m03s");
    CHECK(span_text(1h - 1s) == "59m59s");
    CHECK(span_text(1h) == "1h00m");
    CHECK(span_text(24h - 1s) == "23h59m");
    CHECK(span_text(24h) == "1d00h");
    CHECK(span_text(76h + 59min) == "3d04h");
}

}  // namespace swerve
