// The state of a unit of systemd, and of its main process.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/this_coro.hpp>
#include <charconv>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "health/probes/process_source.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/system_bus.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr auto unit_interface = "org.freedesktop.systemd1.Unit";
constexpr auto service_interface = "org.freedesktop.systemd1.Service";
constexpr std::array<std::string_view, 5> states{"active", "inactive", "failed", "activating",
                                                 "deactivating"};

constexpr Field fields[] = {
    {.name = "unit",
     .kind = FieldKind::string,
     .required = true,
     .help = "Name of the unit, as nginx.service; one without a suffix is a service."},
    {.name = "state",
     .kind = FieldKind::string,
     .fallback = "active",
     .help = "The ActiveState that passes: `active` (while it reloads, too), `inactive`, `failed`, "
             "`activating` or `deactivating`."},
};

class SystemdProbe final : public Probe {
public:
    SystemdProbe(UnitName unit, std::string state)
        : unit_(std::move(unit)), state_(std::move(state)) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint deadline) override {
        const auto state = co_await unit_property(unit_, unit_interface, "ActiveState", deadline);
        if (!state) co_return state.error();
        step(context, "systemd says that " + unit_.text + " is " + quoted(*state));
        const bool passes = *state == state_ || (state_ == "active" &&
                                                 (*state == "reloading" || *state == "refreshing"));
        if (passes) {
            is_known_ = true;
            co_return passed(unit_.text + " is " + *state);
        }
        // systemd calls a unit that does not exist inactive.
        if (!is_known_ && *state == "inactive") {
            const auto load = co_await unit_property(unit_, unit_interface, "LoadState", deadline);
            if (load && *load == "not-found") {
                co_return failed("systemd has no unit " + unit_.text);
            }
        }
        co_return failed(unit_.text + " is " + quoted(*state) + " instead of " + state_);
    }

    asio::awaitable<void> watch(const ProbeContext& context,
                                std::function<void(Outcome)> report) override {
        UnitWatch unit(co_await asio::this_coro::executor, unit_);
        co_await report_changes(
            *this, context, [&unit] { return unit.changed(); }, std::move(report));
    }

private:
    UnitName unit_;
    std::string state_;
    bool is_known_ = false;  ///< has passed before, so systemd knows the unit
};

class UnitProcess final : public ProcessSource {
public:
    explicit UnitProcess(UnitName unit) : unit_(std::move(unit)) {}

    asio::awaitable<Result<Sighting, Outcome>> find(::pid_t /*held*/, TimePoint until) override {
        const auto text = co_await unit_property(unit_, service_interface, "MainPID", until);
        if (!text) co_return fail(text.error());
        ::pid_t pid = 0;
        std::from_chars(text->data(), text->data() + text->size(), pid);
        if (pid <= 0) co_return fail(failed(unit_.text + " has no main process"));
        if (pid == ::getpid()) co_return fail(unsure(unit_.text + " is this daemon itself"));
        co_return Sighting{pid, start_stamp(pid), " of " + unit_.text};
    }

    asio::awaitable<void> watch(std::function<void()> changed) override {
        UnitWatch unit(co_await asio::this_coro::executor, unit_);
        while (co_await unit.changed()) changed();
    }

private:
    UnitName unit_;
};

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    auto unit = UnitName::parse(*get<std::string>(values, "unit"));
    if (!unit) return fail(FieldFault{"unit", std::move(unit.error()), "see systemctl list-units"});
    const auto* state = get<std::string>(values, "state");
    const std::string wanted = state == nullptr ? "active" : *state;
    if (std::ranges::find(states, wanted) == states.end()) {
        return fail(FieldFault{"state", quoted(wanted) + " is no state of a unit",
                               "active, inactive, failed, activating or deactivating"});
    }
    return std::make_unique<SystemdProbe>(std::move(*unit), wanted);
}

std::string caveat(const FieldMap& /*values*/) {
    return "systemd knows whether a service was started, not whether it serves: it may hang";
}

std::string target(const FieldMap& values) { return *get<std::string>(values, "unit"); }

}  // namespace

Result<std::unique_ptr<ProcessSource>, std::string> unit_source(const std::string& unit) {
    auto name = UnitName::parse(unit);
    if (!name) return fail(std::move(name.error()));
    if (!name->text.ends_with(".service")) return fail(quoted(unit) + " is no service");
    return std::make_unique<UnitProcess>(std::move(*name));
}

ProbeType systemd_probe() {
    return {.name = "systemd",
            .help =
                "Asks systemd over D-Bus for the state of a unit, and is told when it changes. "
                "The system bus is the one that DBUS_SYSTEM_BUS_ADDRESS names, or "
                "/run/dbus/system_bus_socket. Without it the check is `unknown`.",
            .fields = fields,
            .has_events = sees_events,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
