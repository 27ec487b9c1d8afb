// Whether the wall clock can be trusted.

#include <sys/timex.h>

#include <cerrno>
#include <chrono>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "health/probes/clock_state.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr Field fields[] = {
    {.name = "synchronised",
     .kind = FieldKind::boolean,
     .fallback = "true",
     .help = "Whether a time service must keep the clock in step, as the kernel knows from it."},
    {.name = "max_error",
     .kind = FieldKind::duration,
     .help =
         "By how much the clock may be wrong at most, as the time service estimates; it grows by "
         "0.5 ms each second since that last set the clock: 2s at least."},
    {.name = "max_step",
     .kind = FieldKind::duration,
     .fallback = "1s",
     .help = "By how much it may be set at once between two attempts, in either direction."},
    {.name = "step_hold",
     .kind = FieldKind::duration,
     .fallback = "1m",
     .help = "How long it fails after a larger step."},
};

/// Reads both clocks as close to each other as they come within a few tries.
Duration ahead_of_boot() {
    using namespace std::chrono_literals;
    Duration best{};
    Duration narrowest = Duration::max();
    for (int i = 0; i < 5 && narrowest > 100us; ++i) {
        const TimePoint before = BootClock::now();
        const Duration wall = wall_now().time_since_epoch();
        const TimePoint after = BootClock::now();
        if (after - before >= narrowest) continue;
        narrowest = after - before;
        best = wall - (before.time_since_epoch() + narrowest / 2);
    }
    return best;
}

class ClockProbe final : public Probe {
public:
    explicit ClockProbe(ClockWanted wanted) : judge_(wanted) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        ::timex state{};  // modes 0: nothing is set
        if (::adjtimex(&state) < 0) {
            co_return unsure("the kernel does not tell about its clock: " +
                             std::generic_category().message(errno));
        }
        const ClockReading reading{
            .synchronised = (state.status & (STA_UNSYNC | STA_CLOCKERR)) == 0,
            .largest_error = std::chrono::microseconds{state.maxerror},
            .ahead_of_boot = ahead_of_boot(),
            .at = BootClock::now()};
        const std::string error = duration_text(reading.largest_error);
        step(context, std::string{"the clock is "} + (reading.synchronised ? "" : "not ") +
                          "synchronised, and may be wrong by " + error);
        std::string wrong = judge_.look(reading);
        if (!wrong.empty()) co_return failed(std::move(wrong));
        co_return passed(reading.synchronised
                             ? "the clock is synchronised, and wrong by " + error + " at most"
                             : "the clock was not set by more than it may be");
    }

private:
    ClockJudge judge_;
};

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    ClockWanted wanted;
    if (const auto* synchronised = get<bool>(values, "synchronised")) {
        wanted.synchronised = *synchronised;
    }
    if (const auto* max_error = get<Duration>(values, "max_error")) wanted.max_error = *max_error;
    if (const auto* max_step = get<Duration>(values, "max_step")) wanted.max_step = *max_step;
    if (const auto* step_hold = get<Duration>(values, "step_hold")) wanted.step_hold = *step_hold;
    const std::pair<std::string_view, Duration> lengths[] = {
        {"max_error", wanted.max_error.value_or(Duration::max())},
        {"max_step", wanted.max_step},
        {"step_hold", wanted.step_hold}};
    for (const auto& [name, length] : lengths) {
        if (length > Duration::zero()) continue;
        return fail(FieldFault{std::string{name}, "must be longer than 0s", ""});
    }
    return std::make_unique<ClockProbe>(wanted);
}

std::string caveat(const FieldMap& /*values*/) {
    return "Swerve itself never relies on the wall clock: a reason for an alarm";
}

std::string target(const FieldMap& /*values*/) { return "clock"; }

}  // namespace

ProbeType clock_probe() {
    return {.name = "clock",
            .help = "Asks whether the wall clock is synchronised, and notices when it is set.",
            .fields = fields,
            .has_events = sees_no_events,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
