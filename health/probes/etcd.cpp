// etcd by /health, which a member answers with true only after a read that its cluster's quorum has
// agreed to.

#include <array>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>
#include <utility>

#include "health/probes/etcd_answer.hpp"
#include "health/probes/http_client.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr Field fields[] = {
    {.name = "url",
     .kind = FieldKind::string,
     .required = true,
     .help = "A member's client or metrics address, as https://198.51.100.1:2379; a path is a "
             "prefix of /health."},
    host_field,
    tls_field,
};

class EtcdProbe final : public Probe {
public:
    explicit EtcdProbe(HttpServer server) : client_(std::move(server)) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        // Not made within the argument: g++ 12 destroys it twice there.
        HttpRequest request;
        auto answer = co_await client_.exchange(context, std::move(request));
        if (!answer) co_return std::move(answer.error());
        if (answer->status == 404) co_return unsure("HTTP 404: no /health of etcd here");
        if (answer->status != 200 && answer->status != 503) {
            static constexpr std::array<std::int64_t, 1> good{200};
            co_return wrong_status(*answer, good, true);
        }
        if (answer->cut) co_return unsure("the answer to /health is longer than 64 KiB");
        auto fault = etcd_fault(answer->status, answer->body);
        if (fault) co_return std::move(*fault);
        co_return passed("healthy: a quorum answers");
    }

private:
    HttpClient client_;
};

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    auto server = http_server(values);
    if (!server) return fail(std::move(server.error()));
    // One of /health's own parameters is to leave the quorum out.
    if (server->path.find('?') != std::string::npos) {
        return fail(FieldFault{"url", "a query has no place in the URL of a member",
                               "write it as https://198.51.100.1:2379"});
    }
    while (server->path.ends_with('/')) server->path.pop_back();
    if (!server->path.ends_with("/health")) server->path += "/health";
    return std::make_unique<EtcdProbe>(std::move(*server));
}

std::string target(const FieldMap& values) { return *get<std::string>(values, "url"); }

}  // namespace

ProbeType etcd_probe() {
    return {.name = "etcd",
            .help = "Asks a member of an etcd cluster whether a quorum answers.",
            .fields = fields,
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .make = make,
            .caveat = http_caveat,
            .target = target};
}

}  // namespace swerve::health
