// disk, pressure and clock: what the host itself tells.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <thread>

#include "health/probes/clock_state.hpp"
#include "health/probes/disk_space.hpp"
#include "health/probes/pressure_file.hpp"
#include "tests/probes/support.hpp"
#include "tests/support/skipped.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;

namespace {

FieldValue number(std::int64_t value) { return {value}; }

std::string attempt(Loop& loop, Probe& probe, Duration timeout = 5s) {
    const Outcome outcome = loop.attempt(probe, timeout);
    return std::string{to_string(outcome.result)} + ": " + outcome.reason;
}

/// Runs `body` where mounts are its own.
void with_own_mounts(const std::function<void()>& body) {
    bool allowed = false;
    std::thread([&] {
        if (::unshare(CLONE_NEWNS) != 0) return;
        allowed = ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
        if (allowed) body();
    }).join();
    if (!allowed) swerve::testing::skipped("needs the right to make a mount namespace");
}

/// Runs `body` in a thread of whose calls, and of those of the threads it makes, those of `number`
/// fail: of a second argument `second` or, with no `mask`, of any.
void with_failing(long number, int error, unsigned mask, unsigned second,
                  const std::function<void()>& body) {
    const auto step = [](unsigned code, unsigned value, unsigned if_not = 0) {
        return ::sock_filter{static_cast<std::uint16_t>(code), 0, static_cast<std::uint8_t>(if_not),
                             value};
    };
    bool allowed = false;
    std::thread([&] {
        ::sock_filter steps[] = {
            step(BPF_LD | BPF_W | BPF_ABS, offsetof(::seccomp_data, nr)),
            step(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 4),
            step(BPF_LD | BPF_W | BPF_ABS, offsetof(::seccomp_data, args[1])),
            step(BPF_ALU | BPF_AND | BPF_K, mask),
            step(BPF_JMP | BPF_JEQ | BPF_K, second, 1),
            step(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
            step(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        const ::sock_fprog program{.len = std::size(steps), .filter = steps};
        allowed = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                  ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
        if (allowed) body();
    }).join();
    if (!allowed) swerve::testing::skipped("needs a kernel with seccomp");
}

/// A file system of 16 MiB and 100 inodes in `dir`.
void mount_small(const TempDir& dir) {
    const std::string at = dir.file("");
    REQUIRE(::mount("none", at.c_str(), "tmpfs", 0, "size=16m,nr_inodes=100") == 0);
}

/// A file system in user space whose server, the descriptor, never reads a request; negative if
/// there can be none.
int mount_hanging(const TempDir& dir) {
    int server = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (server < 0) {
        // Containers have it of the kernel and not in /dev.
        const TempDir nodes;
        const std::string node = nodes.file("fuse");
        ::mount("none", nodes.file("").c_str(), "tmpfs", 0, nullptr);
        ::mknod(node.c_str(), S_IFCHR | 0600, ::makedev(10, 229));
        server = ::open(node.c_str(), O_RDWR | O_CLOEXEC);
        ::umount2(nodes.file("").c_str(), MNT_DETACH);
    }
    const std::string options =
        "fd=" + std::to_string(server) + ",rootmode=40000,user_id=0,group_id=0";
    if (server >= 0 && ::mount("none", dir.file("").c_str(), "fuse", 0, options.c_str()) == 0) {
        return server;
    }
    if (server >= 0) ::close(server);
    swerve::testing::skipped("needs /dev/fuse and the right to mount");
    return -1;
}

void fill(const std::string& file, std::size_t mebibytes) {
    std::ofstream(file) << std::string(mebibytes << 20U, 'x');
}

}  // namespace

TEST_CASE("disk: free space has two thresholds") {
    with_own_mounts([] {
        Loop loop;
        const TempDir dir;
        mount_small(dir);
        const auto probe = make_probe("disk", {{"path", text(dir.file(""))},
                                               {"free", text("4MiB")},
                                               {"leave", {FieldMap{{"free", text("8MiB")}}}}});
        const std::string name = dir.file("");
        CHECK(attempt(loop, *probe) == "pass: " + name + ": 16 MiB free, 100 %");
        fill(dir.file("a"), 7);
        CHECK(attempt(loop, *probe).starts_with("pass"));
        fill(dir.file("b"), 6);
        CHECK(attempt(loop, *probe) == "fail: " + name + ": 3 MiB free instead of at least 4 MiB");
        fill(dir.file("b"), 2);
        CHECK(attempt(loop, *probe) == "fail: " + name + ": 7 MiB free instead of at least 8 MiB");
        fill(dir.file("b"), 1);
        CHECK(attempt(loop, *probe).starts_with("pass"));
        fill(dir.file("b"), 2);
        CHECK(attempt(loop, *probe).starts_with("pass"));
        ::umount2(name.c_str(), MNT_DETACH);
    });
}

TEST_CASE("disk: shares of size and inodes") {
    with_own_mounts([] {
        Loop loop;
        const TempDir dir;
        mount_small(dir);
        const std::string name = dir.file("");
        const auto probe = make_probe(
            "disk",
            {{"path", text(name)}, {"free_percent", number(50)}, {"inodes_percent", number(98)}});
        // The root directory takes one of them.
        CHECK(attempt(loop, *probe).starts_with("pass"));
        fill(dir.file("a"), 9);
        CHECK(attempt(loop, *probe) == "fail: " + name + ": 43 % free instead of at least 50 %");
        fill(dir.file("b"), 0);
        CHECK(attempt(loop, *probe) ==
              "fail: " + name +
                  ": 43 % free instead of at least 50 %, 97 % of the inodes free instead of at "
                  "least 98 %");
        ::umount2(name.c_str(), MNT_DETACH);
    });
}

TEST_CASE("disk: a path that is not there is unknown") {
    Loop loop;
    const TempDir dir;
    const auto probe =
        make_probe("disk", {{"path", text(dir.file("none"))}, {"free_percent", number(1)}});
    CHECK(attempt(loop, *probe) == "unknown: " + dir.file("none") + ": No such file or directory");
}

TEST_CASE("disk: a file system that is broken fails, and what cannot be asked is unknown") {
    Loop loop;
    const auto probe = make_probe("disk", {{"path", text("/")}, {"free_percent", number(1)}});
    const auto with = [&](int error) {
        std::string found;
        with_failing(SYS_statfs, error, 0, 0, [&] { found = attempt(loop, *probe); });
        return found;
    };
    for (const int broken : {EIO, ESTALE, ENOTCONN, ECONNABORTED, ECONNRESET, ETIMEDOUT,
                             EHOSTUNREACH, EHOSTDOWN, EUCLEAN, ENXIO, ENODEV}) {
        CHECK(with(broken) == "fail: /: " + std::generic_category().message(broken));
    }
    for (const int other : {EACCES, ENOENT, ENOTDIR, ELOOP, ENOSYS, ENOMEM}) {
        CHECK(with(other) == "unknown: /: " + std::generic_category().message(other));
    }
}

TEST_CASE("disk: an attempt that gets no descriptor is unknown, and leaves nothing behind") {
    Loop loop;
    const auto probe = make_probe("disk", {{"path", text("/")}, {"inodes_percent", number(1)}});
    const std::string before = attempt(loop, *probe);
    CHECK_FALSE(before.starts_with("unknown"));
    std::string found;
    with_failing(SYS_epoll_ctl, ENOSPC, ~0U, EPOLL_CTL_ADD, [&] { found = attempt(loop, *probe); });
    CHECK(found == "unknown: no descriptor left for looking at /");
    CHECK(attempt(loop, *probe) == before);
}

TEST_CASE("disk: a file system that never answers fails, and takes one thread however often") {
    with_own_mounts([] {
        const TempDir dir;
        const int server = mount_hanging(dir);
        if (server < 0) return;
        const std::string name = dir.file("");
        Loop loop;
        const auto probe = make_probe("disk", {{"path", text(name)}, {"free_percent", number(1)}});
        CHECK(attempt(loop, *probe, 80ms) ==
              "fail: no answer within 80ms, waiting for the file system of " + name);
        CHECK(attempt(loop, *probe, 80ms) ==
              "fail: the file system of " + name + " has not answered since an earlier attempt");
        // The end of the server ends the call, and the next attempt looks anew.
        ::close(server);
        std::string found;
        CHECK(loop.run_until([&] {
            found = attempt(loop, *probe);
            return !found.contains("earlier attempt");
        }));
        CHECK(found.starts_with("fail: " + name + ": "));
        ::umount2(name.c_str(), MNT_DETACH);
    });
}

TEST_CASE("disk: no more than 16 looks hang, whoever began them") {
    with_own_mounts([] {
        const TempDir dir;
        const int server = mount_hanging(dir);
        if (server < 0) return;
        const std::string name = dir.file("");
        Loop loop;
        const auto look = [&](Duration timeout) {
            // As after a reload: nobody knows any more of the attempts before.
            const auto probe =
                make_probe("disk", {{"path", text(name)}, {"free_percent", number(1)}});
            return attempt(loop, *probe, timeout);
        };
        for (int i = 0; i < 16; ++i) CHECK(look(20ms).starts_with("fail: no answer within 20ms"));
        CHECK(look(5s) == "unknown: 16 looks at file systems hang already");
        ::close(server);
        std::string found;
        CHECK(loop.run_until([&] {
            found = look(5s);
            return !found.contains("hang already");
        }));
        CHECK(found.starts_with("fail: " + name + ": "));
        ::umount2(name.c_str(), MNT_DETACH);
    });
}

TEST_CASE("disk: values that make no probe") {
    FieldMap values{{"path", text("/")}};
    CHECK(fault_of("disk", values) == "free_percent: nothing is asked of the file system");
    values["free"] = text("1 GB");
    CHECK(fault_of("disk", values) == "free: '1 GB' is no size");
    values["free"] = text("0B");
    CHECK(fault_of("disk", values) == "free: '0B' is no size");
    values["free"] = text("1GiB");
    CHECK(fault_of("disk", values) == "none");
    values["leave"] = {FieldMap{{"free", text("1023MiB")}}};
    CHECK(fault_of("disk", values) == "leave.free: is less than `free`");
    values["leave"] = {FieldMap{{"free", text("x")}}};
    CHECK(fault_of("disk", values) == "leave.free: 'x' is no size");
    values["leave"] = {FieldMap{{"inodes_percent", number(5)}}};
    CHECK(fault_of("disk", values) ==
          "leave.inodes_percent: means nothing without `inodes_percent`");
    CHECK(find_probe_type("disk")->target(values) == "/");
}

TEST_CASE("disk: sizes and shares") {
    CHECK(size_from_text("2GiB") == std::uint64_t{2} << 30U);
    CHECK(size_from_text("5 B") == 5);
    CHECK(size_from_text("16777215TiB") == std::uint64_t{16777215} << 40U);
    CHECK_FALSE(size_from_text("16777216TiB"));
    for (const std::string_view none : {"", "GiB", "1", "-1GiB", "1gib", "1  B", "1.5GiB"}) {
        CHECK_FALSE(size_from_text(none));
    }
    CHECK(size_text(0) == "0 B");
    CHECK(size_text(1023) == "1023 B");
    CHECK(size_text(1536) == "1.5 KiB");
    CHECK(size_text((std::uint64_t{3} << 30U) - 1) == "2.9 GiB");
    CHECK(size_text(~std::uint64_t{0}) == "16777215.9 TiB");
    CHECK(percent_of(0, 0) == 100);
    CHECK(percent_of(1, 100) == 1);
    CHECK(percent_of(199, 10000) == 1);
    CHECK(percent_of(~std::uint64_t{0} / 2, ~std::uint64_t{0}) == 49);
}

TEST_CASE("pressure: what the kernel of this host tells") {
    Loop loop;
    for (const std::string resource : {"cpu", "memory", "io"}) {
        const auto probe =
            make_probe("pressure", {{"resource", text(resource)}, {"at_most", number(100)}});
        const std::string found = attempt(loop, *probe);
        if (found.starts_with("unknown: /proc/pressure")) {
            MESSAGE("this kernel keeps none: " << found);
            continue;
        }
        CHECK(found.starts_with("pass: some task waited for " + resource + " during "));
    }
}

TEST_CASE("pressure: two thresholds, and what cannot be read") {
    with_own_mounts([] {
        Loop loop;
        // A stand-in for the kernel's files.
        if (::mount("none", "/proc/pressure", "tmpfs", 0, nullptr) != 0) {
            swerve::testing::skipped("needs /proc/pressure");
            return;
        }
        const auto probe = make_probe("pressure", {{"resource", text("io")},
                                                   {"tasks", text("full")},
                                                   {"window", {Duration{60s}}},
                                                   {"at_most", number(40)},
                                                   {"leave", number(20)}});
        const auto at = [&](std::string_view share) {
            std::ofstream("/proc/pressure/io")
                << "some avg10=99.00 avg60=99.00 avg300=99.00 total=1\nfull avg10=99.00 avg60="
                << share << " avg300=99.00 total=1\n";
            return attempt(loop, *probe);
        };
        CHECK(attempt(loop, *probe) ==
              "unknown: /proc/pressure/io: No such file or directory; the kernel keeps it from "
              "4.20 on, unless it runs with psi=0");
        CHECK(at("40.00") == "pass: all tasks waited for io during 40.00 % of the last 60s");
        CHECK(at("40.01") ==
              "fail: all tasks waited for io during 40.01 % of the last 60s, more than 40 %");
        CHECK(at("20.01") ==
              "fail: all tasks waited for io during 20.01 % of the last 60s, more than 20 %, at "
              "which it passes again");
        CHECK(at("20.00").starts_with("pass"));
        CHECK(at("40.00").starts_with("pass"));
        CHECK(at("x").starts_with("unknown: /proc/pressure/io is not as the kernel writes it"));
        std::ofstream("/proc/pressure/io") << "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n";
        CHECK(attempt(loop, *probe) == "unknown: /proc/pressure/io has no line for full");
        std::ofstream("/proc/pressure/io") << std::string(100'000, '\0');
        CHECK(attempt(loop, *probe) == "unknown: /proc/pressure/io has no line for full");
        ::umount2("/proc/pressure", MNT_DETACH);
    });
}

TEST_CASE("pressure: the lines of the kernel") {
    const auto read = parse_pressure(
        "some avg10=1.05 avg60=0.00 avg300=100.00 total=123\n"
        "full avg10=0.00 avg60=12.34 avg300=0.01 total=0\n");
    REQUIRE(read);
    CHECK(read->some == Stalled{{105, 0, 10000}});
    CHECK(read->full == Stalled{{0, 1234, 1}});
    CHECK(parse_pressure("") == Pressure{});
    CHECK(parse_pressure("later avg10=1\n") == Pressure{});
    for (const std::string_view wrong :
         {"some", "some avg10=1.05", "some avg10=1.05 avg300=0.00 avg60=0.00",
          "some avg10=.05 avg60=0.00 avg300=0.00", "some avg10=1.5 avg60=0.00 avg300=0.00",
          "some avg10=-1.05 avg60=0.00 avg300=0.00", "some avg10=100.01 avg60=0.00 avg300=0.00",
          "full avg10=1.05 avg60=0.00 avg300=0.00x"}) {
        CHECK_FALSE(parse_pressure(wrong));
    }
}

TEST_CASE("pressure: values that make no probe") {
    FieldMap values{{"resource", text("disk")}, {"at_most", number(40)}};
    CHECK(fault_of("pressure", values) == "resource: 'disk' is none of cpu, memory, io");
    values["resource"] = text("cpu");
    values["tasks"] = text("all");
    CHECK(fault_of("pressure", values) == "tasks: 'all' is neither some nor full");
    values["tasks"] = text("full");
    CHECK(fault_of("pressure", values).starts_with("tasks: `full` means nothing for the cpu"));
    values["resource"] = text("io");
    values["window"] = {Duration{61s}};
    CHECK(fault_of("pressure", values) == "window: 61s is none of 10s, 60s, 300s");
    values["window"] = {Duration{300s}};
    CHECK(fault_of("pressure", values) == "none");
    values["leave"] = number(41);
    CHECK(fault_of("pressure", values) == "leave: is more than `at_most`");
    CHECK(find_probe_type("pressure")->target(values) == "/proc/pressure/io");
}

TEST_CASE("clock: what the kernel of this host tells") {
    Loop loop;
    ::timex state{};
    REQUIRE(::adjtimex(&state) >= 0);
    const bool synchronised = (state.status & (STA_UNSYNC | STA_CLOCKERR)) == 0;
    auto probe = make_probe("clock", {});
    for (int i = 0; i < 2; ++i) {
        CHECK(attempt(loop, *probe)
                  .starts_with(synchronised
                                   ? "pass: the clock is synchronised"
                                   : "fail: the kernel says that the clock is not synchronised"));
    }
    probe = make_probe("clock", {{"synchronised", {false}}, {"max_step", {Duration{5ms}}}});
    for (int i = 0; i < 20; ++i) CHECK(attempt(loop, *probe).starts_with("pass"));
    probe = make_probe("clock", {{"synchronised", {false}}, {"max_error", {Duration{1ns}}}});
    if (state.maxerror > 0) {
        CHECK(attempt(loop, *probe).starts_with("fail: the clock may be wrong by "));
    }
}

TEST_CASE("clock: a step is told for a while") {
    ClockJudge judge({.max_step = 1s, .step_hold = 1min});
    const TimePoint start{1h};
    ClockReading reading{
        .synchronised = true, .largest_error = 5ms, .ahead_of_boot = 1000s, .at = start};
    CHECK(judge.look(reading) == "");
    // What a leap second does is no step.
    reading.ahead_of_boot -= 1s;
    CHECK(judge.look(reading) == "");
    reading.ahead_of_boot -= 1s + 1us;
    CHECK(judge.look(reading) == "the clock was set back by 1s, 0us ago");
    reading.at += 60s - 1ns;
    CHECK(judge.look(reading) == "the clock was set back by 1s, 59s ago");
    reading.at += 1ns;
    CHECK(judge.look(reading) == "");
    reading.ahead_of_boot += 2h;
    CHECK(judge.look(reading) == "the clock was set forward by 7200s, 0us ago");
}

TEST_CASE("clock: the error that the time service estimates") {
    ClockJudge judge({.max_error = 100ms});
    ClockReading reading{.synchronised = true, .largest_error = 100ms};
    CHECK(judge.look(reading) == "");
    reading.largest_error += 1ns;
    CHECK(judge.look(reading) == "the clock may be wrong by 100ms, more than 100ms");
    reading.synchronised = false;
    CHECK(judge.look(reading) ==
          "the kernel says that the clock is not synchronised: is a time service running, and does "
          "it reach its servers (chrony: is rtcsync on)?");
}

TEST_CASE("clock: values that make no probe") {
    CHECK(fault_of("clock", {}) == "none");
    for (const std::string name : {"max_error", "max_step", "step_hold"}) {
        CHECK(fault_of("clock", {{name, {Duration::zero()}}}) == name + ": must be longer than 0s");
    }
}
