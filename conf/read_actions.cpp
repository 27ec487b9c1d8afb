// Who is told of changes: hooks and webhooks.

#include <algorithm>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <set>

#include "conf/draft.hpp"

namespace swerve::conf {

namespace {

/// What both kinds say: on what, and of which services.
template <class Action>
void read_audience(const Section& section, const Names* services, Action& out) {
    using enum Occasion;
    const auto words = section.list<std::string>("on").value_or(std::vector<std::string>{});
    for (const Occasion occasion : {announce, degrade, drain, withdraw, alarm}) {
        if (std::ranges::find(words, to_string(occasion)) != words.end()) out.on.insert(occasion);
    }
    out.services = read_service_names(section, services);
    for (const std::string_view key : {"on", "services"}) {
        const YamlNode* list = section.find(key);
        const bool is_empty =
            list != nullptr && list->kind == YamlNode::Kind::list && list->items.empty();
        if (is_empty) section.fault(key, "has no members", "it would never be told anything");
    }
    const YamlNode* on = section.find("on");
    if (on == nullptr || on->kind != YamlNode::Kind::list) return;
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < on->items.size(); ++i) {
        if (seen.insert(on->items[i].text).second) continue;
        section.faults().add(on->items[i].place,
                             section.path_of("on") + "[" + std::to_string(i) + "]",
                             quote(on->items[i].text) + " is given twice");
    }
}

Hook read_hook(const Section& section, const std::string& name, const Names* services) {
    Hook out{.name = name, .argv = {}, .on = {}};
    out.argv = section.list<std::string>("run").value_or(out.argv);
    out.timeout = section.get<Duration>("timeout").value_or(out.timeout);
    read_audience(section, services, out);
    if (!section.has("run") || !section.faults().sound(section.path_of("run"))) return out;
    const auto holds_zero = [](const std::string& word) {
        return word.find('\0') != std::string::npos;
    };
    if (out.argv.empty() || out.argv.front().empty()) {
        section.fault("run", "names no program", "write [/usr/lib/x, argument]");
    } else if (!out.argv.front().starts_with('/')) {
        section.fault("run", quote(out.argv.front()) + " is not an absolute path",
                      "no shell and no PATH is asked");
    } else if (std::ranges::any_of(out.argv, holds_zero)) {
        section.fault("run", "holds a zero octet");
    }
    return out;
}

/// Why nothing can be posted to this URL, which the reason calls `shown`; nothing if it can.
std::optional<Refusal> refuse_url(const std::string& text, const std::string& shown) {
    namespace urls = boost::urls;
    const auto url = urls::parse_uri(text);
    if (!url) return Refusal{shown + " is not a URL", "like https://ops.example/hook"};
    const bool speaks_http =
        url->scheme_id() == urls::scheme::http || url->scheme_id() == urls::scheme::https;
    if (!speaks_http) return Refusal{shown + " is neither http:// nor https://", {}};
    // Not shown: it would be what must not be there.
    if (url->has_userinfo()) {
        return Refusal{"a user name or password has no place in a URL",
                       "give a token in bearer_file"};
    }
    if (url->host().empty()) return Refusal{shown + " names no host", {}};
    if (url->has_port() && !url->port().empty() && url->port_number() == 0) {
        return Refusal{shown + " names no port", "ports are 1..65535"};
    }
    if (url->has_fragment()) return Refusal{"a fragment (#) is never sent", "remove it"};
    return std::nullopt;
}

/// The one of `url` and `url_file` that is there.
void read_url(const Section& section, const std::string& directory, Webhook& out) {
    constexpr std::size_t most = 2000;
    out.url = section.get<std::string>("url").value_or("");
    const bool is_in_file = section.has("url_file");
    if (!section.has("url") && !is_in_file) {
        section.missing("url", "or url_file, where it is a secret");
        return;
    }
    if (section.has("url") && is_in_file) {
        section.fault("url_file", "`url` is given, too", "leave one of them out");
        return;
    }
    std::string shown = quote(out.url);
    if (is_in_file) {
        auto secret = read_secret(section, "url_file", directory, most, "a URL");
        if (!secret) return;
        out.url = std::move(secret->text);
        out.url_file = std::move(secret->file);
        shown = "what " + quote(out.url_file) + " holds";
    }
    const std::string_view key = is_in_file ? "url_file" : "url";
    if (!section.faults().sound(section.path_of(key))) return;
    if (auto refusal = refuse_url(out.url, shown)) {
        section.fault(key, std::move(refusal->message), std::move(refusal->hint));
    }
}

Webhook read_webhook(const Section& section, const std::string& name, const std::string& directory,
                     const Names* services) {
    constexpr std::size_t most = 4000;  // of a header, what servers usually take
    Webhook out{.name = name, .url = {}, .on = {}};
    read_url(section, directory, out);
    out.timeout = section.get<Duration>("timeout").value_or(out.timeout);
    out.attempts = section.get<unsigned>("attempts").value_or(out.attempts);
    read_audience(section, services, out);
    if (auto secret = read_secret(section, "bearer_file", directory, most, "a bearer token")) {
        out.bearer_file = std::move(secret->file);
        out.bearer = std::move(secret->text);
    }
    return out;
}

}  // namespace

void read_actions(Draft& draft, const Section& root, const Names* services) {
    for (const auto& [name, origin] : root.entries("hooks")) {
        const Section section{root.faults(), *origin.node, origin.path,
                              find_key(schema(), "hooks")->members};
        draft.config.hooks.push_back(read_hook(section, name, services));
    }
    for (const auto& [name, origin] : root.entries("webhooks")) {
        const Section section{root.faults(), *origin.node, origin.path,
                              find_key(schema(), "webhooks")->members};
        draft.config.webhooks.push_back(read_webhook(section, name, draft.directory, services));
    }
}

}  // namespace swerve::conf
