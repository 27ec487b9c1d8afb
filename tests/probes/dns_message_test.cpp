#include "health/probes/dns_message.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace swerve;
using namespace swerve::health::dns;

namespace {

/// What a server sends on `query`: header and question; records are appended by the tests.
Bytes reply(const Query& query, std::uint16_t flags, std::uint16_t answers) {
    Bytes out = encode(query);
    Writer to{out};
    to.patch_u16(2, flags);
    to.patch_u16(6, answers);
    return out;
}

void add(Bytes& message, const Bytes& owner, std::uint16_t type, const Bytes& data) {
    Writer to{message};
    to.bytes(owner);
    to.u16(type);
    to.u16(1);
    to.u32(300);
    to.u16(static_cast<std::uint16_t>(data.size()));
    to.bytes(data);
}

/// A pointer to the question's name.
const Bytes asked{0xc0, 12};

Query query_for(std::string_view name, std::string_view type) {
    Random random{7};
    return make_query(*name_from_text(name), *type_from_text(type), false, random);
}

/// What is wrong with an answer, with "foreign: " before it if it is passed over.
std::string fault(const Query& query, const Bytes& message) {
    const auto answer = decode_answer(query, message);
    if (answer) return "none";
    return (answer.error().foreign ? "foreign: " : "") + std::string{answer.error().what};
}

}  // namespace

TEST_CASE("dns message: names as text") {
    CHECK(name_from_text(".") == Bytes{0});
    CHECK(name_from_text("a.B_-*9.") == Bytes{1, 'a', 5, 'b', '_', '-', '*', '9', 0});
    CHECK(name_from_text("a") == Bytes{1, 'a', 0});
    for (const std::string_view none : {"", "..", ".a", "a..b", "a..", "a b", "a\\.b", "a\n"}) {
        CHECK_FALSE(name_from_text(none));
    }
    const std::string label(63, 'x');
    CHECK(name_from_text(label)->size() == 65);
    CHECK_FALSE(name_from_text(label + "x"));
    const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'x');
    CHECK(name_from_text(longest)->size() == 255);
    CHECK_FALSE(name_from_text(longest + "x"));
}

TEST_CASE("dns message: types and response codes as text") {
    CHECK(type_from_text("aaaa") == type_aaaa);
    CHECK(type_from_text("SOA") == type_soa);
    CHECK(type_from_text("TYPE65535") == 65535);
    for (const std::string_view none : {"", "B", "TYPE", "TYPE0", "TYPE65536", "TYPE1x"}) {
        CHECK_FALSE(type_from_text(none));
    }
    CHECK(rcode_from_text("nxdomain") == 3);
    CHECK_FALSE(rcode_from_text("OK"));
    CHECK(rcode_text(5) == "REFUSED");
    CHECK(rcode_text(11) == "RCODE11");
}

TEST_CASE("dns message: a query, with random id and case") {
    Random random{1};
    const Bytes name = *name_from_text("www.example");
    const Query query = make_query(name, type_a, false, random);
    Bytes octets = encode(query);
    const Bytes expected{
        0, 0,   0,   0,   0, 1,   0,   0,   0,   0,   0,   0,  // flags 0: RD is off
        3, 'w', 'w', 'w', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1};
    REQUIRE(octets.size() == expected.size());
    CHECK((octets[0] << 8U | octets[1]) == query.id);
    octets[0] = octets[1] = 0;
    std::ranges::transform(octets, octets.begin(), [](std::uint8_t octet) {
        return octet >= 'A' && octet <= 'Z' ? static_cast<std::uint8_t>(octet + 32) : octet;
    });
    CHECK(octets == expected);
    CHECK(query.name != name);
    CHECK(make_query(name, type_a, false, random).name != query.name);
    CHECK(make_query(name, type_a, false, random).id != query.id);
    CHECK(encode(make_query(name, type_a, true, random))[2] == 1);
}

TEST_CASE("dns message: addresses, behind CNAMEs too, and nobody else's") {
    const Query query = query_for("www.example", "A");
    Bytes message = reply(query, 0x8400, 5);
    // www.example CNAME in.example; in.example A 192.0.2.1 and .2; other.example A; AAAA.
    add(message, asked, type_cname, {2, 'i', 'n', 0xc0, 16});
    const Bytes target{2, 'I', 'n', 0xc0, 16};
    add(message, target, type_a, {192, 0, 2, 1});
    add(message, target, type_a, {192, 0, 2, 2});
    add(message, {5, 'o', 't', 'h', 'e', 'r', 0xc0, 16}, type_a, {192, 0, 2, 3});
    add(message, target, type_aaaa, Bytes(16, 1));
    const auto answer = decode_answer(query, message);
    REQUIRE(answer);
    CHECK(answer->rcode == 0);
    CHECK(answer->authoritative);
    CHECK_FALSE(answer->truncated);
    CHECK(answer->records == 2);
    CHECK(answer->addresses ==
          std::vector{*Address::parse("192.0.2.1"), *Address::parse("192.0.2.2")});
    CHECK_FALSE(answer->soa_serial);
    // Cut anywhere behind the question, it cannot be read; cut within, it is none of ours.
    for (std::size_t size = 0; size < message.size(); ++size) {
        const auto cut = decode_answer(query, ByteView{message}.first(size));
        REQUIRE_FALSE(cut);
        CHECK(cut.error().foreign == (size < 12 + query.name.size() + 4));
    }
    // What stands behind the answers is not looked at.
    message.push_back(0xff);
    CHECK(decode_answer(query, message) == answer);
}

TEST_CASE("dns message: an SOA's serial") {
    const Query query = query_for("example", "SOA");
    Bytes data{2, 'n', 's', 0xc0, 12, 4, 'm', 'a', 'i', 'l', 0xc0, 12, 0x78, 0xc3, 0xd2, 1};
    data.resize(data.size() + 16);
    Bytes message = reply(query, 0x8400, 1);
    add(message, asked, type_soa, data);
    CHECK(decode_answer(query, message)->soa_serial == 0x78c3d201);
    data.push_back(0);
    message = reply(query, 0x8400, 1);
    add(message, asked, type_soa, data);
    CHECK(fault(query, message) == "an SOA of a wrong length");
}

TEST_CASE("dns message: serials are compared in a circle") {
    CHECK(serial_at_least(5, 5));
    CHECK(serial_at_least(6, 5));
    CHECK_FALSE(serial_at_least(4, 5));
    CHECK(serial_at_least(1, 0xffffffff));
    CHECK_FALSE(serial_at_least(0xffffffff, 1));
    CHECK(serial_at_least(0x80000004, 5));
    CHECK_FALSE(serial_at_least(0x80000005, 5));
}

TEST_CASE("dns message: what is no answer to the query is passed over") {
    const Query query = query_for("example", "A");
    const Bytes good = reply(query, 0x8400, 0);
    CHECK(fault(query, good) == "none");
    const auto changed = [&](std::size_t at, std::uint8_t bits) {
        Bytes out = good;
        out.at(at) ^= bits;
        return fault(query, out);
    };
    CHECK(fault(query, {}) == "foreign: it is too short");
    CHECK(changed(1, 1) == "foreign: its id is another");
    CHECK(changed(2, 0x80) == "foreign: it is a question itself");
    CHECK(changed(2, 0x28) == "foreign: it is no answer to a query");
    CHECK(changed(5, 1) == "foreign: it does not repeat the question");
    CHECK(changed(5, 2) == "foreign: it does not repeat the question");
    CHECK(changed(13, 0x20) == "foreign: it does not keep the case of the letters in the question");
    CHECK(changed(13, 1) == "foreign: its question is another");
    CHECK(changed(good.size() - 3, 2) == "foreign: its question is another");
    CHECK(changed(good.size() - 1, 2) == "foreign: its question is another");
}

TEST_CASE("dns message: pointers that lead in a circle, ahead, or through a hundred others") {
    const Query query = query_for("example", "A");
    const auto with_owner = [&](const Bytes& owner) {
        Bytes message = reply(query, 0x8400, 1);
        add(message, owner, type_a, {192, 0, 2, 1});
        return fault(query, message);
    };
    const auto own = static_cast<std::uint8_t>(12 + query.name.size() + 4);
    CHECK(with_owner({0xc0, 12}) == "none");
    CHECK(with_owner({0xc0, own}) == "the name of a record");
    CHECK(with_owner({1, 'a', 0xc0, own}) == "the name of a record");
    CHECK(with_owner({0xc0, static_cast<std::uint8_t>(own + 2)}) == "the name of a record");
    CHECK(with_owner({0xff, 0xff}) == "the name of a record");
    CHECK(with_owner({0x40, 0}) == "the name of a record");
    CHECK(with_owner({0x80, 0}) == "the name of a record");

    // A chain of pointers in the data of a record before, each to the one before it: 127 in all,
    // and one more.
    for (const int pointers : {126, 127}) {
        Bytes message = reply(query, 0x8400, 2);
        Bytes chain{0};
        const std::size_t begin = message.size() + 12;
        std::size_t before = begin;
        for (int i = 0; i < pointers; ++i) {
            const std::size_t here = begin + chain.size();
            chain.push_back(static_cast<std::uint8_t>(0xc0U | before >> 8U));
            chain.push_back(static_cast<std::uint8_t>(before & 0xffU));
            before = here;
        }
        add(message, asked, 16, chain);
        add(message,
            {1, 'a', static_cast<std::uint8_t>(0xc0U | before >> 8U),
             static_cast<std::uint8_t>(before & 0xffU)},
            type_a, {192, 0, 2, 1});
        CHECK(fault(query, message) == (pointers == 126 ? "none" : "the name of a record"));
    }
    // A name that grows with every label it points back to ends at 255 octets.
    Bytes grown = reply(query, 0x8400, 2);
    const std::size_t begin = grown.size() + 12;
    Bytes labels;
    for (int i = 0; i < 4; ++i) {
        labels.push_back(63);
        labels.insert(labels.end(), 63, 'x');
    }
    labels.push_back(0);
    add(grown, asked, 16, labels);
    add(grown, {0xc0, static_cast<std::uint8_t>(begin)}, type_a, {192, 0, 2, 1});
    CHECK(fault(query, grown) == "the name of a record");
}

TEST_CASE("dns message: records that lie about their length") {
    const Query query = query_for("example", "AAAA");
    Bytes message = reply(query, 0x8400, 1);
    add(message, asked, type_aaaa, {192, 0, 2, 1});
    CHECK(fault(query, message) == "an address of a wrong length");
    message.back() = 0;
    message.pop_back();
    CHECK(fault(query, message) == "a record longer than the message");
    message = reply(query, 0x8400, 0xffff);
    CHECK(fault(query, message) == "the name of a record");
    message = reply(query, 0x8400, 1);
    add(message, asked, type_cname, {1, 'a', 0, 0});
    CHECK(fault(query, message) == "where a CNAME leads");
    // Of what is cut nothing is read.
    message = reply(query, 0x8600, 9);
    CHECK(decode_answer(query, message)->truncated);
}
