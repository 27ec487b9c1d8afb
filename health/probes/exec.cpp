// Runs a program and takes its exit code for the result.
//
// A grandchild that leaves the group (setsid, or timeout, which makes a group of its own) is out of
// reach: it is neither waited for nor killed, and what it writes later is not read.

#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "health/probes/exec_child.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

/// Of all checks together; a program costs a process, a pipe and a pidfd.
constexpr std::size_t most_at_once = 64;
constexpr std::size_t line_limit = 200;

constexpr Field fields[] = {
    {.name = "argv",
     .kind = FieldKind::string_list,
     .required = true,
     .help = "The program, as an absolute path or a name to look for, and its arguments, passed as "
             "they are."},
};

/// The turns of the loop that asks.
const std::shared_ptr<Turns>& turns_of_loop() {
    static thread_local const auto turns = std::make_shared<Turns>(most_at_once);
    return turns;
}

/// The file to run, looked for anew each time: a package may bring it while the daemon runs.
Result<std::string, std::string> find_program(const std::string& name) {
    std::string file = name;
    if (!name.starts_with('/')) {
        file.clear();
        for (std::string_view rest = exec_path; file.empty() && !rest.empty();) {
            const std::size_t colon = std::min(rest.find(':'), rest.size());
            const std::string candidate = std::string{rest.substr(0, colon)} + "/" + name;
            struct ::stat status{};
            const bool found = ::stat(candidate.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
                               ::access(candidate.c_str(), X_OK) == 0;
            if (found) file = candidate;
            rest.remove_prefix(std::min(colon + 1, rest.size()));
        }
        if (file.empty()) return fail(quoted(name) + " is in none of " + std::string{exec_path});
    }
    if (const auto why = refuses_to_run(file)) return fail(escape(file) + ": " + *why);
    return file;
}

class ExecProbe final : public Probe {
public:
    explicit ExecProbe(std::vector<std::string> argv) : argv_(std::move(argv)) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint deadline) override {
        const TimePoint started = BootClock::now();
        const TimePoint never = deadline + std::chrono::hours{1};
        // A run that cannot be killed, stuck in the kernel, keeps its turn: the check goes on
        // failing, and does not fill the machine with more of them.
        std::vector<Turns::Turn> turns;
        turns.push_back(co_await Turns::take(own_turn_, never));
        if (!turns.back()) co_return unsure("the run before this one cannot be killed");
        // Too late a turn would make a failure of our own lack, so the last tenth is left out.
        const TimePoint last_call = deadline - (deadline - started) / 10;
        const TimePoint asked = BootClock::now();
        turns.push_back(co_await Turns::take(turns_of_loop(), last_call));
        if (!turns.back()) {
            co_return unsure("too many exec probes are running (" + std::to_string(most_at_once) +
                             ")");
        }
        const Duration waited = BootClock::now() - asked;
        const bool is_short = waited > (deadline - started) / 10;

        const auto file = find_program(argv_[0]);
        if (!file) co_return unsure(file.error());
        const auto child =
            ExecChild::start(co_await asio::this_coro::executor, *file, argv_, std::move(turns));
        if (!child) co_return unsure(escape(*file) + " could not be started: " + child.error());
        step(context, "started " + escape(*file));
        const auto end = co_await (*child)->ended(is_short ? last_call : never);
        if (end) step(context, "ended");
        std::string said = escape((*child)->last_line(), line_limit);
        if (!said.empty()) said = ": " + said;
        if (end) co_return outcome(*end, said);
        std::string reason = end.error();
        if (is_short) reason += ", after exec probes of other checks left it too little time";
        co_return unsure(reason + said);
    }

private:
    static Outcome outcome(const ExecEnd& end, const std::string& said) {
        if (end.by_signal) {
            const char* name = ::sigabbrev_np(end.number);
            const std::string known = name == nullptr ? "" : std::string{" (SIG"} + name + ")";
            return unsure("killed by signal " + std::to_string(end.number) + known + said);
        }
        std::string reason = "exit code " + std::to_string(end.number) + said;
        if (end.number == 0) return passed(std::move(reason));
        return end.number == 1 ? failed(std::move(reason)) : unsure(std::move(reason));
    }

    std::vector<std::string> argv_;
    std::shared_ptr<Turns> own_turn_ = std::make_shared<Turns>(1);
};

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    const auto& argv = *get<std::vector<std::string>>(values, "argv");
    const auto wrong = [](std::string message, std::string hint) {
        return fail(FieldFault{"argv", std::move(message), std::move(hint)});
    };
    if (argv.empty() || argv[0].empty())
        return wrong("names no program", "write [/usr/lib/x, argument]");
    if (!argv[0].starts_with('/') && argv[0].find('/') != std::string::npos) {
        return wrong(quoted(argv[0]) + " is a relative path",
                     "write an absolute path, or a name to look for in " + std::string{exec_path});
    }
    for (const std::string& word : argv) {
        if (word.find('\0') == std::string::npos) continue;
        return wrong(quoted(word) + " holds a zero octet", "no argument can");
    }
    return std::make_unique<ExecProbe>(argv);
}

std::string caveat(const FieldMap& /*values*/) { return ""; }

std::string target(const FieldMap& values) {
    std::string out;
    for (const std::string& word : *get<std::vector<std::string>>(values, "argv")) {
        out += (out.empty() ? "" : " ") + word;
    }
    return escape(out, line_limit);
}

}  // namespace

ProbeType exec_probe() {
    return {.name = "exec",
            .help =
                "Runs a program, without a shell: exit code 0 passes and 1 fails; any other is "
                "`unknown`, as is the end by a signal, or a program that cannot be started. "
                "The reason ends with the last line of the output. A name without a slash is "
                "looked for in /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin, "
                "which is its PATH, too; besides it has HOME=/ and LANG=C.UTF-8, its directory "
                "is `/`, and there is nothing to read. When it ends, and at `timeout`, its "
                "whole process group is killed; what has left the group (setsid, timeout) is out "
                "of reach. "
                "At most 64 run at once. A daemon that runs as root refuses files that do not "
                "belong to root or that others can write.",
            .fields = fields,
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .asks_scope = true,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
