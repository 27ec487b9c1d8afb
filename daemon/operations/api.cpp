#include "daemon/operations/api.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <vector>

#include "daemon/actions/actions.hpp"
#include "daemon/operations/adj_out_view.hpp"
#include "daemon/operations/api_error.hpp"
#include "daemon/operations/ask.hpp"
#include "daemon/operations/bfd_view.hpp"
#include "daemon/operations/client_input.hpp"
#include "daemon/operations/command.hpp"
#include "daemon/operations/json_text.hpp"
#include "daemon/operations/metrics.hpp"
#include "daemon/operations/observed_view.hpp"
#include "daemon/operations/rto_view.hpp"
#include "daemon/operations/views.hpp"
#include "swerve/base/clock.hpp"
#include "swerve/base/escape.hpp"
#include "swerve/conf/load.hpp"

namespace swerve::daemon {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

using SnapshotRef = std::shared_ptr<const Snapshot>;
using Answer = asio::awaitable<HttpResponse>;

constexpr std::size_t events_in_status = 10;
constexpr std::size_t routes_by_default = 1000;
constexpr std::uint64_t routes_at_most = 10'000;

Answer status(ApiContextRef context, ApiCall call);
Answer neighbors(ApiContextRef context, ApiCall call);
Answer bfd_sessions(ApiContextRef context, ApiCall call);
Answer services(ApiContextRef context, ApiCall call);
Answer checks(ApiContextRef context, ApiCall call);
Answer routes(ApiContextRef context, ApiCall call);
Answer explain(ApiContextRef context, ApiCall call);
Answer failovers(ApiContextRef context, ApiCall call);
Answer events(ApiContextRef context, ApiCall call);
Answer adj_out(ApiContextRef context, ApiCall call);
Answer observed(ApiContextRef context, ApiCall call);
Answer rto(ApiContextRef context, ApiCall call);
Answer config(ApiContextRef context, ApiCall call);
Answer metrics(ApiContextRef context, ApiCall call);
Answer healthz(ApiContextRef context, ApiCall call);
Answer readyz(ApiContextRef context, ApiCall call);

struct Route {
    std::string_view method;
    std::string_view path;
    bool takes_name;
    std::array<std::string_view, 3> parameters;
    Answer (*handler)(ApiContextRef context, ApiCall call);
};

constexpr std::array<Route, 25> table{{
    {"GET", "/v1/status", false, {}, status},
    {"GET", "/v1/neighbors", true, {}, neighbors},
    {"GET", "/v1/bfd", true, {}, bfd_sessions},
    {"GET", "/v1/services", true, {}, services},
    {"GET", "/v1/checks", true, {}, checks},
    {"GET", "/v1/routes", false, {"prefix", "limit"}, routes},
    {"GET", "/v1/adj-out", false, {"neighbor", "prefix", "limit"}, adj_out},
    {"GET", "/v1/observed", false, {"prefix", "limit"}, observed},
    {"GET", "/v1/explain", false, {"prefix"}, explain},
    {"GET", "/v1/failovers", true, {}, failovers},
    {"GET", "/v1/events", false, {"since", "follow"}, events},
    {"GET", "/v1/rto", true, {}, rto},
    {"GET", "/v1/config", false, {}, config},
    {"POST", "/v1/checks/NAME/probe", true, {}, probe},
    {"POST", "/v1/announce", false, {}, announce},
    {"POST", "/v1/withdraw", false, {}, withdraw},
    {"POST", "/v1/drain", false, {}, drain},
    {"POST", "/v1/undrain", false, {}, undrain},
    {"POST", "/v1/auto", false, {}, clear},
    {"POST", "/v1/neighbor", false, {}, command_neighbor},
    {"POST", "/v1/reload", false, {}, reload},
    {"POST", "/v1/stop", false, {}, stop},
    {"GET", "/metrics", false, {}, metrics},
    {"GET", "/healthz", false, {}, healthz},
    {"GET", "/readyz", false, {}, readyz},
}};

[[nodiscard]] HttpResponse bad_request(std::string_view message, std::string_view hint) {
    return error_response(ApiError::bad_request, message, hint);
}

[[nodiscard]] HttpResponse json_response(const json::object& body) {
    return {.body = to_text(body) + "\n"};
}

[[nodiscard]] HttpResponse plain(unsigned status, std::string text) {
    return {.status = status,
            .content_type = "text/plain; charset=utf-8",
            .body = std::move(text) + "\n"};
}

Answer status(ApiContextRef context, ApiCall /*call*/) {
    const SnapshotRequest request;
    const SnapshotRef snapshot = co_await take_snapshot(context, request);
    if (!snapshot) co_return main_silent(*context);
    json::array last;
    for (const auto* event : context->events->last(events_in_status)) last.push_back(*event);
    co_return json_response(views::status(*snapshot, std::move(last)));
}

using ListView = json::array (*)(const Snapshot&, views::Only);

/// One of the lists that a name narrows down to one element.
Answer list(ApiContextRef context, ApiCall call, std::string_view what, ListView view,
            SnapshotRequest request = {}) {
    const SnapshotRef snapshot = co_await take_snapshot(context, std::move(request));
    if (!snapshot) co_return main_silent(*context);
    views::Only only;
    if (!call.name.empty()) only = call.name;
    json::array found = view(*snapshot, only);
    if (only && found.empty()) {
        co_return error_response(ApiError::no_such_object,
                                 fmt::format("there is no '{}' among the {}", call.name, what),
                                 fmt::format("GET /v1/{} lists them", what));
    }
    json::object body = views::envelope(fmt::format("swerve.{}/1", what), *snapshot);
    body[what] = std::move(found);
    co_return json_response(body);
}

Answer neighbors(ApiContextRef context, ApiCall call) {
    return list(std::move(context), std::move(call), "neighbors", views::neighbors);
}

Answer bfd_sessions(ApiContextRef context, ApiCall call) {
    const SnapshotRequest request;
    const SnapshotRef snapshot = co_await take_snapshot(context, request);
    if (!snapshot) co_return main_silent(*context);
    views::Only only;
    if (!call.name.empty()) only = call.name;
    const json::object body = views::bfd(*snapshot, only);
    if (only && body.at("bfd").as_array().empty()) {
        co_return error_response(ApiError::no_such_object,
                                 fmt::format("there is no BFD session with '{}'", call.name),
                                 views::without_bfd(*snapshot, *only));
    }
    co_return json_response(body);
}

Answer services(ApiContextRef context, ApiCall call) {
    return list(std::move(context), std::move(call), "services", views::services);
}

Answer checks(ApiContextRef context, ApiCall call) {
    SnapshotRequest request;
    request.history_of = call.name;
    return list(std::move(context), std::move(call), "checks", views::checks, std::move(request));
}

/// The parameters of calls that list routes.
struct Selection {
    std::optional<Prefix> prefix;
    std::size_t limit = routes_by_default;
};

[[nodiscard]] Checked<Selection> selection_of(const ApiCall& call) {
    Selection out;
    if (const auto given = call.parameters.find("prefix"); given != call.parameters.end()) {
        const auto prefix = parse_prefix(given->second);
        if (!prefix) return bad(prefix.error().message, prefix.error().hint);
        out.prefix = *prefix;
    }
    if (const auto given = call.parameters.find("limit"); given != call.parameters.end()) {
        const auto limit = parse_number(given->second);
        if (!limit || *limit < 1 || *limit > routes_at_most) {
            return bad(fmt::format("limit: '{}' is not a number of routes", given->second),
                       fmt::format("1 to {}", routes_at_most));
        }
        out.limit = static_cast<std::size_t>(*limit);
    }
    return out;
}

Answer routes(ApiContextRef context, ApiCall call) {
    const auto selection = selection_of(call);
    if (!selection) co_return input_response(selection.error());
    const SnapshotRequest request{
        .prefix = selection->prefix, .received = true, .received_limit = selection->limit};
    const SnapshotRef snapshot = co_await take_snapshot(context, request);
    if (!snapshot) co_return main_silent(*context);
    co_return json_response(views::routes(*snapshot, selection->prefix, selection->limit));
}

Answer adj_out(ApiContextRef context, ApiCall call) {
    const auto selection = selection_of(call);
    if (!selection) co_return input_response(selection.error());
    SnapshotRequest request;
    request.prefix = selection->prefix;
    request.adj_out = true;
    request.adj_out_limit = selection->limit;
    if (const auto given = call.parameters.find("neighbor"); given != call.parameters.end()) {
        request.adj_out_neighbor = given->second;
    }
    const SnapshotRef snapshot = co_await take_snapshot(context, request);
    if (!snapshot) co_return main_silent(*context);
    if (const auto& name = request.adj_out_neighbor;
        name && std::ranges::count(snapshot->neighbors, *name, &NeighborView::name) == 0) {
        co_return input_response(no_such("neighbor", *name));
    }
    co_return json_response(views::adj_out(*snapshot));
}

Answer observed(ApiContextRef context, ApiCall call) {
    const auto selection = selection_of(call);
    if (!selection) co_return input_response(selection.error());
    SnapshotRequest request;
    request.prefix = selection->prefix;
    request.observed = true;
    request.observed_limit = selection->limit;
    const SnapshotRef snapshot = co_await take_snapshot(context, request);
    if (!snapshot) co_return main_silent(*context);
    co_return json_response(views::observed(*snapshot));
}

Answer explain(ApiContextRef context, ApiCall call) {
    const auto given = call.parameters.find("prefix");
    if (given == call.parameters.end()) {
        co_return bad_request("explain needs a prefix", "GET /v1/explain?prefix=198.51.100.0/24");
    }
    const auto prefix = parse_prefix(given->second);
    if (!prefix) co_return bad_request(prefix.error().message, prefix.error().hint);
    const SnapshotRequest request;
    const SnapshotRef snapshot = co_await take_snapshot(context, request);
    if (!snapshot) co_return main_silent(*context);
    co_return json_response(views::explain(*snapshot, *prefix));
}

Answer failovers(ApiContextRef context, ApiCall call) {
    std::optional<std::uint64_t> only;
    if (!call.name.empty()) {
        only = parse_number(call.name);
        if (!only) {
            co_return bad_request(fmt::format("'{}' is not the number of a failover", call.name),
                                  "GET /v1/failovers lists them");
        }
    }
    const SnapshotRequest request;
    const SnapshotRef snapshot = co_await take_snapshot(context, request);
    if (!snapshot) co_return main_silent(*context);
    json::array found = views::failovers(*snapshot, only);
    if (only && found.empty()) {
        co_return error_response(ApiError::no_such_object,
                                 fmt::format("there is no record of a failover {}", *only),
                                 fmt::format("the last {} are kept; GET /v1/failovers lists them",
                                             failover::Recorder::kept));
    }
    json::object body = views::envelope("swerve.failovers/1", *snapshot);
    body["failovers"] = std::move(found);
    co_return json_response(body);
}

Answer events(ApiContextRef context, ApiCall call) {
    std::optional<std::uint64_t> since;
    if (const auto given = call.parameters.find("since"); given != call.parameters.end()) {
        since = parse_number(given->second);
        if (!since) {
            co_return bad_request(fmt::format("since: '{}' is not an event's id", given->second),
                                  "an id is a whole number, 0 or more");
        }
    }
    const EventRing& ring = *context->events;
    if (const auto given = call.parameters.find("follow"); given != call.parameters.end()) {
        if (given->second != "1") {
            co_return bad_request(fmt::format("follow: '{}' means nothing", given->second),
                                  "follow=1, or leave it out");
        }
        if (call.http_version < 11) {
            co_return bad_request("an answer without end needs HTTP/1.1", "ask with HTTP/1.1");
        }
        co_return HttpResponse{
            .content_type = "application/x-ndjson",
            .follow = Follow{context->events, since.value_or(ring.next_id() - 1)}};
    }
    json::array list;
    for (const auto* event : ring.after(ring.resume(since.value_or(0)))) list.push_back(*event);
    json::object body = views::envelope("swerve.events/1", wall_now(), BootClock::now());
    body["events"] = std::move(list);
    co_return json_response(body);
}

Answer rto(ApiContextRef context, ApiCall call) {
    const SnapshotRequest request;
    const SnapshotRef snapshot = co_await take_snapshot(context, request);
    if (!snapshot) co_return main_silent(*context);
    views::Only only;
    if (!call.name.empty()) only = call.name;
    json::array found = views::rto(*snapshot, only);
    if (only && found.empty()) co_return input_response(no_such("service", call.name));
    json::object body = views::envelope("swerve.rto/1", *snapshot);
    body["services"] = std::move(found);
    co_return json_response(body);
}

Answer config(ApiContextRef context, ApiCall /*call*/) {
    const SnapshotRequest request;
    const SnapshotRef snapshot = co_await take_snapshot(context, request);
    if (!snapshot) co_return main_silent(*context);
    json::object body = views::envelope("swerve.config/1", *snapshot);
    body["file"] = json_string(snapshot->config->file);
    body["yaml"] = views::text_lines(conf::print(*snapshot->config));
    co_return json_response(body);
}

Answer metrics(ApiContextRef context, ApiCall /*call*/) {
    const SnapshotRequest request{
        .observed = true, .observed_limit = most_prefix_series, .observed_whole = true};
    const SnapshotRef snapshot = co_await take_snapshot(context, request);
    if (!snapshot) co_return main_silent(*context);
    const MetricSources sources{.snapshot = *snapshot,
                                .counters = *context->counters,
                                .log_counts = context->log_counter->counts(),
                                .audit_failures = context->audit->failures(),
                                .reloads = context->reloads,
                                .process = read_process_facts(),
                                .actions = context->actions->counts()};
    co_return HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                           .body = render(collect(sources))};
}

Answer healthz(ApiContextRef context, ApiCall /*call*/) {
    const SnapshotRequest request;
    const SnapshotRef snapshot = co_await take_snapshot(context, request);
    if (!snapshot) co_return plain(503, "the main loop does not answer");
    co_return plain(200, "ok");
}

Answer readyz(ApiContextRef context, ApiCall /*call*/) {
    const SnapshotRequest request;
    const SnapshotRef snapshot = co_await take_snapshot(context, request);
    if (!snapshot) co_return plain(503, "the main loop does not answer");
    if (snapshot->site.stopping) co_return plain(503, "the daemon is stopping");
    const auto ready =
        std::ranges::count(snapshot->neighbors, bgp::State::established, &NeighborView::state);
    if (ready > 0) co_return plain(200, "ok");
    std::string why = "no session is established";
    for (const auto& neighbor : snapshot->neighbors) {
        why += fmt::format("\n{}: {}{}{}{}", neighbor.name, views::state_word(neighbor.state),
                           neighbor.waits_for_bfd ? ", waits for BFD" : "",
                           neighbor.last_error.empty() ? "" : ": ", escape(neighbor.last_error));
    }
    co_return plain(503, std::move(why));
}

struct Target {
    std::string path;  ///< without the name, or with NAME in its place
    std::string name;  ///< decoded third segment of /v1/…
    bool named = false;
    std::map<std::string, std::string> parameters;
};

/// Cuts "/v1/checks/web?x=1" or "/v1/checks/web/probe" apart; the error is what to answer.
[[nodiscard]] Result<Target, HttpResponse> parse_target(const std::string& text) {
    const auto url = boost::urls::parse_origin_form(text);
    if (!url) {
        return fail(bad_request(fmt::format("'{}' is not a path", escape(text)),
                                "percent-encode what is not plain: %2F for a slash in a name"));
    }
    Target out;
    std::vector<std::string> segments;
    for (const auto segment : url->segments()) segments.emplace_back(segment);
    out.named = segments.size() == 3 || segments.size() == 4;
    if (out.named) out.name = segments[2];
    if (segments.size() == 3) segments.pop_back();
    if (segments.size() == 4) segments[2] = "NAME";
    for (const std::string& segment : segments) out.path += "/" + segment;
    for (const auto parameter : url->params()) {
        if (!out.parameters.emplace(parameter.key, parameter.value).second) {
            return fail(bad_request(fmt::format("the parameter '{}' is given twice",
                                                escape(std::string{parameter.key})),
                                    "give it once"));
        }
    }
    return out;
}

[[nodiscard]] HttpResponse method_not_allowed(const HttpRequest& request, std::string_view path,
                                              std::string_view allowed) {
    HttpResponse response =
        error_response(ApiError::method_not_allowed,
                       fmt::format("{} is not possible on {}", escape(request.method), path),
                       fmt::format("{} {}", allowed, path));
    response.allow = allowed;
    return response;
}

[[nodiscard]] HttpResponse read_only(const HttpRequest& request) {
    HttpResponse response = error_response(
        ApiError::method_not_allowed,
        fmt::format("{} is not possible here: this listener is read-only", escape(request.method)),
        "commands are taken on the control socket alone");
    response.allow = "GET";
    return response;
}

[[nodiscard]] std::optional<HttpResponse> unknown_parameter(const Route& route,
                                                            const Target& target) {
    for (const auto& [key, value] : target.parameters) {
        if (!key.empty() && std::ranges::count(route.parameters, key) > 0) continue;
        std::string known;
        for (const auto name : route.parameters) {
            if (!name.empty()) known += fmt::format("{}{}", known.empty() ? "" : ", ", name);
        }
        return bad_request(fmt::format("{} has no parameter '{}'", route.path, escape(key)),
                           known.empty() ? "it takes none" : "it takes: " + known);
    }
    return std::nullopt;
}

}  // namespace

asio::awaitable<HttpResponse> answer_request(ApiContextRef context, HttpRequest request) {
    if (!request.uid && request.method != "GET") co_return read_only(request);
    auto target = parse_target(request.target);
    if (!target) co_return std::move(target.error());
    const auto fits = [&](const Route& route) {
        return route.path == target->path && (!target->named || route.takes_name);
    };
    const auto* const route = std::ranges::find_if(table, fits);
    if (route == table.end() || (target->named && target->name.empty())) {
        co_return error_response(ApiError::not_found,
                                 fmt::format("there is nothing at '{}'", escape(request.target)),
                                 "GET /v1/status shows the whole; docs/api.md has every path");
    }
    if (route->method != request.method) {
        co_return method_not_allowed(request, route->path, route->method);
    }
    if (auto fault = unknown_parameter(*route, *target)) co_return std::move(*fault);
    ApiCall call;
    call.name = std::move(target->name);
    call.parameters = std::move(target->parameters);
    call.body = std::move(request.body);
    call.http_version = request.version;
    if (request.uid) call.who = user_name(*request.uid);
    co_return co_await route->handler(std::move(context), std::move(call));
}

asio::awaitable<SnapshotRef> take_snapshot(ApiContextRef context, SnapshotRequest request) {
    const std::function<void(std::function<void(SnapshotRef)>)> start =
        [&context, &request](std::function<void(SnapshotRef)> done) {
            context->main.snapshot(request, std::move(done));
        };
    const auto taken = co_await ask<SnapshotRef>(context->main_deadline, start);
    co_return taken.value_or(nullptr);
}

HttpResponse main_silent(const ApiContext& context) {
    const auto waited =
        std::chrono::duration_cast<std::chrono::milliseconds>(context.main_deadline);
    return error_response(
        ApiError::main_silent,
        fmt::format("the main loop gave no answer within {} ms", waited.count()),
        "try again; if it stays so, the watchdog ends the daemon: look at its log");
}

}  // namespace swerve::daemon
