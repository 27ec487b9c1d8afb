#pragma once

#include <cstddef>
#include <set>

#include "swerve/bgp/adj_rib_out.hpp"

namespace swerve::bgp {

/// One object for all routes that say the same, so that equal pointers mean equal routes and the
/// other way round: thousands of services with the same attributes share messages, and a
/// configuration that was read again changes nothing.
class RoutePool {
public:
    /// The object that stands for `route`.
    [[nodiscard]] RouteRef pooled(const RouteRef& route) {
        if (routes_.size() >= sweep_at_) sweep();
        return *routes_.insert(route).first;
    }

private:
    struct ByValue {
        bool operator()(const RouteRef& a, const RouteRef& b) const { return a != b && *a < *b; }
    };

    /// Forgets what nobody else holds.
    void sweep() {
        std::erase_if(routes_, [](const RouteRef& route) { return route.use_count() == 1; });
        sweep_at_ = least_swept + 2 * routes_.size();
    }

    static constexpr std::size_t least_swept = 64;

    std::set<RouteRef, ByValue> routes_;
    std::size_t sweep_at_ = least_swept;
};

}  // namespace swerve::bgp
