#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <sstream>
#include <string>
#include <vector>

#include "tests/daemon/actions_bench.hpp"

using namespace swerve;
using namespace swerve::test;
using daemon::HookResult;
using failover::Intent;
using namespace std::chrono_literals;

namespace {

/// Scripts, what they write, and a pipe at which they wait for the test.
class Scripts {
public:
    Scripts() {
        REQUIRE(::mkfifo(file("gate").c_str(), 0600) == 0);
        gate_ = ::open(file("gate").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    }
    ~Scripts() { ::close(gate_); }
    Scripts(const Scripts&) = delete;
    Scripts& operator=(const Scripts&) = delete;

    [[nodiscard]] std::string file(const std::string& name) const {
        return directory_.path() + "/" + name;
    }
    [[nodiscard]] conf::Hook hook(const std::string& name, const std::string& body) const {
        std::ofstream{file(name)} << "#!/bin/sh\n" << body << "\n";
        REQUIRE(::chmod(file(name).c_str(), 0755) == 0);
        return {.name = name, .argv = {file(name), "$HOME", "two words"}, .on = every_occasion};
    }
    /// What a script does to wait until the test lets so many on.
    [[nodiscard]] std::string wait() const { return "read line < " + file("gate"); }
    void let_on(int count) const {
        const std::string lines(static_cast<std::size_t>(count), '\n');
        REQUIRE(::write(gate_, lines.data(), lines.size()) == count);
    }
    [[nodiscard]] std::size_t lines_in(const std::string& name) const {
        const std::string text = content_of(file(name));
        return static_cast<std::size_t>(std::ranges::count(text, '\n'));
    }

private:
    TemporaryDirectory directory_;
    int gate_ = -1;
};

conf::Config with(std::vector<conf::Hook> hooks) {
    conf::Config out = sample_config();
    out.hooks = std::move(hooks);
    return out;
}

/// A zombie that its new parent has not buried yet is dead, too.
bool is_dead(const std::string& pid) {
    std::ifstream status{"/proc/" + pid + "/stat"};
    std::string number;
    std::string name;
    std::string state;
    return !(status >> number >> name >> state) || state == "Z" || state == "X";
}

}  // namespace

TEST_CASE("hooks: a program gets its arguments as they are and what happened in its environment") {
    const Scripts scripts;
    ActionsBench bench{with({scripts.hook(
        "say", "{ env; echo \"1=$1 2=$2\"; } > " + scripts.file("said") + "; echo done")})};
    bench.tell(Intent::announce, "web\npasses");
    bench.run_out();
    const std::string said = content_of(scripts.file("said"));
    for (const auto* line :
         {"SWERVE_SITE=fra1\n", "SWERVE_SERVICE=portal\n", "SWERVE_EVENT=announce\n",
          "SWERVE_FROM=withdraw\n", "SWERVE_TO=announce\n", "SWERVE_REASON=web\\x0apasses\n",
          "SWERVE_PREFIX_COUNT=2\n", "SWERVE_TIME=2027-01-15T08:00:00.000Z\n", "LANG=C.UTF-8\n",
          "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n",
          "1=$HOME 2=two words\n"}) {
        CHECK_MESSAGE(said.find(line) != std::string::npos, line << " in " << said);
    }
    // Nothing of ours: those above, HOME, SWERVE_ID, and what the shell adds (PWD, maybe _ and
    // SHLVL, OLDPWD).
    CHECK(scripts.lines_in("said") <= 17);
    CHECK(bench.runs(HookResult::success) == 1);
    CHECK(bench.log.str().find("info event=hook hook=\"say\" on=announce service=\"portal\" "
                               "result=success text=\"exit code 0\" output=\"done\\\\x0a\"") !=
          std::string::npos);
}

TEST_CASE("hooks: how a run ended is counted, and told as a warning unless it was well") {
    const Scripts scripts;
    ActionsBench bench{with({scripts.hook(
        "end",
        "case $SWERVE_EVENT in announce) exit 0;; withdraw) exit 3;; *) kill -9 $$;; esac")})};
    bench.tell(Intent::announce);
    bench.tell(Intent::withdraw);
    bench.tell(Intent::drain);
    bench.run_out();
    CHECK(bench.runs(HookResult::success) == 1);
    CHECK(bench.runs(HookResult::failure) == 2);
    CHECK(bench.log.str().find("result=failure text=\"exit code 3\"") != std::string::npos);
    CHECK(bench.log.str().find("result=failure text=\"signal 9\"") != std::string::npos);
}

TEST_CASE("hooks: a program that is not there, or no program, is told and not run") {
    const Scripts scripts;
    conf::Hook gone = scripts.hook("gone", "");
    gone.argv = {scripts.file("nothing")};
    conf::Hook text = scripts.hook("text", "");
    REQUIRE(::chmod(text.argv.front().c_str(), 0644) == 0);
    ActionsBench bench{with({gone, text})};
    bench.tell(Intent::announce);
    bench.run_out();
    CHECK(bench.runs(HookResult::not_started, 0) == 1);
    CHECK(bench.runs(HookResult::not_started, 1) == 1);
    CHECK(bench.log.str().find("nothing: No such file or directory") != std::string::npos);
}

TEST_CASE("hooks: only what they want of the services they want, and alarms of nobody") {
    const Scripts scripts;
    conf::Hook hook =
        scripts.hook("some", "echo $SWERVE_EVENT:$SWERVE_SERVICE >> " + scripts.file("told"));
    hook.on = {conf::Occasion::withdraw, conf::Occasion::alarm};
    hook.services = {{0}};
    ActionsBench bench{with({hook})};
    bench.tell(Intent::announce);
    bench.tell(Intent::withdraw);
    bench.tell(Intent::announce, "", "other");
    bench.tell(Intent::withdraw, "", "other");
    bench.tell_of(
        daemon::VerdictEvent{"portal", failover::Verdict::up, failover::Verdict::down, ""});
    bench.tell_of(daemon::DaemonEvent{daemon::DaemonEvent::Kind::started, "started"});
    bench.tell_of(daemon::DaemonEvent{daemon::DaemonEvent::Kind::alarm, "reload failed"});
    bench.run_out();
    CHECK(content_of(scripts.file("told")) == "withdraw:portal\nalarm:\n");
}

TEST_CASE("hooks: the alarm of a check is for those who want a service that uses it") {
    const Scripts scripts;
    conf::Hook hook = scripts.hook("some", "echo $SWERVE_REASON >> " + scripts.file("told"));
    hook.on = {conf::Occasion::alarm};
    hook.services = {{0}};
    conf::Config config = with({hook});
    while (config.checks.size() < 2) config.checks.push_back(config.checks.front());
    config.checks[0].name = "ours";
    config.checks[1].name = "theirs";
    config.services.push_back(config.services[0]);
    config.services[1].name = "other";
    config.services[0].healthy_when = health::Expression{.check = 0};
    config.services[1].healthy_when = health::Expression{.check = 1};
    ActionsBench bench{config};
    bench.tell_of(daemon::CheckAlarmEvent{"ours", true, "first"});
    bench.tell_of(daemon::CheckAlarmEvent{"theirs", true, "second"});
    bench.tell_of(daemon::CheckAlarmEvent{"ours", true, "third"});
    bench.run_out();
    const std::string told = content_of(scripts.file("told"));
    CHECK(told.contains("first"));
    CHECK(told.contains("third"));
    CHECK_FALSE(told.contains("second"));
}

TEST_CASE("hooks: the runs of one follow each other in order") {
    const Scripts scripts;
    ActionsBench bench{
        with({scripts.hook("one", "mkdir " + scripts.file("busy") + " || echo overlap >> " +
                                      scripts.file("order") + "; echo $SWERVE_REASON >> " +
                                      scripts.file("order") + "; rmdir " + scripts.file("busy"))})};
    bench.tell_often(10);
    bench.run_out();
    INFO(bench.log.str());
    CHECK(content_of(scripts.file("order")) == "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
}

TEST_CASE("hooks: eight run at a time, and the ninth when one has ended") {
    const Scripts scripts;
    std::vector<conf::Hook> hooks;
    for (int i = 0; i < 10; ++i) {
        hooks.push_back(scripts.hook("hook" + std::to_string(i),
                                     "echo >> " + scripts.file("begun") + "; " + scripts.wait()));
    }
    ActionsBench bench{with(std::move(hooks))};
    bench.tell(Intent::announce);
    REQUIRE(bench.run_until([&] { return scripts.lines_in("begun") == 8; }));
    // A ninth would have been started in the turn that started the eighth.
    bench.io.poll();
    CHECK(scripts.lines_in("begun") == 8);
    scripts.let_on(1);
    REQUIRE(bench.run_until([&] { return scripts.lines_in("begun") == 9; }));
    scripts.let_on(9);
    bench.run_out();
    CHECK(scripts.lines_in("begun") == 10);
}

TEST_CASE("hooks: a hundred wait; of more the oldest is dropped, counted and told once") {
    const Scripts scripts;
    ActionsBench bench{with({scripts.hook(
        "slow", scripts.wait() + "; echo $SWERVE_REASON >> " + scripts.file("run"))})};
    bench.tell_often(1);
    bench.io.poll();  // the first is under way
    bench.tell_often(100);
    CHECK(bench.actions->counts().hooks[0].dropped == 0);
    bench.tell_often(3);
    CHECK(bench.actions->counts().hooks[0].dropped == 3);
    scripts.let_on(101);
    bench.run_out();
    INFO(bench.log.str());
    CHECK(bench.runs(HookResult::success) == 101);
    CHECK(content_of(scripts.file("run")).starts_with("0\n3\n4\n"));
    const std::string log = bench.log.str();
    const auto told = log.find("what is oldest is dropped");
    REQUIRE(told != std::string::npos);
    CHECK(log.find("what is oldest is dropped", told + 1) == std::string::npos);
}

TEST_CASE("hooks: one that hangs is killed at its deadline with what it started") {
    const Scripts scripts;
    conf::Hook hook =
        scripts.hook("hang", "sleep 1000 & echo $! > " + scripts.file("new") + "; mv " +
                                 scripts.file("new") + " " + scripts.file("child") + "; wait");
    hook.timeout = 300ms;
    ActionsBench bench{with({hook})};
    bench.tell(Intent::announce);
    bench.run_out();
    CHECK(bench.runs(HookResult::timeout) == 1);
    std::string child = content_of(scripts.file("child"));
    REQUIRE(!child.empty());
    child.pop_back();
    CHECK(bench.run_until([&] { return is_dead(child); }));
}

TEST_CASE("hooks: a flood of output is taken, and its end is kept") {
    const Scripts scripts;
    ActionsBench bench{
        with({scripts.hook("flood", "head -c 3000000 /dev/zero | tr '\\0' x; echo the end")})};
    bench.tell(Intent::announce);
    bench.run_out();
    CHECK(bench.runs(HookResult::success) == 1);
    CHECK(bench.log.str().find("xxthe end") != std::string::npos);
    CHECK(bench.log.str().size() < 5000);
}

TEST_CASE(
    "hooks: a reload changes the program for what waits, and lets what runs come to its end") {
    const Scripts scripts;
    conf::Hook old_way =
        scripts.hook("old", scripts.wait() + "; echo old >> " + scripts.file("ways"));
    conf::Hook gone =
        scripts.hook("gone", scripts.wait() + "; echo gone >> " + scripts.file("ways"));
    old_way.name = "same";
    ActionsBench bench{with({old_way, gone})};
    bench.tell(Intent::announce);
    bench.io.poll();  // both are under way
    bench.tell(Intent::withdraw);
    conf::Hook new_way = scripts.hook("new", "echo new >> " + scripts.file("ways"));
    new_way.name = "same";
    bench.config = with({new_way});
    bench.actions->reconfigure(bench.config);
    scripts.let_on(2);
    bench.run_out();
    std::vector<std::string> ways;
    std::istringstream text{content_of(scripts.file("ways"))};
    for (std::string line; std::getline(text, line);) ways.push_back(line);
    std::ranges::sort(ways);
    CHECK(ways == std::vector<std::string>{"gone", "new", "old"});
    CHECK(bench.runs(HookResult::success) == 2);
}

TEST_CASE("hooks: at the end what runs has its grace and no more") {
    const Scripts scripts;
    conf::Hook hang = scripts.hook("hang", "echo > " + scripts.file("begun") + "; sleep 1000");
    hang.timeout = 1h;
    ActionsBench bench{with({hang})};
    bench.tell(Intent::announce);
    bench.tell(Intent::withdraw);
    REQUIRE(bench.run_until([&] { return scripts.lines_in("begun") == 1; }));
    const TimePoint stopped = BootClock::now();
    bench.actions->stop();
    bench.tell(Intent::announce);
    bench.run_out();
    const Duration took = BootClock::now() - stopped;
    CHECK(took >= daemon::Actions::last_grace);
    CHECK(took < daemon::Actions::last_grace + 5s);
    CHECK(bench.runs(HookResult::failure) == 1);
    CHECK(bench.actions->counts().hooks[0].dropped == 1);
}

TEST_CASE("hooks: the end does not wait for what has ended") {
    const Scripts scripts;
    ActionsBench bench{with({scripts.hook("quick", scripts.wait())})};
    bench.tell(Intent::announce);
    bench.tell(Intent::withdraw);
    bench.actions->stop();
    scripts.let_on(2);
    const TimePoint stopped = BootClock::now();
    bench.run_out();
    CHECK(BootClock::now() - stopped < daemon::Actions::last_grace);
    CHECK(bench.runs(HookResult::success) == 2);
}
