#pragma once
// Who the process is that a check watches: named by a pid file, a port it listens on, its own name,
// or a unit of systemd.

#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "health/probes/runtime.hpp"
#include "swerve/base/result.hpp"
#include "swerve/net/address.hpp"

namespace swerve::health {

/// A process as a source names it.
struct Sighting {
    ::pid_t pid = 0;
    /// Tells a number that was used again from the process that had it before: differs when the
    /// source named the number anew.
    FileStamp stamp;
    std::string whence;  ///< " from /run/app.pid", as it goes on after "pid 12"
};

class ProcessSource {
public:
    ProcessSource() = default;
    ProcessSource(const ProcessSource&) = delete;
    ProcessSource& operator=(const ProcessSource&) = delete;
    virtual ~ProcessSource() = default;

    /// The process it is now; of several, `held` (0: none), which is known to live, if it is one of
    /// them. The error is `fail` if there is none, and `unknown` if that cannot be told, or not
    /// before `until`.
    virtual boost::asio::awaitable<Result<Sighting, Outcome>> find(::pid_t held,
                                                                   TimePoint until) = 0;
    /// Calls `changed` when it may be another process, until it is cancelled. A source that is told
    /// nothing returns at once.
    virtual boost::asio::awaitable<void> watch(std::function<void()> changed);
};

[[nodiscard]] std::unique_ptr<ProcessSource> pid_file_source(std::string path);
/// The owner of a socket that listens on the port, at `address` or anywhere.
[[nodiscard]] std::unique_ptr<ProcessSource> port_source(std::optional<Address> address,
                                                         std::uint16_t port);
/// A process whose name in /proc/PID/comm, which the kernel cuts to `comm_limit`, is `name`.
[[nodiscard]] std::unique_ptr<ProcessSource> name_source(std::string name);
/// The main process of a service; the error says why no service has that name. In systemd.cpp.
[[nodiscard]] Result<std::unique_ptr<ProcessSource>, std::string> unit_source(
    const std::string& unit);

inline constexpr std::size_t comm_limit = 15;

/// When a process started, in ticks since the machine did, in a stamp of its own. Empty for a
/// process that is gone or hidden from us.
[[nodiscard]] FileStamp start_stamp(::pid_t pid);

}  // namespace swerve::health
