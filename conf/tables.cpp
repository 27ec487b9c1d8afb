#include "conf/tables.hpp"

#include <vector>

#include "conf/reader.hpp"

namespace swerve::conf {
namespace {

/// `parent` may be left out as a whole; empty where there is none.
std::string default_of(const Key& key, const std::string& parent) {
    if (key.required) return parent.empty() ? "required" : "required within `" + parent + "`";
    if (!key.fallback.empty()) return "`" + std::string{key.fallback} + "`";
    return std::string{key.otherwise};
}

std::string type_of(const Key& key) { return (key.list ? "list of " : "") + describe(key); }

std::string field_rows(std::span<const health::Field> fields, const std::string& parent) {
    const std::vector<Key> keys = keys_of(fields);
    std::string out;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const std::string name = parent + "." + std::string{keys[i].name};
        if (keys[i].type == Type::map) {
            out += field_rows(fields[i].members, name);
        } else {
            out += table_row(name, keys[i], {});
        }
    }
    return out;
}

}  // namespace

std::string cell(std::string_view text) {
    std::string out;
    for (const char c : text) out += c == '|' ? std::string{"\\|"} : std::string{c};
    return out;
}

std::string table_row(const std::string& name, const Key& key, const std::string& parent) {
    return "| `" + name + "` | " + cell(type_of(key)) + " | " + cell(default_of(key, parent)) +
           " | " + cell(key.help) + " |\n";
}

std::string field_table(std::span<const health::Field> fields, const std::string& parent) {
    return std::string{table_head} + field_rows(fields, parent);
}

}  // namespace swerve::conf
