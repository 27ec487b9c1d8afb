// BFD in a world, and what goes wrong with its datagrams.

#include <algorithm>

#include "tests/sim/world.hpp"

namespace swerve::sim {
namespace {

using bfd::AuthType;

bfd::Authentication some_authentication(Random& random) {
    const bool is_sha1 = chance(random, 70);
    return {.type = is_sha1 ? AuthType::meticulous_keyed_sha1 : AuthType::simple_password,
            .key_id = 7,
            .secret = fmt::format("secret {}", between(random, 1, 9))};
}

constexpr int ttl_sent = 255;

}  // namespace

std::optional<BfdPlan> World::some_bfd() {
    if (!with_bfd_ || chance(random_, 25)) return std::nullopt;
    BfdPlan out;
    out.multihop = chance(random_, 25);
    if (out.multihop) out.hops = between(random_, 1, 5);
    if (chance(random_, 40)) out.authentication = some_authentication(random_);
    return out;
}

void World::attach_bfd(Path& path, const Uplink& uplink) {
    if (!uplink.bfd) return;
    path.link->ttl = ttl_sent - static_cast<int>(between(random_, 0, uplink.bfd->hops - 1));
    path.bfd = bfd::SessionConfig{.key = {.local = uplink.router_address,
                                          .remote = uplink.local_address,
                                          .multihop = uplink.bfd->multihop},
                                  .hops = uplink.bfd->hops,
                                  .timing = some_bfd_timing(random_),
                                  .authentication = uplink.bfd->authentication};
    path.router->speak_bfd(*path.link, path.bfd);
}

World::Path* World::some_bfd_path() {
    std::vector<Path*> all;
    for (Path& path : paths_) {
        if (path.bfd) all.push_back(&path);
    }
    return all.empty() ? nullptr : pick(random_, all);
}

void World::datagrams_lost() {
    Path* const path = some_bfd_path();
    if (path == nullptr) return;
    const unsigned both = between(random_, 1, 3);
    const unsigned percent = between(random_, 5, 50);
    const unsigned longest = between(random_, 1, 4);
    trace_.story(timeline_.now(), "datagrams of {} are lost, {} in a row at most",
                 path->host->plan().name, longest);
    for (unsigned end = 0; end < 2; ++end) {
        if ((both & (1U << end)) != 0) {
            path->link->loss[end] = {.percent = percent, .longest = longest};
        }
    }
    timeline_.after(some_span(seconds{1}, seconds{60}), [&link = *path->link] { link.loss = {}; });
}

/// TCP goes on: the carrier is there, and the other direction works.
void World::one_way_loss() {
    Path* const path = some_bfd_path();
    if (path == nullptr) return;
    const unsigned end = between(random_, 0, 1);
    trace_.story(timeline_.now(), "no datagram comes from {} of {}",
                 end == 0 ? "the site" : "the router", path->host->plan().name);
    path->link->loss[end].all = true;
    timeline_.after(some_span(milliseconds{100}, seconds{20}),
                    [&link = *path->link] { link.loss = {}; });
}

void World::datagrams_forged() {
    Path* const path = some_bfd_path();
    if (path == nullptr) return;
    for (unsigned i = between(random_, 1, 40); i > 0; --i) {
        timeline_.after(some_span(Duration{0}, seconds{3}), [this, path] { forge(*path); });
    }
}

/// Anything but a Down with all that is right of a session without authentication: who can say
/// that is believed.
void World::forge(Path& path) {
    const std::size_t to = between(random_, 0, 1);
    const auto its = witness_.last_words(*path.link, to);
    const auto other = witness_.last_words(*path.link, 1 - to);
    if (!its || !path.bfd) return;
    const auto& secret = path.bfd->authentication;
    bfd::Packet packet{.diagnostic = static_cast<bfd::Diagnostic>(between(random_, 0, 8)),
                       .state = static_cast<bfd::State>(between(random_, 0, 3))};
    packet.detect_multiplier = static_cast<std::uint8_t>(between(random_, 1, 255));
    packet.poll = chance(random_, 30);
    packet.my_discriminator = other && chance(random_, 50) ? other->my : between(random_, 1, 9);
    packet.your_discriminator = its->my;
    packet.desired_min_tx_us = between(random_, 0, 2'000'000);
    packet.required_min_rx_us = between(random_, 0, 2'000'000);
    const bfd::Authentication* key = secret ? &*secret : nullptr;
    bfd::Authentication wrong;
    Letter letter{{}, path.link->ttl, true};
    std::uint32_t sequence = between(random_, 0, 1U << 20U);
    const unsigned shape = between(random_, 0, secret ? 5 : 3);
    switch (shape) {
        case 0:
            for (unsigned i = between(random_, 0, 80); i > 0; --i) {
                letter.octets.push_back(static_cast<std::uint8_t>(between(random_, 0, 255)));
            }
            if (chance(random_, 50)) letter.ttl = static_cast<int>(between(random_, 0, 255));
            break;
        case 1:
            letter.ttl = ttl_sent - static_cast<int>(path.bfd->hops);
            if (chance(random_, 50)) letter.ttl = static_cast<int>(between(random_, 0, 250));
            letter.ttl = std::min(letter.ttl, ttl_sent - static_cast<int>(path.bfd->hops));
            break;
        case 2:
            packet.your_discriminator = its->my + between(random_, 1, 1000);
            break;
        case 3:
            packet.your_discriminator = 0;
            packet.state = chance(random_, 50) ? bfd::State::up : bfd::State::init;
            break;
        case 4:
            wrong = *secret;
            wrong.secret += chance(random_, 50) ? "1" : "";
            if (wrong.secret == secret->secret) ++wrong.key_id;
            key = chance(random_, 30) ? nullptr : &wrong;
            if (its->sequence) sequence += *its->sequence;
            break;
        default:
            // A replay.
            if (const auto heard = witness_.heard(*path.link, to, chance(random_, 50))) {
                letter.octets = *heard;
            }
            if (letter.octets.empty() || secret->type == AuthType::simple_password) return;
            break;
    }
    if (shape > 0 && letter.octets.empty()) letter.octets = bfd::encode(packet, key, sequence);
    trace_.detail(timeline_.now(),
                  "a forged BFD packet of shape {} to the {} of {}: TTL {}, {:02x}", shape,
                  to == 0 ? "site" : "router", path.host->plan().name, letter.ttl,
                  fmt::join(letter.octets, ""));
    network_.deliver(*path.link, to, std::move(letter), {});
}

void World::main_stalls() { some_host().stall_main(some_span(milliseconds{100}, seconds{8})); }

void World::main_hangs() {
    const Duration patience = some_span(seconds{1}, seconds{5});
    if (timeline_.now() + patience + seconds{5} > quiet_from_) return;
    some_host().hang(patience, between(random_, milliseconds{200}, seconds{5}));
}

void World::router_bfd_timing() {
    Path* const path = some_bfd_path();
    if (path == nullptr || !path->router->speaks_bfd(*path->link)) return;
    path->bfd->timing = some_bfd_timing(random_);
    trace_.story(timeline_.now(), "the router of {} has another BFD timing",
                 path->host->plan().name);
    path->router->speak_bfd(*path->link, path->bfd);
}

void World::router_bfd_off() {
    Path* const path = some_bfd_path();
    if (path == nullptr) return;
    trace_.story(timeline_.now(), "the router of {} switches BFD off", path->host->plan().name);
    path->router->speak_bfd(*path->link, std::nullopt);
    timeline_.after(some_span(milliseconds{500}, seconds{40}),
                    [path] { path->router->speak_bfd(*path->link, path->bfd); });
}

/// Two people change it, one after the other.
void World::key_changes() {
    Path* const path = some_bfd_path();
    if (path == nullptr || !path->bfd->authentication) return;
    const bfd::Authentication key = some_authentication(random_);
    path->host->replace_key(*path->link, key);
    path->bfd->authentication = key;
    timeline_.after(some_span(milliseconds{10}, seconds{8}), [path] {
        if (path->router->speaks_bfd(*path->link)) {
            path->router->speak_bfd(*path->link, path->bfd);
        }
    });
}

}  // namespace swerve::sim
