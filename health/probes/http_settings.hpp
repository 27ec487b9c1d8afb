#pragma once
// The keys of the http probe, checked once and kept in the form its attempts need.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "swerve/base/result.hpp"
#include "swerve/health/probe_fields.hpp"
#include "swerve/net/address.hpp"

namespace swerve::health {

struct HttpSettings {
    Endpoint target;
    bool tls = false;
    std::string path;         ///< with the query: what stands in the request line
    std::string host;         ///< the Host header
    std::string server_name;  ///< name or address that the certificate must carry
    std::vector<std::int64_t> statuses;
    std::string body;  ///< empty: the header is enough
    std::string ca_file;
    bool insecure = false;
};

[[nodiscard]] std::span<const Field> http_fields();
[[nodiscard]] Result<HttpSettings, FieldFault> http_settings(const FieldMap& values);

}  // namespace swerve::health
