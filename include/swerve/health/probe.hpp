#pragma once
// The shape of a probe. Everything here is plain data but for run() and watch(), which are Asio
// coroutines on the probes loop; a probe knows nothing of thresholds, schedules or metrics.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "swerve/base/time.hpp"
#include "swerve/health/outcome.hpp"
#include "swerve/health/probe_fields.hpp"
#include "swerve/net/prefix.hpp"

namespace swerve::health {

/// What a probe may know of the site.
struct ProbeContext {
    std::vector<Prefix>
        owned;  ///< a target inside must be an address of this host (DESIGN.md §4.5)
    /// Told what the attempt has just done ("connected to 192.0.2.1:80"), for `probe run`; may be
    /// empty. Called on the probes loop.
    std::function<void(std::string)> step = {};
};

class Probe {
public:
    Probe() = default;
    Probe(const Probe&) = delete;
    Probe& operator=(const Probe&) = delete;
    virtual ~Probe() = default;

    /// One attempt. The runner cancels it at `deadline` and reports the timeout itself, so an
    /// implementation only has to stop at cancellation; the reason it returns then ("connecting to
    /// 192.0.2.1:80") says in the report what it was waiting for. Never throws for what a server or
    /// the system does: that is a fail or an unknown with its reason.
    virtual boost::asio::awaitable<Outcome> run(const ProbeContext& context,
                                                TimePoint deadline) = 0;

    /// Waits for events between attempts and calls `report` with what was found on looking again,
    /// for as long as it is not cancelled. A probe without an event source returns at once.
    virtual boost::asio::awaitable<void> watch(const ProbeContext& context,
                                               std::function<void(Outcome)> report);
};

}  // namespace swerve::health
