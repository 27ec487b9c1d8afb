// Whether the process that a pid file names runs, and the moment it exits.
//
// A process is held by its pidfd from the first time it was seen alive. The pidfd is the guard
// against reuse of the number: it stays with the one process, where a start time would have to be
// read from /proc, which hardened systems (hidepid, ProtectProc) hide from us.

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t pid_file_limit = 64;
/// How soon a process that came back is held again.
constexpr Duration look_again = std::chrono::milliseconds{100};

constexpr Field fields[] = {
    {.name = "pid_file",
     .kind = FieldKind::absolute_path,
     .required = true,
     .help = "File whose first line is the process id."},
};

/// What the pid file says.
struct Named {
    ::pid_t pid;
    FileStamp stamp;
};

/// A process seen alive, and the state of the pid file that named it.
struct Held {
    Named named;
    asio::posix::stream_descriptor pidfd;

    /// True for a zombie too: its pidfd is readable as soon as the last thread is gone.
    [[nodiscard]] bool exited() {
        ::pollfd ask{.fd = pidfd.native_handle(), .events = POLLIN, .revents = 0};
        return ::poll(&ask, 1, 0) == 1;
    }
};

Result<Named, std::string> read_pid_file(const std::string& path) {
    const auto file = read_file(path, pid_file_limit);
    if (!file) return fail(file.error());
    const std::size_t line_end = file->text.find('\n');
    std::string_view line = std::string_view{file->text}.substr(0, line_end);
    // Programs that print into a fixed width leave blanks; postmaster.pid goes on with more lines.
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    line = line.substr(0, line.find_last_not_of(" \t\r") + 1);
    if (line.empty()) return fail(escape(path) + ": no process id in it");
    ::pid_t pid = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), pid);
    const bool whole =
        end == line.data() + line.size() && (line_end != std::string::npos || !file->cut);
    if (error != std::errc{} || !whole || pid <= 0) {
        return fail(escape(path) + ": " + quoted(line) + " is not a process id");
    }
    if (pid == ::getpid()) return fail(escape(path) + ": names this daemon itself");
    if (pid == 1) {
        return fail(escape(path) +
                    ": names pid 1, as a process in a container does, whose "
                    "numbers mean nothing here");
    }
    return Named{pid, file->stamp};
}

class ProcessProbe final : public Probe {
public:
    explicit ProcessProbe(std::string pid_file) : pid_file_(std::move(pid_file)) {}

    asio::awaitable<Outcome> run(const ProbeContext& /*context*/, TimePoint /*deadline*/) override {
        co_return look(co_await asio::this_coro::executor);
    }

    asio::awaitable<void> watch(const ProbeContext& /*context*/,
                                std::function<void(Outcome)> report) override {
        const asio::any_io_executor executor = co_await asio::this_coro::executor;
        pause_.emplace(executor);
        look(executor);
        std::shared_ptr<Held> reported;  // its exit is known; the next to wait for is another's
        for (;;) {
            const std::shared_ptr<Held> held = held_;
            const bool attached = held != reported;
            if (attached) {
                co_await held->pidfd.async_wait(asio::posix::descriptor_base::wait_read, as_result);
            } else {
                pause_->expires_after(look_again);
                co_await pause_->async_wait(as_result);
            }
            if ((co_await asio::this_coro::cancellation_state).cancelled() !=
                asio::cancellation_type::none) {
                co_return;
            }
            // An attempt may have found another process meanwhile: then there is nothing to say.
            const bool exit_seen = attached && held == held_ && held->exited();
            const TimePoint started = BootClock::now();
            Outcome finding = look(executor);
            if (!exit_seen) continue;
            reported = held;
            finding.started = started;
            finding.finished = BootClock::now();
            report(std::move(finding));
        }
    }

private:
    /// DESIGN.md §4.14: reads the pid file and holds the live process it names, which after an exit
    /// is a successor if the number differs or the file was written anew.
    Outcome look(const asio::any_io_executor& executor) {
        const bool exited = held_ && held_->exited();
        const auto named = read_pid_file(pid_file_);
        if (!named) return exited ? gone() : unsure(named.error());
        const std::string pid = std::to_string(named->pid);
        if (held_ && held_->named.pid == named->pid) {
            if (exited && held_->named.stamp == named->stamp) return gone();
            if (!exited) {
                held_->named.stamp = named->stamp;
                return passed("pid " + pid + " runs");
            }
        }
        const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, named->pid, 0));
        if (pidfd < 0 && errno != ESRCH) {
            return unsure("pid " + pid + " from " + escape(pid_file_) + ": " +
                          std::generic_category().message(errno));
        }
        const std::shared_ptr<Held> found = pidfd < 0 ? nullptr : hold(executor, *named, pidfd);
        if (!found || found->exited()) {
            if (held_ && held_->named.pid == named->pid) return gone();
            return failed("pid " + pid + " from " + escape(pid_file_) + " is not running");
        }
        // Wakes the watcher, so that it waits for the exit of the right process.
        if (held_) held_->pidfd.cancel();
        if (pause_) pause_->cancel();
        held_ = found;
        return passed(exited ? "successor pid " + pid : "pid " + pid + " runs");
    }

    static std::shared_ptr<Held> hold(const asio::any_io_executor& executor, const Named& named,
                                      int pidfd) {
        return std::make_shared<Held>(Held{named, asio::posix::stream_descriptor(executor, pidfd)});
    }

    [[nodiscard]] Outcome gone() const {
        return failed("process " + std::to_string(held_->named.pid) + " exited");
    }

    std::string pid_file_;
    std::shared_ptr<Held> held_;  ///< the last process seen alive, kept after its exit
    std::optional<Timer> pause_;  ///< of the watcher, between its looks for a process
};

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    return std::make_unique<ProcessProbe>(*get<std::string>(values, "pid_file"));
}

std::string caveat(const FieldMap& /*values*/) {
    return "that a process runs does not prove that it serves: it may hang";
}

std::string target(const FieldMap& values) { return *get<std::string>(values, "pid_file"); }

}  // namespace

ProbeType process_probe() {
    return {.name = "process",
            .help = "Watches the process that a pid file names.",
            .fields = fields,
            .has_events = sees_events,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
