#include "daemon/operations/operations.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <exception>

#include "daemon/actions/actions.hpp"
#include "daemon/actions/addresses.hpp"
#include "daemon/operations/api.hpp"
#include "daemon/operations/control_socket.hpp"
#include "daemon/operations/event_view.hpp"
#include "daemon/operations/json_text.hpp"
#include "daemon/operations/reloader.hpp"
#include "daemon/operations/state_keeper.hpp"
#include "swerve/base/clock.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::daemon {

struct Operations::Parts {
    Parts(ApiContextRef context, boost::asio::io_context& loop, HttpLimits limits)
        : io(loop),
          api(std::move(context)),
          server(
              loop, limits,
              [held = api](HttpRequest request) {
                  return answer_request(held, std::move(request));
              },
              api->logger) {}

    boost::asio::io_context& io;
    ApiContextRef api;
    HttpServer server;
    std::optional<ControlSocket> socket;
};

namespace {

[[nodiscard]] spdlog::level::level_enum level_of(const EventView& view) {
    // A collector sees as many of these as its neighbors send routes.
    if (view.type == "best_path") return spdlog::level::debug;
    switch (view.severity) {
        case Severity::info:
            return spdlog::level::info;
        case Severity::warning:
            return spdlog::level::warn;
        case Severity::critical:
            break;
    }
    return spdlog::level::critical;
}

void log(spdlog::logger& logger, const EventView& view, std::uint64_t id) {
    const auto level = level_of(view);
    if (!logger.should_log(level)) return;
    logger.log(level, "event={} id={} subject={} text={}", view.type, id, quoted(view.subject),
               quoted(view.text));
}

}  // namespace

Operations::Operations(boost::asio::io_context& io, MainPort& main,
                       std::shared_ptr<const conf::Config> config, const ProcessState& process,
                       const OperationsOptions& options) {
    auto logger = options.logger ? options.logger : spdlog::default_logger();
    auto log_counter = std::make_shared<LogCounter>();
    logger->sinks().push_back(log_counter);
    auto audit = std::make_shared<AuditFile>(config->state_dir + "/audit.jsonl", logger);
    auto api = std::make_shared<ApiContext>(ApiContext{
        .main = main,
        .config = std::move(config),
        .main_deadline = options.main_deadline,
        .events = std::make_shared<EventRing>(io.get_executor()),
        .audit = std::move(audit),
        .counters = std::make_shared<EventCounters>(),
        .log_counter = std::move(log_counter),
        .logger = logger,
        .reloads = {},
        .alarm =
            [this](std::string text) {
                publish({BootClock::now(), wall_now(),
                         DaemonEvent{DaemonEvent::Kind::alarm, std::move(text)}});
            },
        .keeper = std::make_shared<StateKeeper>(io.get_executor(), main, process, logger),
        .reloader = {},
        .actions = {},
        .addresses = options.addresses});
    parts_ = std::make_unique<Parts>(std::move(api), io, options.http);
    parts_->api->reloader =
        std::make_shared<Reloader>(*parts_->api, parts_->server, io.get_executor());
    parts_->api->actions =
        std::make_shared<Actions>(io.get_executor(), *parts_->api->config, std::move(logger));
}

Operations::~Operations() {
    stop();
    std::erase(parts_->api->logger->sinks(), parts_->api->log_counter);
}

Result<void, std::string> Operations::start() {
    const conf::Config& config = *parts_->api->config;
    if (parts_->api->addresses != nullptr) parts_->api->addresses->start();
    auto socket = ControlSocket::open(config.control_socket);
    if (!socket) return fail(socket.error());
    const int listening = socket->release();
    parts_->socket.emplace(std::move(*socket));
    if (auto served = parts_->server.serve_local(listening); !served) {
        return served;
    }
    if (!config.http_listen) return {};
    auto bound = parts_->server.bind_tcp(*config.http_listen);
    if (!bound) return fail(bound.error());
    parts_->api->logger->info("event=http text={}",
                              quoted("read-only listener on " + (*bound)->bound.to_string()));
    parts_->server.serve_tcp(std::move(*bound));
    return {};
}

void Operations::publish(const Event& event) {
    ApiContext& api = *parts_->api;
    if (const auto* reloaded = std::get_if<Reloaded>(&event.what)) {
        api.reloader->in_force(*reloaded->change);
        api.actions->reconfigure(*api.config);
    }
    const EventView view = view_of(event, *api.config);
    const std::uint64_t id = api.events->next_id();
    boost::json::object object = to_json(view, event, id);
    log(*api.logger, view, id);
    // The audit file holds what this daemon did and why; what others' routes do would flood it.
    if (!std::holds_alternative<BestPathEvent>(event.what)) api.audit->append(to_text(object));
    api.counters->count(event, *api.config);
    api.events->append(std::move(object));
    api.actions->tell(event, view, *api.config, id);
    const auto* daemon = std::get_if<DaemonEvent>(&event.what);
    // Not before: until main has begun it has not yet made its own what was restored.
    if (daemon != nullptr && daemon->kind == DaemonEvent::Kind::started) api.keeper->start();
}

void Operations::state_changed() { parts_->api->keeper->mark_dirty(); }

void Operations::reload(std::string who) {
    boost::asio::co_spawn(parts_->io, reload_for(parts_->api, std::move(who)),
                          [logger = parts_->api->logger](const std::exception_ptr& error) {
                              if (error) logger->critical("event=reload text=\"reloading ended\"");
                          });
}

void Operations::stop(bool planned_restart) {
    parts_->api->reloader->stop();
    // Main has ended by now: every route is withdrawn and every neighbor told. A fault is logged.
    (void)parts_->api->keeper->end_clean(planned_restart);
    parts_->socket.reset();
    parts_->server.stop();
    parts_->api->events->close();
    parts_->api->actions->stop();
    if (parts_->api->addresses != nullptr) parts_->api->addresses->stop();
}

std::optional<Endpoint> Operations::http_endpoint() const {
    const auto& listener = parts_->server.tcp();
    return listener ? std::optional{listener->bound} : std::nullopt;
}

}  // namespace swerve::daemon
