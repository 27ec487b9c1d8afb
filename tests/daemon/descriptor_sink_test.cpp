#include "daemon/descriptor_sink.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <spdlog/logger.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>

using swerve::daemon::DescriptorSink;

namespace {

struct Pipe {
    std::array<int, 2> ends{};
    Pipe() { REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0); }
    ~Pipe() {
        ::close(ends[0]);
        ::close(ends[1]);
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;

    /// What is in the pipe now.
    [[nodiscard]] std::string drain() const {
        std::string text;
        std::array<char, 65536> buffer{};
        ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
        for (ssize_t got = 0; (got = ::read(ends[0], buffer.data(), buffer.size())) > 0;) {
            text.append(buffer.data(), static_cast<std::size_t>(got));
        }
        return text;
    }
};

}  // namespace

TEST_CASE("descriptor sink: a reader that has stopped blocks nothing, and is told what it missed") {
    const Pipe pipe;
    spdlog::logger logger{"test", std::make_shared<DescriptorSink>(pipe.ends[1])};
    logger.set_pattern("%v");
    const std::string line(1000, 'x');
    for (int i = 0; i < 1000; ++i) logger.info(line);  // a pipe holds 64 KiB
    const std::string kept = pipe.drain();
    CHECK(kept.size() <= 65536);
    CHECK(kept.ends_with("x\n"));
    logger.info("back");
    const std::string later = pipe.drain();
    const auto missed = 1000 - kept.size() / (line.size() + 1);
    CHECK(later == std::to_string(missed) + " log lines were dropped: nobody read\nback\n");
}

TEST_CASE("descriptor sink: no colours where nobody looks, and a line fits a pipe at once") {
    const Pipe pipe;
    spdlog::logger logger{"test", std::make_shared<DescriptorSink>(pipe.ends[1])};
    logger.set_pattern("%^%l%$ %v");
    logger.error(std::string(10'000, 'y'));
    const std::string text = pipe.drain();
    CHECK(text.size() == 4096);
    CHECK(text.starts_with("error yyy"));
    CHECK(text.back() == '\n');
}
