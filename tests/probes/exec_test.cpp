#include <dirent.h>
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <list>
#include <optional>
#include <sstream>

#include "health/probes/runtime.hpp"
#include "swerve/base/clock.hpp"
#include "tests/probes/support.hpp"
#include "tests/support/skipped.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

FieldMap command(std::vector<std::string> argv) { return {{"argv", {std::move(argv)}}}; }

/// Scripts in a directory of their own, and what they leave there.
struct Scripts {
    Loop loop;
    TempDir dir;

    [[nodiscard]] std::string script(std::string_view name, const std::string& body) const {
        std::string file = dir.write(name, "#!/bin/sh\n" + body + "\n");
        REQUIRE(::chmod(file.c_str(), 0755) == 0);
        return file;
    }
    /// A script that is run once.
    Outcome run(const std::string& body, Duration timeout = 5s) {
        return loop.attempt("exec", command({script("once", body)}), timeout);
    }
    [[nodiscard]] std::string content_of(std::string_view name) const {
        std::ostringstream out;
        out << std::ifstream(dir.file(name)).rdbuf();
        return out.str();
    }
    /// The number that a script wrote with `echo … > NAME.new; mv NAME.new NAME`.
    [[nodiscard]] ::pid_t pid_in(std::string_view name) const {
        const std::string text = content_of(name);
        return text.empty() ? 0 : std::stoi(text);
    }
    [[nodiscard]] bool exists(std::string_view name) const {
        return std::filesystem::exists(dir.file(name));
    }
    /// Whether this process has no child left, dead or alive, once the loop has done what there was
    /// to do.
    bool all_reaped() {
        // WNOWAIT: a zombie that is left must stay one.
        return loop.run_until([] {
            ::siginfo_t info{};
            return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == -1 && errno == ECHILD;
        });
    }
};

/// What a script says its own number with.
std::string tell(const Scripts& scripts, std::string_view name) {
    const std::string file = scripts.dir.file(name);
    return "echo $$ > " + file + ".new; mv " + file + ".new " + file + "\n";
}

/// A zombie that its new parent has not buried yet is dead, too.
bool is_dead(::pid_t pid) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/stat");
    std::string number;
    std::string name;
    std::string state;
    return !(status >> number >> name >> state) || state == "Z" || state == "X";
}

std::size_t open_descriptors() {
    ::DIR* directory = ::opendir("/proc/self/fd");
    std::size_t count = 0;
    while (::readdir(directory) != nullptr) ++count;
    ::closedir(directory);
    return count;
}

/// An attempt that runs beside others, and can be cancelled.
struct Attempt {
    std::unique_ptr<Probe> probe;
    ProbeContext context;
    asio::cancellation_signal stop;
    std::optional<Outcome> outcome;
    bool ended = false;

    Attempt(Loop& loop, const FieldMap& values, Duration timeout)
        : probe(make_probe("exec", values)) {
        asio::co_spawn(loop.io, attempt(*probe, context, timeout),
                       asio::bind_cancellation_slot(
                           stop.slot(), [this](const std::exception_ptr& error, Outcome found) {
                               if (!error) outcome = std::move(found);
                               ended = true;
                           }));
    }
};

}  // namespace

TEST_CASE("exec: 0 passes, 1 fails, any other code says nothing") {
    Scripts scripts;
    Outcome outcome = scripts.run("exit 0");
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "exit code 0");
    outcome = scripts.run("exit 1");
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "exit code 1");
    for (const int code : {2, 3, 126, 127, 255}) {
        outcome = scripts.run("exit " + std::to_string(code));
        CHECK(outcome.result == ProbeResult::unknown);
        CHECK(outcome.reason == "exit code " + std::to_string(code));
    }
    CHECK(scripts.all_reaped());
}

TEST_CASE("exec: a program that a signal killed says nothing, and which one it was") {
    Scripts scripts;
    for (const auto& [number, name] : {std::pair{"SEGV", "11 (SIGSEGV)"},
                                       {"TERM", "15 (SIGTERM)"},
                                       {"KILL", "9 (SIGKILL)"},
                                       {"PIPE", "13 (SIGPIPE)"}}) {
        const Outcome outcome = scripts.run("ulimit -c 0; kill -" + std::string{number} + " $$");
        CHECK(outcome.result == ProbeResult::unknown);
        CHECK(outcome.reason == "killed by signal " + std::string{name});
    }
}

TEST_CASE("exec: the last line of the output, of both streams, is part of the reason") {
    Scripts scripts;
    CHECK(scripts.run("echo first; echo '  3 of 5 nodes  '; echo; echo ' '").reason ==
          "exit code 0: 3 of 5 nodes");
    CHECK(scripts.run("echo out; echo err >&2; exit 1").reason == "exit code 1: err");
    CHECK(scripts.run("echo err >&2; printf 'no newline'; exit 2").reason ==
          "exit code 2: no newline");
    CHECK(scripts.run("printf 'a\\r\\nb\\r\\n'").reason == "exit code 0: b");
    CHECK(scripts.run("printf 'red \\033[31m\\tx\\377\\n'").reason ==
          "exit code 0: red \\x1b[31m\\x09x\\xff");
    CHECK(scripts.run("printf '%300s\\n' | tr ' ' a").reason ==
          "exit code 0: " + std::string(200, 'a') + "…");
    CHECK(scripts.run("echo dying; kill -9 $$").reason == "killed by signal 9 (SIGKILL): dying");
}

TEST_CASE("exec: what cannot be started says nothing about the service") {
    Scripts scripts;
    const auto reason = [&](const std::string& file) {
        const Outcome outcome = scripts.loop.attempt("exec", command({file}));
        CHECK(outcome.result == ProbeResult::unknown);
        return outcome.reason;
    };
    const std::string missing = scripts.dir.file("missing");
    CHECK(reason(missing) == missing + ": No such file or directory");
    CHECK(reason("/etc") == "/etc: not a regular file");
    CHECK(reason("/dev/null") == "/dev/null: not a regular file");
    CHECK(reason("no-such-program-anywhere") ==
          "'no-such-program-anywhere' is in none of "
          "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    const std::string plain = scripts.dir.write("plain", "#!/bin/sh\n");
    CHECK(reason(plain) == plain + " could not be started: Permission denied");
    const std::string noise = scripts.dir.write("noise", "\x01\x02\x03");
    REQUIRE(::chmod(noise.c_str(), 0755) == 0);
    CHECK(reason(noise) == noise + " could not be started: Exec format error");
    const std::string orphan = scripts.dir.write("orphan", "#!/no/such/interpreter\n");
    REQUIRE(::chmod(orphan.c_str(), 0755) == 0);
    CHECK(reason(orphan) == orphan + " could not be started: No such file or directory");
    CHECK(scripts.all_reaped());
}

TEST_CASE("exec: a name without a slash is looked for in the stated PATH only") {
    Scripts scripts;
    CHECK(scripts.loop.attempt("exec", command({"true"})).result == ProbeResult::pass);
    CHECK(scripts.loop.attempt("exec", command({"false"})).result == ProbeResult::fail);
    // Whatever our own PATH says.
    (void)scripts.script("swerve-only-here", "exit 0");
    const std::string path = ::getenv("PATH");
    ::setenv("PATH", std::filesystem::path(scripts.dir.file("x")).parent_path().c_str(), 1);
    CHECK(scripts.loop.attempt("exec", command({"swerve-only-here"})).result ==
          ProbeResult::unknown);
    CHECK(scripts.loop.attempt("exec", command({"true"})).result == ProbeResult::pass);
    ::setenv("PATH", path.c_str(), 1);
}

TEST_CASE("exec: arguments are passed as they are, there is no shell") {
    Scripts scripts;
    const std::string out = scripts.dir.file("out");
    const std::string file =
        scripts.script("show", "for word in \"$@\"; do printf '<%s>' \"$word\"; done > " + out);
    const std::vector<std::string> words{"a b", "",    "$HOME", "`id`", ";",         "rm -rf /x",
                                         "*",   "'q'", "\"",    "\\",   "line\nend", "|",
                                         "&&",  "> f", "~",     "\xff"};
    std::vector<std::string> argv{file};
    std::string expected;
    for (const std::string& word : words) {
        argv.push_back(word);
        expected += "<" + word + ">";
    }
    CHECK(scripts.loop.attempt("exec", command(argv)).result == ProbeResult::pass);
    CHECK(scripts.content_of("out") == expected);
}

TEST_CASE("exec: a program gets a minimal environment, /dev/null to read, and / to stand in") {
    Scripts scripts;
    ::setenv("SWERVE_TEST_SECRET", "x", 1);
    const std::string out = scripts.dir.file("out");
    CHECK(
        scripts.loop
            .attempt("exec", command({"/bin/sh", "-c", "env -0 | sort -z | tr '\\0' ' ' > " + out}))
            .result == ProbeResult::pass);
    ::unsetenv("SWERVE_TEST_SECRET");
    // PWD is the shell's own doing, and so is `_` of some.
    CHECK(scripts.content_of("out").find("SECRET") == std::string::npos);
    CHECK(scripts.content_of("out") ==
          "HOME=/ LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "
          "PWD=/ ");
    CHECK(scripts.run("readlink /proc/self/fd/0").reason == "exit code 0: /dev/null");
    CHECK(scripts.run("cat; pwd").reason == "exit code 0: /");
}

TEST_CASE("exec: nothing that is open here is open there, close-on-exec or not") {
    Scripts scripts;
    std::list<std::ifstream> files;
    for (int i = 0; i < 20; ++i) files.emplace_back("/dev/null");
    const int leaky = ::dup(STDIN_FILENO);
    REQUIRE(leaky > 2);
    // ls itself opens the directory, as the lowest free number.
    CHECK(scripts.run("ls /proc/self/fd | tr '\\n' ' '").reason == "exit code 0: 0 1 2 3");
    ::close(leaky);
}

TEST_CASE("exec: a program finds no signal ignored or blocked, and leads its own session") {
    Scripts scripts;
    ::sigset_t blocked{};
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGUSR1);
    ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
    const auto before = ::signal(SIGPIPE, SIG_IGN);
    const std::string file = scripts.dir.file("status");
    const Outcome outcome =
        scripts.loop.attempt("exec", command({"cp", "/proc/self/status", file}));
    ::signal(SIGPIPE, before);
    ::pthread_sigmask(SIG_UNBLOCK, &blocked, nullptr);
    CHECK(outcome.result == ProbeResult::pass);
    const std::string status = scripts.content_of("status");
    CHECK(status.find("SigBlk:\t0000000000000000") != std::string::npos);
    // The C library keeps signals 32 and 33 to itself and has them ignored.
    CHECK(status.find("SigIgn:\t0000000180000000") != std::string::npos);
    // Fields 5 and 6 of stat: the group and the session.
    CHECK(scripts.run("read -r p n s pp g sid rest < /proc/$$/stat; [ $g = $$ ] && [ $sid = $$ ]")
              .result == ProbeResult::pass);
}

TEST_CASE("exec: at the deadline the whole group dies, grandchildren too") {
    Scripts scripts;
    const std::string body = "trap '' TERM INT HUP\n" + tell(scripts, "child") +
                             "sh -c 'trap \"\" TERM; " + "echo $$ > " +
                             scripts.dir.file("grandchild") + "; echo waiting; sleep 1000; :' &\n" +
                             "sleep 1000; wait";
    const TimePoint started = BootClock::now();
    const Outcome outcome = scripts.run(body, 500ms);
    CHECK(outcome.result == ProbeResult::fail);
    const std::string pid = std::to_string(scripts.pid_in("child"));
    CHECK(outcome.reason == "no answer within 500ms, pid " + pid + " still runs: waiting");
    CHECK(outcome.finished - started >= 500ms);
    CHECK(outcome.finished - started < 1500ms);
    CHECK(scripts.all_reaped());
    CHECK(is_dead(scripts.pid_in("child")));
    REQUIRE(scripts.pid_in("grandchild") > 0);
    CHECK(scripts.loop.run_until([&] { return is_dead(scripts.pid_in("grandchild")); }));
}

TEST_CASE("exec: a grandchild that holds the output open neither delays the result nor lives on") {
    Scripts scripts;
    const std::string grandchild = scripts.dir.file("grandchild");
    const TimePoint started = BootClock::now();
    const Outcome outcome =
        scripts.run("sleep 1000 & echo $! > " + grandchild + "; echo done; exit 0");
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "exit code 0: done");
    CHECK(outcome.finished - started < 2s);
    REQUIRE(scripts.pid_in("grandchild") > 0);
    CHECK(scripts.loop.run_until([&] { return is_dead(scripts.pid_in("grandchild")); }));
}

TEST_CASE("exec: a grandchild out of reach, in a session of its own, delays nothing either") {
    Scripts scripts;
    const std::string grandchild = scripts.dir.file("grandchild");
    const std::string pid_file = "sh -c 'echo $$ > " + grandchild + ".new; mv " + grandchild +
                                 ".new " + grandchild + "; exec sleep 1000'";
    const Outcome outcome = scripts.run("setsid " + pid_file + " & while [ ! -e " + grandchild +
                                        " ]; do sleep 0.01; done; echo done");
    CHECK(outcome.reason == "exit code 0: done");
    const ::pid_t pid = scripts.pid_in("grandchild");
    REQUIRE(pid > 0);
    CHECK_FALSE(is_dead(pid));
    ::kill(pid, SIGKILL);
}

TEST_CASE("exec: a flood of output is read and thrown away, but for its last line") {
    Scripts scripts;
    // 8 MiB, many times what a pipe holds.
    Outcome outcome = scripts.run(
        "dd if=/dev/zero bs=65536 count=128 2>/dev/null | tr '\\0' 'x'; echo; echo end");
    CHECK(outcome.reason == "exit code 0: end");

    outcome = scripts.run("exec yes", 300ms);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason.starts_with("no answer within 300ms, pid "));
    CHECK(outcome.reason.ends_with(" still runs: y"));
    CHECK(outcome.finished - outcome.started < 1s);
    CHECK(scripts.all_reaped());
}

TEST_CASE("exec: a program that never stops writing leaves the loop to others") {
    Scripts scripts;
    Attempt flood(scripts.loop, command({"yes"}), 2s);
    const Outcome outcome = scripts.loop.attempt("exec", command({"true"}));
    CHECK(outcome.result == ProbeResult::pass);
    CHECK_FALSE(flood.ended);
    flood.stop.emit(asio::cancellation_type::terminal);
    CHECK(scripts.loop.run_until([&] { return flood.ended; }));
    CHECK(scripts.all_reaped());
}

TEST_CASE("exec: a program that closes its output is waited for all the same") {
    Scripts scripts;
    const Outcome outcome = scripts.run("echo said; exec >&- 2>&-; sleep 0.2; exit 1");
    CHECK(outcome.reason == "exit code 1: said");
}

TEST_CASE("exec: cancelled in the middle, the program dies and is reaped") {
    Scripts scripts;
    Attempt running(scripts.loop,
                    command({scripts.script("long", tell(scripts, "child") + "sleep 1000")}), 100s);
    REQUIRE(scripts.loop.run_until([&] { return scripts.exists("child"); }));
    running.stop.emit(asio::cancellation_type::terminal);
    CHECK(scripts.loop.run_until([&] { return running.ended; }));
    CHECK(scripts.all_reaped());
    CHECK(is_dead(scripts.pid_in("child")));
}

TEST_CASE("exec: a loop that ends in the middle leaves no program behind") {
    TempDir dir;
    ::pid_t pid = 0;
    {
        Scripts scripts;
        Attempt running(scripts.loop,
                        command({scripts.script("long", tell(scripts, "child") + "sleep 1000")}),
                        100s);
        REQUIRE(scripts.loop.run_until([&] { return scripts.exists("child"); }));
        pid = scripts.pid_in("child");
    }
    // Nobody was left to wait for it, so the test does.
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    CHECK(is_dead(pid));
    CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
}

TEST_CASE("exec: 200 runs leave no zombie and no descriptor") {
    Scripts scripts;
    const auto probe = make_probe(
        "exec",
        command({scripts.script("mix", "case $(($$ % 3)) in 0) exit 1;; 1) sleep 1000;; esac")}));
    (void)scripts.loop.attempt(*probe, 20ms);
    REQUIRE(scripts.all_reaped());
    const std::size_t before = open_descriptors();
    for (int i = 0; i < 200; ++i) (void)scripts.loop.attempt(*probe, 20ms);
    CHECK(scripts.all_reaped());
    CHECK(open_descriptors() == before);
}

TEST_CASE("exec: 64 run at once, the next one waits for its turn within its own time") {
    Scripts scripts;
    const std::string go = scripts.dir.file("go");
    const FieldMap values =
        command({scripts.script("hold", "while [ ! -e " + go + " ]; do sleep 0.05; done")});
    std::list<Attempt> holding;
    for (int i = 0; i < 64; ++i) holding.emplace_back(scripts.loop, values, 60s);
    const Outcome outcome = scripts.loop.attempt("exec", command({"true"}), 200ms);
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == "too many exec probes are running (64)");

    Attempt patient(scripts.loop, command({"true"}), 60s);
    Attempt also_patient(scripts.loop, command({"false"}), 60s);
    scripts.loop.io.restart();
    scripts.loop.io.run_for(50ms);
    CHECK_FALSE(patient.ended);
    scripts.dir.write("go", "");
    REQUIRE(scripts.loop.run_until([&] {
        return patient.ended && also_patient.ended && std::ranges::all_of(holding, &Attempt::ended);
    }));
    CHECK(patient.outcome->result == ProbeResult::pass);
    CHECK(also_patient.outcome->result == ProbeResult::fail);
    CHECK(std::ranges::all_of(
        holding, [](const Attempt& each) { return each.outcome->result == ProbeResult::pass; }));
    CHECK(scripts.all_reaped());
    // All turns were given back.
    CHECK(scripts.run("exit 0", 100ms).result == ProbeResult::pass);
}

TEST_CASE("exec: a turn that came late and left too little time says nothing") {
    Scripts scripts;
    const std::string go = scripts.dir.file("go");
    const FieldMap hold =
        command({scripts.script("hold", "while [ ! -e " + go + " ]; do sleep 0.01; done")});
    std::list<Attempt> holding;
    for (int i = 0; i < 64; ++i) holding.emplace_back(scripts.loop, hold, 60s);
    scripts.loop.io.poll();
    Attempt late(scripts.loop, command({"sleep", "1000"}), 2s);
    scripts.loop.io.restart();
    scripts.loop.io.run_for(500ms);
    scripts.dir.write("go", "");
    REQUIRE(scripts.loop.run_until([&] { return late.ended; }));
    CAPTURE(late.outcome->reason);
    CHECK(late.outcome->result == ProbeResult::unknown);
    CHECK(late.outcome->reason.ends_with(
        "after exec probes of other checks left it too little time"));
    REQUIRE(scripts.loop.run_until([&] { return std::ranges::all_of(holding, &Attempt::ended); }));
    CHECK(scripts.all_reaped());
}

TEST_CASE("exec: two attempts of one check never overlap") {
    Scripts scripts;
    const std::string lock = scripts.dir.file("lock");
    const auto probe = make_probe(
        "exec", command({scripts.script(
                    "alone", "mkdir " + lock + " || exit 1; sleep 0.05; rmdir " + lock)}));
    const ProbeContext context;
    std::vector<Outcome> outcomes;
    for (int i = 0; i < 3; ++i) {
        asio::co_spawn(scripts.loop.io, attempt(*probe, context, 5s),
                       [&](const std::exception_ptr&, Outcome found) {
                           outcomes.push_back(std::move(found));
                       });
    }
    REQUIRE(scripts.loop.run_until([&] { return outcomes.size() == 3; }));
    for (const Outcome& outcome : outcomes) CHECK(outcome.reason == "exit code 0");
}

TEST_CASE("exec: root runs no file that somebody else could have written") {
    if (::geteuid() != 0) {
        swerve::testing::skipped("needs root");
        return;
    }
    Scripts scripts;
    const std::string file = scripts.script("check", "exit 0");
    const auto reason = [&] {
        const Outcome outcome = scripts.loop.attempt("exec", command({file}));
        CHECK(outcome.result == ProbeResult::unknown);
        return outcome.reason;
    };
    for (const ::mode_t mode : {0775U, 0757U, 0777U}) {
        REQUIRE(::chmod(file.c_str(), mode) == 0);
        CHECK(reason() == file + ": is writable by others than root, and would be run as root");
    }
    REQUIRE(::chmod(file.c_str(), 0755) == 0);
    REQUIRE(::chown(file.c_str(), 65534, 65534) == 0);
    CHECK(reason() == file + ": belongs to somebody other than root, and would be run as root");
    // A link is as good as what it leads to.
    const std::string link = scripts.dir.file("link");
    std::filesystem::create_symlink(file, link);
    CHECK(scripts.loop.attempt("exec", command({link})).result == ProbeResult::unknown);
    REQUIRE(::chown(file.c_str(), 0, 65534) == 0);
    CHECK(scripts.loop.attempt("exec", command({link})).result == ProbeResult::pass);
}

TEST_CASE("exec: what no program can be started from is refused at load") {
    CHECK(fault_of("exec", command({})) == "argv: names no program");
    CHECK(fault_of("exec", command({"", "x"})) == "argv: names no program");
    CHECK(fault_of("exec", command({"bin/x"})) == "argv: 'bin/x' is a relative path");
    CHECK(fault_of("exec", command({"./x"})) == "argv: './x' is a relative path");
    CHECK(fault_of("exec", command({"/bin/true", std::string("a\0b", 3)})) ==
          "argv: 'a\\x00b' holds a zero octet");
    CHECK(fault_of("exec", command({"/bin/true", ""})) == "none");
    CHECK(fault_of("exec", command({"true"})) == "none");
}

TEST_CASE("exec: what explain and the tables say") {
    const ProbeType& type = *find_probe_type("exec");
    CHECK(type.target(command({"/usr/lib/x", "a b"})) == "/usr/lib/x a b");
    CHECK(type.asks_scope);
    CHECK_FALSE(type.has_events({}));
}
