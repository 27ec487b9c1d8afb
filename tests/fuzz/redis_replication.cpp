// INFO of a server that lies is bounded, and what cannot be read has a reason.

#include "health/probes/redis_replication.hpp"

#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

void redis_replication(ByteView input) {
    const std::string_view info{reinterpret_cast<const char*>(input.data()), input.size()};
    const auto read = health::read_replication(info);
    if (!read) {
        demand(!read.error().empty(), "a reason for what cannot be read");
        return;
    }
    demand(read->replicas.size() <= health::RedisReplication::replica_limit, "few replicas");
    demand(!read->is_master || read->master.empty(), "a master has none itself");
}

}  // namespace swerve::fuzz
