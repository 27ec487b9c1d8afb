// Neighbors, and the groups that complete them before they are read.

#include <algorithm>
#include <array>

#include "conf/draft.hpp"
#include "conf/sum.hpp"

namespace swerve::conf {

namespace {

/// What neighbors may name, and where files are looked for.
struct Surroundings {
    const Names* services;  ///< null: their section cannot be trusted
    const std::string& directory;
};

struct Group {
    Origin origin;
    ExportAttributes attributes;
};

std::optional<bgp::Origin> read_origin(const Section& section) {
    const auto word = section.get<std::string>("origin");
    if (!word) return std::nullopt;
    if (*word == "igp") return bgp::Origin::igp;
    return *word == "egp" ? bgp::Origin::egp : bgp::Origin::incomplete;
}

std::optional<Address> read_next_hop(const Section& section, std::string_view family) {
    const auto value = section.get<Value>(family);
    if (!value || !std::holds_alternative<Address>(*value)) return std::nullopt;
    return std::get<Address>(*value);
}

void read_password(const Section& section, const std::string& directory, Neighbor& out) {
    constexpr std::size_t most = 80;  // TCP_MD5SIG_MAXKEYLEN
    auto secret = read_secret(section, "password_file", directory, most, "TCP-MD5");
    if (!secret) return;
    out.password_file = std::move(secret->file);
    out.password = std::move(secret->text);
}

PrefixLimit read_prefix_limit(const Section& section) {
    PrefixLimit out;
    out.kept = section.get<std::size_t>("kept").value_or(out.kept);
    out.received = section.get<std::size_t>("received");
    out.idle = section.get<Duration>("idle").value_or(out.idle);
    return out;
}

/// What a group may say, too.
void read_terms(const Section& section, const Surroundings& around, Neighbor& out) {
    out.local_as = section.get<Asn>("local_as");
    out.remote_as = section.get<Asn>("remote_as").value_or(out.remote_as);
    out.admin_down = section.get<bool>("admin_down").value_or(false);
    out.port = section.get<std::uint16_t>("port").value_or(std::uint16_t{0});
    out.range_limit = section.get<unsigned>("range_limit").value_or(out.range_limit);
    out.local_address = section.get<Address>("local_address");
    out.passive = section.get<bool>("passive").value_or(false);
    out.multihop = section.get<unsigned>("multihop");
    out.ttl_security = section.get<unsigned>("ttl_security");
    read_password(section, around.directory, out);
    out.hold_time = section.get<Duration>("hold_time").value_or(Duration{});
    out.connect_retry = section.get<Duration>("connect_retry").value_or(Duration{});
    out.services = read_service_names(section, around.services);
    if (const auto role = section.get<std::string>("role")) out.role = bgp::parse_role(*role);
    out.role_strict = section.get<bool>("role_strict").value_or(false);
    out.prefix_limit = read_prefix_limit(section.child("prefix_limit"));
    out.extended_message = section.get<bool>("extended_message").value_or(false);
    out.extended_next_hop = section.get<bool>("extended_next_hop").value_or(false);
    out.add_path_receive = section.get<std::string>("add_path") == "receive";
    const Section restart = section.child("graceful_restart");
    out.restart_time = restart.get<Duration>("restart_time");
    out.restart_with_checks = restart.get<bool>("with_health_checks").value_or(false);
    out.bfd = read_bfd(section, around.directory);
    out.mrt_file = section.child("mrt").get<std::string>("file").value_or("");
    const Section exported = section.child("export");
    out.attributes = read_attributes(exported);
    const Section next_hop = exported.child("next_hop");
    out.next_hop_ipv4 = read_next_hop(next_hop, "ipv4");
    out.next_hop_ipv6 = read_next_hop(next_hop, "ipv6");
    if (const auto words = section.list<std::string>("families")) {
        for (const auto& word : *words) {
            out.families.insert(word == to_string(Family::ipv4) ? Family::ipv4 : Family::ipv6);
        }
    }
}

Group read_group(Faults& faults, const Section::Entry& entry, const Surroundings& around) {
    const auto foreign = keys_of_one_neighbor();
    const Section section{faults, *entry.origin.node, entry.origin.path, group_keys(), foreign};
    for (const std::string_view key : foreign) {
        const YamlNode* given = section.find(key);
        if (given == nullptr) continue;
        faults.add(given->named_at, section.path_of(key), "belongs to one neighbor, not to a group",
                   "give it where the neighbor stands");
    }
    Neighbor values = blank_neighbor({});
    read_terms(section, around, values);
    return {entry.origin, std::move(values.attributes)};
}

/// Lists of these add up once they are read, so that every fault names its own list.
bool adds_up(const Key& key) {
    return key.type == Type::community || key.type == Type::extended_community ||
           key.type == Type::large_community;
}

/// Where a group says something that this neighbor has no use for, or the contrary of.
bool is_no_use(const YamlNode& neighbor, std::string_view key) {
    struct Contrary {
        std::string_view said;
        std::string_view of_group;
    };
    static constexpr std::array<Contrary, 8> contraries{{{"multihop", "ttl_security"},
                                                         {"ttl_security", "multihop"},
                                                         {"range", "port"},
                                                         {"range", "passive"},
                                                         {"range", "local_address"},
                                                         {"range", "connect_retry"},
                                                         {"range", "graceful_restart"},
                                                         {"range", "bfd"}}};
    if (key == "range_limit") return neighbor.find("range") == nullptr;
    return std::ranges::any_of(contraries, [&](const Contrary& each) {
        return key == each.of_group && neighbor.find(each.said) != nullptr;
    });
}

/// Adds to a neighbor's map what its group says of keys that the neighbor does not have. Of a key
/// that is faulty in the group the neighbor's rules keep silent, too. A group of null is one of
/// which nothing is known.
void inherit(YamlNode& own, const std::string& path, const YamlNode* group,
             const std::string& group_path, std::span<const Key> keys, Faults& faults) {
    for (const Key& key : keys) {
        if (adds_up(key) || is_no_use(own, key.name)) continue;
        const std::string from = dotted(group_path, key.name);
        const std::string to = dotted(path, key.name);
        const YamlNode* given = group == nullptr ? nullptr : group->find(key.name);
        YamlNode* said = own.find(key.name);
        if (said == nullptr && (group == nullptr || !faults.sound_throughout(from))) {
            faults.distrust(to);
            continue;
        }
        if (said == nullptr && given != nullptr) {
            YamlNode value = *given;
            if (key.type == Type::map) value.entries.clear();
            own.entries.push_back({given->named_at, std::string{key.name}, std::move(value)});
            said = &own.entries.back().value;
        }
        if (key.type != Type::map || said == nullptr) continue;
        inherit(*said, to, given, from, key.members, faults);
    }
}

template <class T>
void add_lists(const Section& section, std::string_view name, const std::vector<T>& of_group,
               std::vector<T>& own) {
    own = sum(of_group, own);
    const Key& key = *find_key(find_key(group_keys(), "export")->members, name);
    if (std::ssize(own) <= key.most) return;
    section.faults().add(Origin{&section.node(), section.path()}.at({"export", name}),
                         section.path_of("export." + std::string{name}),
                         "has " + std::to_string(own.size()) +
                             " members with those of its group, more than " +
                             std::to_string(key.most));
}

void add_lists(const Section& section, const ExportAttributes& of_group, ExportAttributes& own) {
    add_lists(section, "communities", of_group.communities, own.communities);
    add_lists(section, "extended_communities", of_group.extended_communities,
              own.extended_communities);
    add_lists(section, "large_communities", of_group.large_communities, own.large_communities);
}

/// What follows from other keys where a neighbor does not say it.
void complete(const Section& section, Neighbor& neighbor) {
    if (neighbor.range) {
        neighbor.address = neighbor.range->address();
        neighbor.passive = neighbor.passive || !section.has("passive");
    }
    if (section.has("families")) return;
    neighbor.families.insert(neighbor.address.family());
    if (neighbor.next_hop_ipv4 || neighbor.extended_next_hop) {
        neighbor.families.insert(Family::ipv4);
    }
    if (neighbor.next_hop_ipv6) neighbor.families.insert(Family::ipv6);
}

Neighbor read_neighbor(Faults& faults, const std::string& name, const Origin& origin,
                       const Surroundings& around, const ExportAttributes& of_group) {
    const Section section{faults, *origin.node, origin.path,
                          find_key(schema(), "neighbors")->members};
    Neighbor out = blank_neighbor(name);
    out.description = section.get<std::string>("description").value_or("");
    out.group = section.get<std::string>("group").value_or("");
    out.address = section.get<Address>("address").value_or(out.address);
    out.range = section.get<Prefix>("range");
    out.interface = section.get<std::string>("interface").value_or("");
    read_terms(section, around, out);
    complete(section, out);
    if (!out.group.empty()) add_lists(section, of_group, out.attributes);
    return out;
}

}  // namespace

ExportAttributes read_attributes(const Section& section) {
    ExportAttributes out;
    out.origin = read_origin(section);
    out.prepend = section.get<unsigned>("prepend");
    out.med = section.get<std::uint32_t>("med");
    out.local_pref = section.get<std::uint32_t>("local_pref");
    out.communities = section.list<Community>("communities").value_or(out.communities);
    out.extended_communities =
        section.list<ExtendedCommunity>("extended_communities").value_or(out.extended_communities);
    out.large_communities =
        section.list<LargeCommunity>("large_communities").value_or(out.large_communities);
    return out;
}

void read_neighbors(Draft& draft, Faults& faults, const Section& root, const Names* services) {
    const Surroundings around{services, draft.directory};
    const auto entries = root.entries("groups");
    const Names names = names_of(entries);
    std::vector<Group> groups;
    for (const auto& entry : entries) groups.push_back(read_group(faults, entry, around));
    for (const auto& [name, origin] : root.entries("neighbors")) {
        YamlNode& node = draft.completed.emplace_back(*origin.node);
        const Group* group = nullptr;
        const YamlNode* word = node.find("group");
        if (word != nullptr && word->kind == YamlNode::Kind::scalar) {
            const std::string path = dotted(origin.path, "group");
            const auto id = faults.sound("groups")
                                ? resolve(faults, names, word->text, word->place, path, "group")
                                : std::nullopt;
            if (id) group = &groups[*id];
        }
        if (word != nullptr && node.kind == YamlNode::Kind::map) {
            inherit(node, origin.path, group == nullptr ? nullptr : group->origin.node,
                    group == nullptr ? std::string{} : group->origin.path, group_keys(), faults);
        }
        const Origin completed{&node, origin.path};
        draft.config.neighbors.push_back(
            read_neighbor(faults, name, completed, around,
                          group == nullptr ? ExportAttributes{} : group->attributes));
        draft.neighbors.push_back(completed);
    }
}

}  // namespace swerve::conf
