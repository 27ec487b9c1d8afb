// How much room is left in a file system.

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "health/probes/disk_space.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

constexpr Field leave_fields[] = {
    {.name = "free", .kind = FieldKind::string, .help = "Instead of `free`, once it fails."},
    {.name = "free_percent",
     .kind = FieldKind::integer,
     .help = "Instead of `free_percent`, once it fails.",
     .least = 1,
     .most = 99},
    {.name = "inodes_percent",
     .kind = FieldKind::integer,
     .help = "Instead of `inodes_percent`, once it fails.",
     .least = 1,
     .most = 99},
};

constexpr Field fields[] = {
    {.name = "path",
     .kind = FieldKind::absolute_path,
     .required = true,
     .help = "Where the file system is mounted, or any file or directory in it; where nothing is "
             "mounted, the file system around it is looked at."},
    {.name = "free",
     .kind = FieldKind::string,
     .help = "How much must be free at least, in KiB, MiB, GiB or TiB, as 1GiB."},
    {.name = "free_percent",
     .kind = FieldKind::integer,
     .help = "The same as a share of its size; what is reserved for root counts as neither.",
     .least = 1,
     .most = 99},
    {.name = "inodes_percent",
     .kind = FieldKind::integer,
     .help = "The share of inodes that must be free at least; file systems that make them as they "
             "are needed always pass.",
     .least = 1,
     .most = 99},
    {.name = "leave",
     .kind = FieldKind::group,
     .help = "What must be free for it to pass again once it fails, so that it does not waver.",
     .members = leave_fields},
};

/// What a thread leaves behind for the attempt that waits for it, if one still does.
struct Look {
    explicit Look(std::string of) : path(std::move(of)), ready(::eventfd(0, EFD_CLOEXEC)) {}
    ~Look() {
        if (ready >= 0) ::close(ready);
    }
    Look(const Look&) = delete;
    Look& operator=(const Look&) = delete;

    const std::string path;
    const int ready;
    std::atomic<bool> done = false;
    int error = 0;  ///< valid once done, as `found`
    struct ::statvfs found{};
};

/// Threads that look; probes that were given up at a reload leave theirs behind, too.
std::atomic<int> looking = 0;
constexpr int most_looking = 16;

/// In a thread of its own: of a file system whose server is gone, statvfs() may never come back.
void look_aside(const std::shared_ptr<Look>& look) {
    std::thread([look] {
        look->error = ::statvfs(look->path.c_str(), &look->found) == 0 ? 0 : errno;
        look->done = true;
        const std::uint64_t one = 1;
        [[maybe_unused]] const ssize_t written = ::write(look->ready, &one, sizeof one);
        --looking;
    }).detach();
    ++looking;
}

DiskSpace space_in(const struct ::statvfs& found) {
    const std::uint64_t block = found.f_frsize;
    const std::uint64_t used = found.f_blocks - found.f_bfree;
    return {.size = (used + found.f_bavail) * block,
            .free = found.f_bavail * block,
            .inodes = found.f_files,
            .free_inodes = found.f_favail};
}

class DiskProbe final : public Probe {
public:
    DiskProbe(std::string path, DiskMarks marks)
        : path_(std::move(path)), name_(escape(path_)), marks_(std::move(marks)) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        // One thread for each probe at most, however many attempts it hangs for.
        if (look_ && !look_->done) {
            co_return failed("the file system of " + name_ +
                             " has not answered since an earlier attempt");
        }
        if (!co_await gets_a_thread()) co_return unsure("16 looks at file systems hang already");
        look_ = std::make_shared<Look>(path_);
        asio::posix::stream_descriptor ready(co_await asio::this_coro::executor);
        // The descriptor of ours is closed with the attempt, the thread's with the thread.
        const int copy = look_->ready < 0 ? -1 : ::fcntl(look_->ready, F_DUPFD_CLOEXEC, 0);
        boost::system::error_code refused;
        if (copy >= 0) ready.assign(copy, refused);
        if (copy < 0 || refused) {
            if (copy >= 0) ::close(copy);
            look_.reset();
            co_return unsure("no descriptor left for looking at " + name_);
        }
        if (auto trouble = start()) co_return std::move(*trouble);
        const auto [error] =
            co_await ready.async_wait(asio::posix::descriptor_base::wait_read, as_result);
        if (error) co_return unsure("waiting for the file system of " + name_);
        const auto look = std::exchange(look_, nullptr);
        if (look->error != 0) co_return no_answer(look->error);
        const DiskSpace space = space_in(look->found);
        step(context, name_ + ": " + size_text(space.free) + " of " + size_text(space.size) +
                          " free, " + std::to_string(space.free_inodes) + " of " +
                          std::to_string(space.inodes) + " inodes");
        const std::string lack = marks_.look(space);
        if (!lack.empty()) co_return failed(name_ + ": " + lack);
        co_return passed(name_ + ": " + size_text(space.free) + " free, " +
                         std::to_string(percent_of(space.free, space.size)) + " %");
    }

private:
    /// Looks that do not hang are over within the pauses, however many begin at once.
    static asio::awaitable<bool> gets_a_thread() {
        asio::steady_timer pause(co_await asio::this_coro::executor);
        for (int i = 0; i < 5 && looking >= most_looking; ++i) {
            pause.expires_after(std::chrono::milliseconds{5});
            const auto [error] = co_await pause.async_wait(as_result);
            if (error) co_return false;
        }
        co_return looking < most_looking;
    }

    std::optional<Outcome> start() {
        try {
            look_aside(look_);
        } catch (const std::exception& error) {
            look_.reset();
            return unsure("no thread for looking at " + name_ + ": " + escape(error.what()));
        }
        return std::nullopt;
    }

    [[nodiscard]] Outcome no_answer(int error) const {
        std::string reason = name_ + ": " + std::generic_category().message(error);
        // The file system is there and broken; otherwise it is a wrong path or a missing right.
        constexpr int of_broken[] = {EIO,        ESTALE,    ENOTCONN,     ECONNABORTED,
                                     ECONNRESET, ETIMEDOUT, EHOSTUNREACH, EHOSTDOWN,
                                     EUCLEAN,    ENXIO,     ENODEV};
        const bool broken = std::ranges::find(of_broken, error) != std::end(of_broken);
        return broken ? failed(std::move(reason)) : unsure(std::move(reason));
    }

    std::string path_;
    std::string name_;  ///< escaped
    DiskMarks marks_;
    std::shared_ptr<Look> look_;
};

/// A threshold with its second end; nothing if it is not asked for.
Result<std::optional<LowMark>, FieldFault> mark(const std::string& name,
                                                std::optional<std::uint64_t> enter,
                                                std::optional<std::uint64_t> leave) {
    if (!enter && leave) {
        return fail(FieldFault{"leave." + name, "means nothing without `" + name + "`",
                               "leave it out, or set both"});
    }
    if (!enter) return std::optional<LowMark>{};
    if (leave && *leave < *enter) {
        return fail(FieldFault{"leave." + name, "is less than `" + name + "`",
                               "what must be free to pass again is at least as much"});
    }
    return std::optional{LowMark(*enter, leave.value_or(*enter))};
}

Result<std::optional<LowMark>, FieldFault> size_mark(const FieldMap& values,
                                                     const FieldMap& leaving) {
    std::optional<std::uint64_t> ends[2];
    for (const bool leave : {false, true}) {
        const auto* text = get<std::string>(leave ? leaving : values, "free");
        if (text == nullptr) continue;
        ends[leave ? 1 : 0] = size_from_text(*text);
        if (ends[leave ? 1 : 0].value_or(0) == 0) {
            return fail(FieldFault{leave ? "leave.free" : "free", quoted(*text) + " is no size",
                                   "as 500MiB or 1GiB"});
        }
    }
    return mark("free", ends[0], ends[1]);
}

Result<std::optional<LowMark>, FieldFault> percent_mark(const std::string& name,
                                                        const FieldMap& values,
                                                        const FieldMap& leaving) {
    const auto number = [&name](const FieldMap& from) -> std::optional<std::uint64_t> {
        const auto* found = get<std::int64_t>(from, name);
        if (found == nullptr) return std::nullopt;
        return static_cast<std::uint64_t>(*found);
    };
    return mark(name, number(values), number(leaving));
}

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    const auto* given = get<FieldMap>(values, "leave");
    const FieldMap leaving = given == nullptr ? FieldMap{} : *given;
    const auto free = size_mark(values, leaving);
    if (!free) return fail(free.error());
    const auto free_percent = percent_mark("free_percent", values, leaving);
    if (!free_percent) return fail(free_percent.error());
    const auto inodes_percent = percent_mark("inodes_percent", values, leaving);
    if (!inodes_percent) return fail(inodes_percent.error());
    if (!*free && !*free_percent && !*inodes_percent) {
        return fail(FieldFault{"free_percent", "nothing is asked of the file system",
                               "set `free`, `free_percent` or `inodes_percent`"});
    }
    return std::make_unique<DiskProbe>(*get<std::string>(values, "path"),
                                       DiskMarks{*free, *free_percent, *inodes_percent});
}

std::string caveat(const FieldMap& /*values*/) {
    return "a disk that fills up stops nothing yet: a reason to degrade rather than to withdraw";
}

std::string target(const FieldMap& values) { return *get<std::string>(values, "path"); }

}  // namespace

ProbeType disk_probe() {
    return {.name = "disk",
            .help = "Compares what is free in a file system, in size and in inodes.",
            .fields = fields,
            .has_events = sees_no_events,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
