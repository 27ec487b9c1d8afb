#pragma once

namespace swerve {

/// Overload set for std::visit. There is no default branch, so a new alternative does not compile
/// until every visitor answers it.
template <class... Ts>
struct Overloaded : Ts... {
    using Ts::operator()...;
};

}  // namespace swerve
