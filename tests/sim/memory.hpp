#pragma once
// What a daemon's state file ought to hold, and what its next life must make of it.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "swerve/conf/config.hpp"
#include "swerve/failover/saved_state.hpp"
#include "swerve/failover/site.hpp"
#include "tests/sim/upstream.hpp"

namespace swerve::sim {

using Subject = std::variant<std::string, Prefix>;  ///< service or prefix

struct Word {
    failover::OverrideKind kind;
    std::optional<TimePoint> until{};  ///< on the world's clock

    friend bool operator==(const Word&, const Word&) = default;
};

/// The host at some moment, on the world's clock.
struct Machine {
    TimePoint now;
    Duration since_boot;   ///< what its boot clock is behind the world's
    Duration wall_offset;  ///< of its wall clock against the world's
    unsigned boot;         ///< counts boots
    TimePoint process_started;
    unsigned crashes;  ///< in a row before this process
};

/// What one save wrote down.
struct Memory {
    Machine machine;
    bool clean = false;
    std::map<Subject, Word> words{};
    std::set<std::string> disabled{};                    ///< neighbors
    std::map<std::string, health::ProbeSpec> passing{};  ///< checks that may have passed
    std::shared_ptr<const conf::Config> config{};
    Upstreams upstreams{};  ///< what they had been told

    /// The words that a process which starts on this machine must know.
    [[nodiscard]] std::map<Subject, Word> words_for(const Machine& next) const;
    /// What a process that has read this writes down before it does anything else.
    [[nodiscard]] Memory begun(const Machine& next) const;
    /// Crashes in a row when the process was last seen alive at `seen`.
    [[nodiscard]] unsigned crashes_for(TimePoint seen) const;
};

/// What was saved, and what became of it on the disk.
class Notebook {
public:
    void saved(Memory memory);
    void torn(Memory memory) { torn_.push_back(std::move(memory)); }
    /// Somebody overwrote this generation.
    void damaged(const std::string& slot) { damaged_.insert(slot); }
    void died(TimePoint now) { died_ = now; }

    /// Compares the words a new process has with what may have been read; returns which memory
    /// that was (none: the first boot, or all is lost). P1 when it is none of them.
    [[nodiscard]] std::optional<Memory> recall(const Machine& machine,
                                               const failover::Restored& restored,
                                               const std::map<Subject, Word>& words,
                                               const conf::Config& config);
    [[nodiscard]] std::optional<TimePoint> died() const { return died_; }

private:
    /// How the crashes that were counted differ from those that `from` says; nothing: they do not.
    [[nodiscard]] std::optional<std::string> hold_fault(const Memory& from,
                                                        const failover::Restored& restored) const;

    std::deque<Memory> saved_;         ///< newest last: two, and one more if either is damaged
    std::vector<Memory> torn_;         ///< of saves that were broken off behind the newest
    std::vector<Memory> torn_before_;  ///< … in front of it
    std::set<std::string> damaged_;    ///< generations, since the last save
    std::optional<TimePoint> died_;
};

}  // namespace swerve::sim
