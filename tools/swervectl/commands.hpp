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
/// Drains a service and shows the stages as they pass, until it is safe to stop; empty: however
/// long that takes.
[[nodiscard]] Outcome<Exit> drain_and_wait(const Context& context, const Words& words,
                                           const std::string& timeout);
[[nodiscard]] Outcome<Exit> clear_overrides(const Context& context, const std::string& subject);
/// `verb`: enable, disable, reset or refresh.
[[nodiscard]] Outcome<Exit> command_neighbor(const Context& context, const std::string& verb,
                                             const Words& words);
/// One attempt of a check, step by step.
[[nodiscard]] Outcome<Exit> probe_once(const Context& context, const std::string& check);
/// Ends the daemon, not this program.
[[nodiscard]] Outcome<Exit> end_daemon(const Context& context, bool planned_restart,
                                       const std::string& reason);
[[nodiscard]] Outcome<Exit> reload(const Context& context, bool dry_run);

[[nodiscard]] Outcome<Exit> wait_for(const Context& context, const std::string& condition,
                                     const std::string& timeout);
[[nodiscard]] Outcome<Exit> events(const Context& context, bool follow,
                                   std::optional<std::uint64_t> since);
/// What services promise, and what there was; empty: all.
[[nodiscard]] Outcome<Exit> rto(const Context& context, const std::string& service);
/// Needs no daemon.
[[nodiscard]] Outcome<Exit> check_configuration(const Context& context, const std::string& file);
/// Between what the daemon has in force and a file.
[[nodiscard]] Outcome<Exit> compare_configuration(const Context& context, const std::string& file);
[[nodiscard]] Outcome<Exit> version(const Context& context);

/// "10m", "1500ms": a number and a unit (ms, s, m, h, d), nothing else.
[[nodiscard]] Outcome<std::chrono::milliseconds> parse_duration(const std::string& option,
                                                                const std::string& text);
/// The body of a call that sets an override; `subject_key`: "prefix" or "service".
[[nodiscard]] Outcome<boost::json::object> body_of(std::string_view subject_key,
                                                   const Words& words);
/// Whether what a command changed will outlast a restart; says so on standard error where not.
[[nodiscard]] Exit saved(const boost::json::object& answer, bool json);
/// Fails with what is wrong with it.
[[nodiscard]] Outcome<void> require_prefix(const std::string& text);

}  // namespace swerve::ctl
