#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "swerve/health/tracker.hpp"

namespace swerve::health {

/// `healthy_when` of a service: checks combined by all, any, not and at_least. Checks are indices
/// into the list of checks of the configuration.
struct Expression {
    enum class Op : std::uint8_t { check, all, any, at_least, negation };
    Op op = Op::check;
    std::uint32_t check = 0;  ///< of Op::check
    std::uint32_t count = 0;  ///< of Op::at_least
    std::vector<Expression> of;

    friend bool operator==(const Expression&, const Expression&) = default;
};

/// Three-valued (Kleene) logic: one failing member decides `all`, one passing member decides `any`,
/// whatever the unknown ones are.
[[nodiscard]] CheckState evaluate(const Expression& expression,
                                  const std::vector<CheckState>& checks);

/// The expression over the checks that count (`counted`, by check) alone. The others are left out
/// as though they had not been written; `at_least` then asks at most for as many as remain. Nothing
/// if nothing remains; `always` remains what it is.
[[nodiscard]] std::optional<Expression> restricted(const Expression& expression,
                                                   const std::vector<bool>& counted);

/// Indices of all checks that occur, ascending, each once.
[[nodiscard]] std::vector<std::uint32_t> checks_of(const Expression& expression);

/// "all(web, any(db-a, db-b))".
[[nodiscard]] std::string to_string(const Expression& expression,
                                    const std::function<std::string_view(std::uint32_t)>& name_of);

}  // namespace swerve::health
