#pragma once
// What systemd tells of its units over D-Bus (ADR-0016). The units of a loop share one connection
// to the system bus, of which a user has few; it is open while somebody uses it.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <string>

#include "health/probes/events.hpp"
#include "swerve/base/result.hpp"

namespace swerve::health {

/// A unit by its whole name ("nginx.service").
struct UnitName {
    /// `text`, with ".service" where it has no suffix; the error says why no unit has that name.
    [[nodiscard]] static Result<UnitName, std::string> parse(const std::string& text);

    std::string text;
    std::string path;  ///< of its object on the bus
};

/// A property of a unit as systemd has it at this moment: a word, or a number as digits. The error
/// is `fail` where there is no such unit, and `unknown` where systemd cannot be asked or does not
/// answer before `until`.
[[nodiscard]] boost::asio::awaitable<Result<std::string, Outcome>> unit_property(
    const UnitName& unit, const char* interface, const char* name, TimePoint until);

class SystemBus;

/// Hears of changes of a unit. A connection that breaks is made anew by the next unit_property().
class UnitWatch {
public:
    UnitWatch(const boost::asio::any_io_executor& executor, const UnitName& unit);
    ~UnitWatch();
    UnitWatch(const UnitWatch&) = delete;
    UnitWatch& operator=(const UnitWatch&) = delete;

    /// Until something may have changed since the last return; however much it was, it is told
    /// once. False once the coroutine is cancelled.
    boost::asio::awaitable<bool> changed() { return notice_.wait(); }

private:
    friend class SystemBus;

    SystemBus& bus_;
    std::string path_;
    Notice notice_;
};

}  // namespace swerve::health
