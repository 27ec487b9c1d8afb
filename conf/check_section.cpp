// Checks: exactly one probe with the keys that its registry line declares, and timing.

#include <algorithm>

#include "conf/draft.hpp"
#include "swerve/health/probe.hpp"

namespace swerve::conf {

namespace {

using health::Field;
using health::FieldKind;
using health::FieldMap;
using health::FieldValue;

constexpr Duration fast_interval_limit = std::chrono::milliseconds{200};

FieldMap read_fields(const Section& section, std::span<const Field> fields);

std::optional<FieldValue> read_group(const Section& section, const Field& field) {
    const YamlNode* given = section.find(field.name);
    const bool needs_words = std::ranges::any_of(field.members, &Field::required);
    if (given == nullptr && needs_words) return std::nullopt;
    static const YamlNode none{.kind = YamlNode::Kind::map};
    const auto keys = keys_of(field.members);
    const Section group{section.faults(), given == nullptr ? none : *given,
                        section.path_of(field.name), keys};
    FieldMap members = read_fields(group, field.members);
    if (given == nullptr && members.empty()) return std::nullopt;
    return FieldValue{std::move(members)};
}

template <class T>
std::optional<FieldValue> boxed(std::optional<T> value) {
    if (!value) return std::nullopt;
    return FieldValue{*std::move(value)};
}

std::optional<FieldValue> read_field(const Section& section, const Field& field) {
    switch (field.kind) {
        case FieldKind::boolean:
            return boxed(section.get<bool>(field.name));
        case FieldKind::integer:
            return boxed(section.get<std::int64_t>(field.name));
        case FieldKind::string_list:
            return boxed(section.list<std::string>(field.name));
        case FieldKind::integer_list:
            return boxed(section.list<std::int64_t>(field.name));
        case FieldKind::duration:
            return boxed(section.get<Duration>(field.name));
        case FieldKind::endpoint:
            return boxed(section.get<Endpoint>(field.name));
        case FieldKind::group:
            return read_group(section, field);
        case FieldKind::string:
        case FieldKind::absolute_path:
            break;
    }
    return boxed(section.get<std::string>(field.name));
}

FieldMap read_fields(const Section& section, std::span<const Field> fields) {
    FieldMap out;
    for (const Field& field : fields) {
        if (auto value = read_field(section, field)) {
            out.emplace(field.name, *std::move(value));
        }
    }
    return out;
}

/// Places a probe's own complaint at the key it names, as deep as that was written down.
void report(const health::FieldFault& fault, const YamlNode& node, const std::string& path,
            Faults& faults) {
    const YamlNode* at = &node;
    for (std::string_view rest = fault.path; !rest.empty();) {
        const auto dot = rest.find('.');
        const YamlNode* next = at->find(rest.substr(0, dot));
        if (next == nullptr) break;
        at = next;
        rest = dot == std::string_view::npos ? std::string_view{} : rest.substr(dot + 1);
    }
    faults.add(at->place, fault.path.empty() ? path : dotted(path, fault.path), fault.message,
               fault.hint);
}

health::ProbeSpec read_probe(Faults& faults, const YamlNode& node, const std::string& path,
                             const health::ProbeType& type) {
    const auto keys = keys_of(type.fields);
    const Section section{faults, node, path, keys};
    health::ProbeSpec spec{std::string{type.name}, read_fields(section, type.fields)};
    if (!faults.sound_throughout(path)) return spec;
    if (const auto made = type.make(spec.fields); !made) report(made.error(), node, path, faults);
    return spec;
}

std::string probe_names() {
    std::string out;
    for (const auto& type : health::probe_types()) out += " " + std::string{type.name};
    return out;
}

/// The entry that names the probe; a fault where there is none, two, or one of a later version.
const YamlNode::Entry* find_probe(Faults& faults, const Section& section, const Origin& origin) {
    const YamlNode::Entry* first = nullptr;
    bool is_later = false;
    for (const auto& entry : section.node().entries) {
        const auto later = later_probes();
        if (std::ranges::find(later, entry.key) != later.end() &&
            health::find_probe_type(entry.key) == nullptr) {
            faults.add(entry.place, section.path_of(entry.key), "not in this version",
                       "probes are:" + probe_names());
            is_later = true;
        }
        if (health::find_probe_type(entry.key) == nullptr) continue;
        if (first != nullptr && first->key != entry.key) {
            faults.add(entry.place, section.path_of(entry.key),
                       "a second probe; " + quote(first->key) + " is one already",
                       "make it a check of its own and combine them in healthy_when");
            continue;
        }
        if (first == nullptr) first = &entry;
    }
    const bool named_badly = std::ranges::any_of(health::probe_types(), [&](const auto& type) {
        return !faults.sound(section.path_of(type.name));
    });
    if (first == nullptr && !is_later && !named_badly && faults.sound(origin.path)) {
        faults.add(origin.at({}), origin.path, "has no probe", "one of:" + probe_names());
    }
    return first;
}

/// `local` is all there is yet, so nothing of it is kept.
void check_scope(const Section& section, const health::ProbeType& type) {
    const auto scope = section.get<std::string>("scope");
    if (scope == "shared") {
        section.fault("scope", quote(*scope) + " is not in this version");
    } else if (type.asks_scope && !section.has("scope")) {
        section.missing("scope", "nothing tells what an " + std::string{type.name} +
                                     " probe looks at; local: a failure means this site alone");
    }
}

health::TrackerPolicy read_timing(const Section& section) {
    health::TrackerPolicy timing;
    timing.interval = section.get<Duration>("interval").value_or(timing.interval);
    timing.fast_interval = section.get<Duration>("fast_interval")
                               .value_or(std::min(fast_interval_limit, timing.interval));
    timing.timeout = section.get<Duration>("timeout").value_or(timing.timeout);
    timing.rise = section.get<unsigned>("rise").value_or(timing.rise);
    timing.fall = section.get<unsigned>("fall").value_or(timing.fall);
    const Section window = section.child("window");
    timing.window_failures = window.get<unsigned>("failures").value_or(timing.window_failures);
    timing.window_of = window.get<unsigned>("of").value_or(timing.window_of);
    const auto on_event = section.get<std::string>("on_event");
    timing.on_event = on_event == "trust" ? health::OnEvent::trust : health::OnEvent::confirm;
    return timing;
}

}  // namespace

Check read_check(Faults& faults, const Section::Entry& entry) {
    std::vector<std::string_view> probes;
    for (const auto& type : health::probe_types()) probes.push_back(type.name);
    const auto later = later_probes();
    std::vector<std::string_view> known = probes;
    known.insert(known.end(), later.begin(), later.end());
    const Section section{faults, *entry.origin.node, entry.origin.path,
                          find_key(schema(), "checks")->members, known};
    Check check{entry.name, {}, read_timing(section)};
    if (const auto* probe = find_probe(faults, section, entry.origin)) {
        const auto* type = health::find_probe_type(probe->key);
        check_scope(section, *type);
        check.probe = read_probe(faults, probe->value, section.path_of(probe->key), *type);
    }
    return check;
}

}  // namespace swerve::conf
