// swervectl: the command line client of swerved. Everything about words and exit codes is here;
// what a command does is in the file of its theme.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <exception>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "swerve/base/escape.hpp"
#include "tools/swervectl/commands.hpp"
#include "tools/swervectl/faults.hpp"

namespace swerve::ctl {
namespace {

constexpr std::string_view footer =
    "Commands, their subcommands and objects of show may be abbreviated while they stay unique.\n"
    "Exit codes: 0 done, 1 failed, 2 usage, 3 daemon unreachable, 4 configuration invalid,\n"
    "5 no such object, 6 timeout, 7 refused.";

struct Line {
    bool json = false;
    std::string socket = "/run/swerve/control.sock";
    std::string color = "auto";
    std::string object;
    std::string name;
    Selection selection;
    std::string condition;
    std::string timeout = "30s";
    bool wait = false;
    std::string wait_timeout;  ///< of drain; empty: none
    std::string file;
    std::string verb;
    Words words;
    bool dry_run = false;
    bool planned_restart = false;
    bool follow = false;
    std::optional<std::uint64_t> since;
};

using Action = std::function<Outcome<Exit>(const Context&)>;

int end(bool json, const Failure& failure) {
    if (json) {
        boost::json::object out = document("swerve.error/1");
        boost::json::object error{
            {"code", failure.code}, {"message", failure.message}, {"hint", failure.hint}};
        if (!failure.faults.empty()) error["diagnostics"] = to_json(failure.faults);
        out["error"] = std::move(error);
        print_json(boost::json::serialize(out));
    } else if (!failure.faults.empty()) {
        fmt::print(stderr, "{}swervectl: {}; the configuration in force is what it was\n",
                   faults_text(failure.faults),
                   plural(conf::fault_count(failure.faults), "error", "errors"));
    } else {
        fmt::print(stderr, "swervectl: {}{}{}\n", escape(failure.message, 4096),
                   failure.hint.empty() ? "" : ": ", escape(failure.hint, 4096));
    }
    return static_cast<int>(failure.exit);
}

/// A number below zero would be read as one from the other end.
std::string no_minus(const std::string& text) {
    return text.starts_with('-') ? fmt::format("'{}' is less than 0", text) : std::string{};
}

void add_globals(CLI::App& app, Line& line) {
    app.set_help_flag("-h,--help", "Print this text");
    app.set_version_flag("--version", SWERVE_VERSION, "Print the version");
    app.add_flag("--json", line.json, "Answer in JSON, errors included");
    app.add_option("--socket", line.socket, "Control socket of the daemon")
        ->envname("SWERVE_SOCKET")
        ->capture_default_str();
    app.add_option("--color", line.color, "Colors: auto, always or never")
        ->check(CLI::IsMember({"auto", "always", "never"}))
        ->capture_default_str();
    app.require_subcommand(1);
    app.fallthrough();
    app.footer(std::string{footer});
}

void add_queries(CLI::App& app, Line& line, Action& action) {
    app.add_subcommand("status", "One screen: sessions, services, checks, last events")
        ->callback([&] { action = status; });
    CLI::App* objects = app.add_subcommand("show", "Tables; detail with a name");
    objects
        ->add_option(
            "OBJECT", line.object,
            "neighbors, bfd, services, checks, routes, adj-out, failovers, events or config")
        ->required();
    objects->add_option("NAME", line.selection.name,
                        "One of them; of routes a prefix, of failovers an id, of adj-out a "
                        "neighbor");
    objects->add_option("PREFIX", line.selection.prefix,
                        "Of adj-out: what covers it and what lies inside");
    objects->add_option("--limit", line.selection.limit, "Of routes and adj-out: how many at most")
        ->check(no_minus);
    objects->add_flag("--observed", line.selection.observed,
                      "Of routes: what neighbors say about this site's own prefixes");
    objects->callback([&] {
        action = [&line](const Context& context) {
            return show(context, line.object, line.selection);
        };
    });
    CLI::App* why = app.add_subcommand("explain", "Why a prefix is announced or not, as a chain");
    why->add_option("PREFIX", line.name)->required();
    why->callback(
        [&] { action = [&line](const Context& context) { return explain(context, line.name); }; });
    CLI::App* happened = app.add_subcommand("events", "What happened, oldest first");
    happened->add_flag("-f,--follow", line.follow, "Go on with what happens, until interrupted");
    happened->add_option("--since", line.since, "Only what came after the event of this id")
        ->check(no_minus);
    happened->callback([&] {
        action = [&line](const Context& context) {
            return events(context, line.follow, line.since);
        };
    });
}

void add_promises(CLI::App& app, Line& line, Action& action) {
    CLI::App* promised = app.add_subcommand(
        "rto", "How long each kind of failure may last at most, beside what was promised and seen");
    promised->add_option("SERVICE", line.name, "One of them");
    promised->callback(
        [&] { action = [&line](const Context& context) { return rto(context, line.name); }; });
}

void add_wait(CLI::App& drain, Line& line) {
    CLI::Option* wait = drain.add_flag(
        "--wait", line.wait, "Show the stages as they pass and end when it is safe to stop");
    drain
        .add_option("--timeout", line.wait_timeout,
                    "Of --wait: how long at most; exit code 6 then, and the drain stays in force")
        ->needs(wait);
}

void add_overrides(CLI::App& app, Line& line, Action& action) {
    struct Verb {
        const char* name;
        const char* subject;
        const char* help;
    };
    static constexpr std::array<Verb, 4> verbs{
        {{"announce", "PREFIX", "Announce a prefix whatever its service's verdict says"},
         {"withdraw", "PREFIX", "Withdraw a prefix whatever its service's verdict says"},
         {"drain", "SERVICE", "Take a service out: its prefixes are withdrawn, in stages"},
         {"undrain", "SERVICE", "End a drain"}}};
    for (const Verb& verb : verbs) {
        CLI::App* command = app.add_subcommand(verb.name, verb.help);
        command->add_option(verb.subject, line.words.subject)->required();
        // Ending a drain lasts by itself.
        if (std::string_view{verb.name} != "undrain") {
            command->add_option("--for", line.words.lasting,
                                "How long (30s, 10m, 2h); else until cleared");
        }
        command->add_option("--reason", line.words.reason,
                            "Why, for the colleagues and the record");
        if (std::string_view{verb.name} == "drain") add_wait(*command, line);
        command->callback([&, name = std::string{verb.name}] {
            action = [&line, name](const Context& context) {
                return line.wait ? drain_and_wait(context, line.words, line.wait_timeout)
                                 : set_override(context, name, line.words);
            };
        });
    }
    CLI::App* clear = app.add_subcommand("auto", "Clear every override on a service or a prefix");
    clear->add_option("SUBJECT", line.words.subject, "SERVICE or PREFIX")->required();
    clear->callback([&] {
        action = [&line](const Context& context) {
            return clear_overrides(context, line.words.subject);
        };
    });
}

void add_neighbor(CLI::App& app, Line& line, Action& action) {
    CLI::App* neighbor = app.add_subcommand("neighbor", "A session by hand");
    neighbor->add_option("NAME", line.words.subject)->required();
    neighbor
        ->add_option("COMMAND", line.verb,
                     "enable, disable (until enabled, restarts included), reset (end the session "
                     "and open it anew) or refresh (send and ask for all routes once more)")
        ->required()
        ->check(CLI::IsMember({"enable", "disable", "reset", "refresh"}));
    neighbor->add_option("--reason", line.words.reason,
                         "Why, for the colleagues, the record and the neighbor");
    neighbor->callback([&] {
        action = [&line](const Context& context) {
            return command_neighbor(context, line.verb, line.words);
        };
    });
}

void add_probe(CLI::App& app, Line& line, Action& action) {
    CLI::App* probe = app.add_subcommand("probe", "A check's probe by hand");
    probe->require_subcommand(1);
    CLI::App* once = probe->add_subcommand(
        "run", "One attempt now, every step with its time; nothing is changed");
    once->add_option("NAME", line.name)->required();
    once->callback([&] {
        action = [&line](const Context& context) { return probe_once(context, line.name); };
    });
}

void add_stop(CLI::App& app, Line& line, Action& action) {
    CLI::App* stop = app.add_subcommand("stop", "Withdraw everything and end the daemon");
    stop->add_flag("--planned-restart", line.planned_restart,
                   "Leave the routes to neighbors that keep them for graceful_restart: start the "
                   "daemon again at once");
    stop->add_option("--reason", line.words.reason,
                     "Why, for the colleagues, the record and the neighbors");
    stop->callback([&] {
        action = [&line](const Context& context) {
            return end_daemon(context, line.planned_restart, line.words.reason);
        };
    });
}

void add_tools(CLI::App& app, Line& line, Action& action) {
    CLI::App* wait =
        app.add_subcommand("wait", "Wait until a condition holds; exit code 6 if it does not");
    wait->add_option("CONDITION", line.condition,
                     "announced=PREFIX, withdrawn=PREFIX, session=NAME or verdict=SERVICE:up")
        ->required();
    wait->add_option("--timeout", line.timeout, "How long at most (500ms, 30s, 10m)")
        ->capture_default_str();
    wait->callback([&] {
        action = [&line](const Context& context) {
            return wait_for(context, line.condition, line.timeout);
        };
    });
    CLI::App* config = app.add_subcommand("config", "Work on a configuration file");
    config->require_subcommand(1);
    CLI::App* diff = config->add_subcommand(
        "diff", "What a configuration file would change of what the daemon has in force");
    diff->add_option("FILE", line.file)->required();
    diff->callback([&] {
        action = [&line](const Context& context) {
            return compare_configuration(context, line.file);
        };
    });
    CLI::App* again =
        app.add_subcommand("reload", "Apply what changed in the daemon's configuration file");
    again->add_flag("--dry-run", line.dry_run, "Only say what would change");
    again->callback([&] {
        action = [&line](const Context& context) { return reload(context, line.dry_run); };
    });
    CLI::App* check = config->add_subcommand("check", "Report every fault of a configuration file");
    check->add_option("FILE", line.file)->required();
    check->callback([&] {
        action = [&line](const Context& context) {
            return check_configuration(context, line.file);
        };
    });
    app.add_subcommand("version", "Print the version")->callback([&] { action = version; });
}

/// Commands of later versions, and those of config.
constexpr std::array<std::string_view, 2> later{"top", "check"};
constexpr std::array<std::string_view, 1> later_of_config{"show"};

bool one_of(std::span<const std::string_view> names, std::string_view word) {
    return std::ranges::find(names, word) != names.end();
}

/// The first word from `i` on that is no option.
std::size_t bare_word(const std::vector<std::string>& words, std::size_t i) {
    while (i < words.size() && words[i].starts_with('-')) {
        i += words[i] == "--socket" || words[i] == "--color" ? 2 : 1;
    }
    return i;
}

/// Refuses words of later versions by name; expects the command in full.
Outcome<void> refuse_later(const std::vector<std::string>& words) {
    const std::size_t command = bare_word(words, 0);
    if (command >= words.size()) return {};
    if (one_of(later, words[command])) return fail(not_yet(words[command]));
    const std::size_t inner = bare_word(words, command + 1);
    if (words[command] == "config" && inner < words.size() &&
        one_of(later_of_config, words[inner])) {
        return fail(not_yet("config " + words[inner]));
    }
    return {};
}

/// Completes one word that is the unique abbreviation of a subcommand.
Outcome<void> complete_word(const CLI::App& app, std::string& word) {
    std::vector<std::string> matches;
    std::string all;
    for (const CLI::App* command : app.get_subcommands({})) {
        all += (all.empty() ? "" : ", ") + command->get_name();
        if (command->get_name() == word) return {};
        if (!word.empty() && command->get_name().starts_with(word)) {
            matches.push_back(command->get_name());
        }
    }
    if (matches.size() != 1) {
        return fail(usage(fmt::format("'{}' is {} of: {}", word,
                                      matches.empty() ? "none" : "short for more than one", all),
                          "see swervectl --help"));
    }
    word = matches.front();
    return {};
}

/// Completes a command and, of those that have some, its subcommand; CLI11 reports the rest.
Outcome<void> complete_command(const CLI::App& app, std::vector<std::string>& words) {
    const CLI::App* in = &app;
    for (std::size_t i = bare_word(words, 0); i < words.size(); i = bare_word(words, i + 1)) {
        if (in->get_subcommands({}).empty()) break;
        if (one_of(in == &app ? std::span<const std::string_view>{later} : later_of_config,
                   words[i])) {
            break;
        }
        if (auto known = complete_word(*in, words[i]); !known) return known;
        in = in->get_subcommand(words[i]);
    }
    return {};
}

int help(const CLI::App& app, bool json) {
    if (json) {
        boost::json::object out = document("swerve.help/1");
        out["text"] = app.help();
        print_json(boost::json::serialize(out));
    } else {
        std::fputs(app.help().c_str(), stdout);
    }
    return 0;
}

int run(std::vector<std::string> words) {
    // A usage error is reported before the line is parsed, so --json is looked up by hand.
    const bool json = std::ranges::find(words, "--json") != words.end();
    Line line;
    Action action;
    CLI::App app{"swervectl: talk to a running swerved", "swervectl"};
    add_globals(app, line);
    add_queries(app, line, action);
    add_promises(app, line, action);
    add_overrides(app, line, action);
    add_neighbor(app, line, action);
    add_probe(app, line, action);
    add_stop(app, line, action);
    add_tools(app, line, action);
    for (CLI::App* command : app.get_subcommands({})) command->group("Commands");
    if (const auto known = complete_command(app, words); !known) return end(json, known.error());
    if (const auto here = refuse_later(words); !here) return end(json, here.error());
    try {
        std::ranges::reverse(words);
        app.parse(std::move(words));
    } catch (const CLI::CallForHelp&) {
        return help(app, json);
    } catch (const CLI::CallForVersion&) {
        return static_cast<int>(*version({Client{line.socket}, json, Palette{false}}));
    } catch (const CLI::ParseError& error) {
        return end(json, usage(error.what(), "see swervectl --help"));
    }
    const Context context{Client{line.socket}, line.json, Palette{colors_wanted(line.color)}};
    const auto outcome = action(context);
    return outcome ? static_cast<int>(*outcome) : end(line.json, outcome.error());
}

}  // namespace
}  // namespace swerve::ctl

int main(int argc, char** argv) {
    namespace ctl = swerve::ctl;
    const std::vector<std::string> words{argv + 1, argv + argc};
    try {
        return ctl::run(words);
    } catch (const std::exception& error) {
        const bool json = std::ranges::find(words, "--json") != words.end();
        return ctl::end(json, {ctl::Exit::failed, "failed", error.what(), ""});
    }
}
