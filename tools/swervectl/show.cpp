#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <utility>

#include "tools/swervectl/answer.hpp"
#include "tools/swervectl/commands.hpp"
#include "tools/swervectl/tables.hpp"

namespace swerve::ctl {

namespace json = boost::json;

namespace {

using Render = std::string (*)(const json::object&, const Palette&);

struct Object {
    std::string_view name;
    Render table;
    Render detail;  ///< for one named object
};

std::string configuration(const json::object& answer, const Palette& /*palette*/) {
    const json::value* yaml = answer.if_contains("yaml");
    const json::string* text = yaml == nullptr ? nullptr : yaml->if_string();
    if (text == nullptr) return "the daemon sent no configuration\n";
    const std::string out{*text};
    return fmt::format("# {}\n{}{}", text_at(answer, "file"), out, out.ends_with('\n') ? "" : "\n");
}

constexpr std::array<Object, 9> objects{{{"neighbors", neighbors_table, neighbors_detail},
                                         {"bfd", bfd_table, bfd_detail},
                                         {"services", services_table, services_detail},
                                         {"checks", checks_table, checks_detail},
                                         {"routes", routes_table, routes_table},
                                         {"adj-out", adj_out_table, adj_out_table},
                                         {"failovers", failovers_table, failovers_detail},
                                         {"events", events_table, events_table},
                                         {"config", configuration, nullptr}}};

/// What `show routes --observed` asks for.
constexpr Object observed{"observed", observed_table, observed_table};

/// By name or unique abbreviation; the singular is one.
Outcome<const Object*> resolve(const std::string& word) {
    const Object* found = nullptr;
    std::string names;
    bool several = false;
    for (const Object& object : objects) {
        names += (names.empty() ? "" : ", ") + std::string{object.name};
        if (word.empty() || !object.name.starts_with(word)) continue;
        several = found != nullptr;
        found = &object;
    }
    if (found == nullptr || several) {
        return fail(usage(fmt::format("'{}' is {} of: {}", word,
                                      several ? "short for more than one" : "none", names),
                          "see swervectl show --help"));
    }
    return found;
}

/// The daemon's events have no call by subject, so the choice is made here.
void keep_subject(json::object& answer, const std::string& subject) {
    json::array kept;
    for (json::object& event : objects_at(answer, "events")) {
        if (text_at(event, "subject") == subject) kept.push_back(std::move(event));
    }
    answer["events"] = std::move(kept);
}

/// The calls that list routes, and their parameters.
Outcome<std::string> routes_target(const Object& object, Selection selection) {
    const bool of_neighbor = object.name == "adj-out";
    std::string target = fmt::format("/v1/{}", object.name);
    const auto add = [&](std::string_view key, std::string_view value) {
        target += fmt::format("{}{}={}", target.find('?') == std::string::npos ? '?' : '&', key,
                              percent_encoded(value));
    };
    // A neighbor's name has no slash.
    const bool is_prefix = selection.name.find('/') != std::string::npos;
    if (!of_neighbor || (selection.prefix.empty() && is_prefix)) {
        selection.prefix = std::exchange(selection.name, {});
    }
    if (!selection.name.empty()) add("neighbor", selection.name);
    if (!selection.prefix.empty()) {
        if (const auto valid = require_prefix(selection.prefix); !valid) return fail(valid.error());
        add("prefix", selection.prefix);
    }
    if (selection.limit) add("limit", std::to_string(*selection.limit));
    return target;
}

Outcome<std::string> target_of(const Object& object, const Selection& selection) {
    const std::string& name = selection.name;
    if (object.name != "adj-out" && !selection.prefix.empty()) {
        return fail(usage(fmt::format("show {} takes one name", object.name)));
    }
    if (object.name == "adj-out" || object.name == "routes" || object.name == observed.name) {
        return routes_target(object, selection);
    }
    if (selection.limit) return fail(usage(fmt::format("show {} takes no --limit", object.name)));
    std::string target = fmt::format("/v1/{}", object.name);
    if (name.empty() || object.name == "events") return target;
    if (object.detail == nullptr)
        return fail(usage(fmt::format("show {} takes no name", object.name)));
    return target + "/" + percent_encoded(name);
}

std::string header(const json::object& answer, const Palette& palette) {
    const bool stopping = flag_at(answer, "stopping");
    return fmt::format(
        "{}  {}  AS{}  router id {}  up {}  swerved {}{}\n",
        palette.paint(text_at(answer, "site"), Style::heading), text_at(answer, "mode"),
        text_at(answer, "local_as"), text_at(answer, "router_id"), span_at(answer, "uptime_s"),
        text_at(answer, "version"), stopping ? palette.paint("  STOPPING", Style::bad) : "");
}

}  // namespace

Outcome<Exit> status(const Context& context) {
    const auto reply = context.client.get("/v1/status");
    if (!reply) return fail(reply.error());
    if (context.json) {
        print_json(reply->text);
        return Exit::done;
    }
    const json::object& answer = reply->body;
    const Palette& palette = context.palette;
    std::string out = header(answer, palette) + "\n" + neighbors_table(answer, palette);
    // A collector has neither services nor checks, and does not miss them.
    if (text_at(answer, "mode") != "collector") {
        out += "\n" + services_table(answer, palette) + "\n" + checks_table(answer, palette);
    }
    out += "\n" + events_table(answer, palette);
    std::fputs(out.c_str(), stdout);
    return Exit::done;
}

Outcome<Exit> show(const Context& context, const std::string& word, const Selection& selection) {
    const std::string& name = selection.name;
    auto object = resolve(word);
    if (!object) return fail(object.error());
    if (selection.observed) {
        if ((*object)->name != "routes") {
            return fail(usage(fmt::format("show {} takes no --observed", (*object)->name)));
        }
        object = &observed;
    }
    const auto target = target_of(**object, selection);
    if (!target) return fail(target.error());
    auto reply = context.client.get(*target);
    if (!reply) return fail(reply.error());
    if ((*object)->name == "events" && !name.empty()) {
        keep_subject(reply->body, name);
        reply->text = json::serialize(reply->body);
    }
    if (context.json) {
        print_json(reply->text);
        return Exit::done;
    }
    const Render render = name.empty() ? (*object)->table : (*object)->detail;
    std::fputs(render(reply->body, context.palette).c_str(), stdout);
    return Exit::done;
}

}  // namespace swerve::ctl
