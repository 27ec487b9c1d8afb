#include "health/probes/exec_child.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
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

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> out;
    for (std::string& word : words) out.push_back(word.data());
    out.push_back(nullptr);
    return out;
}

struct Pipe {
    int read = -1;
    int write = -1;
};

/// The child of posix_spawn, which shares our memory until it runs the program: the daemon is
/// never copied, however much memory it uses.
int spawn(::pid_t& pid, const std::string& file, std::vector<std::string> argv, int output) {
    ::posix_spawn_file_actions_t actions{};
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    // Ours are all close-on-exec; this is for those that a library opened without it.
    ::posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    ::posix_spawn_file_actions_addchdir_np(&actions, "/");

    ::posix_spawnattr_t attributes{};
    ::posix_spawnattr_init(&attributes);
    ::sigset_t all{};
    ::sigset_t none{};
    ::sigfillset(&all);
    ::sigemptyset(&none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    // A session, and not only a group: no terminal of ours can stop it.
    ::posix_spawnattr_setflags(
        &attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);

    std::vector<std::string> environment{std::string{"PATH="} + std::string{exec_path}, "HOME=/",
                                         "LANG=C.UTF-8"};
    const int error = ::posix_spawn(&pid, file.c_str(), &actions, &attributes,
                                    pointers(argv).data(), pointers(environment).data());
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    return error;
}

}  // namespace

struct Turns::Waiter {
    Waiter(Turns& turns, const asio::any_io_executor& executor, TimePoint until)
        : turns(turns), timer(executor, until) {
        turns.waiting_.push_back(this);
    }
    ~Waiter() { turns.waiting_.remove(this); }
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    Turns& turns;
    Timer timer;
    bool granted = false;
};

asio::awaitable<Turns::Turn> Turns::take(std::shared_ptr<Turns> turns, TimePoint until) {
    if (turns->free_ > 0) {
        --turns->free_;
        co_return Turn(turns.get(), GiveBack{turns});
    }
    Waiter waiter(*turns, co_await asio::this_coro::executor, until);
    co_await waiter.timer.async_wait(as_result);
    if (!waiter.granted) co_return nullptr;
    co_return Turn(turns.get(), GiveBack{turns});
}

void Turns::give_back() {
    if (waiting_.empty()) {
        ++free_;
        return;
    }
    Waiter& next = *waiting_.front();
    waiting_.pop_front();
    next.granted = true;
    next.timer.cancel();
}

Result<ExecChild::Running, std::string> ExecChild::start(const asio::any_io_executor& executor,
                                                         const std::string& file,
                                                         std::vector<std::string> argv,
                                                         std::vector<Turns::Turn> turns) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(message(errno));
    Descriptor output(executor, ends[0]);
    output.non_blocking(true);
    ::pid_t pid = 0;
    const int error = spawn(pid, file, std::move(argv), ends[1]);
    ::close(ends[1]);
    if (error != 0) return fail(message(error));
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (pidfd < 0) {
        const int lack = errno;
        // Nothing could tell us of its end; it has only just begun, so this takes no time.
        ::kill(-pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        return fail(message(lack));
    }
    return Running(new ExecChild(pid, Descriptor(executor, pidfd), std::move(output),
                                 std::move(turns)));
}

ExecChild::ExecChild(::pid_t pid, Descriptor exit, Descriptor output,
                     std::vector<Turns::Turn> turns)
    : pid_(pid), exit_(std::move(exit)), output_(std::move(output)), turns_(std::move(turns)) {}

ExecChild::~ExecChild() {
    // Only when the loop is gone: nobody is left to wait.
    if (reaped_) return;
    kill_group();
    reap();
}

void ExecChild::PutDown::operator()(ExecChild* child) const {
    std::unique_ptr<ExecChild> owner(child);
    if (owner->reaped_) return;
    owner->kill_group();
    child->output_.close();
    child->exit_.async_wait(descriptor_base::wait_read,
                            [owner = std::move(owner)](const error_code&) { owner->reap(); });
}

asio::awaitable<std::optional<ExecEnd>> ExecChild::ended(TimePoint until) {
    Timer timer(exit_.get_executor(), until);
    for (;;) {
        // Waiting on an output that is closed fails at once, which is no success and wakes nobody.
        auto first = asio::experimental::make_parallel_group(
            exit_.async_wait(descriptor_base::wait_read, asio::deferred),
            output_.async_wait(descriptor_base::wait_read, asio::deferred),
            timer.async_wait(asio::deferred));
        const auto [order, exit, readable, late] = co_await first.async_wait(
            asio::experimental::wait_for_one_success(), asio::use_awaitable);
        if (!exit) {
            // Before the program is reaped its number, which is the group's, cannot be used again.
            kill_group();
            take_output();
            co_return reap();
        }
        if (readable) co_return std::nullopt;
        take_output();
    }
}

void ExecChild::kill_group() const {
    // Reaches grandchildren too, but not one that began a session or group of its own.
    ::kill(-pid_, SIGKILL);
}

std::optional<ExecEnd> ExecChild::reap() {
    ::siginfo_t info{};
    reaped_ = ::waitid(P_PID, static_cast<::id_t>(pid_), &info, WEXITED | WNOHANG) != 0 ||
              info.si_pid == pid_;
    if (info.si_pid != pid_) return std::nullopt;
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
    const std::string_view text = std::string_view{tail_}.substr(0, tail_.find_last_not_of(blank) + 1);
    const std::size_t line_end = text.find_last_of("\r\n");
    std::string_view line = line_end == std::string_view::npos ? text : text.substr(line_end + 1);
    line.remove_prefix(std::min(line.find_first_not_of(blank), line.size()));
    return line;
}

}  // namespace swerve::health
