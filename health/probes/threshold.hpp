#pragma once
// What a number is compared with.

#include <optional>
#include <string>
#include <string_view>

#include "swerve/base/result.hpp"
#include "swerve/health/probe_fields.hpp"

namespace swerve::health {

/// For a probe's list of fields.
inline constexpr Field at_least_field{
    .name = "at_least",
    .kind = FieldKind::number,
    .help = "The smallest number that passes.",
};
inline constexpr Field at_most_field{
    .name = "at_most",
    .kind = FieldKind::number,
    .help = "The greatest number that passes.",
};

struct Threshold {
    std::optional<double> at_least;
    std::optional<double> at_most;

    /// Of `at_least` and `at_most` among `values`.
    [[nodiscard]] static Result<Threshold, FieldFault> from(const FieldMap& values);

    [[nodiscard]] bool is_given() const { return at_least || at_most; }
    /// Whether the number passes, which NaN never does.
    [[nodiscard]] bool holds(double number) const;
    /// How a reason goes on behind a number that does not: ", less than 5".
    [[nodiscard]] std::string missed(double number) const;
};

/// "3", "0.25": the shortest text that reads back as this number.
[[nodiscard]] std::string number_text(double number);
/// A number as JSON, Prometheus and people write it; nothing if it is none, or followed by anything
/// else. Infinities and NaN are numbers here, as Prometheus has them.
[[nodiscard]] std::optional<double> number_in(std::string_view text);

}  // namespace swerve::health
