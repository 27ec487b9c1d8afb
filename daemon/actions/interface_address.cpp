#include "daemon/actions/interface_address.hpp"

#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <system_error>
#include <vector>

namespace swerve::daemon {
namespace {

/// IFA_PROTO says who put an address there; 1 to 3 are the kernel's.
constexpr std::uint8_t our_mark = 0x53;

/// The kernel's answer: 0, or an errno.
using Answer = Result<int, std::string>;

std::string text_of(int error) { return std::generic_category().message(error); }

/// One request with its attributes, laid out as the kernel reads it.
class Request {
public:
    Request(std::uint16_t type, unsigned flags, const Prefix& address, unsigned interface) {
        header_.nlmsg_type = type;
        header_.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
        about_.ifa_family = address.family() == Family::ipv4 ? AF_INET : AF_INET6;
        about_.ifa_prefixlen = static_cast<std::uint8_t>(address.length());
        about_.ifa_index = interface;
    }
    void add(std::uint16_t type, std::span<const std::uint8_t> value) {
        const rtattr attribute{static_cast<std::uint16_t>(RTA_LENGTH(value.size())), type};
        const std::size_t begin = attributes_.size();
        attributes_.resize(begin + RTA_SPACE(value.size()));
        std::memcpy(&attributes_[begin], &attribute, sizeof attribute);
        std::ranges::copy(value,
                          attributes_.begin() + static_cast<std::ptrdiff_t>(begin + RTA_LENGTH(0)));
    }
    void no_duplicate_detection() { about_.ifa_flags = IFA_F_NODAD; }

    [[nodiscard]] std::vector<std::uint8_t> octets() const {
        nlmsghdr header = header_;
        header.nlmsg_len =
            static_cast<std::uint32_t>(NLMSG_LENGTH(sizeof about_) + attributes_.size());
        std::vector<std::uint8_t> out(header.nlmsg_len);
        std::memcpy(out.data(), &header, sizeof header);
        std::memcpy(out.data() + NLMSG_HDRLEN, &about_, sizeof about_);
        std::ranges::copy(attributes_, out.begin() + NLMSG_SPACE(sizeof about_));
        return out;
    }

private:
    nlmsghdr header_{};
    ifaddrmsg about_{};
    std::vector<std::uint8_t> attributes_;
};

class Socket {
public:
    Socket() : fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)) {
        const timeval patience{1, 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
    ~Socket() {
        if (fd_ >= 0) ::close(fd_);
    }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;

    /// Sends a request and hands every message of the answer to `take` until the last.
    Answer ask(const Request& request,
               const std::function<void(const nlmsghdr&, std::span<const std::uint8_t>)>& take) {
        const auto octets = request.octets();
        if (fd_ < 0 || ::send(fd_, octets.data(), octets.size(), 0) < 0) {
            return fail("no answer from the kernel's netlink: " + text_of(errno));
        }
        std::array<std::uint8_t, 32UZ * 1024> buffer{};
        while (true) {
            const ::ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), 0);
            if (count < 0 && errno == EINTR) continue;
            if (count < 0) return fail("no answer from the kernel's netlink: " + text_of(errno));
            std::span<const std::uint8_t> rest{buffer.data(), static_cast<std::size_t>(count)};
            while (rest.size() >= NLMSG_HDRLEN) {
                nlmsghdr header{};
                std::memcpy(&header, rest.data(), sizeof header);
                if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > rest.size()) break;
                const auto body = rest.subspan(NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN);
                if (header.nlmsg_type == NLMSG_DONE) return 0;
                if (header.nlmsg_type == NLMSG_ERROR) {
                    int error = 0;
                    if (body.size() >= sizeof error) std::memcpy(&error, body.data(), sizeof error);
                    return -error;
                }
                take(header, body);
                rest =
                    rest.subspan(std::min(rest.size(), std::size_t{NLMSG_ALIGN(header.nlmsg_len)}));
            }
        }
    }

private:
    int fd_;
};

/// The attributes of an address that the kernel tells of, by their type.
std::optional<std::span<const std::uint8_t>> attribute(std::span<const std::uint8_t> body,
                                                       std::uint16_t type) {
    auto rest = body.subspan(std::min(body.size(), std::size_t{NLMSG_ALIGN(sizeof(ifaddrmsg))}));
    while (rest.size() >= sizeof(rtattr)) {
        rtattr each{};
        std::memcpy(&each, rest.data(), sizeof each);
        if (each.rta_len < sizeof each || each.rta_len > rest.size()) break;
        if (each.rta_type == type) {
            return rest.subspan(RTA_LENGTH(0), each.rta_len - RTA_LENGTH(0));
        }
        rest = rest.subspan(std::min(rest.size(), std::size_t{RTA_ALIGN(each.rta_len)}));
    }
    return std::nullopt;
}

Result<unsigned, std::string> index_of(const std::string& interface) {
    const unsigned index = ::if_nametoindex(interface.c_str());
    if (index == 0) return fail("there is no interface " + interface);
    return index;
}

std::string advice(int error) {
    if (error != EPERM && error != EACCES) return text_of(error);
    return text_of(error) + ": swerved needs CAP_NET_ADMIN, or put the address there yourself";
}

}  // namespace

Result<bool, std::string> add_address(const std::string& interface, const Prefix& address) {
    const auto index = index_of(interface);
    if (!index) return fail(index.error());
    Request request{RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, address, *index};
    request.add(IFA_LOCAL, address.address().octets());
    request.add(IFA_ADDRESS, address.address().octets());
    request.add(IFA_PROTO, std::array{our_mark});
    if (address.family() == Family::ipv6) request.no_duplicate_detection();
    Socket socket;
    const auto answer = socket.ask(request, [](const auto&, auto) {});
    if (!answer) return fail(answer.error());
    if (*answer != 0 && *answer != EEXIST) return fail(advice(*answer));
    return *answer == 0;
}

bool has_our_mark(const std::string& interface, const Prefix& address) {
    const auto index = index_of(interface);
    if (!index) return false;
    bool found = false;
    Socket socket;
    const Request request{RTM_GETADDR, NLM_F_DUMP, address, *index};
    const auto answer = socket.ask(request, [&](const nlmsghdr& header, auto body) {
        ifaddrmsg about{};
        if (header.nlmsg_type != RTM_NEWADDR || body.size() < sizeof about) return;
        std::memcpy(&about, body.data(), sizeof about);
        if (about.ifa_index != *index || about.ifa_prefixlen != address.length()) return;
        const auto mark = attribute(body, IFA_PROTO);
        if (!mark || mark->empty() || mark->front() != our_mark) return;
        const auto local = attribute(body, IFA_LOCAL);
        const auto itself = local ? local : attribute(body, IFA_ADDRESS);
        if (itself && std::ranges::equal(*itself, address.address().octets())) found = true;
    });
    return answer && found;
}

Result<void, std::string> remove_address(const std::string& interface, const Prefix& address) {
    const auto index = index_of(interface);
    if (!index) return {};  // its addresses went with it
    Request request{RTM_DELADDR, NLM_F_ACK, address, *index};
    request.add(IFA_LOCAL, address.address().octets());
    // Without it the kernel looks at no length and takes the first address of these octets.
    request.add(IFA_ADDRESS, address.address().octets());
    request.add(IFA_PROTO, std::array{our_mark});
    Socket socket;
    const auto answer = socket.ask(request, [](const auto&, auto) {});
    if (!answer) return fail(answer.error());
    if (*answer != 0 && *answer != EADDRNOTAVAIL) return fail(advice(*answer));
    return {};
}

}  // namespace swerve::daemon
