#pragma once
// Operations on its own thread, with a real control socket, before a main that is a fake.

#include <spdlog/sinks/ostream_sink.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <fstream>
#include <functional>
#include <future>
#include <optional>
#include <sstream>
#include <string>
#include <thread>

#include "daemon/operations/operations.hpp"
#include "daemon/state/posix_disk.hpp"
#include "daemon/state/store.hpp"
#include "swerve/conf/load.hpp"
#include "tests/support/fake_main_port.hpp"
#include "tests/support/snapshot.hpp"
#include "tests/support/temporary_directory.hpp"

namespace swerve::test {

class RunningOperations {
public:
    /// `yaml`: what stands behind state_dir and control in the configuration file; empty: there is
    /// no file, and the configuration is the sample.
    explicit RunningOperations(daemon::OperationsOptions options = {}, bool with_http = false,
                               const std::string& yaml = {})
        : main(std::make_unique<FakeMainPort>()),
          disk_(directory.path()),
          store_(disk_),
          operations_(io_, *main, config(with_http, yaml), {store_, "test-boot", TimePoint{}, 0},
                      with_log(std::move(options))) {
        main->answer = std::make_shared<const daemon::Snapshot>(sample_snapshot());
        main->applied = [this](auto change) {
            operations_.publish({sample_now, sample_wall, daemon::Reloaded{std::move(change)}});
        };
        started = operations_.start();
        thread_ = std::jthread{[this] { io_.run(); }};
    }
    ~RunningOperations() { stop(); }
    RunningOperations(const RunningOperations&) = delete;
    RunningOperations& operator=(const RunningOperations&) = delete;

    /// Runs on the operations loop and waits for its end.
    void on_loop(const std::function<void()>& work) {
        std::promise<void> done;
        boost::asio::post(io_, [&] {
            work();
            done.set_value();
        });
        done.get_future().wait();
    }
    void publish(const daemon::Event& event) {
        on_loop([&] { operations_.publish(event); });
    }
    void stop() {
        if (!thread_.joinable()) return;
        on_loop([&] { operations_.stop(); });
        work_.reset();
        thread_.join();
    }

    [[nodiscard]] std::string file() const { return directory.path() + "/swerve.yaml"; }
    void write_file(const std::string& yaml) const {
        std::ofstream{file()} << "state_dir: " << directory.path()
                              << "\ncontrol: {socket: " << socket() << "}\n"
                              << yaml;
    }
    /// So many times in one turn of the loop.
    void reload_as(const std::string& who, int times) {
        on_loop([&] {
            for (int i = 0; i < times; ++i) operations_.reload(who);
        });
    }

    [[nodiscard]] std::string socket() const { return directory.path() + "/run/control.sock"; }
    [[nodiscard]] std::string audit_path() const { return directory.path() + "/audit.jsonl"; }
    [[nodiscard]] std::string audit() const {
        std::ostringstream out;
        out << std::ifstream{audit_path()}.rdbuf();
        return out.str();
    }
    [[nodiscard]] Endpoint http() { return http_if_any().value(); }
    [[nodiscard]] std::optional<Endpoint> http_if_any() {
        std::optional<Endpoint> out;
        on_loop([&] { out = operations_.http_endpoint(); });
        return out;
    }

    TemporaryDirectory directory;
    std::ostringstream log;  ///< to be read in on_loop() or after stop()
    std::unique_ptr<FakeMainPort> main;
    Result<void, std::string> started;

private:
    [[nodiscard]] std::shared_ptr<const conf::Config> config(bool with_http,
                                                             const std::string& yaml) const {
        if (!yaml.empty()) {
            write_file(yaml);
            return conf::load(file()).value();
        }
        conf::Config out = sample_config();
        out.state_dir = directory.path();
        out.control_socket = socket();
        if (with_http) out.http_listen = Endpoint{Address::v4(0x7f000001), 0};
        return std::make_shared<const conf::Config>(std::move(out));
    }
    [[nodiscard]] daemon::OperationsOptions with_log(daemon::OperationsOptions options) {
        const auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(log);
        options.logger = std::make_shared<spdlog::logger>("test", sink);
        options.logger->set_pattern("%l %v");
        return options;
    }

    boost::asio::io_context io_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
        io_.get_executor()};
    daemon::PosixDisk disk_;
    daemon::StateStore store_;
    daemon::Operations operations_;
    std::jthread thread_;
};

}  // namespace swerve::test
