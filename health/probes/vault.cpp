// Vault and OpenBao, by the status that /v1/sys/health answers with; it takes no token. The table
// is that of their API documentation; OpenBao has 200, 429, 501 and 503 of it.

#include <algorithm>
#include <array>
#include <boost/json/object.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "health/probes/api_server.hpp"
#include "health/probes/json_answer.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr std::string_view health_path = "/v1/sys/health";

constexpr Field fields[] = {
    url_field,
    host_field,
    tls_field,
    {.name = "standby_ok",
     .kind = FieldKind::boolean,
     .fallback = "false",
     .help = "A standby, which hands requests on to the active node, passes."},
    {.name = "performance_standby_ok",
     .kind = FieldKind::boolean,
     .fallback = "false",
     .help = "A performance standby, which reads by itself, passes."},
};

enum class Node : std::uint8_t { active, standby, performance_standby, useless };

struct Status {
    unsigned code;
    Node node;
    std::string_view meaning;
};

constexpr std::array<Status, 8> statuses{{
    {200, Node::active, "active"},
    {429, Node::standby, "standby"},
    {472, Node::useless,
     "secondary for disaster recovery, which serves nobody until it is promoted"},
    {473, Node::performance_standby, "performance standby"},
    {474, Node::useless, "standby that cannot reach the active node"},
    {501, Node::useless, "not initialized"},
    {503, Node::useless, "sealed"},
    {530, Node::useless, "removed from the cluster"},
}};

class VaultProbe final : public Probe {
public:
    VaultProbe(HttpServer server, bool standby_ok, bool performance_standby_ok)
        : client_(std::move(server)),
          standby_ok_(standby_ok),
          performance_standby_ok_(performance_standby_ok) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        HttpRequest request;
        request.path = api_path(client_.server(), health_path);
        const auto answer = co_await client_.exchange(context, std::move(request));
        if (!answer) co_return answer.error();
        co_return judge(*answer);
    }

private:
    [[nodiscard]] Outcome judge(const HttpAnswer& answer) const;

    HttpClient client_;
    bool standby_ok_;
    bool performance_standby_ok_;
};

/// Why a body is not what Vault says of a node that serves. Anybody answers 200, and a proxy 429.
std::optional<Outcome> contradiction(const HttpAnswer& answer) {
    const auto document = json_answer(answer, "Vault", false);
    if (!document) return document.error();
    const auto* initialized = json_at(*document, "/initialized");
    const auto* sealed = json_at(*document, "/sealed");
    const std::string begin = "HTTP " + std::to_string(answer.status) + ", but ";
    if (initialized == nullptr || sealed == nullptr || !initialized->is_bool() ||
        !sealed->is_bool()) {
        return unsure(begin + "the body does not say whether Vault is initialized and sealed");
    }
    if (!initialized->get_bool()) return failed(begin + "the body says not initialized");
    if (sealed->get_bool()) return failed(begin + "the body says sealed");
    return std::nullopt;
}

/// Whether Vault itself wrote the body. Proxies know 501 and 503, too.
bool is_of_vault(const HttpAnswer& answer) {
    const auto document = parse_json(answer.body);
    const auto* sealed = document ? json_at(*document, "/sealed") : nullptr;
    return sealed != nullptr && sealed->is_bool();
}

Outcome VaultProbe::judge(const HttpAnswer& answer) const {
    const auto* const found = std::ranges::find(statuses, answer.status, &Status::code);
    if (found == statuses.end()) return refused(answer, false);
    const std::string said =
        std::string{found->meaning} + " (HTTP " + std::to_string(answer.status) + ")";
    std::string_view key;
    if (found->node == Node::standby && !standby_ok_) key = "standby_ok";
    if (found->node == Node::performance_standby && !performance_standby_ok_) {
        key = "performance_standby_ok";
    }
    if (!key.empty()) return failed(said + ", and `" + std::string{key} + "` is not set");
    if ((answer.status == 501 || answer.status == 503) && !is_of_vault(answer)) {
        return failed("HTTP " + std::to_string(answer.status) +
                      ", but not in Vault's words: does a proxy in front find no node?");
    }
    if (found->node == Node::useless) return failed(said);
    if (auto other = contradiction(answer)) return std::move(*other);
    return passed(said);
}

bool is_set(const FieldMap& values, std::string_view name) {
    const auto* value = get<bool>(values, name);
    return value != nullptr && *value;
}

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    auto server = api_server(values, health_path);
    if (!server) return fail(std::move(server.error()));
    return std::make_unique<VaultProbe>(std::move(*server), is_set(values, "standby_ok"),
                                        is_set(values, "performance_standby_ok"));
}

std::string caveat(const FieldMap& values) {
    return api_caveat(
        values, "a service that keeps the secrets it has read lives on while Vault is sealed");
}

}  // namespace

ProbeType vault_probe() {
    return {.name = "vault",
            .help = "Asks Vault or OpenBao for the health of a node.",
            .fields = fields,
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .asks_scope = true,
            .make = make,
            .caveat = caveat,
            .target = url_target};
}

}  // namespace swerve::health
