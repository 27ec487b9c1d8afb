#pragma once
// How every key and its value are written: one list for the printed page, for what differs between
// two configurations, and for what is said about it.

#include <string>
#include <vector>

#include "swerve/conf/config.hpp"

namespace swerve::conf {

struct PrintedKey {
    unsigned level;     ///< of nesting
    std::string key;    ///< as it is, not quoted
    std::string value;  ///< as YAML; empty where keys of its own follow
    /// Of `prefixes_file`: whose prefixes the file holds, since they are not printed.
    const Service* contents = nullptr;
    /// Of `password_file` and the like: what the file holds, since it is not printed either.
    const std::string* secret = nullptr;
};

[[nodiscard]] std::vector<PrintedKey> print_keys(const Config& config);
/// Of one neighbor alone, without its name.
[[nodiscard]] std::vector<PrintedKey> print_keys(const Config& config, const Neighbor& neighbor);

}  // namespace swerve::conf
