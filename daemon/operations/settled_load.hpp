#pragma once
// A configuration that is read while somebody writes it would be half the old and half the new.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <set>
#include <string>

#include "swerve/base/result.hpp"
#include "swerve/conf/config.hpp"
#include "swerve/conf/diagnostic.hpp"

namespace swerve::daemon {

/// The configuration file and the prefix files it names.
[[nodiscard]] std::set<std::string> files_of(const conf::Config& config);

/// Loads `file` and the prefix files it names at a moment at which none of them has changed for
/// 100 ms, and none did meanwhile; waits up to 2 s for it. Faults count when they are found twice,
/// 100 ms apart: a file may be missing while it is being replaced. `known` are files to watch where
/// faults do not say which they come from. `pause` is what it waits with; cancelled, it gives up.
/// Blocks on file I/O.
[[nodiscard]] boost::asio::awaitable<Result<std::shared_ptr<const conf::Config>, conf::Diagnostics>>
load_settled(std::string file, std::set<std::string> known,
             std::shared_ptr<boost::asio::steady_timer> pause);

}  // namespace swerve::daemon
