#pragma once
// The configuration of a site as its operator keeps changing it: objects by number, so that an
// edit never has to think of indices.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "swerve/base/random.hpp"
#include "swerve/bfd/table.hpp"
#include "swerve/conf/config.hpp"

namespace swerve::sim {

/// In what the two ends of a BFD session have to agree.
struct BfdPlan {
    unsigned hops = 1;
    bool multihop = false;
    std::optional<bfd::Authentication> authentication{};
};

/// Where a site may have a neighbor.
struct Uplink {
    Address router_address;
    Address local_address;
    Asn router_as;
    bool router_dials;             ///< the router does not only wait
    std::optional<BfdPlan> bfd{};  ///< what the router speaks, if it does

    [[nodiscard]] bfd::SessionKey bfd_key() const {
        return {.local = local_address, .remote = router_address, .multihop = bfd && bfd->multihop};
    }
};

/// What no edit changes.
struct SitePlan {
    std::string name;
    Asn local_as;
    RouterId router_id;
    std::vector<Uplink> uplinks;
};

class Draft {
public:
    Draft(const SitePlan& plan, Random& random);

    /// Changes something; returns what, in words.
    std::string edit(const SitePlan& plan, Random& random);
    /// Another probe for this check, if it is there.
    std::string replace_probe(const std::string& check);
    /// Another key of BFD for what is at this uplink, if it has BFD.
    std::string replace_key(unsigned uplink, const bfd::Authentication& key);
    [[nodiscard]] std::shared_ptr<const conf::Config> build(const SitePlan& plan) const;

    /// Of one of its services, or of none.
    [[nodiscard]] Prefix some_prefix(Random& random) const;
    [[nodiscard]] std::string some_service(Random& random) const;

private:
    struct Service {
        std::string name;
        std::set<Prefix> prefixes;
        health::Expression rule;  ///< over numbers of checks
        std::optional<health::Expression> degraded_when;
        conf::ExportAttributes announce;
        conf::ExportAttributes degrade;
        Duration graceful_shutdown_for{};
        Duration drain_degraded_for{};
        Duration return_degraded_for{};
        failover::DampingPolicy damping;
    };
    struct Neighbor {
        conf::Neighbor config;
        std::optional<std::set<unsigned>> services;
    };

    void add_check(unsigned number, Random& random);
    void add_service(unsigned number, Random& random);
    void add_neighbor(unsigned uplink, const SitePlan& plan, Random& random);
    static void set_bfd(conf::Neighbor& neighbor, const BfdPlan& plan, Random& random);
    void set_families(conf::Neighbor& neighbor, Random& random) const;
    /// One that a service may have at first; perhaps none has it.
    [[nodiscard]] static Prefix any_prefix(Random& random);
    [[nodiscard]] bool taken(const Prefix& prefix) const;
    [[nodiscard]] health::Expression some_rule(unsigned depth, Random& random) const;
    [[nodiscard]] bool uses(unsigned check) const;
    void set_stages(Service& service, Random& random) const;
    void set_effect(unsigned number, Random& random);
    [[nodiscard]] bool alarms(const health::Expression& rule) const;
    std::string edit_check(Random& random);
    std::string edit_service(Random& random);
    std::string edit_prefixes(Random& random);
    std::string edit_neighbor(const SitePlan& plan, Random& random);
    [[nodiscard]] static std::string edit_bfd(conf::Neighbor& neighbor, const BfdPlan& plan,
                                              Random& random);

    bool wide_ = true;                        ///< all that is owned, or a part
    bool reversed_ = false;                   ///< the order in which checks and services stand
    std::map<unsigned, conf::Check> checks_;  ///< `only_if` is a number, too
    std::map<unsigned, Service> services_;
    std::map<unsigned, Neighbor> neighbors_;  ///< by uplink
};

}  // namespace swerve::sim
