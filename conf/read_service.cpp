// Services, and what upstreams are assumed to hold against their changes.

#include <algorithm>

#include "conf/draft.hpp"

namespace swerve::conf {

namespace {

/// What a degraded service adds to its path unless it says something else.
constexpr unsigned usual_prepend = 2;

failover::DampingProfile profile_of(std::string_view word) {
    using failover::DampingProfile;
    for (const auto profile :
         {DampingProfile::rfc7196, DampingProfile::cisco, DampingProfile::junos}) {
        if (word == to_string(profile)) return profile;
    }
    return DampingProfile::none;
}

/// What `section` does not say is as in `otherwise`.
failover::DampingPolicy read_damping(const Section& section, failover::DampingPolicy otherwise) {
    failover::DampingPolicy out = otherwise;
    if (const auto word = section.get<std::string>("profile")) out.profile = profile_of(*word);
    out.hold_down = section.get<Duration>("hold_down").value_or(out.hold_down);
    out.changes_per_hour = section.get<unsigned>("changes_per_hour").value_or(out.changes_per_hour);
    return out;
}

ExportAttributes read_degrade(const Section& section) {
    ExportAttributes out = read_attributes(section.child("degrade"));
    if (!section.has("degrade")) out.prepend = usual_prepend;
    return out;
}

std::optional<ServiceAddresses> read_addresses(const Section& section) {
    if (!section.has("addresses")) return std::nullopt;
    const Section addresses = section.child("addresses");
    ServiceAddresses out{.interface = addresses.get<std::string>("interface").value_or(""),
                         .add = {}};
    out.add = addresses.list<Prefix>("add").value_or(out.add);
    out.grace = addresses.get<Duration>("grace").value_or(out.grace);
    return out;
}

Service read_service(Draft& draft, const Section& section, const std::string& name,
                     const Names* checks, failover::DampingPolicy damping) {
    const auto expression = [&](std::string_view key) -> std::optional<health::Expression> {
        const YamlNode* node = section.find(key);
        if (node == nullptr) return std::nullopt;
        return read_expression(section.faults(), *node, section.path_of(key), checks);
    };
    const Section drain = section.child("drain");
    return {
        .name = name,
        .prefixes = {},
        .prefixes_file = draft.prefixes.read(section),
        .healthy_when = expression("healthy_when").value_or(health::Expression{}),
        .announce = read_attributes(section.child("announce")),
        .graceful_shutdown_for = drain.get<Duration>("graceful_shutdown_for").value_or(Duration{}),
        .degraded_when = expression("degraded_when"),
        .degrade = read_degrade(section),
        .drain_degraded_for = drain.get<Duration>("degrade_for").value_or(Duration{}),
        .return_degraded_for =
            section.child("return").get<Duration>("degrade_for").value_or(Duration{}),
        .damping = read_damping(section.child("damping"), damping),
        .rto = section.get<Duration>("rto"),
        .addresses = read_addresses(section)};
}

}  // namespace

void read_services(Draft& draft, Faults& faults, const Section& root,
                   const std::vector<Section::Entry>& services, const Names* checks) {
    const failover::DampingPolicy damping = read_damping(root.child("damping"), {});
    for (const auto& [name, origin] : services) {
        const Section section{faults, *origin.node, origin.path,
                              find_key(schema(), "services")->members};
        draft.config.services.push_back(read_service(draft, section, name, checks, damping));
        draft.services.push_back(origin);
    }
}

}  // namespace swerve::conf
