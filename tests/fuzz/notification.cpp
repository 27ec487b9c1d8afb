// A NOTIFICATION is written as it was read, and what is shown of it is safe for a terminal.

#include "swerve/bgp/notification.hpp"

#include <algorithm>

#include "swerve/base/escape.hpp"
#include "swerve/bgp/framer.hpp"
#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

namespace {

using namespace bgp;

void check_shown(const std::string& text) {
    demand(!text.empty(), "there is something to show");
    // No octet of a message makes more than the four characters of \xNN, once outside and once
    // inside a Hard Reset.
    demand(text.size() <= 4096, "what is shown is short");
    demand(text == escape(text, text.size()), "what is shown is safe");
}

/// Our own words: what is cut off is whole characters, and the rest arrives.
void check_own_words(ByteView words) {
    const std::string text(words.begin(), words.end());
    const Notification ours = cease(subcode::administrative_reset, text);
    demand(ours.data.size() <= 256, "RFC 9003 allows 255 octets");
    const auto shown = shutdown_communication(ours);
    demand(shown.has_value() == !text.empty(), "a text is sent where there is one");
    if (!shown) return;
    demand(*shown == escape(text.substr(0, ours.data.size() - 1)), "the words arrive");
    if (text.size() <= 255)
        demand(ours.data.size() == text.size() + 1, "a short text arrives whole");
}

}  // namespace

void notification(ByteView input) {
    const Notification read = decode_notification(input);
    if (input.size() >= 2) {
        const Bytes message = encode(read);
        const ByteView body = ByteView{message}.subspan(header_size);
        const ByteView expected =
            input.first(std::min(input.size(), max_message_size - header_size));
        demand(std::ranges::equal(body, expected), "a NOTIFICATION is written as it was read");
        check_own_words(input.subspan(2));
    }
    check_shown(describe(read));
    if (const auto words = shutdown_communication(read)) check_shown(*words);
}

}  // namespace swerve::fuzz
