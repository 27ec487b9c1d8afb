#include "daemon/tcp_md5.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <vector>

using namespace swerve;
using daemon::listener_keys;
using daemon::Md5Key;

namespace {

conf::Neighbor neighbor(const std::string& name, const std::string& where,
                        const std::string& password) {
    conf::Neighbor out{.name = name,
                       .address = Address::v4(0),
                       .remote_as = *Asn::from(64496),
                       .hold_time = std::chrono::seconds{9},
                       .connect_retry = std::chrono::seconds{5},
                       .attributes = {}};
    if (const auto prefix = Prefix::parse(where)) {
        out.range = *prefix;
        out.address = prefix->address();
    } else {
        out.address = *Address::parse(where);
    }
    out.password = password;
    return out;
}

conf::Config config(std::vector<conf::Neighbor> neighbors) {
    conf::Config out{.local_as = *Asn::from(64500), .router_id = *RouterId::parse("192.0.2.1")};
    out.neighbors = std::move(neighbors);
    return out;
}

Md5Key key(const std::string& from, const std::string& secret) {
    return {*Prefix::parse(from), secret};
}

/// A socket that is closed at the end.
struct Socket {
    int fd;
    explicit Socket(int family) : fd(::socket(family, SOCK_STREAM, 0)) {}
    ~Socket() { ::close(fd); }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
};

}  // namespace

TEST_CASE("tcp md5: a listener holds a key for every address and every range that has one") {
    const auto keys = listener_keys(config({
        neighbor("a", "192.0.2.1", "one"),
        neighbor("b", "192.0.2.2", ""),
        neighbor("c", "198.51.100.0/24", "two"),
        neighbor("d", "2001:db8::1", "three"),
    }));
    REQUIRE(keys.has_value());
    CHECK(*keys == std::vector{key("192.0.2.1/32", "one"), key("198.51.100.0/24", "two"),
                               key("2001:db8::1/128", "three")});
}

TEST_CASE("tcp md5: one address behind two interfaces has one key") {
    auto first = neighbor("a", "fe80::1", "one");
    auto second = neighbor("b", "fe80::1", "two");
    first.interface = "eth0";
    second.interface = "eth1";
    const auto refused = listener_keys(config({first, second}));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() ==
          "neighbors a and b share the address fe80::1/128, for which the kernel has one TCP-MD5 "
          "key: give both the same password_file");
    second.password = "one";
    CHECK(listener_keys(config({first, second}))->size() == 1);
}

TEST_CASE("tcp md5: a neighbor without a password inside a range with one is refused") {
    const auto refused = listener_keys(config({
        neighbor("customers", "192.0.2.0/24", "one"),
        neighbor("plain", "192.0.2.7", ""),
    }));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().starts_with(
        "neighbor plain has no password, but 192.0.2.0/24 of neighbor customers has one"));
    // The other way round the longer prefix wins, and is the neighbor's own.
    CHECK(listener_keys(config({
                            neighbor("customers", "192.0.2.0/24", ""),
                            neighbor("signed", "192.0.2.7", "one"),
                        }))
              .has_value());
}

TEST_CASE("tcp md5: the kernel takes, replaces and removes keys of both families") {
    for (const auto& [family, where] :
         {std::pair{AF_INET, "192.0.2.0/24"}, {AF_INET, "0.0.0.0/0"}, {AF_INET6, "fe80::1/128"}}) {
        const Socket socket{family};
        CAPTURE(where);
        CHECK(daemon::install_md5_key(socket.fd, key(where, "one")).has_value());
        CHECK(daemon::install_md5_key(socket.fd, key(where, std::string(80, 'k'))).has_value());
        CHECK(daemon::install_md5_key(socket.fd, key(where, "")).has_value());
        CHECK(daemon::install_md5_key(socket.fd, key(where, "")).has_value());  // none is left
    }
}

TEST_CASE("tcp md5: what cannot be set is a sentence, and never silence") {
    const Socket socket{AF_INET};
    const auto wrong_family = daemon::install_md5_key(socket.fd, key("2001:db8::1/128", "one"));
    REQUIRE_FALSE(wrong_family.has_value());
    CHECK(wrong_family.error() ==
          "cannot set the TCP-MD5 key for 2001:db8::1/128: Invalid argument; no session is made "
          "without the key that was asked for");
    const auto too_long =
        daemon::install_md5_key(socket.fd, key("192.0.2.1/32", std::string(81, 'k')));
    REQUIRE_FALSE(too_long.has_value());
    CHECK(too_long.error() == "the TCP-MD5 key for 192.0.2.1/32 is longer than 80 octets");
}
