#include "health/probes/spawn.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <unistd.h>

namespace swerve::health {
namespace {

std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> out;
    for (std::string& word : words) out.push_back(word.data());
    out.push_back(nullptr);
    return out;
}

}  // namespace

// The child of posix_spawn shares our memory until it runs the program: the daemon is never copied,
// however much memory it uses.
int spawn(::pid_t& pid, const std::string& file, std::vector<std::string> argv,
          std::vector<std::string> environment, const std::array<int, 3>& streams) {
    ::posix_spawn_file_actions_t actions{};
    ::posix_spawn_file_actions_init(&actions);
    for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
        const int from = streams[static_cast<std::size_t>(stream)];
        if (from >= 0) {
            ::posix_spawn_file_actions_adddup2(&actions, from, stream);
        } else {
            ::posix_spawn_file_actions_addopen(&actions, stream, "/dev/null",
                                               stream == STDIN_FILENO ? O_RDONLY : O_WRONLY, 0);
        }
    }
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
    ::posix_spawnattr_setflags(&attributes,
                               POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);

    const int error = ::posix_spawn(&pid, file.c_str(), &actions, &attributes,
                                    pointers(argv).data(), pointers(environment).data());
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    return error;
}

}  // namespace swerve::health
