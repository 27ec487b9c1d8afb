#include "health/probes/listening.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/this_coro.hpp>
#include <charconv>
#include <chrono>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "health/probes/events.hpp"
#include "health/probes/netlink.hpp"
#include "swerve/base/clock.hpp"
#include "swerve/net/prefix.hpp"

namespace swerve::health {

namespace asio = boost::asio;

namespace {

constexpr unsigned tcp_listen = 10;  // TCP_LISTEN, whose headers exclude each other
/// How much longer than it took to make it the table is kept: so it costs at most a fifth.
constexpr int kept_times = 4;
/// Descriptors looked at before others have their turn.
constexpr int links_per_turn = 256;
/// Before sockets whose owner was not found are looked for again.
constexpr Duration seek_again = std::chrono::seconds{1};

/// What has a socket: the number of a descriptor in a process.
struct Holder {
    ::pid_t pid;
    std::string descriptor;  ///< its path in /proc
};

/// The inode that a descriptor leads to; 0 if it is no socket.
std::uint64_t inode_behind(int directory, const char* name) {
    static constexpr std::string_view socket = "socket:[";
    std::array<char, 64> link{};
    const ::ssize_t size = ::readlinkat(directory, name, link.data(), link.size());
    const std::string_view text{link.data(),
                                static_cast<std::size_t>(std::max<::ssize_t>(size, 0))};
    std::uint64_t inode = 0;
    if (text.starts_with(socket)) {
        std::from_chars(text.data() + socket.size(), text.data() + text.size(), inode);
    }
    return inode;
}

using Directory = std::unique_ptr<::DIR, int (*)(::DIR*)>;
Directory open_directory(const std::string& path) { return {::opendir(path.c_str()), &::closedir}; }

Address address_of(std::uint8_t family, std::span<const std::byte> octets) {
    static const Prefix mapped = *Prefix::parse("::ffff:0.0.0.0/96");
    auto out = *address_in(octets.first(family == AF_INET ? 4 : 16));
    if (mapped.contains(out)) out = *address_in(octets.subspan(12, 4));
    return out;
}

Result<std::vector<ListeningSocket>, std::string> ask_kernel() {
    std::vector<ListeningSocket> out;
    for (const int family : {AF_INET, AF_INET6}) {
        ::inet_diag_req_v2 asked{};
        asked.sdiag_family = static_cast<std::uint8_t>(family);
        asked.sdiag_protocol = IPPROTO_TCP;
        asked.idiag_states = 1U << tcp_listen;
        const auto answer = dump_sockets(
            std::as_bytes(std::span{&asked, 1}), [&out](const NetlinkMessage& message) {
                const auto found = message.header<::inet_diag_msg>();
                if (!found) return;
                const auto only =
                    attribute(message.attributes<::inet_diag_msg>(), INET_DIAG_SKV6ONLY);
                out.push_back({{address_of(found->idiag_family,
                                           std::as_bytes(std::span{found->id.idiag_src})),
                                ntohs(found->id.idiag_sport)},
                               !only.empty() && only.front() != std::byte{0},
                               found->idiag_inode});
            });
        if (!answer) return fail("the sockets that listen: " + answer.error());
    }
    return out;
}

/// What the checks of a loop share.
class Sockets final : public asio::execution_context::service {
public:
    using key_type = Sockets;
    inline static asio::execution_context::id id;

    explicit Sockets(asio::execution_context& context)
        : asio::execution_context::service(context) {}

    static Sockets& of(const asio::any_io_executor& executor) {
        return asio::use_service<Sockets>(asio::query(executor, asio::execution::context));
    }

    const Result<std::vector<ListeningSocket>, std::string>& listening() {
        const TimePoint began = BootClock::now();
        if (began < table_until_) return table_;
        table_ = ask_kernel();
        const TimePoint done = BootClock::now();
        table_until_ = done + kept_times * (done - began);
        return table_;
    }

    /// A process that still has one of the sockets; 0 if none is known.
    ::pid_t known_owner(const std::set<std::uint64_t>& inodes, ::pid_t held) {
        ::pid_t out = 0;
        for (const std::uint64_t inode : inodes) {
            const auto known = holders_.find(inode);
            if (known == holders_.end()) continue;
            std::erase_if(known->second, [inode = inode](const Holder& holder) {
                return inode_behind(AT_FDCWD, holder.descriptor.c_str()) != inode;
            });
            for (const Holder& holder : known->second) {
                if (out == 0 || holder.pid == held) out = holder.pid;
            }
            if (known->second.empty()) holders_.erase(known);
        }
        return out;
    }

    [[nodiscard]] bool is_hidden(std::uint64_t inode) const {
        return !seeking_ && hidden_.contains(inode) && BootClock::now() < sought_ + seek_again;
    }

    /// Raises `done` after a search that begins now or later.
    void seek(const asio::any_io_executor& executor, Notice& done) {
        next_.push_back(&done);
        if (!seeking_) begin(executor);
    }
    void leave(Notice& done) {
        std::erase(next_, &done);
        std::erase(now_, &done);
    }

private:
    void shutdown() override {}

    void begin(const asio::any_io_executor& executor) {
        seeking_ = true;
        processes_ = open_directory("/proc");
        now_.splice(now_.end(), next_);
        hidden_.clear();
        found_.clear();
        if (const auto& table = listening()) {
            for (const ListeningSocket& each : *table) hidden_.insert(each.inode);
        }
        asio::post(executor, [this, executor] { go_on(executor); });
    }

    void go_on(const asio::any_io_executor& executor) {
        for (int links = 0; links < links_per_turn; ++links) {
            const ::dirent* entry = descriptors_ ? ::readdir(descriptors_.get()) : nullptr;
            if (entry != nullptr) {
                take(*entry);
            } else if (!next_process()) {
                return end(executor);
            }
        }
        asio::post(executor, [this, executor] { go_on(executor); });
    }

    void take(const ::dirent& entry) {
        const std::uint64_t inode = inode_behind(::dirfd(descriptors_.get()), entry.d_name);
        if (!hidden_.contains(inode)) return;
        found_[inode].push_back({pid_, descriptors_path_ + "/" + entry.d_name});
    }

    /// False after the last.
    bool next_process() {
        const ::dirent* entry = processes_ ? ::readdir(processes_.get()) : nullptr;
        if (entry == nullptr) return false;
        descriptors_.reset();
        const std::string_view name = entry->d_name;
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid_);
        if (error != std::errc{} || end != name.data() + name.size() || pid_ == ::getpid()) {
            return true;
        }
        descriptors_path_ = "/proc/" + std::to_string(pid_) + "/fd";
        descriptors_ = open_directory(descriptors_path_);
        return true;
    }

    void end(const asio::any_io_executor& executor) {
        seeking_ = false;
        processes_.reset();
        descriptors_.reset();
        sought_ = BootClock::now();
        holders_ = std::exchange(found_, {});
        for (const auto& [inode, holders] : holders_) hidden_.erase(inode);
        for (Notice* each : std::exchange(now_, {})) each->raise();
        if (!next_.empty()) begin(executor);
    }

    Result<std::vector<ListeningSocket>, std::string> table_;
    TimePoint table_until_;

    std::map<std::uint64_t, std::vector<Holder>> holders_;
    std::set<std::uint64_t> hidden_;  ///< of the last search, or not yet found by this one
    TimePoint sought_;

    // The search under way.
    bool seeking_ = false;
    Directory processes_{nullptr, &::closedir};
    Directory descriptors_{nullptr, &::closedir};
    std::string descriptors_path_;
    ::pid_t pid_ = 0;
    std::map<std::uint64_t, std::vector<Holder>> found_;
    std::list<Notice*> now_;   ///< who waits for it
    std::list<Notice*> next_;  ///< who came after it had begun
};

/// Waits for a search for as long as it lives, however it ends.
class Seeker {
public:
    Seeker(Sockets& sockets, const asio::any_io_executor& executor, Notice& done)
        : sockets_(sockets), done_(done) {
        sockets_.seek(executor, done_);
    }
    ~Seeker() { sockets_.leave(done_); }
    Seeker(const Seeker&) = delete;
    Seeker& operator=(const Seeker&) = delete;

private:
    Sockets& sockets_;
    Notice& done_;
};

}  // namespace

Result<std::vector<ListeningSocket>, std::string> listening_sockets(
    const asio::any_io_executor& executor) {
    return Sockets::of(executor).listening();
}

asio::awaitable<Result<::pid_t, NoOwner>> owner_of(std::set<std::uint64_t> inodes, ::pid_t held,
                                                   TimePoint until) {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    Sockets& sockets = Sockets::of(executor);
    const auto hidden = [&] {
        return std::ranges::all_of(inodes, [&](auto inode) { return sockets.is_hidden(inode); });
    };
    for (bool sought = false;; sought = true) {
        if (const ::pid_t owner = sockets.known_owner(inodes, held); owner != 0) co_return owner;
        if (sought || hidden()) co_return fail(NoOwner::hidden);
        const TimePoint now = BootClock::now();
        if (now >= until) co_return fail(NoOwner::still_sought);
        Notice done(executor);
        const Seeker seeker(sockets, executor, done);
        if (!co_await done.wait(until - now)) co_return fail(NoOwner::still_sought);
    }
}

}  // namespace swerve::health
