#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "swerve/base/result.hpp"
#include "swerve/conf/config.hpp"
#include "swerve/conf/diagnostic.hpp"

namespace swerve::conf {

/// Limits on what is read; beyond them loading fails with one clear line.
inline constexpr std::size_t max_file_octets = 16U << 20U;  ///< of the YAML file
inline constexpr std::size_t max_prefixes_file_octets = 64U << 20U;
inline constexpr std::size_t max_prefixes = 2'000'000;  ///< of all services together
inline constexpr std::size_t max_diagnostics = 100;     ///< then "and N more"

/// Reads, checks and resolves a configuration file and the prefix files it names. All faults are
/// reported, not the first alone, in the order of their place. Blocks on file I/O; never called on
/// the main loop.
[[nodiscard]] Result<std::shared_ptr<const Config>, Diagnostics> load(const std::string& file);
/// The same from memory; `file` names it in diagnostics and is the base of relative paths.
[[nodiscard]] Result<std::shared_ptr<const Config>, Diagnostics> load_text(const std::string& text,
                                                                           const std::string& file);

/// The configuration as YAML with every default written out; loading it gives an equal Config.
[[nodiscard]] std::string print(const Config& config);

/// The reference of all keys as Markdown, made from the schema table and the probe registry.
[[nodiscard]] std::string reference();

/// The page of the checks: each probe with its keys, what it passes for, and its example. `example`
/// gives the text of conf/examples/checks/PROBE.yaml, empty where there is none.
[[nodiscard]] std::string checks_page(
    const std::function<std::string(std::string_view probe)>& example);

}  // namespace swerve::conf
