#include "daemon/operations/state_keeper.hpp"

#include <doctest/doctest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "daemon/operations/operations.hpp"
#include "daemon/state/store.hpp"
#include "swerve/base/clock.hpp"
#include "tests/support/fake_main_port.hpp"
#include "tests/support/memory_disk.hpp"

using namespace swerve;
using namespace std::chrono_literals;
using daemon::StateKeeper;
using daemon::StateKeeperTiming;
using daemon::StateStore;

namespace {

/// Timers that a test does not wait for never come.
constexpr StateKeeperTiming unhurried{1h, 1h, 1h, 1h};

/// A keeper on a loop that runs while a test waits for something.
class Rig {
public:
    explicit Rig(const StateKeeperTiming& timing = unhurried) {
        (void)store_.load();
        main.saved.saved_at = BootClock::now();
        main.saved.saved_wall = wall_now();
        logger_->set_pattern("%l %v");
        keeper.emplace(io.get_executor(), main,
                       daemon::ProcessState{store_, "boot", TimePoint{1s}, 2}, logger_, timing);
    }

    /// Asks for a save; the outcome comes into `outcomes` when it is known.
    void save() {
        boost::asio::co_spawn(io, keeper->save(),
                              [this](const std::exception_ptr& thrown, auto outcome) {
                                  REQUIRE_FALSE(thrown);
                                  outcomes.push_back(outcome ? "saved" : outcome.error());
                              });
    }
    void run_until(const std::function<bool()>& reached) {
        const auto end = std::chrono::steady_clock::now() + 20s;
        while (!reached()) {
            REQUIRE(std::chrono::steady_clock::now() < end);
            io.restart();
            io.run_one_for(20s);
        }
    }
    /// Whatever can be done without waiting.
    void run_ready() {
        io.restart();
        while (io.poll() > 0) {
        }
    }
    void answer_main() {
        auto asked = std::exchange(main.unanswered_saves, {});
        for (const auto& done : asked) done(main.saved);
    }
    [[nodiscard]] failover::FoundState found() {
        StateStore store{disk};
        return store.load();
    }
    /// What is on disk of that which main tells, by its disabled neighbor.
    [[nodiscard]] std::string on_disk() {
        const auto state = found().state;
        if (!state) return "nothing";
        return state->disabled_neighbors.empty() ? "" : state->disabled_neighbors.front();
    }
    void main_knows(const std::string& name) { main.saved.disabled_neighbors = {name}; }

    boost::asio::io_context io{1};
    test::FakeMainPort main;
    test::MemoryDisk disk{1};
    std::ostringstream log;
    std::vector<std::string> outcomes;
    std::optional<StateKeeper> keeper;

private:
    StateStore store_{disk};
    std::shared_ptr<spdlog::logger> logger_ = std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_st>(log));
};

using Outcomes = std::vector<std::string>;

std::size_t count(const std::string& text, const std::string& part) {
    std::size_t out = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++out;
    return out;
}

}  // namespace

TEST_CASE("state keeper: a save writes what main knows and what the process adds") {
    Rig rig;
    rig.main_knows("a");
    rig.save();
    rig.run_ready();
    CHECK(rig.outcomes == Outcomes{"saved"});
    const auto state = rig.found().state;
    REQUIRE(state.has_value());
    CHECK(state->disabled_neighbors == std::vector<std::string>{"a"});
    CHECK(state->saved_at == rig.main.saved.saved_at);
    CHECK(state->boot_id == "boot");
    CHECK(state->started == TimePoint{1s});
    CHECK(state->crashes == 2);
    CHECK_FALSE(state->ended_clean);
}

TEST_CASE("state keeper: the first save comes with the start") {
    Rig rig;
    rig.main_knows("a");
    rig.keeper->start();
    rig.run_ready();
    CHECK(rig.on_disk() == "a");
}

TEST_CASE("state keeper: who asks during a save waits for the next one, and shares it") {
    Rig rig;
    rig.main.silent = true;
    rig.main_knows("first");
    rig.save();
    rig.run_ready();
    rig.save();
    rig.save();
    rig.run_ready();
    CHECK(rig.main.saves_asked == 1);

    rig.answer_main();
    rig.run_ready();
    CHECK(rig.outcomes == Outcomes{"saved"});
    CHECK(rig.on_disk() == "first");
    CHECK(rig.main.saves_asked == 2);

    rig.main_knows("second");
    rig.answer_main();
    rig.run_ready();
    CHECK(rig.outcomes == Outcomes{"saved", "saved", "saved"});
    CHECK(rig.on_disk() == "second");
    CHECK(rig.main.saves_asked == 2);
}

TEST_CASE("state keeper: changes nobody waits for are gathered into one write") {
    Rig rig{{1ms, 1h, 1h, 1h}};
    rig.main_knows("a");
    for (int i = 0; i < 100; ++i) rig.keeper->mark_dirty();
    rig.run_ready();
    rig.run_until([&] { return rig.on_disk() == "a"; });
    CHECK(rig.main.saves_asked == 1);
    rig.main_knows("b");
    rig.keeper->mark_dirty();
    rig.run_until([&] { return rig.on_disk() == "b"; });
    CHECK(rig.main.saves_asked == 2);
}

TEST_CASE("state keeper: changes that never pause postpone nothing") {
    Rig rig{{20ms, 1h, 1h, 1h}};
    rig.run_until([&] {
        boost::asio::post(rig.io, [&] { rig.keeper->mark_dirty(); });
        return rig.main.saves_asked == 1;
    });
}

TEST_CASE("state keeper: a change during a save is not forgotten") {
    Rig rig{{1ms, 1h, 1h, 1h}};
    rig.main.silent = true;
    rig.main_knows("a");
    rig.save();
    rig.keeper->mark_dirty();
    rig.answer_main();
    rig.main.silent = false;
    rig.main_knows("b");
    rig.run_until([&] { return rig.on_disk() == "b"; });
}

TEST_CASE("state keeper: a failing disk is told once, tried again unasked, and got over") {
    Rig rig{{1h, 1ms, 1h, 1h}};
    rig.disk.set_room(0);
    rig.save();
    rig.run_until([&] { return rig.main.saves_asked == 5; });
    CHECK(rig.outcomes == Outcomes{"writing state.tmp: No space left on device"});
    CHECK(rig.keeper->fault() == "writing state.tmp: No space left on device");
    CHECK(count(rig.log.str(), "No space left on device") == 1);
    CHECK(rig.log.str().starts_with("critical event=state text=\"writing state.tmp: No space"));

    rig.disk.set_room(std::nullopt);
    rig.main_knows("a");
    rig.run_until([&] { return rig.on_disk() == "a"; });
    CHECK_FALSE(rig.keeper->fault().has_value());
    CHECK(count(rig.log.str(), "the state is saved again") == 1);
    const unsigned asked = rig.main.saves_asked;
    rig.run_ready();
    CHECK(rig.main.saves_asked == asked);
}

TEST_CASE("state keeper: a main that does not answer is a fault, and its late answer is dropped") {
    Rig rig{{1h, 1h, 1h, 1ms}};
    rig.main.silent = true;
    rig.save();
    rig.run_until([&] { return !rig.outcomes.empty(); });
    CHECK(rig.outcomes == Outcomes{"main does not answer"});
    rig.answer_main();
    rig.run_ready();
    CHECK(rig.on_disk() == "nothing");
    rig.main.silent = false;
    rig.save();
    rig.run_ready();
    CHECK(rig.outcomes.back() == "saved");
}

TEST_CASE("state keeper: it gives signs of life") {
    Rig rig{{1h, 1h, 1ms, 1h}};
    rig.keeper->start();
    rig.run_until([&] { return rig.found().last_alive > rig.main.saved.saved_at; });
}

TEST_CASE("state keeper: a wall clock that steps has the state saved anew, once") {
    Rig rig{{1ms, 1h, 1ms, 1h}};
    const auto give_signs_of_life = [&] {
        const std::size_t steps = rig.disk.steps();
        rig.run_until([&] { return rig.disk.steps() > steps + 20; });
    };
    rig.keeper->start();
    give_signs_of_life();
    CHECK(rig.main.saves_asked == 1);
    rig.main.saved.saved_wall -= 2s;  // as if it had been behind when that was saved
    rig.save();
    rig.run_until([&] { return !rig.outcomes.empty(); });
    rig.main.saved.saved_wall += 2s;
    give_signs_of_life();
    CHECK(rig.main.saves_asked == 3);
}

TEST_CASE("state keeper: the last words say that the end was clean") {
    Rig rig;
    rig.main_knows("a");
    rig.keeper->start();
    rig.run_ready();
    CHECK(rig.keeper->end_clean().has_value());
    const auto state = rig.found().state;
    REQUIRE(state.has_value());
    CHECK(state->ended_clean);
    CHECK(state->disabled_neighbors == std::vector<std::string>{"a"});
    CHECK(state->saved_at > rig.main.saved.saved_at);
}

TEST_CASE("state keeper: nothing overwrites the last words") {
    Rig rig;
    rig.keeper->start();
    rig.run_ready();
    rig.main.silent = true;
    rig.save();
    rig.run_ready();
    CHECK(rig.keeper->end_clean().has_value());
    rig.keeper->mark_dirty();
    rig.save();
    rig.answer_main();
    rig.run_ready();
    CHECK(rig.outcomes == Outcomes{"the daemon is stopping", "the daemon is stopping"});
    CHECK(rig.found().state->ended_clean);
    CHECK(rig.keeper->end_clean().error() == "the daemon is stopping");
}

TEST_CASE("state keeper: without a word from main there are no last words") {
    Rig rig;
    rig.main.silent = true;
    rig.keeper->start();
    CHECK(rig.keeper->end_clean().error() == "main has not told its state yet");
    CHECK(rig.on_disk() == "nothing");
}

TEST_CASE("state keeper: stopped or destroyed, it leaves no work on the loop") {
    for (const bool destroy : {false, true}) {
        Rig rig;
        rig.main.silent = true;
        rig.keeper->start();
        rig.keeper->mark_dirty();
        rig.save();
        rig.run_ready();
        CHECK_FALSE(rig.io.stopped());
        if (destroy) {
            rig.keeper.reset();
        } else {
            rig.keeper->stop();
        }
        rig.run_ready();
        CHECK(rig.io.stopped());
        CHECK(rig.outcomes == Outcomes{"the daemon is stopping"});
        rig.answer_main();
        rig.run_ready();
        CHECK(rig.on_disk() == "nothing");
    }
}
