#include "tools/swervectl/commands.hpp"

#include <fmt/format.h>

#include <array>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <cstdio>
#include <ctime>

#include "swerve/base/clock.hpp"
#include "swerve/base/escape.hpp"
#include "swerve/net/prefix.hpp"
#include "tools/swervectl/answer.hpp"
#include "tools/swervectl/change.hpp"
#include "tools/swervectl/faults.hpp"

namespace swerve::ctl {

namespace json = boost::json;

void print_json(std::string_view text) {
    while (text.ends_with('\n')) text.remove_suffix(1);
    fmt::print("{}\n", text);
}

json::object document(std::string_view schema) {
    const auto wall = wall_now();
    const auto nanoseconds = wall.time_since_epoch().count();
    const std::time_t seconds = nanoseconds / 1'000'000'000;
    std::tm tm{};
    ::gmtime_r(&seconds, &tm);
    std::array<char, 32> date{};
    std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &tm);
    return {{"schema", schema},
            {"time", fmt::format("{}.{:03}Z", date.data(), nanoseconds / 1'000'000 % 1000)},
            {"boottime_ns", BootClock::now().time_since_epoch().count()}};
}

Outcome<std::chrono::milliseconds> parse_duration(const std::string& option,
                                                  const std::string& text) {
    struct Unit {
        std::string_view name;
        long long milliseconds;
    };
    static constexpr std::array<Unit, 5> units{
        {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};
    // A hundred years; beyond it "until cleared" is meant.
    constexpr long long longest = 36'525LL * 86'400'000;
    long long number = 0;
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, number);
    const std::string_view suffix{end, static_cast<std::size_t>(last - end)};
    for (const Unit& unit : units) {
        if (error == std::errc{} && suffix == unit.name && number > 0 &&
            number <= longest / unit.milliseconds) {
            return std::chrono::milliseconds{number * unit.milliseconds};
        }
    }
    return fail(usage(fmt::format("{}: '{}' is no duration", option, escape(text)),
                      "write a number and its unit: 500ms, 30s, 10m, 2h, 1d"));
}

Outcome<void> require_prefix(const std::string& text) {
    const auto prefix = Prefix::parse(text);
    if (prefix) return {};
    if (prefix.error() == Prefix::ParseError::host_bits) {
        const auto slash = text.find('/');
        const auto address = Address::parse(std::string_view{text}.substr(0, slash));
        unsigned length = 0;
        std::from_chars(text.data() + slash + 1, text.data() + text.size(), length);
        const auto meant = address ? Prefix::masked(*address, length) : std::nullopt;
        return fail(usage(fmt::format("'{}' has bits set behind its length", escape(text)),
                          meant ? fmt::format("did you mean {}?", meant->to_string()) : ""));
    }
    return fail(usage(fmt::format("'{}' is no prefix", escape(text)),
                      "write 198.51.100.0/24 or 2001:db8::/48"));
}

Outcome<Exit> version(const Context& context) {
    if (context.json) {
        json::object out = document("swerve.version/1");
        out["version"] = SWERVE_VERSION;
        print_json(json::serialize(out));
    } else {
        fmt::print("swervectl {}\n", SWERVE_VERSION);
    }
    return Exit::done;
}

namespace {

/// Prints what the daemon said about a change it made.
Outcome<Exit> done(const Context& context, const Outcome<Reply>& reply) {
    if (!reply) return fail(reply.error());
    if (context.json) {
        print_json(reply->text);
    } else {
        fmt::print("{}\n", text_at(reply->body, "text"));
    }
    return saved(reply->body, context.json);
}

}  // namespace

Exit saved(const json::object& answer, bool json) {
    const std::string note = text_at(answer, "note");
    if (!json && note != "-") fmt::print(stderr, "swervectl: {}\n", note);
    // A daemon that says nothing of saving has nothing to save.
    const bool unsaved = answer.contains("saved") && !flag_at(answer, "saved");
    return unsaved ? Exit::failed : Exit::done;
}

Outcome<json::object> body_of(std::string_view subject_key, const Words& words) {
    json::object body{{subject_key, words.subject}};
    if (!words.lasting.empty()) {
        const auto lasting = parse_duration("--for", words.lasting);
        if (!lasting) return fail(lasting.error());
        if (lasting->count() % 1000 != 0) {
            return fail(
                usage(fmt::format("--for: '{}' is no whole number of seconds", words.lasting)));
        }
        body["for_s"] = lasting->count() / 1000;
    }
    if (!words.reason.empty()) body["reason"] = words.reason;
    return body;
}

Outcome<Exit> set_override(const Context& context, const std::string& verb, const Words& words) {
    const bool on_prefix = verb == "announce" || verb == "withdraw";
    if (on_prefix) {
        if (const auto valid = require_prefix(words.subject); !valid) return fail(valid.error());
    }
    const auto body = body_of(on_prefix ? "prefix" : "service", words);
    if (!body) return fail(body.error());
    return done(context, context.client.post("/v1/" + verb, *body));
}

Outcome<Exit> clear_overrides(const Context& context, const std::string& subject) {
    return done(context, context.client.post("/v1/auto", {{"subject", subject}}));
}

Outcome<Exit> command_neighbor(const Context& context, const std::string& verb,
                               const Words& words) {
    json::object body{{"neighbor", words.subject}, {"command", verb}};
    if (!words.reason.empty()) body["reason"] = words.reason;
    return done(context, context.client.post("/v1/neighbor", body));
}

Outcome<Exit> end_daemon(const Context& context, bool planned_restart, const std::string& reason) {
    json::object body{{"planned_restart", planned_restart}};
    if (!reason.empty()) body["reason"] = reason;
    return done(context, context.client.post("/v1/stop", body));
}

Outcome<Exit> reload(const Context& context, bool dry_run) {
    // Files that are being written are waited for, and large ones take their time.
    constexpr std::chrono::seconds patience{60};
    const auto reply = context.client.post("/v1/reload", {{"dry_run", dry_run}}, patience);
    if (!reply) return fail(reply.error());
    if (context.json) {
        print_json(reply->text);
        return Exit::done;
    }
    const bool applied = flag_at(reply->body, "applied");
    const std::string change =
        change_text(object_at(reply->body, "change"), applied, context.palette);
    const std::string_view done = change.empty() ? "nothing changes"
                                  : applied      ? "in force"
                                                 : "not applied, this would change";
    fmt::print("{}{}: {}\n{}", faults_text(faults_from(reply->body)), text_at(reply->body, "file"),
               done, change);
    return Exit::done;
}

Outcome<Exit> explain(const Context& context, const std::string& prefix) {
    if (const auto valid = require_prefix(prefix); !valid) return fail(valid.error());
    const auto reply = context.client.get("/v1/explain?prefix=" + percent_encoded(prefix));
    if (!reply) return fail(reply.error());
    if (context.json) {
        print_json(reply->text);
        return Exit::done;
    }
    const json::object& answer = reply->body;
    const bool announced = flag_at(answer, "announced");
    const std::string state = context.palette.paint(announced ? "ANNOUNCED" : "NOT ANNOUNCED",
                                                    announced ? Style::good : Style::bad);
    fmt::print("{}  {}  {}\n", text_at(answer, "prefix"), state, text_at(answer, "summary"));
    Table table{{"", "", "", ""}};
    for (const json::object& step : objects_at(answer, "steps")) {
        const std::string mark = text_at(step, "mark");
        table.add(
            {{""}, {text_at(step, "stage")}, {mark, style_of(mark)}, {text_at(step, "text")}});
    }
    std::fputs(table.to_string(context.palette).c_str(), stdout);
    return Exit::done;
}

}  // namespace swerve::ctl
