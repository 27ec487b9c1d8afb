// Ceph by the Prometheus exporter of its manager. The manager is not the cluster: what it does not
// say is unknown, and only what it says of the cluster's health fails.

#include <array>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <utility>

#include "health/probes/ceph_page.hpp"
#include "health/probes/http_client.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

/// Clusters of thousands of disks fill megabytes.
constexpr std::size_t page_limit = 4UZ * 1024 * 1024;

constexpr Field fields[] = {
    {.name = "url",
     .kind = FieldKind::string,
     .required = true,
     .help = "The exporter of the active manager, as http://198.51.100.1:9283/metrics; /metrics "
             "if it has no path."},
    host_field,
    tls_field,
    {.name = "worst",
     .kind = FieldKind::string,
     .fallback = "warn",
     .help = "The worst health that passes: ok or warn."},
};

class CephProbe final : public Probe {
public:
    CephProbe(HttpServer server, CephHealth worst) : client_(std::move(server)), worst_(worst) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        CephPage page;
        HttpRequest request;
        request.limit = page_limit;
        request.wants_body = [](unsigned status) { return status == 200; };
        request.take = [&page](std::string_view piece) { page.feed(piece); };
        request.awaited = ", without the end of the page";
        auto answer = co_await client_.exchange(context, std::move(request));
        if (!answer) {
            // What it said before it broke off stands.
            if (Outcome seen = page.judge(worst_, true); seen.result == ProbeResult::fail) {
                co_return seen;
            }
            if (answer.error().result == ProbeResult::fail) {
                co_return says_nothing(std::move(answer.error()));
            }
            co_return std::move(answer.error());
        }
        if (answer->status != 200) {
            static constexpr std::array<std::int64_t, 1> good{200};
            // A standby manager may be told to answer with an error, and one that has no fresh
            // figures says 503.
            co_return says_nothing(wrong_status(*answer, good, true));
        }
        if (!answer->cut) page.end();
        co_return page.judge(worst_, answer->cut);
    }

private:
    /// The cluster serves on without its manager.
    static Outcome says_nothing(Outcome outcome) {
        outcome.result = ProbeResult::unknown;
        outcome.reason += ": the manager says nothing of the cluster";
        return outcome;
    }

    HttpClient client_;
    CephHealth worst_;
};

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    auto server = http_server(values);
    if (!server) return fail(std::move(server.error()));
    if (server->path == "/") server->path = "/metrics";
    const auto* worst = get<std::string>(values, "worst");
    if (worst != nullptr && *worst != "ok" && *worst != "warn") {
        return fail(FieldFault{"worst", quoted(*worst) + " is neither ok nor warn", ""});
    }
    const bool is_strict = worst != nullptr && *worst == "ok";
    return std::make_unique<CephProbe>(std::move(*server),
                                       is_strict ? CephHealth::ok : CephHealth::warn);
}

std::string target(const FieldMap& values) { return *get<std::string>(values, "url"); }

}  // namespace

ProbeType ceph_probe() {
    return {.name = "ceph",
            .help =
                "Reads the cluster's health from the exporter of Ceph's manager. What the "
                "manager does not say is `unknown`.",
            .fields = fields,
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .make = make,
            .caveat = http_caveat,
            .target = target};
}

}  // namespace swerve::health
