#include "tests/sim/bfd_witness.hpp"

#include <algorithm>

namespace swerve::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr unsigned up = 3;
/// How late a loop may be.
constexpr Duration slack = milliseconds{5};
/// How long a datagram may have been under way on a link that does not delay more than usual.
constexpr Duration longest_delay = milliseconds{40};

/// The same on any link.
constexpr Duration longest_way = std::chrono::seconds{3};

constexpr const char* states[] = {"AdminDown", "Down", "Init", "Up"};

std::uint32_t u32(ByteView octets, std::size_t at) {
    return static_cast<std::uint32_t>(octets[at]) << 24U |
           static_cast<std::uint32_t>(octets[at + 1]) << 16U |
           static_cast<std::uint32_t>(octets[at + 2]) << 8U | octets[at + 3];
}

long long ms(Duration span) { return static_cast<long long>(span / milliseconds{1}); }

}  // namespace

BfdWords read_bfd(ByteView octets) {
    constexpr std::size_t mandatory = 24;
    if (octets.size() < mandatory || octets[0] >> 5U != 1 || octets[3] != octets.size()) {
        violate("S10", "a BFD packet of {} octets is none of version 1", octets.size());
    }
    const bool authenticated = (octets[1] & 4U) != 0;
    if ((octets[1] & 3U) != 0 || octets[2] == 0 || u32(octets, 4) == 0 ||
        authenticated != (octets.size() > mandatory)) {
        violate("S10", "a BFD packet that RFC 5880 §6.8.6 makes everybody discard");
    }
    BfdWords out{.state = static_cast<unsigned>(octets[1] >> 6U),
                 .poll = (octets[1] & 0x20U) != 0,
                 .final = (octets[1] & 0x10U) != 0,
                 .multiplier = octets[2],
                 .my = u32(octets, 4),
                 .your = u32(octets, 8),
                 .desired_us = u32(octets, 12),
                 .required_us = u32(octets, 16)};
    if (out.poll && out.final) violate("S10", "a BFD packet is a poll and a final");
    if (octets.size() == mandatory + 28 && octets[mandatory] == 5) {
        out.sequence = u32(octets, mandatory + 4);
    }
    return out;
}

const BfdWitness::End* BfdWitness::find(const Link& link, std::size_t end) const {
    const auto found = ends_.find(&link);
    return found == ends_.end() ? nullptr : &found->second[end];
}

void BfdWitness::began(const Link& link, std::size_t end, const std::string& name) {
    at(link, end) = {.name = name, .runs = true, .runs_since = now()};
}

void BfdWitness::ended(const Link& link, std::size_t end) {
    End& own = at(link, end);
    own = {.name = own.name, .watch = own.watch + 1};
}

void BfdWitness::paused(const Link& link, std::size_t end, bool paused) {
    End& own = at(link, end);
    own.runs = !paused;
    own.runs_since = now();
    if (!paused && own.up) watch(link, end);
}

void BfdWitness::wants(const Link& link, std::size_t end, const bfd::SessionConfig* config) {
    End& own = at(link, end);
    if (config == nullptr) {
        own.wanted.reset();
        return;
    }
    if (own.wanted && own.wanted->authentication != config->authentication) own.key_since = now();
    own.wanted = *config;
    take_timing(own);
    if (own.said) own.gap = std::max(own.gap, longest_gap(own));
}

void BfdWitness::take_timing(End& end) {
    if (!end.wanted) return;
    const bfd::Timing& timing = end.wanted->timing;
    end.required.insert(static_cast<std::uint32_t>(timing.min_rx / microseconds{1}));
    end.desired.insert(static_cast<std::uint32_t>(timing.min_tx / microseconds{1}));
}

/// RFC 5880 §6.8.4.
Duration BfdWitness::detection(const End& end, bool longest) {
    if (end.heard.empty() || end.required.empty()) return Duration{};
    const std::uint32_t own = longest ? *end.required.rbegin() : end.confirmed;
    const auto of = [&](const BfdWords& words) {
        return words.multiplier * Duration{microseconds{std::max(own, words.desired_us)}};
    };
    Duration out = of(end.heard.front());
    for (const BfdWords& words : end.heard) {
        out = longest ? std::max(out, of(words)) : std::min(out, of(words));
    }
    return out;
}

/// RFC 5880 §6.8.7.
Duration BfdWitness::longest_gap(const End& end) {
    std::uint32_t out = end.desired.empty() ? 0 : *end.desired.rbegin();
    for (const BfdWords& words : end.heard) out = std::max(out, words.required_us);
    return microseconds{out};
}

void BfdWitness::sent(const Link& link, std::size_t end, ByteView octets) {
    End& own = at(link, end);
    const BfdWords words = read_bfd(octets);
    ++tally_["BFD packets"];
    trace_.detail(now(), "{}: BFD {} {:08x} {:08x} {} {} {}{}{}", own.name, states[words.state],
                  words.my, words.your, words.desired_us, words.required_us, words.multiplier,
                  words.poll ? " poll" : "", words.final ? " final" : "");
    // One that another has taken the place of still says farewell.
    if (words.state == 0 && own.said && own.said->my != words.my) return;
    ++own.unheard;
    // Another session, which expects no number of those that came before.
    if (own.said && own.said->my != words.my) own.certain = false;
    if (words.state != up) own.up = false;
    // S10: who is Up says so in time. A final comes between, and moves no timer.
    if (own.said && own.said->state == up && words.state == up && !words.final &&
        own.runs_since <= own.said_at) {
        const Duration allowed = std::max(own.gap, longest_gap(own)) + slack;
        if (now() - own.said_at > allowed) {
            violate("S10", "{}: is silent for {} ms, and has promised {} ms", own.name,
                    ms(now() - own.said_at), ms(allowed));
        }
    }
    if (words.state != up) {
        own.required.clear();
        own.desired.clear();
        take_timing(own);
    }
    own.required.insert(words.required_us);
    own.desired.insert(words.desired_us);
    if (words.final) {
        if (own.said) own.said->state = words.state;
        return;
    }
    own.said = words;
    own.said_at = now();
    own.gap = longest_gap(own);
}

void BfdWitness::arrived(const Link& link, std::size_t end, ByteView octets) {
    End& own = at(link, end);
    End& from = at(link, 1 - end);
    const BfdWords words = read_bfd(octets);
    from.unheard = 0;
    if (link.jitter > Duration::zero()) own.lossy_until = now() + std::chrono::seconds{5};
    if (!own.wanted) return;
    const bool other_key = from.wanted && from.wanted->authentication != own.wanted->authentication;
    // One that was under way meanwhile may be of the old key.
    const bool key_is_new = now() < std::max(own.key_since, from.key_since) + longest_way;
    if (other_key && !key_is_new) return;
    const bool fits = own.said && words.your != 0 ? words.your == own.said->my : words.state <= 1;
    bool sure = fits && !key_is_new;
    if (words.sequence) {
        // RFC 5880 §6.7.4; after twice the detection time any number is fresh (§6.8.1).
        if (own.possible_at + detection(own, false) < now()) own.certain = false;
        if (own.certain && own.sequence) {
            const std::uint32_t ahead = *words.sequence - *own.sequence;
            if (ahead == 0 || ahead > 3 * words.multiplier) return;
        }
        if (fits || !own.certain) own.sequence = words.sequence;
        sure = sure && own.certain;
    }
    if (sure) {
        own.heard = {words};
        own.sure_at = now();
        own.counted[0].assign(octets.begin(), octets.end());
        if (words.state == 1) own.counted[1] = own.counted[0];
        if (words.final && own.said && own.said->poll) {
            // What was asked for is in force; what was configured meanwhile may be.
            own.confirmed = own.said->required_us;
            own.required = {own.confirmed};
            own.desired = {own.said->desired_us};
            take_timing(own);
        }
    } else {
        own.heard.push_back(words);
        if (words.final && own.said && own.said->poll) {
            own.confirmed = std::min(own.confirmed, own.said->required_us);
        }
        constexpr std::size_t remembered = 64;
        if (own.heard.size() > remembered) own.heard.erase(own.heard.begin());
    }
    own.possible_at = now();
}

void BfdWitness::reported(const Link& link, std::size_t end, const bfd::Report& report) {
    End& own = at(link, end);
    const bool is_up = report.state == bfd::State::up;
    if (own.up == is_up) return;
    own.up = is_up;
    trace_.story(now(), "{}: BFD is {}, {}", own.name, to_string(report.state),
                 to_string(report.cause));
    if (is_up) return came_up(link, end);
    ++tally_[fmt::format("BFD down: {}", to_string(report.cause))];
    ++own.watch;
    if (report.cause == bfd::Cause::detection_time_expired) expired(link, end);
}

void BfdWitness::came_up(const Link& link, std::size_t end) {
    End& own = at(link, end);
    ++tally_["BFD up"];
    if (own.heard.empty()) violate("S14", "{}: BFD is up, and nobody has said a word", own.name);
    // It is a packet that has brought it up, so the last one has counted.
    own.heard = {own.heard.back()};
    own.sure_at = own.possible_at = own.up_since = now();
    own.certain = true;
    own.confirmed = own.required.empty() ? 0 : *own.required.begin();
    watch(link, end);
}

/// S10: no false down.
void BfdWitness::expired(const Link& link, std::size_t end) {
    End& own = at(link, end);
    const End& other = at(link, 1 - end);
    const Duration least = detection(own, false);
    if (now() < own.sure_at + least) {
        violate("S10", "{}: BFD goes down {} ms after the last packet; its detection time is {} ms",
                own.name, ms(now() - own.sure_at), ms(least));
    }
    // Both have run all the time, and less was lost than the multiplier grants.
    const TimePoint since = own.sure_at - longest_delay;
    if (own.runs_since > since || !other.runs || other.runs_since > since || !other.up ||
        other.up_since > since || now() < own.lossy_until || !own.certain) {
        return;
    }
    if (other.unheard + 2 <= own.heard.front().multiplier) {
        violate("S10", "{}: BFD goes down though {} packets at most were lost", own.name,
                other.unheard);
    }
}

/// S11: bounded detection.
void BfdWitness::watch(const Link& link, std::size_t end) {
    End& own = at(link, end);
    const TimePoint due = own.possible_at + detection(own, true) + slack;
    timeline_.at(std::max(due, now() + slack),
                 [this, &link, end, watch = ++own.watch] { look(link, end, watch); });
}

void BfdWitness::look(const Link& link, std::size_t end, std::uint64_t watched) {
    const End& own = at(link, end);
    if (watched != own.watch || !own.up || !own.runs) return;
    const Duration longest = detection(own, true);
    if (now() > own.possible_at + longest + slack && now() > own.runs_since + slack) {
        violate("S11", "{}: BFD is up still, {} ms after the last packet; its detection time is {}",
                own.name, ms(now() - own.possible_at), ms(longest));
    }
    watch(link, end);
}

void BfdWitness::forged(const Link& link, std::size_t end, const bfd::TableOutput& out) {
    ++tally_["BFD packets forged"];
    if (out.reports.empty() && out.transmissions.empty() && out.opened.empty()) return;
    violate("S14", "{}: a forged BFD packet has made it {}", at(link, end).name,
            out.reports.empty() ? "answer" : "change its state");
}

bool BfdWitness::is_up(const Link& link, std::size_t end) const {
    const End* own = find(link, end);
    return own != nullptr && own->up;
}

std::optional<BfdWords> BfdWitness::last_words(const Link& link, std::size_t end) const {
    const End* own = find(link, end);
    return own == nullptr ? std::nullopt : own->said;
}

bool BfdWitness::polls(const Link& link, std::size_t end) const {
    const End* own = find(link, end);
    return own != nullptr && own->said && own->said->poll;
}

std::optional<Bytes> BfdWitness::heard(const Link& link, std::size_t end, bool down) const {
    const End* own = find(link, end);
    if (own == nullptr || !own->up || !own->runs || !own->certain || own->counted[down].empty() ||
        own->sure_at != own->possible_at || own->sure_at + detection(*own, false) < now()) {
        return std::nullopt;
    }
    return own->counted[down];
}

}  // namespace swerve::sim
