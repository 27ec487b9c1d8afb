#pragma once
// A loop on which probes and the servers they meet run side by side, and real programs as children.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "swerve/health/probe.hpp"

namespace swerve::health::testing {

/// Removed with everything in it.
class TempDir {
public:
    TempDir();
    ~TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;

    [[nodiscard]] std::string file(std::string_view name) const { return path_ / name; }
    std::string write(std::string_view name, std::string_view text) const;

private:
    std::filesystem::path path_;
};

/// A program in the foreground, killed at the end of its scope.
class Child {
public:
    explicit Child(std::vector<std::string> command);
    ~Child();
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

    [[nodiscard]] int pid() const { return pid_; }
    /// Kills and leaves a zombie.
    void kill() const;
    void signal(int number) const;
    /// Waits for the end; the exit code, or 128 + signal.
    int wait();

private:
    int pid_;
};

/// The exit code of a program that ends by itself.
int run_program(std::vector<std::string> command);

class Loop {
public:
    /// One attempt of a probe made from `values`, by the registry.
    Outcome attempt(std::string_view type, const FieldMap& values,
                    Duration timeout = std::chrono::seconds{5}, const ProbeContext& context = {});
    Outcome attempt(Probe& probe, Duration timeout = std::chrono::seconds{5},
                    const ProbeContext& context = {});
    /// Runs until `done` says so, at most ten seconds; the last answer of `done`.
    bool run_until(const std::function<bool()>& done);

    boost::asio::io_context io;
};

/// Accepts on a free port of `address` and leaves each connection to `serve`.
class Server {
public:
    using Serve = std::function<boost::asio::awaitable<void>(boost::asio::ip::tcp::socket)>;
    Server(Loop& loop, Serve serve, const std::string& address = "127.0.0.1");

    [[nodiscard]] Endpoint endpoint() const;
    /// Nobody listens any more.
    void close() { acceptor_.close(); }

private:
    boost::asio::awaitable<void> accept();

    boost::asio::ip::tcp::acceptor acceptor_;
    Serve serve_;
};

/// Serves by sending `answer` and closing.
[[nodiscard]] Server::Serve says(std::string answer);
/// Serves by sending `answer`, then staying silent with the connection open.
[[nodiscard]] Server::Serve says_and_stays(std::string answer);
/// Serves by sending `answer` one octet at a time.
[[nodiscard]] Server::Serve drips(std::string answer);

/// A port that nobody listens on.
[[nodiscard]] std::uint16_t free_port();

[[nodiscard]] std::unique_ptr<Probe> make_probe(std::string_view type, const FieldMap& values);
/// The fault for values that make no probe, as "path: message".
[[nodiscard]] std::string fault_of(std::string_view type, const FieldMap& values);

[[nodiscard]] inline FieldValue text(std::string value) { return {std::move(value)}; }

/// Runs `body` in a network namespace of its own with lo up; false without the right to.
[[nodiscard]] bool in_own_network(const std::function<void()>& body);

}  // namespace swerve::health::testing
