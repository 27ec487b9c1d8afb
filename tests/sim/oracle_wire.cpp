// What the oracle sees of the octets that a site writes.

#include <algorithm>
#include <utility>

#include "tests/sim/oracle.hpp"

namespace swerve::sim {

using daemon::NeighborId;

namespace {

bool owned(const conf::Config& config, const Prefix& prefix) {
    return std::ranges::any_of(config.owned,
                               [&](const Prefix& block) { return block.contains(prefix); });
}

WireRoute sorted(WireRoute route) {
    std::ranges::sort(route.communities);
    std::ranges::sort(route.large_communities);
    return route;
}

}  // namespace

/// S6: what the neighbor was sent is what it is to hold, unless its kernel takes no more.
void Oracle::compare_sent(const daemon::Neighbor& neighbor, const Session& session) const {
    if (!neighbor.peer.negotiated()) return;
    std::map<Prefix, WireRoute> wanted;
    neighbor.peer.rib_out().for_each([&](const Prefix& prefix, const bgp::RouteRef& desired,
                                         const bgp::RouteRef&) {
        const Family family = prefix.family();
        if (!desired || !neighbor.peer.negotiated()->families.contains(family)) return;
        const auto service = service_of(prefix);
        const auto expected = [&](failover::Shown shown) {
            return expected_route(*neighbor.config, service, family, *neighbor.local_address,
                                  shown);
        };
        WireRoute route = expected(failover::Shown::announced);
        if (!route.next_hop) return;
        // Where evidence or a clock leaves a choice, what is held may be any of it.
        const auto held = session.held.find(prefix);
        const Degrees degrees = service ? allowed(&prefix, *service) : Degrees{.full = true};
        bool found = degrees.full && held != session.held.end() && sorted(held->second) == route;
        const auto consider = [&](bool may, failover::Shown shown) {
            if (!may || found) return;
            route = expected(shown);
            found = held != session.held.end() && sorted(held->second) == route;
        };
        consider(degrees.degraded, failover::Shown::degraded);
        consider(degrees.draining, failover::Shown::draining);
        wanted.emplace(prefix, std::move(route));
    });
    for (const auto& [prefix, route] : wanted) {
        const auto held = session.held.find(prefix);
        if (held == session.held.end()) {
            violate("S6", "{}: {} was not sent to {}", site_, prefix.to_string(), neighbor.name);
        }
        if (sorted(held->second) != route) {
            violate("S1", "{}: {} holds {} as [{}], configured is [{}]", site_, neighbor.name,
                    prefix.to_string(), to_string(held->second), to_string(route));
        }
    }
    if (session.held.size() == wanted.size()) return;
    for (const auto& [prefix, route] : session.held) {
        if (!wanted.contains(prefix)) {
            violate("S6", "{}: {} was not withdrawn from {}", site_, prefix.to_string(),
                    neighbor.name);
        }
    }
}

// DESIGN.md §4.13, RFC 4271 §5.1.
WireRoute Oracle::expected_route(const conf::Neighbor& neighbor,
                                 std::optional<failover::ServiceId> service, Family family,
                                 const Address& local, failover::Shown shown) const {
    const conf::Service none{};
    const conf::Service& its = service ? config_->services[*service] : none;
    const conf::ExportAttributes& of_service = its.announce;
    const bool draining = shown == failover::Shown::draining;
    // A drain makes no route better than its degraded one.
    const bool degraded = draining || shown == failover::Shown::degraded;
    const conf::ExportAttributes& own = neighbor.attributes;
    const bool internal = neighbor.remote_as == config_->local_as;
    WireRoute out{.origin = 0};
    unsigned prepend = own.prepend ? *own.prepend : of_service.prepend.value_or(0);
    if (degraded) prepend = std::min(prepend + its.degrade.prepend.value_or(0), 32U);
    out.as_path.assign(prepend + (internal ? 0U : 1U), config_->local_as.value());
    out.med = own.med ? own.med : of_service.med;
    if (internal) {
        out.local_pref = own.local_pref ? own.local_pref : of_service.local_pref;
        if (!out.local_pref) out.local_pref = 100;
        if (degraded && its.degrade.local_pref) out.local_pref = its.degrade.local_pref;
    }
    if (degraded && its.degrade.med) out.med = its.degrade.med;
    std::set<std::uint32_t> communities;
    std::set<std::array<std::uint32_t, 3>> large;
    for (const auto* from : {&of_service, &own, &its.degrade}) {
        if (from == &its.degrade && !degraded) continue;
        for (const Community each : from->communities) communities.insert(each.value);
        for (const LargeCommunity& each : from->large_communities) {
            large.insert({each.global_administrator, each.local_data_1, each.local_data_2});
        }
    }
    // RFC 8326 §4: what leaves is the last choice of everybody.
    if (draining) communities.insert(0xFFFF0000U);
    if (draining && internal) out.local_pref = 0;
    out.communities.assign(communities.begin(), communities.end());
    out.large_communities.assign(large.begin(), large.end());
    out.next_hop = family == Family::ipv4 ? neighbor.next_hop_ipv4 : neighbor.next_hop_ipv6;
    if (!out.next_hop && local.family() == family) out.next_hop = local;
    // RFC 4271 §5.1.3: a route that leads to the neighbor itself is not for it.
    if (out.next_hop == neighbor.address) out.next_hop.reset();
    return out;
}

// S6: only legal transitions. RFC 4271 §8.2.2 reaches OpenConfirm through OpenSent and Established
// through OpenConfirm alone; a peer shows the further of its two connections, so that it may fall
// back to any state.
void Oracle::state_changed(NeighborId neighbor, bgp::State from, bgp::State to) {
    using enum bgp::State;
    bgp::State& known = states_.try_emplace(neighbor, idle).first->second;
    const bool legal = to < from || (from < open_sent && to <= open_sent && to > from) ||
                       (from == open_sent && to == open_confirm) ||
                       (from == open_confirm && to == established) ||
                       (from == connect && to == connect);  // a dial that is not answered
    if (known != from || !legal) {
        violate("S6", "{}: neighbor {} goes from {} to {}, and stood at {}", site_, neighbor,
                to_string(from), to_string(to), to_string(known));
    }
    known = to;
}

void Oracle::session_up(NeighborId neighbor, Socket socket) {
    sessions_[neighbor] = {.socket = socket};
}

void Oracle::session_down(NeighborId neighbor) { sessions_.erase(neighbor); }
void Oracle::removed(NeighborId neighbor) {
    sessions_.erase(neighbor);
    states_.erase(neighbor);
}
void Oracle::asked_for_routes(NeighborId neighbor) {
    const auto session = sessions_.find(neighbor);
    if (session != sessions_.end()) session->second.refreshed = true;
}

void Oracle::received(Socket socket, ByteView octets) {
    Conversation& talk = conversations_[socket];
    std::vector<WireMessage> messages;
    talk.in.feed(octets, messages);
    for (const WireMessage& message : messages) {
        if (message.type == WireMessage::Type::open) talk.open_received = true;
        if (message.type == WireMessage::Type::keepalive) talk.keepalive_received = true;
        if (message.type != WireMessage::Type::route_refresh) continue;
        for (auto& [id, session] : sessions_) {
            if (session.socket == socket) session.refreshed = true;
        }
    }
}

void Oracle::wrote(const bgp::Peer& peer, NeighborId neighbor, Socket socket, ByteView octets) {
    Conversation& talk = conversations_[socket];
    std::vector<WireMessage> messages;
    // A message that was begun is finished, whatever has become urgent meanwhile.
    bool begun_before = talk.out.incomplete() > 0;
    talk.out.feed(octets, messages);
    for (const WireMessage& message : messages) {
        const bool begun = std::exchange(begun_before, false);
        // S6: OPEN first and once, an UPDATE in Established only, nothing behind a NOTIFICATION.
        if (talk.notified) violate("S6", "{}: a message follows a NOTIFICATION", site_);
        if ((message.type == WireMessage::Type::open) == talk.open_sent) {
            violate("S6", "{}: an OPEN is not the first message, or is missing", site_);
        }
        talk.open_sent = true;
        talk.notified = message.type == WireMessage::Type::notification;
        talk.keepalive_sent |= message.type == WireMessage::Type::keepalive;
        if (message.type != WireMessage::Type::update) continue;
        const auto session = sessions_.find(neighbor);
        if (!talk.open_received || !talk.keepalive_received || !talk.keepalive_sent ||
            session == sessions_.end() || session->second.socket != socket) {
            violate("S6", "{}: an UPDATE before the session is Established", site_);
        }
        take_update(session->second, message);
        if (!begun && !message.announced.empty()) nothing_overtaken(peer, session->second);
    }
}

void Oracle::take_update(Session& session, const WireMessage& message) const {
    session.touched = true;
    for (const Prefix& prefix : message.withdrawn) {
        const auto held = session.held.extract(prefix);
        if (held.empty()) {
            violate("S6", "{}: {} is withdrawn and the neighbor does not hold it", site_,
                    prefix.to_string());
        }
        session.changes.push_back({prefix, held.mapped(), std::nullopt});
    }
    if (message.announced.empty()) return;
    const WireRoute& route = message.route;
    for (const Prefix& prefix : message.announced) {
        if (!owned(*config_, prefix))
            violate("S1", "{}: {} is not owned", site_, prefix.to_string());
        const auto [held, added] = session.held.try_emplace(prefix, route);
        if (!added && held->second == route && !session.refreshed) {
            violate("S6", "{}: {} is announced again as the neighbor holds it", site_,
                    prefix.to_string());
        }
        if (added) {
            session.changes.push_back({prefix, std::nullopt, sorted(route)});
        } else if (held->second != route) {
            session.changes.push_back({prefix, std::exchange(held->second, route), sorted(route)});
        }
    }
}

/// S6: a withdraw is never behind announcements.
void Oracle::nothing_overtaken(const bgp::Peer& peer, const Session& session) const {
    // A prefix that left the configuration and came back may be there twice.
    std::map<Prefix, bool> is_wanted;
    peer.rib_out().for_each([&](const Prefix& prefix, const bgp::RouteRef& wanted,
                                const bgp::RouteRef&) { is_wanted[prefix] |= wanted != nullptr; });
    for (const auto& [prefix, wanted] : is_wanted) {
        if (!wanted && session.held.contains(prefix)) {
            violate("S6", "{}: an announcement overtakes the withdrawal of {}", site_,
                    prefix.to_string());
        }
    }
}

void Oracle::closed(Socket socket, ByteView last_words) {
    const auto talk = conversations_.find(socket);
    if (talk == conversations_.end()) return;
    if (!last_words.empty()) {
        std::vector<WireMessage> messages;
        talk->second.out.feed(last_words, messages);
        if (talk->second.out.incomplete() > 0) {
            violate("S6", "{}: the last words end in the middle of a message", site_);
        }
    }
    conversations_.erase(talk);
}

void Oracle::check_quiet(const daemon::Speaker& speaker, NeighborId neighbor,
                         const std::vector<Prefix>& held) {
    // S6: both ends hold the same.
    const auto session = sessions_.find(neighbor);
    const daemon::Neighbor& known = *speaker.neighbors().find(neighbor);
    std::vector<Prefix> sent;
    if (session != sessions_.end()) {
        for (const auto& [prefix, route] : session->second.held) sent.push_back(prefix);
    }
    if (sent != held) {
        violate("S6", "{}: {} was sent {} routes and holds {}", site_, known.name, sent.size(),
                held.size());
    }
}

}  // namespace swerve::sim
