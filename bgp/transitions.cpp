#include "bgp/transitions.hpp"

#include <utility>

namespace swerve::bgp {
namespace {

constexpr std::array all_states{State::idle,      State::connect,      State::active,
                                State::open_sent, State::open_confirm, State::established};

/// Every state can be left for Idle at once, so that no error and no operator ever has to wait.
constexpr bool idle_is_one_step_away() {
    return std::ranges::all_of(all_states, [](State state) {
        return state == State::idle || allowed(state, State::idle);
    });
}
static_assert(idle_is_one_step_away());

/// Established is reached over an OPEN and a KEEPALIVE only.
constexpr bool established_is_earned() {
    return std::ranges::none_of(all_states, [](State state) {
        return state != State::open_confirm && allowed(state, State::established);
    });
}
static_assert(established_is_earned());

}  // namespace

std::string_view to_string(State state) {
    switch (state) {
        case State::idle:
            return "Idle";
        case State::connect:
            return "Connect";
        case State::active:
            return "Active";
        case State::open_sent:
            return "OpenSent";
        case State::open_confirm:
            return "OpenConfirm";
        case State::established:
            return "Established";
    }
    std::unreachable();
}

std::string_view to_string(Side side) { return side == Side::dialled ? "dialled" : "accepted"; }

}  // namespace swerve::bgp
