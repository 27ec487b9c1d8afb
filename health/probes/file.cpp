// Whether a flag file stands there, what it says, and how old it is.

#include <sys/stat.h>

#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "health/probes/inotify.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr Field fields[] = {
    {.name = "path", .kind = FieldKind::absolute_path, .required = true, .help = "The file."},
    {.name = "expect",
     .kind = FieldKind::string,
     .fallback = "present",
     .help = "What passes: present, or absent (a maintenance flag)."},
    {.name = "content",
     .kind = FieldKind::string,
     .help = "Text that must occur in the first 64 KiB of it."},
    {.name = "max_age",
     .kind = FieldKind::duration,
     .help = "How long ago it may have been modified at most; a time in the future is never too "
             "old."},
};

/// What the configuration asks for.
struct Wanted {
    std::string path;
    bool present = true;
    std::optional<std::string> content;
    std::optional<Duration> max_age;
};

enum class Presence : std::uint8_t { present, absent };

/// Whether there is a file. A name whose directory is missing names none; a link that leads
/// nowhere or in a circle is a fault of somebody's and says nothing.
Result<Presence, std::string> look_for(const std::string& path, struct ::stat& status) {
    const auto cannot = [&path](std::string_view what) {
        return fail(escape(path) + ": " + std::string{what});
    };
    if (::stat(path.c_str(), &status) == 0) {
        if (!S_ISREG(status.st_mode)) return cannot("not a regular file");
        return Presence::present;
    }
    const int error = errno;
    if (error != ENOENT && error != ENOTDIR) {
        return cannot(std::generic_category().message(error));
    }
    if (::lstat(path.c_str(), &status) == 0) return cannot("a link that leads nowhere");
    return Presence::absent;
}

Duration age_of(const struct ::stat& status) {
    const auto modified = std::chrono::seconds{status.st_mtim.tv_sec} +
                          std::chrono::nanoseconds{status.st_mtim.tv_nsec};
    // The one clock that a file's time can be compared with.
    return std::chrono::system_clock::now().time_since_epoch() - modified;
}

std::string rounded(Duration age) {
    return duration_text(std::chrono::duration_cast<std::chrono::seconds>(age));
}

Outcome look(const ProbeContext& context, const Wanted& wanted) {
    struct ::stat status{};
    const auto presence = look_for(wanted.path, status);
    if (!presence) return unsure(presence.error());
    const std::string name = escape(wanted.path);
    step(context, *presence == Presence::absent
                      ? "there is no " + name
                      : "found " + name + ", " + std::to_string(status.st_size) + " octets");
    if (!wanted.present) {
        return *presence == Presence::absent ? passed(name + " is absent")
                                             : failed(name + " is present");
    }
    if (*presence == Presence::absent) return failed(name + " is absent");
    if (wanted.max_age) {
        const Duration age = age_of(status);
        if (age > *wanted.max_age) {
            return failed(name + " was modified " + rounded(age) + " ago, more than " +
                          duration_text(*wanted.max_age));
        }
    }
    if (!wanted.content) return passed(name + " is present");
    const auto file = read_file(wanted.path, answer_limit);
    if (!file) return unsure(file.error());
    step(context, "read " + std::to_string(file->text.size()) + " octets");
    const std::string sought = quoted(*wanted.content);
    return file->text.contains(*wanted.content) ? passed(name + " contains " + sought)
                                                : failed(name + " does not contain " + sought);
}

class FileProbe final : public Probe {
public:
    explicit FileProbe(Wanted wanted) : wanted_(std::move(wanted)) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        co_return look(context, wanted_);
    }

    asio::awaitable<void> watch(const ProbeContext& context,
                                std::function<void(Outcome)> report) override {
        FileWatch file(co_await asio::this_coro::executor, wanted_.path);
        co_await report_changes(
            *this, context, [&file] { return file.changed(); }, std::move(report));
    }

private:
    Wanted wanted_;
};

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    Wanted wanted{.path = *get<std::string>(values, "path")};
    if (const auto* expect = get<std::string>(values, "expect")) {
        if (*expect != "present" && *expect != "absent") {
            return fail(
                FieldFault{"expect", quoted(*expect) + " is neither present nor absent", ""});
        }
        wanted.present = *expect == "present";
    }
    if (const auto* content = get<std::string>(values, "content")) {
        if (content->empty()) return fail(FieldFault{"content", "is empty", "leave the key out"});
        if (content->size() > answer_limit) {
            return fail(FieldFault{"content", "is longer than 64 KiB", ""});
        }
        wanted.content = *content;
    }
    if (const auto* max_age = get<Duration>(values, "max_age")) {
        if (*max_age <= Duration::zero())
            return fail(FieldFault{"max_age", "must be longer than 0s", ""});
        wanted.max_age = *max_age;
    }
    if (!wanted.present && (wanted.content || wanted.max_age)) {
        return fail(FieldFault{wanted.content ? "content" : "max_age",
                               "means nothing for a file that must be absent",
                               "leave it out, or use not: in healthy_when"});
    }
    return std::make_unique<FileProbe>(std::move(wanted));
}

std::string caveat(const FieldMap& values) {
    // One that must be touched again and again proves at least that somebody does.
    if (get<Duration>(values, "max_age") != nullptr) return "";
    return "a file says what somebody wrote once; the service itself is not asked";
}

std::string target(const FieldMap& values) { return *get<std::string>(values, "path"); }

}  // namespace

ProbeType file_probe() {
    return {.name = "file",
            .help = "Looks for a flag file, its content or its age.",
            .fields = fields,
            .has_events = sees_events,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
