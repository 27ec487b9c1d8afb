// POST /v1/reload, and SIGHUP: the same with nobody to answer.

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <set>

#include "daemon/operations/change_view.hpp"
#include "daemon/operations/command.hpp"
#include "daemon/operations/json_text.hpp"
#include "daemon/operations/reload_disabled.hpp"
#include "daemon/operations/reloader.hpp"
#include "daemon/operations/route_state.hpp"
#include "daemon/operations/views.hpp"

namespace swerve::daemon {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

[[nodiscard]] bool is_established(const Snapshot& snapshot, std::string_view neighbor) {
    return std::ranges::any_of(snapshot.neighbors, [&](const NeighborView& view) {
        const bool of_it =
            view.name == neighbor || (view.config != nullptr && view.config->name == neighbor);
        return of_it && view.state == bgp::State::established;
    });
}

/// Names of the services of which neighbors hold a prefix.
[[nodiscard]] std::set<std::string_view> announced(const Snapshot& snapshot) {
    const Holders holders{snapshot};
    std::set<std::string_view> out;
    for (const auto& view : snapshot.site.services) {
        if (holders.of(view) > 0) out.insert(view.name);
    }
    return out;
}

/// The change with what it meets: sessions that are up, services that neighbors hold and neighbors
/// that are disabled, as they were before it.
[[nodiscard]] json::object met_by(const conf::Change& change, const Snapshot& snapshot) {
    json::object out = to_json(change);
    json::array& resets = out["resets"].as_array();
    for (std::size_t i = 0; i < resets.size(); ++i) {
        resets[i].as_object()["established"] = is_established(snapshot, change.resets[i].neighbor);
    }
    json::array& routes = out["routes"].as_array();
    const auto held = announced(snapshot);
    for (std::size_t i = 0; i < routes.size(); ++i) {
        routes[i].as_object()["announced"] = held.contains(change.routes[i].service);
    }
    json::array enabled;
    for (const Reenabled& each : reenabled(*change.after, snapshot.neighbors)) {
        enabled.push_back(
            json::object{{"neighbor", json_string(each.neighbor)}, {"was", json_string(each.was)}});
    }
    out["enabled"] = std::move(enabled);
    return out;
}

[[nodiscard]] json::array diagnostics(const conf::Diagnostics& faults) {
    json::array out;
    for (const conf::Diagnostic& fault : faults) {
        out.push_back(json::object{{"file", json_string(fault.file)},
                                   {"line", fault.line},
                                   {"column", fault.column},
                                   {"path", json_string(fault.path)},
                                   {"message", json_string(fault.message)},
                                   {"hint", json_string(fault.hint)},
                                   {"count", fault.count},
                                   {"severity", json_string(to_string(fault.severity))}});
    }
    return out;
}

[[nodiscard]] HttpResponse failure_response(const ReloadFailure& failure) {
    return error_response(failure.code, failure.message, failure.hint,
                          {{"diagnostics", diagnostics(failure.faults)}});
}

[[nodiscard]] std::string outcome_text(const Reloader::Outcome& outcome) {
    if (!outcome) {
        return fmt::format("{}: {}", to_string(outcome.error().code), outcome.error().message);
    }
    const conf::Change& change = **outcome;
    if (change.empty()) return "nothing changes";
    const auto count = [](std::size_t number, std::string_view what) {
        return fmt::format("{} {}{}", number, what, number == 1 ? "" : "s");
    };
    std::string out = fmt::format("{} changed, {} reset", count(change.keys.size(), "key"),
                                  count(change.resets.size(), "session"));
    const std::size_t warnings = conf::fault_count(change.after->warnings);
    return warnings == 0 ? out : out + ", " + count(warnings, "warning");
}

[[nodiscard]] Checked<bool> wants_preview(const ApiCall& call) {
    if (call.body.empty()) return false;
    const auto body = parse_body(call.body, {"dry_run"});
    if (!body) return fail(body.error());
    return flag_field(*body, "dry_run");
}

}  // namespace

asio::awaitable<HttpResponse> reload(ApiContextRef context, ApiCall call) {
    const auto dry_run = wants_preview(call);
    if (!dry_run) co_return input_response(dry_run.error());
    const Command command{.verb = *dry_run ? "reload --dry-run" : "reload",
                          .who = call.who,
                          .subject = context->config->file,
                          .lasting = {},
                          .reason = {}};
    const SnapshotRequest request;
    const auto before = co_await take_snapshot(context, request);
    if (!before) co_return silent_response(*context, command);
    Reloader::Outcome outcome;
    if (*dry_run) {
        outcome = co_await context->reloader->preview();
    } else {
        outcome = co_await context->reloader->reload();
    }
    record(*context, command, outcome_text(outcome));
    if (!outcome) co_return failure_response(outcome.error());
    json::object body = views::envelope("swerve.reload/1", *before);
    body["applied"] = !*dry_run;
    body["file"] = json_string(context->config->file);
    body["text"] = json_string(outcome_text(outcome));
    body["change"] = met_by(**outcome, *before);
    body["diagnostics"] = diagnostics((*outcome)->after->warnings);
    co_return HttpResponse{.body = to_text(body) + "\n"};
}

asio::awaitable<void> reload_for(ApiContextRef context, std::string who) {
    const Command command{.verb = "reload",
                          .who = std::move(who),
                          .subject = context->config->file,
                          .lasting = {},
                          .reason = {}};
    const auto outcome = co_await context->reloader->reload();
    record(*context, command, outcome_text(outcome));
}

}  // namespace swerve::daemon
