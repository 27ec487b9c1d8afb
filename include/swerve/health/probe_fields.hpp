#pragma once
// How a probe declares its configuration keys, and the registry of probes. No Asio here: the
// configuration loader reads it.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "swerve/base/result.hpp"
#include "swerve/base/time.hpp"
#include "swerve/net/address.hpp"

namespace swerve::health {

class Probe;

enum class FieldKind : std::uint8_t {
    string,
    string_list,
    boolean,
    integer,
    integer_list,
    number,  ///< decimal, of at most 15 digits before the point
    duration,
    endpoint,
    absolute_path,
    group
};

/// One key of a probe, as the reference page shows it.
struct Field {
    std::string_view name;
    FieldKind kind;
    bool required = false;
    std::string_view fallback;  ///< default as people write it; empty: none
    std::string_view help;      ///< one sentence
    std::int64_t least = 0;     ///< of integer and integer_list members
    std::int64_t most = 0;
    std::span<const Field> members;  ///< of a group (a nested map)
};

struct FieldValue;
/// Values by key; an absent key is one that was not given and has no default.
using FieldMap = std::map<std::string, FieldValue, std::less<>>;
struct FieldValue {
    std::variant<std::string, std::vector<std::string>, bool, std::int64_t,
                 std::vector<std::int64_t>, double, Duration, Endpoint, FieldMap>
        value;

    friend bool operator==(const FieldValue&, const FieldValue&) = default;
};

/// A fault in a probe's values that its kinds and ranges cannot express. `path` is the key, dotted
/// ("expect.body").
struct FieldFault {
    std::string path;
    std::string message;
    std::string hint;
};

struct ProbeSpec {
    std::string type;  ///< "tcp", "http", "process", …
    FieldMap fields;

    friend bool operator==(const ProbeSpec&, const ProbeSpec&) = default;
};

/// ProbeType::has_events of probes that always see events, and of those that never do.
[[nodiscard]] inline bool sees_events(const FieldMap& /*fields*/) { return true; }
[[nodiscard]] inline bool sees_no_events(const FieldMap& /*fields*/) { return false; }
/// ProbeType::sees_hangs likewise.
[[nodiscard]] inline bool always_sees_hangs(const FieldMap& /*fields*/) { return true; }
[[nodiscard]] inline bool never_sees_hangs(const FieldMap& /*fields*/) { return false; }

/// One line of the registry.
struct ProbeType {
    std::string_view name;
    std::string_view help;
    std::span<const Field> fields;
    /// Whether a probe with these values sees events, so that `on_event` means anything; with no
    /// values at all: whether it always does.
    bool (*has_events)(const FieldMap& fields);
    /// Whether a probe with these values waits for an answer of the service itself, so that it
    /// fails where the service lives and answers nobody.
    bool (*sees_hangs)(const FieldMap& fields) = never_sees_hangs;
    bool asks_scope = false;  ///< nothing tells what it looks at, so `scope` must be given
    /// Checks the values and makes the probe.
    Result<std::unique_ptr<Probe>, FieldFault> (*make)(const FieldMap& fields);
    /// What `explain` should say about how little this probe proves; empty: nothing to say.
    std::string (*caveat)(const FieldMap& fields);
    /// "http://198.51.100.1/healthz": the target for tables.
    std::string (*target)(const FieldMap& fields);
};

[[nodiscard]] std::span<const ProbeType> probe_types();
[[nodiscard]] const ProbeType* find_probe_type(std::string_view name);

/// Typed access for probe implementations; the loader guarantees kind and presence of required
/// fields.
template <class T>
[[nodiscard]] const T* get(const FieldMap& fields, std::string_view name) {
    const auto found = fields.find(name);
    return found == fields.end() ? nullptr : std::get_if<T>(&found->second.value);
}

}  // namespace swerve::health
