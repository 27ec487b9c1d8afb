// The API server of a Kubernetes cluster, by /readyz?verbose, which names the checks that fail.

#include <memory>
#include <string>
#include <utility>

#include "health/probes/api_server.hpp"
#include "health/probes/readyz.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr std::string_view ready_path = "/readyz";
constexpr std::size_t longest_name = 80;

constexpr Field fields[] = {url_field, host_field, tls_field, token_file_field};

class KubernetesProbe final : public HttpClientProbe {
public:
    using HttpClientProbe::HttpClientProbe;

    asio::awaitable<Outcome> ask(const ProbeContext& context) override {
        HttpRequest request;
        request.path = api_path(client_.server(), std::string{ready_path} + "?verbose");
        const auto answer = co_await client_.exchange(context, std::move(request));
        if (!answer) co_return answer.error();
        co_return judge(*answer);
    }

private:
    [[nodiscard]] Outcome judge(const HttpAnswer& answer) const;
    [[nodiscard]] bool has_token() const { return !client_.server().token_file.empty(); }
};

std::string names_of(const Readyz& readyz) {
    std::string out;
    for (const std::string& name : readyz.failed_names) {
        out += (out.empty() ? "" : ", ") + escape(name, longest_name);
    }
    if (readyz.failed > readyz.failed_names.size()) {
        out += " and " + std::to_string(readyz.failed - readyz.failed_names.size()) + " more";
    }
    return out;
}

Outcome KubernetesProbe::judge(const HttpAnswer& answer) const {
    const Readyz readyz = parse_readyz(answer.body);
    const std::string status = "HTTP " + std::to_string(answer.status);
    if (readyz.failed > 0 && (answer.status == 200 || answer.status == 500)) {
        return failed("not ready: " + names_of(readyz) + " failed (" + status + ")");
    }
    if (answer.status != 200) return refused(answer, has_token());
    if (answer.cut) return unsure("HTTP 200, but the answer is longer than 64 KiB");
    // Any server may say "ok", and a text may break off before a check that failed.
    if (!readyz.is_readyz || !readyz.is_closed) {
        return unsure("HTTP 200, but no answer of an API server");
    }
    return passed("ready, " + std::to_string(readyz.passed) + " checks passed");
}

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    auto server = api_server(values, ready_path);
    if (!server) return fail(std::move(server.error()));
    return std::make_unique<KubernetesProbe>(std::move(*server));
}

std::string caveat(const FieldMap& values) {
    return api_caveat(values, "the pods keep serving while the API server is down");
}

}  // namespace

ProbeType kubernetes_probe() {
    return {.name = "kubernetes",
            .help = "Asks the API server of a Kubernetes cluster whether it is ready.",
            .fields = fields,
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .asks_scope = true,
            .make = make,
            .caveat = caveat,
            .target = url_target};
}

}  // namespace swerve::health
