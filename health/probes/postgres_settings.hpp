#pragma once
// The keys of a postgres check, and what they come to.

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "health/probes/postgres_judge.hpp"
#include "swerve/base/result.hpp"
#include "swerve/health/probe_fields.hpp"
#include "swerve/net/address.hpp"

namespace swerve::health {

struct PostgresSettings {
    std::optional<Endpoint> endpoint;  ///< absent: `directory` and `port`
    std::string directory;
    std::int64_t port = 0;
    std::string database;
    std::string username;
    std::string password_file;  ///< empty: none
    std::string tls_mode;       ///< as libpq calls it
    std::string ca_file;
    std::string server_name;
    std::string heartbeat;  ///< the table; empty: none
    PostgresWants wants;

    /// "192.0.2.1:5432" or "/run/postgresql:5432".
    [[nodiscard]] std::string name() const;
    /// For libpq, all but the password.
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> parameters() const;
};

[[nodiscard]] std::span<const Field> postgres_fields();
[[nodiscard]] Result<PostgresSettings, FieldFault> postgres_settings(const FieldMap& values);

}  // namespace swerve::health
