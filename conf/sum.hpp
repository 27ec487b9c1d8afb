#pragma once

#include <algorithm>
#include <vector>

namespace swerve::conf {

/// How lists add up: both in their order, each member once.
template <class T>
[[nodiscard]] std::vector<T> sum(const std::vector<T>& a, const std::vector<T>& b) {
    std::vector<T> out;
    for (const auto* list : {&a, &b}) {
        for (const T& member : *list) {
            if (std::ranges::find(out, member) == out.end()) out.push_back(member);
        }
    }
    return out;
}

}  // namespace swerve::conf
