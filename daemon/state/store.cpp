#include "daemon/state/store.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "daemon/state/codec.hpp"

namespace swerve::daemon {
namespace {

constexpr std::array<const char*, 2> slots{"state.a", "state.b"};
constexpr const char* unfinished = "state.tmp";
constexpr const char* alive_name = "alive";

}  // namespace

failover::FoundState StateStore::load() {
    failover::FoundState found;
    std::array<bool, 2> missing{};
    std::optional<std::size_t> newest;
    for (std::size_t slot = 0; slot < slots.size(); ++slot) {
        auto octets = disk_.read(slots[slot]);
        missing[slot] = octets && !*octets;
        if (missing[slot]) continue;
        auto generation = octets ? decode(**octets) : fail(std::move(octets).error());
        unreadable_[slot] = !generation;
        if (!generation) {
            found.damage.push_back(std::string{slots[slot]} + ": " + generation.error());
        } else if (!newest || generation->sequence > sequence_) {
            newest = slot;
            sequence_ = generation->sequence;
            found.state = std::move(generation->state);
        }
    }
    // Without a whole generation an unreadable one stays beside the first new one: a site that lost
    // its state must not look like one that never had any, whenever writing breaks off.
    next_ = newest ? 1 - *newest : !missing[0] && missing[1] ? 1 : 0;
    if (!found.state) return found;

    found.last_alive = found.state->saved_at;
    if (const auto octets = disk_.read(alive_name); octets && *octets) {
        const auto sign = decode_sign_of_life(**octets);
        if (sign && sign->boot_id == found.state->boot_id) {
            found.last_alive = std::max(sign->at, found.state->saved_at);
        }
    }
    return found;
}

Result<void, std::string> StateStore::save(const failover::SavedState& state) {
    const std::string octets = encode(Generation{sequence_ + 1, state});
    // What could not be read again must not take the place of what can.
    if (const auto readable = decode(octets); !readable) {
        return fail("the state cannot be saved: " + readable.error());
    }
    const std::string name = slots[next_];
    if (auto written = disk_.write(unfinished, octets); !written) return written;
    if (unreadable_[next_]) {
        if (auto aside = disk_.rename(name, name + ".unread"); !aside) return aside;
        unreadable_[next_] = false;
    }
    if (auto placed = disk_.rename(unfinished, name); !placed) return placed;
    if (auto synced = disk_.sync(); !synced) return synced;
    ++sequence_;
    next_ = 1 - next_;
    return {};
}

Result<void, std::string> StateStore::alive(const std::string& boot_id, TimePoint now) {
    return disk_.scribble(alive_name, encode(SignOfLife{boot_id, now}));
}

}  // namespace swerve::daemon
