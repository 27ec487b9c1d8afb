#include "health/probes/exec_child.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <system_error>
#include <utility>

#include "health/probes/spawn.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;
using asio::posix::descriptor_base;
using boost::system::error_code;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

/// What a pipe holds: as much as one look takes, so that a program that never stops writing cannot
/// keep the loop to itself.
constexpr std::size_t output_at_once = 64UZ * 1024;

std::string message(int error) { return std::generic_category().message(error); }

/// Ends a child that nothing could tell us the end of. It has only just begun, so this takes no
/// time.
void end_at_once(::pid_t pid) {
    ::kill(-pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
}

}  // namespace

std::optional<std::string> refuses_to_run(const std::string& file) {
    struct ::stat status{};
    if (::stat(file.c_str(), &status) != 0) return message(errno);
    if (!S_ISREG(status.st_mode)) return "not a regular file";
    // Whoever can write a file that root runs is root.
    if (::geteuid() != 0) return std::nullopt;
    if (status.st_uid != 0) return "belongs to somebody other than root, and would be run as root";
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return "is writable by others than root, and would be run as root";
    }
    return std::nullopt;
}

struct Turns::Waiter {
    Waiter(std::shared_ptr<Turns> of, const asio::any_io_executor& executor, TimePoint until)
        : turns(std::move(of)), timer(executor, until) {
        turns->waiting_.push_back(this);
    }
    ~Waiter() { turns->waiting_.remove(this); }
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    std::shared_ptr<Turns> turns;
    Timer timer;
    Turn granted;
};

asio::awaitable<Turns::Turn> Turns::take(std::shared_ptr<Turns> turns, TimePoint until) {
    if (turns->free_ > 0) {
        --turns->free_;
        co_return Turn(turns.get(), GiveBack{turns});
    }
    Waiter waiter(turns, co_await asio::this_coro::executor, until);
    co_await waiter.timer.async_wait(as_result);
    co_return std::move(waiter.granted);
}

void Turns::give_back() {
    if (waiting_.empty()) {
        ++free_;
        return;
    }
    Waiter& next = *waiting_.front();
    waiting_.pop_front();
    next.granted = Turn(this, GiveBack{shared_from_this()});
    next.timer.cancel();
}

Result<ExecChild::Running, std::string> ExecChild::start(
    const asio::any_io_executor& executor, const std::string& file, std::vector<std::string> argv,
    std::vector<Turns::Turn> turns, const std::vector<std::string>& environment) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(message(errno));
    ::pid_t pid = 0;
    std::vector<std::string> all{"PATH=" + std::string{exec_path}, "HOME=/", "LANG=C.UTF-8"};
    all.insert(all.end(), environment.begin(), environment.end());
    const int unstarted = spawn(pid, file, std::move(argv), std::move(all), {-1, ends[1], ends[1]});
    ::close(ends[1]);
    if (unstarted != 0) {
        ::close(ends[0]);
        return fail(message(unstarted));
    }
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    error_code lack(pidfd < 0 ? errno : 0, boost::system::system_category());
    Descriptor exit(executor);
    Descriptor output(executor);
    if (!lack) exit.assign(pidfd, lack);
    if (!lack) output.assign(ends[0], lack);
    if (!lack) output.non_blocking(true, lack);
    if (!lack) {
        return Running(new ExecChild(pid, std::move(exit), std::move(output), std::move(turns)));
    }
    if (!exit.is_open() && pidfd >= 0) ::close(pidfd);
    if (!output.is_open()) ::close(ends[0]);
    end_at_once(pid);
    return fail(lack.message());
}

ExecChild::ExecChild(::pid_t pid, Descriptor exit, Descriptor output,
                     std::vector<Turns::Turn> turns)
    : pid_(pid), exit_(std::move(exit)), output_(std::move(output)), turns_(std::move(turns)) {}

ExecChild::~ExecChild() {
    if (reaped_) return;
    // The loop is gone, and with it who would have waited for the end.
    kill_group();
    (void)reap();
}

void ExecChild::PutDown::operator()(ExecChild* child) const {
    std::unique_ptr<ExecChild> owner(child);
    if (owner->reaped_) return;
    owner->kill_group();
    error_code ignored;
    child->output_.close(ignored);
    bury(std::move(owner));
}

void ExecChild::bury(std::unique_ptr<ExecChild> child) {
    ExecChild& self = *child;
    self.exit_.async_wait(descriptor_base::wait_read,
                          [owner = std::move(child)](const error_code& error) mutable {
                              if (!error && !owner->has_ended()) return bury(std::move(owner));
                              (void)owner->reap();
                          });
}

asio::awaitable<Result<ExecEnd, std::string>> ExecChild::ended(TimePoint until) {
    Timer timer(exit_.get_executor(), until);
    // A cancellation may come while nothing is waited for.
    while ((co_await asio::this_coro::cancellation_state).cancelled() ==
           asio::cancellation_type::none) {
        // Waiting on an output that is closed fails at once, which is no success and wakes nobody.
        auto first = asio::experimental::make_parallel_group(
            exit_.async_wait(descriptor_base::wait_read, asio::deferred),
            output_.async_wait(descriptor_base::wait_read, asio::deferred),
            timer.async_wait(asio::deferred));
        const auto [order, exit, readable, late] = co_await first.async_wait(
            asio::experimental::wait_for_one_success(), asio::use_awaitable);
        if (!exit && has_ended()) {
            // Before the program is reaped its number, which is the group's, cannot be used again.
            kill_group();
            take_output();
            co_return reap();
        }
        if (exit && readable) break;
        if (!readable) take_output();
    }
    co_return still_runs();
}

bool ExecChild::has_ended() const {
    // Asio may report a descriptor as readable that is not: the event of one that was closed in the
    // same turn, whose place in the reactor this one has taken.
    ::siginfo_t info{};
    const int error =
        ::waitid(P_PID, static_cast<::id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
    return error != 0 || info.si_pid == pid_;
}

void ExecChild::kill_group() const {
    // Reaches grandchildren, too, but none that began a group of its own.
    ::kill(-pid_, SIGKILL);
}

Result<ExecEnd, std::string> ExecChild::still_runs() const {
    return fail("pid " + std::to_string(pid_) + " still runs");
}

Result<ExecEnd, std::string> ExecChild::reap() {
    ::siginfo_t info{};
    if (::waitid(P_PID, static_cast<::id_t>(pid_), &info, WEXITED | WNOHANG) != 0) {
        reaped_ = true;
        return fail("how it ended is not known: " + message(errno));
    }
    reaped_ = info.si_pid == pid_;
    if (!reaped_) return still_runs();
    return ExecEnd{info.si_code != CLD_EXITED, info.si_status};
}

void ExecChild::take_output() {
    std::array<char, 16UZ * 1024> chunk{};
    for (std::size_t taken = 0; taken < output_at_once;) {
        error_code error;
        const std::size_t count = output_.read_some(asio::buffer(chunk), error);
        if (error == asio::error::would_block) return;
        if (error) {
            output_.close(error);
            return;
        }
        taken += count;
        tail_.append(chunk.data(), count);
        if (tail_.size() > output_kept) tail_.erase(0, tail_.size() - output_kept);
    }
}

std::string_view ExecChild::last_line() const {
    static constexpr std::string_view blank = " \t\r\n";
    const std::string_view text =
        std::string_view{tail_}.substr(0, tail_.find_last_not_of(blank) + 1);
    const std::size_t line_end = text.find_last_of("\r\n");
    std::string_view line = line_end == std::string_view::npos ? text : text.substr(line_end + 1);
    line.remove_prefix(std::min(line.find_first_not_of(blank), line.size()));
    return line;
}

}  // namespace swerve::health
