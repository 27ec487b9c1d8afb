#include "swerve/conf/change.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>

#include "conf/change_parts.hpp"
#include "conf/fnv.hpp"

namespace swerve::conf {

namespace {

std::vector<bgp::BlockRef> blocks_of(const Config& config) {
    std::vector<bgp::BlockRef> out;
    for (const Service& service : config.services) {
        out.insert(out.end(), service.prefixes.begin(), service.prefixes.end());
    }
    return out;
}

/// Blocks by what they hold.
class BlockPool {
public:
    explicit BlockPool(const std::vector<bgp::BlockRef>& blocks) {
        for (const bgp::BlockRef& block : blocks) blocks_.emplace(hash_of(*block), block);
    }
    /// The block of the pool that holds the same prefixes; `block` itself if there is none.
    [[nodiscard]] bgp::BlockRef equal_to(const bgp::BlockRef& block) const {
        const auto [first, last] = blocks_.equal_range(hash_of(*block));
        for (auto each = first; each != last; ++each) {
            if (*each->second == *block) return each->second;
        }
        return block;
    }

private:
    static std::uint64_t hash_of(const bgp::PrefixBlock& block) {
        Fnv1a hash{static_cast<std::uint64_t>(block.family())};
        hash.add_octets(block.octets(block.all()));
        return hash.value();
    }

    std::unordered_multimap<std::uint64_t, bgp::BlockRef> blocks_;
};

/// `after` with the blocks of `before` wherever those hold the same, so that what did not change is
/// one object and needs no handing over.
std::shared_ptr<const Config> share_blocks(const Config& before,
                                           std::shared_ptr<const Config> after) {
    const BlockPool pool{blocks_of(before)};
    auto services = after->services;
    bool shares = false;
    for (Service& service : services) {
        for (bgp::BlockRef& block : service.prefixes) {
            bgp::BlockRef equal = pool.equal_to(block);
            shares = shares || equal != block;
            block = std::move(equal);
        }
    }
    if (!shares) return after;
    auto out = std::make_shared<Config>(*after);
    out->services = std::move(services);
    return out;
}

/// What the process took hold of when it began: a lock, a socket, its role. The neighbors of a
/// collector are not in the configuration, so what it told them in its OPEN cannot change either.
bool needs_restart(const ChangedKey& key, bool is_collector) {
    static constexpr std::array<std::string_view, 3> keys{"state_dir", "control.socket",
                                                          "collector.accept"};
    if (is_collector && (key.path == "local_as" || key.path == "router_id")) return true;
    return std::ranges::find(keys, key.path) != keys.end();
}

Diagnostics refusals(const std::vector<ChangedKey>& keys, const Config& after) {
    const auto shown = [](const std::string& value) { return value.empty() ? "nothing" : value; };
    Diagnostics out;
    for (const ChangedKey& key : keys) {
        if (!needs_restart(key, after.collector.has_value())) continue;
        out.push_back({.file = after.file,
                       .path = key.path,
                       .message = "cannot change from " + shown(key.before) + " to " +
                                  shown(key.after) + " while the daemon runs",
                       .hint = "restart the daemon, or put the old value back and reload"});
    }
    return out;
}

/// Evidence is about what the probe reaches; timing only says how much of it decides.
std::vector<std::optional<failover::CheckId>> kept_checks(const Config& before,
                                                          const Config& after) {
    const NameIndex old_ids{before.checks};
    std::vector<std::optional<failover::CheckId>> out;
    out.reserve(after.checks.size());
    for (const Check& check : after.checks) {
        auto id = old_ids.find(check.name);
        if (id && before.checks[*id].probe != check.probe) id.reset();
        out.push_back(id);
    }
    return out;
}

}  // namespace

Result<std::shared_ptr<const Change>, Diagnostics> compare(std::shared_ptr<const Config> before,
                                                           std::shared_ptr<const Config> after) {
    auto change = std::make_shared<Change>();
    change->keys = changed_keys(*before, *after);
    if (auto refused = refusals(change->keys, *after); !refused.empty()) {
        return fail(std::move(refused));
    }
    change->after = share_blocks(*before, std::move(after));
    change->checks = kept_checks(*before, *change->after);
    change->hand_overs = bgp::hand_overs(blocks_of(*before), blocks_of(*change->after));
    change->resets = session_resets(*before, *change->after);
    change->routes = route_changes(*before, *change->after, change->hand_overs);
    change->before = std::move(before);
    return change;
}

}  // namespace swerve::conf
