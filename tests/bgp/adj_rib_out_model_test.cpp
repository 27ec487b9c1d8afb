// Random histories of an Adj-RIB-Out against the plainest model there is: a map of what is wanted,
// and a neighbor that decodes what it is sent.

#include <doctest/doctest.h>

#include <map>
#include <set>
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
        all_ = mixed;
        std::ranges::copy(consecutive(0xc6336400, 32, 40 * scale), std::back_inserter(all_));
        for (const auto* text : {"2001:db8::/32", "2001:db8:1::/48", "2001:db8:1:2::/64",
                                 "2001:db8:1:2::5/128", "2001:db8:1:2::6/128", "2001:db8:2::/48"}) {
            all_.push_back(prefix(text));
        }
        blocks_ = cut();
        // The third leaves room for a few prefixes in each message, the last for none.
        routes_ = {route(0), route(1), route(2, 1000), route(3, 1100)};
    }

    void step() {
        CAPTURE(++steps_);
        switch (random_.below(24)) {
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
            case 10:
                next_hops_change();
                break;
            case 11:
            case 12:
                cut_anew();
                break;
            case 13:
                wanted_changes();
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
        for (const auto& [each, hop] : listener_->next_hops()) {
            REQUIRE(hop == next_hop(each.family()));
        }
        for (const Family family : all_families) {
            REQUIRE(listener_->end_of_rib(family) == encoding_.families.contains(family));
        }
    }

private:
    /// All prefixes, dealt out to blocks of one family.
    std::vector<BlockRef> cut() {
        std::array<std::vector<Prefix>, 6> hands;
        std::size_t hand = 0;
        for (const Prefix& each : all_) {
            if (random_.below(8) == 0) hand = random_.below(3);
            hands[hand + (each.family() == Family::ipv4 ? 0U : 3U)].push_back(each);
        }
        std::vector<BlockRef> out;
        for (const auto& prefixes : hands) {
            if (!prefixes.empty()) out.push_back(block(prefixes));
        }
        return out;
    }

    /// A reload: other blocks, new objects for the same routes. With the hand-overs, nobody but us
    /// knows of it; without, it is a withdrawal here and an announcement there.
    void cut_anew() {
        const std::vector<BlockRef> before = blocks_;
        blocks_ = cut();
        if (random_.below(4) == 0) blocks_ = before;
        if (random_.below(8) == 0) return rib_.assign(wanted_by_block());
        const std::size_t withdrawals = rib_.pending_withdrawals();
        const std::size_t announcements = rib_.pending_announcements();
        rib_.hand_over(hand_overs(before, blocks_));
        compare();
        rib_.assign(wanted_by_block());
        REQUIRE(rib_.pending_withdrawals() == withdrawals);
        REQUIRE(rib_.pending_announcements() == announcements);
    }

    /// A reload that changes routes only.
    void wanted_changes() {
        const auto& from = some_range();
        const auto& to = some_range();
        from.first->for_each(from.second, [&](const Prefix& each) { wanted_.erase(each); });
        const RouteRef& route = routes_[random_.below(routes_.size())];
        to.first->for_each(to.second, [&](const Prefix& each) { wanted_[each] = *route->med; });
        rib_.assign(wanted_by_block());
    }

    [[nodiscard]] std::vector<Desired> wanted_by_block() {
        std::vector<Desired> out;
        for (const BlockRef& each : blocks_) {
            for (std::uint32_t id = 0; id < each->size(); ++id) {
                const auto wanted = wanted_.find(each->at(id));
                if (wanted == wanted_.end()) continue;
                const RouteRef& route = routes_[wanted->second];
                if (!out.empty() && out.back().block == each && out.back().range.end == id &&
                    *out.back().route == *route) {
                    ++out.back().range.end;
                } else {
                    out.push_back(
                        {each, {id, id + 1}, std::make_shared<const RouteAttributes>(*route)});
                }
            }
        }
        return out;
    }

    void next_hops_change() {
        const auto some = [&](const char* one, const char* other) {
            const auto chosen = random_.below(5);
            if (chosen == 0) return std::optional<Address>{};
            return std::optional{address(chosen == 1 ? other : one)};
        };
        const auto ipv4 = some("192.0.2.1", "192.0.2.9");
        const auto ipv6 = some("2001:db8::1", "2001:db8::9");
        rib_.set_next_hops(ipv4, ipv6);
        if (!listener_) return;
        deliver_rest(rest_.size());
        if (ipv4 != encoding_.next_hop_ipv4) refreshing(Family::ipv4);
        if (ipv6 != encoding_.next_hop_ipv6) refreshing(Family::ipv6);
        encoding_.next_hop_ipv4 = ipv4;
        encoding_.next_hop_ipv6 = ipv6;
    }

    void advertise() {
        const auto& [chosen, range] = some_range();
        const RouteRef& route = routes_[random_.below(routes_.size())];
        rib_.advertise(chosen, range, route);
        chosen->for_each(range, [&](const Prefix& each) { wanted_[each] = *route->med; });
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
        refreshing(family);
    }

    /// What is held is to be said once more.
    void refreshing(Family family) {
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

    /// Nothing is said that the neighbor knows, unless it asked or the next hop is another; no
    /// withdrawal follows an announcement.
    void judge(std::map<Prefix, std::uint32_t> held) {
        bool announcing = false;
        for (const Heard& heard : listener_->take_heard()) {
            REQUIRE(heard.size <= max_message_size);
            for (const Reach& reach : heard.update.reach) {
                announcing = true;
                REQUIRE(reach.next_hop == next_hop(reach.next_hop.family()));
                for (const Prefix& each : reach.prefixes) {
                    const auto before = held.find(each);
                    const bool known =
                        before != held.end() && before->second == heard.update.attributes->med;
                    REQUIRE((!known || refreshed_.contains(each)));
                    refreshed_.erase(each);
                    held[each] = *heard.update.attributes->med;
                }
            }
            for (const Prefix& each : heard.update.withdrawn) {
                REQUIRE_FALSE(announcing);
                refreshed_.erase(each);
                held.erase(each);
            }
        }
    }

    [[nodiscard]] std::map<Prefix, std::uint32_t> sendable() const {
        std::map<Prefix, std::uint32_t> out;
        for (const auto& [each, med] : wanted_) {
            const bool carried = encoding_.families.contains(each.family()) &&
                                 next_hop(each.family()) && med != routes_.back()->med;
            if (carried) out[each] = med;
        }
        return out;
    }
    [[nodiscard]] const std::optional<Address>& next_hop(Family family) const {
        return family == Family::ipv4 ? encoding_.next_hop_ipv4 : encoding_.next_hop_ipv6;
    }

    /// What the rib says of itself against the model. A message under way counts as sent.
    void compare() {
        std::map<Prefix, std::uint32_t> desired;
        std::map<Prefix, std::uint32_t> sent;
        std::set<Prefix> seen;
        std::set<Prefix> taken_over;  // still to be withdrawn of one block, desired in another
        rib_.for_each([&](const Prefix& each, const RouteRef& want, const RouteRef& have) {
            if (want) REQUIRE(desired.emplace(each, *want->med).second);
            if (have) REQUIRE(sent.emplace(each, *have->med).second);
            if (!seen.insert(each).second) taken_over.insert(each);
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
            lost += target.contains(each) && !taken_over.contains(each) ? 0U : 1U;
            ipv4 += each.family() == Family::ipv4 ? 1U : 0U;
        }
        REQUIRE(rib_.pending_withdrawals() == lost);
        REQUIRE(rib_.advertised(Family::ipv4) == ipv4);
        REQUIRE(rib_.advertised(Family::ipv6) == sent.size() - ipv4);
        std::size_t gained = 0;
        for (const auto& [each, med] : target) {
            const auto have = sent.find(each);
            const bool same =
                have != sent.end() && have->second == med && !taken_over.contains(each);
            gained += same && !refreshed_.contains(each) ? 0U : 1U;
        }
        if (rest_.empty()) REQUIRE(rib_.pending_announcements() == gained);
    }

    Random random_;
    std::vector<Prefix> all_;
    std::vector<BlockRef> blocks_;
    std::vector<RouteRef> routes_;  ///< by their MED
    AdjRibOut rib_;
    std::map<Prefix, std::uint32_t> wanted_;  ///< MED
    SessionEncoding encoding_ = session();
    std::optional<Listener> listener_;
    Bytes rest_;
    std::set<Prefix> refreshed_;  ///< held, and to be sent once more
    std::size_t steps_ = 0;
};

TEST_CASE("adj-rib-out model: after any history the neighbor holds what is wanted") {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        CAPTURE(seed);
        History history{seed, 1};
        for (int step = 0; step < 1000; ++step) {
            history.step();
            if (step % 100 == 99) history.settle();
        }
    }
}

TEST_CASE("adj-rib-out model: the same with blocks of many messages") {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        CAPTURE(seed);
        History history{seed, 60};
        for (int step = 0; step < 100; ++step) history.step();
        history.settle();
    }
}

}  // namespace
}  // namespace swerve::bgp
