// Whether what is promised as `rto` can be kept.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "conf/draft.hpp"
#include "conf/subject.hpp"
#include "swerve/conf/rto.hpp"
#include "swerve/health/probe_fields.hpp"

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

/// What is wrong with all checks that may withdraw the service; nothing if one of them asks it.
std::string proves_too_little(const Config& config, const Service& service) {
    std::string out;
    for (const failover::CheckId id : health::checks_of(service.healthy_when)) {
        const Check& check = config.checks[id];
        if (check.effect != failover::Effect::withdraw) continue;
        const std::string caveat =
            health::find_probe_type(check.probe.type)->caveat(check.probe.fields);
        if (caveat.empty()) return {};
        out += (out.empty() ? "check " : "; check ") + check.name + ": " + caveat;
    }
    return out;
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

void check_promises(Draft& draft, Faults& faults) {
    const auto is_promised = [](const Service& service) { return service.rto.has_value(); };
    if (!std::ranges::any_of(draft.config.services, is_promised)) return;
    const auto all = promises(draft.config);
    for (std::size_t id = 0; id < all.size(); ++id) {
        if (!all[id].rto) continue;
        const Subject subject{draft.services[id], faults};
        Warnings warnings{draft.services[id], faults, draft.config.warnings};
        for (const WorstCase& worst : all[id].cases) {
            if (is_kept(all[id], worst)) continue;
            const std::string hint = "change " + worst.key + ", or promise less";
            if (is_binding(worst.failure)) {
                subject.fault({"rto"}, message(all[id], worst), hint);
                continue;
            }
            warnings.add(message(all[id], worst), hint);
        }
        const std::string doubt = proves_too_little(draft.config, draft.config.services[id]);
        if (doubt.empty()) continue;
        warnings.add(
            "is a promise that no check can keep where the service lives but does not "
            "serve: " +
                doubt,
            "add a check that asks for an answer");
    }
}

}  // namespace swerve::conf
