// BFD of a neighbor, as far as one key alone can tell.

#include <algorithm>
#include <array>
#include <string_view>

#include "conf/draft.hpp"

namespace swerve::conf {

namespace {

/// RFC 5880 has five; a digest of MD5 keeps nobody out any more, and a number that does not grow
/// with every packet lets old ones count again.
std::optional<bfd::AuthType> read_type(const Section& auth) {
    static constexpr std::array<std::string_view, 3> refused{"keyed_md5", "meticulous_keyed_md5",
                                                             "keyed_sha1"};
    const YamlNode* given = auth.find("type");
    const bool is_refused = given != nullptr && given->kind == YamlNode::Kind::scalar &&
                            std::ranges::find(refused, given->text) != refused.end();
    if (is_refused) {
        auth.fault("type", quote(given->text) + " is not supported",
                   given->text == "keyed_sha1"
                       ? "use meticulous_keyed_sha1: without it an old packet counts again"
                       : "use meticulous_keyed_sha1: MD5 is broken");
        return std::nullopt;
    }
    const auto word = auth.get<std::string>("type");
    if (!word) return std::nullopt;
    return *word == "simple_password" ? bfd::AuthType::simple_password
                                      : bfd::AuthType::meticulous_keyed_sha1;
}

void read_authentication(const Section& auth, const std::string& directory, Bfd& out) {
    const auto type = read_type(auth);
    const bool is_password = type == bfd::AuthType::simple_password;
    const std::string_view purpose = !type         ? "BFD"
                                     : is_password ? "a simple password"
                                                   : "keyed SHA-1";
    bfd::Authentication authentication;
    authentication.type = type.value_or(authentication.type);
    authentication.key_id = auth.get<std::uint8_t>("key_id").value_or(authentication.key_id);
    auto secret = read_secret(auth, "key_file", directory, is_password ? 16 : 20, purpose);
    if (!secret) return;
    out.key_file = std::move(secret->file);
    authentication.secret = std::move(secret->text);
    out.authentication = std::move(authentication);
}

}  // namespace

std::optional<Bfd> read_bfd(const Section& of_neighbor, const std::string& directory) {
    if (!of_neighbor.has("bfd")) return std::nullopt;
    const Section section = of_neighbor.child("bfd");
    Bfd out;
    const Duration interval = section.get<Duration>("interval").value_or(out.timing.min_tx);
    out.timing.min_tx = interval;
    out.timing.min_rx = interval;
    out.timing.multiplier = section.get<std::uint8_t>("multiplier").value_or(out.timing.multiplier);
    out.multihop = section.get<unsigned>("multihop");
    out.strict = section.get<bool>("strict").value_or(false);
    if (section.has("auth")) read_authentication(section.child("auth"), directory, out);
    return out;
}

}  // namespace swerve::conf
