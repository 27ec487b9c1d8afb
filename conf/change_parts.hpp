#pragma once
// The questions that conf::compare puts together.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "swerve/conf/change.hpp"

namespace swerve::conf {

/// Objects of a section by their names, which live as long as the section.
class NameIndex {
public:
    template <class T>
    explicit NameIndex(const std::vector<T>& objects) {
        for (std::size_t id = 0; id < objects.size(); ++id) ids_.emplace(objects[id].name, id);
    }
    [[nodiscard]] std::optional<std::uint32_t> find(std::string_view name) const {
        const auto found = ids_.find(name);
        if (found == ids_.end()) return std::nullopt;
        return static_cast<std::uint32_t>(found->second);
    }

private:
    std::unordered_map<std::string_view, std::size_t> ids_;
};

[[nodiscard]] std::vector<ChangedKey> changed_keys(const Config& before, const Config& after);
[[nodiscard]] std::vector<SessionReset> session_resets(const Config& before, const Config& after);
/// `hand_overs`: what the services' blocks have in common, but for the blocks that are shared.
[[nodiscard]] std::vector<RouteChange> route_changes(const Config& before, const Config& after,
                                                     std::span<const bgp::Handover> hand_overs);

}  // namespace swerve::conf
