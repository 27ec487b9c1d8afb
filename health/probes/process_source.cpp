#include "health/probes/process_source.hpp"

#include <dirent.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <charconv>
#include <chrono>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "health/probes/inotify.hpp"
#include "health/probes/listening.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr std::size_t pid_file_limit = 64;
/// Before a deadline, for the answer to be in time.
constexpr Duration answer_time = std::chrono::milliseconds{5};

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
    [[nodiscard]] Result<Sighting, Outcome> read(::pid_t held) {
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
        if (pid != held && is_used_again({pid, file->stamp, start_stamp(pid)})) {
            return refuse("pid " + std::to_string(pid) +
                          " started after the file had named it, so the number was used again");
        }
        return Sighting{pid, file->stamp, " from " + escape(path_)};
    }

    struct Named {
        ::pid_t pid;
        FileStamp file;
        FileStamp started;  ///< empty: not running
    };

    /// Whether the same file has named the number before, when no process or another one had it.
    /// The start is compared with the start and not with the file's time: that is by a clock that
    /// somebody may set.
    bool is_used_again(const Named& now) {
        if (!before_ || before_->pid != now.pid || before_->file != now.file) {
            before_ = now;
            return false;
        }
        return now.started != FileStamp{} && now.started != before_->started;
    }

    [[nodiscard]] std::unexpected<Outcome> refuse(const std::string& why) const {
        return fail(unsure(escape(path_) + ": " + why));
    }

    std::string path_;
    std::optional<Named> before_;
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

    asio::awaitable<Result<Sighting, Outcome>> find(::pid_t held, TimePoint until) override {
        const auto sockets = listening_sockets(co_await asio::this_coro::executor);
        if (!sockets) co_return fail(unsure(sockets.error()));
        std::set<std::uint64_t> ours = inodes_in(*sockets);
        if (ours.empty()) co_return fail(failed("nobody listens on " + target_));
        const auto owner = co_await owner_of(std::move(ours), held, until - answer_time);
        if (owner) {
            co_return Sighting{*owner, start_stamp(*owner), " that listens on " + target_};
        }
        if (owner.error() == NoOwner::still_sought) {
            co_return fail(unsure("the owner of " + target_ + " is still looked for"));
        }
        co_return fail(
            unsure("the owner of " + target_ + " is hidden: to see sockets of others takes " +
                   "CAP_SYS_PTRACE, and those of other containers or of this daemon itself " +
                   "do not count"));
    }

private:
    /// The sockets that listen where they were asked for: at the very address if there are any.
    [[nodiscard]] std::set<std::uint64_t> inodes_in(
        const std::vector<ListeningSocket>& sockets) const {
        std::set<std::uint64_t> exact;
        std::set<std::uint64_t> anywhere;
        for (const ListeningSocket& each : sockets) {
            if (each.at.port != port_) continue;
            const Address& at = each.at.address;
            // What listens on :: takes connections over IPv4, too, unless it was told not to.
            const bool covers =
                at.is_unspecified() && (!address_ || at.family() == address_->family() ||
                                        (at.family() == Family::ipv6 && !each.ipv6_only));
            if (!address_ || covers) {
                anywhere.insert(each.inode);
            } else if (at == *address_) {
                exact.insert(each.inode);
            }
        }
        return exact.empty() ? anywhere : exact;
    }

    std::optional<Address> address_;
    std::uint16_t port_;
    std::string target_;
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
