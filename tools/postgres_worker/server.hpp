#pragma once
// One server, over one connection of libpq's that is kept from request to request.

#include <libpq-fe.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "health/probes/postgres_wire.hpp"

namespace swerve::tools {

/// Says that an answer was larger than any that was asked for.
[[nodiscard]] health::PostgresFailure too_much();

class PostgresServer {
public:
    explicit PostgresServer(std::function<void(const health::PostgresReply&)> reply)
        : reply_(std::move(reply)) {}

    /// Replies to all statements, or with a failure.
    void answer(const health::PostgresRequest& request);

private:
    using Parameters = std::vector<std::pair<std::string, std::string>>;
    struct Finish {
        void operator()(PGconn* connection) const { PQfinish(connection); }
    };

    [[nodiscard]] bool is_usable_for(const Parameters& parameters) const;
    bool connect(const Parameters& parameters);
    void tell_progress(const char*& told);
    bool run(const std::string& statement, health::PostgresReply& reply);
    void wait_for_result();
    static void on_notice(void* self, const PGresult* notice);

    std::function<void(const health::PostgresReply&)> reply_;
    std::unique_ptr<PGconn, Finish> connection_;
    Parameters connected_with_;
    std::chrono::steady_clock::time_point connected_at_;
    std::chrono::steady_clock::time_point cancel_at_;
    std::vector<std::string> warned_by_;
};

}  // namespace swerve::tools
