#include <doctest/doctest.h>

#include <sys/stat.h>

#include "swerve/conf/change.hpp"
#include "tests/conf/rig.hpp"

namespace swerve::conf {
namespace {

/// A configuration whose neighbor has a password file with this content and mode.
class Site {
public:
    explicit Site(const std::string& content, ::mode_t mode = 0600,
                  const std::string& named = "a.key") {
        key_ = scratch_.write("a.key", content);
        REQUIRE(::chmod(key_.c_str(), mode) == 0);
        file_ = scratch_.write("swerve.yaml",
                               head + "neighbors:\n  a: {address: 192.0.2.2, remote_as: 64496, " +
                                   "password_file: " + named + "}\n");
    }
    [[nodiscard]] auto loaded() const { return load(file_); }
    [[nodiscard]] const std::string& key() const { return key_; }
    void write(const std::string& content) const { scratch_.write("a.key", content); }
    /// What is wrong, without the places and the name of the file.
    [[nodiscard]] std::string refusal() const {
        const auto config = loaded();
        if (config) return {};
        REQUIRE(config.error().size() == 1);
        const Diagnostic& fault = config.error()[0];
        CHECK(fault.path == "neighbors.a.password_file");
        const std::string begin = "'" + key_ + "' ";
        CHECK(fault.message.starts_with(begin.substr(0, 50)));
        const auto at = fault.message.find("' ");
        return fault.message.substr(at + 2);
    }

private:
    Scratch scratch_;
    std::string key_;
    std::string file_;
};

TEST_CASE("password_file: one line, relative to the configuration, its end left out") {
    for (const std::string content : {"s3cret word", "s3cret word\n", "s3cret word\r\n"}) {
        const Site site{content};
        const auto config = site.loaded();
        REQUIRE(config);
        CHECK((*config)->neighbors[0].password == "s3cret word");
        CHECK((*config)->neighbors[0].password_file == site.key());
    }
}

TEST_CASE("password_file: 1 to 80 printable octets (RFC 2385 §4.5), nothing that nobody sees") {
    CHECK(Site{std::string(80, 'x')}.refusal().empty());
    CHECK(Site{std::string(81, 'x')}.refusal() == "holds 81 octets, more than the 80 of TCP-MD5");
    CHECK(Site{"x"}.refusal().empty());
    CHECK(Site{""}.refusal() == "holds nothing");
    CHECK(Site{"\n"}.refusal() == "holds nothing");
    for (const std::string content : {"a\nb", "a\n\n", "a\tb", "\xc3\xa4", "a\x7f"}) {
        CHECK(Site{content}.refusal() == "holds an octet that is not printable ASCII");
    }
    CHECK(Site{std::string{"a\0b", 3}}.refusal() == "holds an octet that is not printable ASCII");
    for (const std::string content : {" a", "a ", "a \n"}) {
        CHECK(Site{content}.refusal() == "begins or ends with a blank, which nobody would see");
    }
    CHECK(Site{std::string(4097, 'x')}.refusal() == "is larger than 4096 octets");
}

TEST_CASE("password_file: open to its owner, and to its group for reading, to nobody else") {
    for (const ::mode_t mode : {0400U, 0600U, 0640U, 0440U}) {
        CHECK(Site("key", mode).refusal().empty());
    }
    CHECK(Site("key", 0644).refusal() ==
          "is open to others: its mode is 0644, at most 0640 is fit for a secret");
    for (const ::mode_t mode : {0660U, 0602U, 0604U, 0601U, 0666U}) {
        CHECK(Site("key", mode).refusal().starts_with("is open to others"));
    }
}

TEST_CASE("password_file: what it holds is never printed, whatever is wrong with it") {
    const auto good = Site{"hunter2"}.loaded();
    REQUIRE(good);
    CHECK(print(**good).find("hunter2") == std::string::npos);
    for (const std::string content : {"hunter2 ", "hunter2\nhunter2", "hunter2\t"}) {
        const auto bad = Site{content}.loaded();
        REQUIRE_FALSE(bad);
        CHECK(joined(bad.error()).find("hunter2") == std::string::npos);
    }
}

TEST_CASE("password_file: another password in the same file is a change, and resets nothing") {
    const Site site{"hunter2"};
    const auto before = site.loaded();
    site.write("hunter3");
    const auto after = site.loaded();
    REQUIRE((before && after));
    CHECK_FALSE(**before == **after);
    const auto change = compare(*before, *after);
    REQUIRE(change);
    CHECK((*change)->keys ==
          std::vector<ChangedKey>{{"neighbors.a.password_file", "a password", "another password"}});
    CHECK((*change)->resets.empty());
    CHECK(compare(*before, *before).value()->empty());
}

}  // namespace
}  // namespace swerve::conf
