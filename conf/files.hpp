#pragma once

#include <cstddef>
#include <string>

#include "swerve/base/result.hpp"

namespace swerve::conf {

/// Reads a regular file of at most `limit` octets, opened once: when another file takes its
/// place, one of both is read; when something is written into it meanwhile, that is an error. The
/// error says why not, in one phrase.
[[nodiscard]] Result<std::string, std::string> read_text(const std::string& file,
                                                         std::size_t limit);
/// The same of a file that holds a secret: refused where others than its owner and its group have
/// any access, or the group may write.
[[nodiscard]] Result<std::string, std::string> read_private(const std::string& file,
                                                            std::size_t limit);

}  // namespace swerve::conf
