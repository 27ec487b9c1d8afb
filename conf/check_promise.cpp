// Whether what is promised as `rto` can be kept.

#include <fmt/format.h>

#include <array>

#include "conf/draft.hpp"
#include "conf/subject.hpp"
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

}  // namespace

void check_promises(Draft& draft, Faults& faults) {
    const auto all = promises(draft.config);
    for (std::size_t id = 0; id < all.size(); ++id) {
        const Subject subject{draft.services[id], faults};
        for (const WorstCase& worst : all[id].cases) {
            if (is_kept(all[id], worst)) continue;
            const std::string hint = "change " + worst.key + ", or promise less";
            if (is_binding(worst.failure)) {
                subject.fault({"rto"}, message(all[id], worst), hint);
                continue;
            }
            const Place place = draft.services[id].at({"rto"});
            draft.config.warnings.push_back({.file = faults.file(),
                                             .line = place.line,
                                             .column = place.column,
                                             .path = draft.services[id].path + ".rto",
                                             .message = message(all[id], worst),
                                             .hint = hint,
                                             .severity = Severity::warning});
        }
    }
}

}  // namespace swerve::conf
