#pragma once
// What an interface of WireGuard and its past say about the tunnels. Pure.

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "health/probes/wireguard_device.hpp"
#include "swerve/base/time.hpp"
#include "swerve/health/outcome.hpp"

namespace swerve::health {

struct WireguardLimits {
    std::vector<WireguardKey> peers{};  ///< none: all that the interface has
    Duration max_handshake_age = std::chrono::seconds{180};
    Duration receiving_within = std::chrono::seconds{30};  ///< 0: not asked
};

class WireguardJudge {
public:
    explicit WireguardJudge(WireguardLimits limits) : limits_(std::move(limits)) {}

    /// `wall` and `now` are the two clocks when `device` was read. Remembers the counters, so a
    /// tunnel whose counter stands still fails from the second call on.
    [[nodiscard]] Outcome judge(const WireguardDevice& device, WallTime wall, TimePoint now);

private:
    struct Counter {
        std::uint64_t received = 0;
        TimePoint since;  ///< when it was first seen to be this
        bool moved = false;
    };
    struct Finding;

    void remember(const WireguardDevice& device, TimePoint now);
    [[nodiscard]] Finding look_at(const WireguardPeer& peer, WallTime wall, TimePoint now) const;

    WireguardLimits limits_;
    std::map<WireguardKey, Counter> counters_;  ///< of the peers that there were last
};

}  // namespace swerve::health
