#include "daemon/operations/bfd_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <numeric>

#include "daemon/operations/view_parts.hpp"
#include "swerve/base/span.hpp"

namespace swerve::daemon::views {

namespace json = boost::json;

namespace {

using DiscardCounts = std::array<std::uint64_t, bfd::discard_count>;

[[nodiscard]] json::value seconds_of(Duration duration) { return json::value(seconds(duration)); }

[[nodiscard]] double seconds_of_us(std::uint32_t microseconds) {
    return seconds(std::chrono::microseconds{microseconds});
}

[[nodiscard]] std::string_view word(bfd::AuthType type) {
    switch (type) {
        case bfd::AuthType::simple_password:
            return "simple_password";
        case bfd::AuthType::keyed_md5:
            return "keyed_md5";
        case bfd::AuthType::meticulous_keyed_md5:
            return "meticulous_keyed_md5";
        case bfd::AuthType::keyed_sha1:
            return "keyed_sha1";
        case bfd::AuthType::meticulous_keyed_sha1:
            break;
    }
    return "meticulous_keyed_sha1";
}

/// Null for what says nothing.
[[nodiscard]] json::value text_of(bfd::Diagnostic diagnostic) {
    if (diagnostic == bfd::Diagnostic::none) return nullptr;
    return json_string(to_string(diagnostic));
}

/// Of the last time it left Up, or came back down; null while it never has.
[[nodiscard]] json::value text_of(bfd::Cause cause) {
    if (cause == bfd::Cause::came_up || cause == bfd::Cause::neighbor_agrees) return nullptr;
    return json_string(to_string(cause));
}

[[nodiscard]] json::object discards(const DiscardCounts& counts) {
    json::object out;
    for (std::size_t i = 0; i < counts.size(); ++i) {
        out[to_string(static_cast<bfd::Discard>(i))] = counts[i];
    }
    return out;
}

[[nodiscard]] json::value neighbor_says(const std::optional<bfd::Packet>& last) {
    return or_null(last, [](const bfd::Packet& packet) {
        return json::value(json::object{{"state", json_string(bfd_word(packet.state))},
                                        {"diagnostic", text_of(packet.diagnostic)},
                                        {"discriminator", packet.my_discriminator},
                                        {"min_tx_s", seconds_of_us(packet.desired_min_tx_us)},
                                        {"min_rx_s", seconds_of_us(packet.required_min_rx_us)},
                                        {"multiplier", packet.detect_multiplier},
                                        {"demand", packet.demand}});
    });
}

/// Below which bound so many of a hundred lie; null where it is above the last one.
[[nodiscard]] json::value within(const LatenessCounts::Copy& counts, std::uint64_t total,
                                 std::uint64_t hundredths) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < LatenessCounts::bounds.size(); ++i) {
        sum += counts.buckets[i];
        if (total > 0 && sum * 100 >= total * hundredths) {
            return seconds_of(LatenessCounts::bounds[i]);
        }
    }
    return nullptr;
}

[[nodiscard]] json::object lateness(const LatenessCounts::Copy& counts) {
    const std::uint64_t total =
        std::accumulate(counts.buckets.begin(), counts.buckets.end(), std::uint64_t{0});
    return {{"count", total},
            {"sum_s", seconds(counts.sum)},
            {"within_99_percent_s", within(counts, total, 99)},
            {"within_s", within(counts, total, 100)}};
}

/// Why packets of the session are dropped, if most of what arrives is.
[[nodiscard]] std::string refused(const bfd::SessionView& session) {
    const DiscardCounts& counts = session.counters.discarded;
    const auto most = std::ranges::max_element(counts);
    if (*most == 0 || session.neighbor) return {};
    const auto why = static_cast<bfd::Discard>(most - counts.begin());
    std::string out = fmt::format("its packets are refused ({}, {} times)", to_string(why), *most);
    if (why == bfd::Discard::ttl_too_low) out += ": is it further away than `multihop` says?";
    if (why == bfd::Discard::authentication_missing ||
        why == bfd::Discard::authentication_unexpected ||
        why == bfd::Discard::authentication_failed) {
        out += ": is `auth` the same over there?";
    }
    return out;
}

[[nodiscard]] std::string hint(const BfdView& view) {
    const bfd::SessionView& session = view.session;
    if (session.state == bfd::State::up) return {};
    if (!view.trouble.empty()) return view.trouble;
    if (session.state == bfd::State::admin_down) return "switched off here";
    const bfd::SessionKey& key = session.config.key;
    const unsigned port = key.multihop ? bfd::multihop_port : bfd::single_hop_port;
    if (session.cause == bfd::Cause::neighbor_admin_down ||
        (session.neighbor && session.neighbor->state == bfd::State::admin_down)) {
        return "the neighbor has switched it off (AdminDown)";
    }
    if (session.cause == bfd::Cause::path_down) return "held down, for the daemon hangs";
    // What it last said is not forgotten the moment it falls silent.
    if (session.neighbor && session.cause != bfd::Cause::detection_time_expired) {
        return fmt::format(
            "the neighbor is heard and says {}{}: does UDP port {} get through to "
            "it, and does it refuse our packets?",
            to_string(session.neighbor->state),
            session.neighbor->diagnostic == bfd::Diagnostic::none
                ? ""
                : fmt::format(" ({})", to_string(session.neighbor->diagnostic)),
            port);
    }
    if (std::string why = refused(session); !why.empty()) return why;
    return fmt::format(
        "nothing arrives{}: is BFD on at {} with {} as its neighbor, and does UDP "
        "port {} get through?",
        session.diagnostic == bfd::Diagnostic::none
            ? ""
            : fmt::format(" ({})", to_string(session.diagnostic)),
        key.remote.to_string(), key.local.to_string(), port);
}

/// By itself, or as what a Hard Reset stands for (RFC 8538 §3.1).
[[nodiscard]] bool says_bfd_down(const bgp::Notification& notification) {
    constexpr auto cease = static_cast<std::uint8_t>(bgp::ErrorCode::cease);
    if (notification.code != cease) return false;
    if (notification.subcode == bgp::subcode::bfd_down) return true;
    const Bytes& inner = notification.data;
    return notification.subcode == bgp::subcode::hard_reset && inner.size() >= 2 &&
           inner[0] == cease && inner[1] == bgp::subcode::bfd_down;
}

[[nodiscard]] json::object session(const Snapshot& snapshot, const BfdView& view,
                                   const NeighborView* neighbor) {
    const bfd::SessionView& one = view.session;
    const bool is_up = one.state == bfd::State::up;
    json::object out;
    out["neighbor"] = neighbor == nullptr ? nullptr : json_string(neighbor->name);
    out["state"] = json_string(bfd_word(one.state));
    out["since"] = wall_of(snapshot, one.since);
    out["up_s"] = is_up ? json::value(seconds(snapshot.now - one.since)) : nullptr;
    out["cause"] =
        or_null(one.last_down, [](bfd::Cause cause) { return json_string(to_string(cause)); });
    out["diagnostic"] = text_of(one.diagnostic);
    out["hint"] = text_or_null(hint(view));
    out["local_address"] = json_string(one.config.key.local.to_string());
    out["remote_address"] = json_string(one.config.key.remote.to_string());
    out["interface"] = text_or_null(one.config.key.interface);
    out["multihop"] = one.config.key.multihop;
    out["hops"] = one.config.hops;
    out["source_port"] = view.source_port == 0 ? nullptr : json::value(view.source_port);
    out["discriminator"] = one.discriminator;
    out["min_tx_s"] = seconds(one.config.timing.min_tx);
    out["min_rx_s"] = seconds(one.config.timing.min_rx);
    out["multiplier"] = one.config.timing.multiplier;
    out["transmit_interval_s"] = or_null(one.transmit_interval, seconds_of);
    out["detection_time_s"] = or_null(one.detection_time, seconds_of);
    out["neighbor_detection_time_s"] = or_null(one.neighbor_detection_time, seconds_of);
    out["neighbor_says"] = neighbor_says(one.neighbor);
    out["auth"] = or_null(one.config.authentication, [](const bfd::Authentication& auth) {
        return json::value(
            json::object{{"type", json_string(word(auth.type))}, {"key_id", auth.key_id}});
    });
    out["packets_sent"] = view.packets_sent;
    out["packets_received"] = one.counters.received;
    out["discarded"] = discards(one.counters.discarded);
    out["downs"] = one.counters.downs;
    out["trouble"] = text_or_null(view.trouble);
    return out;
}

}  // namespace

std::string_view bfd_word(bfd::State state) {
    switch (state) {
        case bfd::State::admin_down:
            return "admin_down";
        case bfd::State::down:
            return "down";
        case bfd::State::init:
            return "init";
        case bfd::State::up:
            break;
    }
    return "up";
}

bool has_bfd(const NeighborView& neighbor) {
    return neighbor.config != nullptr && neighbor.config->bfd.has_value();
}

const BfdView* bfd_session(const Snapshot& snapshot, const NeighborView& neighbor) {
    const auto& sessions = snapshot.bfd.sessions;
    const auto found = std::ranges::find(
        sessions, neighbor.id, [](const BfdView& each) { return each.session.config.owner; });
    return found == sessions.end() || !has_bfd(neighbor) ? nullptr : &*found;
}

json::object bfd(const Snapshot& snapshot, Only only) {
    json::array sessions;
    json::array none;
    std::vector<const BfdView*> named;
    for (const NeighborView& neighbor : snapshot.neighbors) {
        const BfdView* view = bfd_session(snapshot, neighbor);
        if (view == nullptr && has_bfd(neighbor)) {
            none.push_back(
                json::object{{"neighbor", json_string(neighbor.name)},
                             {"hint", json_string(without_bfd(snapshot, neighbor.name))}});
        }
        if (view == nullptr) continue;
        named.push_back(view);
        if (only && *only != neighbor.name) continue;
        sessions.push_back(session(snapshot, *view, &neighbor));
    }
    // Of a neighbor that has come or gone between the two answers.
    for (const BfdView& view : snapshot.bfd.sessions) {
        if (only || std::ranges::find(named, &view) != named.end()) continue;
        sessions.push_back(session(snapshot, view, nullptr));
    }
    json::object out = envelope("swerve.bfd/1", snapshot);
    out["bfd"] = std::move(sessions);
    out["no_session"] = std::move(none);
    out["discarded"] = discards(snapshot.bfd.discarded);
    out["lateness"] = lateness(snapshot.bfd.lateness);
    out["realtime"] = snapshot.bfd.realtime;
    out["realtime_wanted"] = snapshot.config->bfd_realtime;
    return out;
}

std::string without_bfd(const Snapshot& snapshot, std::string_view name) {
    const auto found = std::ranges::find(snapshot.neighbors, name, &NeighborView::name);
    if (found == snapshot.neighbors.end()) return "GET /v1/neighbors lists the neighbors";
    if (!has_bfd(*found)) {
        return "`bfd: {}` under that neighbor, which needs its local_address, switches it on";
    }
    if (found->disabled) return "an operator keeps that neighbor down";
    if (found->config->admin_down) return "admin_down keeps that neighbor down";
    return "it is about to begin, or the daemon ends";
}

std::string bfd_hint(const Snapshot& snapshot, const NeighborView& neighbor) {
    if (const BfdView* view = bfd_session(snapshot, neighbor)) return hint(*view);
    return has_bfd(neighbor) ? without_bfd(snapshot, neighbor.name) : std::string{};
}

json::value neighbor_bfd(const Snapshot& snapshot, const NeighborView& neighbor) {
    if (!has_bfd(neighbor)) return nullptr;
    const BfdView* view = bfd_session(snapshot, neighbor);
    const bool kept_down = neighbor.disabled || neighbor.config->admin_down;
    const bfd::State state = kept_down      ? bfd::State::admin_down
                             : neighbor.bfd ? neighbor.bfd->state
                                            : bfd::State::down;
    json::object out{{"state", json_string(bfd_word(state))},
                     {"since", nullptr},
                     {"cause", nullptr},
                     {"diagnostic", nullptr},
                     {"neighbor_diagnostic", nullptr},
                     {"detection_time_s", nullptr},
                     {"neighbor_detection_time_s", nullptr},
                     {"strict", neighbor.config->bfd->strict},
                     {"waits", neighbor.waits_for_bfd},
                     {"hint", text_or_null(bfd_hint(snapshot, neighbor))}};
    if (neighbor.bfd) {
        out["cause"] = text_of(neighbor.bfd->cause);
        out["diagnostic"] = text_of(neighbor.bfd->diagnostic);
        out["neighbor_diagnostic"] = text_of(neighbor.bfd->neighbor_diagnostic);
    }
    if (view == nullptr) return out;
    // Of another state than main knows, it is that of a change on its way.
    if (view->session.state == state) out["since"] = wall_of(snapshot, view->session.since);
    out["detection_time_s"] = or_null(view->session.detection_time, seconds_of);
    out["neighbor_detection_time_s"] = or_null(view->session.neighbor_detection_time, seconds_of);
    return out;
}

std::optional<failover::ExplainStep> bfd_step(const Snapshot& snapshot,
                                              const NeighborView& neighbor) {
    using Mark = failover::ExplainStep::Mark;
    if (!has_bfd(neighbor) || neighbor.state == bgp::State::established) return std::nullopt;
    if (neighbor.disabled || neighbor.config->admin_down) return std::nullopt;
    const std::string why = bfd_hint(snapshot, neighbor);
    const std::string then = why.empty() ? "it is Up again" : why;
    if (neighbor.waits_for_bfd) {
        return failover::ExplainStep{
            "bfd", Mark::blocked,
            fmt::format("{} waits for BFD to be Up (bfd.strict): {}", neighbor.name, then)};
    }
    const auto& last = neighbor.ended_by;
    if (!last || !says_bfd_down(last->notification)) return std::nullopt;
    return failover::ExplainStep{
        "bfd", Mark::info,
        fmt::format("{} lost its session because {} BFD went down, {} ago; now: {}", neighbor.name,
                    last->sent ? "our" : "its", span_text(snapshot.now - last->at), then)};
}

}  // namespace swerve::daemon::views
