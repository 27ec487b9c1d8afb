#include "daemon/operations/neighbor_view.hpp"

#include <algorithm>
#include <boost/json/array.hpp>

#include "daemon/operations/bfd_view.hpp"
#include "daemon/operations/view_parts.hpp"
#include "daemon/operations/views.hpp"

namespace swerve::daemon::views {

namespace json = boost::json;

namespace {

[[nodiscard]] json::value seconds_of(Duration duration) { return json::value(seconds(duration)); }
[[nodiscard]] json::value number_of(Asn asn) { return json::value(asn.value()); }
[[nodiscard]] json::value word_of(bgp::Role role) { return json_string(to_string(role)); }
[[nodiscard]] json::value text_of(const Address& address) {
    return json_string(address.to_string());
}

[[nodiscard]] json::object messages(const std::array<std::uint64_t, 6>& counts) {
    return {{"open", counts[1]},
            {"update", counts[2]},
            {"notification", counts[3]},
            {"keepalive", counts[4]},
            {"route_refresh", counts[5]}};
}

/// What our OPEN says.
[[nodiscard]] json::value offered(const std::optional<bgp::OpenPolicy>& policy) {
    return or_null(policy, [](const bgp::OpenPolicy& ours) {
        return json::value(
            json::object{{"local_as", ours.local_as.value()},
                         {"hold_time_s", seconds(ours.hold_time)},
                         {"families", family_names(ours.families)},
                         {"extended_message", ours.extended_message},
                         {"ipv4_over_ipv6", ours.ipv4_over_ipv6},
                         {"add_path_receive", ours.add_path_receive},
                         {"role", or_null(ours.role, word_of)},
                         {"role_strict", ours.role_strict},
                         {"restart_time_s", or_null(ours.restart_time, seconds_of)}});
    });
}

[[nodiscard]] json::value restart(const std::optional<bgp::GracefulRestart>& capability) {
    return or_null(capability, [](const bgp::GracefulRestart& theirs) {
        return json::value(
            json::object{{"restarting", theirs.restarting},
                         {"notification", theirs.notification},
                         {"restart_time_s", seconds(std::chrono::seconds{theirs.restart_time_s})},
                         {"families", family_names(theirs.families)},
                         {"forwarding", family_names(theirs.forwarding)}});
    });
}

/// What came of both OPENs.
[[nodiscard]] json::value negotiated(const std::optional<bgp::Negotiated>& session) {
    return or_null(session, [](const bgp::Negotiated& both) {
        return json::value(json::object{{"remote_id", json_string(both.remote_id.to_string())},
                                        {"internal", both.internal},
                                        {"families", family_names(both.families)},
                                        {"four_octet_as", both.four_octet_as},
                                        {"route_refresh", both.route_refresh},
                                        {"enhanced_route_refresh", both.enhanced_route_refresh},
                                        {"extended_message_send", both.send_extended},
                                        {"extended_message_receive", both.receive_extended},
                                        {"ipv4_over_ipv6", both.ipv4_over_ipv6},
                                        {"add_path_receive", family_names(both.add_path)},
                                        {"role", or_null(both.role, word_of)},
                                        {"remote_role", or_null(both.remote_role, word_of)},
                                        {"remote_restart", restart(both.remote_restart)}});
    });
}

[[nodiscard]] json::value limit(const conf::Neighbor* config) {
    if (config == nullptr) return nullptr;
    const conf::PrefixLimit& limit = config->prefix_limit;
    return json::object{
        {"kept", limit.kept},
        {"received", or_null(limit.received, [](std::size_t most) { return json::value(most); })},
        {"idle_s", seconds(limit.idle)}};
}

[[nodiscard]] json::value notification(const Snapshot& snapshot,
                                       const std::optional<LastNotification>& last) {
    return or_null(last, [&](const LastNotification& one) {
        return json::value(
            json::object{{"direction", one.sent ? "sent" : "received"},
                         {"code", one.notification.code},
                         {"subcode", one.notification.subcode},
                         {"text", json_string(bgp::describe(one.notification))},
                         {"shutdown_communication",
                          or_null(bgp::shutdown_communication(one.notification),
                                  [](const std::string& text) { return json_string(text); })},
                         {"age_s", seconds(snapshot.now - one.at)}});
    });
}

}  // namespace

json::object neighbor(const Snapshot& snapshot, const NeighborView& view) {
    const bool established = view.state == bgp::State::established;
    const conf::Neighbor* config = view.config;
    json::object out;
    out["name"] = json_string(view.name);
    out["description"] = text_or_null(view.description);
    out["group"] = config == nullptr ? nullptr : text_or_null(config->group);
    out["range"] = config == nullptr || !config->range ? nullptr : json_string(config->name);
    out["address"] = text_of(view.address);
    out["interface"] = text_or_null(view.interface);
    out["port"] = view.port;
    out["local_as"] =
        (config == nullptr ? snapshot.config->local_as : conf::local_as(*snapshot.config, *config))
            .value();
    out["remote_as"] = or_null(view.remote_as, number_of);
    out["state"] = json_string(state_word(view.state));
    out["since"] = wall_of(snapshot, view.since);
    out["up_s"] = established ? json::value(seconds(snapshot.now - view.since)) : nullptr;
    out["disabled"] = view.disabled;
    out["admin_down"] = config != nullptr && config->admin_down;
    out["over_limit"] = view.over_limit;
    out["out_of_sync"] = view.out_of_sync;
    out["local_address"] = or_null(view.local_address, text_of);
    out["passive"] = view.passive;
    out["hold_time_s"] =
        or_null(view.negotiated, [](const auto& session) { return seconds_of(session.hold_time); });
    out["keepalive_s"] =
        or_null(view.negotiated, [](const auto& session) { return seconds_of(session.keepalive); });
    out["families"] = view.negotiated ? family_names(view.negotiated->families) : json::array{};
    out["offered"] = offered(view.offered);
    out["negotiated"] = negotiated(view.negotiated);
    out["prefixes_advertised"] =
        json::object{{"ipv4", view.advertised[0]}, {"ipv6", view.advertised[1]}};
    out["prefixes_received"] = view.kept;
    out["prefixes_kept_octets"] = view.kept_octets;
    out["prefixes_heard"] = view.received;
    out["prefix_limit"] = limit(config);
    out["end_of_rib"] = established ? family_names(view.end_of_rib) : json::array{};
    out["pending_withdrawals"] = view.pending_withdrawals;
    out["pending_announcements"] = view.pending_announcements;
    out["unsent_octets"] = view.unsent_octets;
    out["updates_sent"] = view.updates_sent;
    out["messages_sent"] = messages(view.counters.sent);
    out["messages_received"] = messages(view.counters.received);
    out["established_count"] = view.counters.established;
    out["next_retry_s"] = or_null(view.next_retry, [&](TimePoint when) {
        return seconds_of(std::max(Duration{}, when - snapshot.now));
    });
    out["bfd"] = neighbor_bfd(snapshot, view);
    out["last_error"] = text_or_null(view.last_error);
    out["last_notification"] = notification(snapshot, view.last_notification);
    return out;
}

}  // namespace swerve::daemon::views
