#include "swerve/conf/load.hpp"

#include <algorithm>
#include <filesystem>

#include "conf/draft.hpp"
#include "conf/files.hpp"

namespace swerve::conf {

namespace {

constexpr auto too_large = "is larger than 16 MiB";
static_assert(max_file_octets == 16U << 20U);

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

void read_globals(const Section& root, Config& config) {
    config.site = root.get<std::string>("site").value_or("");
    config.local_as = root.get<Asn>("local_as").value_or(config.local_as);
    config.router_id = root.get<RouterId>("router_id").value_or(config.router_id);
    config.owned = root.list<Prefix>("owned").value_or(config.owned);
    config.site_community = root.get<LargeCommunity>("site_community");
    config.state_dir = root.get<std::string>("state_dir").value_or("");
    config.control_socket = root.child("control").get<std::string>("socket").value_or("");
    config.http_listen = root.child("http").get<Endpoint>("listen");
    config.bgp_listen = root.child("bgp").list<Endpoint>("listen").value_or(config.bgp_listen);
    config.bfd_realtime = root.child("bfd").get<bool>("realtime").value_or(false);
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
    // One line says that there are no checks at all; a line for each name would only repeat it.
    const bool has_checks = faults.sound("checks") && !checks.empty();
    const Names* known_checks = has_checks ? &check_names : nullptr;
    const Names* known_services = faults.sound("services") ? &service_names : nullptr;
    read_checks(draft, faults, root, checks, known_checks);
    read_neighbors(draft, faults, root, known_services);
    read_services(draft, faults, root, services, known_checks);
    read_actions(draft, root, known_services);
    const bool owned_known = faults.sound("owned");
    draft.prefixes.settle(owned_known ? draft.config.owned : std::vector<Prefix>{},
                          draft.config.services);
    check_rules(draft, faults);
    warn_of_bfd(draft, faults);
    check_promises(draft, faults);
    limit_warnings(draft.config);
}

Diagnostics only(const std::string& file, std::string message, std::string hint = {}) {
    return {{file, 0, 0, {}, std::move(message), std::move(hint)}};
}

std::string directory_of(const std::string& file) {
    std::error_code ignored;
    return std::filesystem::absolute(file, ignored).parent_path().string();
}

}  // namespace

Names names_of(const std::vector<Section::Entry>& entries) {
    Names names;
    for (const auto& entry : entries) {
        names.emplace(entry.name, static_cast<std::uint32_t>(names.size()));
    }
    return names;
}

Neighbor blank_neighbor(const std::string& name) {
    return {.name = name,
            .description = {},
            .group = {},
            .address = Address::v4(0),
            .remote_as = some_as,
            .local_address = {},
            .multihop = {},
            .hold_time = {},
            .connect_retry = {},
            .families = {},
            .services = {},
            .attributes = {},
            .next_hop_ipv4 = {},
            .next_hop_ipv6 = {}};
}

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
    const std::string directory = directory_of(file);
    Draft draft{directory, blank(file), {&*document, {}}, {}, {}, {}, {faults, directory}};
    read_everything({faults, *document, {}, schema()}, draft, faults);
    if (!faults.empty()) return fail(faults.take());
    return std::make_shared<const Config>(std::move(draft.config));
}

}  // namespace swerve::conf
