#include <doctest/doctest.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "daemon/mrt_tap.hpp"
#include "daemon/operations/mrt_file.hpp"
#include "tests/support/hex.hpp"
#include "tests/support/temporary_directory.hpp"

using namespace swerve;
using daemon::MessageCutter;
using daemon::MrtRecord;
using daemon::MrtTap;

namespace {

/// An UPDATE with these path attributes and no IPv4 routes.
Bytes update(const Bytes& attributes = {}) {
    Bytes out(16, 0xff);
    Writer writer{out};
    writer.u16(static_cast<std::uint16_t>(23 + attributes.size()));
    writer.u8(2);
    writer.u16(0);
    writer.u16(static_cast<std::uint16_t>(attributes.size()));
    writer.bytes(attributes);
    return out;
}

Bytes message(std::uint8_t type, std::size_t body = 0) {
    Bytes out(16, 0xff);
    Writer writer{out};
    writer.u16(static_cast<std::uint16_t>(19 + body));
    writer.u8(type);
    out.resize(19 + body, type);
    return out;
}

Bytes joined(const std::vector<Bytes>& parts) {
    Bytes out;
    for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
    return out;
}

/// What a cutter makes of octets that come `step` at a time.
std::vector<Bytes> cut(const Bytes& octets, std::size_t step, bool from_start = true) {
    MessageCutter cutter{from_start};
    std::vector<Bytes> out;
    const ByteView all{octets};
    for (std::size_t at = 0; at < all.size(); at += step) {
        cutter.feed(all.subspan(at, std::min(step, all.size() - at)),
                    [&](ByteView one) { out.emplace_back(one.begin(), one.end()); });
    }
    return out;
}

bgp::Open open_with(bgp::Capabilities capabilities) {
    return {*Asn::from(64496), 90, *RouterId::parse("192.0.2.9"), std::move(capabilities)};
}

MrtRecord sample() {
    return {.target = {"", *Asn::from(64500), *Asn::from(70000)},
            .local = *Address::parse("192.0.2.1"),
            .remote = *Address::parse("192.0.2.254"),
            .at = WallTime{std::chrono::seconds{0x65536701} + std::chrono::microseconds{5}},
            .message = message(4)};
}

struct Tapped {
    std::vector<MrtRecord> records;
    MrtTap tap{{"/dump", *Asn::from(64500), *Asn::from(64496)},
               *Address::parse("192.0.2.1"),
               *Address::parse("192.0.2.254"),
               true,
               [this](MrtRecord record) { records.push_back(std::move(record)); }};

    void send(const Bytes& octets) {
        const ByteView view{octets};
        tap.sent({&view, 1}, view.size());
    }
};

std::string contents(const std::filesystem::path& path) {
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}

}  // namespace

TEST_CASE("mrt: a stream is cut into the same messages however it comes") {
    const std::vector<Bytes> parts{message(1, 10), message(4), message(2, 4077), message(4)};
    const Bytes all = joined(parts);
    for (const std::size_t step :
         {std::size_t{1}, std::size_t{18}, std::size_t{4096}, all.size()}) {
        CAPTURE(step);
        CHECK(cut(all, step) == parts);
    }
}

TEST_CASE("mrt: a tap that begins in the middle finds the next message") {
    const Bytes all = joined({message(2, 30), message(4), message(2, 5)});
    const Bytes late{all.begin() + 25, all.end()};
    for (const std::size_t step : {std::size_t{1}, late.size()}) {
        CHECK(cut(late, step, false) == std::vector{message(4), message(2, 5)});
    }
}

TEST_CASE("mrt: a length that cannot be is stepped over") {
    Bytes bad = message(4);
    bad[17] = 18;
    CHECK(cut(joined({message(4), bad, message(2, 5)}), 1) ==
          std::vector{message(4), message(2, 5)});
}

TEST_CASE("mrt: only what the kernel took of a write counts as sent") {
    Tapped tapped;
    const Bytes first = message(4);
    const Bytes second = message(2, 20);
    const std::array<ByteView, 2> views{ByteView{first}, ByteView{second}};
    tapped.tap.sent(views, first.size() + 5);
    CHECK(tapped.records.size() == 1);
    const ByteView rest = views[1].subspan(5);
    tapped.tap.sent({&rest, 1}, rest.size());
    REQUIRE(tapped.records.size() == 2);
    CHECK(tapped.records[1].message == second);
    CHECK(tapped.records[1].sent);
}

TEST_CASE("mrt: the OPENs of both sides say how the messages after them are read") {
    const bgp::Capabilities four{.four_octet_as = *Asn::from(64496)};
    const bgp::Capabilities paths{.four_octet_as = *Asn::from(64496),
                                  .add_path_send = {Family::ipv4},
                                  .add_path_receive = {Family::ipv4}};
    SUBCASE("both have four octets") {
        Tapped tapped;
        tapped.send(bgp::encode(open_with(four)));
        tapped.tap.received(bgp::encode(open_with(four)));
        tapped.tap.received(message(2, 4));
        CHECK(tapped.records.back().four_octet_as);
        CHECK_FALSE(tapped.records.back().add_path);
    }
    SUBCASE("one has two") {
        Tapped tapped;
        tapped.send(bgp::encode(open_with(four)));
        tapped.tap.received(bgp::encode(open_with({})));
        tapped.tap.received(message(2, 4));
        CHECK_FALSE(tapped.records.back().four_octet_as);
    }
    SUBCASE("several paths are received, never sent") {
        Tapped tapped;
        tapped.send(bgp::encode(open_with(paths)));
        tapped.tap.received(bgp::encode(open_with(paths)));
        tapped.tap.received(update());
        CHECK(tapped.records.back().add_path);
        tapped.send(update());
        CHECK_FALSE(tapped.records.back().add_path);
        // RFC 7911 §5: each family is agreed on by itself.
        tapped.tap.received(update({0x80, 15, 3, 0, 2, 1}));
        CHECK_FALSE(tapped.records.back().add_path);
    }
    SUBCASE("a session that was up before is told of instead") {
        Tapped tapped;
        tapped.tap.agreed(false, {Family::ipv6});
        tapped.tap.received(update());
        CHECK_FALSE(tapped.records.back().four_octet_as);
        CHECK_FALSE(tapped.records.back().add_path);
        tapped.tap.received(update({0x80, 15, 3, 0, 2, 1}));
        CHECK(tapped.records.back().add_path);
    }
}

TEST_CASE("mrt: a record has the octets of RFC 6396 §4.4.3 behind a time in microseconds") {
    CHECK(daemon::encode_mrt(sample()) ==
          test::hex("65536701 0011 0004 0000002b"  // time, BGP4MP_ET, MESSAGE_AS4, length
                    "00000005"                     // microseconds
                    "00011170 0000fbf4 0000 0001"  // peer AS, local AS, interface, IPv4
                    "c00002fe c0000201"            // peer, local
                    "ffffffffffffffffffffffffffffffff 0013 04"));
}

TEST_CASE("mrt: the subtype says who sent a message and how to read it") {
    const auto subtype = [](bool sent, bool four, bool add_path) {
        MrtRecord record = sample();
        record.sent = sent;
        record.four_octet_as = four;
        record.add_path = add_path;
        const Bytes octets = daemon::encode_mrt(record);
        return static_cast<int>(octets[7]);
    };
    CHECK(subtype(false, true, false) == 4);
    CHECK(subtype(true, true, false) == 7);
    CHECK(subtype(false, false, false) == 1);
    CHECK(subtype(true, false, false) == 6);
    CHECK(subtype(false, true, true) == 9);
    CHECK(subtype(false, false, true) == 8);
}

TEST_CASE("mrt: in a two-octet record a large AS is AS_TRANS, and IPv6 peers have 16 octets") {
    MrtRecord record = sample();
    record.four_octet_as = false;
    record.local = *Address::parse("2001:db8::1");
    record.remote = *Address::parse("2001:db8::2");
    CHECK(daemon::encode_mrt(record) ==
          test::hex("65536701 0011 0001 0000003f 00000005"
                    "5ba0 fbf4 0000 0002"
                    "20010db8000000000000000000000002 20010db8000000000000000000000001"
                    "ffffffffffffffffffffffffffffffff 0013 04"));
}

TEST_CASE("mrt: records are appended, and a file that was moved away begins anew") {
    const test::TemporaryDirectory directory;
    daemon::MrtFiles files;
    MrtRecord record = sample();
    record.target.file = directory.path() + "/a.mrt";
    const std::string one = [&] {
        CHECK_FALSE(files.append(record).has_value());
        return contents(record.target.file);
    }();
    CHECK(one.size() == 55);
    CHECK_FALSE(files.append(record).has_value());
    CHECK(contents(record.target.file) == one + one);
    std::filesystem::rename(record.target.file, directory.path() + "/b.mrt");
    CHECK_FALSE(files.append(record).has_value());
    CHECK(contents(record.target.file) == one);
}

TEST_CASE("mrt: a disk that fails is told once, and once when it works again") {
    const test::TemporaryDirectory directory;
    daemon::MrtFiles files;
    MrtRecord record = sample();
    record.target.file = directory.path() + "/later/a.mrt";
    CHECK(files.append(record) == "cannot open " + record.target.file +
                                      ": No such file or directory; messages are not dumped there "
                                      "until that works again");
    CHECK_FALSE(files.append(record).has_value());
    std::filesystem::create_directory(directory.path() + "/later");
    CHECK(files.append(record) == "messages are dumped to " + record.target.file + " again");
    CHECK_FALSE(files.append(record).has_value());
}

TEST_CASE("mrt: what cannot be written in time is dropped and counted, and main never waits") {
    boost::asio::io_context main;
    boost::asio::io_context operations;
    std::vector<std::uint64_t> dropped;
    std::vector<std::string> alarms;
    daemon::MrtQueue queue{main, operations,
                           [&](const MrtRecord& record) -> std::optional<std::string> {
                               dropped.push_back(record.dropped);
                               if (record.dropped > 0) return "some are missing";
                               return std::nullopt;
                           },
                           [&](std::string alarm) { alarms.push_back(std::move(alarm)); }};
    MrtRecord record = sample();
    record.message = message(2, 4000);
    const std::size_t fit = daemon::MrtQueue::max_octets / (record.message.size() + 256);
    for (std::size_t i = 0; i < fit + 3; ++i) queue.push(record);
    operations.run();
    CHECK(dropped.size() == fit);
    queue.push(record);  // main has not heard yet that there is room again
    main.run();
    queue.push(record);
    operations.restart();
    operations.run();
    CHECK(dropped.back() == 4);
    main.restart();
    main.run();
    CHECK(alarms == std::vector<std::string>{"some are missing"});
}
