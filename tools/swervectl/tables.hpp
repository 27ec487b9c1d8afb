#pragma once
// Answers of the daemon as tables and details; pure text, so that `status` and `show` share them.

#include <boost/json/object.hpp>
#include <string>

#include "tools/swervectl/terminal.hpp"

namespace swerve::ctl {

// Each takes the whole answer. A list without entries becomes a sentence.
[[nodiscard]] std::string neighbors_table(const boost::json::object& answer,
                                          const Palette& palette);
[[nodiscard]] std::string bfd_table(const boost::json::object& answer, const Palette& palette);
[[nodiscard]] std::string services_table(const boost::json::object& answer, const Palette& palette);
[[nodiscard]] std::string checks_table(const boost::json::object& answer, const Palette& palette);
[[nodiscard]] std::string routes_table(const boost::json::object& answer, const Palette& palette);
/// What neighbors say about the site's own prefixes.
[[nodiscard]] std::string observed_table(const boost::json::object& answer, const Palette& palette);
[[nodiscard]] std::string adj_out_table(const boost::json::object& answer, const Palette& palette);
[[nodiscard]] std::string failovers_table(const boost::json::object& answer,
                                          const Palette& palette);
[[nodiscard]] std::string events_table(const boost::json::object& answer, const Palette& palette);

/// "damping holds it back for 4m10s (penalty)"; empty while nothing waits.
[[nodiscard]] std::string damping_text(const boost::json::object& service);

/// The state of a BFD session in the words of RFC 5880; "-" for an object that is none.
[[nodiscard]] Cell bfd_state(const boost::json::object& from);

/// One line per event, for a live view; the text names the subject.
[[nodiscard]] std::string event_line(const boost::json::object& event, const Palette& palette);

// Every object of the answer at length, for `show OBJECT NAME`.
[[nodiscard]] std::string neighbors_detail(const boost::json::object& answer,
                                           const Palette& palette);
[[nodiscard]] std::string bfd_detail(const boost::json::object& answer, const Palette& palette);
[[nodiscard]] std::string services_detail(const boost::json::object& answer,
                                          const Palette& palette);
[[nodiscard]] std::string checks_detail(const boost::json::object& answer, const Palette& palette);
[[nodiscard]] std::string failovers_detail(const boost::json::object& answer,
                                           const Palette& palette);

}  // namespace swerve::ctl
