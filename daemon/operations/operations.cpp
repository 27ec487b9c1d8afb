#include "daemon/operations/operations.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "daemon/operations/api.hpp"
#include "daemon/operations/control_socket.hpp"
#include "daemon/operations/event_view.hpp"
#include "daemon/operations/json_text.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::daemon {

struct Operations::Parts {
    Parts(ApiContextRef context, boost::asio::io_context& io, HttpLimits limits)
        : api(std::move(context)),
          server(
              io, limits,
              [held = api](HttpRequest request) {
                  return answer_request(held, std::move(request));
              },
              api->logger) {}

    ApiContextRef api;
    HttpServer server;
    std::optional<ControlSocket> socket;
    std::optional<Endpoint> http;
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
    (void)process;
    auto logger = options.logger ? options.logger : spdlog::default_logger();
    auto log_counter = std::make_shared<LogCounter>();
    logger->sinks().push_back(log_counter);
    auto audit = std::make_shared<AuditFile>(config->state_dir + "/audit.jsonl", logger);
    auto api = std::make_shared<ApiContext>(
        ApiContext{.main = main,
                   .config = std::move(config),
                   .main_deadline = options.main_deadline,
                   .events = std::make_shared<EventRing>(io.get_executor()),
                   .audit = std::move(audit),
                   .counters = std::make_shared<EventCounters>(),
                   .log_counter = std::move(log_counter),
                   .logger = logger});
    parts_ = std::make_unique<Parts>(std::move(api), io, options.http);
}

Operations::~Operations() {
    stop();
    std::erase(parts_->api->logger->sinks(), parts_->api->log_counter);
}

Result<void, std::string> Operations::start() {
    const conf::Config& config = *parts_->api->config;
    auto socket = ControlSocket::open(config.control_socket);
    if (!socket) return fail(socket.error());
    const int listening = socket->release();
    parts_->socket.emplace(std::move(*socket));
    if (auto served = parts_->server.serve_local(listening); !served) {
        return served;
    }
    if (!config.http_listen) return {};
    auto bound = parts_->server.serve_tcp(*config.http_listen);
    if (!bound) return fail(bound.error());
    parts_->http = *bound;
    parts_->api->logger->info("event=http text={}",
                              quoted("read-only listener on " + bound->to_string()));
    return {};
}

void Operations::publish(const Event& event) {
    ApiContext& api = *parts_->api;
    const EventView view = view_of(event, *api.config);
    const std::uint64_t id = api.events->next_id();
    boost::json::object object = to_json(view, event, id);
    log(*api.logger, view, id);
    // The audit file holds what this daemon did and why; what others' routes do would flood it.
    if (!std::holds_alternative<BestPathEvent>(event.what)) api.audit->append(to_text(object));
    api.counters->count(event, *api.config);
    api.events->append(std::move(object));
}

void Operations::state_changed() {}

void Operations::reload(std::string who) { (void)who; }

void Operations::stop() {
    parts_->socket.reset();
    parts_->server.stop();
    parts_->api->events->close();
}

const std::optional<Endpoint>& Operations::http_endpoint() const { return parts_->http; }

}  // namespace swerve::daemon
