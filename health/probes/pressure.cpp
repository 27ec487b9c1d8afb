// How long tasks of this host had to wait for the cpu, for memory or for input and output.

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "health/probes/pressure_file.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr Field fields[] = {
    {.name = "resource",
     .kind = FieldKind::string,
     .required = true,
     .help = "What is waited for: cpu, memory or io."},
    {.name = "tasks",
     .kind = FieldKind::string,
     .fallback = "some",
     .help = "Who waits: `some` tasks while others work, or `full`, all of them at once."},
    {.name = "window",
     .kind = FieldKind::duration,
     .fallback = "10s",
     .help = "Over how long the kernel averages: 10s, 60s or 300s."},
    {.name = "at_most",
     .kind = FieldKind::integer,
     .required = true,
     .help = "The share of time, in percent, up to which it passes.",
     .least = 0,
     .most = 100},
    {.name = "leave",
     .kind = FieldKind::integer,
     .help = "Once it fails, it passes again at this share or less; absent: `at_most`.",
     .least = 0,
     .most = 100},
};

constexpr std::array windows{std::chrono::seconds{10}, std::chrono::seconds{60},
                             std::chrono::seconds{300}};
constexpr std::size_t file_limit = 4096;

/// What the configuration asks for.
struct Wanted {
    std::string resource;
    bool full = false;
    std::size_t window = 0;     ///< index into `windows`
    std::uint32_t at_most = 0;  ///< in percent, as `leave`
    std::uint32_t leave = 0;
};

/// "7.05 %"
std::string percent(std::uint32_t hundredths) {
    const std::string digits = std::to_string(hundredths % 100);
    return std::to_string(hundredths / 100) + (digits.size() == 1 ? ".0" : ".") + digits + " %";
}

class PressureProbe final : public Probe {
public:
    explicit PressureProbe(Wanted wanted)
        : wanted_(std::move(wanted)), path_("/proc/pressure/" + wanted_.resource) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        const auto file = read_file(path_, file_limit);
        if (!file) {
            co_return unsure(file.error() +
                             "; the kernel keeps it from 4.20 on, unless it runs with psi=0");
        }
        const auto pressure = parse_pressure(file->text);
        if (!pressure) {
            co_return unsure(path_ + " is not as the kernel writes it: " + quoted(file->text));
        }
        const auto& stalled = wanted_.full ? pressure->full : pressure->some;
        if (!stalled) {
            co_return unsure(path_ + " has no line for " + (wanted_.full ? "full" : "some"));
        }
        step(context, "read " + path_);
        co_return judge(stalled->averages[wanted_.window]);
    }

private:
    Outcome judge(std::uint32_t found) {
        const std::uint32_t limit = high_ ? wanted_.leave : wanted_.at_most;
        const bool was_high = std::exchange(high_, found > limit * 100);
        std::string reason = wanted_.full ? "all tasks" : "some task";
        reason += " waited for " + wanted_.resource + " during " + percent(found) +
                  " of the last " + duration_text(windows[wanted_.window]);
        if (!high_) return passed(std::move(reason));
        reason += ", more than " + std::to_string(limit) + " %";
        if (was_high && wanted_.leave != wanted_.at_most) reason += ", at which it passes again";
        return failed(std::move(reason));
    }

    Wanted wanted_;
    std::string path_;
    bool high_ = false;
};

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    Wanted wanted{.resource = *get<std::string>(values, "resource")};
    if (wanted.resource != "cpu" && wanted.resource != "memory" && wanted.resource != "io") {
        return fail(
            FieldFault{"resource", quoted(wanted.resource) + " is none of cpu, memory, io", ""});
    }
    if (const auto* tasks = get<std::string>(values, "tasks")) {
        if (*tasks != "some" && *tasks != "full") {
            return fail(FieldFault{"tasks", quoted(*tasks) + " is neither some nor full", ""});
        }
        wanted.full = *tasks == "full";
    }
    if (wanted.full && wanted.resource == "cpu") {
        return fail(FieldFault{"tasks", "`full` means nothing for the cpu: somebody always runs",
                               "use `some`"});
    }
    if (const auto* window = get<Duration>(values, "window")) {
        while (wanted.window < windows.size() && windows[wanted.window] != *window) ++wanted.window;
        if (wanted.window == windows.size()) {
            return fail(
                FieldFault{"window", duration_text(*window) + " is none of 10s, 60s, 300s", ""});
        }
    }
    wanted.at_most = static_cast<std::uint32_t>(*get<std::int64_t>(values, "at_most"));
    wanted.leave = wanted.at_most;
    if (const auto* leave = get<std::int64_t>(values, "leave")) {
        wanted.leave = static_cast<std::uint32_t>(*leave);
        if (wanted.leave > wanted.at_most) {
            return fail(FieldFault{"leave", "is more than `at_most`", "name a lower share"});
        }
    }
    return std::make_unique<PressureProbe>(std::move(wanted));
}

std::string caveat(const FieldMap& /*values*/) {
    return "a host under pressure may still serve: a reason to degrade rather than to withdraw";
}

std::string target(const FieldMap& values) {
    return "/proc/pressure/" + *get<std::string>(values, "resource");
}

}  // namespace

ProbeType pressure_probe() {
    return {.name = "pressure",
            .help = "Compares how long tasks had to wait for cpu, memory or io (PSI).",
            .fields = fields,
            .has_events = sees_no_events,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
