#pragma once
// Real redis-servers and Sentinels on loopback.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/probes/support.hpp"

namespace swerve::health::testing {

/// False, with a word to who reads the log, where there is no redis-server.
[[nodiscard]] bool has_redis();

/// One redis-server in the foreground.
class Redis {
public:
    /// With these settings beyond port and directory, one a line. Waits until it accepts.
    explicit Redis(std::string_view settings = "");

    [[nodiscard]] Endpoint endpoint() const { return {Address::v4(0x7f000001), port_}; }
    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] const Child& process() const { return *process_; }
    /// As a setting of another one: to be a replica of this.
    [[nodiscard]] std::string as_master() const;
    /// One command by redis-cli, which must succeed.
    void command(std::vector<std::string> words) const;
    /// Ends it, its data set written down, and starts it again with these settings.
    void restart(std::string_view settings);

protected:
    enum class Mode : std::uint8_t { server, sentinel };
    Redis(Mode mode, std::string_view settings);

private:
    void start(Mode mode, std::string_view settings);

    TempDir dir_;
    std::uint16_t port_ = free_port();
    std::unique_ptr<Child> process_;
};

/// A Sentinel that watches what the settings say.
class Sentinel : public Redis {
public:
    explicit Sentinel(std::string_view settings) : Redis(Mode::sentinel, settings) {}
};

}  // namespace swerve::health::testing
