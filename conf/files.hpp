#pragma once

#include <cstddef>
#include <string>

#include "swerve/base/result.hpp"

namespace swerve::conf {

/// Reads a regular file of at most `limit` octets, at one go: what is written into it meanwhile is
/// an error, what is put in its place is another file. The error says why not, in one phrase.
[[nodiscard]] Result<std::string, std::string> read_text(const std::string& file,
                                                         std::size_t limit);

}  // namespace swerve::conf
