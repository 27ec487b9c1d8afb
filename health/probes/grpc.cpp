#include <array>
#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "health/probes/connection.hpp"
#include "health/probes/grpc_call.hpp"
#include "health/probes/grpc_health.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr std::size_t service_limit = 255;
constexpr std::size_t piece_size = 4096;
constexpr std::string_view alpn{"\x02h2", 3};

constexpr Field fields[] = {
    {.name = "endpoint",
     .kind = FieldKind::endpoint,
     .required = true,
     .help = "The server's address and port, as 198.51.100.1:50051 or [2001:db8::1]:50051."},
    {.name = "service",
     .kind = FieldKind::string,
     .help = "Name of the service as its server registered it, as portal.v1.Portal; the server as "
             "a whole if absent."},
    {.name = "host",
     .kind = FieldKind::string,
     .help = "Name to ask for (:authority), and with TLS to verify; the endpoint's address if "
             "absent."},
    choosing_tls_field,
};

/// Codes of gRPC that an answer of the health service is likely to have.
enum class Code : unsigned {
    ok = 0,
    invalid_argument = 3,
    not_found = 5,
    permission_denied = 7,
    unimplemented = 12,
    unauthenticated = 16
};

struct Settings {
    Endpoint target;
    std::string service;
    std::string host;  ///< empty: the target
    std::optional<TlsSettings> tls;
};

class GrpcProbe final : public Probe {
public:
    explicit GrpcProbe(Settings settings)
        : settings_(std::move(settings)), name_(settings_.target.to_string()) {
        if (settings_.tls) tls_.emplace(*settings_.tls);
    }

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        auto connection =
            co_await Connection::open(context, settings_.target, tls_ ? &*tls_ : nullptr, alpn);
        if (!connection) co_return std::move(connection.error());
        Outcome outcome;
        if (tls_ && connection->protocol() != "h2") {
            outcome = unsure(name_ + " does not agree on HTTP/2 in its TLS handshake (ALPN)");
        } else {
            outcome = co_await check(context, *connection);
        }
        connection->close();
        co_return outcome;
    }

private:
    asio::awaitable<Outcome> check(const ProbeContext& context, Connection& connection) {
        GrpcCall call({.is_tls = tls_.has_value(),
                       .authority = settings_.host.empty() ? name_ : settings_.host,
                       .path = "/grpc.health.v1.Health/Check",
                       .body = health_request(settings_.service)});
        std::array<char, piece_size> piece{};
        boost::system::error_code refused;
        for (;;) {
            const std::string output = call.output();
            if (call.is_over()) break;
            if (!output.empty()) refused = co_await connection.write(output);
            if (refused) {
                co_return connection.outcome_of(refused, "sending to " + name_, settings_.target);
            }
            const auto received = co_await connection.read(piece);
            if (received.error && is_end_of_connection(received.error)) co_return ended(call);
            if (received.error) {
                co_return connection.outcome_of(
                    received.error, "waiting for grpc.health.v1 of " + name_ + received_of(call),
                    settings_.target);
            }
            step(context, "received " + std::to_string(received.count) + " octets");
            call.take({piece.data(), received.count});
        }
        if (!call.fault().empty()) {
            co_return unsure(name_ + " does not speak gRPC: " + escape(call.fault(), 120));
        }
        co_return judge(call.answer());
    }

    /// For reasons: how far the answer has come.
    static std::string received_of(const GrpcCall& call) {
        return call.answer().http_status ? ", header received" : "";
    }

    [[nodiscard]] Outcome ended(const GrpcCall& call) const {
        if (call.answer().go_away) {
            return failed(name_ + " is shutting down (GOAWAY without an answer)");
        }
        return failed(name_ + " closed without an answer" + received_of(call));
    }

    [[nodiscard]] Outcome judge(const GrpcAnswer& answer) const {
        if (answer.reset || !answer.http_status) {
            if (answer.go_away) {
                return failed(name_ + " is shutting down (GOAWAY without an answer)");
            }
            return failed(name_ + " broke the call off" +
                          (answer.reset ? " with HTTP/2 error " + std::to_string(*answer.reset)
                                        : std::string{}));
        }
        if (*answer.http_status != 200) return judge_http(*answer.http_status);
        if (!answer.content_type.starts_with("application/grpc")) {
            return unsure(name_ + " answers with " + quoted(answer.content_type) +
                          " instead of application/grpc");
        }
        if (!answer.status) return failed(name_ + " ended its answer without a grpc-status");
        if (*answer.status != static_cast<unsigned>(Code::ok)) return judge_status(answer);
        const auto status = serving_status(answer.body);
        if (!status) return unsure(name_ + " answers with " + status.error());
        return judge_serving(*status);
    }

    /// Of what stands before the server, as gRPC maps codes of HTTP to its own.
    [[nodiscard]] Outcome judge_http(unsigned status) const {
        std::string reason = name_ + " answers HTTP " + std::to_string(status) + " instead of gRPC";
        const bool is_broken = status == 429 || status >= 500;
        return is_broken ? failed(std::move(reason)) : unsure(std::move(reason));
    }

    [[nodiscard]] Outcome judge_status(const GrpcAnswer& answer) const {
        const std::string said = answer.message.empty() ? "" : ": " + quoted(answer.message);
        switch (static_cast<Code>(*answer.status)) {
            case Code::not_found:
                return unsure(name_ + " knows no service " + quoted(settings_.service) + said);
            case Code::unimplemented:
                return unsure(name_ + " has no grpc.health.v1" + said);
            case Code::permission_denied:
            case Code::unauthenticated:
            case Code::invalid_argument:
                return unsure(name_ + " refuses to be asked, grpc-status " +
                              std::to_string(*answer.status) + said);
            case Code::ok:
            default:
                break;
        }
        return failed(name_ + " answers grpc-status " + std::to_string(*answer.status) + said);
    }

    [[nodiscard]] Outcome judge_serving(ServingStatus status) const {
        const std::string what =
            settings_.service.empty() ? std::string{"server"} : quoted(settings_.service);
        switch (status) {
            case ServingStatus::serving:
                return passed(what + " is SERVING");
            case ServingStatus::not_serving:
                return failed(what + " is NOT_SERVING");
            case ServingStatus::unknown:
                return failed(what + " is UNKNOWN to its server");
            case ServingStatus::service_unknown:
                return unsure(name_ + " knows no service " + what);
        }
        return unsure(what + " has a status that this version does not know: " +
                      std::to_string(static_cast<std::uint64_t>(status)));
    }

    Settings settings_;
    std::string name_;  ///< of the target, for reasons
    std::optional<TlsClient> tls_;
};

Result<Settings, FieldFault> settings_of(const FieldMap& values) {
    Settings out{
        .target = *get<Endpoint>(values, "endpoint"), .service = {}, .host = {}, .tls = {}};
    if (auto fault = endpoint_fault(out.target)) return fail(*std::move(fault));
    if (const auto* service = get<std::string>(values, "service")) {
        if (service->empty()) return fail(FieldFault{"service", "is empty", "leave the key out"});
        if (service->size() > service_limit || escape(*service, service_limit) != *service) {
            return fail(FieldFault{"service", quoted(*service) + " is no name of a service",
                                   "printable, at most 255 octets"});
        }
        out.service = *service;
    }
    std::string name = out.target.address.to_string();
    if (const auto* host = get<std::string>(values, "host")) {
        if (!is_server_name(*host)) {
            return fail(FieldFault{"host", quoted(*host) + " is not a name of a server",
                                   "write it as portal.example"});
        }
        out.host = name = *host;
    }
    auto tls = chosen_tls(values, std::move(name));
    if (!tls) return fail(std::move(tls.error()));
    out.tls = *std::move(tls);
    return out;
}

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    auto settings = settings_of(values);
    if (!settings) return fail(std::move(settings.error()));
    return std::make_unique<GrpcProbe>(*std::move(settings));
}

std::string target(const FieldMap& values) {
    const auto* service = get<std::string>(values, "service");
    return "grpc://" + get<Endpoint>(values, "endpoint")->to_string() +
           (service == nullptr ? "" : "/" + escape(*service));
}

}  // namespace

ProbeType grpc_probe() {
    return {.name = "grpc",
            .help = "Asks a gRPC server for the health of a service (grpc.health.v1).",
            .fields = fields,
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .make = make,
            .caveat = caveat_of_insecure_tls,
            .target = target};
}

}  // namespace swerve::health
