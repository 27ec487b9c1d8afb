#include "health/probes/threshold.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <system_error>

namespace swerve::health {

Result<Threshold, FieldFault> Threshold::from(const FieldMap& values) {
    Threshold out;
    if (const auto* number = get<double>(values, "at_least")) out.at_least = *number;
    if (const auto* number = get<double>(values, "at_most")) out.at_most = *number;
    if (out.at_least && out.at_most && *out.at_least > *out.at_most) {
        return fail(FieldFault{
            "at_most",
            number_text(*out.at_most) + " is less than at_least " + number_text(*out.at_least),
            "no number would pass"});
    }
    return out;
}

bool Threshold::holds(double number) const {
    return !std::isnan(number) && (!at_least || number >= *at_least) &&
           (!at_most || number <= *at_most);
}

std::string Threshold::missed(double number) const {
    if (at_least && !(number >= *at_least)) return ", less than " + number_text(*at_least);
    if (at_most && !(number <= *at_most)) return ", more than " + number_text(*at_most);
    return {};
}

std::string number_text(double number) {
    std::array<char, 40> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number);
    return {digits.data(), end.ptr};
}

std::optional<double> number_in(std::string_view text) {
    const bool is_signed = text.starts_with('+');
    if (is_signed) text.remove_prefix(1);
    if (text.empty() || (is_signed && text.starts_with('-'))) return std::nullopt;
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (end != text.data() + text.size() || error == std::errc::invalid_argument) {
        return std::nullopt;
    }
    if (error == std::errc{}) return value;
    // Beyond what a double holds. from_chars() does not say on which side; strtod() does, and reads
    // what has been found to be a number.
    return std::strtod(std::string{text}.c_str(), nullptr);
}

}  // namespace swerve::health
