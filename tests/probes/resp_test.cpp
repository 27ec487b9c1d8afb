#include <doctest/doctest.h>

#include "health/probes/redis_replication.hpp"
#include "health/probes/resp.hpp"

using namespace swerve;
using namespace swerve::health;

namespace {

/// A value as it was written, so that a test can name it in a line.
std::string shown(const RespValue& value) {
    switch (value.kind) {
        case RespValue::Kind::text:
            return "'" + value.text + "'";
        case RespValue::Kind::error:
            return "-" + value.text;
        case RespValue::Kind::integer:
            return std::to_string(value.integer);
        case RespValue::Kind::null:
            return "null";
        case RespValue::Kind::array:
            break;
    }
    std::string out = "[";
    for (const RespValue& item : value.items) out += (out.size() > 1 ? "," : "") + shown(item);
    return out + "]";
}

std::string shown(const Result<std::optional<RespValue>, std::string>& read) {
    if (!read) return "fault: " + read.error();
    return *read ? shown(**read) : "more";
}

/// What is made of it, whole, octet by octet, and with foreign octets behind, which must not
/// matter.
std::string read(std::string_view octets) {
    RespReader whole;
    std::string out = shown(whole.take(octets));
    RespReader dripping;
    std::string last = "more";
    for (const char octet : octets) {
        last = shown(dripping.take({&octet, 1}));
        if (last != "more") break;
    }
    CHECK(last == out);
    if (out == "more" || out.starts_with("fault")) return out;
    CHECK_FALSE(whole.has_rest());
    RespReader more;
    CHECK(shown(more.take(std::string{octets} + "+x\r\n")) == out);
    CHECK(more.has_rest());
    CHECK(shown(more.take("")) == "'x'");
    CHECK_FALSE(more.has_rest());
    return out;
}

std::string repeated(std::string_view text, std::size_t times) {
    std::string out;
    for (std::size_t i = 0; i < times; ++i) out += text;
    return out;
}

}  // namespace

TEST_CASE("resp: answers of each kind") {
    CHECK(read("+PONG\r\n") == "'PONG'");
    CHECK(read("+\r\n") == "''");
    CHECK(read("-NOAUTH Authentication required.\r\n") == "-NOAUTH Authentication required.");
    CHECK(read(":157\r\n") == "157");
    CHECK(read(":-1\r\n") == "-1");
    CHECK(read("$5\r\nslave\r\n") == "'slave'");
    CHECK(read("$0\r\n\r\n") == "''");
    CHECK(read("$4\r\na\r\nb\r\n") == "'a\r\nb'");
    CHECK(read("$-1\r\n") == "null");
    CHECK(read("*-1\r\n") == "null");
    CHECK(read("*0\r\n") == "[]");
    CHECK(read("*3\r\n$6\r\nmaster\r\n:157\r\n*0\r\n") == "['master',157,[]]");
    CHECK(read("*2\r\n*1\r\n*1\r\n:1\r\n:2\r\n") == "[[[1]],2]");
}

TEST_CASE("resp: what has not ended") {
    for (const std::string_view text :
         {"", "+", "+PONG", "+PONG\r", "$", "$5\r\nslav", "$5\r\nslave\r", "*2\r\n:1\r\n", "*1"}) {
        CHECK(read(text) == "more");
    }
}

TEST_CASE("resp: what is none") {
    for (const std::string_view text :
         {"HTTP/1.1 400 Bad Request\r\n", "\r\n", "\xff", ":\r\n", ":1x\r\n", "$-2\r\n", "$x\r\n",
          "*-2\r\n", "*\r\n", ":99999999999999999999\r\n", "$99999999999999999999\r\n"}) {
        CHECK(read(text) == "fault: no RESP");
    }
    CHECK(read(std::string("\0\0\0", 3)) == "fault: no RESP");
    CHECK(read("$1\r\nab\r\n") == "fault: a text without its end");
}

TEST_CASE("resp: limits, and one below") {
    CHECK(read("$65536\r\n") == "more");
    CHECK(read("$65537\r\n") == "fault: a text of 65537 octets");
    CHECK(read("*2048\r\n") == "more");
    CHECK(read("*2049\r\n") == "fault: an array of 2049 values");
    CHECK(read(repeated("*1\r\n", 4) + ":1\r\n") == "[[[[1]]]]");
    CHECK(read(repeated("*1\r\n", 5)) == "fault: arrays nested deeper than 4");
    CHECK(read("*2047\r\n" + repeated(":1\r\n", 2047)).starts_with("[1,1,"));
    CHECK(read("*2048\r\n" + repeated(":1\r\n", 2048)) == "fault: more than 2048 values");
    CHECK(read("+" + std::string(1023, 'x') + "\r\n").starts_with("'xxx"));
    CHECK(read("+" + std::string(1025, 'x')) == "fault: a line longer than 1 KiB");
    RespReader reader;
    const std::string length = "$65528\r\n";
    CHECK(shown(reader.take(length + std::string(65536 - length.size(), 'x'))) == "more");
    CHECK(shown(reader.take("\r\n")) == "fault: more than 64 KiB");
}

TEST_CASE("resp: a command is an array of texts") {
    const std::vector<std::string> words{"AUTH", "", "a\r\nb"};
    CHECK(resp_command(words) == "*3\r\n$4\r\nAUTH\r\n$0\r\n\r\n$4\r\na\r\nb\r\n");
}

TEST_CASE("redis: what INFO says of replication") {
    auto read_info = read_replication(
        "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n"
        "slave0:ip=127.0.0.1,port=1,state=online,offset=140,lag=0\r\n"
        "slave1:ip=127.0.0.1,port=2,state=wait_bgsave,offset=0,lag=0\r\n"
        "master_repl_offset:157\r\n");
    REQUIRE(read_info);
    CHECK(read_info->is_master);
    CHECK(read_info->offset == 157);
    REQUIRE(read_info->replicas.size() == 2);
    CHECK(read_info->replicas[0].is_online);
    CHECK(read_info->replicas[0].offset == 140);
    CHECK_FALSE(read_info->replicas[1].is_online);

    read_info = read_replication(
        "role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:6379\r\nmaster_link_status:down\r\n"
        "master_last_io_seconds_ago:-1\r\nmaster_sync_in_progress:0\r\n"
        "slave_read_repl_offset:20\r\nslave_repl_offset:14\r\nmaster_link_down_since_seconds:3");
    REQUIRE(read_info);
    CHECK_FALSE(read_info->is_master);
    CHECK(read_info->master == "127.0.0.1:6379");
    CHECK_FALSE(read_info->link_is_up);
    CHECK(read_info->silent_seconds == -1);
    CHECK(read_info->down_seconds == 3);
    CHECK(read_info->received == 20);
    CHECK(read_info->applied == 14);
}

TEST_CASE("redis: INFO that lacks what counts") {
    CHECK(read_replication("").error() == "says no role: it may be a Sentinel");
    CHECK(read_replication("# role:master\r\n").error() == "says no role: it may be a Sentinel");
    CHECK(read_replication("role:king\r\n").error() == "says a role that Redis has not");
    CHECK(read_replication("role:master\r\n").error() == "is a master without master_repl_offset");
    CHECK(read_replication("role:slave\r\n").error() == "is a replica without master_link_status");
    std::string many = "role:master\r\nmaster_repl_offset:1\r\n";
    for (int i = 0; i < 1000; ++i)
        many += "slave" + std::to_string(i) + ":state=online,offset=1\r\n";
    CHECK(read_replication(many)->replicas.size() == 256);
}
