#pragma once
// How a command ends: an exit code, or a failure that says what to do about it.

#include <string>

#include "swerve/base/result.hpp"
#include "swerve/conf/diagnostic.hpp"

namespace swerve::ctl {

/// DESIGN.md §6; the values are a contract with scripts.
enum class Exit : int {
    done = 0,
    failed = 1,
    usage = 2,
    unreachable = 3,
    invalid_configuration = 4,
    no_such_object = 5,
    timeout = 6,
    refused = 7,
};

struct Failure {
    Exit exit = Exit::failed;
    std::string code;               ///< the word of docs/api.md, or this client's own
    std::string message;            ///< one line
    std::string hint;               ///< what to do; may be empty
    conf::Diagnostics faults = {};  ///< of a configuration file, the first one is the message
};

template <class T>
using Outcome = Result<T, Failure>;

[[nodiscard]] inline Failure usage(std::string message, std::string hint = {}) {
    return {Exit::usage, "usage", std::move(message), std::move(hint)};
}

/// For words of a later version.
[[nodiscard]] inline Failure not_yet(const std::string& words) {
    return usage("'" + words + "' is not in this version", "see swervectl --help");
}

}  // namespace swerve::ctl
