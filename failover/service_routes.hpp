#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "failover/decide.hpp"
#include "swerve/bgp/prefix_block.hpp"
#include "swerve/failover/site.hpp"

namespace swerve::failover {

/// What one decision changes on the wire. A range that continues the one before it is merged.
struct Moves {
    std::vector<Withdraw> withdrawals;
    std::vector<Advertise> announcements;

    void add(Shown shown, std::optional<ServiceId> service, const bgp::BlockRef& block,
             bgp::IdRange range);
};

/// What was last asked of the network for the prefixes of one service: one state for all of them,
/// and exceptions where an operator's word is in force on a prefix. So a verdict over a million
/// prefixes is one range, and nothing is asked twice.
class ServiceRoutes {
public:
    struct Place {
        std::uint32_t block;
        std::uint32_t id;
    };

    ServiceRoutes(ServiceId service, std::vector<bgp::BlockRef> blocks);

    [[nodiscard]] std::optional<Place> find(const Prefix& prefix) const;
    [[nodiscard]] const std::vector<bgp::BlockRef>& blocks() const { return blocks_; }
    /// Prefixes on which there is a word, ascending within their family.
    [[nodiscard]] std::vector<Prefix> overridden() const;

    /// Puts a word on a prefix, or takes it off (null). `word` must live until it is taken off. Has
    /// no effect before settle().
    void put(Place place, const Override* word);

    /// Calls `visit(block, range, shown)` for what was asked to be shown.
    template <class Visit>
    void for_each_announced(const Visit& visit) const {
        for (std::size_t block = 0; block < blocks_.size(); ++block) {
            std::uint32_t plain = 0;  // first prefix behind the last exception
            const auto visit_plain = [&](std::uint32_t end) {
                if (shown_ == Shown::nothing || plain >= end) return;
                visit(blocks_[block], bgp::IdRange{plain, end}, shown_);
            };
            for (const auto& [id, exception] : exceptions_[block]) {
                visit_plain(id);
                if (exception.shown != Shown::nothing) {
                    visit(blocks_[block], bgp::IdRange{id, id + 1}, exception.shown);
                }
                plain = id + 1;
            }
            visit_plain(blocks_[block]->size());
        }
    }

    [[nodiscard]] bool shows_any() const {
        bool any = false;
        for_each_announced([&](const auto&...) { any = true; });
        return any;
    }

    /// Compares all prefixes, or one, with what the service's inputs now ask for.
    void settle(const Inputs& service, Moves& moves);
    void settle(Place place, const Inputs& service, Moves& moves);

private:
    struct Exception {
        const Override* word;
        Shown shown;
    };
    using Exceptions = std::map<std::uint32_t, Exception>;

    void settle_one(std::uint32_t block, Exceptions::value_type& exception, const Inputs& service,
                    Moves& moves);

    ServiceId service_;
    std::vector<bgp::BlockRef> blocks_;
    std::vector<Exceptions> exceptions_;  ///< by block
    Shown shown_ = Shown::nothing;        ///< of every prefix that is no exception
};

}  // namespace swerve::failover
