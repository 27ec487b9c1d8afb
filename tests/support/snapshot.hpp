#pragma once
// A small site made by hand: two neighbors (one established), one service with two prefixes, one
// check. Tests change what they are about.

#include <memory>
#include <string>

#include "daemon/snapshot.hpp"

namespace swerve::test {

using namespace std::chrono_literals;

inline constexpr TimePoint sample_now{1000s};
inline constexpr WallTime sample_wall{1'800'000'000s};  // 2027-01-15T08:00:00Z

[[nodiscard]] inline Prefix prefix(const std::string& text) { return Prefix::parse(text).value(); }

[[nodiscard]] inline conf::Neighbor sample_neighbor(const std::string& name,
                                                    const std::string& address) {
    return {.name = name,
            .description = "",
            .address = Address::parse(address).value(),
            .port = 179,
            .remote_as = Asn::from(64496).value(),
            .local_address = {},
            .passive = false,
            .multihop = {},
            .hold_time = 9s,
            .connect_retry = 5s,
            .families = {Family::ipv4, Family::ipv6},
            .services = {},
            .attributes = {},
            .next_hop_ipv4 = {},
            .next_hop_ipv6 = {}};
}

[[nodiscard]] inline conf::Config sample_config() {
    conf::Config out{.file = "fra1.yaml",
                     .site = "fra1",
                     .local_as = Asn::from(64500).value(),
                     .router_id = RouterId::parse("192.0.2.1").value(),
                     .state_dir = "/var/lib/swerve",
                     .control_socket = "/run/swerve/control.sock",
                     .http_listen = {},
                     .bgp_listen = {},
                     .owned = {prefix("198.51.100.0/24"), prefix("2001:db8::/32")},
                     .neighbors = {sample_neighbor("upstream-a", "192.0.2.254"),
                                   sample_neighbor("upstream-b", "192.0.2.253")},
                     .collector = {},
                     .checks = {},
                     .services = {}};
    health::FieldMap fields;
    fields["endpoint"] = {Endpoint::parse("198.51.100.1:80").value()};
    out.checks.push_back({.name = "web", .probe = {"tcp", fields}, .timing = {}});
    out.services.push_back({.name = "portal",
                            .prefixes = conf::blocks_of(
                                std::vector{prefix("198.51.100.0/24"), prefix("2001:db8::/32")}),
                            .prefixes_file = "",
                            .healthy_when = {},
                            .announce = {}});
    return out;
}

[[nodiscard]] inline bgp::BlockRef block(const std::vector<Prefix>& prefixes) {
    return std::make_shared<const bgp::PrefixBlock>(prefixes);
}

[[nodiscard]] inline daemon::NeighborView sample_neighbor_view(const conf::Neighbor& neighbor) {
    return {.name = neighbor.name,
            .description = neighbor.description,
            .address = neighbor.address,
            .port = neighbor.port,
            .remote_as = neighbor.remote_as,
            .passive = neighbor.passive,
            .disabled = false,
            .out_of_sync = false,
            .state = bgp::State::active,
            .since = sample_now - 30s,
            .negotiated = {},
            .local_address = {},
            .next_retry = sample_now + 2s,
            .last_error = "connection refused",
            .counters = {},
            .advertised = {},
            .pending_withdrawals = 0,
            .pending_announcements = 0,
            .unsent_octets = 0,
            .kept = 0,
            .kept_octets = 0,
            .received = 0,
            .updates_sent = 0,
            .sent = {}};
}

/// The neighbor's session is up for ten seconds and holds the whole of these blocks.
inline void establish(daemon::NeighborView& view, const std::vector<bgp::BlockRef>& holds) {
    view.state = bgp::State::established;
    view.since = sample_now - 10s;
    view.negotiated = bgp::Negotiated{.remote_as = Asn::from(64496).value(),
                                      .remote_id = RouterId::parse("192.0.2.254").value(),
                                      .internal = false,
                                      .four_octet_as = true,
                                      .route_refresh = true,
                                      .hold_time = 9s,
                                      .keepalive = 3s,
                                      .families = {Family::ipv4, Family::ipv6}};
    view.next_retry.reset();
    view.last_error.clear();
    view.counters.established = 1;
    for (const auto& each : holds) {
        view.sent.push_back({each, each->all()});
        view.advertised[static_cast<std::size_t>(each->family())] += each->size();
    }
}

[[nodiscard]] inline daemon::Snapshot sample_snapshot() {
    daemon::Snapshot out{.now = sample_now,
                         .wall = sample_wall,
                         .started = sample_now - 60s,
                         .started_wall = sample_wall - 60s,
                         .config = std::make_shared<const conf::Config>(sample_config()),
                         .site = {},
                         .neighbors = {},
                         .received = {},
                         .received_cut = false,
                         .failovers = {},
                         .loops = {{"main", 2ms}}};
    out.site.site = out.config->site;
    out.site.owned = out.config->owned;
    out.site.checks.push_back({.name = "web",
                               .policy = {},
                               .state = health::CheckState::pass,
                               .reason = "5 passes in a row",
                               .since = sample_now - 50s,
                               .passes = 40,
                               .failures = 0,
                               .window_failures = 0,
                               .last = health::Outcome{health::ProbeResult::pass, "connected",
                                                       sample_now - 1s, sample_now - 998ms},
                               .held_until = {},
                               .results = {40, 2, 1}});
    const auto ipv4 = block({prefix("198.51.100.0/24")});
    const auto ipv6 = block({prefix("2001:db8::/32")});
    out.site.services.push_back({.name = "portal",
                                 .prefixes = {ipv4, ipv6},
                                 .healthy_when = {},
                                 .verdict = failover::Verdict::up,
                                 .verdict_reason = "web passes",
                                 .verdict_since = sample_now - 50s,
                                 .intent = failover::Intent::announce,
                                 .intent_reason = "verdict up",
                                 .intent_since = sample_now - 50s,
                                 .drain = {}});
    for (const auto& neighbor : out.config->neighbors) {
        out.neighbors.push_back(sample_neighbor_view(neighbor));
        out.neighbors.back().config = &neighbor;
    }
    establish(out.neighbors[0], {ipv4, ipv6});
    return out;
}

/// A BFD session of this neighbor that is Up for ten seconds, at 50 ms to and 300 ms from it.
[[nodiscard]] inline daemon::BfdView sample_bfd(const daemon::NeighborView& neighbor) {
    return {.session = {.config = {.owner = neighbor.id,
                                   .key = {.local = Address::parse("192.0.2.1").value(),
                                           .remote = neighbor.address},
                                   .timing = {.min_tx = 50ms, .min_rx = 100ms}},
                        .discriminator = 7,
                        .state = bfd::State::up,
                        .since = sample_now - 10s,
                        .cause = bfd::Cause::came_up,
                        .diagnostic = bfd::Diagnostic::none,
                        .neighbor = bfd::Packet{.state = bfd::State::up,
                                                .detect_multiplier = 5,
                                                .my_discriminator = 8,
                                                .your_discriminator = 7,
                                                .desired_min_tx_us = 300'000,
                                                .required_min_rx_us = 20'000},
                        .transmit_interval = 50ms,
                        .detection_time = 1500ms,
                        .neighbor_detection_time = 150ms,
                        .counters = {.received = 30}},
            .packets_sent = 40,
            .source_port = 49152};
}

/// The sample with BFD: upstream-a's is Up, upstream-b's was never heard.
[[nodiscard]] inline daemon::Snapshot sample_with_bfd() {
    daemon::Snapshot out = sample_snapshot();
    auto config = std::make_shared<conf::Config>(*out.config);
    out.config = config;
    for (std::size_t i = 0; i < out.neighbors.size(); ++i) {
        config->neighbors[i].bfd.emplace();
        out.neighbors[i].config = &config->neighbors[i];
        out.neighbors[i].id = static_cast<daemon::NeighborId>(i);
        out.bfd.sessions.push_back(sample_bfd(out.neighbors[i]));
    }
    auto& silent = out.bfd.sessions[1].session;
    silent.state = bfd::State::down;
    silent.neighbor.reset();
    silent.transmit_interval = 1s;
    silent.detection_time.reset();
    silent.neighbor_detection_time.reset();
    silent.counters.received = 0;
    out.neighbors[0].bfd = bfd::Report{.owner = 0, .state = bfd::State::up};
    out.neighbors[1].bfd = bfd::Report{.owner = 1, .state = bfd::State::down};
    return out;
}

[[nodiscard]] inline failover::FailoverRecord sample_failover(std::uint64_t id) {
    failover::FailoverRecord out;
    out.id = id;
    out.subject = "portal";
    out.prefixes = 2;
    out.reason = "web fails";
    out.wall = sample_wall;
    out.first_evidence = sample_now - 600ms;
    out.verdict = sample_now - 100ms;
    out.neighbors = {{.neighbor = 0,
                      .name = "upstream-a",
                      .written = sample_now - 100ms + 50us,
                      .acknowledged = sample_now - 99ms,
                      .session_lost = {}}};
    return out;
}

}  // namespace swerve::test
