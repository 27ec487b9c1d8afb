#include "health/probes/postgres_worker.hpp"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <climits>
#include <string_view>
#include <system_error>
#include <utility>

#include "health/probes/spawn.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;
using asio::posix::descriptor_base;
using boost::system::error_code;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

std::string message(int error) { return std::generic_category().message(error); }

}  // namespace

Result<std::string, std::string> find_postgres_worker() {
    std::array<char, PATH_MAX> own{};
    const ::ssize_t length = ::readlink("/proc/self/exe", own.data(), own.size());
    if (length < 0) return fail("/proc/self/exe: " + message(errno));
    std::string_view directory{own.data(), static_cast<std::size_t>(length)};
    directory = directory.substr(0, directory.rfind('/'));
    const std::array candidates{
        std::string{directory} + "/swerve-postgres",
        std::string{directory.substr(0, directory.rfind('/'))} + "/libexec/swerve/swerve-postgres"};
    for (const std::string& file : candidates) {
        if (::access(file.c_str(), X_OK) == 0) return file;
    }
    return fail("the program swerve-postgres, which asks databases, is neither " +
                escape(candidates[0]) + " nor " + escape(candidates[1]) +
                "; install it with swerved");
}

Result<PostgresWorker::Running, std::string> PostgresWorker::start(
    const asio::any_io_executor& executor, const std::string& file,
    std::shared_ptr<const void> token) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        return fail(message(errno));
    }
    ::pid_t pid = 0;
    // libpq takes parameters from the environment and from files in HOME; there are none.
    const int unstarted = spawn(pid, file, {"swerve-postgres"},
                                {"HOME=/nonexistent", "LANG=C.UTF-8"}, {ends[1], -1, -1});
    ::close(ends[1]);
    if (unstarted != 0) {
        ::close(ends[0]);
        return fail(message(unstarted));
    }
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    error_code lack(pidfd < 0 ? errno : 0, boost::system::system_category());
    Descriptor exit(executor);
    Socket socket(executor);
    if (!lack) exit.assign(pidfd, lack);
    if (!lack) socket.assign(asio::local::stream_protocol(), ends[0], lack);
    if (!lack)
        return Running(
            new PostgresWorker(pid, std::move(exit), std::move(socket), std::move(token)));
    if (!exit.is_open() && pidfd >= 0) ::close(pidfd);
    if (!socket.is_open()) ::close(ends[0]);
    // It has only just begun, so this takes no time.
    ::kill(pid, SIGKILL);
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return fail(lack.message());
}

PostgresWorker::PostgresWorker(::pid_t pid, Descriptor exit, Socket socket,
                               std::shared_ptr<const void> token)
    : pid_(pid), exit_(std::move(exit)), socket_(std::move(socket)), token_(std::move(token)) {}

PostgresWorker::~PostgresWorker() {
    if (reaped_) return;
    // The loop is gone, and with it who would have waited for the end.
    ::kill(pid_, SIGKILL);
    reap(0);
}

void PostgresWorker::PutDown::operator()(PostgresWorker* worker) const {
    std::unique_ptr<PostgresWorker> owner(worker);
    if (owner->reaped_) return;
    // Not reaped yet, so the number is still its own.
    ::kill(owner->pid_, SIGKILL);
    // A reload lets go of a probe on another thread than its loop's, which its descriptors belong
    // to.
    asio::dispatch(worker->exit_.get_executor(), [owner = std::move(owner)]() mutable {
        error_code ignored;
        owner->socket_.close(ignored);
        bury(std::move(owner));
    });
}

void PostgresWorker::bury(std::unique_ptr<PostgresWorker> worker) {
    PostgresWorker& self = *worker;
    self.exit_.async_wait(descriptor_base::wait_read,
                          [owner = std::move(worker)](const error_code& error) mutable {
                              if (!error && !owner->has_ended()) return bury(std::move(owner));
                              if (!error) owner->reap(WNOHANG);
                          });
}

bool PostgresWorker::has_ended() const {
    // Asio may report a descriptor as readable that is not, see ExecChild.
    ::siginfo_t info{};
    const int error =
        ::waitid(P_PID, static_cast<::id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
    return error != 0 || info.si_pid == pid_;
}

void PostgresWorker::reap(int options) {
    ::siginfo_t info{};
    while (::waitid(P_PID, static_cast<::id_t>(pid_), &info, WEXITED | options) < 0 &&
           errno == EINTR) {
    }
    reaped_ = true;
}

asio::awaitable<bool> PostgresWorker::send(Bytes frame) {
    const auto [error, count] = co_await asio::async_write(socket_, asio::buffer(frame), as_result);
    ::explicit_bzero(frame.data(), frame.size());
    co_return !error;
}

asio::awaitable<Result<PostgresReply, std::string>> PostgresWorker::receive() {
    for (;;) {
        std::optional<Bytes> body;
        if (!take_frame(received_, body)) co_return fail(std::string{"sent what is no reply"});
        if (body) {
            auto reply = decode_postgres_reply(*body);
            if (!reply) co_return fail(std::string{"sent what is no reply"});
            co_return std::move(*reply);
        }
        std::array<std::uint8_t, 4096> chunk{};
        const auto [error, count] =
            co_await socket_.async_read_some(asio::buffer(chunk), as_result);
        if (error == asio::error::operation_aborted) co_return fail(std::string{});
        if (error) co_return fail(co_await how_it_ended());
        received_.insert(received_.end(), chunk.begin(),
                         chunk.begin() + static_cast<std::ptrdiff_t>(count));
    }
}

/// Its socket is closed, so its end is near.
asio::awaitable<std::string> PostgresWorker::how_it_ended() {
    while (!has_ended()) {
        const auto [error] = co_await exit_.async_wait(descriptor_base::wait_read, as_result);
        if (error) co_return std::string{};
    }
    ::siginfo_t info{};
    (void)::waitid(P_PID, static_cast<::id_t>(pid_), &info, WEXITED | WNOHANG);
    reaped_ = true;
    // What the dynamic linker ends with.
    if (info.si_code == CLD_EXITED && info.si_status == 127) {
        co_return "cannot run here; is the package libpq5 installed?";
    }
    // What it ends with when it is asked what it does not understand.
    if (info.si_code == CLD_EXITED && info.si_status == 3) {
        co_return "is of another version than this daemon; restart it";
    }
    co_return (info.si_code == CLD_EXITED ? "ended with exit code " : "was ended by signal ") +
        std::to_string(info.si_status);
}

}  // namespace swerve::health
