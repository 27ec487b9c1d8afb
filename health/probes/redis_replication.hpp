#pragma once
// What a Redis server says of its replication, in the section of that name of INFO. Pure.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "swerve/base/result.hpp"

namespace swerve::health {

struct RedisReplication {
    struct Replica {
        bool is_online = false;
        std::int64_t offset = 0;
        std::int64_t silent_seconds = -1;  ///< since it last acknowledged something; -1: not told
    };

    bool is_master = false;
    std::int64_t offset = 0;        ///< of a master: what it has written, in octets
    std::vector<Replica> replicas;  ///< of a master; at most replica_limit

    std::string master;  ///< of a replica: "192.0.2.1:6379", as it says it
    bool link_is_up = false;
    bool is_syncing = false;                     ///< takes over the whole data set
    std::optional<std::int64_t> silent_seconds;  ///< since its master said something; -1: never
    std::optional<std::int64_t> down_seconds;    ///< since the link is down
    std::optional<std::int64_t> received;        ///< from its master, in octets; since Redis 7.0
    std::optional<std::int64_t> applied;

    static constexpr std::size_t replica_limit = 256;
};

/// Reads the answer to INFO replication, or says what is missing.
[[nodiscard]] Result<RedisReplication, std::string> read_replication(std::string_view info);

}  // namespace swerve::health
