// Consul: a leader is known, and enough instances of a service pass. The paths and what they answer
// are those of its API documentation.

#include <boost/json/array.hpp>
#include <boost/json/string.hpp>
#include <memory>
#include <string>
#include <utility>

#include "health/probes/api_server.hpp"
#include "health/probes/json_answer.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"
#include "health/probes/secret.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr std::string_view leader_path = "/v1/status/leader";
/// An instance is about a kilobyte.
constexpr std::size_t instances_limit = 1024UZ * 1024;
constexpr std::size_t longest_name = 256;

constexpr Field fields[] = {
    url_field,
    host_field,
    tls_field,
    {.name = "token_file",
     .kind = FieldKind::absolute_path,
     .help = "File with an ACL token in one line, for its owner and group alone; sent as "
             "X-Consul-Token, read at every attempt."},
    {.name = "service",
     .kind = FieldKind::string,
     .help = "A service in Consul's catalogue of which instances must pass."},
    {.name = "passing",
     .kind = FieldKind::integer,
     .fallback = "1",
     .help = "How many of them at least.",
     .least = 1,
     .most = 1000},
};

struct Wanted {
    std::string service;  ///< empty: the leader alone
    std::size_t passing = 1;
};

class ConsulProbe final : public HttpClientProbe {
public:
    ConsulProbe(HttpServer server, std::string token_file, Wanted wanted)
        : HttpClientProbe(std::move(server)),
          token_file_(std::move(token_file)),
          wanted_(std::move(wanted)) {}

    asio::awaitable<Outcome> ask(const ProbeContext& context) override;

private:
    asio::awaitable<Result<boost::json::value, Outcome>> get_json(const ProbeContext& context,
                                                                  std::string path);

    std::string token_file_;
    Wanted wanted_;
};

asio::awaitable<Result<boost::json::value, Outcome>> ConsulProbe::get_json(
    const ProbeContext& context, std::string path) {
    HttpRequest request;
    request.path = api_path(client_.server(), path);
    request.limit = instances_limit;
    if (!token_file_.empty()) {
        auto token = read_secret(token_file_);
        if (!token) co_return fail(unsure("token_file " + token.error()));
        request.secrets.push_back(*token);
        request.headers.emplace_back("X-Consul-Token", std::move(*token));
    }
    const auto answer = co_await client_.exchange(context, std::move(request));
    if (!answer) co_return fail(answer.error());
    if (answer->status != 200) co_return fail(refused(*answer, !token_file_.empty()));
    co_return json_answer(*answer, "Consul", !token_file_.empty());
}

asio::awaitable<Outcome> ConsulProbe::ask(const ProbeContext& context) {
    const auto leader = co_await get_json(context, std::string{leader_path});
    if (!leader) co_return leader.error();
    if (!leader->is_string()) {
        co_return unsure("no answer of Consul: the leader is " + json_text(*leader));
    }
    if (leader->get_string().empty()) co_return failed("the cluster has no leader");
    // An address with its port, as every Consul says it.
    if (leader->get_string().find(':') == boost::json::string::npos) {
        co_return unsure("no answer of Consul: the leader is " + json_text(*leader));
    }
    const std::string led = "leader " + json_text(*leader);
    step(context, led);
    if (wanted_.service.empty()) co_return passed(led);

    const auto instances =
        co_await get_json(context, "/v1/health/service/" + wanted_.service + "?passing");
    if (!instances) co_return instances.error();
    if (!instances->is_array()) {
        co_return unsure("no answer of Consul: the instances are " + json_text(*instances));
    }
    const std::size_t count = instances->get_array().size();
    const std::string found = std::to_string(count) + " passing of " + wanted_.service;
    if (count >= wanted_.passing) co_return passed(led + ", " + found);
    std::string reason = found + " instead of " + std::to_string(wanted_.passing);
    // Consul answers 200 with an empty list to whom may not read the service.
    if (count == 0) reason += "; without service:read a token sees none";
    co_return failed(std::move(reason));
}

/// It stands in a path as it is.
bool is_service_name(std::string_view name) {
    constexpr std::string_view allowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    return !name.empty() && name.size() <= longest_name &&
           name.find_first_not_of(allowed) == std::string_view::npos;
}

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    // The token has a header of its own, so it is no business of HTTP's.
    FieldMap of_http = values;
    of_http.erase("token_file");
    auto server = api_server(of_http, leader_path);
    if (!server) return fail(std::move(server.error()));
    Wanted wanted;
    if (const auto* service = get<std::string>(values, "service")) {
        if (!is_service_name(*service)) {
            return fail(FieldFault{"service", quoted(*service) + " is no name of a service",
                                   "letters, digits, -, _ and . only"});
        }
        wanted.service = *service;
    }
    if (const auto* passing = get<std::int64_t>(values, "passing")) {
        if (wanted.service.empty() && *passing != 1) {
            return fail(FieldFault{"passing", "of which service?", "name it in `service`"});
        }
        wanted.passing = static_cast<std::size_t>(*passing);
    }
    const auto* token_file = get<std::string>(values, "token_file");
    return std::make_unique<ConsulProbe>(std::move(*server), token_file ? *token_file : "",
                                         std::move(wanted));
}

std::string caveat(const FieldMap& values) {
    const bool has_service = get<std::string>(values, "service") != nullptr;
    return api_caveat(values,
                      has_service ? "" : "a leader says nothing of the services that Consul knows");
}

}  // namespace

ProbeType consul_probe() {
    return {.name = "consul",
            .help = "Asks Consul for its leader and for the passing instances of a service.",
            .fields = fields,
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .asks_scope = true,
            .make = make,
            .caveat = caveat,
            .target = url_target};
}

}  // namespace swerve::health
