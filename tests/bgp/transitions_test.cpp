#include "bgp/transitions.hpp"

#include <doctest/doctest.h>

#include <set>
#include <utility>
#include <vector>

using namespace swerve::bgp;

namespace {

constexpr std::array all_states{State::idle,      State::connect,      State::active,
                                State::open_sent, State::open_confirm, State::established};

}  // namespace

TEST_CASE("transitions: the permitted ones are those of RFC 4271 §8.2.2 and no others") {
    // A row is a state left, a column a state reached: I, C, A, OS, OC, E.
    constexpr std::array<std::array<bool, 6>, 6> expected{{
        {false, true, true, false, false, false},   // Idle
        {true, true, true, true, false, false},     // Connect
        {true, true, false, true, false, false},    // Active
        {true, false, true, false, true, false},    // OpenSent
        {true, false, false, false, false, true},   // OpenConfirm
        {true, false, false, false, false, false},  // Established
    }};
    for (std::size_t from = 0; from < all_states.size(); ++from) {
        for (std::size_t to = 0; to < all_states.size(); ++to) {
            CAPTURE(to_string(all_states[from]));
            CAPTURE(to_string(all_states[to]));
            CHECK(allowed(all_states[from], all_states[to]) == expected[from][to]);
        }
    }
}

TEST_CASE("transitions: each edge is listed once and says what causes it") {
    std::set<std::pair<State, State>> seen;
    for (const Edge& edge : edges) {
        CHECK(seen.emplace(edge.from, edge.to).second);
        CHECK_FALSE(edge.on.empty());
    }
}

TEST_CASE("transitions: every state is reached from Idle") {
    std::set<State> reached{State::idle};
    for (std::size_t round = 0; round < all_states.size(); ++round) {
        for (const Edge& edge : edges) {
            if (reached.contains(edge.from)) reached.insert(edge.to);
        }
    }
    CHECK(reached.size() == all_states.size());
}

TEST_CASE("transitions: states and sides have the names that operators know") {
    CHECK(to_string(State::idle) == "Idle");
    CHECK(to_string(State::connect) == "Connect");
    CHECK(to_string(State::active) == "Active");
    CHECK(to_string(State::open_sent) == "OpenSent");
    CHECK(to_string(State::open_confirm) == "OpenConfirm");
    CHECK(to_string(State::established) == "Established");
    CHECK(to_string(Side::dialled) == "dialled");
    CHECK(to_string(Side::accepted) == "accepted");
}
