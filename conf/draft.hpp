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

class Subject;

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
    /// Neighbors and checks, with what their groups and templates say of them.
    std::deque<YamlNode> completed{};
};

[[nodiscard]] Names names_of(const std::vector<Section::Entry>& entries);

/// Holds placeholders where a neighbor must have a value.
[[nodiscard]] Neighbor blank_neighbor(const std::string& name);

/// `announce` of a service, `export` of a neighbor.
[[nodiscard]] ExportAttributes read_attributes(const Section& section);

/// `groups` and `neighbors`. Without `services` (their section cannot be trusted) names are not
/// looked up.
void read_neighbors(Draft& draft, Faults& faults, const Section& root, const Names* services);

/// `checks`, and `templates` of the file: of each its probe from the registry, its timing and its
/// effect. Without `names` (of checks, whose section cannot be trusted) they are not looked up.
void read_checks(Draft& draft, Faults& faults, const Section& root,
                 const std::vector<Section::Entry>& checks, const Names* names);

/// `services`, and `damping` of the file; the prefixes are left to the table. Likewise.
void read_services(Draft& draft, Faults& faults, const Section& root,
                   const std::vector<Section::Entry>& services, const Names* checks);

/// `hooks` and `webhooks`. Likewise, of services.
void read_actions(Draft& draft, const Section& root, const Names* services);

/// A list of services behind the key `services`; nothing if it is not there.
[[nodiscard]] std::optional<std::vector<failover::ServiceId>> read_service_names(
    const Section& section, const Names* services);

/// A secret, in one line of the file that `key` names, and the path of that file. `most`: octets,
/// as many as `of` takes. Nothing where there is no such key, or a fault, which never says what the
/// file holds.
struct Secret {
    std::string file;
    std::string text;
};
[[nodiscard]] std::optional<Secret> read_secret(const Section& section, std::string_view key,
                                                const std::string& directory, std::size_t most,
                                                std::string_view of);

/// `bfd` of a neighbor or a group; nothing where there is none.
[[nodiscard]] std::optional<Bfd> read_bfd(const Section& of_neighbor, const std::string& directory);

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
/// Those about checks, and about services.
void check_checks(const Draft& draft, Faults& faults);
void check_services(const Draft& draft, Faults& faults);
/// Whether each `rto` of a sound service can be kept; warnings go to the configuration.
void check_promises(Draft& draft, Faults& faults);
/// What a table of many objects says is told of some.
void limit_warnings(Config& config);
/// Those about neighbors.
void check_neighbors(const Draft& draft, Faults& faults);
/// BFD of one neighbor, or of a range.
void check_bfd(const Subject& subject, const Neighbor& neighbor);
/// What of it is of no use; warnings go to the configuration.
void warn_of_bfd(Draft& draft, const Faults& faults);

}  // namespace swerve::conf
