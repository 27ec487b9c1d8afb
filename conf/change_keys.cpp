// Which keys differ: both configurations as they would be printed, laid side by side.

#include <algorithm>
#include <unordered_set>

#include "conf/change_parts.hpp"
#include "conf/print.hpp"

namespace swerve::conf {

namespace {

/// The keys of a configuration that have a value, with their whole path.
class KeyTable {
public:
    explicit KeyTable(const Config& config) : keys_(print_keys(config)) {
        std::vector<std::string> above;
        for (const PrintedKey& key : keys_) {
            above.resize(key.level);
            above.push_back(above.empty() ? key.key : above.back() + "." + key.key);
            if (!key.value.empty()) rows_.push_back({above.back(), &key});
        }
        for (std::size_t i = 0; i < rows_.size(); ++i) index_.emplace(rows_[i].path, i);
    }
    KeyTable(const KeyTable&) = delete;
    KeyTable& operator=(const KeyTable&) = delete;

    struct Row {
        std::string path;
        const PrintedKey* key;
    };
    [[nodiscard]] const std::vector<Row>& rows() const { return rows_; }
    [[nodiscard]] std::optional<std::size_t> find(std::string_view path) const {
        const auto found = index_.find(path);
        if (found == index_.end()) return std::nullopt;
        return found->second;
    }

private:
    std::vector<PrintedKey> keys_;
    std::vector<Row> rows_;
    std::unordered_map<std::string_view, std::size_t> index_;
};

std::string contents(const Service& service) {
    const std::size_t count = count_prefixes(service);
    return std::to_string(count) + (count == 1 ? " prefix" : " prefixes");
}

/// A file may hold something else under the same name: prefixes, which are too many to be printed,
/// or a secret, which never is.
std::optional<ChangedKey> changed_contents(const KeyTable::Row& was, const KeyTable::Row& becomes) {
    if (was.key->secret != nullptr && becomes.key->secret != nullptr &&
        *was.key->secret != *becomes.key->secret) {
        const std::string_view key = becomes.key->key;
        const std::string kind = key == "password_file" ? "password"
                                 : key == "url_file"    ? "URL"
                                 : key == "key_file"    ? "key"
                                                        : "token";
        return ChangedKey{becomes.path, "a " + kind, "another " + kind};
    }
    if (was.key->contents == nullptr || becomes.key->contents == nullptr ||
        same_prefixes(*was.key->contents, *becomes.key->contents)) {
        return std::nullopt;
    }
    const std::string before = contents(*was.key->contents);
    const std::string after = contents(*becomes.key->contents);
    return ChangedKey{becomes.path, before, before == after ? after + ", not the same" : after};
}

/// Names that stand in another order, when those that came or went are left out.
template <class T>
void add_order(std::vector<ChangedKey>& out, std::string_view section, const std::vector<T>& before,
               const std::vector<T>& after) {
    const NameIndex old_names{before};
    const NameIndex new_names{after};
    const auto common = [](const std::vector<T>& objects, const NameIndex& others) {
        std::vector<std::string_view> names;
        for (const T& object : objects) {
            if (others.find(object.name)) names.push_back(object.name);
        }
        return names;
    };
    const auto was = common(before, new_names);
    const auto becomes = common(after, old_names);
    if (was == becomes) return;
    // What stands where it stood in front and at the end is no news.
    const auto first = std::ranges::mismatch(was, becomes).in1 - was.begin();
    const auto last =
        std::mismatch(was.rbegin(), was.rend(), becomes.rbegin()).first.base() - was.begin();
    const auto text = [&](const std::vector<std::string_view>& names) {
        std::string list;
        for (auto at = first; at < last; ++at) {
            list += (list.empty() ? "" : ", ") + std::string{names[static_cast<std::size_t>(at)]};
        }
        return "[" + list + "]";
    };
    out.push_back({std::string{section}, text(was), text(becomes)});
}

}  // namespace

std::vector<ChangedKey> changed_keys(const Config& before, const Config& after) {
    const KeyTable old_keys{before};
    const KeyTable new_keys{after};
    std::vector<ChangedKey> out;
    std::size_t told = 0;  // of the old keys: in front of it all that vanish are listed
    const auto list_vanished = [&](std::size_t end) {
        for (; told < end; ++told) {
            const auto& [path, key] = old_keys.rows()[told];
            if (!new_keys.find(path)) out.push_back({path, key->value, {}});
        }
    };
    for (const KeyTable::Row& row : new_keys.rows()) {
        const auto found = old_keys.find(row.path);
        if (!found) {
            out.push_back({row.path, {}, row.key->value});
            continue;
        }
        list_vanished(*found);
        const KeyTable::Row& was = old_keys.rows()[*found];
        if (was.key->value != row.key->value) {
            out.push_back({row.path, was.key->value, row.key->value});
        } else if (auto changed = changed_contents(was, row)) {
            out.push_back(*std::move(changed));
        }
    }
    list_vanished(old_keys.rows().size());
    add_order(out, "neighbors", before.neighbors, after.neighbors);
    add_order(out, "checks", before.checks, after.checks);
    add_order(out, "services", before.services, after.services);
    add_order(out, "hooks", before.hooks, after.hooks);
    add_order(out, "webhooks", before.webhooks, after.webhooks);
    return out;
}

}  // namespace swerve::conf
