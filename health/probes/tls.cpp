#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <boost/asio/ssl/verify_context.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "health/probes/certificate.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"
#include "health/probes/tls_client.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr Field fields[] = {
    {.name = "endpoint",
     .kind = FieldKind::endpoint,
     .required = true,
     .help = "Address and port to connect to, as 198.51.100.1:443."},
    {.name = "server_name",
     .kind = FieldKind::string,
     .help = "Name to ask for and to verify; the endpoint's address if absent."},
    {.name = "days_left",
     .kind = FieldKind::integer,
     .fallback = "0",
     .help = "Fails when a certificate of the chain ends within so many days; 0: when it has "
             "ended.",
     .least = 0,
     .most = 3650},
    tls_field,
};

/// The certificate that verification stopped at for its dates, if it did.
using Refused = std::optional<CertificateFacts>;

bool is_about_dates(int error) {
    return error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID;
}

class TlsProbe final : public Probe {
public:
    TlsProbe(Endpoint target, TlsSettings settings, std::int64_t days_left)
        : target_(target), client_(std::move(settings)), days_left_(days_left) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        if (auto fault = client_.prepare()) co_return unsure(std::move(*fault));
        auto socket = co_await connect(context, target_);
        if (!socket) co_return std::move(socket.error());
        TlsStream stream = client_.stream(*socket);
        // Shared: the stream keeps the callback.
        const auto refused = std::make_shared<Refused>();
        stream.set_verify_callback([refused](bool verified, asio::ssl::verify_context& chain) {
            X509_STORE_CTX* const handle = chain.native_handle();
            if (!verified && is_about_dates(X509_STORE_CTX_get_error(handle))) {
                *refused = facts_of(X509_STORE_CTX_get_current_cert(handle));
            }
            return verified;
        });
        auto failure = co_await client_.handshake(context, stream, target_);
        Outcome outcome;
        if (!failure) {
            outcome = judge_chain(stream.native_handle());
        } else if (*refused && !client_.settings().insecure) {
            outcome = judge_dates(**refused, target_.to_string(), is_wall_clock_set());
        } else {
            outcome = std::move(*failure);
        }
        close_quietly(*socket);
        co_return outcome;
    }

private:
    [[nodiscard]] Outcome judge_chain(const SSL* session) const {
        // Verified, it ends at an authority of ours, which ends some day, too.
        const STACK_OF(X509)* chain = client_.settings().insecure
                                          ? SSL_get_peer_cert_chain(session)
                                          : SSL_get0_verified_chain(session);
        std::optional<CertificateFacts> first;
        for (int i = 0; chain != nullptr && i < sk_X509_num(chain); ++i) {
            CertificateFacts facts = facts_of(sk_X509_value(chain, i));
            if (facts.until_begin_s > 0) {
                return judge_dates(facts, target_.to_string(), is_wall_clock_set());
            }
            if (!first || facts.until_end_s < first->until_end_s) first = std::move(facts);
        }
        if (!first) return unsure(target_.to_string() + " showed no certificate");
        return judge_days(*first, days_left_, is_wall_clock_set());
    }

    Endpoint target_;
    TlsClient client_;
    std::int64_t days_left_;
};

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    const Endpoint& target = *get<Endpoint>(values, "endpoint");
    if (const auto unusable = unusable_target(target.address)) {
        return fail(FieldFault{"endpoint", *unusable, "name the address that clients reach"});
    }
    if (target.port == 0) {
        return fail(FieldFault{"endpoint", "port 0 cannot be connected to", "1 to 65535"});
    }
    std::string server_name = target.address.to_string();
    if (const auto* name = get<std::string>(values, "server_name")) {
        if (!is_server_name(*name)) {
            return fail(FieldFault{"server_name", quoted(*name) + " is no name of a server",
                                   "like portal.example"});
        }
        server_name = *name;
    }
    auto settings = tls_settings(values, std::move(server_name));
    if (!settings) return fail(std::move(settings.error()));
    const auto* days = get<std::int64_t>(values, "days_left");
    return std::make_unique<TlsProbe>(target, std::move(*settings), days == nullptr ? 0 : *days);
}

std::string caveat(const FieldMap& values) {
    const auto* tls = get<FieldMap>(values, "tls");
    const auto* insecure = tls == nullptr ? nullptr : get<bool>(*tls, "insecure");
    if (insecure != nullptr && *insecure) {
        return "only the dates of the certificate are looked at: neither who signed it nor for "
               "whom";
    }
    return "a handshake proves that TLS works, not that anything behind it does";
}

std::string target(const FieldMap& values) {
    const auto* name = get<std::string>(values, "server_name");
    return "tls://" + get<Endpoint>(values, "endpoint")->to_string() +
           (name == nullptr ? "" : " " + *name);
}

}  // namespace

ProbeType tls_probe() {
    return {.name = "tls",
            .help =
                "Makes a TLS handshake and looks at the certificate: its chain, its name and the "
                "days it has left. A certificate ends at all sites at once, so think of `scope: "
                "shared`.",
            .fields = fields,
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .asks_scope = true,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
