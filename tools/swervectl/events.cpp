#include <boost/json/parse.hpp>
#include <cstdio>

#include "tools/swervectl/commands.hpp"
#include "tools/swervectl/tables.hpp"

namespace swerve::ctl {

namespace json = boost::json;

namespace {

Outcome<Exit> live(const Context& context, std::optional<std::uint64_t> since) {
    auto stream = context.client.follow(since);
    if (!stream) return fail(stream.error());
    while (true) {
        const auto line = stream->next(std::nullopt);
        if (!line) return fail(line.error());
        const std::optional<std::string>& text = *line;
        if (!text) continue;
        boost::system::error_code why;
        const json::value event = json::parse(*text, why);
        if (why || !event.is_object()) {
            return fail(Failure{Exit::failed, "bad_answer", "an event is no JSON object", ""});
        }
        if (context.json) {
            print_json(*text);
        } else {
            std::fputs(event_line(event.get_object(), context.palette).c_str(), stdout);
        }
        // A pipe gets each event when it happens, not when a buffer is full.
        std::fflush(stdout);
    }
}

}  // namespace

Outcome<Exit> events(const Context& context, bool follow, std::optional<std::uint64_t> since) {
    if (follow) return live(context, since);
    const auto reply =
        context.client.get("/v1/events" + (since ? "?since=" + std::to_string(*since) : ""));
    if (!reply) return fail(reply.error());
    if (context.json) {
        print_json(reply->text);
    } else {
        std::fputs(events_table(reply->body, context.palette).c_str(), stdout);
    }
    return Exit::done;
}

}  // namespace swerve::ctl
