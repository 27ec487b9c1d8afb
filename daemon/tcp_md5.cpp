#include "daemon/tcp_md5.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <utility>

namespace swerve::daemon {
namespace {

sockaddr_storage to_sockaddr(const Address& address) {
    sockaddr_storage out{};
    const auto octets = address.octets();
    if (address.family() == Family::ipv4) {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        std::memcpy(&in.sin_addr, octets.data(), octets.size());
        std::memcpy(&out, &in, sizeof in);
    } else {
        sockaddr_in6 in{};
        in.sin6_family = AF_INET6;
        std::memcpy(&in.sin6_addr, octets.data(), octets.size());
        std::memcpy(&out, &in, sizeof in);
    }
    return out;
}

std::string hint(int error) {
    switch (error) {
        case ENOPROTOOPT:
            return "this kernel has no CONFIG_TCP_MD5SIG; take password_file out, or another "
                   "kernel";
        case ENOMEM:
            return "raise net.core.optmem_max, which bounds how many keys a socket can hold";
        case EPERM:
            return "FIPS mode and some sandboxes forbid MD5; the session cannot be signed here";
        default:
            return "no session is made without the key that was asked for";
    }
}

/// A neighbor that is not to be signed, though the kernel would want it to be.
std::string unsigned_within(const conf::Neighbor& neighbor, const Prefix& where,
                            const std::string& whose) {
    return "neighbor " + neighbor.name + " has no password, but " + where.to_string() +
           " of neighbor " + whose +
           " has one, and the kernel would drop its connections: give both the same "
           "password_file, or neighbor " +
           neighbor.name + " one of its own";
}

Prefix callers(const conf::Neighbor& neighbor) {
    return neighbor.range.value_or(
        *Prefix::masked(neighbor.address, address_bits(neighbor.address.family())));
}

}  // namespace

Result<void, std::string> install_md5_key(int fd, const Md5Key& key) {
    tcp_md5sig order{};
    if (key.key.size() > sizeof order.tcpm_key) {
        return fail("the TCP-MD5 key for " + key.from.to_string() + " is longer than 80 octets");
    }
    // No interface is named for a link-local neighbor, for the kernel takes only that of a VRF.
    const sockaddr_storage from = to_sockaddr(key.from.address());
    static_assert(sizeof order.tcpm_addr == sizeof from);
    std::memcpy(&order.tcpm_addr, &from, sizeof from);
    order.tcpm_flags = TCP_MD5SIG_FLAG_PREFIX;
    order.tcpm_prefixlen = static_cast<std::uint8_t>(key.from.length());
    order.tcpm_keylen = static_cast<std::uint16_t>(key.key.size());
    std::memcpy(order.tcpm_key, key.key.data(), key.key.size());
    if (::setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG_EXT, &order, sizeof order) == 0) return {};
    const int error = errno;
    if (error == ENOENT && key.key.empty()) return {};  // there was none to remove
    return fail("cannot set the TCP-MD5 key for " + key.from.to_string() + ": " +
                std::strerror(error) + "; " + hint(error));  // NOLINT(concurrency-mt-unsafe)
}

Result<std::vector<Md5Key>, std::string> listener_keys(const conf::Config& config) {
    std::map<Prefix, std::pair<const conf::Neighbor*, std::string>> keys;
    for (const conf::Neighbor& neighbor : config.neighbors) {
        if (neighbor.password.empty()) continue;
        const auto [held, fresh] =
            keys.try_emplace(callers(neighbor), &neighbor, neighbor.password);
        if (!fresh && held->second.second != neighbor.password) {
            return fail("neighbors " + held->second.first->name + " and " + neighbor.name +
                        " share the address " + held->first.to_string() +
                        ", for which the kernel has one TCP-MD5 key: give both the same "
                        "password_file");
        }
    }
    std::vector<Md5Key> out;
    for (const auto& [from, held] : keys) out.push_back({from, held.second});
    for (const conf::Neighbor& neighbor : config.neighbors) {
        // What a range without a password holds beside a neighbor that has one is told apart by
        // the kernel: the longer prefix wins, and is the neighbor's.
        if (!neighbor.password.empty()) continue;
        const Prefix from = callers(neighbor);
        const auto covering =
            std::ranges::find_if(keys, [&](const auto& key) { return key.first.contains(from); });
        if (covering != keys.end()) {
            return fail(unsigned_within(neighbor, covering->first, covering->second.first->name));
        }
    }
    return out;
}

}  // namespace swerve::daemon
