#pragma once
// A stand-in for servers that cannot be installed where Swerve is built. It answers each path with
// what the documentation of the real one says; that the real one does so is not tested here.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/probes/support.hpp"

namespace swerve::health::testing {

class ApiStandIn {
public:
    explicit ApiStandIn(Loop& loop);

    /// What to answer a request for `path`, query included, from now on. Other paths are 404.
    void answer(const std::string& path, unsigned status, std::string body);

    [[nodiscard]] std::string url(std::string_view path = "") const;
    [[nodiscard]] Endpoint endpoint() const { return server_.endpoint(); }
    /// The request heads that came, in order.
    [[nodiscard]] const std::vector<std::string>& requests() const { return requests_; }

private:
    boost::asio::awaitable<void> serve(boost::asio::ip::tcp::socket socket);

    std::map<std::string, std::string> answers_;
    std::vector<std::string> requests_;
    Server server_;
};

/// What a probe makes of a server that misbehaves: refuses, closes, resets, hangs at each step,
/// talks without end, sends binary, or JSON a thousand deep. None of it may pass, and a hang is
/// told at the deadline.
void survives_hostile_servers(std::string_view probe, std::string_view path);

}  // namespace swerve::health::testing
