#pragma once
// Dumps of messages as `bgpdump` and others read them (RFC 6396). On the operations loop.

#include <optional>
#include <set>
#include <string>

#include "daemon/mrt_tap.hpp"
#include "swerve/base/bytes.hpp"

namespace swerve::daemon {

/// BGP4MP_ET, so that the order of messages within a second can be seen, with the subtype for who
/// sent it and for how its AS numbers and NLRI are to be read (RFC 6396 §4.4, RFC 8050 §4).
[[nodiscard]] Bytes encode_mrt(const MrtRecord& record);

class MrtFiles {
public:
    /// Appends to the record's file, which is opened each time, so that it may be moved away and
    /// another begins. Returns what went wrong, a sentence, once until it goes well again. A record
    /// is in the file as a whole or not at all.
    [[nodiscard]] std::optional<std::string> append(const MrtRecord& record);

private:
    std::set<std::string> failing_;
};

}  // namespace swerve::daemon
