// A property under the sanitizers: whatever octets arrive, in whatever pieces, framer and decoders
// answer with a value or a NOTIFICATION and what they answer is consistent.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "bgp/route_refresh.hpp"
#include "swerve/base/random.hpp"
#include "swerve/bgp/framer.hpp"
#include "swerve/bgp/update.hpp"
#include "tests/support/hex.hpp"

namespace swerve::bgp {
namespace {

using test::bgp_message;
using test::hex;
using test::update_body;

const std::vector<Bytes>& valid_messages() {
    static const std::vector<Bytes> all{
        bgp_message(1, hex("04 5ba0 0009 c0000201 16 02 14 0104 0001 00 01 0104 0002 00 01 0200"
                           "4104 00011170")),
        bgp_message(1, hex("04 fbf0 005a c0000201 ff ff 0017 02 0014 0104 0001 00 01"
                           "0104 0002 00 01 0200 4104 0000fbf0")),
        encode_keepalive(),
        encode(cease(subcode::administrative_shutdown, "maintenance at fra1")),
        encode_route_refresh(Family::ipv6),
        encode_end_of_rib(Family::ipv4),
        encode_end_of_rib(Family::ipv6),
        bgp_message(2, update_body("18 c63365",
                                   "400101 00 400206 0201 0000fbf0 400304 c0000201"
                                   "800404 00000064 400504 00000064 400600"
                                   "c00708 0000fbf0 c0000201 c00808 fbf00064 ffff0000"
                                   "c0200c 0000fbf4 00000001 00000002",
                                   "18 c63364 20 cb007101 00")),
        bgp_message(2, update_body("",
                                   "800e 1a 0002 01 10 20010db8 00*11 01 00 20 20010db8"
                                   "800f 08 0002 01 20 20010db9 400101 02"
                                   "500200060201 0000fbf0",
                                   "")),
        bgp_message(2, update_body("",
                                   "400101 00 400208 0203 fbf4 5ba0 5ba0 400304 c0000201"
                                   "c00706 5ba0 c0000201 c0110a 0202 00011170 00011171"
                                   "c01208 00011170 c0000201",
                                   "18 c63364")),
        bgp_message(2, update_body("",
                                   "800e 2a 0002 01 20 00*16 fe80 00*13 02 00 20 20010db8"
                                   "400101 00 400200 c01008 00*8 c01914 00*20 c02304 0000fbf0"
                                   "800904 c0000201 800a04 c0000201 c063 02 abcd",
                                   "")),
    };
    return all;
}

/// Changes a message in one of the ways that wires, bugs and enemies do.
void mutate(Random& random, Bytes& message) {
    const auto at = static_cast<std::ptrdiff_t>(random.below(message.size()));
    const auto octet = static_cast<std::uint8_t>(random.next());
    switch (random.below(6)) {
        case 0:
            message[static_cast<std::size_t>(at)] = octet;
            break;
        case 1: {
            auto& changed = message[static_cast<std::size_t>(at)];
            changed = static_cast<std::uint8_t>(changed ^ (1U << random.below(8)));
            break;
        }
        case 2:
            message.insert(message.begin() + at, octet);
            break;
        case 3:
            if (message.size() > 1) message.erase(message.begin() + at);
            break;
        case 4:
            message.resize(static_cast<std::size_t>(at) + 1);
            break;
        default: {
            // Octets that mean something as a length, a flag or a type.
            static constexpr std::array<std::uint8_t, 9> telling{0, 1, 3, 4, 14, 15, 16, 128, 255};
            message[static_cast<std::size_t>(at)] = telling[random.below(telling.size())];
        }
    }
}

/// Mostly the header is made right again, so that the body reaches its decoder.
Bytes mutant(Random& random) {
    const auto& valid = valid_messages();
    Bytes message = valid[random.below(valid.size())];
    const std::uint8_t type = message[18];
    if (random.below(8) == 0) {
        for (std::uint64_t i = 1 + random.below(4); i > 0; --i) mutate(random, message);
        return message;
    }
    Bytes body(message.begin() + 19, message.end());
    for (std::uint64_t i = 1 + random.below(6); i > 0 && !body.empty(); --i) mutate(random, body);
    return bgp_message(type, body);
}

void check_update(ByteView body, const UpdateContext& context) {
    const auto update = decode_update(body, context);
    if (!update) {
        REQUIRE(update.error().code == 3);
        REQUIRE(update.error().data.size() <= body.size());
        return;
    }
    REQUIRE(update->consequence < Consequence::reset_session);
    REQUIRE((update->consequence == Consequence::none) == update->fault.empty());
    REQUIRE((update->attributes != nullptr) == !update->reach.empty());
    if (update->consequence == Consequence::treat_as_withdraw) REQUIRE(update->reach.empty());
    std::size_t count = update->withdrawn.size();
    REQUIRE((update->withdrawn_path_ids.empty() || update->withdrawn_path_ids.size() == count));
    for (const Reach& reach : update->reach) {
        REQUIRE_FALSE(reach.prefixes.empty());
        REQUIRE((reach.path_ids.empty() || reach.path_ids.size() == reach.prefixes.size()));
        count += reach.prefixes.size();
    }
    REQUIRE(count <= body.size());
    if (update->end_of_rib) REQUIRE(count == 0);
    if (update->attributes) {
        Bytes again;
        encode_attributes(*update->attributes, std::nullopt, context.attributes, again);
        REQUIRE(again.size() <= 2 * body.size() + 16);
    }
}

void check_frame(const Frame& frame) {
    switch (frame.type) {
        case MessageType::open: {
            const auto open = decode_open(frame.body);
            if (!open) {
                REQUIRE(open.error().code == 2);
            } else {
                REQUIRE((open->hold_time_s == 0 || open->hold_time_s >= 3));
                Open known = *open;
                known.capabilities.unknown.clear();
                const auto again = decode_open(ByteView{encode(known)}.subspan(header_size));
                REQUIRE(again);
                REQUIRE(again->as == open->as);
            }
            break;
        }
        case MessageType::update:
            for (const bool four_octet_as : {false, true}) {
                for (const bool internal : {false, true}) {
                    const AttributeContext peer{four_octet_as, internal};
                    check_update(frame.body, {peer, {Family::ipv4, Family::ipv6}});
                    check_update(frame.body, {peer, {Family::ipv6}});
                    check_update(
                        frame.body,
                        {peer, {Family::ipv4, Family::ipv6}, {Family::ipv4, Family::ipv6}, true});
                }
            }
            break;
        case MessageType::notification: {
            const Notification notification = decode_notification(frame.body);
            REQUIRE_FALSE(describe(notification).empty());
            REQUIRE(encode(notification).size() == frame.body.size() + header_size);
            break;
        }
        case MessageType::keepalive:
            REQUIRE(frame.body.empty());
            break;
        case MessageType::route_refresh:
            if (const auto read = decode_route_refresh(frame.body, true); read && *read) {
                REQUIRE(
                    std::ranges::equal(ByteView{encode(**read)}.subspan(header_size), frame.body));
            }
            break;
    }
}

TEST_CASE("mutation: the messages it starts from are valid") {
    for (const Bytes& message : valid_messages()) {
        Framer framer;
        framer.feed(message);
        const auto frame = framer.next();
        REQUIRE(frame);
        REQUIRE(frame->has_value());
        check_frame(**frame);
    }
}

TEST_CASE("mutation: no message breaks framer or decoders, however it is cut") {
    for (std::uint64_t seed = 0; seed < 20000; ++seed) {
        CAPTURE(seed);
        Random random{seed};
        Bytes stream;
        for (std::uint64_t i = 1 + random.below(3); i > 0; --i) {
            const Bytes message = mutant(random);
            stream.insert(stream.end(), message.begin(), message.end());
        }
        Framer framer;
        bool broken = false;
        for (std::size_t at = 0; at < stream.size();) {
            const std::size_t chunk =
                std::min<std::size_t>(stream.size() - at, 1 + random.below(stream.size()));
            framer.feed(ByteView{stream}.subspan(at, chunk));
            at += chunk;
            while (true) {
                const auto frame = framer.next();
                REQUIRE((frame || frame.error().code == 1));
                REQUIRE_FALSE((broken && frame));
                broken = !frame;
                if (broken || !frame->has_value()) break;
                check_frame(**frame);
            }
        }
    }
}

}  // namespace
}  // namespace swerve::bgp
