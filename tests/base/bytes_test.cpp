#include "swerve/base/bytes.hpp"

#include <doctest/doctest.h>

#include <stdexcept>

#include "tests/support/hex.hpp"

namespace swerve {
namespace {

using test::hex;

TEST_CASE("reader: reads network byte order and moves on") {
    const Bytes data = hex("01 0203 04050607 08");
    Reader reader{data};
    CHECK(reader.remaining() == 8);
    CHECK(reader.u8() == 0x01);
    CHECK(reader.u16() == 0x0203);
    CHECK(reader.u32() == 0x04050607U);
    CHECK_FALSE(reader.empty());
    CHECK(reader.rest()[0] == 0x08);
    CHECK(reader.u8() == 0x08);
    CHECK(reader.empty());
}

TEST_CASE("reader: the last octet is enough, one fewer reads nothing and stays where it is") {
    const Bytes data = hex("01020304");
    CHECK(Reader{data}.u32());
    CHECK_FALSE(Reader{ByteView{data}.first(3)}.u32());
    CHECK(Reader{ByteView{data}.first(2)}.u16());
    CHECK_FALSE(Reader{ByteView{data}.first(1)}.u16());
    CHECK_FALSE(Reader{ByteView{}}.u8());
    Reader reader{ByteView{data}.first(3)};
    CHECK_FALSE(reader.u32());
    CHECK(reader.remaining() == 3);
    CHECK(reader.take(3));
    CHECK_FALSE(reader.take(1));
    CHECK(reader.take(0));
}

TEST_CASE("reader: the highest values keep all their bits") {
    const Bytes data = hex("ff*7");
    Reader reader{data};
    CHECK(reader.u8() == 0xff);
    CHECK(reader.u16() == 0xffff);
    CHECK(reader.u32() == 0xffffffffU);
}

TEST_CASE("writer: appends behind what is there and patches in place") {
    Bytes out = hex("aa");
    Writer writer{out};
    writer.u8(0x01);
    const std::size_t at = writer.position();
    writer.u16(0);
    writer.u32(0x04050607);
    writer.bytes(hex("08 09"));
    writer.patch_u16(at, 0x0203);
    CHECK(out == hex("aa 01 0203 04050607 0809"));
    writer.patch_u8(0, 0xbb);
    CHECK(out[0] == 0xbb);
    CHECK_THROWS_AS(writer.patch_u16(out.size() - 1, 0), std::out_of_range);
}

TEST_CASE("hex: pairs, spaces, repeats and comments; all else is refused") {
    CHECK(hex("0a 0B # a comment ff\n cd") == Bytes{0x0a, 0x0b, 0xcd});
    CHECK(hex("00*3 01") == Bytes{0, 0, 0, 1});
    CHECK(hex("").empty());
    for (const char* const bad : {"0", "0g", "0 1", "*3", "00*", "00*0", "00*4097"}) {
        CAPTURE(bad);
        CHECK_THROWS_AS(static_cast<void>(hex(bad)), std::invalid_argument);
    }
}

}  // namespace
}  // namespace swerve
