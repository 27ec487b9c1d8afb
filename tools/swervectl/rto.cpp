#include <fmt/format.h>

#include <cstdio>

#include "tools/swervectl/answer.hpp"
#include "tools/swervectl/commands.hpp"

namespace swerve::ctl {

namespace json = boost::json;

namespace {

/// "12.3ms", "0s", or what stands for none.
std::string time_or(const json::object& from, std::string_view key, std::string_view none) {
    const auto value = number_at(from, key);
    if (!value) return std::string{none};
    return *value == 0 ? "0s" : human_time(*value);
}

Cell kept(const json::object& from, bool is_promised) {
    if (!is_promised) return {"-"};
    return flag_at(from, "kept") ? Cell{"kept", Style::good} : Cell{"not kept", Style::bad};
}

std::string promise_text(const json::object& service, const Palette& palette) {
    const bool is_promised = number_at(service, "rto_s").has_value();
    std::string out =
        fmt::format("{}  {}\n", palette.paint(text_at(service, "name"), Style::heading),
                    is_promised ? "promises " + time_or(service, "rto_s", "")
                                : std::string{"promises nothing"});
    Table table{{"", "FAILURE", ">WORST", "", "BECAUSE", "TO CHANGE"}};
    for (const json::object& each : objects_at(service, "cases")) {
        table.add({{""},
                   {text_at(each, "failure")},
                   {time_or(each, "bound_s", "no bound")},
                   kept(each, is_promised),
                   {text_at(each, "because")},
                   {text_at(each, "key")}});
    }
    out += table.to_string(palette);
    Table measured{{"", "FAILOVER", ">TOOK", "", "TIME", "REASON"}};
    for (const json::object& each : objects_at(service, "failovers")) {
        measured.add({{""},
                      {text_at(each, "id")},
                      {time_or(each, "took_s", "-")},
                      kept(each, is_promised),
                      {text_at(each, "time")},
                      {text_at(each, "reason")}});
    }
    return measured.empty() ? out : out + "\n" + measured.to_string(palette);
}

}  // namespace

Outcome<Exit> rto(const Context& context, const std::string& service) {
    const auto reply =
        context.client.get("/v1/rto" + (service.empty() ? "" : "/" + percent_encoded(service)));
    if (!reply) return fail(reply.error());
    if (context.json) {
        print_json(reply->text);
        return Exit::done;
    }
    std::string out;
    for (const json::object& each : objects_at(reply->body, "services")) {
        out += (out.empty() ? "" : "\n") + promise_text(each, context.palette);
    }
    std::fputs(out.empty() ? "no service is configured\n" : out.c_str(), stdout);
    return Exit::done;
}

}  // namespace swerve::ctl
