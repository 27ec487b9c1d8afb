// However a stream is cut, the framer hands out the same messages and ends in the same error.

#include "swerve/bgp/framer.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

namespace {

/// Everything a framer made of a stream.
struct Outcome {
    std::vector<std::pair<bgp::MessageType, Bytes>> frames;
    std::optional<bgp::Notification> error;
    std::size_t left = 0;

    friend bool operator==(const Outcome&, const Outcome&) = default;
};

/// Feeds pieces of the sizes that `next_size(rest)` tells.
template <class NextSize>
Outcome cut_up(ByteView stream, std::size_t largest, const NextSize& next_size) {
    bgp::Framer framer{largest};
    Outcome out;
    while (!stream.empty() && !out.error) {
        const std::size_t size = std::clamp<std::size_t>(next_size(stream), 1, stream.size());
        framer.feed(stream.first(size));
        stream = stream.subspan(size);
        for (;;) {
            const auto frame = framer.next();
            if (!frame) {
                out.error = frame.error();
                break;
            }
            if (!frame->has_value()) break;
            const ByteView body = (*frame)->body;
            out.frames.emplace_back((*frame)->type, Bytes(body.begin(), body.end()));
        }
    }
    if (out.error) {
        framer.feed(stream);
        const auto again = framer.next();
        demand(!again && again.error() == *out.error, "a broken framer stays broken");
    } else {
        out.left = framer.buffered();
    }
    return out;
}

}  // namespace

void framer(ByteView input) {
    const Chosen chosen{input};
    const std::size_t largest = chosen.bit(0) ? bgp::max_extended_size : bgp::max_message_size;
    const ByteView stream = chosen.rest.first(std::min<std::size_t>(chosen.rest.size(), 65536));
    const Outcome whole = cut_up(stream, largest, [](ByteView rest) { return rest.size(); });
    const Outcome octets = cut_up(stream, largest, [](ByteView) { return std::size_t{1}; });
    // The stream itself says how it is cut, so that the fuzzer can learn it.
    const Outcome uneven =
        cut_up(stream, largest, [](ByteView rest) { return std::size_t{1} + rest[0] % 37; });
    demand(whole == octets, "whole and octet by octet are the same");
    demand(whole == uneven, "whole and in pieces are the same");

    std::size_t used = 0;
    for (const auto& [type, body] : whole.frames) {
        const std::size_t size = body.size() + bgp::header_size;
        const bool never_extended =
            type == bgp::MessageType::open || type == bgp::MessageType::keepalive;
        demand(size <= (never_extended ? bgp::max_message_size : largest), "no message too large");
        used += size;
    }
    if (whole.error) {
        demand(whole.error->code == 1, "an error of the header is code 1");
        demand(whole.error->data.size() <= 2, "no more than length or type goes back");
    } else {
        demand(used + whole.left == stream.size(), "every octet is in a message or held");
    }
}

}  // namespace swerve::fuzz
