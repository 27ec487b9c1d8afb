#include "daemon/operations/settled_load.hpp"

#include <sys/stat.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <filesystem>
#include <map>
#include <optional>
#include <utility>

#include "swerve/base/clock.hpp"
#include "swerve/conf/load.hpp"

namespace swerve::daemon {

namespace {

using Loaded = Result<std::shared_ptr<const conf::Config>, conf::Diagnostics>;

constexpr Duration quiet = std::chrono::milliseconds{100};
constexpr int most_looks = 20;

/// What changes with a file. The time of change covers what `mv`, `cp -p` and rsync do, which keep
/// the time of modification.
struct Stamp {
    ::dev_t device;
    ::ino_t inode;
    ::off_t size;
    WallTime modified;
    WallTime changed;

    friend bool operator==(const Stamp&, const Stamp&) = default;
};

[[nodiscard]] WallTime to_wall(const timespec& time) {
    return WallTime{std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec}};
}

[[nodiscard]] std::optional<Stamp> stamp_of(const std::string& file) {
    struct stat status{};
    if (::stat(file.c_str(), &status) != 0) return std::nullopt;
    return Stamp{status.st_dev, status.st_ino, status.st_size, to_wall(status.st_mtim),
                 to_wall(status.st_ctim)};
}

class Stamps {
public:
    /// Looks at the files; the one that is not as the last look found it, or that was not looked at
    /// before and changed less than 100 ms before `began`.
    [[nodiscard]] std::optional<std::string> unsettled(const std::set<std::string>& files,
                                                       WallTime began) {
        std::optional<std::string> out;
        for (const std::string& file : files) {
            const auto now = stamp_of(file);
            const auto [last, fresh] = seen_.try_emplace(file, now);
            const bool settled = fresh ? now && now->changed < began - quiet : last->second == now;
            if (!settled) out = file;
            last->second = now;
        }
        return out;
    }

private:
    std::map<std::string, std::optional<Stamp>> seen_;
};

[[nodiscard]] std::string text_of(const conf::Diagnostics& faults) {
    std::string out;
    for (const conf::Diagnostic& fault : faults) out += fault.to_string() + "\n";
    return out;
}

[[nodiscard]] Loaded given_up(std::string file, std::string message, std::string hint) {
    return fail(conf::Diagnostics{
        {.file = std::move(file), .message = std::move(message), .hint = std::move(hint)}});
}

}  // namespace

std::set<std::string> files_of(const conf::Config& config) {
    const auto directory = std::filesystem::path{config.file}.parent_path();
    std::set<std::string> out{config.file};
    for (const conf::Service& service : config.services) {
        if (!service.prefixes_file.empty()) out.insert(directory / service.prefixes_file);
    }
    for (const conf::Neighbor& neighbor : config.neighbors) {
        if (!neighbor.password_file.empty()) out.insert(neighbor.password_file);
    }
    for (const conf::Webhook& webhook : config.webhooks) {
        for (const std::string& file : {webhook.url_file, webhook.bearer_file}) {
            if (!file.empty()) out.insert(file);
        }
    }
    return out;
}

boost::asio::awaitable<Loaded> load_settled(std::string file, std::set<std::string> known,
                                            std::shared_ptr<boost::asio::steady_timer> pause) {
    known.insert(file);
    Stamps stamps;
    std::set<std::string> files{file};
    std::optional<std::string> restless;
    std::string faults;
    for (int look = 0; look < most_looks; ++look) {
        const WallTime began = wall_now();
        restless = stamps.unsettled(files, began);
        if (!restless) {
            Loaded loaded = conf::load(file);
            files = loaded ? files_of(**loaded) : known;
            restless = stamps.unsettled(files, began);
            const std::string found = loaded ? std::string{} : text_of(loaded.error());
            const bool agrees = std::exchange(faults, found) == found;
            if (!restless && (loaded || agrees)) co_return loaded;
        }
        pause->expires_after(quiet);
        const auto [cancelled] =
            co_await pause->async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
        if (cancelled) co_return given_up(file, "is not loaded: the daemon is stopping", "");
    }
    co_return given_up(restless.value_or(file), "is being written: it kept changing for 2 s",
                       "reload when it is complete; best write another file and rename it over "
                       "this one");
}

}  // namespace swerve::daemon
