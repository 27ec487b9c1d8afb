// Whether a route to a prefix stands in the kernel's table.

#include <boost/asio/this_coro.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "health/probes/netlink.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"
#include "swerve/base/escape.hpp"
#include "swerve/net/prefix.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr Field fields[] = {
    {.name = "prefix",
     .kind = FieldKind::string,
     .required = true,
     .help = "Its destination, exactly, as 203.0.113.0/24."},
    {.name = "via",
     .kind = FieldKind::string,
     .help = "The address of its next hop; absent: any, or none."},
    {.name = "interface",
     .kind = FieldKind::string,
     .help = "The interface it leads to; absent: any."},
    {.name = "table",
     .kind = FieldKind::integer,
     .help = "The number of the routing table; absent: main.",
     .least = 1,
     .most = 0xffffffff},
};

/// What the configuration asks for.
struct Wanted {
    Prefix prefix;
    std::optional<Address> via;
    std::optional<std::string> interface;
    std::uint32_t table = RT_TABLE_MAIN;
};

/// Where a route leads.
struct NextHop {
    unsigned interface = 0;  ///< 0: none
    std::optional<Address> via;
    unsigned flags = 0;
};

NextHop next_hop(std::span<const std::byte> attributes, unsigned interface, unsigned flags) {
    NextHop out{.interface = interface, .flags = flags};
    out.via = address_in(attribute(attributes, RTA_GATEWAY));
    // A next hop of the other family: its family stands in front.
    const auto other = attribute(attributes, RTA_VIA);
    if (!out.via && other.size() > 2) out.via = address_in(other.subspan(2));
    return out;
}

std::vector<NextHop> next_hops(const ::rtmsg& header, std::span<const std::byte> attributes) {
    auto paths = attribute(attributes, RTA_MULTIPATH);
    if (paths.empty()) {
        const auto interface = number_in(attribute(attributes, RTA_OIF));
        return {next_hop(attributes, interface.value_or(0), header.rtm_flags)};
    }
    std::vector<NextHop> out;
    while (paths.size() >= sizeof(::rtnexthop)) {
        ::rtnexthop path{};
        std::memcpy(&path, paths.data(), sizeof path);
        if (path.rtnh_len < sizeof path || path.rtnh_len > paths.size()) break;
        out.push_back(next_hop(paths.first(path.rtnh_len).subspan(sizeof path),
                               static_cast<unsigned>(path.rtnh_ifindex), path.rtnh_flags));
        paths = paths.subspan(
            std::min(paths.size(), static_cast<std::size_t>(RTNH_ALIGN(path.rtnh_len))));
    }
    return out;
}

/// The header of a message that tells of a route to the prefix in the table, whatever its kind.
std::optional<::rtmsg> route_of(const Wanted& wanted, const NetlinkMessage& message) {
    const auto header = message.header<::rtmsg>();
    if (!header || header->rtm_family != kernel_family(wanted.prefix.family()) ||
        header->rtm_dst_len != wanted.prefix.length() || (header->rtm_flags & RTM_F_CLONED) != 0) {
        return std::nullopt;
    }
    const auto attributes = message.attributes<::rtmsg>();
    const auto table = number_in(attribute(attributes, RTA_TABLE));
    if (table.value_or(header->rtm_table) != wanted.table) return std::nullopt;
    // The default route names no destination.
    const auto destination = address_in(attribute(attributes, RTA_DST));
    if (destination ? *destination != wanted.prefix.address() : header->rtm_dst_len != 0) {
        return std::nullopt;
    }
    return header;
}

/// Why a route of this kind leads nowhere; nothing if it leads somewhere.
std::optional<std::string_view> leads_nowhere(unsigned char type) {
    switch (type) {
        case RTN_BLACKHOLE:
            return "is a blackhole";
        case RTN_UNREACHABLE:
            return "says unreachable";
        case RTN_PROHIBIT:
            return "says prohibited";
        case RTN_THROW:
            return "leads back to the other tables";
        default:
            return std::nullopt;
    }
}

class RouteProbe final : public Probe {
public:
    explicit RouteProbe(Wanted wanted) : wanted_(std::move(wanted)) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        std::optional<Outcome> found;
        std::uint32_t best = 0;  // its metric: what is higher carries nothing while this stands
        std::size_t routes = 0;
        interfaces_.clear();
        const auto asked =
            co_await dump(RTM_GETROUTE, selection(), [&](const NetlinkMessage& message) {
                ++routes;
                const auto header = route_of(wanted_, message);
                if (!header) return;
                const std::uint32_t metric = metric_of(message);
                if (found && metric > best) return;
                Outcome next = judge(*header, message);
                if (found && metric == best && found->result == ProbeResult::pass) return;
                best = metric;
                found = std::move(next);
            });
        if (!asked) co_return unsure(asked.error());
        step(context, "read the table: " + std::to_string(routes) + " routes");
        co_return found ? *found : failed("no " + name());
    }

    asio::awaitable<void> watch(const ProbeContext& context,
                                std::function<void(Outcome)> report) override {
        NetlinkWatch changes(co_await asio::this_coro::executor, groups(),
                             [this](const NetlinkMessage& message) { return concerns(message); });
        co_await report_changes(
            *this, context, [&changes] { return changes.changed(); }, std::move(report));
    }

private:
    [[nodiscard]] std::vector<int> groups() const {
        if (wanted_.prefix.family() == Family::ipv4) {
            return {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE};
        }
        return {RTNLGRP_LINK, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV6_ROUTE};
    }

    /// Routes that go with an interface or an address are not all told of one by one; those that
    /// come are.
    [[nodiscard]] bool concerns(const NetlinkMessage& message) const {
        if (is_of_link(message)) {
            const auto link = message.header<::ifinfomsg>();
            return link && interfaces_.contains(static_cast<unsigned>(link->ifi_index));
        }
        const bool of_route = message.type == RTM_NEWROUTE || message.type == RTM_DELROUTE;
        return !of_route || route_of(wanted_, message);
    }

    static std::uint32_t metric_of(const NetlinkMessage& message) {
        const auto attributes = message.attributes<::rtmsg>();
        return number_in(attribute(attributes, RTA_PRIORITY)).value_or(0);
    }

    [[nodiscard]] std::vector<std::byte> selection() const {
        ::rtmsg header{};
        header.rtm_family = kernel_family(wanted_.prefix.family());
        ::rtattr table{};
        table.rta_type = RTA_TABLE;
        table.rta_len = RTA_LENGTH(sizeof wanted_.table);
        std::vector<std::byte> out(sizeof header + table.rta_len);
        std::memcpy(out.data(), &header, sizeof header);
        std::memcpy(out.data() + sizeof header, &table, sizeof table);
        std::memcpy(out.data() + sizeof header + sizeof table, &wanted_.table,
                    sizeof wanted_.table);
        return out;
    }

    [[nodiscard]] Outcome judge(const ::rtmsg& header, const NetlinkMessage& message) {
        const std::vector<NextHop> hops = next_hops(header, message.attributes<::rtmsg>());
        for (const NextHop& hop : hops) interfaces_.insert(hop.interface);
        if (const auto nowhere = leads_nowhere(header.rtm_type)) {
            return failed(name() + " " + std::string{*nowhere});
        }
        bool dead = false;
        for (const NextHop& hop : hops) {
            const std::string interface = interface_name(hop.interface);
            if ((wanted_.via && hop.via != wanted_.via) ||
                (wanted_.interface && interface != *wanted_.interface)) {
                continue;
            }
            dead = (hop.flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) != 0;
            if (dead) continue;
            return passed(name() + (hop.via ? " via " + hop.via->to_string() : "") + " on " +
                          escape(interface));
        }
        return failed(name() + (dead ? " leads to an interface that is down" : " leads elsewhere"));
    }

    [[nodiscard]] std::string name() const {
        std::string out = "route to " + wanted_.prefix.to_string();
        if (wanted_.table != RT_TABLE_MAIN) out += " in table " + std::to_string(wanted_.table);
        return out;
    }

    Wanted wanted_;
    std::set<unsigned> interfaces_;  ///< of the routes that were last seen
};

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    const std::string& text = *get<std::string>(values, "prefix");
    const auto prefix = Prefix::parse(text);
    if (!prefix) {
        const bool host_bits = prefix.error() == Prefix::ParseError::host_bits;
        return fail(FieldFault{
            "prefix", quoted(text) + (host_bits ? " has bits behind its length" : " is no prefix"),
            "as 203.0.113.0/24"});
    }
    Wanted wanted{.prefix = *prefix};
    if (const auto* via = get<std::string>(values, "via")) {
        wanted.via = Address::parse(*via);
        if (!wanted.via) return fail(FieldFault{"via", quoted(*via) + " is no address", ""});
    }
    if (const auto* interface = get<std::string>(values, "interface")) {
        if (const auto unusable = unusable_interface(*interface)) {
            return fail(FieldFault{"interface", *unusable, ""});
        }
        wanted.interface = *interface;
    }
    if (const auto* table = get<std::int64_t>(values, "table")) {
        wanted.table = static_cast<std::uint32_t>(*table);
    }
    return std::make_unique<RouteProbe>(std::move(wanted));
}

std::string caveat(const FieldMap& /*values*/) {
    return "that a route stands does not prove that anybody is at its end";
}

std::string target(const FieldMap& values) { return *get<std::string>(values, "prefix"); }

}  // namespace

ProbeType route_probe() {
    return {
        .name = "route",
        .help =
            "Asks whether a route to exactly this prefix stands in the kernel's table, with "
            "a next hop that is alive. Of several the one with the lowest metric counts; one that "
            "only refuses (blackhole, unreachable, prohibit) fails. Each attempt reads the "
            "whole table.",
        .fields = fields,
        .has_events = sees_events,
        .make = make,
        .caveat = caveat,
        .target = target};
}

}  // namespace swerve::health
