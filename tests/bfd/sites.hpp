#pragma once
// Two tables and what lies between them, in virtual time.

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "swerve/bfd/table.hpp"

namespace swerve::bfd::test {

using namespace std::chrono_literals;

constexpr Timing fast{50ms, 50ms, 3};
constexpr Timing usual{300ms, 300ms, 3};

inline Address address(std::string_view text) { return *Address::parse(text); }

/// The session of the other side.
inline SessionConfig mirrored(SessionConfig config) {
    std::swap(config.key.local, config.key.remote);
    return config;
}
inline std::vector<SessionConfig> mirrored(std::vector<SessionConfig> configs) {
    for (SessionConfig& each : configs) each = mirrored(each);
    return configs;
}

/// One table with what a driver does for it.
struct Site {
    std::unique_ptr<Table> table;
    std::map<std::uint32_t, SessionKey> sockets{};
    std::vector<std::uint32_t> opened{};
    std::vector<std::uint32_t> closed{};
    std::vector<Report> reports{};
    std::vector<std::pair<SessionKey, Packet>> sent{};

    explicit Site(std::uint64_t seed) : table(std::make_unique<Table>(seed)) {}

    [[nodiscard]] std::optional<SessionView> find(const SessionKey& key) const {
        for (SessionView& each : table->views()) {
            if (each.config.key == key) return each;
        }
        return std::nullopt;
    }
    [[nodiscard]] State state(const SessionKey& key) const {
        const auto view = find(key);
        REQUIRE(view);
        return view->state;
    }
    [[nodiscard]] bool all_up() const {
        return std::ranges::all_of(table->views(),
                                   [](const SessionView& v) { return v.state == State::up; });
    }
    [[nodiscard]] std::uint64_t discarded(Discard why) const {
        return table->discarded()[static_cast<std::size_t>(why)];
    }
    void forget() {
        opened.clear();
        closed.clear();
        reports.clear();
        sent.clear();
    }
};

inline std::uint64_t discarded(const std::optional<SessionView>& view, Discard why) {
    REQUIRE(view);
    return view->counters.discarded[static_cast<std::size_t>(why)];
}

class Sites {
public:
    explicit Sites(std::uint64_t seed = 1) : sites{} {
        sites.emplace_back(seed);
        sites.emplace_back(seed + 1000);
    }

    Site& a() { return sites[0]; }
    Site& b() { return sites[1]; }

    /// Whether a packet from this site is lost; may be changed at any time.
    std::function<bool(std::size_t from, const SessionKey& key)> lost =
        [](std::size_t, const SessionKey&) { return false; };
    int multihop_ttl = 255;
    Duration delay = 1ms;
    TimePoint now{};
    std::vector<Site> sites;

    void configure(std::size_t which, std::vector<SessionConfig> wanted) {
        TableOutput out;
        sites[which].table->configure(now, std::move(wanted), out);
        take(which, out);
    }
    void configure_both(const std::vector<SessionConfig>& wanted) {
        configure(0, wanted);
        configure(1, mirrored(wanted));
    }
    void hold_down(std::size_t which) {
        TableOutput out;
        sites[which].table->hold_down(now, out);
        take(which, out);
    }
    void receive(std::size_t which, const Datagram& datagram) {
        TableOutput out;
        sites[which].table->receive(now, datagram, out);
        take(which, out);
    }
    /// Another process behind the same addresses.
    void replace(std::size_t which, std::uint64_t seed) { sites[which] = Site{seed}; }

    /// Lives for `length`.
    void run(Duration length) {
        const TimePoint until = now + length;
        for (;;) {
            std::optional<TimePoint> next;
            if (!air_.empty()) next = air_.front().arrives;
            for (const Site& site : sites) next = earlier(next, site.table->next_deadline());
            if (!next || *next > until) break;
            now = std::max(now, *next);
            deliver();
            for (std::size_t which = 0; which < 2; ++which) tick(which);
        }
        now = until;
    }
    /// Until all sessions of both are Up; fails after `limit`.
    void come_up(Duration limit = 10s) {
        const TimePoint until = now + limit;
        while (now < until && !(a().all_up() && b().all_up())) run(10ms);
        REQUIRE(a().all_up());
        REQUIRE(b().all_up());
    }
    void tick(std::size_t which) {
        TableOutput out;
        sites[which].table->tick(now, out);
        const auto next = sites[which].table->next_deadline();
        CHECK((!next || *next > now));
        take(which, out);
    }

private:
    struct InFlight {
        TimePoint arrives;
        std::size_t to;
        SessionKey from;
        Bytes octets;
    };

    void deliver() {
        while (!air_.empty() && air_.front().arrives <= now) {
            const InFlight each = std::move(air_.front());
            air_.pop_front();
            receive(each.to, {.octets = each.octets,
                              .local = each.from.remote,
                              .remote = each.from.local,
                              .interface = each.from.interface,
                              .multihop = each.from.multihop,
                              .ttl = each.from.multihop ? multihop_ttl : 255});
        }
    }
    void take(std::size_t which, const TableOutput& out) {
        Site& site = sites[which];
        for (const std::uint32_t id : out.opened) {
            const auto view = site.table->view(id);
            REQUIRE(view);
            CHECK(view->discriminator == id);
            CHECK(site.sockets.emplace(id, view->config.key).second);
            site.opened.push_back(id);
        }
        for (const auto& each : out.transmissions) {
            const auto socket = site.sockets.find(each.session);
            REQUIRE(socket != site.sockets.end());
            site.sent.emplace_back(socket->second, decode(each.octets)->packet);
            if (lost(which, socket->second)) continue;
            air_.push_back({now + delay, 1 - which, socket->second, each.octets});
        }
        for (const std::uint32_t id : out.closed) {
            CHECK(site.sockets.erase(id) == 1);
            CHECK_FALSE(site.table->view(id));
            site.closed.push_back(id);
        }
        site.reports.insert(site.reports.end(), out.reports.begin(), out.reports.end());
    }

    std::deque<InFlight> air_;
};

}  // namespace swerve::bfd::test
