#pragma once
// What the views are put together from.

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <string_view>

#include "daemon/operations/json_text.hpp"
#include "daemon/snapshot.hpp"

namespace swerve::daemon::views {

template <class T, class Render>
[[nodiscard]] boost::json::value or_null(const std::optional<T>& value, const Render& render) {
    if (!value) return nullptr;
    return render(*value);
}

[[nodiscard]] inline boost::json::value text_or_null(std::string_view text) {
    if (text.empty()) return nullptr;
    return json_string(text);
}

/// The wall time of a moment on the boot clock, as far as the two run alike since.
[[nodiscard]] inline boost::json::value wall_of(const Snapshot& snapshot, TimePoint when) {
    return json_string(rfc3339(snapshot.wall - (snapshot.now - when)));
}

template <class List>
[[nodiscard]] boost::json::array strings(const List& list) {
    boost::json::array out;
    for (const auto& element : list) out.push_back(json_string(element.to_string()));
    return out;
}

[[nodiscard]] inline boost::json::array family_names(const bgp::FamilySet& families) {
    boost::json::array out;
    for (const Family family : bgp::all_families) {
        if (families.contains(family)) out.push_back(json_string(to_string(family)));
    }
    return out;
}

}  // namespace swerve::daemon::views
