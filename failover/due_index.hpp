#pragma once

#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "swerve/base/time.hpp"
#include "swerve/failover/policy.hpp"

namespace swerve::failover {

/// The next deadline of every check, in order, so that ten thousand of them need not be looked
/// through at each wake.
class DueIndex {
public:
    explicit DueIndex(std::size_t checks) : at_(checks) {}

    void set(CheckId check, std::optional<TimePoint> when) {
        auto& at = at_[check];
        if (at == when) return;
        if (at && when) {
            // The node moves along: a deadline changes with every outcome.
            auto node = ordered_.extract({*at, check});
            node.value().first = *when;
            ordered_.insert(std::move(node));
        } else if (at) {
            ordered_.erase({*at, check});
        } else {
            ordered_.emplace(*when, check);
        }
        at = when;
    }

    [[nodiscard]] std::optional<TimePoint> next() const {
        if (ordered_.empty()) return std::nullopt;
        return ordered_.begin()->first;
    }

    /// Appends the checks that are due, earliest first; each is set anew after its tick.
    void due(TimePoint now, std::vector<CheckId>& out) const {
        for (const auto& [when, check] : ordered_) {
            if (when > now) return;
            out.push_back(check);
        }
    }

private:
    std::vector<std::optional<TimePoint>> at_;
    std::set<std::pair<TimePoint, CheckId>> ordered_;
};

}  // namespace swerve::failover
