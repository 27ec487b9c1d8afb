#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <vector>

#include "tests/probes/watching.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

/// A flag file that need not be there, and attempts at it.
struct Flag {
    Loop loop;
    TempDir dir;
    std::string path = dir.file("flag");

    std::string attempt(FieldMap values = {}) {
        values.emplace("path", text(path));
        const Outcome found = loop.attempt("file", values);
        REQUIRE(
            found.reason.starts_with(path + (found.result == ProbeResult::unknown ? ":" : " ")));
        return std::string{to_string(found.result)} + ":" + found.reason.substr(path.size());
    }
    FieldMap values() const { return {{"path", text(path)}}; }
    void write(std::string_view content = "") const { dir.write("flag", content); }
};

void touch(const std::string& path, Duration ago) {
    const auto then = std::chrono::system_clock::now().time_since_epoch() - ago;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(then);
    const ::timespec time{seconds.count(), 0};
    const std::array<::timespec, 2> times{time, time};
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times.data(), 0) == 0);
}

/// All that inotify descriptors of this process have.
int watches_of_the_kernel() {
    int out = 0;
    for (const auto& each : fs::directory_iterator{"/proc/self/fdinfo"}) {
        std::ifstream in{each.path()};
        for (std::string line; std::getline(in, line);) out += line.starts_with("inotify wd:");
    }
    return out;
}

}  // namespace

TEST_CASE("file: present and absent") {
    Flag flag;
    const FieldMap absent{{"expect", text("absent")}};
    CHECK(flag.attempt() == "fail: is absent");
    CHECK(flag.attempt(absent) == "pass: is absent");
    flag.write();
    CHECK(flag.attempt() == "pass: is present");
    CHECK(flag.attempt({{"expect", text("present")}}) == "pass: is present");
    CHECK(flag.attempt(absent) == "fail: is present");
    flag.path = flag.dir.file("missing/flag");
    CHECK(flag.attempt() == "fail: is absent");
    flag.path = flag.dir.file("flag/below-a-file");
    CHECK(flag.attempt(absent) == "pass: is absent");
}

TEST_CASE("file: content is looked for in the first 64 KiB") {
    Flag flag;
    const FieldMap ready{{"content", text("state: ready")}};
    CHECK(flag.attempt(ready) == "fail: is absent");
    flag.write("state: starting\n");
    CHECK(flag.attempt(ready) == "fail: does not contain 'state: ready'");
    flag.write("\x01\nstate: ready\n");
    CHECK(flag.attempt(ready) == "pass: contains 'state: ready'");
    const std::string padding(64UZ * 1024 - 12, 'x');
    flag.write(padding + "state: ready");
    CHECK(flag.attempt(ready).starts_with("pass"));
    flag.write(padding + "xstate: ready");
    CHECK(flag.attempt(ready).starts_with("fail"));
    // A file that is huge on paper costs no more.
    REQUIRE(::truncate(flag.path.c_str(), 1L << 40) == 0);
    CHECK(flag.attempt(ready).starts_with("fail"));
}

TEST_CASE("file: age is that of the last modification") {
    Flag flag;
    const FieldMap young{{"max_age", {Duration{1h}}}};
    flag.write();
    touch(flag.path, 59min);
    CHECK(flag.attempt(young) == "pass: is present");
    touch(flag.path, 61min);
    CHECK(flag.attempt(young) == "fail: was modified 3660s ago, more than 3600s");
    touch(flag.path, -24h);
    CHECK(flag.attempt(young) == "pass: is present");
}

TEST_CASE("file: what is no file says nothing, and blocks nobody") {
    Flag flag;
    fs::create_directory(flag.path);
    CHECK(flag.attempt() == "unknown:: not a regular file");
    fs::remove(flag.path);
    REQUIRE(::mkfifo(flag.path.c_str(), 0600) == 0);
    CHECK(flag.attempt() == "unknown:: not a regular file");
    CHECK(flag.attempt({{"content", text("x")}}) == "unknown:: not a regular file");
    fs::remove(flag.path);
    fs::create_symlink("flag", flag.path);
    CHECK(flag.attempt() == "unknown:: Too many levels of symbolic links");
    fs::remove(flag.path);
    fs::create_symlink("nowhere", flag.path);
    CHECK(flag.attempt() == "unknown:: a link that leads nowhere");
    CHECK(flag.attempt({{"expect", text("absent")}}) == "unknown:: a link that leads nowhere");
    flag.path = "/" + std::string(300, 'x');
    CHECK(flag.attempt() == "unknown:: File name too long");
}

TEST_CASE("file: one that may not be read says nothing of its content") {
    Flag flag;
    flag.write("secret");
    REQUIRE(::chmod(flag.path.c_str(), 0) == 0);
    if (::geteuid() == 0) {
        MESSAGE("skipped: root reads everything");
        return;
    }
    CHECK(flag.attempt() == "pass: is present");
    CHECK(flag.attempt({{"content", text("secret")}}) == "unknown:: Permission denied");
}

TEST_CASE("file: values that make no probe") {
    const auto fault = [](const char* key, FieldValue value, const char* expect = "present") {
        return fault_of("file", {{"path", text("/x")}, {"expect", text(expect)}, {key, value}});
    };
    CHECK(fault_of("file", {{"path", text("/x")}, {"expect", text("here")}}) ==
          "expect: 'here' is neither present nor absent");
    CHECK(fault("content", text("")) == "content: is empty");
    CHECK(fault("content", text(std::string(65537, 'x'))) == "content: is longer than 64 KiB");
    CHECK(fault("content", text("x"), "absent").starts_with("content: means nothing"));
    CHECK(fault("max_age", {Duration{1s}}, "absent").starts_with("max_age: means nothing"));
    CHECK(fault("max_age", {Duration{}}) == "max_age: must be longer than 0s");
}

TEST_CASE("file: events tell that it comes, changes and goes") {
    Flag flag;
    FieldMap values = flag.values();
    values.emplace("content", text("ok"));
    Watching watching(flag.loop, "file", values);
    flag.write("ok");
    CHECK(watching.next() == "pass: " + flag.path + " contains 'ok'");
    flag.write("no");
    CHECK(watching.next().starts_with("fail"));
    flag.dir.write("next", "ok");
    fs::rename(flag.dir.file("next"), flag.path);
    CHECK(watching.next().starts_with("pass"));
    REQUIRE(::truncate(flag.path.c_str(), 0) == 0);
    CHECK(watching.next().starts_with("fail"));
    flag.write("ok");
    CHECK(watching.next().starts_with("pass"));
    fs::remove(flag.path);
    CHECK(watching.next() == "fail: " + flag.path + " is absent");
    fs::create_hard_link(flag.dir.write("other", "ok"), flag.path);
    CHECK(watching.next().starts_with("pass"));
    fs::rename(flag.path, flag.dir.file("away"));
    CHECK(watching.next().starts_with("fail"));
    CHECK(watching.stop());
    const auto& reports = watching.reports;
    for (const Outcome& each : reports) CHECK(each.finished >= each.started);
    CHECK(reports.front().started > TimePoint{});
}

TEST_CASE("file: a directory that comes later, goes and comes again is followed") {
    Flag flag;
    flag.path = flag.dir.file("run/swerve//./flag");
    Watching watching(flag.loop, "file", flag.values());
    for (int round = 0; round < 3; ++round) {
        // All at once: the file is there before anybody can watch its directory …
        fs::create_directories(flag.dir.file("run/swerve"));
        std::ofstream{flag.path};
        CHECK(watching.next().starts_with("pass"));
        fs::remove_all(flag.dir.file("run"));
        CHECK(watching.next().starts_with("fail"));
        // … and one after the other.
        fs::create_directory(flag.dir.file("run"));
        watching.settle();
        fs::create_directory(flag.dir.file("run/swerve"));
        watching.settle();
        std::ofstream{flag.path};
        CHECK(watching.next().starts_with("pass"));
        CHECK(watches_of_the_kernel() == 1);  // those of the way there were given back
        fs::rename(flag.dir.file("run/swerve"), flag.dir.file("run/gone"));
        CHECK(watching.next().starts_with("fail"));
        fs::remove_all(flag.dir.file("run"));
        watching.settle();
    }
    CHECK(watching.reports.size() == 12);
}

TEST_CASE("file: behind a link the file itself is watched") {
    Flag flag;
    fs::create_directory(flag.dir.file("data"));
    flag.dir.write("data/flag", "no");
    fs::create_symlink("data/flag", flag.path);
    FieldMap values = flag.values();
    values.emplace("content", text("ok"));
    Watching watching(flag.loop, "file", values);
    flag.dir.write("data/flag", "ok");
    CHECK(watching.next().starts_with("pass"));
    fs::remove(flag.dir.file("data/flag"));
    CHECK(watching.next() == "unknown: " + flag.path + ": a link that leads nowhere");
}

TEST_CASE("file: a storm of touches that changes nothing is told to nobody") {
    Flag flag;
    flag.write();
    Watching watching(flag.loop, "file", flag.values());
    for (int i = 0; i < 1000; ++i) {
        touch(flag.path, 0s);
        if (i % 10 == 0) watching.settle();
    }
    watching.settle();
    CHECK(watching.reports.empty());
    // What is already to be read is one event: of a thousand comings and goings the last counts.
    for (int i = 0; i < 1000; ++i) {
        fs::remove(flag.path);
        flag.write();
    }
    fs::remove(flag.path);
    CHECK(watching.next().starts_with("fail"));
    watching.settle();
    CHECK(watching.reports.size() <= 3);
}

TEST_CASE("file: more events than the kernel keeps") {
    Flag flag;
    Watching watching(flag.loop, "file", flag.values());
    // The queue holds 16384 by default; neighbors of the flag fill it, and it is lost itself.
    for (int i = 0; i < 20000; ++i) {
        const std::string other = flag.dir.file("other" + std::to_string(i % 2));
        std::ofstream{other};
        fs::remove(other);
    }
    flag.write();
    CHECK(watching.next().starts_with("pass"));
}

TEST_CASE("file: many watches share one descriptor, and give it back") {
    Flag flag;
    const auto descriptors = [] {
        return std::distance(fs::directory_iterator{"/proc/self/fd"}, fs::directory_iterator{});
    };
    Watching{flag.loop, "file", flag.values()}.stop();  // the loop has its own now
    const auto before = descriptors();
    {
        std::vector<std::unique_ptr<Watching>> all;
        for (int i = 0; i < 300; ++i) {
            all.push_back(std::make_unique<Watching>(
                flag.loop, "file",
                FieldMap{{"path", text(flag.dir.file("flag" + std::to_string(i)))}}));
        }
        CHECK(descriptors() == before + 1);
        flag.dir.write("flag7", "");
        CHECK(all[7]->next().starts_with("pass"));
        for (const auto& each : all) CHECK(each->reports.size() == (each == all[7] ? 1 : 0));
    }
    CHECK(descriptors() == before);
    flag.loop.io.restart();
    flag.loop.io.run_for(10s);
    CHECK(flag.loop.io.stopped());  // out of work
}
