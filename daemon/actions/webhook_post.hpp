#pragma once
// One request to a webhook over http or https. The only place of the daemon that is a client of
// HTTP.

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <string>

#include "swerve/base/result.hpp"
#include "swerve/base/time.hpp"

namespace swerve::daemon {

struct WebhookPost {
    std::string url;
    std::string id;      ///< sent as Idempotency-Key
    std::string bearer;  ///< empty: none
    std::string body;    ///< JSON
};

struct NameLookup;

/// Remembers what is worth it between the requests of one webhook: a name that is still being
/// looked up. The server's certificate is always verified, against the system's authorities.
class WebhookClient {
public:
    WebhookClient();
    ~WebhookClient();
    WebhookClient(const WebhookClient&) = delete;
    WebhookClient& operator=(const WebhookClient&) = delete;

    /// The status of the final answer. Comes back within `timeout`, and soon when cancelled,
    /// whatever the server or the resolver does; of an answer no more than its header is looked at,
    /// 16 KiB at most. The error is a sentence.
    [[nodiscard]] boost::asio::awaitable<Result<unsigned, std::string>> post(WebhookPost what,
                                                                             Duration timeout);

private:
    std::shared_ptr<NameLookup> lookup_;
};

}  // namespace swerve::daemon
