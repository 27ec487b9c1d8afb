#pragma once
// What routers that damp (RFC 2439) make of a site's routes, by what its octets tell them. Written
// apart from failover/damping, which is to keep routes from being suppressed here.

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "swerve/failover/damping.hpp"
#include "swerve/net/prefix.hpp"

namespace swerve::sim {

/// All neighbors of a site, each with its own penalty for each prefix.
class Upstreams {
public:
    using Key = std::pair<std::string, Prefix>;  ///< neighbor, and what it was told of

    void withdrawn(TimePoint now, const Key& route);
    // What is wrong with it, if the route is then too close to its suppression; `better`: it need
    // not have been sent.
    [[nodiscard]] std::optional<std::string> announced(TimePoint now, const Key& route,
                                                       const failover::DampingPolicy& policy);
    [[nodiscard]] std::optional<std::string> changed(TimePoint now, const Key& route,
                                                     const failover::DampingPolicy& policy,
                                                     bool better);

    // What operators or reloads do is no concern of damping, so what came of it does not count.
    void forget() { routes_.clear(); }
    void forget(const Key& route) { routes_.erase(route); }
    void forget(const Prefix& prefix);

private:
    struct Route {
        double penalty = 0;
        TimePoint at{};
        bool withdrawn = false;
        unsigned withdrawals = 0;  ///< no world lasts for an hour
    };
    [[nodiscard]] Route& charge(TimePoint now, const Key& key, double cost);

    std::map<Key, Route> routes_;
};

/// The longest that an announcement may have to wait for any cause.
[[nodiscard]] Duration longest_wait(const failover::DampingPolicy& policy,
                                    failover::Damping::Cause cause);

}  // namespace swerve::sim
