#include "tests/sim/bfd_side.hpp"

#include <algorithm>
#include <utility>

namespace swerve::sim {
namespace {

/// What a socket keeps for a process that stands still.
constexpr std::size_t socket_buffer = 100;
/// How late a timer is, and how long a post takes.
constexpr Duration longest_lateness = milliseconds{1};

}  // namespace

void BfdSide::attach(Link& link, const std::string& name, const bfd::SessionKey& key) {
    paths_.push_back({&link, name, key});
}

bool BfdSide::is_attached(const Link& link) const {
    return std::ranges::any_of(paths_, [&](const Path& each) { return each.link == &link; });
}

const BfdSide::Path* BfdSide::path_of(const bfd::SessionKey& key) const {
    const auto found = std::ranges::find(paths_, key, &Path::key);
    return found == paths_.end() ? nullptr : &*found;
}

void BfdSide::begin(Duration since_boot, Hooks hooks) {
    if (paths_.empty()) return;
    since_boot_ = since_boot;
    hooks_ = std::move(hooks);
    ++life_;
    paused_ = false;
    table_ = std::make_unique<bfd::Table>(random_.next());
    for (const Path& path : paths_) {
        witness_.began(*path.link, path.link->side_of(self_), path.name);
    }
}

void BfdSide::end() {
    if (!table_) return;
    ++life_;
    ++arming_;
    armed_.reset();
    table_.reset();
    sessions_.clear();
    owners_.clear();
    waiting_.clear();
    orders_.clear();
    stopped_ = {};
    for (const Path& path : paths_) witness_.ended(*path.link, path.link->side_of(self_));
}

void BfdSide::pause(bool paused) {
    if (!table_ || std::exchange(paused_, paused) == paused) return;
    for (const Path& path : paths_) witness_.paused(*path.link, path.link->side_of(self_), paused);
    if (paused) return;
    const bool orders_first = chance(random_, 50);
    const auto obey = [&] {
        for (const auto& order : std::exchange(orders_, {})) order();
    };
    if (orders_first) obey();
    for (const auto& [link, letter] : std::exchange(waiting_, {})) hand_in(*link, letter);
    if (!orders_first) obey();
    tick();
}

/// Posts come in the order in which they were made.
TimePoint BfdSide::post_at() {
    const TimePoint at = timeline_.now() + between(random_, Duration{0}, longest_lateness);
    return last_post_ = std::max(last_post_, at);
}

void BfdSide::run(std::function<void()> order) {
    timeline_.at(post_at(), [this, life = life_, order = std::move(order)]() mutable {
        if (life != life_) return;
        if (paused_) {
            orders_.push_back(std::move(order));
        } else {
            order();
            arm();
        }
    });
}

void BfdSide::configure(std::vector<bfd::SessionConfig> wanted) {
    if (!table_) return;
    run([this, moved = std::move(wanted)] { apply(moved); });
}

void BfdSide::apply(const std::vector<bfd::SessionConfig>& wanted) {
    for (const Path& path : paths_) {
        const auto found = std::ranges::find(wanted, path.key, &bfd::SessionConfig::key);
        witness_.wants(*path.link, path.link->side_of(self_),
                       found == wanted.end() ? nullptr : &*found);
        if (found != wanted.end()) owners_[found->owner] = &path;
    }
    wanted_ = wanted;
    bfd::TableOutput out;
    table_->configure(clock(), wanted, out);
    carry_out(out);
}

void BfdSide::stop(std::function<void()> done) {
    if (!table_) return done();
    run([this, moved = std::move(done)] {
        stopped_ = moved;
        apply({});
    });
}

void BfdSide::say_farewell() {
    if (table_ && !paused_) apply({});
}

void BfdSide::hold_down() {
    if (!table_ || paused_) return;
    bfd::TableOutput out;
    table_->hold_down(clock(), out);
    carry_out(out);
    arm();
}

void BfdSide::receive(Link& link, Letter letter) {
    if (!table_) return;
    if (paused_) {
        if (waiting_.size() < socket_buffer) waiting_.push_back({&link, std::move(letter)});
        return;
    }
    hand_in(link, letter);
    arm();
}

void BfdSide::hand_in(Link& link, const Letter& letter) {
    const auto path = std::ranges::find(paths_, &link, &Path::link);
    if (path == paths_.end()) return;
    const std::size_t end = link.side_of(self_);
    if (!letter.forged) witness_.arrived(link, end, letter.octets);
    bfd::TableOutput out;
    table_->receive(clock(),
                    {.octets = letter.octets,
                     .local = path->key.local,
                     .remote = path->key.remote,
                     .interface = path->key.interface,
                     .multihop = path->key.multihop,
                     .ttl = letter.ttl},
                    out);
    if (letter.forged) witness_.forged(link, end, out);
    carry_out(out);
}

void BfdSide::carry_out(const bfd::TableOutput& out) {
    for (const std::uint32_t id : out.opened) {
        const auto view = table_->view(id);
        if (!view) continue;
        // A view does not have the secret.
        const auto config = std::ranges::find(wanted_, view->config.key, &bfd::SessionConfig::key);
        sessions_.insert_or_assign(id, Session{path_of(view->config.key), *config});
    }
    for (const bfd::Report& report : out.reports) {
        const Path& path = *owners_.at(report.owner);
        witness_.reported(*path.link, path.link->side_of(self_), report);
    }
    for (const auto& [id, octets] : out.transmissions) {
        const auto& [path, config] = sessions_.at(id);
        if (octets.size() > 1 && octets[1] >> 6U == 0) hooks_.admin_down(*path->link, config);
        witness_.sent(*path->link, path->link->side_of(self_), octets);
        network_.post(*path->link, self_, octets);
    }
    for (const bfd::Report& report : out.reports) {
        timeline_.at(post_at(), [this, life = life_, report] {
            if (life == life_) hooks_.report(report);
        });
    }
    for (const std::uint32_t id : out.closed) sessions_.erase(id);
    if (stopped_ && table_->has_said_farewell()) std::exchange(stopped_, {})();
}

void BfdSide::tick() {
    bfd::TableOutput out;
    table_->tick(clock(), out);
    if (const auto next = table_->next_deadline(); next && *next <= clock()) {
        violate("S8", "a deadline of BFD stays in the past");
    }
    carry_out(out);
    arm();
}

void BfdSide::arm() {
    if (!table_) return;
    auto next = table_->next_deadline();
    if (next) *next += since_boot_;
    if (next == armed_) return;
    armed_ = next;
    ++arming_;
    if (!next) return;
    const Duration late = between(random_, Duration{0}, longest_lateness);
    timeline_.at(*next + late, [this, arming = arming_] {
        if (arming != arming_ || !table_) return;
        armed_.reset();
        if (!paused_) tick();
    });
}

}  // namespace swerve::sim
