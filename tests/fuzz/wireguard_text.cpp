// The text of userspace WireGuard means the same whole and octet by octet, and what is refused is
// refused in a few words.

#include "health/probes/wireguard_device.hpp"
#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

void wireguard_text(ByteView input) {
    using namespace health;
    const std::string text(input.begin(), input.end());
    WireguardTextReader whole;
    const bool wants_more = whole.take(text);
    const auto found = whole.result();
    demand(!wants_more || !found, "an answer that is whole wants no more");
    if (!found) demand(found.error().size() < 100, "an error is a sentence");

    WireguardTextReader pieces;
    for (std::size_t i = 0; i < text.size() && pieces.take(std::string_view{text}.substr(i, 1));)
        ++i;
    demand(pieces.result() == found, "octet by octet as whole");

    const auto key = parse_wireguard_key(text);
    if (key) demand(to_string(*key) == text, "a key is written as read");
}

}  // namespace swerve::fuzz
