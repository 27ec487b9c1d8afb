#include "daemon/operations/route_state.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace swerve::daemon {

namespace {

using failover::Intent;
using failover::OverrideKind;
using failover::SiteView;

[[nodiscard]] std::string override_reason(const failover::Override& value) {
    return fmt::format("override {} by {}{}{}", failover::to_string(value.kind), value.who,
                       value.reason.empty() ? "" : ": ", value.reason);
}

/// DESIGN.md §1: withdraw > drain > announce > verdict.
void decide_one(const SiteView& site, SiteRoute& route) {
    const auto& on_prefix = route.override_value;
    if (route.service != nullptr) {
        route.intent = route.service->intent;
        route.reason = route.service->intent_reason;
    } else {
        route.intent = Intent::announce;
        route.reason = "manual route";
    }
    if (site.stopping || !on_prefix) return;
    const bool drained = route.service != nullptr && route.service->drain.has_value();
    if (on_prefix->kind == OverrideKind::announce && drained) return;
    route.intent = on_prefix->kind == OverrideKind::announce ? Intent::announce
                   : on_prefix->kind == OverrideKind::drain  ? Intent::drain
                                                             : Intent::withdraw;
    route.reason = override_reason(*on_prefix);
}

/// First id of the block whose prefix does not stand before `prefix`.
[[nodiscard]] std::uint32_t lower_bound(const bgp::PrefixBlock& block, const Prefix& prefix) {
    std::uint32_t low = 0;
    std::uint32_t high = block.size();
    while (low < high) {
        const std::uint32_t middle = low + (high - low) / 2;
        if (block.at(middle) < prefix) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/// Ids of the prefixes that overlap `prefix`: those that cover it are found by length, those inside
/// follow it in the order of the block. A million prefixes are not looked at one by one.
void for_each_overlapping(const bgp::PrefixBlock& block, const Prefix& prefix,
                          const std::function<bool(std::uint32_t)>& visit) {
    if (block.family() != prefix.family()) return;
    for (unsigned length = 0; length < prefix.length(); ++length) {
        const auto wider = Prefix::masked(prefix.address(), length);
        const auto covering = wider ? block.find(*wider) : std::nullopt;
        if (covering && !visit(*covering)) return;
    }
    for (std::uint32_t id = lower_bound(block, prefix); id < block.size(); ++id) {
        if (!prefix.contains(block.at(id)) || !visit(id)) return;
    }
}

}  // namespace

void for_each_route(const Snapshot& snapshot, const std::optional<Prefix>& overlapping,
                    const std::function<bool(const SiteRoute&)>& visit) {
    const SiteView& site = snapshot.site;
    const Holders holders{snapshot};
    bool go_on = true;
    const auto show = [&](const Prefix& prefix, const SiteView::Service* service,
                          std::size_t sent_to) {
        SiteRoute route{prefix, service, Intent::withdraw, {}, {}, sent_to};
        if (const auto found = site.prefix_overrides.find(prefix);
            found != site.prefix_overrides.end()) {
            route.override_value = found->second;
        }
        decide_one(site, route);
        return go_on = visit(route);
    };
    for (const auto& service : site.services) {
        for (const auto& block : service.prefixes) {
            const auto show_id = [&](std::uint32_t id) {
                return show(block->at(id), &service, holders.of(block, id));
            };
            if (overlapping) {
                for_each_overlapping(*block, *overlapping, show_id);
            } else {
                for (std::uint32_t id = 0; id < block->size() && go_on; ++id) show_id(id);
            }
            if (!go_on) return;
        }
    }
    for (const auto& prefix : site.manual_routes) {
        if (overlapping && !overlapping->overlaps(prefix)) continue;
        const auto sent_to = std::ranges::count_if(
            snapshot.neighbors,
            [&](const NeighborView& neighbor) { return holds(neighbor, prefix); });
        if (!show(prefix, nullptr, static_cast<std::size_t>(sent_to))) return;
    }
}

Holders::Holders(const Snapshot& snapshot) {
    for (const NeighborView& neighbor : snapshot.neighbors) {
        for (const SentRange& sent : neighbor.sent) {
            if (sent.range.size() > 0) {
                held_[sent.block.get()].push_back({&neighbor, sent.range});
            }
        }
    }
}

std::size_t Holders::of(const SiteView::Service& service) const {
    std::set<const NeighborView*> found;
    for (const bgp::BlockRef& block : service.prefixes) {
        const auto held = held_.find(block.get());
        if (held == held_.end()) continue;
        for (const Held& each : held->second) found.insert(each.neighbor);
    }
    return found.size();
}

std::size_t Holders::of(const bgp::BlockRef& block, std::uint32_t id) const {
    const auto held = held_.find(block.get());
    if (held == held_.end()) return 0;
    const auto count = std::ranges::count_if(held->second, [&](const Held& each) {
        return each.range.begin <= id && id < each.range.end;
    });
    return static_cast<std::size_t>(count);
}

bool holds(const NeighborView& neighbor, const Prefix& prefix) {
    return std::ranges::any_of(neighbor.sent, [&](const SentRange& sent) {
        if (sent.block->family() != prefix.family()) return false;
        const auto id = sent.block->find(prefix);
        return id && sent.range.begin <= *id && *id < sent.range.end;
    });
}

bool covers(const SiteView::Service& service, const Prefix& prefix) {
    return std::ranges::any_of(service.prefixes, [&](const bgp::BlockRef& block) {
        if (block->family() != prefix.family()) return false;
        for (unsigned length = 0; length <= prefix.length(); ++length) {
            const auto wider = Prefix::masked(prefix.address(), length);
            if (wider && block->find(*wider)) return true;
        }
        return false;
    });
}

std::optional<failover::ServiceId> service_of(const SiteView& site, const Prefix& prefix) {
    for (std::size_t i = 0; i < site.services.size(); ++i) {
        for (const auto& block : site.services[i].prefixes) {
            if (block->family() == prefix.family() && block->find(prefix)) {
                return static_cast<failover::ServiceId>(i);
            }
        }
    }
    return std::nullopt;
}

}  // namespace swerve::daemon
