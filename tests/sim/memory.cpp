#include "tests/sim/memory.hpp"

#include <algorithm>
#include <utility>

#include "tests/sim/trace.hpp"

namespace swerve::sim {
namespace {

constexpr Duration proven = std::chrono::minutes{10};
constexpr Duration tolerance = std::chrono::milliseconds{1};

bool agree(const std::optional<TimePoint>& a, const std::optional<TimePoint>& b) {
    if (!a || !b) return a.has_value() == b.has_value();
    return std::max(*a, *b) - std::min(*a, *b) <= tolerance;
}

bool agree(const std::map<Subject, Word>& a, const std::map<Subject, Word>& b) {
    return a.size() == b.size() && std::ranges::equal(a, b, [](const auto& one, const auto& two) {
               return one.first == two.first && one.second.kind == two.second.kind &&
                      agree(one.second.until, two.second.until);
           });
}

std::string text(const std::map<Subject, Word>& words, TimePoint now) {
    std::string out;
    for (const auto& [subject, word] : words) {
        const auto* prefix = std::get_if<Prefix>(&subject);
        out +=
            fmt::format(" {} {}", to_string(word.kind),
                        prefix != nullptr ? prefix->to_string() : std::get<std::string>(subject));
        if (word.until)
            out += fmt::format(" for {} ms", (*word.until - now) / std::chrono::milliseconds{1});
    }
    return out.empty() ? " nothing" : out;
}

/// What the configuration has a place for.
std::map<Subject, Word> placed(std::map<Subject, Word> words, const conf::Config& config) {
    std::erase_if(words, [&](const auto& each) {
        if (const auto* prefix = std::get_if<Prefix>(&each.first)) {
            return std::ranges::none_of(
                config.owned, [&](const Prefix& block) { return block.contains(*prefix); });
        }
        return std::ranges::none_of(config.services, [&](const conf::Service& service) {
            return service.name == std::get<std::string>(each.first);
        });
    });
    return words;
}

}  // namespace

// DESIGN.md §4.7: in the same boot the boot clock decides; in a later one the wall clock, which can
// take time away from a word but never add to it.
std::map<Subject, Word> Memory::words_for(const Machine& next) const {
    std::map<Subject, Word> out;
    const Duration by_wall = (next.now + next.wall_offset) - (machine.now + machine.wall_offset);
    for (const auto& [subject, word] : words) {
        Word then = word;
        if (word.until) {
            const Duration left = *word.until - machine.now;
            const Duration gone = next.boot == machine.boot ? next.now - machine.now
                                                            : std::max(by_wall, Duration::zero());
            if (left <= gone) continue;
            then.until = next.now + (left - gone);
        }
        out.emplace(subject, then);
    }
    return out;
}

Memory Memory::begun(const Machine& next) const {
    Memory out = *this;
    if (next.boot != machine.boot) return out;
    out.machine.process_started = next.process_started;
    out.machine.crashes = next.crashes;
    out.clean = false;
    return out;
}

unsigned Memory::crashes_for(TimePoint seen) const {
    if (clean) return 0;
    return std::max(seen, machine.now) - machine.process_started >= proven ? 1
                                                                           : machine.crashes + 1;
}

void Notebook::saved(Memory memory) {
    saved_.push_back(std::move(memory));
    // Which of the two a damaged one was is not known here.
    while (saved_.size() > (damaged_.empty() ? 2U : 3U)) saved_.pop_front();
    torn_before_ = std::exchange(torn_, {});
    damaged_.clear();
}

std::optional<Memory> Notebook::recall(const Machine& machine, const failover::Restored& restored,
                                       const std::map<Subject, Word>& words,
                                       const conf::Config& config) {
    const bool both_damaged = damaged_.size() == 2;
    const bool one_damaged = damaged_.size() == 1;
    const bool all_lost = both_damaged || (one_damaged && saved_.size() < 2);
    if (restored.drain_all) {
        if (!all_lost) violate("P1", "everything is drained though a generation is whole");
        saved_.clear();
        return std::nullopt;
    }
    std::vector<Memory> candidates(saved_.rbegin(), saved_.rend());
    if (both_damaged) {
        if (torn_.empty()) violate("P1", "the state is lost, and the site does not start drained");
        candidates.clear();
    }
    if (!one_damaged && !candidates.empty()) candidates.resize(1, candidates.front());
    // One that was broken off may have been in place already, and each of them may be the newest.
    if (one_damaged) {
        candidates.insert(candidates.end(), torn_before_.begin(), torn_before_.end());
    }
    candidates.insert(candidates.end(), torn_.begin(), torn_.end());
    const std::set<std::string> disabled(restored.disabled_neighbors.begin(),
                                         restored.disabled_neighbors.end());
    std::optional<std::string> miscounted;
    std::optional<Memory> found;
    for (const Memory& each : candidates) {
        if (!agree(placed(each.words_for(machine), config), words)) continue;
        if (each.disabled != disabled) continue;
        const auto fault = hold_fault(each, restored);
        if (fault) {
            miscounted = fault;
        } else if (!found) {
            found = each;
        } else {
            // Nothing tells them apart, so either may be what was read.
            found->passing.insert(each.passing.begin(), each.passing.end());
            found->upstreams.forget();
        }
    }
    if (found) return found;
    const bool may_be_first = saved_.empty() && !both_damaged;
    if (may_be_first && words.empty() && restored.crashes == 0) return std::nullopt;
    if (miscounted) violate("P2", "{}", *miscounted);
    if (candidates.empty()) violate("P1", "words out of nowhere:{}", text(words, machine.now));
    violate("P1", "after the restart there is in force:{}, disabled [{}]; saved was:{}, [{}]",
            text(words, machine.now), fmt::join(disabled, " "),
            text(placed(candidates.front().words_for(machine), config), machine.now),
            fmt::join(candidates.front().disabled, " "));
}

// A crash loop must not become a flap: from the third end in a row on announcements wait.
std::optional<std::string> Notebook::hold_fault(const Memory& from,
                                                const failover::Restored& restored) const {
    const unsigned most = from.crashes_for(from.machine.now);
    const unsigned least = from.crashes_for(died_.value_or(from.machine.now));
    if (restored.crashes < std::min(least, most) || restored.crashes > std::max(least, most)) {
        return fmt::format("{} unexpected ends in a row are taken for {}", most, restored.crashes);
    }
    if (restored.hold_until.has_value() != (restored.crashes >= 3)) {
        return fmt::format("after {} unexpected ends in a row announcements {}", restored.crashes,
                           restored.hold_until ? "wait" : "do not wait");
    }
    return std::nullopt;
}

}  // namespace swerve::sim
