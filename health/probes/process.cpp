// Whether a process runs, and the moment it exits.
//
// A process is held by its pidfd from the first time it was seen alive. The pidfd is the guard
// against reuse of the number: it stays with the one process, whatever /proc shows or hides.

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
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
#include <string_view>
#include <system_error>
#include <utility>

#include "health/probes/events.hpp"
#include "health/probes/process_source.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
/// How long an exit waits to hear of a successor from a source that must ask for it.
constexpr Duration successor_wait = std::chrono::milliseconds{100};
constexpr std::string_view sources[] = {"pid_file", "unit", "port", "name"};

constexpr Field fields[] = {
    {.name = "pid_file",
     .kind = FieldKind::absolute_path,
     .help = "File whose first line is the process id. A file that is written anew is an event."},
    {.name = "unit",
     .kind = FieldKind::string,
     .help = "Unit of systemd whose main process it is, as nginx.service, asked for over D-Bus. A "
             "name without a suffix is a service."},
    {.name = "port",
     .kind = FieldKind::string,
     .help = "TCP port, or ADDRESS:PORT, that the process listens on. To see the sockets of other "
             "users takes CAP_SYS_PTRACE."},
    {.name = "name",
     .kind = FieldKind::string,
     .help =
         "Name of the process as /proc/PID/comm has it, at most 15 octets. Of several, one that "
         "lives is enough."},
};

/// A process seen alive, and how it was named.
struct Held {
    Sighting named;
    asio::posix::stream_descriptor pidfd;

    /// True for a zombie too: its pidfd is readable as soon as the last thread is gone.
    [[nodiscard]] bool exited() {
        ::pollfd ask{.fd = pidfd.native_handle(), .events = POLLIN, .revents = 0};
        return ::poll(&ask, 1, 0) == 1;
    }
};

class ProcessProbe final : public Probe {
public:
    explicit ProcessProbe(std::unique_ptr<ProcessSource> source) : source_(std::move(source)) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint deadline) override {
        const auto sighting = co_await source_->find(living(), deadline);
        if (sighting) {
            step(context, "found pid " + std::to_string(sighting->pid) + sighting->whence);
        }
        co_return judge(co_await asio::this_coro::executor, sighting);
    }

    asio::awaitable<void> watch(const ProbeContext& /*context*/,
                                std::function<void(Outcome)> report) override {
        using namespace asio::experimental::awaitable_operators;
        wake_.emplace(co_await asio::this_coro::executor);
        co_await (watch_exits(std::move(report)) && source_->watch([this] {
            source_changed_ = true;
            wake();
        }));
    }

private:
    asio::awaitable<void> watch_exits(std::function<void(Outcome)> report) {
        const asio::any_io_executor executor = co_await asio::this_coro::executor;
        // The first look is an attempt's, which has its place among those of the other checks.
        std::shared_ptr<Held> reported;  // its exit is known; the next to wait for is another's
        for (;;) {
            const std::shared_ptr<Held> held = held_;
            const bool attached = held && held != reported;
            if (attached && !source_changed_) {
                co_await held->pidfd.async_wait(asio::posix::descriptor_base::wait_read, as_result);
            } else if (!source_changed_) {
                co_await wake_->wait();
            }
            if ((co_await asio::this_coro::cancellation_state).cancelled() !=
                asio::cancellation_type::none) {
                co_return;
            }
            // An attempt may have found another process meanwhile: then there is nothing to say.
            const bool exit_seen = attached && held == held_ && held->exited();
            const bool changed = std::exchange(source_changed_, false);
            if (!exit_seen && !changed) continue;
            const std::optional<ProbeResult> before = known_;
            const TimePoint started = BootClock::now();
            Outcome finding = co_await look(executor);
            if (exit_seen) reported = held;
            // A file that is being written says nothing for a moment.
            const bool is_news =
                before && finding.result != *before && finding.result != ProbeResult::unknown;
            if (!exit_seen && !is_news) continue;
            finding.started = started;
            finding.finished = BootClock::now();
            report(std::move(finding));
        }
    }

    /// DESIGN.md §4.14: looks again who it is. An exit that is known does not wait for long.
    asio::awaitable<Outcome> look(asio::any_io_executor executor) {
        const auto sighting = co_await source_->find(living(), BootClock::now() + successor_wait);
        Outcome found = judge(executor, sighting);
        if (!sighting && sighting.error().result == ProbeResult::unknown &&
            found.result == ProbeResult::fail) {
            // There may be a successor all the same. The attempt that an unknown asks for has more
            // time to find it, and fails where there is none.
            found = unsure(found.reason + "; whether it has a successor cannot be told: " +
                           sighting.error().reason);
            known_ = ProbeResult::unknown;
        }
        co_return found;
    }

    /// Holds the live process that was named, which after an exit is a successor if the number
    /// differs or was given anew.
    Outcome judge(const asio::any_io_executor& executor,
                  const Result<Sighting, Outcome>& sighting) {
        Outcome found = sighting ? hold(executor, *sighting) : sighting.error();
        if (!sighting && held_ && held_->exited()) found = gone();
        known_ = found.result;
        return found;
    }

    Outcome hold(const asio::any_io_executor& executor, const Sighting& named) {
        const bool exited = held_ && held_->exited();
        const std::string pid = std::to_string(named.pid);
        if (held_ && held_->named.pid == named.pid) {
            if (exited && held_->named.stamp == named.stamp) return gone();
            if (!exited) {
                held_->named.stamp = named.stamp;
                return passed("pid " + pid + " runs");
            }
        }
        const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, named.pid, 0));
        if (pidfd < 0 && (errno == EINVAL || errno == ENOENT)) {
            return unsure("pid " + pid + named.whence + " is a thread of another process");
        }
        if (pidfd < 0 && errno != ESRCH) {
            return unsure("pid " + pid + named.whence + ": " +
                          std::generic_category().message(errno));
        }
        std::shared_ptr<Held> found;
        if (pidfd >= 0) {
            found = std::make_shared<Held>(
                Held{named, asio::posix::stream_descriptor(executor, pidfd)});
        }
        if (!found || found->exited()) {
            if (held_ && held_->named.pid == named.pid) return gone();
            return failed("pid " + pid + named.whence + " is not running");
        }
        wake();
        held_ = found;
        return passed(exited ? "successor pid " + pid : "pid " + pid + " runs");
    }

    /// Has the watcher look whom to wait for.
    void wake() {
        if (held_) held_->pidfd.cancel();
        if (wake_) wake_->raise();
    }

    [[nodiscard]] ::pid_t living() const {
        return held_ && !held_->exited() ? held_->named.pid : 0;
    }

    [[nodiscard]] Outcome gone() const {
        return failed("process " + std::to_string(held_->named.pid) + " exited");
    }

    std::unique_ptr<ProcessSource> source_;
    std::shared_ptr<Held> held_;        ///< the last process seen alive, kept after its exit
    std::optional<ProbeResult> known_;  ///< by the last look or attempt
    std::optional<Notice> wake_;        ///< of the watcher, while there is no process to wait for
    bool source_changed_ = false;
};

Result<std::unique_ptr<ProcessSource>, FieldFault> port_source_of(const std::string& text) {
    if (const auto endpoint = Endpoint::parse(text); endpoint && endpoint->port != 0) {
        return port_source(endpoint->address, endpoint->port);
    }
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error == std::errc{} && end == text.data() + text.size() && port != 0) {
        return port_source(std::nullopt, port);
    }
    return fail(FieldFault{"port", quoted(text) + " is no port to listen on",
                           "write 443, 198.51.100.1:443 or [2001:db8::1]:443"});
}

Result<std::unique_ptr<ProcessSource>, FieldFault> source_of(const FieldMap& values) {
    const auto given = [&](std::string_view name) { return get<std::string>(values, name); };
    if (std::ranges::count_if(sources, given) != 1) {
        return fail(FieldFault{"", "needs one of pid_file, unit, port and name, and only one", ""});
    }
    if (const auto* path = given("pid_file")) return pid_file_source(*path);
    if (const auto* port = given("port")) return port_source_of(*port);
    if (const auto* unit = given("unit")) {
        auto source = unit_source(*unit);
        if (!source) return fail(FieldFault{"unit", std::move(source.error()), ""});
        return std::move(*source);
    }
    const std::string& name = *given("name");
    if (name.empty() || name.size() > comm_limit) {
        return fail(FieldFault{"name", quoted(name) + " cannot be the name of a process",
                               "the kernel keeps the first 15 octets: see ps -o comm"});
    }
    return name_source(name);
}

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    auto source = source_of(values);
    if (!source) return fail(std::move(source.error()));
    return std::make_unique<ProcessProbe>(std::move(*source));
}

std::string caveat(const FieldMap& /*values*/) {
    return "that a process runs does not prove that it serves: it may hang";
}

std::string target(const FieldMap& values) {
    for (const std::string_view source : sources) {
        const auto* value = get<std::string>(values, source);
        if (value == nullptr) continue;
        return (source == "pid_file" ? "" : std::string{source} + " ") + escape(*value);
    }
    return "";
}

}  // namespace

ProbeType process_probe() {
    return {
        .name = "process",
        .help =
            "Watches a process, found by exactly one of the keys below, and learns of its exit at "
            "once. After an exit the process is looked up again: a live successor is a "
            "pass, so an upgrade of the program is no outage.",
        .fields = fields,
        .has_events = sees_events,
        .make = make,
        .caveat = caveat,
        .target = target};
}

}  // namespace swerve::health
