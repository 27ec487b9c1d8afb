#include "daemon/probe_runner.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <cassert>
#include <exception>
#include <iterator>
#include <limits>
#include <set>
#include <utility>

#include "daemon/event_pacer.hpp"
#include "health/probes/runtime.hpp"
#include "swerve/base/clock.hpp"

namespace swerve::daemon {
namespace {

/// Of attempts by hand, which belong to no check.
constexpr std::uint64_t by_hand = std::numeric_limits<std::uint64_t>::max();

constexpr auto overloaded = "the probes loop has more to do than it can: the attempt was left out";

std::unique_ptr<health::Probe> make_probe(const conf::Check& check) {
    auto made = health::find_probe_type(check.probe.type)->make(check.probe.fields);
    assert(made.has_value());  // the loader made it once already
    return std::move(*made);
}

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

/// The events of one probe, as they are told to main.
class Paced : public std::enable_shared_from_this<Paced> {
public:
    Paced(boost::asio::io_context& loop, std::function<void(health::Outcome)> tell)
        : timer_(loop), tell_(std::move(tell)) {}

    void offer(health::Outcome finding) {
        const TimePoint now = BootClock::now();
        const bool waits = pacer_.next_deadline().has_value();
        if (auto due = pacer_.offer(now, std::move(finding))) return tell_(std::move(*due));
        if (waits) return;
        timer_.expires_at(*pacer_.next_deadline());
        timer_.async_wait([self = shared_from_this()](const boost::system::error_code&) {
            if (auto due = self->pacer_.tick(BootClock::now())) self->tell_(std::move(*due));
        });
    }

private:
    EventPacer pacer_;
    health::Timer timer_;
    std::function<void(health::Outcome)> tell_;
};

}  // namespace

ProbeRunner::ProbeRunner(boost::asio::io_context& probes, boost::asio::io_context& main,
                         const conf::Config& config, Hooks hooks)
    : probes_io_(probes), main_(main), hooks_(std::move(hooks)), context_{config.owned} {
    for (failover::CheckId id = 0; id < config.checks.size(); ++id) {
        tokens_.push_back(add(config.checks[id], id));
    }
}

ProbeRunner::Token ProbeRunner::add(const conf::Check& check, failover::CheckId id) {
    const Token token = next_token_++;
    probes_.emplace(token, Known{make_probe(check), id});
    return token;
}

std::optional<failover::CheckId> ProbeRunner::check_of(Token token) const {
    const auto found = probes_.find(token);
    if (found == probes_.end()) return std::nullopt;
    return found->second.check;
}

template <class Result, class Done>
void ProbeRunner::spawn(Token token, boost::asio::awaitable<Result> work, Done done) {
    running_.emplace_back().token = token;
    const auto entry = std::prev(running_.end());
    auto finish = [this, entry, done = std::move(done)](auto&&... outcome) mutable {
        running_.erase(entry);
        done(std::forward<decltype(outcome)>(outcome)...);
    };
    boost::asio::co_spawn(
        probes_io_, std::move(work),
        boost::asio::bind_cancellation_slot(entry->signal.slot(), std::move(finish)));
}

void ProbeRunner::start() {
    boost::asio::post(probes_io_, [this, all = probes_] {
        for (const auto& [token, known] : all) watch(token, known.probe);
    });
}

/// On the probes loop; the handler keeps the probe for as long as its coroutine runs.
void ProbeRunner::watch(Token token, const ProbePtr& probe) {
    auto tell_main = [this, token](health::Outcome finding) {
        boost::asio::post(main_, [this, token, finding = std::move(finding)]() mutable {
            if (const auto check = check_of(token)) hooks_.event(*check, std::move(finding));
        });
    };
    auto report = [paced = std::make_shared<Paced>(probes_io_, std::move(tell_main))](
                      health::Outcome finding) { paced->offer(std::move(finding)); };
    spawn(token, probe->watch(context_, report),
          [this, probe, report](const std::exception_ptr& error) {
              if (error && !stopped_) report(broken(error));
          });
}

void ProbeRunner::attempt(failover::CheckId check, std::uint64_t attempt, Duration timeout,
                          TimePoint due) {
    const Token token = tokens_[check];
    const ProbePtr probe = probes_.at(token).probe;
    boost::asio::post(
        probes_io_, [this, token, probe, attempt, timeout, due, asked = BootClock::now()] {
            if (stopped_) return;
            const TimePoint begins = BootClock::now();
            lateness_.count(begins - due);
            auto finished = [this, token, probe, attempt](const std::exception_ptr& error,
                                                          health::Outcome outcome) {
                if (error) outcome = broken(error);
                boost::asio::post(main_,
                                  [this, token, attempt, outcome = std::move(outcome)]() mutable {
                                      if (const auto now = check_of(token)) {
                                          hooks_.finished(*now, attempt, std::move(outcome));
                                      }
                                  });
            };
            // Main would not listen to a late answer any more. A loop that has too much to do gets
            // out of it by leaving out what comes too late, and by nothing else.
            if (begins - asked > health::answer_grace) {
                return finished(nullptr, {health::ProbeResult::unknown, overloaded, asked, begins});
            }
            spawn(token, health::attempt(*probe, context_, timeout), std::move(finished));
        });
}

void ProbeRunner::run_once(const conf::Check& check, boost::asio::io_context& answer_on,
                           std::function<void(ProbeTrial)> done) {
    struct Trial {
        std::unique_ptr<health::Probe> probe;
        health::ProbeContext context;
        ProbeTrial found;
    };
    auto trial = std::make_shared<Trial>(Trial{make_probe(check), {}, {}});
    boost::asio::post(probes_io_, [this, trial = std::move(trial), timeout = check.timing.timeout,
                                   &answer_on, done = std::move(done)]() mutable {
        auto finished = [&answer_on, trial, done = std::move(done)](const std::exception_ptr& error,
                                                                    health::Outcome outcome) {
            trial->found.outcome = error ? broken(error) : std::move(outcome);
            // The probe stays behind: it belongs to this loop.
            boost::asio::post(answer_on, [done, found = std::move(trial->found)]() mutable {
                done(std::move(found));
            });
        };
        if (stopped_) {
            const TimePoint now = BootClock::now();
            return finished(
                nullptr, {health::ProbeResult::unknown, "the daemon is about to stop", now, now});
        }
        const TimePoint began = BootClock::now();
        trial->context = context_;
        // The attempt keeps the trial, so the trial must not keep itself by its own step.
        trial->context.step = [&steps = trial->found.steps, began](std::string text) {
            steps.push_back({BootClock::now() - began, std::move(text)});
        };
        spawn(by_hand, health::attempt(*trial->probe, trial->context, timeout),
              std::move(finished));
    });
}

void ProbeRunner::reconfigure(const conf::Config& config,
                              const std::vector<std::optional<failover::CheckId>>& from) {
    const std::vector<Token> before = std::exchange(tokens_, {});
    std::map<Token, ProbePtr> fresh;
    for (failover::CheckId id = 0; id < config.checks.size(); ++id) {
        if (from[id]) {
            tokens_.push_back(before[*from[id]]);
            probes_.at(tokens_.back()).check = id;
        } else {
            tokens_.push_back(add(config.checks[id], id));
            fresh.emplace(tokens_.back(), probes_.at(tokens_.back()).probe);
        }
    }
    const std::set<Token> kept{tokens_.begin(), tokens_.end()};
    std::erase_if(probes_, [&](const auto& each) { return !kept.contains(each.first); });
    boost::asio::post(probes_io_, [this, kept, fresh, owned = config.owned] {
        if (stopped_) return;
        context_.owned = owned;
        end([&](Token token) { return token != by_hand && !kept.contains(token); });
        for (const auto& [token, probe] : fresh) watch(token, probe);
    });
}

void ProbeRunner::end(const std::function<bool(Token)>& which) {
    // A handler may erase its entry while this runs.
    for (auto at = running_.begin(); at != running_.end();) {
        Running& each = *at++;
        if (which(each.token)) each.signal.emit(boost::asio::cancellation_type::terminal);
    }
}

void ProbeRunner::stop() {
    boost::asio::post(probes_io_, [this] {
        stopped_ = true;
        end([](Token) { return true; });
    });
}

}  // namespace swerve::daemon
