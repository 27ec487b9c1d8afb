#pragma once
// What swervectl can do: one function per command, each prints its own answer.

#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tools/swervectl/client.hpp"
#include "tools/swervectl/failure.hpp"
#include "tools/swervectl/terminal.hpp"

namespace swerve::ctl {

struct Context {
    Client client;
    bool json = false;
    Palette palette{false};
};

/// One line of JSON on standard output, as every answer under --json.
void print_json(std::string_view text);

/// A document of this client's own, with the fields that every answer has (docs/api.md).
[[nodiscard]] boost::json::object document(std::string_view schema);

[[nodiscard]] Outcome<Exit> status(const Context& context);
/// What of an object; empty: all.
struct Selection {
    std::string name;
    std::string prefix;  ///< of adj-out
    std::optional<std::uint64_t> limit;
    bool observed = false;  ///< of routes: what neighbors say about own prefixes
};
/// `object` may be abbreviated or singular.
[[nodiscard]] Outcome<Exit> show(const Context& context, const std::string& object,
                                 const Selection& selection);
[[nodiscard]] Outcome<Exit> explain(const Context& context, const std::string& prefix);

struct Words {
    std::string subject;
    std::string lasting;  ///< "10m"; empty: until cleared
    std::string reason;
};
/// announce and withdraw take a prefix, drain and undrain a service, auto either.
[[nodiscard]] Outcome<Exit> set_override(const Context& context, const std::string& verb,
                                         const Words& words);
[[nodiscard]] Outcome<Exit> clear_overrides(const Context& context, const std::string& subject);
/// `verb`: enable, disable, reset or refresh.
[[nodiscard]] Outcome<Exit> command_neighbor(const Context& context, const std::string& verb,
                                             const Words& words);
/// Ends the daemon, not this program.
[[nodiscard]] Outcome<Exit> end_daemon(const Context& context, bool planned_restart,
                                       const std::string& reason);
[[nodiscard]] Outcome<Exit> reload(const Context& context, bool dry_run);

[[nodiscard]] Outcome<Exit> wait_for(const Context& context, const std::string& condition,
                                     const std::string& timeout);
[[nodiscard]] Outcome<Exit> events(const Context& context, bool follow,
                                   std::optional<std::uint64_t> since);
/// Needs no daemon.
[[nodiscard]] Outcome<Exit> check_configuration(const Context& context, const std::string& file);
/// Between what the daemon has in force and a file.
[[nodiscard]] Outcome<Exit> compare_configuration(const Context& context, const std::string& file);
[[nodiscard]] Outcome<Exit> version(const Context& context);

/// "10m", "1500ms": a number and a unit (ms, s, m, h, d), nothing else.
[[nodiscard]] Outcome<std::chrono::milliseconds> parse_duration(const std::string& option,
                                                                const std::string& text);
/// Fails with what is wrong with it.
[[nodiscard]] Outcome<void> require_prefix(const std::string& text);

}  // namespace swerve::ctl
