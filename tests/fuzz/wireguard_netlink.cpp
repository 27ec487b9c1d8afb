// What WireGuard says is the same in one message and in two, is bounded, and tells each peer once
// in a row.

#include <algorithm>

#include "health/probes/wireguard_device.hpp"
#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

void wireguard_netlink(ByteView input) {
    using namespace health;
    const Chosen chosen(input);
    const auto whole = std::as_bytes(chosen.rest);
    const std::size_t cut = std::min<std::size_t>(whole.size(), std::size_t{4} * chosen.choice);

    WireguardDevice once;
    const auto read = read_wireguard_message(whole, once);
    demand(once.peers.size() <= most_wireguard_peers, "there is an end to peers");
    demand(std::ranges::adjacent_find(once.peers, {}, &WireguardPeer::key) == once.peers.end(),
           "a peer that goes on stays one");

    WireguardDevice twice;
    if (!read_wireguard_message(whole.first(cut), twice)) return;
    if (!read_wireguard_message(whole.subspan(cut), twice)) return;
    demand(read.has_value(), "what can be read in two messages can be read in one");
    demand(once == twice, "in two messages as in one");
    for (const WireguardPeer& peer : once.peers) {
        demand(parse_wireguard_key(to_string(peer.key)) == peer.key, "a key is read as written");
    }
}

}  // namespace swerve::fuzz
