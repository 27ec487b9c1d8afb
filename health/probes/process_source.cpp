#include "health/probes/process_source.hpp"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <fstream>
#include <set>
#include <span>
#include <sstream>
#include <string_view>
#include <utility>

#include "health/probes/inotify.hpp"
#include "swerve/base/escape.hpp"
#include "swerve/net/prefix.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr std::size_t pid_file_limit = 64;
/// How much later than its pid file a process may have started, by clocks that were set meanwhile,
/// and still be the one that wrote it.
constexpr Duration clock_slack = std::chrono::minutes{1};

std::string proc(::pid_t pid, std::string_view entry) {
    return "/proc/" + std::to_string(pid) + "/" + std::string{entry};
}

struct ProcessStat {
    char state = 'X';
    std::int64_t started_ticks = 0;

    [[nodiscard]] bool lives() const { return state != 'Z' && state != 'X' && state != 'x'; }
};

/// proc(5): the name stands in parentheses and may hold some itself; the state follows, and the
/// start is the twentieth value from there.
std::optional<ProcessStat> stat_of(::pid_t pid) {
    std::ifstream file(proc(pid, "stat"));
    std::string text;
    if (!std::getline(file, text)) return std::nullopt;
    const std::size_t name_end = text.rfind(')');
    if (name_end == std::string::npos) return std::nullopt;
    std::istringstream values(text.substr(name_end + 1));
    ProcessStat out;
    values >> out.state;
    std::string skipped;
    for (int i = 0; i < 18; ++i) values >> skipped;
    values >> out.started_ticks;
    if (!values) return std::nullopt;
    return out;
}

std::string comm_of(::pid_t pid) {
    std::ifstream file(proc(pid, "comm"));
    std::string name;
    std::getline(file, name);
    return name;
}

/// Calls `visit` with the number of each process that is shown to us but our own, until it says
/// true.
void visit_processes(const std::function<bool(::pid_t)>& visit) {
    const std::unique_ptr<::DIR, int (*)(::DIR*)> listing(::opendir("/proc"), &::closedir);
    if (!listing) return;
    while (const ::dirent* entry = ::readdir(listing.get())) {
        const std::string_view name = entry->d_name;
        ::pid_t pid = 0;
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (error != std::errc{} || end != name.data() + name.size()) continue;
        if (pid != ::getpid() && visit(pid)) return;
    }
}

/// The process that has the number started later than the file was written.
bool is_used_again(::pid_t pid, const FileStamp& file) {
    const auto stat = stat_of(pid);
    if (!stat) return false;
    const std::int64_t ticks_per_second = ::sysconf(_SC_CLK_TCK);
    const Duration since_boot =
        std::chrono::milliseconds{stat->started_ticks * 1000 / ticks_per_second};
    const Duration boot = wall_now().time_since_epoch() - BootClock::now().time_since_epoch();
    return boot + since_boot > std::chrono::nanoseconds{file.modified_ns} + clock_slack;
}

class PidFile final : public ProcessSource {
public:
    explicit PidFile(std::string path) : path_(std::move(path)) {}

    asio::awaitable<Result<Sighting, Outcome>> find(::pid_t held, TimePoint /*until*/) override {
        co_return read(held);
    }

    asio::awaitable<void> watch(std::function<void()> changed) override {
        FileWatch file(co_await asio::this_coro::executor, path_);
        while (co_await file.changed()) changed();
    }

private:
    [[nodiscard]] Result<Sighting, Outcome> read(::pid_t held) const {
        const auto file = read_file(path_, pid_file_limit);
        if (!file) return fail(unsure(file.error()));
        const std::size_t line_end = file->text.find('\n');
        std::string_view line = std::string_view{file->text}.substr(0, line_end);
        // Programs that print into a fixed width leave blanks; postmaster.pid goes on with lines.
        line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
        line = line.substr(0, line.find_last_not_of(" \t\r") + 1);
        if (line.empty()) return refuse("no process id in it");
        ::pid_t pid = 0;
        const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), pid);
        const bool whole =
            end == line.data() + line.size() && (line_end != std::string::npos || !file->cut);
        if (error != std::errc{} || !whole || pid <= 0) {
            return refuse(quoted(line) + " is not a process id");
        }
        if (pid == ::getpid()) return refuse("names this daemon itself");
        if (pid == 1) {
            return refuse(
                "names pid 1, as a process in a container does, whose numbers mean nothing here");
        }
        if (pid != held && is_used_again(pid, file->stamp)) {
            return refuse("pid " + std::to_string(pid) +
                          " started after the file was written, so the number was used again");
        }
        return Sighting{pid, file->stamp, " from " + escape(path_)};
    }

    [[nodiscard]] std::unexpected<Outcome> refuse(const std::string& why) const {
        return fail(unsure(escape(path_) + ": " + why));
    }

    std::string path_;
};

class NamedProcess final : public ProcessSource {
public:
    explicit NamedProcess(std::string name) : name_(std::move(name)) {}

    asio::awaitable<Result<Sighting, Outcome>> find(::pid_t held, TimePoint /*until*/) override {
        co_return look(held);
    }

private:
    [[nodiscard]] Result<Sighting, Outcome> look(::pid_t held) const {
        ::pid_t found = held != 0 && comm_of(held) == name_ ? held : 0;
        if (found == 0) {
            visit_processes([&](::pid_t pid) {
                if (comm_of(pid) != name_) return false;
                const auto stat = stat_of(pid);
                if (stat && stat->lives()) found = pid;
                return found != 0;
            });
        }
        if (found != 0) return Sighting{found, start_stamp(found), " named " + quoted(name_)};
        if (::access("/proc/1/comm", F_OK) != 0) {
            return fail(unsure("processes of other users are hidden from this one (hidepid)"));
        }
        return fail(failed("no process is named " + quoted(name_)));
    }

    std::string name_;
};

class PortOwner final : public ProcessSource {
public:
    PortOwner(std::optional<Address> address, std::uint16_t port)
        : address_(address), port_(port), target_(std::to_string(port)) {
        if (address) target_ = Endpoint{*address, port}.to_string();
    }

    asio::awaitable<Result<Sighting, Outcome>> find(::pid_t held, TimePoint /*until*/) override {
        co_return look(held);
    }

private:
    using Inodes = std::set<std::uint64_t>;

    [[nodiscard]] Result<Sighting, Outcome> look(::pid_t held) {
        const Inodes listening = listeners();
        if (listening.empty()) return fail(failed("nobody listens on " + target_));
        // Who has the socket is looked for among all processes only when it is another socket.
        const bool still_owner = held != 0 && held == owner_ && listening.contains(socket_);
        if (!still_owner && !(held != 0 && owns(held, listening))) {
            owner_ = 0;
            visit_processes([&](::pid_t pid) { return owns(pid, listening); });
        }
        if (owner_ != 0)
            return Sighting{owner_, start_stamp(owner_), " that listens on " + target_};
        return fail(
            unsure("the owner of " + target_ + " is hidden: to see sockets of others takes " +
                   "CAP_SYS_PTRACE, and those of other containers or of this daemon itself " +
                   "do not count"));
    }

    /// The sockets that listen where they were asked for: at the very address if there are any.
    [[nodiscard]] Inodes listeners() const {
        Inodes exact;
        Inodes anywhere;
        // Of the thread, not of the process: what it connects to is in its own network namespace.
        for (const char* table : {"/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"}) {
            std::ifstream file(table);
            std::string line;
            std::getline(file, line);
            while (std::getline(file, line)) {
                std::istringstream values(line);
                std::string skipped;
                std::string local;
                std::string state;
                std::uint64_t inode = 0;
                values >> skipped >> local >> skipped >> state;
                // Those that listen come first.
                if (state != "0A") break;
                for (int i = 0; i < 5; ++i) values >> skipped;
                values >> inode;
                if (values) sort_in(local, inode, exact, anywhere);
            }
        }
        return exact.empty() ? anywhere : exact;
    }

    /// `local` as in "0100007F:1F90": words of 32 bits in the host's order, and the port.
    void sort_in(std::string_view local, std::uint64_t inode, Inodes& exact,
                 Inodes& anywhere) const {
        const std::size_t colon = local.find(':');
        unsigned port = 0;
        if (colon == std::string_view::npos || colon % 8 != 0 || colon > 32) return;
        std::from_chars(local.data() + colon + 1, local.data() + local.size(), port, 16);
        if (port != port_) return;
        std::array<std::uint8_t, 16> octets{};
        for (std::size_t at = 0; at < colon; at += 8) {
            std::uint32_t word = 0;
            std::from_chars(local.data() + at, local.data() + at + 8, word, 16);
            std::memcpy(octets.data() + at / 2, &word, sizeof word);
        }
        const std::span<const std::uint8_t> all{octets.data(), colon / 2};
        static const Prefix mapped = *Prefix::parse("::ffff:0.0.0.0/96");
        auto at = Address::from_octets(all);
        if (at && mapped.contains(*at)) at = Address::from_octets(all.last(4));
        if (!at) return;
        // What listens on :: takes connections over IPv4, too, as far as it can be seen here.
        const bool covers = at->is_unspecified() && (!address_ || at->family() == Family::ipv6 ||
                                                     address_->family() == Family::ipv4);
        if (!address_ || covers) {
            anywhere.insert(inode);
        } else if (*at == *address_) {
            exact.insert(inode);
        }
    }

    /// Whether the process has one of the sockets; it is then the owner.
    bool owns(::pid_t pid, const Inodes& listening) {
        const std::string path = proc(pid, "fd");
        const std::unique_ptr<::DIR, int (*)(::DIR*)> listing(::opendir(path.c_str()), &::closedir);
        if (!listing) return false;
        while (const ::dirent* entry = ::readdir(listing.get())) {
            std::array<char, 64> link{};
            const ::ssize_t size =
                ::readlinkat(::dirfd(listing.get()), entry->d_name, link.data(), link.size());
            static constexpr std::string_view socket = "socket:[";
            const std::string_view text{link.data(),
                                        static_cast<std::size_t>(std::max<::ssize_t>(size, 0))};
            if (!text.starts_with(socket)) continue;
            std::uint64_t inode = 0;
            std::from_chars(text.data() + socket.size(), text.data() + text.size(), inode);
            if (!listening.contains(inode)) continue;
            owner_ = pid;
            socket_ = inode;
            return true;
        }
        return false;
    }

    std::optional<Address> address_;
    std::uint16_t port_;
    std::string target_;
    ::pid_t owner_ = 0;  ///< of `socket_`, when it was last looked for
    std::uint64_t socket_ = 0;
};

}  // namespace

asio::awaitable<void> ProcessSource::watch(std::function<void()> /*changed*/) { co_return; }

std::unique_ptr<ProcessSource> pid_file_source(std::string path) {
    return std::make_unique<PidFile>(std::move(path));
}

std::unique_ptr<ProcessSource> port_source(std::optional<Address> address, std::uint16_t port) {
    return std::make_unique<PortOwner>(address, port);
}

std::unique_ptr<ProcessSource> name_source(std::string name) {
    return std::make_unique<NamedProcess>(std::move(name));
}

FileStamp start_stamp(::pid_t pid) {
    const auto stat = stat_of(pid);
    return stat ? FileStamp{.modified_ns = stat->started_ticks} : FileStamp{};
}

}  // namespace swerve::health
