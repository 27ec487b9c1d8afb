#pragma once
// What is fuzzed: one function for each kind of input, the same under libFuzzer and in the replay
// of the corpus. Each takes any octets, feeds them to a public decoder and ends the process when an
// answer contradicts itself.

#include <string_view>

#include "swerve/base/bytes.hpp"

namespace swerve::fuzz {

void framer(ByteView input);
void open(ByteView input);
void capability(ByteView input);
void update(ByteView input);
void notification(ByteView input);
void route_refresh(ByteView input);
void readyz(ByteView input);
void json_answer(ByteView input);
void metrics_page(ByteView input);
void rabbitmq(ByteView input);
void etcd(ByteView input);
void ceph(ByteView input);
void dns_message(ByteView input);
void echo_message(ByteView input);
void pressure(ByteView input);
void resp(ByteView input);
void redis_replication(ByteView input);
void grpc_call(ByteView input);
void grpc_health(ByteView input);
void wireguard_netlink(ByteView input);
void wireguard_text(ByteView input);
void postgres_request(ByteView input);
void postgres_reply(ByteView input);
void bfd_packet(ByteView input);
void bfd_datagram(ByteView input);

/// Says on standard error what does not hold, and aborts.
void demand(bool holds, std::string_view what);

/// The first octet, which chooses the context, and the octets behind it; 0 where there is none.
struct Chosen {
    std::uint8_t choice;
    ByteView rest;

    explicit Chosen(ByteView input)
        : choice(input.empty() ? std::uint8_t{0} : input[0]),
          rest(input.subspan(input.empty() ? 0 : 1)) {}

    [[nodiscard]] bool bit(unsigned number) const { return (choice >> number & 1U) != 0; }
};

}  // namespace swerve::fuzz
