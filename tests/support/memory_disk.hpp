#pragma once
// A disk with all the misfortune of a real one under one seed: it breaks off in the middle of any
// step, tears what was being written, forgets at a power cut what was not synced, and fills up.

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/state/disk.hpp"
#include "swerve/base/random.hpp"

namespace swerve::test {

class MemoryDisk final : public daemon::Disk {
public:
    explicit MemoryDisk(std::uint64_t seed) : random_(seed) {}

    // ---- misfortune --------------------------------------------------------------------------

    /// After `steps` more changing steps the next one is broken off, and nothing works until
    /// process_ended() or power_lost(). `part` is how many octets of a write have come through (for
    /// a rename or a sync: whether it was done at all); absent, the seed says.
    void stop_after(std::size_t steps, std::optional<std::size_t> part = std::nullopt) {
        stop_at_ = steps_ + steps;
        part_ = part;
    }
    [[nodiscard]] bool stopped() const { return stopped_; }
    /// The process is dead (or was never hurt) and another one looks: everything that was handed
    /// over is there.
    void process_ended() {
        stopped_ = false;
        stop_at_.reset();
    }
    /// The machine is dead: of what was not synced any part is gone.
    void power_lost() {
        process_ended();
        for (const Change& change : unsynced_) {
            if (random_.below(2) == 0) continue;
            const auto from = durable_.find(change.from);
            if (from != durable_.end() && from->second == change.file) durable_.erase(from);
            durable_[change.to] = change.file;
        }
        unsynced_.clear();
        current_ = durable_;
        for (const auto& [name, file] : current_) file->octets = file->durable;
    }
    /// Octets that fit in all; nothing: as many as you like.
    void set_room(std::optional<std::size_t> octets) { room_ = octets; }
    /// Puts `octets` there (nothing: removes the file), as if somebody had at night.
    void plant(const std::string& name, std::optional<std::string> octets) {
        current_.erase(name);
        if (octets) current_[name] = std::make_shared<File>(File{*octets, *octets});
        durable_ = current_;
        unsynced_.clear();
    }

    [[nodiscard]] std::optional<std::string> peek(const std::string& name) const {
        const auto found = current_.find(name);
        if (found == current_.end()) return std::nullopt;
        return found->second->octets;
    }
    /// Changing steps so far.
    [[nodiscard]] std::size_t steps() const { return steps_; }

    // ---- Disk --------------------------------------------------------------------------------

    [[nodiscard]] Result<std::optional<std::string>, std::string> read(
        std::string_view name) override {
        if (stopped_) return gone();
        return peek(std::string{name});
    }
    [[nodiscard]] Result<void, std::string> write(std::string_view name,
                                                  std::string_view octets) override {
        if (stopped_) return gone();
        const Turn turn = take_turn(octets.size());
        File& file = create(std::string{name});
        const std::size_t space = room_for(file);
        const std::size_t fits = std::min(turn.part, space);
        if (!turn.broken_off && fits == octets.size()) {
            file.octets = file.durable = octets;
            return {};
        }
        tear(file, octets.substr(0, fits));
        if (turn.broken_off) return gone();
        return fail("writing " + std::string{name} + ": No space left on device");
    }
    [[nodiscard]] Result<void, std::string> scribble(std::string_view name,
                                                     std::string_view octets) override {
        if (stopped_) return gone();
        const Turn turn = take_turn(octets.size());
        File& file = create(std::string{name});
        const std::size_t fits = std::min(turn.part, room_for(file));
        tear(file, octets.substr(0, fits));
        if (turn.broken_off) return gone();
        if (fits < octets.size()) {
            return fail("writing " + std::string{name} + ": No space left on device");
        }
        file.octets = octets;
        return {};
    }
    [[nodiscard]] Result<void, std::string> rename(std::string_view from,
                                                   std::string_view to) override {
        if (stopped_) return gone();
        const Turn turn = take_turn(1);
        const auto source = current_.find(std::string{from});
        if (source == current_.end()) {
            return fail("renaming " + std::string{from} + ": No such file or directory");
        }
        if (turn.part > 0) {
            const FileRef file = source->second;
            current_.erase(source);
            current_[std::string{to}] = file;
            unsynced_.push_back({std::string{from}, std::string{to}, file});
        }
        if (turn.broken_off) return gone();
        return {};
    }
    [[nodiscard]] Result<void, std::string> sync() override {
        if (stopped_) return gone();
        const Turn turn = take_turn(1);
        if (turn.part > 0) {
            durable_ = current_;
            unsynced_.clear();
        }
        if (turn.broken_off) return gone();
        return {};
    }

private:
    struct File {
        std::string octets;   ///< what a process reads
        std::string durable;  ///< what is there after a power cut
    };
    using FileRef = std::shared_ptr<File>;
    using Names = std::map<std::string, FileRef>;
    /// A name that came to stand for `file`, at the cost of `from` (empty: it was created).
    struct Change {
        std::string from;
        std::string to;
        FileRef file;
    };
    struct Turn {
        bool broken_off;
        std::size_t part;  ///< of its size
    };

    [[nodiscard]] static std::unexpected<std::string> gone() {
        return fail(std::string{"the process is no more"});
    }
    [[nodiscard]] Turn take_turn(std::size_t size) {
        if (steps_++ != stop_at_) return {false, size};
        stopped_ = true;
        return {true, std::min(part_ ? *part_ : random_.below(size + 1), size)};
    }
    [[nodiscard]] File& create(const std::string& name) {
        FileRef& file = current_[name];
        if (!file) {
            file = std::make_shared<File>();
            unsynced_.push_back({"", name, file});
        }
        return *file;
    }
    [[nodiscard]] std::size_t room_for(const File& file) const {
        if (!room_) return std::string::npos;
        std::size_t others = 0;
        for (const auto& [name, other] : current_) {
            if (other.get() != &file) others += other->octets.size();
        }
        return *room_ > others ? *room_ - others : 0;
    }
    /// The new octets over the head of the old ones; what of it is durable is left to chance.
    void tear(File& file, std::string_view head) {
        const std::string old = file.octets;
        file.octets = std::string{head} + (old.size() > head.size() ? old.substr(head.size()) : "");
        if (random_.below(2) == 0) {
            file.durable = file.octets.substr(0, random_.below(file.octets.size() + 1));
        }
    }

    Random random_;
    Names current_;
    Names durable_;
    std::vector<Change> unsynced_;  ///< oldest first
    std::size_t steps_ = 0;
    std::optional<std::size_t> stop_at_;
    std::optional<std::size_t> part_;
    bool stopped_ = false;
    std::optional<std::size_t> room_;
};

}  // namespace swerve::test
