#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace swerve::daemon {

class EventRing;

struct HttpRequest {
    std::string method;        ///< "GET"
    std::string target;        ///< path and query as sent, percent-escapes kept
    unsigned version = 11;     ///< 10 knows no chunks
    std::string body;          ///< within the limit
    std::optional<uid_t> uid;  ///< of the client's process; absent on the read-only TCP listener
};

/// After the header, events without end.
struct Follow {
    std::shared_ptr<EventRing> events;
    std::uint64_t after;  ///< the first event sent has a greater id
};

struct HttpResponse {
    unsigned status = 200;
    std::string content_type = "application/json";
    std::string body = {};
    std::string allow = {};  ///< of a 405: the methods there are
    std::optional<Follow> follow = {};
};

}  // namespace swerve::daemon
