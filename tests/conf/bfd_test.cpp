// BFD: what is read, what is refused, what is printed, what a change of it does.

#include <sys/stat.h>

#include <chrono>

#include "swerve/conf/change.hpp"
#include "tests/conf/rig.hpp"

namespace swerve::conf {
namespace {

using namespace std::chrono_literals;

const std::string own = "address: 192.0.2.2, remote_as: 64496, local_address: 192.0.2.1";

Config with(const std::string& bfd, const std::string& groups = "") {
    return config_of(head + groups + "neighbors:\n  a: {" + own + bfd + "}\n");
}

TEST_CASE("bfd: an empty map switches it on, with the defaults") {
    CHECK_FALSE(with("").neighbors[0].bfd);
    CHECK_FALSE(with("").bfd_realtime);
    CHECK(with(", bfd: {}").neighbors[0].bfd == Bfd{});
    const Bfd bfd = *with(", bfd: {}").neighbors[0].bfd;
    CHECK(bfd.timing == bfd::Timing{.min_tx = 300ms, .min_rx = 300ms, .multiplier = 3});
    CHECK_FALSE(bfd.multihop);
    CHECK_FALSE(bfd.strict);
    CHECK_FALSE(bfd.authentication);
}

TEST_CASE("bfd: the interval is what is sent and what may come") {
    const Config config = with(", bfd: {interval: 50ms, multiplier: 5, multihop: 2, strict: true}",
                               "bfd: {realtime: true}\n");
    CHECK(config.bfd_realtime);
    const Bfd bfd = *config.neighbors[0].bfd;
    CHECK(bfd.timing == bfd::Timing{.min_tx = 50ms, .min_rx = 50ms, .multiplier = 5});
    CHECK(bfd.multihop == 2U);
    CHECK(bfd.strict);
    CHECK(config_of(print(config)) == config);
    CHECK(print(config).find("bfd:\n  realtime: true\n") != std::string::npos);
}

TEST_CASE("bfd: what a group says is completed key by key, and is nothing for a range") {
    const std::string groups =
        "bgp: {listen: [\"192.0.2.1:179\"]}\n"
        "groups:\n  g: {remote_as: 64496, local_address: 192.0.2.1, bfd: {interval: 50ms, "
        "strict: true}}\n";
    const Config config = config_of(head + groups +
                                    "neighbors:\n  a: {group: g, address: 192.0.2.2}\n"
                                    "  b: {group: g, address: 192.0.2.3, bfd: {multiplier: 4, "
                                    "strict: false}}\n"
                                    "  c: {group: g, range: 192.0.2.64/26}\n");
    REQUIRE(config.neighbors[0].bfd);
    CHECK(config.neighbors[0].bfd->timing.min_tx == 50ms);
    CHECK(config.neighbors[0].bfd->timing.multiplier == 3);
    CHECK(config.neighbors[0].bfd->strict);
    REQUIRE(config.neighbors[1].bfd);
    CHECK(config.neighbors[1].bfd->timing.min_rx == 50ms);
    CHECK(config.neighbors[1].bfd->timing.multiplier == 4);
    CHECK_FALSE(config.neighbors[1].bfd->strict);
    CHECK_FALSE(config.neighbors[2].bfd);
    CHECK(config_of(print(config)) == config);
}

TEST_CASE("bfd: 30 ms until a neighbor counts as gone, however they are reached") {
    const auto is_taken = [](const std::string& keys) {
        return faults_of(head + "neighbors:\n  a: {" + own + ", bfd: {" + keys + "}}\n").empty();
    };
    CHECK(is_taken("interval: 10ms"));
    CHECK_FALSE(is_taken("interval: 10ms, multiplier: 2"));
    CHECK(is_taken("interval: 15ms, multiplier: 2"));
    CHECK_FALSE(is_taken("interval: 14ms, multiplier: 2"));
    CHECK(is_taken("interval: 30ms, multiplier: 1"));
    CHECK_FALSE(is_taken("interval: 29ms, multiplier: 1"));
    CHECK(is_taken("multiplier: 1"));
}

TEST_CASE("bfd: one that is slower than the hold time is of no use, and that is said") {
    const auto warnings = [](const std::string& keys) { return joined(with(keys).warnings); };
    CHECK(warnings(", bfd: {}").empty());
    CHECK(warnings(", bfd: {interval: 2999ms}").empty());
    CHECK(warnings(", bfd: {interval: 3s}") ==
          "swerve.yaml:6:71: warning: neighbors.a.bfd: is of no use: 3 × 3s = 9s is not shorter "
          "than the hold time of 9s (hint: set a shorter interval or a smaller multiplier)\n");
    CHECK(warnings(", bfd: {interval: 3s}, hold_time: 10s").empty());
    CHECK(warnings(", bfd: {interval: 60s}, hold_time: 0s").empty());
}

TEST_CASE("bfd: warnings beyond the limit are counted, though nothing is promised") {
    std::string text = head + "neighbors:\n";
    for (std::size_t i = 0; i < max_diagnostics + 3; ++i) {
        const std::string address =
            "10.0." + std::to_string(i / 200) + "." + std::to_string(i % 200 + 1);
        text += "  n" + std::to_string(i) + ": {address: " + address +
                ", remote_as: 1, local_address: 192.0.2.1, bfd: {interval: 60s}}\n";
    }
    const Diagnostics warnings = config_of(text).warnings;
    REQUIRE(warnings.size() == max_diagnostics + 1);
    CHECK(warnings.back().to_string() == "swerve.yaml: warning: and 3 more");
}

/// A configuration whose neighbor proves itself by this key, in a file of this mode.
class Site {
public:
    explicit Site(const std::string& content, const std::string& keys = "", ::mode_t mode = 0600) {
        key_ = scratch_.write("a.key", content);
        REQUIRE(::chmod(key_.c_str(), mode) == 0);
        rewrite(keys.empty() ? "type: meticulous_keyed_sha1" : keys);
    }
    void rewrite(const std::string& keys) {
        file_ =
            scratch_.write("swerve.yaml", head + "neighbors:\n  a: {" + own + ", bfd: {auth: {" +
                                              keys + ", key_file: a.key}}}\n");
    }
    void write_key(const std::string& content) const { scratch_.write("a.key", content); }
    [[nodiscard]] auto loaded() const { return load(file_); }
    [[nodiscard]] const std::string& key() const { return key_; }
    /// What is wrong, without the places and the name of the file.
    [[nodiscard]] std::string refusal() const {
        const auto config = loaded();
        if (config) return {};
        REQUIRE(config.error().size() == 1);
        CHECK(config.error()[0].path == "neighbors.a.bfd.auth.key_file");
        const std::string& message = config.error()[0].message;
        return message.substr(message.find("' ") + 2);
    }

private:
    Scratch scratch_;
    std::string key_;
    std::string file_;
};

TEST_CASE("bfd: the key is one line of a file of its own, relative to the configuration") {
    const Site site{"s3cret word\n", "type: meticulous_keyed_sha1, key_id: 0"};
    const auto config = site.loaded();
    REQUIRE(config);
    const Bfd& bfd = *(*config)->neighbors[0].bfd;
    CHECK(bfd.key_file == site.key());
    CHECK(bfd.authentication ==
          bfd::Authentication{bfd::AuthType::meticulous_keyed_sha1, 0, "s3cret word"});
    const auto password = Site{"x", "type: simple_password"}.loaded();
    REQUIRE(password);
    CHECK((*password)->neighbors[0].bfd->authentication ==
          bfd::Authentication{bfd::AuthType::simple_password, 1, "x"});
}

TEST_CASE("bfd: 20 octets of a key, 16 of a password (RFC 5880 §4.2, §4.4)") {
    const std::string simple = "type: simple_password";
    CHECK(Site{std::string(20, 'x')}.refusal().empty());
    CHECK(Site{std::string(21, 'x')}.refusal() ==
          "holds 21 octets, more than the 20 of keyed SHA-1");
    CHECK(Site{std::string(16, 'x'), simple}.refusal().empty());
    CHECK(Site(std::string(17, 'x'), simple).refusal() ==
          "holds 17 octets, more than the 16 of a simple password");
    CHECK(Site{""}.refusal() == "holds nothing");
    CHECK(Site{"a\nb"}.refusal() == "holds an octet that is not printable ASCII");
    CHECK(Site("x", "", 0644).refusal() ==
          "is open to others: its mode is 0644, at most 0640 is fit for a secret");
}

TEST_CASE("bfd: what the key file holds is never printed, whatever is wrong with it") {
    const auto good = Site{"hunter2"}.loaded();
    REQUIRE(good);
    CHECK(print(**good).find("hunter2") == std::string::npos);
    CHECK(print(**good).find("      auth:\n        type: meticulous_keyed_sha1\n"
                             "        key_id: 1\n        key_file: ") != std::string::npos);
    for (const std::string content : {"hunter2 ", "hunter2\nhunter2", "hunter2hunter2hunter2"}) {
        const auto bad = Site{content}.loaded();
        REQUIRE_FALSE(bad);
        CHECK(joined(bad.error()).find("hunter2") == std::string::npos);
    }
}

TEST_CASE("bfd: another key in the same file is a change, and resets nothing") {
    Site site{"hunter2"};
    const auto before = site.loaded();
    site.write_key("hunter3");
    const auto after = site.loaded();
    REQUIRE((before && after));
    const auto change = compare(*before, *after);
    REQUIRE(change);
    CHECK((*change)->keys ==
          std::vector<ChangedKey>{{"neighbors.a.bfd.auth.key_file", "a key", "another key"}});
    CHECK((*change)->resets.empty());
    CHECK(compare(*after, *after).value()->empty());
}

TEST_CASE("bfd: switched on or off by a reload, it ends no session") {
    const auto off = load_text(head + "neighbors:\n  a: {" + own + "}\n", "swerve.yaml").value();
    const auto on =
        load_text(head + "neighbors:\n  a: {" + own + ", bfd: {}}\n", "swerve.yaml").value();
    const auto change = compare(off, on);
    REQUIRE(change);
    CHECK((*change)->keys.front() == ChangedKey{"neighbors.a.bfd.interval", "", "300ms"});
    CHECK((*change)->resets.empty());
    CHECK(compare(on, off).value()->resets.empty());
}

TEST_CASE("bfd: real-time priority alone is a change") {
    const auto plain = load_text(head + neighbors, "swerve.yaml").value();
    const auto realtime = load_text(head + neighbors + "bfd: {realtime: true}\n", "swerve.yaml");
    REQUIRE(realtime);
    CHECK_FALSE(*plain == **realtime);
    const auto change = compare(plain, *realtime);
    REQUIRE(change);
    CHECK((*change)->keys == std::vector<ChangedKey>{{"bfd.realtime", "false", "true"}});
    CHECK((*change)->resets.empty());
}

}  // namespace
}  // namespace swerve::conf
