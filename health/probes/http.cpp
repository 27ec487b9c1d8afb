#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "health/probes/http_client.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr Field expect_members[] = {
    {.name = "status",
     .kind = FieldKind::integer_list,
     .fallback = "[200]",
     .help = "Status codes that pass; redirects are not followed.",
     .least = 200,
     .most = 599},
    {.name = "body",
     .kind = FieldKind::string,
     .help = "Text that must occur in the first 64 KiB of the body."},
};

constexpr Field fields[] = {
    {.name = "url",
     .kind = FieldKind::string,
     .required = true,
     .help = "What to GET, http or https; the host is an IP address."},
    host_field,
    {.name = "expect",
     .kind = FieldKind::group,
     .help = "What the answer must look like.",
     .members = expect_members},
    username_field,
    password_file_field,
    token_file_field,
    tls_field,
};

struct Expected {
    std::vector<std::int64_t> statuses{200};
    std::string body;  ///< empty: the header is enough

    [[nodiscard]] bool has(unsigned status) const {
        return std::ranges::find(statuses, std::int64_t{status}) != statuses.end();
    }
};

class HttpProbe final : public HttpClientProbe {
public:
    HttpProbe(HttpServer server, Expected expected)
        : HttpClientProbe(std::move(server)), expected_(std::move(expected)) {}

    asio::awaitable<Outcome> ask(const ProbeContext& context) override {
        bool found = false;
        std::size_t seen = 0;
        HttpRequest request;
        request.wants_body = [this](unsigned status) {
            return expected_.has(status) && !expected_.body.empty();
        };
        request.enough = [this, &found, &seen](std::string_view body) {
            // The text may have begun in the last bytes of the read before.
            const std::size_t from = seen - std::min(seen, expected_.body.size() - 1);
            found = body.find(expected_.body, from) != std::string_view::npos;
            seen = body.size();
            return found;
        };
        if (!expected_.body.empty()) request.awaited = ", without " + quoted(expected_.body);
        const auto answer = co_await client_.exchange(context, std::move(request));
        if (!answer) co_return answer.error();
        co_return judge(*answer, found);
    }

private:
    [[nodiscard]] Outcome judge(const HttpAnswer& answer, bool found) const {
        if (!expected_.has(answer.status)) {
            return wrong_status(answer, expected_.statuses, client_.server().has_credentials());
        }
        const std::string status = "HTTP " + std::to_string(answer.status);
        if (expected_.body.empty()) return passed(status);
        if (found) return passed(status + ", body contains " + quoted(expected_.body));
        return failed(status +
                      (answer.cut ? ", but the first 64 KiB of the body do not contain "
                                  : ", but the body does not contain ") +
                      quoted(expected_.body));
    }

    Expected expected_;
};

Result<Expected, FieldFault> expectations(const FieldMap& values) {
    Expected out;
    const auto* expect = get<FieldMap>(values, "expect");
    if (expect == nullptr) return out;
    if (const auto* statuses = get<std::vector<std::int64_t>>(*expect, "status")) {
        if (statuses->empty()) {
            return fail(FieldFault{"expect.status", "is empty", "name a status code"});
        }
        out.statuses = *statuses;
    }
    if (const auto* body = get<std::string>(*expect, "body")) {
        if (body->empty()) return fail(FieldFault{"expect.body", "is empty", "leave the key out"});
        if (body->size() > answer_limit) {
            return fail(FieldFault{"expect.body", "is longer than 64 KiB", ""});
        }
        out.body = *body;
    }
    return out;
}

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    auto server = http_server(values);
    if (!server) return fail(std::move(server.error()));
    auto expected = expectations(values);
    if (!expected) return fail(std::move(expected.error()));
    return std::make_unique<HttpProbe>(std::move(*server), std::move(*expected));
}

std::string target(const FieldMap& values) { return *get<std::string>(values, "url"); }

}  // namespace

ProbeType http_probe() {
    return {.name = "http",
            .help = "GETs a page over http or https and looks at status and body.",
            .fields = fields,
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .make = make,
            .caveat = http_caveat,
            .target = target};
}

}  // namespace swerve::health
