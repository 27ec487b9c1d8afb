#include "daemon/interfaces.hpp"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace swerve::daemon {
namespace {

std::optional<Address> ipv6_of(const ifaddrs& entry) {
    if (entry.ifa_addr == nullptr || entry.ifa_addr->sa_family != AF_INET6) return std::nullopt;
    sockaddr_in6 in{};
    std::memcpy(&in, entry.ifa_addr, sizeof in);
    return Address::from_octets(std::span<const std::uint8_t>{in.sin6_addr.s6_addr, 16});
}

}  // namespace

Result<unsigned, std::string> scope_of(const std::string& interface) {
    const unsigned scope = ::if_nametoindex(interface.c_str());
    if (scope == 0) return fail("there is no interface " + interface);
    return scope;
}

std::string interface_of(unsigned scope) {
    std::array<char, IF_NAMESIZE> name{};
    if (scope == 0 || ::if_indextoname(scope, name.data()) == nullptr) return {};
    return name.data();
}

std::optional<Address> link_local_beside(const Address& local) {
    if (local.family() == Family::ipv4) return std::nullopt;
    if (local.is_ipv6_link_local()) return local;
    ifaddrs* first = nullptr;
    if (::getifaddrs(&first) != 0) return std::nullopt;
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> list{first, &::freeifaddrs};
    std::string_view interface;
    for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
        if (ipv6_of(*each) == local) interface = each->ifa_name;
    }
    if (interface.empty()) return std::nullopt;
    for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
        const auto address = ipv6_of(*each);
        if (interface == each->ifa_name && address && address->is_ipv6_link_local()) return address;
    }
    return std::nullopt;
}

}  // namespace swerve::daemon
