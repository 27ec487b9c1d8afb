// swerve-postgres: talks to one PostgreSQL server for one check of the daemon (ADR-0022). Started
// by the daemon alone, which gives it requests on its standard input, a socket, and kills it at the
// deadline. So everything here may wait.

#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "health/probes/postgres_wire.hpp"
#include "tools/postgres_worker/server.hpp"

namespace {

using namespace swerve;
using namespace swerve::health;

constexpr int exit_usage = 2;
constexpr int exit_garbage = 3;

void limit(int resource, ::rlim_t most) {
    const ::rlimit bound{most, most};
    // A sandbox may forbid it; whoever set that up has limits of their own.
    (void)::setrlimit(static_cast<__rlimit_resource>(resource), &bound);
}

/// A server can have us hold an answer as long as it likes, or crash us, with a password in here.
void confine_ourselves() {
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, 32);
#if !defined(__SANITIZE_ADDRESS__)
    limit(RLIMIT_AS, ::rlim_t{256} << 20U);
#endif
    ::prctl(PR_SET_DUMPABLE, 0);
    // The daemon may have rights for port 179, or all of root's; libpq needs none.
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    ::__user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    const std::array<::__user_cap_data_struct, 2> no_rights{};
    (void)::syscall(SYS_capset, &header, no_rights.data());
    (void)::signal(SIGPIPE, SIG_IGN);
}

/// Whether the daemon is our parent, and will be to our end.
bool belong_to_the_daemon() {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::ucred daemon{};
    ::socklen_t length = sizeof daemon;
    if (::getsockopt(STDIN_FILENO, SOL_SOCKET, SO_PEERCRED, &daemon, &length) != 0) return false;
    // It may have ended before we asked to be told.
    return daemon.pid == ::getppid();
}

/// The next request; nothing at the end.
std::optional<PostgresRequest> next_request(Bytes& buffer) {
    for (;;) {
        std::optional<Bytes> body;
        if (!take_frame(buffer, body)) std::exit(exit_garbage);
        if (body) {
            auto request = decode_postgres_request(*body);
            ::explicit_bzero(body->data(), body->size());
            if (!request) std::exit(exit_garbage);
            return request;
        }
        std::array<std::uint8_t, 4096> chunk{};
        const ::ssize_t count = ::read(STDIN_FILENO, chunk.data(), chunk.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return std::nullopt;
        buffer.insert(buffer.end(), chunk.begin(), chunk.begin() + count);
        ::explicit_bzero(chunk.data(), chunk.size());
    }
}

void tell(const PostgresReply& reply) {
    auto frame = encode(reply);
    if (!frame) frame = encode(PostgresReply{tools::too_much()});
    for (std::size_t sent = 0; sent < frame->size();) {
        const ::ssize_t count = ::write(STDIN_FILENO, frame->data() + sent, frame->size() - sent);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) std::exit(EXIT_SUCCESS);
        sent += static_cast<std::size_t>(count);
    }
}

}  // namespace

int main() {
    if (!belong_to_the_daemon()) {
        std::fputs("swerve-postgres is started by swerved, for its checks of type postgres\n",
                   stderr);
        return exit_usage;
    }
    confine_ourselves();
    tools::PostgresServer server(tell);
    Bytes buffer;
    while (const auto request = next_request(buffer)) server.answer(*request);
    return EXIT_SUCCESS;
}
