#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "conf/document.hpp"
#include "conf/faults.hpp"
#include "conf/schema.hpp"
#include "conf/values.hpp"

namespace swerve::conf {

/// Where an object stands, for the rules that look at it once everything is read.
struct Origin {
    const YamlNode* node = nullptr;  ///< its value
    std::string path;

    /// The value that `keys` lead to, or the nearest thing above it that was written down; of a map
    /// its key.
    [[nodiscard]] Place at(std::initializer_list<std::string_view> keys) const;
    [[nodiscard]] bool has(std::initializer_list<std::string_view> keys) const;
};

/// One map of the file with the keys that may stand in it. Making it reports unknown, repeated and
/// missing keys and those of later versions; reading a key reports what is wrong with its value.
class Section {
public:
    /// `others`: keys that are known besides `keys`, because the caller reads them itself.
    Section(Faults& faults, const YamlNode& node, std::string path, std::span<const Key> keys,
            std::span<const std::string_view> others = {});

    [[nodiscard]] const YamlNode* find(std::string_view name) const { return node_->find(name); }
    [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }
    [[nodiscard]] std::string path_of(std::string_view name) const;
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] const YamlNode& node() const { return *node_; }
    [[nodiscard]] Faults& faults() const { return *faults_; }

    /// The value given, else the default; nothing where there is neither or the value is faulty.
    template <class T>
    [[nodiscard]] std::optional<T> get(std::string_view name) const {
        const auto value = scalar(name);
        if (!value) return std::nullopt;
        return as<T>(*value);
    }
    /// The sound members; nothing if the key is absent or no list.
    template <class T>
    [[nodiscard]] std::optional<std::vector<T>> list(std::string_view name) const {
        const auto values = scalars(name);
        if (!values) return std::nullopt;
        std::vector<T> out;
        for (const Value& value : *values) out.push_back(as<T>(value));
        return out;
    }
    /// The map behind a key; where it is absent or no map, one without entries, so that its
    /// defaults apply.
    [[nodiscard]] Section child(std::string_view name) const;
    /// The named maps behind a key. Names are checked; an entry with a bad name is returned all the
    /// same.
    struct Entry {
        std::string name;
        Origin origin;
    };
    [[nodiscard]] std::vector<Entry> entries(std::string_view name) const;

    void fault(std::string_view name, std::string message, std::string hint = {}) const;
    void missing(std::string_view name, std::string hint) const;

private:
    /// Variants hold 64-bit integers; what a key's range allows fits the type it is read into.
    template <class T>
    static T as(const Value& value) {
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
            return static_cast<T>(std::get<std::int64_t>(value));
        } else if constexpr (std::is_same_v<T, Value>) {
            return value;
        } else {
            return std::get<T>(value);
        }
    }

    [[nodiscard]] const Key& key(std::string_view name) const;
    [[nodiscard]] std::optional<Value> scalar(std::string_view name) const;
    [[nodiscard]] std::optional<std::vector<Value>> scalars(std::string_view name) const;
    void check_entries(std::span<const std::string_view> others) const;
    void refuse_unknown(const YamlNode::Entry& entry,
                        std::span<const std::string_view> others) const;
    void check_missing() const;

    Faults* faults_;
    const YamlNode* node_;
    std::string path_;
    std::span<const Key> keys_;
};

/// Whether a node is of the kind that is wanted; a fault if not.
[[nodiscard]] bool expect(Faults& faults, const YamlNode& node, const std::string& path,
                          YamlNode::Kind kind);

/// Reads one scalar node.
[[nodiscard]] std::optional<Value> read_value(Faults& faults, const Key& key, const YamlNode& node,
                                              const std::string& path);

[[nodiscard]] std::string dotted(const std::string& path, std::string_view name);

}  // namespace swerve::conf
