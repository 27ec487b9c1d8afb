#include "bgp/outbox.hpp"

#include <algorithm>
#include <utility>

namespace swerve::bgp {

void Outbox::push(MessageType type, Bytes message) {
    const bool waiting = std::ranges::any_of(messages_, [&](const Message& other) {
        return other.type == type && !other.begun && other.octets == message;
    });
    if (!waiting) messages_.push_back({type, std::move(message), false});
}

void Outbox::push_rest(Bytes rest) {
    if (!rest.empty()) messages_.push_front({std::nullopt, std::move(rest), true});
}

std::size_t Outbox::produce(std::vector<ByteView>& out) const {
    std::size_t size = 0;
    for (const Message& message : messages_) {
        out.emplace_back(message.octets);
        size += message.octets.size();
    }
    return size;
}

std::size_t Outbox::consumed(std::size_t count, PeerCounters& counters) {
    while (count > 0 && !messages_.empty()) {
        Message& front = messages_.front();
        if (count < front.octets.size()) {
            front.octets.erase(front.octets.begin(),
                               front.octets.begin() + static_cast<std::ptrdiff_t>(count));
            front.begun = true;
            return 0;
        }
        count -= front.octets.size();
        if (front.type) ++counters.sent[static_cast<std::size_t>(*front.type)];
        messages_.pop_front();
    }
    return count;
}

Bytes Outbox::rest() const { return begun() ? messages_.front().octets : Bytes{}; }

}  // namespace swerve::bgp
