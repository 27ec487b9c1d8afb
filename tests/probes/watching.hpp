#pragma once
// A probe that waits for events, and what it reports.

#include <doctest/doctest.h>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/probes/support.hpp"

namespace swerve::health::testing {

/// Watches from its construction; the loop outlives it.
class Watching {
public:
    Watching(Loop& loop, std::string_view type, const FieldMap& values)
        : loop_(loop), probe_(make_probe(type, values)) {
        boost::asio::co_spawn(
            loop_.io,
            probe_->watch(context_, [this](Outcome found) { reports.push_back(std::move(found)); }),
            boost::asio::bind_cancellation_slot(stop_.slot(),
                                                [this](const std::exception_ptr& error) {
                                                    CHECK_FALSE(error);
                                                    ended_ = true;
                                                }));
        // The first look takes no event of anybody's.
        settle();
    }
    ~Watching() { stop(); }
    Watching(const Watching&) = delete;
    Watching& operator=(const Watching&) = delete;

    /// Cancels it; true if it ended.
    bool stop() {
        // Of a coroutine that has ended, Asio would pass the signal on to what is no longer there.
        if (!ended_) stop_.emit(boost::asio::cancellation_type::terminal);
        return loop_.run_until([this] { return ended_; });
    }
    /// What the next report says, as "fail: reason"; "nothing" if none comes.
    std::string next() {
        const std::size_t wanted = taken_ + 1;
        if (!loop_.run_until([&] { return reports.size() >= wanted; })) return "nothing";
        const Outcome& found = reports[taken_++];
        return std::string{to_string(found.result)} + ": " + found.reason;
    }
    /// Runs what is ready, and what waits for its turn after a look: events of the past have then
    /// been dealt with.
    void settle() {
        loop_.io.restart();
        loop_.io.run_for(std::chrono::milliseconds{30});
        loop_.io.restart();
        while (loop_.io.poll() > 0) {
        }
    }
    Outcome attempt() { return loop_.attempt(*probe_); }
    [[nodiscard]] Probe& probe() { return *probe_; }

    std::vector<Outcome> reports;

private:
    Loop& loop_;
    ProbeContext context_;
    std::unique_ptr<Probe> probe_;
    boost::asio::cancellation_signal stop_;
    std::size_t taken_ = 0;
    bool ended_ = false;
};

}  // namespace swerve::health::testing
