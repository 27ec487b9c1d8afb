#include "health/probes/rabbitmq_answer.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <utility>
#include <vector>

#include "health/probes/json_answer.hpp"
#include "health/probes/runtime.hpp"

namespace swerve::health {
namespace {

namespace json = boost::json;

/// How many of a kind a reason names.
constexpr std::size_t named_limit = 4;

bool says(const json::value* value, std::string_view expected) {
    return value != nullptr && value->is_string() &&
           std::string_view{value->get_string().data(), value->get_string().size()} == expected;
}

std::string in_quotes(const json::value& value) { return "'" + json_text(value) + "'"; }

/// "a, b, c, d and 3 more".
std::string listed(const std::vector<std::string>& names) {
    std::string out;
    const std::size_t count = std::min(names.size(), named_limit);
    for (std::size_t i = 0; i < count; ++i) out += (i == 0 ? "" : ", ") + names[i];
    if (names.size() > count) out += " and " + std::to_string(names.size() - count) + " more";
    return out;
}

/// Of the list at `pointer`, what `name` makes of its members; empty if there is none.
template <class Name>
std::vector<std::string> names_at(const json::value& document, std::string_view pointer,
                                  Name name) {
    std::vector<std::string> out;
    const json::value* list = json_at(document, pointer);
    if (list == nullptr || !list->is_array()) return out;
    for (const json::value& member : list->get_array()) out.push_back(name(member));
    return out;
}

std::string alarm_text(const json::value& alarm) {
    const json::value* resource = json_at(alarm, "/resource");
    const json::value* node = json_at(alarm, "/node");
    std::string out = resource == nullptr ? "an unnamed resource" : json_text(*resource);
    if (node != nullptr) out += " on " + in_quotes(*node);
    return out;
}

/// Why a check is not passed, as each kind of check says it.
std::string failure_text(const json::value& document) {
    if (const auto alarms = names_at(document, "/alarms", alarm_text); !alarms.empty()) {
        return "alarm in effect, which blocks publishers: " + listed(alarms);
    }
    if (const auto down = names_at(document, "/virtual-hosts", in_quotes); !down.empty()) {
        return "virtual hosts down: " + listed(down);
    }
    if (const json::value* missing = json_at(document, "/missing")) {
        return "no listener on port " + json_text(*missing);
    }
    const json::value* reason = json_at(document, "/reason");
    return reason == nullptr ? "the check failed without a reason"
                             : "the check failed: " + in_quotes(*reason);
}

/// What is wrong with the links from one upstream; empty if nothing is.
std::string upstream_fault(const json::array& links, const std::string& upstream) {
    bool is_there = false;
    for (const json::value& link : links) {
        if (!says(json_at(link, "/upstream"), upstream)) continue;
        is_there = true;
        const json::value* status = json_at(link, "/status");
        if (says(status, "running")) continue;
        std::string out = "link from " + quoted(upstream) + " is ";
        out += status == nullptr ? "without a status" : in_quotes(*status);
        if (const json::value* error = json_at(link, "/error")) out += ": " + in_quotes(*error);
        return out;
    }
    return is_there ? "" : "no link from " + quoted(upstream);
}

}  // namespace

std::optional<Outcome> rabbitmq_check_fault(unsigned status, std::string_view body) {
    const auto document = parse_json(body);
    if (!document) {
        // A proxy in front says 503 in its own words, and the site is as useless then.
        if (status == 503) return failed("HTTP 503: " + document.error());
        return unsure("no answer of RabbitMQ's management API: " + document.error());
    }
    const json::value* said = json_at(*document, "/status");
    if (says(said, "failed") || status == 503) return failed(failure_text(*document));
    if (says(said, "ok")) return std::nullopt;
    return unsure("no answer of RabbitMQ's management API: JSON without a status");
}

std::optional<Outcome> rabbitmq_federation_fault(std::string_view body,
                                                 std::string_view virtual_host,
                                                 std::span<const std::string> upstreams) {
    const auto document = parse_json(body);
    if (!document) return unsure("the list of federation links: " + document.error());
    if (!document->is_array()) {
        return unsure("the list of federation links is " + json_text(*document));
    }
    const json::array& links = document->get_array();
    std::vector<std::string> faults;
    for (const std::string& upstream : upstreams) {
        if (std::string fault = upstream_fault(links, upstream); !fault.empty()) {
            faults.push_back(std::move(fault));
        }
    }
    if (faults.empty()) return std::nullopt;
    std::string reason =
        "federation of virtual host " + quoted(virtual_host) + ": " + listed(faults);
    // RabbitMQ shows a user without permissions there an empty list, with status 200.
    if (links.empty()) reason += " (nothing listed: may the user see this virtual host?)";
    return failed(std::move(reason));
}

std::string rabbitmq_refusal(std::string_view body) {
    const auto document = parse_json(body);
    if (!document) return "";
    const json::value* reason = json_at(*document, "/reason");
    return reason != nullptr && reason->is_string() ? in_quotes(*reason) : "";
}

std::string path_segment(std::string_view name) {
    static constexpr std::string_view hex = "0123456789ABCDEF";
    std::string out;
    for (const char each : name) {
        const bool is_unreserved = (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') ||
                                   (each >= '0' && each <= '9') || each == '-' || each == '.' ||
                                   each == '_' || each == '~';
        const auto octet = static_cast<unsigned char>(each);
        if (is_unreserved) {
            out += each;
        } else {
            out += {'%', hex[octet >> 4U], hex[octet & 0xfU]};
        }
    }
    return out;
}

}  // namespace swerve::health
