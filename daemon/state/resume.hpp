#pragma once

#include "daemon/state/store.hpp"
#include "swerve/failover/saved_state.hpp"

namespace swerve::daemon {

/// What a process that begins now goes on with, from a store that nobody has loaded yet. Before
/// anything is announced the start itself is written down: of a process that ends before its first
/// save the next one would know nothing, and a crash loop would look like one crash. Where that
/// cannot be saved, nothing is earned: every check needs its full `rise`, and there is an alarm.
[[nodiscard]] failover::Restored resume(StateStore& store, const failover::BootFacts& boot);

}  // namespace swerve::daemon
