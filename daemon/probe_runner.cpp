#include "daemon/probe_runner.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <cassert>
#include <exception>
#include <utility>

#include "health/probes/runtime.hpp"
#include "swerve/base/clock.hpp"

namespace swerve::daemon {
namespace {

health::Outcome broken(const std::exception_ptr& error) {
    const TimePoint now = BootClock::now();
    health::Outcome out{health::ProbeResult::unknown, "the probe broke off", now, now};
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& known) {
        out.reason += std::string{": "} + known.what();
    } catch (...) {
        out.reason += " for a reason it did not give";
    }
    return out;
}

}  // namespace

ProbeRunner::ProbeRunner(boost::asio::io_context& probes, boost::asio::io_context& main,
                         const conf::Config& config, Hooks hooks)
    : probes_io_(probes), main_(main), hooks_(std::move(hooks)), context_{config.owned} {
    for (const conf::Check& check : config.checks) {
        auto made = health::find_probe_type(check.probe.type)->make(check.probe.fields);
        assert(made.has_value());  // the loader made it once already
        names_.push_back(check.name);
        probes_.push_back(std::move(*made));
    }
}

template <class Result, class Done>
void ProbeRunner::spawn(boost::asio::awaitable<Result> work, Done done) {
    const auto signal = running_.emplace(running_.end());
    auto finish = [this, signal, done = std::move(done)](auto&&... outcome) mutable {
        running_.erase(signal);
        done(std::forward<decltype(outcome)>(outcome)...);
    };
    boost::asio::co_spawn(probes_io_, std::move(work),
                          boost::asio::bind_cancellation_slot(signal->slot(), std::move(finish)));
}

void ProbeRunner::start() {
    boost::asio::post(probes_io_, [this] {
        for (std::size_t i = 0; i < probes_.size(); ++i) {
            const auto check = static_cast<failover::CheckId>(i);
            auto report = [this, check](health::Outcome finding) {
                boost::asio::post(main_, [this, check, finding = std::move(finding)]() mutable {
                    hooks_.event(check, std::move(finding));
                });
            };
            spawn(probes_[i]->watch(context_, report),
                  [this, report](const std::exception_ptr& error) {
                      if (error && !stopped_) report(broken(error));
                  });
        }
    });
}

void ProbeRunner::attempt(failover::CheckId check, std::uint64_t attempt, Duration timeout) {
    boost::asio::post(probes_io_, [this, check, attempt, timeout] {
        if (stopped_) return;
        spawn(health::attempt(*probes_[check], context_, timeout),
              [this, check, attempt](const std::exception_ptr& error, health::Outcome outcome) {
                  if (error) outcome = broken(error);
                  boost::asio::post(main_,
                                    [this, check, attempt, outcome = std::move(outcome)]() mutable {
                                        hooks_.finished(check, attempt, std::move(outcome));
                                    });
              });
    });
}

void ProbeRunner::stop() {
    boost::asio::post(probes_io_, [this] {
        stopped_ = true;
        // A handler may erase its signal while this runs.
        for (auto at = running_.begin(); at != running_.end();) {
            (at++)->emit(boost::asio::cancellation_type::terminal);
        }
    });
}

}  // namespace swerve::daemon
