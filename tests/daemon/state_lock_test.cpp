#include "daemon/state_lock.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/temporary_directory.hpp"

using swerve::daemon::StateLock;

TEST_CASE("state lock: a second daemon on the same state_dir is refused by name") {
    const swerve::test::TemporaryDirectory directory;
    const std::string state_dir = directory.path() + "/state";
    const auto first = StateLock::take(state_dir, "fra1");
    REQUIRE(first.has_value());
    const auto second = StateLock::take(state_dir, "ams1");
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error().find("swerved, pid " + std::to_string(::getpid()) + ", site fra1") !=
          std::string::npos);
    CHECK(second.error().find(state_dir) != std::string::npos);
}

TEST_CASE("state lock: free again when the holder is gone, whatever it left in the file") {
    const swerve::test::TemporaryDirectory directory;
    {
        CHECK(StateLock::take(directory.path(), "a-rather-long-site-name").has_value());
    }
    const auto again = StateLock::take(directory.path(), "b");
    REQUIRE(again.has_value());
    std::ifstream file{directory.path() + "/lock"};
    std::string line;
    std::getline(file, line);
    CHECK(line == "swerved, pid " + std::to_string(::getpid()) + ", site b");
}

TEST_CASE("state lock: a directory that cannot be made is named with the reason") {
    const auto lock = StateLock::take("/proc/swerve", "a");
    REQUIRE_FALSE(lock.has_value());
    CHECK(lock.error().starts_with("state_dir /proc/swerve: "));
}
