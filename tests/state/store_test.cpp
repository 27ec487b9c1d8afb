#include "daemon/state/store.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "daemon/state/codec.hpp"
#include "tests/support/memory_disk.hpp"
#include "tests/support/state_maker.hpp"

using namespace swerve;
using daemon::StateStore;
using failover::FoundState;
using failover::SavedState;
using test::MemoryDisk;

namespace {

SavedState numbered(unsigned number) {
    SavedState out = test::StateMaker{number}.make();
    out.boot_id = "boot";
    out.crashes = number;
    return out;
}

FoundState load(MemoryDisk& disk) { return StateStore{disk}.load(); }

/// Saves as a process that has just started would.
Result<void, std::string> save(MemoryDisk& disk, const SavedState& state) {
    StateStore store{disk};
    (void)store.load();
    return store.save(state);
}

std::string later_version() { return "swerve-state 3 99 0123456789abcdef0123456789abcdef\n{}\n"; }

/// What may stand in a directory before the save that is broken off.
struct Before {
    unsigned saves;
    std::vector<std::string> unreadable;
};

void prepare(MemoryDisk& disk, const Before& before) {
    for (unsigned number = 1; number <= before.saves; ++number) {
        REQUIRE(save(disk, numbered(number)).has_value());
    }
    for (const std::string& slot : before.unreadable) disk.plant(slot, later_version());
}

enum class End : std::uint8_t { process, power };

/// One save that is broken off in its step `step`, of which `part` came through.
void break_off(const Before& before, std::size_t step, std::size_t part, End end,
               std::uint64_t seed) {
    CAPTURE(before.saves);
    CAPTURE(before.unreadable.size());
    CAPTURE(step);
    CAPTURE(part);
    CAPTURE(seed);
    MemoryDisk disk{seed};
    prepare(disk, before);
    const FoundState old = load(disk);

    disk.stop_after(step, part);
    REQUIRE_FALSE(save(disk, numbered(100)).has_value());
    REQUIRE(disk.stopped());
    if (end == End::process) {
        disk.process_ended();
    } else {
        disk.power_lost();
    }

    const FoundState after = load(disk);
    if (after.state != numbered(100)) {
        REQUIRE(after.state == old.state);
        // What was lost must not look like what never was.
        if (!old.state) REQUIRE(after.damage.empty() == old.damage.empty());
    }
    REQUIRE(after.damage.size() <= old.damage.size());
    REQUIRE(save(disk, numbered(101)).has_value());
    disk.power_lost();
    REQUIRE(load(disk).state == numbered(101));
}

}  // namespace

TEST_CASE("state store: nothing is a first boot") {
    MemoryDisk disk{1};
    const FoundState found = load(disk);
    CHECK_FALSE(found.state.has_value());
    CHECK_FALSE(found.last_alive.has_value());
    CHECK(found.damage.empty());
}

TEST_CASE("state store: the last of many saves is found, also after a power cut") {
    MemoryDisk disk{1};
    StateStore store{disk};
    (void)store.load();
    for (unsigned number = 1; number < 20; ++number) {
        REQUIRE(store.save(numbered(number)).has_value());
        disk.power_lost();
        const FoundState found = load(disk);
        REQUIRE(found.state == numbered(number));
        REQUIRE(found.last_alive == numbered(number).saved_at);
        REQUIRE(found.damage.empty());
    }
}

TEST_CASE("state store: a process goes on where the last one stopped") {
    MemoryDisk disk{1};
    for (unsigned number = 1; number < 20; ++number) {
        REQUIRE(save(disk, numbered(number)).has_value());
        REQUIRE(load(disk).state == numbered(number));
    }
}

TEST_CASE(
    "state store: broken off at every step and every tear, the old or the new state is there") {
    const std::vector<Before> befores{{0, {}},          {1, {}},
                                      {2, {}},          {3, {}},
                                      {1, {"state.b"}}, {2, {"state.a"}},
                                      {2, {"state.b"}}, {0, {"state.a"}},
                                      {0, {"state.b"}}, {2, {"state.a", "state.b"}}};
    const std::size_t octets = daemon::encode(daemon::Generation{4, numbered(100)}).size();
    for (const Before& before : befores) {
        MemoryDisk whole{0};
        prepare(whole, before);
        const std::size_t begin = whole.steps();
        REQUIRE(save(whole, numbered(100)).has_value());
        const std::size_t steps = whole.steps() - begin;
        REQUIRE(steps >= 3);
        for (std::size_t step = 0; step < steps; ++step) {
            // Nobody reads an unfinished file, whatever else stands there: one case in full will
            // do.
            const std::size_t stride = step > 0 || &before == &befores[2] ? 1 : 29;
            for (std::size_t part = 0; part <= (step == 0 ? octets : 1); part += stride) {
                break_off(before, step, part, End::process, part);
                // What is lost of a few renames is soon exhausted; a tear is lost or not.
                const std::uint64_t seeds = step == 0 ? 2 : 32;
                for (std::uint64_t seed = 0; seed < seeds; ++seed) {
                    break_off(before, step, part, End::power, seed);
                }
            }
        }
    }
}

TEST_CASE("state store: any damaged octet of a generation is a fault and the other one is taken") {
    for (const char* const slot : {"state.a", "state.b"}) {
        MemoryDisk disk{1};
        prepare(disk, {2, {}});
        const std::string good = *disk.peek(slot);
        const unsigned other = std::string_view{slot} == "state.a" ? 2 : 1;
        for (std::size_t at = 0; at < good.size(); ++at) {
            std::string damaged = good;
            damaged[at] = static_cast<char>(damaged[at] ^ 4);
            disk.plant(slot, damaged);
            const FoundState found = load(disk);
            REQUIRE(found.state == numbered(other));
            REQUIRE(found.damage.size() == 1);
            REQUIRE(found.damage.front().starts_with(slot));
            disk.plant(slot, good.substr(0, at));
            REQUIRE(load(disk).damage.size() == 1);
        }
    }
}

TEST_CASE("state store: with both generations damaged there is damage and no state") {
    MemoryDisk disk{1};
    prepare(disk, {2, {"state.a", "state.b"}});
    const FoundState found = load(disk);
    CHECK_FALSE(found.state.has_value());
    REQUIRE(found.damage.size() == 2);
    CHECK(found.damage.front().starts_with("state.a: written by a later version of Swerve"));
}

TEST_CASE("state store: what could not be read is put aside, not written over") {
    MemoryDisk disk{1};
    prepare(disk, {2, {"state.a", "state.b"}});
    StateStore store{disk};
    (void)store.load();
    REQUIRE(store.save(numbered(3)).has_value());
    CHECK(disk.peek("state.a.unread") == later_version());
    CHECK(disk.peek("state.b") == later_version());
    CHECK(load(disk).damage.size() == 1);
    REQUIRE(store.save(numbered(4)).has_value());
    CHECK(disk.peek("state.b.unread") == later_version());
    CHECK(load(disk).damage.empty());
    disk.plant("state.a.unread", std::nullopt);
    REQUIRE(store.save(numbered(5)).has_value());
    CHECK_FALSE(disk.peek("state.a.unread").has_value());
}

TEST_CASE("state store: a full disk is an error, keeps the old state, and is got over") {
    MemoryDisk disk{1};
    prepare(disk, {2, {}});
    StateStore store{disk};
    (void)store.load();
    const std::size_t used = disk.peek("state.a")->size() + disk.peek("state.b")->size();
    for (std::size_t room = used; room < used + 100; ++room) {
        disk.set_room(room);
        const auto saved = store.save(numbered(3));
        REQUIRE_FALSE(saved.has_value());
        REQUIRE(saved.error() == "writing state.tmp: No space left on device");
        const FoundState found = load(disk);
        REQUIRE(found.state == numbered(2));
        REQUIRE(found.damage.empty());
    }
    disk.set_room(std::nullopt);
    REQUIRE(store.save(numbered(4)).has_value());
    CHECK(load(disk).state == numbered(4));
}

TEST_CASE("state store: what could not be read again is not written") {
    MemoryDisk disk{1};
    prepare(disk, {1, {}});
    SavedState twice = numbered(2);
    twice.disabled_neighbors = {"a", "a"};
    const auto saved = save(disk, twice);
    REQUIRE_FALSE(saved.has_value());
    CHECK(saved.error().starts_with("the state cannot be saved: "));
    CHECK(load(disk).state == numbered(1));
}

TEST_CASE("state store: a sign of life counts in its own boot and never shortens") {
    MemoryDisk disk{1};
    StateStore store{disk};
    (void)store.load();
    REQUIRE(store.save(numbered(1)).has_value());
    const TimePoint saved = numbered(1).saved_at;
    REQUIRE(store.alive("boot", saved + Duration{1}).has_value());
    CHECK(load(disk).last_alive == saved + Duration{1});
    REQUIRE(store.alive("boot", saved - Duration{1}).has_value());
    CHECK(load(disk).last_alive == saved);
    REQUIRE(store.alive("another boot", saved + Duration{1}).has_value());
    CHECK(load(disk).last_alive == saved);
}

TEST_CASE("state store: a torn sign of life costs no more than its freshness") {
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        MemoryDisk disk{seed};
        StateStore store{disk};
        (void)store.load();
        REQUIRE(store.save(numbered(1)).has_value());
        const TimePoint saved = numbered(1).saved_at;
        REQUIRE(store.alive("boot", saved + Duration{1'000}).has_value());
        REQUIRE(store.alive("boot", saved + Duration{2'000}).has_value());
        disk.power_lost();
        const FoundState found = load(disk);
        REQUIRE(found.damage.empty());
        REQUIRE((found.last_alive == saved || found.last_alive == saved + Duration{1'000} ||
                 found.last_alive == saved + Duration{2'000}));
    }
}
