#include "health/probes/inotify.hpp"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

namespace swerve::health {

namespace asio = boost::asio;

namespace {

constexpr std::uint32_t events_of_interest = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |
                                             IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB |
                                             IN_DELETE_SELF | IN_MOVE_SELF;
/// Of a watch that the system refuses.
constexpr Duration look_again = std::chrono::seconds{1};
/// Reads of the descriptor before others have their turn.
constexpr int reads_per_turn = 16;

}  // namespace

/// The one inotify descriptor of a loop, open while there is a watch.
class Inotify final : public asio::execution_context::service {
public:
    using key_type = Inotify;
    inline static asio::execution_context::id id;

    explicit Inotify(asio::execution_context& context)
        : asio::execution_context::service(context) {}

    static Inotify& of(const asio::any_io_executor& executor) {
        return asio::use_service<Inotify>(asio::query(executor, asio::execution::context));
    }

    /// What a watch listens to: a directory's entry, or with no name a file.
    struct Subject {
        int watch;
        std::string name;

        friend auto operator<=>(const Subject&, const Subject&) = default;
    };

    /// Nothing if the system does not let it be watched.
    std::optional<int> add(const asio::any_io_executor& executor, const std::string& path,
                           std::uint32_t how) {
        if (!listener_.is_open()) {
            const int descriptor = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
            if (descriptor < 0) return std::nullopt;
            listener_.open(executor, descriptor, [this] { drain(); });
        }
        const int watch =
            ::inotify_add_watch(listener_.native_handle(), path.c_str(), events_of_interest | how);
        return watch < 0 ? std::nullopt : std::optional{watch};
    }

    /// What `file` listens to from now on. Watches that nobody needs any more are given back.
    void listen(FileWatch& file, std::set<Subject> subjects) {
        for (const Subject& subject : subjects) listeners_[subject].insert(&file);
        std::set<Subject> before = std::exchange(subjects_[&file], std::move(subjects));
        for (const Subject& subject : before) {
            if (!subjects_[&file].contains(subject)) forget(subject, file);
        }
        if (!subjects_[&file].empty()) return;
        subjects_.erase(&file);
        if (subjects_.empty()) listener_.close();
    }

    /// Gives back what add() watched and nobody listens to.
    void release(int watch) {
        const auto next = listeners_.lower_bound({watch, {}});
        if (next != listeners_.end() && next->first.watch == watch) return;
        if (listener_.is_open()) ::inotify_rm_watch(listener_.native_handle(), watch);
    }

private:
    void shutdown() override { listener_.close(); }

    void forget(const Subject& subject, FileWatch& file) {
        const auto found = listeners_.find(subject);
        found->second.erase(&file);
        if (found->second.empty()) listeners_.erase(found);
        release(subject.watch);
    }

    void drain() {
        alignas(::inotify_event) std::array<char, 16UZ * 1024> buffer{};
        for (int reads = 0; reads < reads_per_turn; ++reads) {
            const ::ssize_t count = ::read(listener_.native_handle(), buffer.data(), buffer.size());
            if (count <= 0) return;
            for (std::size_t at = 0; at < static_cast<std::size_t>(count);) {
                ::inotify_event event{};
                std::memcpy(&event, buffer.data() + at, sizeof event);
                at += sizeof event;
                // The name is filled up with zeros.
                tell(event, event.len > 0 ? std::string{buffer.data() + at} : std::string{});
                at += event.len;
            }
        }
    }

    void tell(const ::inotify_event& event, const std::string& name) {
        if ((event.mask & IN_Q_OVERFLOW) != 0) {
            for (const auto& [file, subjects] : subjects_) file->notice_.raise();
        } else if (!name.empty()) {
            const auto found = listeners_.find({event.wd, name});
            if (found != listeners_.end()) raise(found->second);
        } else {
            // The directory itself (gone, moved) concerns all who wait for an entry of it.
            for (auto at = listeners_.lower_bound({event.wd, {}});
                 at != listeners_.end() && at->first.watch == event.wd; ++at) {
                raise(at->second);
            }
        }
    }

    static void raise(const std::set<FileWatch*>& files) {
        for (FileWatch* file : files) file->notice_.raise();
    }

    Listener listener_;
    std::map<Subject, std::set<FileWatch*>> listeners_;
    std::map<FileWatch*, std::set<Subject>> subjects_;
};

FileWatch::FileWatch(const asio::any_io_executor& executor, const std::string& path)
    : inotify_(Inotify::of(executor)),
      executor_(executor),
      path_(std::filesystem::path{path}.lexically_normal()),
      notice_(executor) {
    if (path_.ends_with('/')) path_.pop_back();
    arm();
}

FileWatch::~FileWatch() { inotify_.listen(*this, {}); }

asio::awaitable<bool> FileWatch::changed() {
    const bool goes_on = co_await notice_.wait(armed_ ? Duration::max() : look_again);
    // Before the caller looks, so that what changes afterwards is an event again.
    if (goes_on) arm();
    co_return goes_on;
}

void FileWatch::arm() {
    std::vector<std::filesystem::path> below;  // what a watch further down would be on
    std::filesystem::path entry = path_;
    const auto watch_parent = [&] {
        return inotify_.add(executor_, entry.parent_path().native(), IN_ONLYDIR);
    };
    std::optional<int> watch = watch_parent();
    while (!watch && entry.parent_path().has_relative_path()) {
        below.push_back(entry);
        entry = entry.parent_path();
        watch = watch_parent();
    }
    // Down again, if it came into being meanwhile. From here on that would be an event.
    std::vector<int> passed_by;
    while (watch && !below.empty()) {
        const auto further = inotify_.add(executor_, entry.native(), IN_ONLYDIR);
        if (!further) break;
        passed_by.push_back(*std::exchange(watch, further));
        entry = below.back();
        below.pop_back();
    }
    std::set<Inotify::Subject> subjects;
    if (watch) subjects.insert({*watch, entry.filename().native()});
    std::error_code ignored;
    if (std::filesystem::is_symlink(path_, ignored)) {
        if (const auto led_to = inotify_.add(executor_, path_, 0)) subjects.insert({*led_to, {}});
    }
    inotify_.listen(*this, std::move(subjects));
    for (const int watched : passed_by) inotify_.release(watched);
    armed_ = watch.has_value();
}

}  // namespace swerve::health
