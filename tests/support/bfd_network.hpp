#pragma once
// A network for tests of BFD: its ports are fixed, so that tests that run side by side each need
// one of their own.

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "swerve/base/bytes.hpp"
#include "tests/support/skipped.hpp"

namespace swerve::testing {

/// Runs `test` in a network namespace that has nothing but loopback and ends with it; needs root.
inline void in_own_network(const std::function<void()>& test) {
    std::exception_ptr thrown;  // a REQUIRE throws; from a thread it would end all tests
    std::thread{[&] {
        if (::unshare(CLONE_NEWNET) != 0) {
            skipped("no network namespace without root");
            return;
        }
        ifreq lo{};
        std::strcpy(lo.ifr_name, "lo");
        lo.ifr_flags = IFF_UP | IFF_RUNNING;
        const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        CHECK(::ioctl(socket, SIOCSIFFLAGS, &lo) == 0);
        ::close(socket);
        try {
            test();
        } catch (...) {
            thrown = std::current_exception();
        }
    }}.join();
    if (thrown) std::rethrow_exception(thrown);
}

/// A UDP socket of IPv4 as any program has one.
class PlainSocket {
public:
    /// Port 0: any.
    explicit PlainSocket(const std::string& address, std::uint16_t port = 0, int ttl = 255)
        : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
        const sockaddr_in here = to(address, port);
        REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0);
        const timeval patience{.tv_sec = 20, .tv_usec = 0};
        const int on = 1;
        REQUIRE(::setsockopt(fd_, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl) == 0);
        REQUIRE(::setsockopt(fd_, IPPROTO_IP, IP_RECVTTL, &on, sizeof on) == 0);
        REQUIRE(::setsockopt(fd_, IPPROTO_IP, IP_RECVTOS, &on, sizeof on) == 0);
        REQUIRE(::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0);
    }
    ~PlainSocket() { ::close(fd_); }
    PlainSocket(const PlainSocket&) = delete;
    PlainSocket& operator=(const PlainSocket&) = delete;

    [[nodiscard]] bool send(ByteView octets, const std::string& address, std::uint16_t port) const {
        const sockaddr_in there = to(address, port);
        return ::sendto(fd_, octets.data(), octets.size(), 0,
                        reinterpret_cast<const sockaddr*>(&there),
                        sizeof there) == static_cast<ssize_t>(octets.size());
    }

    struct Arrived {
        Bytes octets;
        std::uint16_t source_port;
        int ttl;
        int tos;
    };
    /// Waits 20 s at most.
    [[nodiscard]] std::optional<Arrived> receive() const { return receive(0); }
    /// What is there already.
    [[nodiscard]] std::optional<Arrived> receive_at_once() const { return receive(MSG_DONTWAIT); }

private:
    [[nodiscard]] std::optional<Arrived> receive(int flags) const {
        Arrived out{Bytes(2048), 0, -1, -1};
        sockaddr_in from{};
        alignas(cmsghdr) std::array<char, 128> control{};
        iovec where{out.octets.data(), out.octets.size()};
        msghdr message{};
        message.msg_name = &from;
        message.msg_namelen = sizeof from;
        message.msg_iov = &where;
        message.msg_iovlen = 1;
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        const ssize_t got = ::recvmsg(fd_, &message, flags);
        if (got < 0) return std::nullopt;
        out.octets.resize(static_cast<std::size_t>(got));
        out.source_port = ntohs(from.sin_port);
        for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
             header = CMSG_NXTHDR(&message, header)) {
            if (header->cmsg_level != IPPROTO_IP) continue;
            if (header->cmsg_type == IP_TTL) std::memcpy(&out.ttl, CMSG_DATA(header), sizeof(int));
            if (header->cmsg_type == IP_TOS) out.tos = *CMSG_DATA(header);
        }
        return out;
    }

    static sockaddr_in to(const std::string& address, std::uint16_t port) {
        sockaddr_in out{};
        out.sin_family = AF_INET;
        out.sin_port = htons(port);
        REQUIRE(::inet_pton(AF_INET, address.c_str(), &out.sin_addr) == 1);
        return out;
    }

    int fd_;
};

}  // namespace swerve::testing
