#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "health/probes/http_client.hpp"
#include "health/probes/json_answer.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"
#include "health/probes/threshold.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;

constexpr Field fields[] = {
    url_field,
    host_field,
    {.name = "pointer",
     .kind = FieldKind::string,
     .required = true,
     .help = "Which value of the document, as a JSON pointer (RFC 6901): /data/0/state; the empty "
             "text is the whole document."},
    {.name = "equals",
     .kind = FieldKind::string,
     .help = "Text that the value must be; numbers, true, false and null as JSON writes them. "
             "Instead of at_least and at_most."},
    at_least_field,
    at_most_field,
    {.name = "status",
     .kind = FieldKind::integer_list,
     .fallback = "[200]",
     .help = "Status codes whose document is looked at; others fail.",
     .least = 200,
     .most = 599},
    username_field,
    password_file_field,
    token_file_field,
    tls_field,
};

struct Expected {
    std::string pointer;
    std::optional<std::string> equals;
    Threshold bounds;
    std::vector<std::int64_t> statuses{200};
};

class HttpJsonProbe final : public HttpClientProbe {
public:
    HttpJsonProbe(HttpServer server, Expected expected)
        : HttpClientProbe(std::move(server)),
          expected_(std::move(expected)),
          place_(expected_.pointer.empty() ? "the document" : escape(expected_.pointer, 80)) {}

    asio::awaitable<Outcome> ask(const ProbeContext& context) override {
        HttpRequest request;
        request.headers = {{"Accept", "application/json"}};
        request.wants_body = [this](unsigned status) { return is_expected(status); };
        request.awaited = ", without the end of the document";
        const auto answer = co_await client_.exchange(context, std::move(request));
        if (!answer) co_return answer.error();
        if (!is_expected(answer->status)) {
            co_return wrong_status(*answer, expected_.statuses, client_.server().has_credentials());
        }
        Outcome outcome = judge(*answer);
        outcome.reason = "HTTP " + std::to_string(answer->status) + ", " + outcome.reason;
        co_return outcome;
    }

private:
    [[nodiscard]] bool is_expected(unsigned status) const {
        return std::ranges::find(expected_.statuses, std::int64_t{status}) !=
               expected_.statuses.end();
    }

    [[nodiscard]] Outcome judge(const HttpAnswer& answer) const {
        if (answer.cut) return unsure("but the document is longer than 64 KiB");
        const auto document = parse_json(answer.body);
        if (!document) return unsure("but " + document.error());
        const json::value* value = json_at(*document, expected_.pointer);
        if (value == nullptr) return unsure("but there is no " + place_ + " in the document");
        return expected_.equals ? compare_text(*value) : compare_number(*value);
    }

    [[nodiscard]] Outcome compare_text(const json::value& value) const {
        const auto text = json_scalar(value);
        if (!text) return unsure(place_ + " is " + json_text(value));
        if (*text == *expected_.equals) return passed(place_ + " is " + quoted(*text));
        return failed(place_ + " is " + quoted(*text) + " instead of " + quoted(*expected_.equals));
    }

    /// Some servers write their numbers as strings.
    [[nodiscard]] Outcome compare_number(const json::value& value) const {
        std::optional<double> number;
        if (value.is_number() || value.is_string()) number = number_in(*json_scalar(value));
        if (!number || *number != *number) {
            return unsure(place_ + " is " +
                          (value.is_string() ? quoted(*json_scalar(value)) : json_text(value)) +
                          ", no number");
        }
        const std::string is = place_ + " is " + number_text(*number);
        if (expected_.bounds.holds(*number)) return passed(is);
        return failed(is + expected_.bounds.missed(*number));
    }

    Expected expected_;
    std::string place_;  ///< of the value, for reasons
};

Result<Expected, FieldFault> expectations(const FieldMap& values) {
    Expected out;
    out.pointer = *get<std::string>(values, "pointer");
    if (const auto why = bad_json_pointer(out.pointer)) {
        return fail(FieldFault{"pointer", quoted(out.pointer) + " " + *why, "like /data/0/state"});
    }
    auto bounds = Threshold::from(values);
    if (!bounds) return fail(std::move(bounds.error()));
    out.bounds = *bounds;
    if (const auto* text = get<std::string>(values, "equals")) out.equals = *text;
    if (out.equals && out.bounds.is_given()) {
        return fail(FieldFault{"equals", "contradicts at_least and at_most", "leave one out"});
    }
    if (!out.equals && !out.bounds.is_given()) {
        return fail(
            FieldFault{"", "nothing says which value passes", "give equals, at_least or at_most"});
    }
    if (const auto* statuses = get<std::vector<std::int64_t>>(values, "status")) {
        if (statuses->empty()) return fail(FieldFault{"status", "is empty", "name a status code"});
        out.statuses = *statuses;
    }
    return out;
}

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    auto server = http_server(values);
    if (!server) return fail(std::move(server.error()));
    auto expected = expectations(values);
    if (!expected) return fail(std::move(expected.error()));
    return std::make_unique<HttpJsonProbe>(std::move(*server), std::move(*expected));
}

std::string target(const FieldMap& values) {
    return *get<std::string>(values, "url") + " " + escape(*get<std::string>(values, "pointer"));
}

}  // namespace

ProbeType http_json_probe() {
    return {.name = "http_json",
            .help =
                "GETs a JSON document and compares one value of it. An answer that is no JSON, or "
                "lacks the value, is `unknown`.",
            .fields = fields,
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .make = make,
            .caveat = http_caveat,
            .target = target};
}

}  // namespace swerve::health
