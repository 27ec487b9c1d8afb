#pragma once
// What loading passes from one step to the next.

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/document.hpp"
#include "conf/faults.hpp"
#include "conf/prefix_table.hpp"
#include "conf/reader.hpp"
#include "swerve/conf/config.hpp"

namespace swerve::conf {

/// Names of checks or of services, and their positions in the configuration.
using Names = std::map<std::string, std::uint32_t, std::less<>>;

/// A configuration while it is read. Values that were faulty hold placeholders; rules ask
/// Faults::sound before they look at one.
struct Draft {
    std::string directory;  ///< where relative paths start
    Config config;
    Origin root;
    std::vector<Origin> neighbors;
    std::vector<Origin> checks;
    std::vector<Origin> services;
    PrefixTable prefixes;
    std::deque<YamlNode> completed{};  ///< neighbors, with what their groups say of them
};

[[nodiscard]] Names names_of(const std::vector<Section::Entry>& entries);

/// Holds placeholders where a neighbor must have a value.
[[nodiscard]] Neighbor blank_neighbor(const std::string& name);

/// `announce` of a service, `export` of a neighbor.
[[nodiscard]] ExportAttributes read_attributes(const Section& section);

/// `groups` and `neighbors`. Without `services` (their section cannot be trusted) names are not
/// looked up.
void read_neighbors(Draft& draft, Faults& faults, const Section& root, const Names* services);

/// One check: its probe from the registry, and its timing.
[[nodiscard]] Check read_check(Faults& faults, const Section::Entry& entry);

/// `healthy_when`. Without `checks` (their section cannot be trusted) names are not looked up.
[[nodiscard]] std::optional<health::Expression> read_expression(Faults& faults,
                                                                const YamlNode& node,
                                                                const std::string& path,
                                                                const Names* checks);

/// `always`, or all of nothing.
[[nodiscard]] inline bool is_always(const health::Expression& expression) {
    return expression.op == health::Expression::Op::all && expression.of.empty();
}

/// The position of a name; a fault with the nearest one if it does not exist.
[[nodiscard]] std::optional<std::uint32_t> resolve(Faults& faults, const Names& names,
                                                   std::string_view name, Place place,
                                                   const std::string& path, std::string_view what);

/// The rules that look at more than one key.
void check_rules(const Draft& draft, Faults& faults);
/// Those about neighbors.
void check_neighbors(const Draft& draft, Faults& faults);

}  // namespace swerve::conf
