// RabbitMQ by its management API: the health checks that tell more than a connection does, and the
// federation links from the upstreams that should be there.

#include <algorithm>
#include <array>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "health/probes/http_client.hpp"
#include "health/probes/rabbitmq_answer.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr std::size_t listeners_limit = 16;
constexpr std::size_t upstreams_limit = 64;

constexpr Field required(Field field) {
    field.required = true;
    return field;
}

constexpr Field federation_members[] = {
    {.name = "virtual_host",
     .kind = FieldKind::string,
     .fallback = "/",
     .help = "Virtual host whose links are looked at."},
    {.name = "upstreams",
     .kind = FieldKind::string_list,
     .required = true,
     .help = "Names of upstreams; from each there must be a link, and all of its links must be "
             "running."},
};

constexpr Field fields[] = {
    {.name = "url",
     .kind = FieldKind::string,
     .required = true,
     .help = "The management API, as http://198.51.100.1:15672; a path is a prefix of the API's."},
    required(username_field),
    required(password_file_field),
    host_field,
    tls_field,
    {.name = "alarms",
     .kind = FieldKind::boolean,
     .fallback = "true",
     .help = "Fail while the node has a memory or disk alarm, which blocks publishers."},
    {.name = "virtual_hosts",
     .kind = FieldKind::boolean,
     .fallback = "true",
     .help = "Fail while a virtual host is down."},
    {.name = "listeners",
     .kind = FieldKind::integer_list,
     .help = "Ports that the node must listen on.",
     .least = 1,
     .most = 65535},
    {.name = "federation",
     .kind = FieldKind::group,
     .help = "Federation links that must be running; the user needs the tag monitoring and "
             "permissions on the virtual host. They depend on other sites: give them a check of "
             "their own with scope shared.",
     .members = federation_members},
};

/// One request of an attempt.
struct Question {
    std::string path;                    ///< below the prefix
    std::string good;                    ///< what it proves when all is well
    std::string virtual_host = {};       ///< of federation
    std::vector<std::string> upstreams;  ///< empty: the question is a health check
};

class RabbitmqProbe final : public HttpClientProbe {
public:
    RabbitmqProbe(HttpServer server, std::vector<Question> questions)
        : HttpClientProbe(std::move(server)), questions_(std::move(questions)) {}

    asio::awaitable<Outcome> ask(const ProbeContext& context) override {
        std::string all;
        for (const Question& question : questions_) {
            HttpRequest request;
            request.path = client_.server().path + question.path;
            request.limit = answer_limit;
            auto answer = co_await client_.exchange(context, std::move(request));
            if (!answer) {
                Outcome outcome = std::move(answer.error());
                outcome.reason += " (" + question.path.substr(0, question.path.find('?')) + ")";
                co_return outcome;
            }
            if (auto fault = judge(question, *answer)) co_return std::move(*fault);
            step(context, question.good);
            all += (all.empty() ? "" : ", ") + question.good;
        }
        co_return passed(std::move(all));
    }

private:
    static std::optional<Outcome> judge(const Question& question, const HttpAnswer& answer);
    static Outcome unexpected(const Question& question, const HttpAnswer& answer);

    std::vector<Question> questions_;
};

std::optional<Outcome> RabbitmqProbe::judge(const Question& question, const HttpAnswer& answer) {
    const bool is_check = question.upstreams.empty();
    const bool is_expected = answer.status == 200 || (is_check && answer.status == 503);
    if (!is_expected) return unexpected(question, answer);
    if (answer.cut) return unsure("the answer to " + question.path + " is longer than 64 KiB");
    if (is_check) return rabbitmq_check_fault(answer.status, answer.body);
    return rabbitmq_federation_fault(answer.body, question.virtual_host, question.upstreams);
}

Outcome RabbitmqProbe::unexpected(const Question& question, const HttpAnswer& answer) {
    if (answer.status == 404 && question.upstreams.empty()) {
        return unsure("HTTP 404: no management API here, or RabbitMQ is too old for its checks");
    }
    if (answer.status == 404) {
        return unsure("HTTP 404: no virtual host " + quoted(question.virtual_host) +
                      ", or the plugin rabbitmq_federation_management is not enabled");
    }
    static constexpr std::array<std::int64_t, 1> good{200};
    Outcome outcome = wrong_status(answer, good, true);
    if (answer.status == 401 || answer.status == 403) {
        if (const std::string why = rabbitmq_refusal(answer.body); !why.empty()) {
            outcome.reason += ", RabbitMQ says " + why;
        }
    }
    return outcome;
}

bool is_on(const FieldMap& values, std::string_view name) {
    const auto* value = get<bool>(values, name);
    return value == nullptr || *value;
}

Result<Question, FieldFault> federation_question(const FieldMap& values) {
    Question out;
    const auto* name = get<std::string>(values, "virtual_host");
    out.virtual_host = name == nullptr ? "/" : *name;
    if (out.virtual_host.empty() || out.virtual_host.size() > 255) {
        return fail(FieldFault{"federation.virtual_host", "must have 1 to 255 octets", ""});
    }
    const auto* upstreams = get<std::vector<std::string>>(values, "upstreams");
    if (upstreams == nullptr || upstreams->empty()) {
        return fail(FieldFault{"federation.upstreams", "is empty",
                               "name the upstreams, or leave federation out"});
    }
    if (upstreams->size() > upstreams_limit) {
        return fail(FieldFault{"federation.upstreams", "has more than 64 names", ""});
    }
    if (std::ranges::find(*upstreams, std::string{}) != upstreams->end()) {
        return fail(FieldFault{"federation.upstreams", "an upstream has a name", ""});
    }
    out.upstreams = *upstreams;
    // A link with all its columns is more than a kilobyte.
    out.path = "/api/federation-links/" + path_segment(out.virtual_host) +
               "?columns=upstream,status,error";
    out.good = "federation links running";
    return out;
}

Result<std::vector<Question>, FieldFault> questions_of(const FieldMap& values) {
    const std::string checks = "/api/health/checks/";
    std::vector<Question> out;
    if (is_on(values, "alarms")) {
        out.push_back({.path = checks + "local-alarms", .good = "no alarms", .upstreams = {}});
    }
    if (is_on(values, "virtual_hosts")) {
        out.push_back(
            {.path = checks + "virtual-hosts", .good = "virtual hosts up", .upstreams = {}});
    }
    if (const auto* ports = get<std::vector<std::int64_t>>(values, "listeners")) {
        if (ports->size() > listeners_limit) {
            return fail(FieldFault{"listeners", "has more than 16 ports", ""});
        }
        for (const std::int64_t port : *ports) {
            const std::string number = std::to_string(port);
            out.push_back({.path = checks + "port-listener/" + number,
                           .good = "listening on " + number,
                           .upstreams = {}});
        }
    }
    if (const auto* federation = get<FieldMap>(values, "federation")) {
        auto question = federation_question(*federation);
        if (!question) return fail(std::move(question.error()));
        out.push_back(std::move(*question));
    }
    if (out.empty()) {
        return fail(FieldFault{"alarms", "with everything off nothing is checked",
                               "leave alarms or virtual_hosts on, or name listeners"});
    }
    return out;
}

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    auto server = http_server(values);
    if (!server) return fail(std::move(server.error()));
    if (server->path.find('?') != std::string::npos) {
        return fail(FieldFault{"url", "a query has no place in the URL of the API",
                               "write it as http://198.51.100.1:15672"});
    }
    while (server->path.ends_with('/')) server->path.pop_back();
    auto questions = questions_of(values);
    if (!questions) return fail(std::move(questions.error()));
    return std::make_unique<RabbitmqProbe>(std::move(*server), std::move(*questions));
}

std::string caveat(const FieldMap& values) {
    std::string out = http_caveat(values);
    if (get<FieldMap>(values, "federation") == nullptr) return out;
    const auto questions = questions_of(values);
    if (!questions || questions->size() == 1) return out;
    if (!out.empty()) out += "; ";
    return out +
           "federation depends on other sites, so an outage there fails this check of the "
           "node: give it a check of its own, with alarms and virtual_hosts off";
}

std::string target(const FieldMap& values) { return *get<std::string>(values, "url"); }

}  // namespace

ProbeType rabbitmq_probe() {
    return {.name = "rabbitmq",
            .help =
                "Asks RabbitMQ's management API for alarms, virtual hosts, listeners and "
                "federation links.",
            .fields = fields,
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
