#include <array>
#include <sstream>
#include <string>
#include <string_view>

#include "conf/tables.hpp"
#include "swerve/conf/load.hpp"
#include "swerve/health/probe_fields.hpp"

namespace swerve::conf {
namespace {

constexpr std::string_view introduction = R"(# Checks

Made from the schema and from [conf/examples/checks](../conf/examples/checks); the test "checks: the
page is up to date" says how to make it anew. What every check has besides its probe (timing,
thresholds, scope, effect) is in [configuration](configuration.md).

A probe's one attempt ends in one of three words:

- `pass`: the probe has seen what it asks for;
- `fail`: the service is not what it should be; that is the site's fault;
- `unknown`: nothing was learned: wrong credentials, a missing file or program, an answer that is no
  answer. An alarm, and after `unknown_hold` what `on_unknown` says.

No answer within `timeout` is `fail`, and its reason says what was being waited for. Servers are
named by address: host names are not in this version. A target inside `owned` must be an address of
this host. Answers are looked into as far as 64 KiB where nothing else is said; redirects are not
followed.

Choose `scope` by what a failure says. One that strikes this site alone is `local` and may
`withdraw`. One that strikes several sites at once, such as that of a link between them, a quorum, a
store they share or a certificate they share, is `shared`: it may hold back a start (`gate`), make
the site less attractive (`degrade`) or raise an `alarm`, but never withdraw, or all sites would go
together.
)";

/// What the comment at the head of an example says, and the part of it that a reader came for.
struct Example {
    std::string pass;
    std::string fail;
    std::string unknown;
    std::string note;
    std::string yaml;
};

/// The text behind "# pass: " and the like; it goes on in lines of "#  " with two blanks or more.
Example parsed(const std::string& text) {
    Example out;
    const std::array<std::pair<std::string_view, std::string*>, 4> words{
        {{"# pass: ", &out.pass},
         {"# fail: ", &out.fail},
         {"# unknown: ", &out.unknown},
         {"# note: ", &out.note}}};
    std::istringstream lines{text};
    std::string* current = nullptr;
    bool in_checks = false;
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("#  ") && current != nullptr) {
            *current += " " + line.substr(line.find_first_not_of("# "));
            continue;
        }
        current = nullptr;
        for (const auto& [mark, target] : words) {
            if (!line.starts_with(mark)) continue;
            *target = line.substr(mark.size());
            current = target;
        }
        const bool is_top = !line.empty() && line.front() != ' ' && line.front() != '#';
        if (is_top) in_checks = line == "checks:";
        if (in_checks) out.yaml += line + "\n";
    }
    return out;
}

std::string remarks(const health::ProbeType& type) {
    std::string out;
    if (type.has_events({})) out += "\nIt sees events between attempts: `on_event` applies.\n";
    if (type.asks_scope) out += "\nNothing tells what it looks at: `scope` must be given.\n";
    return out;
}

std::string outcomes(const Example& example) {
    return "\n| result | when |\n| --- | --- |\n| `pass` | " + cell(example.pass) +
           " |\n| `fail` | " + cell(example.fail) + " |\n| `unknown` | " + cell(example.unknown) +
           " |\n";
}

}  // namespace

std::string checks_page(const std::function<std::string(std::string_view probe)>& example) {
    std::string out{introduction};
    for (const health::ProbeType& type : health::probe_types()) {
        const std::string name{type.name};
        out += "\n## `" + name + "`\n\n" + std::string{type.help} + "\n" + remarks(type);
        const Example shown = parsed(example(type.name));
        if (!shown.note.empty()) out += "\n" + shown.note + "\n";
        out += outcomes(shown) + field_table(type.fields, name);
        out += "\n```yaml\n" + shown.yaml + "```\n";
    }
    return out;
}

}  // namespace swerve::conf
