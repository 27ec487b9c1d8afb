#include "daemon/operations/state_keeper.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdint>
#include <utility>
#include <vector>

#include "daemon/operations/json_text.hpp"
#include "daemon/operations/operations.hpp"
#include "swerve/base/clock.hpp"

namespace swerve::daemon {

using boost::asio::awaitable;
using boost::asio::steady_timer;
using failover::SavedState;

namespace {

/// A wall clock that moved this much against the boot clock has stepped.
constexpr Duration clock_step = std::chrono::seconds{1};

[[nodiscard]] Duration wall_ahead(TimePoint now, WallTime wall) {
    return wall.time_since_epoch() - now.time_since_epoch();
}

[[nodiscard]] std::unexpected<std::string> stopping() {
    return fail(std::string{"the daemon is stopping"});
}

/// A caller of save().
struct Waiter {
    steady_timer answered;  ///< never expires, only cancelled
    std::optional<Result<void, std::string>> result = {};
};
using WaiterRef = std::shared_ptr<Waiter>;

awaitable<Result<void, std::string>> answer_of(WaiterRef waiter) {
    // It may have been answered before anybody waits.
    if (!waiter->result) {
        (void)co_await waiter->answered.async_wait(
            boost::asio::as_tuple(boost::asio::use_awaitable));
    }
    co_return waiter->result.value_or(stopping());
}

awaitable<Result<void, std::string>> at_once(Result<void, std::string> result) { co_return result; }

}  // namespace

/// Outlives the keeper in the handlers under way, which find it stopped.
struct StateKeeper::Parts : std::enable_shared_from_this<Parts> {
    Parts(const boost::asio::any_io_executor& executor, MainPort& main_port,
          const ProcessState& of_process, std::shared_ptr<spdlog::logger> to,
          const StateKeeperTiming& times)
        : main(main_port),
          process(of_process),
          logger(std::move(to)),
          timing(times),
          due(executor),
          patience(executor),
          life(executor) {}

    /// Asks main for the state, unless that is being done: then once more afterwards.
    void begin();
    void write(SavedState state);
    void end(const Result<void, std::string>& result);
    [[nodiscard]] Result<void, std::string> put(SavedState state, bool ended_clean);

    void arm(Duration delay);
    void give_sign_of_life();
    void report(const Result<void, std::string>& result);
    void answer(std::vector<WaiterRef>& waiters, const Result<void, std::string>& result);
    void stop();
    /// Calls `then` at the end of `timer`, unless that is cancelled or the keeper has stopped.
    template <class Then>
    void wait(steady_timer& timer, Duration delay, Then then);

    MainPort& main;
    ProcessState process;
    std::shared_ptr<spdlog::logger> logger;
    StateKeeperTiming timing;
    steady_timer due;       ///< until a change is written, or a failed write tried again
    steady_timer patience;  ///< with main
    steady_timer life;

    bool due_armed = false;
    bool busy = false;   ///< main was asked
    bool again = false;  ///< and must be once more
    bool stopped = false;
    std::uint64_t turn = 0;          ///< which answer of main is being waited for
    std::vector<WaiterRef> waiting;  ///< for the next write
    std::vector<WaiterRef> served;   ///< by the write under way
    std::optional<SavedState> last;  ///< what main said last
    std::optional<std::string> fault;
};

StateKeeper::StateKeeper(const boost::asio::any_io_executor& executor, MainPort& main,
                         const ProcessState& process, std::shared_ptr<spdlog::logger> logger,
                         const StateKeeperTiming& timing)
    : parts_(std::make_shared<Parts>(executor, main, process, std::move(logger), timing)) {}

StateKeeper::~StateKeeper() { stop(); }

void StateKeeper::start() {
    parts_->begin();
    parts_->give_sign_of_life();
}

awaitable<Result<void, std::string>> StateKeeper::save() {
    if (parts_->stopped) return at_once(stopping());
    auto waiter = std::make_shared<Waiter>(
        Waiter{steady_timer{parts_->due.get_executor(), steady_timer::time_point::max()}});
    parts_->waiting.push_back(waiter);
    parts_->begin();
    return answer_of(std::move(waiter));
}

void StateKeeper::mark_dirty() {
    if (!parts_->stopped) parts_->arm(parts_->timing.gather);
}

Result<void, std::string> StateKeeper::end_clean(bool planned_restart) {
    if (parts_->stopped) return stopping();
    parts_->stop();
    if (!parts_->last) return fail(std::string{"main has not told its state yet"});
    SavedState state = *parts_->last;
    state.saved_at = BootClock::now();
    state.saved_wall = wall_now();
    state.planned_restart = planned_restart;
    const auto result = parts_->put(std::move(state), true);
    parts_->report(result);
    return result;
}

void StateKeeper::stop() { parts_->stop(); }

const std::optional<std::string>& StateKeeper::fault() const { return parts_->fault; }

void StateKeeper::Parts::begin() {
    if (busy) {
        again = true;
        return;
    }
    busy = true;
    again = false;
    due_armed = false;
    due.cancel();
    served = std::exchange(waiting, {});
    ++turn;
    wait(patience, timing.main_deadline, [this, asked = turn] {
        if (!busy || turn != asked) return;
        ++turn;  // an answer that comes now is too old
        end(fail(std::string{"main does not answer"}));
    });
    main.saved_state([weak = weak_from_this(), asked = turn](SavedState state) {
        const auto self = weak.lock();
        if (self && !self->stopped && self->turn == asked) self->write(std::move(state));
    });
}

void StateKeeper::Parts::write(SavedState state) {
    last = state;
    end(put(std::move(state), false));
}

Result<void, std::string> StateKeeper::Parts::put(SavedState state, bool ended_clean) {
    state.boot_id = process.boot_id;
    state.started = process.started;
    state.crashes = process.crashes;
    state.ended_clean = ended_clean;
    return process.store.save(state);
}

void StateKeeper::Parts::end(const Result<void, std::string>& result) {
    patience.cancel();
    busy = false;
    report(result);
    answer(served, result);
    if (!result) arm(timing.retry);
    if (again) begin();
}

void StateKeeper::Parts::arm(Duration delay) {
    if (std::exchange(due_armed, true)) return;
    wait(due, delay, [this] { begin(); });
}

void StateKeeper::Parts::give_sign_of_life() {
    wait(life, timing.sign_of_life, [this] {
        const TimePoint now = BootClock::now();
        // What it costs is told by the next save, which meets the same disk.
        (void)process.store.alive(process.boot_id, now);
        // Across boots overrides end by the wall clock: as it is, not as it was when they were set.
        if (last) {
            const Duration moved =
                wall_ahead(now, wall_now()) - wall_ahead(last->saved_at, last->saved_wall);
            if (std::chrono::abs(moved) > clock_step) arm(timing.gather);
        }
        give_sign_of_life();
    });
}

void StateKeeper::Parts::report(const Result<void, std::string>& result) {
    if (result) {
        if (fault) logger->info("event=state text=\"the state is saved again\"");
        fault.reset();
    } else if (fault != result.error()) {
        fault = result.error();
        logger->critical("event=state text={}",
                         quoted(*fault + "; until the state can be saved, a restart forgets what "
                                         "has changed"));
    }
}

void StateKeeper::Parts::answer(std::vector<WaiterRef>& waiters,
                                const Result<void, std::string>& result) {
    for (const WaiterRef& waiter : std::exchange(waiters, {})) {
        waiter->result = result;
        waiter->answered.cancel();
    }
}

void StateKeeper::Parts::stop() {
    stopped = true;
    for (steady_timer* timer : {&due, &patience, &life}) timer->cancel();
    answer(served, stopping());
    answer(waiting, stopping());
}

template <class Then>
void StateKeeper::Parts::wait(steady_timer& timer, Duration delay, Then then) {
    timer.expires_after(delay);
    timer.async_wait(
        [weak = weak_from_this(), then = std::move(then)](const boost::system::error_code& error) {
            const auto self = weak.lock();
            if (!error && self && !self->stopped) then();
        });
}

}  // namespace swerve::daemon
