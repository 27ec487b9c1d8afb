#include "conf/reader.hpp"

#include <algorithm>
#include <cassert>
#include <map>

namespace swerve::conf {

namespace {

const YamlNode& no_entries() {
    static const YamlNode node{.kind = YamlNode::Kind::map};
    return node;
}

/// A default is written as people write it, so it is read by the same code as theirs.
YamlNode parse_default(const Key& key) {
    Faults none{{}};
    auto node = parse_document(std::string{key.fallback}, none);
    assert(node && none.empty());
    return std::move(node).value_or(YamlNode{});
}

}  // namespace

Place Origin::at(std::initializer_list<std::string_view> keys) const {
    const YamlNode* current = node;
    for (const std::string_view key : keys) {
        const YamlNode* next = current->find(key);
        if (next == nullptr) break;
        current = next;
    }
    return current->kind == YamlNode::Kind::map ? current->named_at : current->place;
}

bool Origin::has(std::initializer_list<std::string_view> keys) const {
    const YamlNode* current = node;
    for (const std::string_view key : keys) {
        current = current->find(key);
        if (current == nullptr) return false;
    }
    return true;
}

std::string dotted(const std::string& path, std::string_view name) {
    return path.empty() ? std::string{name} : path + "." + std::string{name};
}

bool expect(Faults& faults, const YamlNode& node, const std::string& path, YamlNode::Kind kind) {
    if (node.kind == kind) return true;
    if (node.kind == YamlNode::Kind::alias) {
        faults.add(node.place, path, "aliases are not supported", "write the value out");
        return false;
    }
    std::string hint;
    if (node.kind == YamlNode::Kind::nothing) {
        hint = "remove the key or give it a value";
    } else if (kind == YamlNode::Kind::list && node.kind == YamlNode::Kind::scalar) {
        hint = "write [" + node.text + "]";
    }
    faults.add(
        node.place, path,
        "expected " + std::string{describe(kind)} + ", found " + std::string{describe(node.kind)},
        std::move(hint));
    return false;
}

std::optional<Value> read_value(Faults& faults, const Key& key, const YamlNode& node,
                                const std::string& path) {
    if (!expect(faults, node, path, YamlNode::Kind::scalar)) return std::nullopt;
    auto value = parse_value(key, node.text, node.quoted);
    if (value) return *std::move(value);
    faults.add(node.place, path, value.error().message, value.error().hint);
    return std::nullopt;
}

Section::Section(Faults& faults, const YamlNode& node, std::string path, std::span<const Key> keys,
                 std::span<const std::string_view> others)
    : faults_(&faults), node_(&node), path_(std::move(path)), keys_(keys) {
    if (node_ == &no_entries()) return;
    if (!expect(faults, node, path_, YamlNode::Kind::map)) {
        node_ = &no_entries();
        return;
    }
    check_entries(others);
    check_missing();
}

std::string Section::path_of(std::string_view name) const { return dotted(path_, name); }

void Section::fault(std::string_view name, std::string message, std::string hint) const {
    const YamlNode* value = find(name);
    faults_->add(value != nullptr ? value->place : node_->place, path_of(name), std::move(message),
                 std::move(hint));
}

void Section::check_entries(std::span<const std::string_view> others) const {
    std::map<std::string_view, Place> seen;
    for (const YamlNode::Entry& entry : node_->entries) {
        const auto [first, is_new] = seen.emplace(entry.key, entry.place);
        if (!is_new) {
            faults_->add(entry.place, path_of(entry.key), "this key is given twice",
                         "the first one is at " + faults_->where(first->second));
            continue;
        }
        const Key* known = find_key(keys_, entry.key);
        if (known != nullptr && known->type == Type::not_yet) {
            faults_->add(entry.place, path_of(entry.key), "not in this version");
        } else if (known == nullptr && std::ranges::find(others, entry.key) == others.end()) {
            refuse_unknown(entry, others);
        }
    }
}

void Section::refuse_unknown(const YamlNode::Entry& entry,
                             std::span<const std::string_view> others) const {
    const std::string path = path_of(entry.key);
    if (entry.key == "<<") {
        faults_->add(entry.place, path, "merge keys are not supported", "write the values out");
        return;
    }
    std::vector<std::string_view> names{others.begin(), others.end()};
    for (const Key& known : keys_) {
        if (known.type != Type::not_yet) names.push_back(known.name);
    }
    // Those of later versions are known, and may not be written yet.
    const auto later = later_probes();
    const std::string_view meant = nearest(entry.key, names);
    std::string hint = did_you_mean(meant);
    if (meant.empty()) {
        hint = "known here:";
        for (const std::string_view name : names) {
            if (std::ranges::find(later, name) == later.end()) hint += " " + std::string{name};
        }
    } else {
        // The value that was meant is somewhere, so rules about it would only add noise.
        faults_->distrust(path_of(meant));
    }
    faults_->add(entry.place, path, "unknown key " + quote(entry.key), std::move(hint));
}

void Section::check_missing() const {
    for (const Key& wanted : keys_) {
        if (!wanted.required || has(wanted.name) || !faults_->sound(path_of(wanted.name))) continue;
        missing(wanted.name, std::string{wanted.help});
    }
}

void Section::missing(std::string_view name, std::string hint) const {
    const Place place = node_->named_at;
    faults_->distrust(path_of(name));
    faults_->add_elsewhere(place, {faults_->file(), place.line, place.column, path_,
                                   quote(name) + " is missing", std::move(hint)});
}

const Key& Section::key(std::string_view name) const {
    const Key* found = find_key(keys_, name);
    assert(found != nullptr);
    return *found;
}

std::optional<Value> Section::scalar(std::string_view name) const {
    const Key& wanted = key(name);
    if (const YamlNode* given = find(name)) {
        return read_value(*faults_, wanted, *given, path_of(name));
    }
    if (wanted.fallback.empty()) return std::nullopt;
    return read_value(*faults_, wanted, parse_default(wanted), path_of(name));
}

std::optional<std::vector<Value>> Section::scalars(std::string_view name) const {
    const Key& wanted = key(name);
    const YamlNode* given = find(name);
    YamlNode standing_in;
    if (given == nullptr) {
        if (wanted.fallback.empty()) return std::nullopt;
        standing_in = parse_default(wanted);
        given = &standing_in;
    }
    const std::string path = path_of(name);
    if (!expect(*faults_, *given, path, YamlNode::Kind::list)) return std::nullopt;
    const bool counted = wanted.type != Type::integer && wanted.most > 0;
    if (counted && std::ssize(given->items) > wanted.most) {
        faults_->add(given->place, path,
                     "has " + std::to_string(given->items.size()) + " members, more than " +
                         std::to_string(wanted.most));
        return std::nullopt;
    }
    std::vector<Value> out;
    for (std::size_t i = 0; i < given->items.size(); ++i) {
        auto value =
            read_value(*faults_, wanted, given->items[i], path + "[" + std::to_string(i) + "]");
        if (value) {
            out.push_back(*std::move(value));
        } else {
            faults_->distrust(path);
        }
    }
    return out;
}

Section Section::child(std::string_view name) const {
    const YamlNode* given = find(name);
    return {*faults_, given == nullptr ? no_entries() : *given, path_of(name), key(name).members};
}

std::vector<Section::Entry> Section::entries(std::string_view name) const {
    const YamlNode* given = find(name);
    const std::string path = path_of(name);
    if (given == nullptr || !expect(*faults_, *given, path, YamlNode::Kind::map)) return {};
    static constexpr Key name_key{.name = "", .type = Type::name};
    std::vector<Entry> out;
    std::map<std::string_view, Place> seen;
    for (const YamlNode::Entry& entry : given->entries) {
        const std::string entry_path = dotted(path, entry.key);
        const auto [first, is_new] = seen.emplace(entry.key, entry.place);
        if (!is_new) {
            faults_->add(entry.place, entry_path, "this key is given twice",
                         "the first one is at " + faults_->where(first->second));
            continue;
        }
        if (const auto parsed = parse_value(name_key, entry.key, false); !parsed) {
            faults_->add(entry.place, entry_path, parsed.error().message, parsed.error().hint);
        }
        out.push_back({entry.key, {&entry.value, entry_path}});
    }
    return out;
}

}  // namespace swerve::conf
