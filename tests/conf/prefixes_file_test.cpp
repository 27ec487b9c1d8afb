#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "conf/faults.hpp"
#include "conf/files.hpp"
#include "swerve/conf/load.hpp"
#include "tests/conf/rig.hpp"

namespace swerve::conf {
namespace {

/// One service whose prefixes stand in a file; owned are 198.51.100.0/24 and 10.0.0.0/8.
std::string with_prefixes_file(const std::string& file) {
    return head + neighbors + checks + "services:\n  p: {prefixes_file: " + file +
           ", healthy_when: web}\n";
}

std::string prefixes_of(const std::string& text) {
    const Config config = config_of(text);
    std::string out;
    for (const bgp::BlockRef& block : config.services.at(0).prefixes) {
        block->for_each(block->all(),
                        [&](const Prefix& prefix) { out += prefix.to_string() + " "; });
    }
    return out;
}

TEST_CASE("load: a prefix file may have comments, blank lines, other line ends and no last one") {
    const Scratch scratch;
    const std::string both = "10.1.0.0/16 10.2.0.0/16 ";
    for (const std::string lines : {
             "10.1.0.0/16\n10.2.0.0/16\n",
             "10.1.0.0/16\n10.2.0.0/16",
             "10.1.0.0/16\r\n10.2.0.0/16\r\n",
             "10.1.0.0/16\r\n10.2.0.0/16",
             "\n\r\n \t \r\n10.1.0.0/16\n\n\n10.2.0.0/16\n\n",
             "# first\n10.1.0.0/16 # one\n  #\n\t10.2.0.0/16# two\r\n# last",
             "#\xfc\xff 10.3.0.0/16\n10.1.0.0/16\n10.2.0.0/16 #\xe9\n",
             "\xef\xbb\xbf"
             "10.1.0.0/16\r\n10.2.0.0/16\r\n",
             "\xef\xbb\xbf# made on Windows\r\n10.1.0.0/16\r\n10.2.0.0/16\r\n",
         }) {
        CAPTURE(lines);
        CHECK(prefixes_of(with_prefixes_file(scratch.write("p.txt", lines))) == both);
    }
}

TEST_CASE("load: what no line of a prefix file can be is refused at its place") {
    const Scratch scratch;
    const auto faults = [&](const std::string& lines) {
        const std::string file = scratch.write("p.txt", lines);
        std::string out;
        for (const Diagnostic& fault : faults_of(with_prefixes_file(file))) {
            CHECK(fault.file == file);
            CHECK(fault.path == "services.p.prefixes_file");
            out += std::to_string(fault.line) + ":" + std::to_string(fault.column) + ": " +
                   fault.message + "\n";
        }
        return out;
    };
    CHECK(faults("10.1.0.0/16\n10.2.0.0/16 10.3.0.0/16\n10.4.0.0/16\n") ==
          "2:1: '10.2.0.0/16 10.3.0.0/16' is not a prefix\n");
    CHECK(faults("10.1.0.0/16\r10.2.0.0/16\r") ==
          "1:1: '10.1.0.0/16\\x0d10.2.0.0/16' is not a prefix\n");
    CHECK(faults("10.1.0.0/16\n\xef\xbb\xbf"
                 "10.2.0.0/16\n")
              .starts_with("2:1: "));
    CHECK(faults("10.1.0.0/16,\n  10.2.0.0/33\n10.3.0.0/\n") ==
          "1:1: '10.1.0.0/16,' is not a prefix\n"
          "2:3: '10.2.0.0/33' is longer than its family allows\n"
          "3:1: '10.3.0.0/' is not a prefix\n");
    // A zero octet is named alone: beside it, nothing in the file can be trusted to be a line.
    CHECK(faults(std::string("10.1.0.0/16\nbad\n10.2\0"
                             ".0.0/16\nbad\n",
                             33)) == "3:5: holds a zero octet\n");
    CHECK(faults(std::string("10.1.0.0/16 # \0\n", 16)) == "1:15: holds a zero octet\n");
    CHECK(faults(std::string("\xff\xfe"
                             "1\0"
                             "0\0",
                             6)) == "1:4: holds a zero octet\n");
    CHECK(faults(std::string(1, '\0')) == "1:1: holds a zero octet\n");
    const std::string file = scratch.write("p.txt", "\xef\xbb\xbf");
    CHECK(faults_of(with_prefixes_file(file)).at(0).message == quote(file) + " holds no prefixes");
}

TEST_CASE("load: a prefix twice, in a file, in a list and in a file of another service") {
    const Scratch scratch;
    const std::string first = scratch.write("1.txt", "10.1.0.0/16\n10.2.0.0/16\r\n10.1.0.0/16\n");
    const std::string second = scratch.write("2.txt", "# x\n\n  10.2.0.0/16\n10.3.0.0/16\n");
    CHECK(joined(faults_of(head + neighbors + checks + "services:\n  p: {prefixes_file: " + first +
                           ", healthy_when: web}\n  q: {prefixes_file: " + second +
                           ", healthy_when: web}\n"
                           "  r: {prefixes: [10.4.0.0/16, 10.3.0.0/16], healthy_when: web}\n")) ==
          first +
              ":3:1: services.p.prefixes_file: '10.1.0.0/16' is given twice (hint: the first one "
              "is at " +
              first + ":1)\n" + second +
              ":3:3: services.q.prefixes_file: '10.2.0.0/16' is given twice (hint: the first one "
              "is at " +
              first +
              ":2)\n"
              "swerve.yaml:12:31: services.r.prefixes[1]: '10.3.0.0/16' is given twice (hint: the "
              "first one is at " +
              second + ":4)\n");
}

TEST_CASE("load: a prefix file that is none is refused and waits for nobody") {
    const Scratch scratch;
    const auto message = [&](const std::string& file) {
        const auto faults = faults_of(with_prefixes_file(file));
        REQUIRE(faults.size() == 1);
        CHECK(faults[0].line == 10);
        return faults[0].message;
    };
    const std::string fifo = scratch.write("fifo", "");
    std::filesystem::remove(fifo);
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    CHECK(message(fifo) == quote(fifo) + " is not a regular file");
    const std::string directory = std::filesystem::path{fifo}.parent_path();
    CHECK(message(directory) == quote(directory) + " cannot be read: Is a directory");
    const std::string dangling = directory + "/link";
    std::filesystem::create_symlink(directory + "/gone", dangling);
    CHECK(message(dangling) == quote(dangling) + " cannot be read: No such file or directory");
    const std::string large = scratch.write("large", "#");
    std::filesystem::resize_file(large, max_prefixes_file_octets + 1);
    CHECK(message(large) == quote(large) + " is larger than 64 MiB");
}

/// Does something again and again beside the test.
class Meanwhile {
public:
    explicit Meanwhile(std::function<void()> work)
        : thread_([this, work = std::move(work)] {
              while (!stop_) work();
          }) {}
    ~Meanwhile() {
        stop_ = true;
        thread_.join();
    }
    Meanwhile(const Meanwhile&) = delete;
    Meanwhile& operator=(const Meanwhile&) = delete;

private:
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

TEST_CASE("load: a prefix file that is written while it is read is refused") {
    const Scratch scratch;
    // Large enough for a write to fall into the reading sooner or later; its size never changes.
    const std::string file = scratch.write("p.txt", std::string(8U << 20U, '#'));
    std::fstream out{file, std::ios::binary | std::ios::in | std::ios::out};
    bool is_refused = false;
    {
        const Meanwhile writing{[&] { out.seekp(0).put('#').flush(); }};
        for (int i = 0; i < 1000 && !is_refused; ++i) {
            const auto text = read_text(file, max_prefixes_file_octets);
            is_refused = !text;
            if (is_refused) CHECK(text.error() == "changed while it was read");
        }
    }
    CHECK(is_refused);
    CHECK(read_text(file, max_prefixes_file_octets).has_value());
}

TEST_CASE("load: a prefix file that another one replaces is one of both") {
    const Scratch scratch;
    const std::string one(1U << 20U, '1');
    const std::string two(1U << 19U, '2');
    const std::string file = scratch.write("p.txt", one);
    bool is_one = true;
    const Meanwhile replacing{[&] {
        is_one = !is_one;
        std::filesystem::rename(scratch.write("new.txt", is_one ? one : two), file);
    }};
    for (int i = 0; i < 100; ++i) {
        const auto text = read_text(file, max_prefixes_file_octets);
        REQUIRE(text);
        CHECK((*text == one || *text == two));
    }
}

TEST_CASE("load: a list behind a file that filled the table is too much as well") {
    const Scratch scratch;
    std::string lines;
    for (std::size_t i = 0; i < max_prefixes; ++i) lines += "10.0.0.0/8\n";
    CHECK(joined(faults_of(with_prefixes_file(scratch.write("p.txt", lines)) +
                           "  q: {prefixes: [10.1.0.0/16, 10.2.0.0/16], healthy_when: web}\n")) ==
          "swerve.yaml:11:18: services.q.prefixes[0]: more than 2000000 prefixes in all\n");
}

TEST_CASE("load: bad lines of a prefix file beyond the limit are counted, not listed") {
    const Scratch scratch;
    const auto faults = [&](std::size_t count) {
        std::string lines = "10.1.0.0/16\n";
        for (std::size_t i = 0; i < count; ++i) lines += "bad\n";
        scratch.write("prefixes.txt", lines);
        const std::string file = scratch.write(
            "swerve.yaml", head + neighbors + checks +
                               "services:\n  p: {prefixes_file: prefixes.txt, healthy_when: web}\n"
                               "zzz: 1\n");
        const auto loaded = load(file);
        REQUIRE_FALSE(loaded);
        return loaded.error();
    };
    CHECK(faults(99).size() == 100);
    CHECK(faults(99).back().path == "zzz");
    CHECK(faults(100).back().message == "and 1 more");
    CHECK(faults(5000).back().message == "and 4901 more");
    CHECK(faults(5000).at(0).line == 2);
    CHECK(faults(5000).at(99).line == 101);
}

TEST_CASE("load: prefixes outside owned and repeated ones in a file are counted beyond the limit") {
    const Scratch scratch;
    std::string lines;
    for (int i = 0; i < 150; ++i) lines += "11." + std::to_string(i) + ".0.0/16\n10.0.0.0/16\n";
    const std::string file = scratch.write("prefixes.txt", lines);
    const auto faults =
        faults_of(head + neighbors + checks + "services:\n  p: {prefixes_file: " + file +
                  ", healthy_when: web}\n");
    REQUIRE(faults.size() == max_diagnostics + 1);
    CHECK(faults.at(0).to_string() ==
          file +
              ":1:1: services.p.prefixes_file: '11.0.0.0/16' lies outside owned "
              "(hint: only what owned covers can be announced)");
    CHECK(faults.at(2).to_string() ==
          file +
              ":4:1: services.p.prefixes_file: '10.0.0.0/16' is given twice "
              "(hint: the first one is at " +
              file + ":2)");
    CHECK(faults.back().message == "and 199 more");  // 150 outside and 149 repeated
}

TEST_CASE("load: prefixes of a list and of a file come out sorted, by family first") {
    const Scratch scratch;
    const std::string file =
        scratch.write("prefixes.txt", "10.2.0.0/16\n10.1.0.0/16\n\n# x\n10.1.0.0/24\n");
    const Config config =
        config_of(head +
                  "neighbors:\n  a: {address: 192.0.2.254, remote_as: 64496, export: {next_hop: "
                  "{ipv6: \"2001:db8::1\"}}}\n" +
                  checks + "services:\n  p: {prefixes_file: " + file + ", healthy_when: web}\n" +
                  "  q: {prefixes: [\"2001:db8:1::/48\", 198.51.100.0/24], healthy_when: web}\n");
    std::string out;
    for (const Service& service : config.services) {
        for (const bgp::BlockRef& block : service.prefixes) {
            block->for_each(block->all(),
                            [&](const Prefix& prefix) { out += prefix.to_string() + " "; });
        }
    }
    CHECK(out == "10.1.0.0/16 10.1.0.0/24 10.2.0.0/16 198.51.100.0/24 2001:db8:1::/48 ");
    CHECK(config.services.at(0).prefixes_file == file);
}

TEST_CASE("load: a large prefix file is read whole") {
    const Scratch scratch;
    std::string lines;
    for (std::uint32_t i = 0; i < 50'000; ++i) {
        lines += Address::v4(0x0a000000U + (49'999 - i) * 4).to_string() + "/30\n";
    }
    const Config config =
        config_of(head + neighbors + checks + "services:\n  p: {prefixes_file: " +
                  scratch.write("prefixes.txt", lines) + ", healthy_when: web}\n");
    const auto& blocks = config.services.at(0).prefixes;
    REQUIRE(blocks.size() == 1);
    CHECK(blocks[0]->size() == 50'000);
    CHECK(blocks[0]->at(0).to_string() == "10.0.0.0/30");
    CHECK(blocks[0]->at(49'999).to_string() == "10.3.13.60/30");
}

TEST_CASE(
    "load: prefix files beyond the limit of all prefixes are one line, whatever else is in them") {
    const Scratch scratch;
    std::string lines;
    for (std::size_t i = 0; i < max_prefixes + 1; ++i) lines += "10.0.0.0/8\n";
    const std::string file = scratch.write("prefixes.txt", lines);
    CHECK(joined(faults_of(head + neighbors + checks + "services:\n  p: {prefixes_file: " + file +
                           ", healthy_when: web}\n  q: {prefixes_file: " + file +
                           ", healthy_when: web}\n")) ==
          file + ":2000001:1: services.p.prefixes_file: more than 2000000 prefixes in all\n");
}

}  // namespace
}  // namespace swerve::conf
