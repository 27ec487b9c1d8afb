#pragma once
// Waiting until the daemon answers a question as hoped for.

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "tools/swervectl/client.hpp"
#include "tools/swervectl/failure.hpp"

namespace swerve::ctl {

using Clock = std::chrono::steady_clock;

struct Observation {
    bool met;
    std::string seen;  ///< what is the case now, for the message of a timeout
};
using Question = std::function<Outcome<Observation>(const Client&)>;

/// Asks at once, at every event and a few times a second. Returns how long it took; fails with
/// Exit::timeout, which names `what`.
[[nodiscard]] Outcome<Clock::duration> await(const Client& client, const Question& question,
                                             const std::string& what,
                                             std::optional<std::chrono::milliseconds> patience);

}  // namespace swerve::ctl
