#include "swerve/conf/load.hpp"

#include <algorithm>
#include <filesystem>

#include "conf/draft.hpp"
#include "conf/files.hpp"

namespace swerve::conf {

namespace {

constexpr auto too_large = "is larger than 1 MiB";
static_assert(max_file_octets == 1U << 20U);

// Stand in for what is missing or faulty in a draft that is never handed out.
// NOLINTBEGIN(bugprone-unchecked-optional-access): 1 is a valid number of both kinds
const Asn some_as = *Asn::from(1);
const RouterId some_router_id = *RouterId::from(1);
// NOLINTEND(bugprone-unchecked-optional-access)

Config blank(const std::string& file) {
    return {.file = file,
            .site = {},
            .local_as = some_as,
            .router_id = some_router_id,
            .state_dir = {},
            .control_socket = {},
            .http_listen = {},
            .bgp_listen = {},
            .owned = {},
            .neighbors = {},
            .collector = {},
            .checks = {},
            .services = {}};
}

Names names_of(const std::vector<Section::Entry>& entries) {
    Names names;
    for (const auto& entry : entries) {
        names.emplace(entry.name, static_cast<std::uint32_t>(names.size()));
    }
    return names;
}

ExportAttributes read_attributes(const Section& section) {
    ExportAttributes out;
    out.prepend = section.get<unsigned>("prepend");
    out.med = section.get<std::uint32_t>("med");
    out.local_pref = section.get<std::uint32_t>("local_pref");
    out.communities = section.list<Community>("communities").value_or(out.communities);
    out.large_communities =
        section.list<LargeCommunity>("large_communities").value_or(out.large_communities);
    return out;
}

std::optional<Address> read_next_hop(const Section& section, std::string_view family) {
    const auto value = section.get<Value>(family);
    if (!value || !std::holds_alternative<Address>(*value)) return std::nullopt;
    return std::get<Address>(*value);
}

bgp::FamilySet read_families(const Section& section, const Neighbor& neighbor) {
    bgp::FamilySet families;
    if (const auto words = section.list<std::string>("families")) {
        for (const auto& word : *words) {
            families.insert(word == to_string(Family::ipv4) ? Family::ipv4 : Family::ipv6);
        }
        return families;
    }
    families.insert(neighbor.address.family());
    if (neighbor.next_hop_ipv4) families.insert(Family::ipv4);
    if (neighbor.next_hop_ipv6) families.insert(Family::ipv6);
    return families;
}

std::optional<std::vector<failover::ServiceId>> read_services(const Section& section,
                                                              const Names* services) {
    const YamlNode* given = section.find("services");
    const auto words = section.list<std::string>("services");
    if (!words) return std::nullopt;
    std::vector<failover::ServiceId> out;
    if (services == nullptr || words->size() != given->items.size()) return out;
    const std::string path = section.path_of("services");
    for (std::size_t i = 0; i < words->size(); ++i) {
        const std::string item = path + "[" + std::to_string(i) + "]";
        const Place place = given->items[i].place;
        const auto id = resolve(section.faults(), *services, (*words)[i], place, item, "service");
        if (!id) {
            section.faults().distrust(path);
        } else if (std::ranges::find(out, *id) != out.end()) {
            section.faults().add(place, item, quote((*words)[i]) + " is given twice");
        } else {
            out.push_back(*id);
        }
    }
    return out;
}

Neighbor read_neighbor(Faults& faults, const Section::Entry& entry, const Names* services) {
    const Section section{faults, *entry.origin.node, entry.origin.path,
                          find_key(schema(), "neighbors")->members};
    const Section exported = section.child("export");
    const Section next_hop = exported.child("next_hop");
    Neighbor neighbor{
        .name = entry.name,
        .description = section.get<std::string>("description").value_or(""),
        .address = section.get<Address>("address").value_or(Address::v4(0)),
        .port = section.get<std::uint16_t>("port").value_or(std::uint16_t{0}),
        .remote_as = section.get<Asn>("remote_as").value_or(some_as),
        .local_address = section.get<Address>("local_address"),
        .passive = section.get<bool>("passive").value_or(false),
        .multihop = section.get<unsigned>("multihop"),
        .hold_time = section.get<Duration>("hold_time").value_or(Duration{}),
        .connect_retry = section.get<Duration>("connect_retry").value_or(Duration{}),
        .families = {},
        .services = read_services(section, services),
        .attributes = read_attributes(exported),
        .next_hop_ipv4 = read_next_hop(next_hop, "ipv4"),
        .next_hop_ipv6 = read_next_hop(next_hop, "ipv6"),
    };
    neighbor.families = read_families(section, neighbor);
    return neighbor;
}

void read_service(Draft& draft, Faults& faults, const Section::Entry& entry, const Names* checks) {
    const Section section{faults, *entry.origin.node, entry.origin.path,
                          find_key(schema(), "services")->members};
    Service service{.name = entry.name,
                    .prefixes = {},
                    .prefixes_file = draft.prefixes.read(section),
                    .healthy_when = {},
                    .announce = read_attributes(section.child("announce"))};
    if (const YamlNode* expression = section.find("healthy_when")) {
        auto read = read_expression(faults, *expression, section.path_of("healthy_when"), checks);
        if (read) service.healthy_when = *std::move(read);
    }
    draft.config.services.push_back(std::move(service));
    draft.services.push_back(entry.origin);
}

void read_globals(const Section& root, Config& config) {
    config.site = root.get<std::string>("site").value_or("");
    config.local_as = root.get<Asn>("local_as").value_or(config.local_as);
    config.router_id = root.get<RouterId>("router_id").value_or(config.router_id);
    config.owned = root.list<Prefix>("owned").value_or(config.owned);
    config.state_dir = root.get<std::string>("state_dir").value_or("");
    config.control_socket = root.child("control").get<std::string>("socket").value_or("");
    config.http_listen = root.child("http").get<Endpoint>("listen");
    config.bgp_listen = root.child("bgp").list<Endpoint>("listen").value_or(config.bgp_listen);
    if (root.has("collector")) {
        auto accept = root.child("collector").list<Prefix>("accept");
        config.collector = Collector{std::move(accept).value_or(std::vector<Prefix>{})};
    }
}

void read_everything(const Section& root, Draft& draft, Faults& faults) {
    read_globals(root, draft.config);
    const auto checks = root.entries("checks");
    const auto services = root.entries("services");
    const Names check_names = names_of(checks);
    const Names service_names = names_of(services);
    for (const auto& entry : checks) {
        draft.config.checks.push_back(read_check(faults, entry));
        draft.checks.push_back(entry.origin);
    }
    const bool services_known = faults.sound("services");
    for (const auto& entry : root.entries("neighbors")) {
        draft.config.neighbors.push_back(
            read_neighbor(faults, entry, services_known ? &service_names : nullptr));
        draft.neighbors.push_back(entry.origin);
    }
    // One line says that there are no checks at all; a line for each name would only repeat it.
    const bool checks_known = faults.sound("checks") && !checks.empty();
    for (const auto& entry : services) {
        read_service(draft, faults, entry, checks_known ? &check_names : nullptr);
    }
    const bool owned_known = faults.sound("owned");
    draft.prefixes.settle(owned_known ? draft.config.owned : std::vector<Prefix>{},
                          draft.config.services);
    check_rules(draft, faults);
}

Diagnostics only(const std::string& file, std::string message, std::string hint = {}) {
    return {{file, 0, 0, {}, std::move(message), std::move(hint)}};
}

std::string directory_of(const std::string& file) {
    std::error_code ignored;
    return std::filesystem::absolute(file, ignored).parent_path().string();
}

}  // namespace

Result<std::shared_ptr<const Config>, Diagnostics> load(const std::string& file) {
    const auto text = read_text(file, max_file_octets);
    if (!text) return fail(only(file, text.error()));
    return load_text(*text, file);
}

Result<std::shared_ptr<const Config>, Diagnostics> load_text(const std::string& text,
                                                             const std::string& file) {
    if (text.size() > max_file_octets) return fail(only(file, too_large));
    Faults faults{file};
    const auto document = parse_document(text, faults);
    if (!document) return fail(faults.take());
    if (document->kind == YamlNode::Kind::nothing) {
        if (!faults.empty()) return fail(faults.take());
        return fail(only(file, "is empty", "conf/examples/minimal.yaml is a start"));
    }
    if (!expect(faults, *document, {}, YamlNode::Kind::map)) return fail(faults.take());
    Draft draft{blank(file), {&*document, {}}, {}, {}, {}, {faults, directory_of(file)}};
    read_everything({faults, *document, {}, schema()}, draft, faults);
    if (!faults.empty()) return fail(faults.take());
    return std::make_shared<const Config>(std::move(draft.config));
}

}  // namespace swerve::conf
