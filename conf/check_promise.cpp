// Whether what is promised as `rto` can be kept.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "conf/draft.hpp"
#include "conf/subject.hpp"
#include "swerve/conf/load.hpp"
#include "swerve/conf/rto.hpp"

namespace swerve::conf {

namespace {

/// Most failures are the service's own; what cannot be promised for those cannot be promised.
bool is_binding(Failure failure) {
    return failure == Failure::fails_fast || failure == Failure::hangs;
}

std::string_view occurrence(Failure failure) {
    static constexpr std::array<std::string_view, 6> words{
        "the service fails at once",     "the service hangs", "every second request fails",
        "an event tells of the failure", "swerved dies",      "the host dies"};
    return words[static_cast<std::size_t>(failure)];
}

std::string message(const Promise& promise, const WorstCase& worst) {
    return fmt::format("{} cannot be kept when {}: {} ({})", quote(format_duration(*promise.rto)),
                       occurrence(worst.failure),
                       worst.bound ? format_duration(*worst.bound) : "there is no bound",
                       worst.because);
}

/// Whether the bounds of a service can be told: neither it nor a check that they follow from has a
/// fault.
bool is_sound(const Draft& draft, const Faults& faults, failover::ServiceId id) {
    if (!faults.sound_throughout(draft.services[id].path)) return false;
    for (const failover::CheckId check :
         health::checks_of(draft.config.services[id].healthy_when)) {
        std::optional<failover::CheckId> at = check;
        // A circle has a fault; a chain without one ends.
        while (at && faults.sound_throughout(draft.checks[*at].path)) {
            at = draft.config.checks[*at].only_if;
        }
        if (at) return false;
    }
    return true;
}

/// Collects warnings about the `rto` of one service.
class Warnings {
public:
    Warnings(const Origin& origin, const Faults& faults, Diagnostics& out)
        : place_(origin.at({"rto"})), path_(origin.path + ".rto"), faults_(faults), out_(out) {}

    void add(std::string message, std::string hint) {
        out_.push_back({.file = faults_.file(),
                        .line = place_.line,
                        .column = place_.column,
                        .path = path_,
                        .message = std::move(message),
                        .hint = std::move(hint),
                        .severity = Severity::warning});
    }

private:
    Place place_;
    std::string path_;
    const Faults& faults_;
    Diagnostics& out_;
};

}  // namespace

void limit_warnings(Config& config) {
    Diagnostics& warnings = config.warnings;
    if (warnings.size() <= max_diagnostics) return;
    const std::size_t more = warnings.size() - max_diagnostics;
    warnings.resize(max_diagnostics);
    warnings.push_back({.file = config.file,
                        .path = {},
                        .message = "and " + std::to_string(more) + " more",
                        .hint = {},
                        .count = more,
                        .severity = Severity::warning});
}

void check_promises(Draft& draft, Faults& faults) {
    const auto is_promised = [](const Service& service) { return service.rto.has_value(); };
    const bool known = faults.sound("checks") && faults.sound("services");
    if (!known || !std::ranges::any_of(draft.config.services, is_promised)) return;
    const auto all = promises(draft.config, {}, [&](failover::ServiceId id) {
        return is_promised(draft.config.services[id]) && is_sound(draft, faults, id);
    });
    for (std::size_t id = 0; id < all.size(); ++id) {
        const Subject subject{draft.services[id], faults};
        Warnings warnings{draft.services[id], faults, draft.config.warnings};
        for (const WorstCase& worst : all[id].cases) {
            if (is_kept(all[id], worst)) continue;
            const std::string hint = "change " + worst.key +
                                     (worst.bound ? ", or promise less" : ", or promise nothing");
            if (is_binding(worst.failure)) {
                subject.fault({"rto"}, message(all[id], worst), hint);
                continue;
            }
            warnings.add(message(all[id], worst), hint);
        }
    }
}

}  // namespace swerve::conf
