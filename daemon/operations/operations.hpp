#pragma once
// The operations loop's part of the daemon: control API, metrics, log of events, audit file.

#include <spdlog/logger.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "daemon/main_port.hpp"
#include "daemon/operations/http_server.hpp"
#include "daemon/speaker/event.hpp"
#include "daemon/state/store.hpp"
#include "swerve/base/result.hpp"
#include "swerve/base/time.hpp"
#include "swerve/conf/config.hpp"

namespace swerve::daemon {

class Addresses;

struct OperationsOptions {
    HttpLimits http = {};
    Duration main_deadline = std::chrono::seconds{2};  ///< for main to answer
    std::shared_ptr<spdlog::logger> logger = {};       ///< absent: the default one
    Addresses* addresses = nullptr;                    ///< lives longer; null: reloads change none
};

/// What this process adds to the saved state.
struct ProcessState {
    StateStore& store;
    std::string boot_id;
    TimePoint started;
    unsigned crashes;  ///< unclean ends in a row before it
};

/// To be made before the loops run and destroyed after they ended: it adds a counting sink to the
/// logger, whose list of sinks is not guarded. Everything else is called on the operations loop.
class Operations {
public:
    Operations(boost::asio::io_context& io, MainPort& main,
               std::shared_ptr<const conf::Config> config, const ProcessState& process,
               const OperationsOptions& options = {});
    ~Operations();
    Operations(const Operations&) = delete;
    Operations& operator=(const Operations&) = delete;

    /// Opens the control socket and, where configured, the read-only TCP listener. May be called
    /// before the loop runs. The error is a sentence.
    [[nodiscard]] Result<void, std::string> start();

    /// Logs and audits an event, counts it, and hands it to followers.
    void publish(const Event& event);

    /// What is to outlive the process has changed; it is written soon.
    void state_changed();
    /// Loads the configuration file anew and applies what changed; `who` is for the audit file.
    void reload(std::string who);

    /// Due when main has ended its sessions in order: that is saved as a clean end. Removes the
    /// socket and takes no more connections; answers under way have half a second to leave.
    void stop(bool planned_restart = false);

    /// Where the TCP listener is bound.
    [[nodiscard]] std::optional<Endpoint> http_endpoint() const;

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace swerve::daemon
