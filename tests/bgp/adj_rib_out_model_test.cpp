// Random histories of an Adj-RIB-Out against the plainest model there is: a map of what is wanted,
// and a neighbor that decodes what it is sent.

#include <doctest/doctest.h>

#include <map>
#include <vector>

#include "swerve/base/random.hpp"
#include "tests/bgp/rib_out_listener.hpp"

namespace swerve::bgp {
namespace {

using namespace test;

/// One seed's world.
class History {
public:
    explicit History(std::uint64_t seed, std::uint32_t scale) : random_(seed) {
        std::vector<Prefix> mixed;
        for (std::uint32_t i = 0; i < 12 * scale; ++i) {
            mixed.push_back(*Prefix::masked(Address::v4(0x0b000000 + (i << 12U)), 20 + i % 13));
        }
        blocks_ = {block(mixed), block(consecutive(0xc6336400, 32, 40 * scale)),
                   block({"2001:db8::/32", "2001:db8:1::/48", "2001:db8:1:2::/64",
                          "2001:db8:1:2::5/128", "2001:db8:1:2::6/128", "2001:db8:2::/48"})};
        // The third leaves room for a few prefixes in each message, the last for none.
        routes_ = {route(0), route(1), route(2, 1000), route(3, 1100)};
    }

    void step() {
        CAPTURE(++steps_);
        switch (random_.below(20)) {
            case 0:
                session_changes();
                break;
            case 1:
                refresh();
                break;
            case 2:
            case 3:
            case 4:
            case 5:
                advertise();
                break;
            case 6:
            case 7:
            case 8:
            case 9:
                withdraw();
                break;
            default:
                write();
                break;
        }
        compare();
    }

    /// The socket takes all; then the neighbor holds what is wanted.
    void settle() {
        if (!listener_) session_changes();
        deliver_rest(rest_.size());
        while (rib_.pending()) take(1U << 16U, [](std::size_t size) { return size; });
        compare();
        REQUIRE(listener_->held() == sendable());
        for (const Family family : all_families) {
            REQUIRE(listener_->end_of_rib(family) == encoding_.families.contains(family));
        }
    }

private:
    void advertise() {
        const auto& [chosen, range] = some_range();
        const RouteRef& route = routes_[random_.below(routes_.size())];
        rib_.advertise(chosen, range, route);
        chosen->for_each(range, [&](const Prefix& each) { wanted_[each] = route; });
    }

    void withdraw() {
        const auto& [chosen, range] = some_range();
        rib_.withdraw(chosen, range);
        chosen->for_each(range, [&](const Prefix& each) { wanted_.erase(each); });
    }

    std::pair<BlockRef, IdRange> some_range() {
        const BlockRef& chosen = blocks_[random_.below(blocks_.size())];
        if (random_.below(4) == 0) return {chosen, chosen->all()};
        const auto begin = static_cast<std::uint32_t>(random_.below(chosen->size() + 1));
        const auto size = static_cast<std::uint32_t>(random_.below(chosen->size() + 1 - begin));
        return {chosen, {begin, begin + size}};
    }

    void session_changes() {
        if (listener_) {
            rib_.session_down();
            listener_.reset();
            rest_.clear();
            return;
        }
        encoding_ = session();
        encoding_.attributes.internal = random_.below(2) == 0;
        encoding_.attributes.four_octet_as = random_.below(4) != 0;
        if (random_.below(4) == 0) encoding_.families = {Family::ipv4};
        if (random_.below(4) == 0) encoding_.next_hop_ipv6.reset();
        rib_.session_up(encoding_);
        listener_.emplace(encoding_);
        refreshed_.clear();
    }

    void refresh() {
        const Family family = random_.below(2) == 0 ? Family::ipv4 : Family::ipv6;
        rib_.refresh(family);
        if (!listener_) return;
        deliver_rest(rest_.size());
        for (const auto& [each, med] : listener_->held()) {
            if (each.family() == family) refreshed_.insert(each);
        }
    }

    /// As a driver does it: the rest of the last message first.
    void write() {
        if (!rest_.empty()) {
            deliver_rest(random_.below(rest_.size() + 1));
            return;
        }
        take(random_.below(3) == 0 ? 1 : random_.below(20000), [this](std::size_t size) {
            return random_.below(2) == 0 ? size : random_.below(size + 1);
        });
    }

    template <class Taken>
    void take(std::size_t budget, const Taken& taken) {
        std::vector<ByteView> views;
        const std::size_t size = rib_.produce(budget, views);
        if (!listener_) {
            REQUIRE(size == 0);
            return;
        }
        REQUIRE((size > 0) == (rib_.pending() && budget > 0));
        Bytes stream;
        for (const ByteView view : views) stream.insert(stream.end(), view.begin(), view.end());
        REQUIRE(stream.size() == size);
        const std::size_t count = taken(size);
        rest_ = rib_.consumed(count);
        const auto held_before = listener_->held();
        listener_->feed(ByteView{stream}.first(count));
        REQUIRE(std::ranges::equal(ByteView{stream}.subspan(count).first(rest_.size()), rest_));
        judge(held_before);
    }

    void deliver_rest(std::size_t count) {
        if (count == 0) return;
        const auto held_before = listener_->held();
        listener_->feed(ByteView{rest_}.first(count));
        rest_.erase(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(count));
        judge(held_before);
    }

    /// Nothing is said that the neighbor knows, unless it asked; no withdrawal follows an
    /// announcement.
    void judge(const std::map<Prefix, std::uint32_t>& held_before) {
        bool announcing = false;
        for (const Heard& heard : listener_->take_heard()) {
            REQUIRE(heard.size <= max_message_size);
            for (const Reach& reach : heard.update.reach) {
                announcing = true;
                REQUIRE(
                    reach.next_hop ==
                    address(reach.next_hop.family() == Family::ipv4 ? "192.0.2.1" : "2001:db8::1"));
                for (const Prefix& each : reach.prefixes) {
                    const auto before = held_before.find(each);
                    const bool known = before != held_before.end() &&
                                       before->second == heard.update.attributes->med;
                    REQUIRE((!known || refreshed_.contains(each)));
                    refreshed_.erase(each);
                }
            }
            for (const Prefix& each : heard.update.withdrawn) {
                REQUIRE_FALSE(announcing);
                refreshed_.erase(each);
            }
        }
    }

    [[nodiscard]] std::map<Prefix, std::uint32_t> sendable() const {
        std::map<Prefix, std::uint32_t> out;
        for (const auto& [each, route] : wanted_) {
            const bool ipv6 = each.family() == Family::ipv6;
            const bool carried = encoding_.families.contains(each.family()) &&
                                 (!ipv6 || encoding_.next_hop_ipv6) && route != routes_.back();
            if (carried) out[each] = *route->med;
        }
        return out;
    }

    /// What the rib says of itself against the model. A message under way counts as sent.
    void compare() {
        std::map<Prefix, RouteRef> desired;
        std::map<Prefix, std::uint32_t> sent;
        rib_.for_each([&](const Prefix& each, const RouteRef& want, const RouteRef& have) {
            if (want) desired[each] = want;
            if (have) sent[each] = *have->med;
        });
        REQUIRE(desired == wanted_);
        if (!listener_) {
            REQUIRE(sent.empty());
            REQUIRE_FALSE(rib_.pending());
            return;
        }
        if (rest_.empty()) REQUIRE(sent == listener_->held());
        const auto target = sendable();
        std::size_t lost = 0;
        std::size_t ipv4 = 0;
        for (const auto& [each, med] : sent) {
            lost += target.contains(each) ? 0U : 1U;
            ipv4 += each.family() == Family::ipv4 ? 1U : 0U;
        }
        REQUIRE(rib_.pending_withdrawals() == lost);
        REQUIRE(rib_.advertised(Family::ipv4) == ipv4);
        REQUIRE(rib_.advertised(Family::ipv6) == sent.size() - ipv4);
        std::size_t gained = 0;
        for (const auto& [each, med] : target) {
            const auto have = sent.find(each);
            const bool same = have != sent.end() && have->second == med;
            gained += same && !refreshed_.contains(each) ? 0U : 1U;
        }
        if (rest_.empty()) REQUIRE(rib_.pending_announcements() == gained);
    }

    Random random_;
    std::vector<BlockRef> blocks_;
    std::vector<RouteRef> routes_;
    AdjRibOut rib_;
    std::map<Prefix, RouteRef> wanted_;
    SessionEncoding encoding_ = session();
    std::optional<Listener> listener_;
    Bytes rest_;
    std::set<Prefix> refreshed_;  ///< held when a refresh was asked for, and not sent since
    std::size_t steps_ = 0;
};

TEST_CASE("adj-rib-out model: after any history the neighbor holds what is wanted") {
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        CAPTURE(seed);
        History history{seed, 1};
        for (int step = 0; step < 1000; ++step) {
            history.step();
            if (step % 100 == 99) history.settle();
        }
    }
}

TEST_CASE("adj-rib-out model: the same with blocks of many messages") {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        CAPTURE(seed);
        History history{seed, 60};
        for (int step = 0; step < 100; ++step) history.step();
        history.settle();
    }
}

}  // namespace
}  // namespace swerve::bgp
