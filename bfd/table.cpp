#include "swerve/bfd/table.hpp"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <utility>

#include "swerve/base/overloaded.hpp"

namespace swerve::bfd {
namespace {

constexpr int ttl_sent = 255;

std::size_t index(Discard why) { return static_cast<std::size_t>(why); }

/// RFC 5881 §5: only a packet of our own link can still have 255. RFC 5883 leaves the number for
/// more hops to us: each router on the way takes one.
bool came_too_far(const Datagram& datagram, unsigned hops) {
    if (!datagram.multihop) return datagram.ttl != ttl_sent;
    return datagram.ttl <= ttl_sent - static_cast<int>(hops);
}

}  // namespace

struct Table::Parts {
    /// Whether it is wanted, and if not, how long it stays.
    enum class Stay : std::uint8_t { wanted, until_heard, until_said };

    /// What a report tells of the neighbor's packets: silence has it forgotten.
    struct Heard {
        std::optional<Duration> patience{};  ///< the detection time
        Diagnostic diagnostic = Diagnostic::none;
    };

    struct Entry {
        SessionConfig config;
        Session session;
        TimePoint since;
        Stay stay = Stay::wanted;
        bool is_neighbor_off = false;  ///< as it was told last
        Cause cause = Cause::came_up;
        std::optional<Cause> last_down{};
        SessionCounters counters{};
        std::optional<TimePoint> scheduled{};  ///< as it stands in the deadlines

        [[nodiscard]] Heard heard() const;
        [[nodiscard]] Report report(const Heard& heard) const;
        [[nodiscard]] SessionView view() const;
        [[nodiscard]] bool is_over() const;
    };
    using Entries = std::unordered_map<std::uint32_t, Entry>;

    explicit Parts(std::uint64_t seed) : random(seed) {}

    void open(TimePoint now, SessionConfig config, TableOutput& out);
    void keep(TimePoint now, std::uint32_t id, SessionConfig config, TableOutput& out);
    void send_away(TimePoint now, std::uint32_t id, Stay stay, TableOutput& out);
    void handle(TimePoint now, Entries::iterator entry, const Event& event, TableOutput& out);
    void settle(TimePoint now, Entries::iterator entry, const Heard& before, TableOutput& out);
    void schedule(std::uint32_t id, Entry& entry);
    [[nodiscard]] std::uint32_t draw_discriminator();

    Random random;
    bool held_down = false;
    Entries entries;
    std::map<SessionKey, std::uint32_t> by_key;  ///< without those that another one replaced
    std::set<std::pair<TimePoint, std::uint32_t>> deadlines;
    std::array<std::uint64_t, discard_count> discarded{};
    Actions actions;  ///< of one call; kept for its memory
};

Table::Table(std::uint64_t seed) : parts_(std::make_unique<Parts>(seed)) {}
Table::~Table() = default;

void Table::configure(TimePoint now, std::vector<SessionConfig> wanted, TableOutput& out) {
    std::set<SessionKey> stays;
    for (SessionConfig& config : wanted) {
        if (!stays.insert(config.key).second) continue;
        const auto known = parts_->by_key.find(config.key);
        if (known == parts_->by_key.end()) {
            parts_->open(now, std::move(config), out);
        } else if (parts_->entries.at(known->second).config.authentication ==
                   config.authentication) {
            parts_->keep(now, known->second, std::move(config), out);
        } else {
            const std::uint32_t replaced = known->second;
            parts_->by_key.erase(known);
            parts_->send_away(now, replaced, Parts::Stay::until_said, out);
            parts_->open(now, std::move(config), out);
        }
    }
    std::vector<std::uint32_t> unwanted;
    for (const auto& [key, id] : parts_->by_key) {
        if (!stays.contains(key)) unwanted.push_back(id);
    }
    for (const std::uint32_t id : unwanted) {
        parts_->send_away(now, id, Parts::Stay::until_heard, out);
    }
}

void Table::receive(TimePoint now, const Datagram& datagram, TableOutput& out) {
    // RFC 5880 §6.3 asks for the session by its discriminator, and RFC 5881 §3 and RFC 5883 §4 by
    // the addresses while there is none. Here the addresses must be right in either case, so they
    // come first: then whoever sends to us from elsewhere counts for no session, and what a
    // neighbor does wrong is counted where people look for it.
    const auto known = parts_->by_key.find(SessionKey{
        datagram.local, datagram.remote, std::string{datagram.interface}, datagram.multihop});
    const auto entry =
        known == parts_->by_key.end() ? parts_->entries.end() : parts_->entries.find(known->second);
    const bool is_known = entry != parts_->entries.end();
    auto& discarded = is_known ? entry->second.counters.discarded : parts_->discarded;
    // Of a path whose session nobody knows the number of hops is unknown as well.
    if ((is_known || !datagram.multihop) &&
        came_too_far(datagram, is_known ? entry->second.config.hops : 1)) {
        ++discarded[index(Discard::ttl_too_low)];
        return;
    }
    const auto received = decode(datagram.octets);
    if (!received) {
        ++discarded[index(received.error())];
        return;
    }
    if (!is_known) {
        ++discarded[index(Discard::unknown_discriminator)];
        return;
    }
    Session& session = entry->second.session;
    const Parts::Heard before = entry->second.heard();
    auto& actions = parts_->actions;
    actions.clear();
    session.handle(now, PacketReceived{*received}, actions);
    const bool is_dropped = std::ranges::any_of(
        actions, [](const Action& each) { return std::holds_alternative<Discarded>(each); });
    if (!is_dropped) ++entry->second.counters.received;
    parts_->settle(now, entry, before, out);
}

void Table::tick(TimePoint now, TableOutput& out) {
    auto& deadlines = parts_->deadlines;
    while (!deadlines.empty() && deadlines.begin()->first <= now) {
        const auto entry = parts_->entries.find(deadlines.begin()->second);
        const Parts::Heard before = entry->second.heard();
        parts_->actions.clear();
        entry->second.session.tick(now, parts_->actions);
        parts_->settle(now, entry, before, out);
    }
}

std::optional<TimePoint> Table::next_deadline() const {
    if (parts_->deadlines.empty()) return std::nullopt;
    return parts_->deadlines.begin()->first;
}

void Table::hold_down(TimePoint now, TableOutput& out) {
    parts_->held_down = true;
    for (auto entry = parts_->entries.begin(); entry != parts_->entries.end();) {
        const auto here = entry++;
        parts_->handle(now, here, HoldDown{}, out);
    }
}

bool Table::has_said_farewell() const {
    return std::ranges::all_of(parts_->entries, [](const auto& each) {
        return each.second.stay == Parts::Stay::wanted || each.second.session.has_said_farewell();
    });
}

std::optional<SessionView> Table::view(std::uint32_t session) const {
    const auto entry = parts_->entries.find(session);
    if (entry == parts_->entries.end()) return std::nullopt;
    return entry->second.view();
}

std::vector<SessionView> Table::views() const {
    std::vector<SessionView> out;
    for (const auto& [key, id] : parts_->by_key) {
        const Parts::Entry& entry = parts_->entries.at(id);
        if (entry.stay == Parts::Stay::wanted) out.push_back(entry.view());
    }
    return out;
}

const std::array<std::uint64_t, discard_count>& Table::discarded() const {
    return parts_->discarded;
}

void Table::Parts::open(TimePoint now, SessionConfig config, TableOutput& out) {
    const std::uint32_t id = draw_discriminator();
    by_key.emplace(config.key, id);
    Session session{now, id, config.timing, config.authentication, random.next()};
    const auto entry = entries.emplace(id, Entry{std::move(config), std::move(session), now}).first;
    out.opened.push_back(id);
    // Its owner may remember another session between these ends.
    out.reports.push_back(entry->second.report({}));
    if (held_down) {
        handle(now, entry, HoldDown{}, out);
    } else {
        schedule(id, entry->second);
    }
}

void Table::Parts::keep(TimePoint now, std::uint32_t id, SessionConfig config, TableOutput& out) {
    const auto entry = entries.find(id);
    const bool is_other_owner = entry->second.config.owner != config.owner;
    const bool is_retimed = entry->second.config.timing != config.timing;
    const bool was_going = entry->second.stay != Stay::wanted;
    entry->second.config = std::move(config);
    entry->second.stay = Stay::wanted;
    if (is_retimed) handle(now, entry, Retime{entry->second.config.timing}, out);
    if (was_going) {
        // Its way back to Down is a change that its owner hears of.
        handle(now, entry, Administer{true}, out);
    } else if (is_other_owner) {
        out.reports.push_back(entry->second.report(entry->second.heard()));
    }
}

void Table::Parts::send_away(TimePoint now, std::uint32_t id, Stay stay, TableOutput& out) {
    const auto entry = entries.find(id);
    const bool was_going = entry->second.stay != Stay::wanted;
    entry->second.stay = stay;
    if (was_going) {
        actions.clear();
        settle(now, entry, {}, out);
    } else {
        handle(now, entry, Administer{false}, out);
    }
}

void Table::Parts::handle(TimePoint now, Entries::iterator entry, const Event& event,
                          TableOutput& out) {
    const Heard before = entry->second.heard();
    actions.clear();
    entry->second.session.handle(now, event, actions);
    settle(now, entry, before, out);
}

/// What the session did, and whether it is over. `before` counted until then: it has expired if
/// that is what happened.
void Table::Parts::settle(TimePoint now, Entries::iterator where, const Heard& before,
                          TableOutput& out) {
    const std::uint32_t id = where->first;
    Entry& entry = where->second;
    const bool is_wanted = entry.stay == Stay::wanted;
    const bool is_off = entry.session.is_neighbor_off();
    bool has_news = std::exchange(entry.is_neighbor_off, is_off) != is_off;
    bool has_expired = false;
    for (Action& action : actions) {
        std::visit(Overloaded{[&](Send& send) {
                                  out.transmissions.push_back({id, std::move(send.octets)});
                              },
                              [&](const StateChanged& changed) {
                                  entry.since = now;
                                  entry.cause = changed.cause;
                                  if (changed.from == State::up) {
                                      ++entry.counters.downs;
                                      entry.last_down = changed.cause;
                                  }
                                  has_expired = changed.cause == Cause::detection_time_expired;
                                  has_news = true;
                              },
                              [&](const Discarded& discarded_one) {
                                  ++entry.counters.discarded[index(discarded_one.why)];
                              }},
                   action);
    }
    if (has_news && is_wanted) {
        out.reports.push_back(entry.report(has_expired ? before : entry.heard()));
    }
    if (!entry.is_over()) return schedule(id, entry);
    if (entry.scheduled) deadlines.erase({*entry.scheduled, id});
    const auto named = by_key.find(entry.config.key);
    if (named != by_key.end() && named->second == id) by_key.erase(named);
    entries.erase(where);
    out.closed.push_back(id);
}

void Table::Parts::schedule(std::uint32_t id, Entry& entry) {
    const auto next = entry.session.next_deadline();
    if (next == entry.scheduled) return;
    if (entry.scheduled) {
        auto node = deadlines.extract({*entry.scheduled, id});
        if (next) {
            node.value().first = *next;
            deadlines.insert(std::move(node));
        }
    } else if (next) {
        deadlines.emplace(*next, id);
    }
    entry.scheduled = next;
}

/// RFC 5880 §6.8.1, §10: not 0, of no other session, and nothing that a stranger could know.
std::uint32_t Table::Parts::draw_discriminator() {
    for (;;) {
        const auto id = static_cast<std::uint32_t>(random.next() >> 32U);
        if (id != 0 && !entries.contains(id)) return id;
    }
}

Table::Parts::Heard Table::Parts::Entry::heard() const {
    const auto& neighbor = session.neighbor();
    return {session.detection_time(), neighbor ? neighbor->diagnostic : Diagnostic::none};
}

Report Table::Parts::Entry::report(const Heard& heard) const {
    return {.owner = config.owner,
            .state = session.state(),
            .cause = cause,
            .diagnostic = session.diagnostic(),
            .neighbor_diagnostic = heard.diagnostic,
            .neighbor_admin_down = session.is_neighbor_off(),
            .detection_time = heard.patience.value_or(Duration{})};
}

SessionView Table::Parts::Entry::view() const {
    SessionView out{.config = config,
                    .discriminator = session.discriminator(),
                    .state = session.state(),
                    .since = since,
                    .cause = cause,
                    .last_down = last_down,
                    .diagnostic = session.diagnostic(),
                    .neighbor = session.neighbor(),
                    .transmit_interval = session.transmit_interval(),
                    .detection_time = session.detection_time(),
                    .neighbor_detection_time = std::nullopt,
                    .counters = counters};
    if (out.config.authentication) out.config.authentication->secret.clear();
    if (out.state == State::up && out.transmit_interval) {
        out.neighbor_detection_time = session.timing().multiplier * *out.transmit_interval;
    }
    return out;
}

bool Table::Parts::Entry::is_over() const {
    if (stay == Stay::wanted) return false;
    return (stay == Stay::until_said && session.has_said_farewell()) || !session.next_deadline();
}

}  // namespace swerve::bfd
