#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>

#include "daemon/operations/change_view.hpp"
#include "swerve/conf/change.hpp"
#include "swerve/conf/load.hpp"
#include "tools/swervectl/answer.hpp"
#include "tools/swervectl/change.hpp"
#include "tools/swervectl/commands.hpp"
#include "tools/swervectl/faults.hpp"

namespace swerve::ctl {

namespace json = boost::json;

namespace {

std::size_t prefix_count(const conf::Config& config) {
    std::size_t sum = 0;
    for (const conf::Service& service : config.services) sum += conf::count_prefixes(service);
    return sum;
}

std::string summary(const conf::Config& config) {
    std::string out = fmt::format("site {}, AS{}", config.site, config.local_as.value());
    if (config.collector) return out + ", a collector";
    return fmt::format("{}, {}, {}, {}, {}", out,
                       plural(config.neighbors.size(), "neighbor", "neighbors"),
                       plural(config.checks.size(), "check", "checks"),
                       plural(config.services.size(), "service", "services"),
                       plural(prefix_count(config), "prefix", "prefixes"));
}

void print_faults(const conf::Diagnostics& faults, const std::string& file) {
    fmt::print("{}{}: {}\n", faults_text(faults), file,
               plural(conf::fault_count(faults), "error", "errors"));
}

}  // namespace

Outcome<Exit> compare_configuration(const Context& context, const std::string& file) {
    const auto reply = context.client.get("/v1/config");
    if (!reply) return fail(reply.error());
    const std::string running_file = text_at(reply->body, "file");
    const json::value* yaml = reply->body.if_contains("yaml");
    if (yaml == nullptr || !yaml->is_string()) {
        return fail(Failure{Exit::failed, "bad_answer", "the daemon sent no configuration", ""});
    }
    const auto running = conf::load_text(std::string{yaml->get_string()}, running_file);
    if (!running) {
        return fail(Failure{Exit::failed, "not_comparable",
                            "what the daemon has in force cannot be read here: " +
                                running.error().front().to_string(),
                            "its prefix files must be readable; or ask the daemon: swervectl "
                            "reload --dry-run"});
    }
    const auto change = [&]() -> Result<std::shared_ptr<const conf::Change>, conf::Diagnostics> {
        const auto loaded = conf::load(file);
        if (!loaded) return fail(loaded.error());
        return conf::compare(*running, *loaded);
    }();
    if (!change && !context.json) {
        print_faults(change.error(), file);
        return Exit::invalid_configuration;
    }
    const json::object difference = change ? daemon::to_json(**change) : json::object{};
    if (context.json) {
        json::object out = document("swerve.config_diff/1");
        out["file"] = file;
        out["running"] = running_file;
        out["valid"] = change.has_value();
        out["change"] = change ? json::value(difference) : json::value(nullptr);
        out["diagnostics"] = to_json(change ? (*change)->after->warnings : change.error());
        print_json(json::serialize(out));
    } else {
        const std::string text = change_text(difference, false, context.palette);
        fmt::print("{}{}", faults_text((*change)->after->warnings),
                   text.empty() ? file + ": nothing changes\n" : text);
    }
    return change ? Exit::done : Exit::invalid_configuration;
}

Outcome<Exit> check_configuration(const Context& context, const std::string& file) {
    const auto loaded = conf::load(file);
    const conf::Diagnostics& faults = loaded ? (*loaded)->warnings : loaded.error();
    if (context.json) {
        json::object out = document("swerve.config_check/1");
        out["file"] = file;
        out["valid"] = loaded.has_value();
        out["summary"] = loaded ? json::value(summary(**loaded)) : json::value(nullptr);
        out["diagnostics"] = to_json(faults);
        print_json(json::serialize(out));
    } else if (loaded) {
        fmt::print(
            "{}{}: ok: {}{}\n", faults_text(faults), file, summary(**loaded),
            faults.empty() ? "" : ", " + plural(conf::fault_count(faults), "warning", "warnings"));
    } else {
        print_faults(faults, file);
    }
    return loaded ? Exit::done : Exit::invalid_configuration;
}

}  // namespace swerve::ctl
