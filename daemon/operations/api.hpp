#pragma once
// The calls of docs/api.md: from a request to its answer.

#include <spdlog/logger.h>

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "daemon/main_port.hpp"
#include "daemon/operations/audit_file.hpp"
#include "daemon/operations/event_counters.hpp"
#include "daemon/operations/event_ring.hpp"
#include "daemon/operations/http_message.hpp"
#include "daemon/operations/log_counter.hpp"
#include "daemon/operations/reload_facts.hpp"
#include "swerve/conf/config.hpp"

namespace swerve::daemon {

class Actions;
class Addresses;
class Reloader;
class StateKeeper;

/// What the calls work with; lives as long as one of them is under way.
struct ApiContext {
    MainPort& main;
    std::shared_ptr<const conf::Config> config;  ///< in force
    Duration main_deadline;
    std::shared_ptr<EventRing> events;
    std::shared_ptr<AuditFile> audit;
    std::shared_ptr<EventCounters> counters;
    std::shared_ptr<LogCounter> log_counter;
    std::shared_ptr<spdlog::logger> logger;
    ReloadFacts reloads;
    std::function<void(std::string)> alarm;  ///< publishes it as an event
    std::shared_ptr<StateKeeper> keeper;
    std::shared_ptr<Reloader> reloader;
    std::shared_ptr<Actions> actions;
    Addresses* addresses;         ///< null: reloads change none
    unsigned probes_by_hand = 0;  ///< attempts under way
};
using ApiContextRef = std::shared_ptr<ApiContext>;

/// A request whose path, method and parameters were found good.
struct ApiCall {
    std::string name;  ///< behind the path, where it takes one: /v1/checks/NAME; empty: none
    std::map<std::string, std::string> parameters;
    std::string body;
    std::string who;  ///< user of the client's process
    unsigned http_version = 11;
};

[[nodiscard]] boost::asio::awaitable<HttpResponse> answer_request(ApiContextRef context,
                                                                  HttpRequest request);

/// What main shows; null when it stays silent.
[[nodiscard]] boost::asio::awaitable<std::shared_ptr<const Snapshot>> take_snapshot(
    ApiContextRef context, SnapshotRequest request);

// The commands, in commands.cpp, probe_call.cpp and reload_call.cpp.
[[nodiscard]] boost::asio::awaitable<HttpResponse> announce(ApiContextRef context, ApiCall call);
[[nodiscard]] boost::asio::awaitable<HttpResponse> withdraw(ApiContextRef context, ApiCall call);
[[nodiscard]] boost::asio::awaitable<HttpResponse> drain(ApiContextRef context, ApiCall call);
[[nodiscard]] boost::asio::awaitable<HttpResponse> undrain(ApiContextRef context, ApiCall call);
[[nodiscard]] boost::asio::awaitable<HttpResponse> clear(ApiContextRef context, ApiCall call);
[[nodiscard]] boost::asio::awaitable<HttpResponse> command_neighbor(ApiContextRef context,
                                                                    ApiCall call);
[[nodiscard]] boost::asio::awaitable<HttpResponse> probe(ApiContextRef context, ApiCall call);
[[nodiscard]] boost::asio::awaitable<HttpResponse> stop(ApiContextRef context, ApiCall call);
[[nodiscard]] boost::asio::awaitable<HttpResponse> reload(ApiContextRef context, ApiCall call);
/// Reloads for nobody who waits: the outcome goes into the log and the audit file.
[[nodiscard]] boost::asio::awaitable<void> reload_for(ApiContextRef context, std::string who);

[[nodiscard]] HttpResponse main_silent(const ApiContext& context);

}  // namespace swerve::daemon
