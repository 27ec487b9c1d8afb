// Where this session departs from RFC 5880 or chooses: it is always active; it has no echo and no
// demand mode of its own; what it sends at once (a final, a change of state) is bounded in its
// rate, and so is what a neighbor's packets change; AdminDown is said three times in a row, faster
// than §6.8.3 and the neighbor's interval (§6.8.7) allow, for often no more is said after it.

#include "swerve/bfd/session.hpp"

#include <algorithm>
#include <utility>

#include "swerve/base/overloaded.hpp"

namespace swerve::bfd {
namespace {

using std::chrono::microseconds;

/// RFC 5880 §6.8.3: as long as it is not Up, a system sends no faster than this.
constexpr Duration slow = std::chrono::seconds{1};
/// A neighbor that wants a packet an hour does not keep us for hours.
constexpr Duration longest_farewell = std::chrono::minutes{1};
/// How often AdminDown is said in a row: one datagram is easily lost.
constexpr int farewells_in_a_row = 3;

std::uint32_t on_wire(Duration interval) {
    const auto count = std::chrono::duration_cast<microseconds>(interval).count();
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(count, 0, 0xffff'ffff));
}

Duration from_wire(std::uint32_t interval_us) { return microseconds{interval_us}; }

}  // namespace

Session::Session(TimePoint now, std::uint32_t discriminator, Timing timing,
                 std::optional<Authentication> authentication, std::uint64_t seed)
    : discriminator_(discriminator),
      timing_(timing),
      authentication_(std::move(authentication)),
      random_(seed),
      sequence_(static_cast<std::uint32_t>(random_.next())) {
    set_intervals();
    counted_tx_ = desired_tx_;
    counted_rx_ = required_rx_;
    deadlines_.set(Timer::transmit, now);
}

void Session::handle(TimePoint now, const Event& event, Actions& out) {
    std::visit([&](const auto& what) { on(now, what, out); }, event);
}

void Session::on(TimePoint now, const PacketReceived& event, Actions& out) {
    const Packet& packet = event.received.packet;
    auto refused = refuse(event.received);
    if (!refused) refused = authenticate(now, event.received);
    if (refused) {
        out.push_back(Discarded{*refused});
        return;
    }
    // RFC 5880 §6.8.6: what an own AdminDown leaves is to drop it.
    if (state_ == State::admin_down) return;
    // Each way down and each AdminDown has a way up before it: who forges both without end is held
    // back here, and a true way down is not.
    if (is_way_up(packet) && now < changes_.earliest()) return;
    const State before = state_;
    const bool was_off = std::exchange(neighbor_off_, packet.state == State::admin_down);
    take_values(now, packet);
    follow(now, packet, out);
    if (state_ != before || neighbor_off_ != was_off) changes_.take(now);
    if (packet.poll && now >= urgent_.earliest()) {
        // RFC 5880 §6.5: without delay, whatever the transmit timer says, and it is not touched.
        urgent_.take(now);
        send(true, out);
    }
}

std::optional<Discard> Session::refuse(const Received& received) const {
    const Packet& packet = received.packet;
    if (packet.your_discriminator != 0 && packet.your_discriminator != discriminator_) {
        return Discard::unknown_discriminator;
    }
    if (!authentication_ && !received.authentication.empty()) {
        return Discard::authentication_unexpected;
    }
    return std::nullopt;
}

std::optional<Discard> Session::authenticate(TimePoint now, const Received& received) {
    if (!authentication_) return std::nullopt;
    const auto sequence = verify(received, *authentication_);
    if (!sequence) return sequence.error();
    if (authentication_->type == AuthType::simple_password) return std::nullopt;
    if (neighbor_sequence_ && now <= sequence_counts_until_) {
        // RFC 5880 §6.7.4, meticulous: each number once, and in a circle.
        const std::uint32_t ahead = *sequence - *neighbor_sequence_;
        if (ahead == 0 || ahead > 3U * received.packet.detect_multiplier) {
            return Discard::sequence_out_of_window;
        }
    }
    neighbor_sequence_ = *sequence;
    // RFC 5880 §6.8.1: after twice the detection time without packets, any number is fresh.
    sequence_counts_until_ = now + 2 * silence_allowed(received.packet);
    return std::nullopt;
}

/// Whether it may lead out of Down, or takes an AdminDown back.
bool Session::is_way_up(const Packet& packet) const {
    return state_ == State::down && packet.state != State::admin_down &&
           (packet.state != State::up || neighbor_off_);
}

void Session::take_values(TimePoint now, const Packet& packet) {
    const auto before = transmit_interval();
    neighbor_ = packet;
    neighbor_discriminator_ = packet.my_discriminator;
    if (packet.final && polling_ && asked_at_) end_poll(now);
    const auto detection = detection_time();
    deadlines_.set(Timer::detect, now + *detection);
    // Other values take effect from the last packet on; the same ones leave the timer alone, or a
    // talkative neighbor would silence us.
    if (transmit_interval() != before) arm_transmit(last_sent_);
}

/// RFC 5880 §6.8.6, the state machine.
void Session::follow(TimePoint now, const Packet& packet, Actions& out) {
    if (packet.state == State::admin_down) {
        if (state_ != State::down) {
            enter(now, State::down, Diagnostic::neighbor_signaled_down, Cause::neighbor_admin_down,
                  out);
        }
        return;
    }
    if (held_down_) return;
    switch (state_) {
        case State::down:
            if (packet.state == State::down) {
                enter(now, State::init, diagnostic_, Cause::neighbor_agrees, out);
            } else if (packet.state == State::init) {
                enter(now, State::up, Diagnostic::none, Cause::came_up, out);
            }
            break;
        case State::init:
            if (packet.state != State::down) {
                enter(now, State::up, Diagnostic::none, Cause::came_up, out);
            }
            break;
        case State::up:
            if (packet.state == State::down) {
                enter(now, State::down, Diagnostic::neighbor_signaled_down,
                      Cause::neighbor_signaled_down, out);
            }
            break;
        case State::admin_down:
            break;
    }
}

void Session::on(TimePoint now, const Retime& event, Actions& out) {
    if (event.timing == timing_) return;
    timing_ = event.timing;
    if (state_ != State::up) {
        set_intervals();
        counted_tx_ = desired_tx_;
        counted_rx_ = required_rx_;
        if (state_ != State::admin_down) hasten_transmit();
        return;
    }
    if (polling_ || deadlines_.armed(Timer::next_poll)) return;
    if (begin_poll() && !is_silent()) send_and_rearm(now, out);
}

void Session::on(TimePoint now, const Administer& event, Actions& out) {
    if (event.up == (state_ != State::admin_down)) return;
    if (event.up) {
        deadlines_.clear(Timer::farewell);
        neighbor_.reset();
        neighbor_discriminator_ = 0;
        enter(now, State::down, Diagnostic::none, Cause::admin_down, out);
        return;
    }
    // RFC 5880 §6.8.16: for a detection time of the neighbor's, so that it is heard.
    const Duration said = timing_.multiplier * transmit_interval().value_or(slow);
    enter(now, State::admin_down, Diagnostic::administratively_down, Cause::admin_down, out);
    deadlines_.set(Timer::farewell,
                   now + std::max(std::min(said, longest_farewell), timing_.multiplier * slow));
}

void Session::on(TimePoint now, const HoldDown& /*event*/, Actions& out) {
    held_down_ = true;
    if (state_ == State::admin_down || state_ == State::down) return;
    enter(now, State::down, Diagnostic::path_down, Cause::path_down, out);
}

void Session::tick(TimePoint now, Actions& out) {
    if (deadlines_.take_expired(Timer::detect, now)) {
        // First, so that the neighbor is told by name.
        if (state_ == State::init || state_ == State::up) {
            enter(now, State::down, Diagnostic::detection_time_expired,
                  Cause::detection_time_expired, out);
        }
        // RFC 5880 §6.8.1: bfd.RemoteDiscr is 0 again after a detection time of silence.
        neighbor_.reset();
        neighbor_discriminator_ = 0;
        // The interval that it wanted counts no more either.
        hasten_transmit();
    }
    if (deadlines_.take_expired(Timer::farewell, now)) deadlines_.clear(Timer::transmit);
    if (deadlines_.take_expired(Timer::next_poll, now) && begin_poll() && !is_silent()) {
        send_and_rearm(now, out);
    }
    if (deadlines_.take_expired(Timer::transmit, now)) send_and_rearm(now, out);
}

/// The one door of every transition.
void Session::enter(TimePoint now, State to, Diagnostic diagnostic, Cause cause, Actions& out) {
    const State from = state_;
    state_ = to;
    diagnostic_ = diagnostic;
    polling_ = false;
    asked_at_.reset();
    farewells_ = 0;
    deadlines_.clear(Timer::next_poll);
    set_intervals();
    if (to == State::up) {
        // RFC 5880 §6.8.3: faster than slow from here on, which the neighbor is asked to confirm.
        counted_tx_ = desired_tx_;
        counted_rx_ = std::max(counted_rx_, required_rx_);
        polling_ = true;
    } else {
        counted_tx_ = desired_tx_;
        counted_rx_ = required_rx_;
    }
    if (to == State::admin_down) deadlines_.clear_all();
    out.push_back(StateChanged{from, to, diagnostic_, cause});
    // The neighbor learns it now, not at the next interval. Whoever forges packets gets no answer
    // to each of them, nor does he hold back what we do on our own.
    if (is_silent()) return;
    const bool is_ours = cause == Cause::admin_down || cause == Cause::path_down;
    if (is_ours || now >= urgent_.earliest()) {
        urgent_.take(now);
        send_and_rearm(now, out);
    } else {
        deadlines_.set(Timer::transmit, urgent_.earliest());
    }
}

void Session::set_intervals() {
    desired_tx_ = state_ == State::up ? timing_.min_tx : std::max(timing_.min_tx, slow);
    required_rx_ = timing_.min_rx;
}

/// Whether there is something to ask for; the multiplier alone asks no poll.
bool Session::begin_poll() {
    const Duration tx = desired_tx_;
    const Duration rx = required_rx_;
    set_intervals();
    if (desired_tx_ == tx && required_rx_ == rx) return false;
    counted_tx_ = std::min(counted_tx_, desired_tx_);
    counted_rx_ = std::max(counted_rx_, required_rx_);
    polling_ = true;
    asked_at_.reset();
    return true;
}

/// A final names no poll, and each of its packets is answered: answers to this one come for as long
/// again as it took, and would be taken for those to the next, which waits until then.
void Session::end_poll(TimePoint now) {
    polling_ = false;
    counted_tx_ = desired_tx_;
    counted_rx_ = required_rx_;
    deadlines_.set(Timer::next_poll, now + (now - *asked_at_));
}

bool Session::has_said_farewell() const {
    return state_ == State::admin_down && (farewells_ >= farewells_in_a_row || is_silent());
}

/// Whether nothing is sent but what is asked for.
bool Session::is_silent() const {
    if (!neighbor_) return false;
    // RFC 5880 §6.8.7: it wants none, or it is sure of the path by other means.
    const bool demands =
        neighbor_->demand && state_ == State::up && neighbor_->state == State::up && !polling_;
    return neighbor_->required_min_rx_us == 0 || demands;
}

std::optional<Duration> Session::transmit_interval() const {
    if (is_silent()) return std::nullopt;
    const Duration theirs = neighbor_ ? from_wire(neighbor_->required_min_rx_us) : microseconds{1};
    return std::max(counted_tx_, theirs);
}

std::optional<Duration> Session::detection_time() const {
    if (!neighbor_) return std::nullopt;
    return silence_allowed(*neighbor_);
}

/// RFC 5880 §6.8.4: their multiplier, and the slower of what we take and what they want.
Duration Session::silence_allowed(const Packet& packet) const {
    return packet.detect_multiplier * std::max(counted_rx_, from_wire(packet.desired_min_tx_us));
}

void Session::send(bool is_answer, Actions& out) {
    const Packet packet{.diagnostic = diagnostic_,
                        .state = state_,
                        .poll = polling_ && !is_answer,
                        .final = is_answer,
                        .detect_multiplier = timing_.multiplier,
                        .my_discriminator = discriminator_,
                        .your_discriminator = neighbor_discriminator_,
                        .desired_min_tx_us = on_wire(desired_tx_),
                        .required_min_rx_us = on_wire(required_rx_)};
    out.push_back(Send{encode(packet, authentication_ ? &*authentication_ : nullptr, ++sequence_)});
}

void Session::send_and_rearm(TimePoint now, Actions& out) {
    send(false, out);
    if (polling_ && !asked_at_) asked_at_ = now;
    last_sent_ = now;
    if (state_ == State::admin_down && ++farewells_ < farewells_in_a_row) {
        deadlines_.set(Timer::transmit, now + EventRate::gap);
    } else {
        arm_transmit(now);
    }
}

void Session::arm_transmit(TimePoint from) {
    const auto interval = transmit_interval();
    if (!interval) {
        deadlines_.clear(Timer::transmit);
        return;
    }
    // RFC 5880 §6.8.7: a quarter less at most; at a multiplier of 1 a tenth less at least, for one
    // late packet would be one lost packet.
    Duration whole = *interval;
    unsigned least = 75;
    if (timing_.multiplier == 1) {
        whole = whole * 9 / 10;
        least = 84;
    }
    deadlines_.set(Timer::transmit, from + random_.shortened(whole, least));
}

/// To where the interval is now, if that is sooner; what is due before may be news.
void Session::hasten_transmit() {
    const auto due = deadlines_.get(Timer::transmit);
    arm_transmit(last_sent_);
    if (due && deadlines_.armed(Timer::transmit)) {
        deadlines_.set(Timer::transmit, std::min(*due, *deadlines_.get(Timer::transmit)));
    }
}

std::string_view to_string(Cause cause) {
    switch (cause) {
        case Cause::came_up:
            return "came_up";
        case Cause::neighbor_agrees:
            return "neighbor_agrees";
        case Cause::detection_time_expired:
            return "detection_time_expired";
        case Cause::neighbor_signaled_down:
            return "neighbor_signaled_down";
        case Cause::neighbor_admin_down:
            return "neighbor_admin_down";
        case Cause::admin_down:
            return "admin_down";
        case Cause::path_down:
            break;
    }
    return "path_down";
}

}  // namespace swerve::bfd
