#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "daemon/bfd_loop.hpp"

namespace swerve::testing {

/// A bfd loop on a thread of its own, and what it said.
class BfdSite {
public:
    explicit BfdSite(std::uint64_t seed)
        : loop(io,
               {.report = [this](const bfd::Report& report) { note(reports_, report); },
                .alarm =
                    [this](std::string what) {
                        note(alarms_, std::move(what));
                        if (on_alarm) on_alarm();
                    }},
               seed) {}
    ~BfdSite() { end(); }
    BfdSite(const BfdSite&) = delete;
    BfdSite& operator=(const BfdSite&) = delete;

    void want(std::vector<bfd::SessionConfig> sessions, bool realtime = false) {
        loop.configure({.sessions = std::move(sessions), .realtime = realtime});
    }
    /// The next report of this kind; those before it are passed over.
    std::optional<bfd::Report> hears(const std::function<bool(const bfd::Report&)>& kind) {
        std::unique_lock held{mutex_};
        std::optional<bfd::Report> out;
        const bool there = said_.wait_for(held, std::chrono::seconds{20}, [&] {
            while (read_ < reports_.size()) {
                const bfd::Report& report = reports_[read_++];
                if (!kind(report)) continue;
                out = report;
                return true;
            }
            return false;
        });
        CHECK_MESSAGE(there, "no such report came in 20 s");
        return out;
    }
    std::optional<bfd::Report> hears(bfd::State state, std::uint32_t owner = 1) {
        return hears([=](const bfd::Report& report) {
            return report.state == state && report.owner == owner && !is_new(report);
        });
    }
    bool is_alarmed(const std::string& words) {
        std::unique_lock held{mutex_};
        return said_.wait_for(held, std::chrono::seconds{20}, [&] {
            return std::ranges::any_of(alarms_, [&](const std::string& each) {
                return each.find(words) != std::string::npos;
            });
        });
    }
    std::vector<std::string> alarms() {
        const std::lock_guard held{mutex_};
        return alarms_;
    }
    bool went_down() {
        const std::lock_guard held{mutex_};
        return std::ranges::any_of(reports_, [&](const bfd::Report& each) {
            return each.state == bfd::State::down && !is_new(each);
        });
    }
    daemon::BfdSnapshot look() {
        // Shared, for it is ready before set_value() has returned.
        const auto seen = std::make_shared<std::promise<daemon::BfdSnapshot>>();
        auto out = seen->get_future();
        loop.describe(
            [seen](daemon::BfdSnapshot snapshot) { seen->set_value(std::move(snapshot)); });
        REQUIRE(out.wait_for(std::chrono::seconds{20}) == std::future_status::ready);
        return out.get();
    }
    bool shows(const std::function<bool(const daemon::BfdSnapshot&)>& what) {
        const auto late = std::chrono::steady_clock::now() + std::chrono::seconds{20};
        while (std::chrono::steady_clock::now() < late) {
            if (what(look())) return true;
            std::unique_lock held{mutex_};
            said_.wait_for(held, std::chrono::milliseconds{2});
        }
        return false;
    }
    void start() {
        thread_ = std::jthread{[this] { io.run(); }};
    }
    void end() {
        if (!thread_.joinable()) return;
        loop.stop();
        work_.reset();
        thread_.join();
    }

    /// Called on the loop, in the middle of its turn; to be set before start().
    std::function<void()> on_alarm{};
    boost::asio::io_context io{1};
    daemon::BfdLoop loop;

private:
    /// A session that begins is Down as well.
    static bool is_new(const bfd::Report& report) {
        return report.state == bfd::State::down && report.cause == bfd::Cause::came_up;
    }
    template <class What>
    void note(std::vector<What>& in, What what) {
        const std::lock_guard held{mutex_};
        in.push_back(std::move(what));
        said_.notify_all();
    }

    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
        io.get_executor()};
    std::mutex mutex_;
    std::condition_variable said_;
    std::vector<bfd::Report> reports_;
    std::size_t read_ = 0;
    std::vector<std::string> alarms_;
    std::jthread thread_;
};

}  // namespace swerve::testing
