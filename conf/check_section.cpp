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

/// Of a template nothing is required: what it lacks, its checks may say.
enum class Whole : std::uint8_t { yes, no };

std::vector<Key> keys_of(std::span<const Field> fields, Whole whole) {
    std::vector<Key> keys = swerve::conf::keys_of(fields);
    if (whole == Whole::no) {
        for (Key& key : keys) key.required = false;
    }
    return keys;
}

FieldMap read_fields(const Section& section, std::span<const Field> fields, Whole whole);

std::optional<FieldValue> read_group(const Section& section, const Field& field, Whole whole) {
    const YamlNode* given = section.find(field.name);
    const bool needs_words = std::ranges::any_of(field.members, &Field::required);
    if (given == nullptr && needs_words) return std::nullopt;
    static const YamlNode none{.kind = YamlNode::Kind::map};
    const auto keys = keys_of(field.members, whole);
    const Section group{section.faults(), given == nullptr ? none : *given,
                        section.path_of(field.name), keys};
    FieldMap members = read_fields(group, field.members, whole);
    if (given == nullptr && members.empty()) return std::nullopt;
    return FieldValue{std::move(members)};
}

template <class T>
std::optional<FieldValue> boxed(std::optional<T> value) {
    if (!value) return std::nullopt;
    return FieldValue{*std::move(value)};
}

std::optional<FieldValue> read_field(const Section& section, const Field& field, Whole whole) {
    switch (field.kind) {
        case FieldKind::boolean:
            return boxed(section.get<bool>(field.name));
        case FieldKind::integer:
            return boxed(section.get<std::int64_t>(field.name));
        case FieldKind::number:
            return boxed(section.get<double>(field.name));
        case FieldKind::string_list:
            return boxed(section.list<std::string>(field.name));
        case FieldKind::integer_list:
            return boxed(section.list<std::int64_t>(field.name));
        case FieldKind::duration:
            return boxed(section.get<Duration>(field.name));
        case FieldKind::endpoint:
            return boxed(section.get<Endpoint>(field.name));
        case FieldKind::group:
            return read_group(section, field, whole);
        case FieldKind::string:
        case FieldKind::absolute_path:
            break;
    }
    return boxed(section.get<std::string>(field.name));
}

FieldMap read_fields(const Section& section, std::span<const Field> fields, Whole whole) {
    FieldMap out;
    for (const Field& field : fields) {
        if (auto value = read_field(section, field, whole)) {
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
                             const health::ProbeType& type, Whole whole) {
    const auto keys = keys_of(type.fields, whole);
    const Section section{faults, node, path, keys};
    health::ProbeSpec spec{std::string{type.name}, read_fields(section, type.fields, whole)};
    if (whole == Whole::no || !faults.sound_throughout(path)) return spec;
    if (const auto made = type.make(spec.fields); !made) report(made.error(), node, path, faults);
    return spec;
}

std::string probe_names() {
    std::string out;
    for (const auto& type : health::probe_types()) out += " " + std::string{type.name};
    return out;
}

/// The entry that names the probe; a fault where there is none, two, or one of a later version.
const YamlNode::Entry* find_probe(Faults& faults, const Section& section, const Origin& origin,
                                  Whole whole) {
    const YamlNode::Entry* first = nullptr;
    bool is_later = false;
    for (const auto& entry : section.node().entries) {
        const auto later = later_probes();
        if (std::ranges::find(later, entry.key) != later.end()) {
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
    if (whole == Whole::no) return first;
    const bool named_badly = std::ranges::any_of(health::probe_types(), [&](const auto& type) {
        return !faults.sound(section.path_of(type.name));
    });
    if (first == nullptr && !is_later && !named_badly && faults.sound(origin.path)) {
        faults.add(origin.at({}), origin.path, "has no probe", "one of:" + probe_names());
    }
    return first;
}

failover::Effect effect_of(std::string_view word) {
    using failover::Effect;
    for (const Effect effect : {Effect::degrade, Effect::gate, Effect::alarm}) {
        if (word == to_string(effect)) return effect;
    }
    return Effect::withdraw;
}

/// What a failure means, and what it may do; the defaults of the one follow from the other.
void read_meaning(const Section& section, Check& out) {
    const bool is_shared = section.get<std::string>("scope") == "shared";
    out.scope = is_shared ? failover::Scope::shared : failover::Scope::local;
    out.effect = is_shared ? failover::Effect::gate : failover::Effect::withdraw;
    if (const auto effect = section.get<std::string>("effect")) out.effect = effect_of(*effect);
    const auto on_unknown = section.get<std::string>("on_unknown");
    const bool holds = on_unknown ? *on_unknown == "hold" : is_shared;
    out.timing.on_unknown = holds ? health::OnUnknown::hold : health::OnUnknown::fail;
    out.timing.hold_unknown =
        section.get<Duration>("unknown_hold").value_or(out.timing.hold_unknown);
}

void require_scope(const Section& section, const health::ProbeType& type) {
    if (!type.asks_scope || section.has("scope")) return;
    section.missing("scope",
                    "nothing tells what a probe of type " + std::string{type.name} +
                        " looks at; local: a failure means this site alone; shared: it may "
                        "strike others at the same time");
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

/// Without `checks` (their section cannot be trusted) `only_if` is not looked up.
Check read_check(Faults& faults, const std::string& name, const Origin& origin, const Names* checks,
                 Whole whole) {
    std::vector<std::string_view> known;
    for (const auto& type : health::probe_types()) known.push_back(type.name);
    const auto later = later_probes();
    known.insert(known.end(), later.begin(), later.end());
    const auto keys = whole == Whole::yes ? find_key(schema(), "checks")->members : template_keys();
    const Section section{faults, *origin.node, origin.path, keys, known};
    // read_checks has followed it; here its form is judged.
    if (whole == Whole::yes) static_cast<void>(section.get<std::string>("template"));
    Check check{name, {}, read_timing(section)};
    read_meaning(section, check);
    if (const auto only_if = section.get<std::string>("only_if"); only_if && checks != nullptr) {
        check.only_if = resolve(faults, *checks, *only_if, section.find("only_if")->place,
                                section.path_of("only_if"), "check");
    }
    if (const auto* probe = find_probe(faults, section, origin, whole)) {
        const auto* type = health::find_probe_type(probe->key);
        if (whole == Whole::yes) require_scope(section, *type);
        check.probe = read_probe(faults, probe->value, section.path_of(probe->key), *type, whole);
    }
    return check;
}

/// Adds what `given` says of `key` to a map that does not say it; maps key by key.
void merge(YamlNode& own, const std::string& key, const YamlNode& given) {
    YamlNode* said = own.find(key);
    if (said == nullptr) {
        own.entries.push_back({given.named_at, key, given});
    } else if (said->kind == YamlNode::Kind::map && given.kind == YamlNode::Kind::map) {
        for (const YamlNode::Entry& entry : given.entries) merge(*said, entry.key, entry.value);
    }
}

/// Adds to a check's map what its template says of keys that the check does not have. Of what is
/// faulty in the template the check's rules keep silent, too. A template of null is one of which
/// nothing is known.
void inherit(YamlNode& own, const std::string& path, const Origin* of_template, Faults& faults) {
    const auto is_probe = [](const YamlNode::Entry& entry) {
        return health::find_probe_type(entry.key) != nullptr;
    };
    const auto probe = std::ranges::find_if(own.entries, is_probe);
    const std::string own_probe = probe == own.entries.end() ? "" : probe->key;
    const auto take = [&](std::string_view key) {
        const YamlNode* said = own.find(key);
        const bool is_known =
            of_template != nullptr && faults.sound_throughout(dotted(of_template->path, key));
        if (!is_known) {
            const bool matters = said == nullptr || said->kind == YamlNode::Kind::map;
            if (matters) faults.distrust(dotted(path, key));
        } else if (const YamlNode* given = of_template->node->find(key)) {
            merge(own, std::string{key}, *given);
        }
    };
    for (const Key& key : template_keys()) take(key.name);
    for (const auto& type : health::probe_types()) {
        if (own_probe.empty() || own_probe == type.name) take(type.name);
    }
}

}  // namespace

void read_checks(Draft& draft, Faults& faults, const Section& root,
                 const std::vector<Section::Entry>& checks, const Names* names) {
    const auto templates = root.entries("templates");
    const Names template_names = names_of(templates);
    for (const auto& [name, origin] : templates) {
        static_cast<void>(read_check(faults, name, origin, names, Whole::no));
    }
    for (const auto& [name, origin] : checks) {
        YamlNode& node = draft.completed.emplace_back(*origin.node);
        const YamlNode* word = node.find("template");
        const Origin* of_template = nullptr;
        if (word != nullptr && word->kind == YamlNode::Kind::scalar && faults.sound("templates")) {
            const std::string path = dotted(origin.path, "template");
            const auto id =
                resolve(faults, template_names, word->text, word->place, path, "template");
            if (id) of_template = &templates[*id].origin;
        }
        if (word != nullptr && node.kind == YamlNode::Kind::map) {
            inherit(node, origin.path, of_template, faults);
        }
        const Origin completed{&node, origin.path};
        draft.config.checks.push_back(read_check(faults, name, completed, names, Whole::yes));
        draft.checks.push_back(completed);
    }
}

}  // namespace swerve::conf
