#pragma once
// Errors are values: every function that can fail returns a Result and says in its contract what E
// means.

#include <expected>
#include <utility>

namespace swerve {

template <class T, class E>
using Result = std::expected<T, E>;

/// Wraps an error for return: `return fail(Notification{…});`.
template <class E>
[[nodiscard]] constexpr auto fail(E&& error) {
    return std::unexpected<std::decay_t<E>>(std::forward<E>(error));
}

}  // namespace swerve
