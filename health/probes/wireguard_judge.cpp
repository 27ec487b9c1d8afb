#include "health/probes/wireguard_judge.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace swerve::health {

namespace {

using namespace std::chrono_literals;

/// How far a handshake may lie in the future: the wall clock is slewed.
constexpr Duration slack = 2s;

std::string seconds(Duration duration) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(duration).count()) + "s";
}

std::string counted(std::size_t count, const std::string& what) {
    return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

}  // namespace

struct WireguardJudge::Finding {
    ProbeResult result = ProbeResult::pass;
    std::string reason{};
    Duration age{};        ///< of the handshake, where it passed
    bool is_heard = true;  ///< the counter was seen to move
};

Outcome WireguardJudge::judge(const WireguardDevice& device, WallTime wall, TimePoint now) {
    remember(device, now);
    std::vector<WireguardPeer> wanted;
    for (const WireguardKey& key : limits_.peers) {
        const auto found = std::ranges::find(device.peers, key, &WireguardPeer::key);
        if (found == device.peers.end()) {
            return {.result = ProbeResult::fail, .reason = "has no peer " + to_string(key)};
        }
        wanted.push_back(*found);
    }
    const auto& peers = limits_.peers.empty() ? device.peers : wanted;
    if (peers.empty()) return {.result = ProbeResult::fail, .reason = "has no peers"};

    // The worst is told, and how many more are as bad.
    Finding worst;
    std::size_t as_bad = 0;
    Duration oldest{};
    std::size_t unheard = 0;
    for (const WireguardPeer& peer : peers) {
        Finding found = look_at(peer, wall, now);
        if (found.result == ProbeResult::pass) {
            oldest = std::max(oldest, found.age);
            if (!found.is_heard) ++unheard;
            continue;
        }
        const bool is_worse =
            worst.result == ProbeResult::pass ||
            (worst.result == ProbeResult::unknown && found.result == ProbeResult::fail);
        as_bad = is_worse ? 1 : as_bad + (found.result == worst.result ? 1 : 0);
        if (is_worse) worst = std::move(found);
    }
    if (worst.result != ProbeResult::pass) {
        if (as_bad > 1) worst.reason += ", and so " + counted(as_bad - 1, "other peer");
        return {.result = worst.result, .reason = std::move(worst.reason)};
    }
    std::string reason = counted(peers.size(), "peer") + ", last handshake " + seconds(oldest) +
                         " ago" + (peers.size() == 1 ? "" : " or less");
    if (limits_.receiving_within == Duration::zero()) {
        reason += ", receiving not asked for";
    } else if (unheard > 0) {
        reason += ", receiving not known yet";
    } else {
        reason += ", receiving";
    }
    return {.result = ProbeResult::pass, .reason = std::move(reason)};
}

void WireguardJudge::remember(const WireguardDevice& device, TimePoint now) {
    std::map<WireguardKey, Counter> counters;
    for (const WireguardPeer& peer : device.peers) {
        const auto before = counters_.find(peer.key);
        // One that fell is of an interface that was made anew, of which there is no past.
        if (before == counters_.end() || peer.received < before->second.received) {
            counters[peer.key] = {.received = peer.received, .since = now};
        } else if (peer.received == before->second.received) {
            counters[peer.key] = before->second;
        } else {
            counters[peer.key] = {.received = peer.received, .since = now, .moved = true};
        }
    }
    counters_ = std::move(counters);
}

WireguardJudge::Finding WireguardJudge::look_at(const WireguardPeer& peer, WallTime wall,
                                                TimePoint now) const {
    const std::string name = "peer " + to_string(peer.key);
    if (peer.last_handshake == WallTime{}) {
        return {ProbeResult::fail, "there was no handshake with " + name + " yet"};
    }
    const Counter& counter = counters_.at(peer.key);
    const Duration silent = now - counter.since;
    if (limits_.receiving_within > Duration::zero() && silent > limits_.receiving_within) {
        return {ProbeResult::fail, "nothing was received from " + name + " for " + seconds(silent) +
                                       " (does it send keepalives?)"};
    }
    // An interface is no older than the boot, so an older handshake tells of a clock that was set.
    const Duration age = wall - peer.last_handshake;
    const bool is_odd = age < -slack || age > now.time_since_epoch() + slack;
    if (is_odd) {
        return {ProbeResult::unknown,
                std::string{"the last handshake with "} + name + " lies " +
                    (age < Duration::zero() ? "in the future" : "before the boot") +
                    ": the wall clock was set"};
    }
    if (age > limits_.max_handshake_age) {
        return {ProbeResult::fail, "the last handshake with " + name + " was " + seconds(age) +
                                       " ago, more than " + seconds(limits_.max_handshake_age)};
    }
    return {.age = std::max(age, Duration::zero()),
            .is_heard = counter.moved || limits_.receiving_within == Duration::zero()};
}

}  // namespace swerve::health
