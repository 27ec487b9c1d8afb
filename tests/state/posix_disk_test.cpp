#include "daemon/state/posix_disk.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>

#include "daemon/state/codec.hpp"
#include "daemon/state/store.hpp"
#include "swerve/base/random.hpp"
#include "tests/support/state_maker.hpp"
#include "tests/support/temporary_directory.hpp"

using namespace swerve;
using daemon::PosixDisk;
using daemon::StateStore;

namespace {

failover::SavedState numbered(unsigned number) {
    failover::SavedState out = test::StateMaker{number}.make();
    out.crashes = number;
    return out;
}

/// Saves for ever and tells on `acknowledge` the number of each save that is done.
[[noreturn]] void save_for_ever(const std::string& directory, int acknowledge) {
    PosixDisk disk{directory};
    StateStore store{disk};
    const auto found = store.load();
    for (unsigned number = found.state ? found.state->crashes + 1 : 1;; ++number) {
        if (!store.save(numbered(number)) ||
            ::write(acknowledge, &number, sizeof number) != sizeof number) {
            std::_Exit(EXIT_FAILURE);
        }
    }
}

/// The next acknowledged number, or nothing at the end.
std::optional<unsigned> next_number(int pipe_end) {
    unsigned number = 0;
    if (::read(pipe_end, &number, sizeof number) != sizeof number) return std::nullopt;
    return number;
}

/// Lets a child save, kills it at a moment of chance, and returns the last save it acknowledged.
unsigned run_and_kill(const std::string& directory, Random& random) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::close(ends[0]);
        save_for_ever(directory, ends[1]);
    }
    ::close(ends[1]);
    std::optional<unsigned> last;
    for (std::uint64_t count = 1 + random.below(5); count > 0; --count) {
        const auto number = next_number(ends[0]);
        REQUIRE(number.has_value());
        last = number;
    }
    // The moment is what chance is to decide; nothing waits for it.
    const timespec moment{0, static_cast<long>(random.below(300'000))};
    ::nanosleep(&moment, nullptr);
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    while (const auto number = next_number(ends[0])) last = number;
    ::close(ends[0]);
    return *last;
}

}  // namespace

TEST_CASE(
    "posix disk: killed while it saves, no acknowledged save is lost and nothing is damaged") {
    const test::TemporaryDirectory directory;
    Random random{2026};
    for (int round = 0; round < 40; ++round) {
        const unsigned acknowledged = run_and_kill(directory.path(), random);
        PosixDisk disk{directory.path()};
        const auto found = StateStore{disk}.load();
        REQUIRE(found.damage.empty());
        REQUIRE(found.state.has_value());
        REQUIRE(found.state->crashes >= acknowledged);
        REQUIRE(found.state->crashes <= acknowledged + 1);
        REQUIRE(found.state == numbered(found.state->crashes));
    }
}

TEST_CASE("posix disk: what is written is read, and only its owner may") {
    const test::TemporaryDirectory directory;
    PosixDisk disk{directory.path()};
    CHECK(disk.read("state").value() == std::nullopt);
    REQUIRE(disk.write("state", "a longer text").has_value());
    REQUIRE(disk.write("state", "a text").has_value());
    CHECK(disk.read("state").value() == "a text");
    REQUIRE(disk.scribble("alive", "12").has_value());
    REQUIRE(disk.scribble("alive", "3").has_value());
    CHECK(disk.read("alive").value() == "3");
    REQUIRE(disk.rename("state", "alive").has_value());
    CHECK(disk.read("alive").value() == "a text");
    CHECK(disk.read("state").value() == std::nullopt);
    CHECK(disk.sync().has_value());
    struct stat facts{};
    REQUIRE(::stat((directory.path() + "/alive").c_str(), &facts) == 0);
    CHECK((facts.st_mode & 0777U) == 0600U);
}

TEST_CASE("posix disk: errors name what was attempted and why") {
    const test::TemporaryDirectory directory;
    const std::string path = directory.path() + "/none";
    PosixDisk disk{path};
    CHECK(disk.read("state").value() == std::nullopt);
    CHECK(disk.write("state", "").error() ==
          "opening " + path + "/state: No such file or directory");
    CHECK(disk.rename("a", "b").error() == "renaming " + path + "/a: No such file or directory");
    CHECK(disk.sync().error() == "opening " + path + ": No such file or directory");
}

TEST_CASE("posix disk: what is no file of ours is refused, not waited for") {
    const test::TemporaryDirectory directory;
    const std::string& path = directory.path();
    PosixDisk disk{path};
    REQUIRE(::mkdir((path + "/state").c_str(), 0700) == 0);
    CHECK(disk.read("state").error() == "reading " + path + "/state: Is a directory");
    REQUIRE(::mkfifo((path + "/fifo").c_str(), 0600) == 0);
    CHECK(disk.read("fifo").value() == "");
    CHECK(disk.write("fifo", "x").error() ==
          "opening " + path + "/fifo: No such device or address");
    REQUIRE(::symlink("/etc/passwd", (path + "/link").c_str()) == 0);
    CHECK_FALSE(disk.read("link").has_value());
    CHECK_FALSE(disk.write("link", "x").has_value());
}

TEST_CASE("posix disk: a file too large is not read to its end") {
    const test::TemporaryDirectory directory;
    PosixDisk disk{directory.path()};
    const std::string path = directory.path() + "/state";
    REQUIRE(disk.write("state", "").has_value());
    std::filesystem::resize_file(path, daemon::largest_generation);
    CHECK(disk.read("state").value()->size() == daemon::largest_generation);
    std::filesystem::resize_file(path, std::uintmax_t{1} << 40U);
    CHECK(disk.read("state").error() == "reading " + path + ": File too large");
}

TEST_CASE("posix disk: a write that does not fit says so and leaves the state as it was") {
    const test::TemporaryDirectory directory;
    PosixDisk disk{directory.path()};
    StateStore store{disk};
    (void)store.load();
    REQUIRE(store.save(numbered(1)).has_value());

    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{100, before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    const auto saved = store.save(numbered(2));
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    (void)std::signal(SIGXFSZ, handler);

    REQUIRE_FALSE(saved.has_value());
    CHECK(saved.error() == "writing " + directory.path() + "/state.tmp: File too large");
    const auto found = StateStore{disk}.load();
    CHECK(found.state == numbered(1));
    CHECK(found.damage.empty());
    REQUIRE(store.save(numbered(3)).has_value());
    CHECK(StateStore{disk}.load().state == numbered(3));
}
