#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/faults.hpp"

namespace swerve::conf {

/// A YAML value as it stands in the file: text is not interpreted, every node knows its place.
struct YamlNode {
    enum class Kind : std::uint8_t { nothing, scalar, list, map, alias };
    struct Entry;

    Kind kind = Kind::nothing;
    bool quoted = false;  ///< of a scalar
    Place place{};
    Place named_at{};    ///< where its key stands; its own place if it has none
    std::string text{};  ///< of a scalar
    std::vector<YamlNode> items{};
    std::vector<Entry> entries;  ///< duplicates included, in the order of the file

    /// The first entry of this key; null if there is none or this is no map.
    [[nodiscard]] const YamlNode* find(std::string_view key) const;
    [[nodiscard]] YamlNode* find(std::string_view key);
};

struct YamlNode::Entry {
    Place place;  ///< of the key
    std::string key;
    YamlNode value;
};

/// "nothing", "a value", "a list", "a map": what stands at a node, for messages.
[[nodiscard]] std::string_view describe(YamlNode::Kind kind);

/// Parses one YAML document, strictly: control characters, invalid UTF-8, tags, anchors, complex
/// keys, deep nesting, a second document and whatever yaml-cpp refuses are faults. Nothing is
/// returned when the document cannot be read to its end.
[[nodiscard]] std::optional<YamlNode> parse_document(const std::string& text, Faults& faults);

}  // namespace swerve::conf
