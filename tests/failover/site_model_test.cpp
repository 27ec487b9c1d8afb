// A site against a model that knows only the precedence rules and computes everything from scratch.

#include <doctest/doctest.h>

#include <fmt/format.h>

#include <array>

#include "swerve/base/random.hpp"
#include "tests/failover/rig.hpp"

namespace swerve::failover {

using namespace test;

namespace {

constexpr CheckId checks = 6;
constexpr ServiceId services = 8;
constexpr unsigned per_service = 5;

Expression random_expression(Random& random, unsigned depth) {
    if (depth == 0 || random.below(3) == 0) {
        return uses(static_cast<CheckId>(random.below(checks)));
    }
    constexpr std::array ops{Expression::Op::all, Expression::Op::any, Expression::Op::at_least,
                             Expression::Op::negation};
    const auto op = ops[random.below(ops.size())];
    std::vector<Expression> members;
    const std::uint64_t count = op == Expression::Op::negation ? 1 : 1 + random.below(3);
    for (std::uint64_t i = 0; i < count; ++i) {
        members.push_back(random_expression(random, depth - 1));
    }
    return combine(op, std::move(members), 1 + static_cast<std::uint32_t>(random.below(count)));
}

/// The prefixes of a service, and behind them some of no service.
Prefix nth(ServiceId service, unsigned index) {
    return prefix(fmt::format("10.{}.{}.0/24", service, index));
}

SitePolicy random_policy(Random& random) {
    SitePolicy policy{.site = "model",
                      .owned = {prefix("10.0.0.0/8")},
                      .checks = {},
                      .services = {},
                      .neighbors = {},
                      .seed = random.next()};
    for (CheckId id = 0; id < checks; ++id) {
        policy.checks.push_back({fmt::format("check-{}", id),
                                 {.rise = 1 + static_cast<unsigned>(random.below(2)),
                                  .fall = 1 + static_cast<unsigned>(random.below(2)),
                                  .on_event = random.below(2) == 0 ? health::OnEvent::trust
                                                                   : health::OnEvent::confirm}});
    }
    for (ServiceId id = 0; id < services; ++id) {
        std::vector<Prefix> prefixes;
        for (unsigned i = 0; i < per_service; ++i) prefixes.push_back(nth(id, i));
        policy.services.push_back({.name = fmt::format("service-{}", id),
                                   .prefixes = {std::make_shared<const bgp::PrefixBlock>(prefixes)},
                                   .healthy_when = random_expression(random, 2),
                                   .graceful_shutdown_for = std::chrono::seconds{random.below(3)}});
    }
    return policy;
}

class Model {
public:
    explicit Model(const SitePolicy& policy)
        : policy_(policy), states_(policy.checks.size(), CheckState::unknown) {
        for (ServiceId id = 0; id <= services; ++id) {
            for (unsigned i = 0; i < per_service; ++i) {
                services_.emplace(nth(id, i), id < services ? std::optional{id} : std::nullopt);
            }
        }
    }

    void observe(const SiteActions& actions) {
        for (const SiteAction& action : actions) {
            if (const auto* changed = std::get_if<CheckChanged>(&action)) {
                REQUIRE(states_[changed->check] == changed->from);
                states_[changed->check] = changed->to;
                std::erase_if(leaving_by_verdict_, [&](ServiceId each) { return !up(each); });
                end_empty_stages();
            }
        }
    }
    void set(TimePoint now, const std::variant<ServiceId, Prefix>& subject, OverrideKind kind,
             std::optional<TimePoint> expires) {
        if (stopped) return;
        if (const auto* service = std::get_if<ServiceId>(&subject)) {
            const Duration notice = policy_.services[*service].graceful_shutdown_for;
            if (!drains_.contains(*service) && shows(*service) && notice > Duration{}) {
                leaving_[*service] = now + notice;
                if (up(*service)) leaving_by_verdict_.insert(*service);
            }
            drains_[*service] = expires;
            return;
        }
        const Prefix& of = std::get<Prefix>(subject);
        if (kind == OverrideKind::withdraw && !words_.contains(of) && !service_of(of)) return;
        words_[of] = {kind, expires};
        end_empty_stages();
    }
    void clear(const std::variant<ServiceId, Prefix>& subject, std::optional<OverrideKind> only) {
        const auto meant = [&](OverrideKind kind) { return !only || *only == kind; };
        std::erase_if(words_, [&](const auto& word) {
            const bool inside = std::holds_alternative<Prefix>(subject)
                                    ? word.first == std::get<Prefix>(subject)
                                    : service_of(word.first) == std::get<ServiceId>(subject);
            return inside && meant(word.second.first);
        });
        if (std::holds_alternative<ServiceId>(subject) && meant(OverrideKind::drain)) {
            drains_.erase(std::get<ServiceId>(subject));
            leaving_.erase(std::get<ServiceId>(subject));
        }
        end_empty_stages();
    }
    void expire(TimePoint now) {
        std::erase_if(words_, [&](const auto& word) {
            return word.second.second && *word.second.second <= now;
        });
        std::erase_if(drains_,
                      [&](const auto& drain) { return drain.second && *drain.second <= now; });
        std::erase_if(leaving_, [&](const auto& each) {
            return each.second <= now || !drains_.contains(each.first);
        });
        end_empty_stages();
    }
    [[nodiscard]] std::set<Prefix> desired(bool draining) const {
        std::set<Prefix> wanted;
        for (const auto& [of, service] : services_) {
            const bool drained = service && drains_.contains(*service);
            if (drained == draining && announces(of)) wanted.insert(of);
        }
        return wanted;
    }

    bool stopped = false;

private:
    [[nodiscard]] std::optional<ServiceId> service_of(const Prefix& of) const {
        return services_.at(of);
    }
    [[nodiscard]] bool announces(const Prefix& of) const {
        const auto service = service_of(of);
        const auto word = words_.find(of);
        if (stopped) return false;
        if (word != words_.end() && word->second.first == OverrideKind::withdraw) return false;
        const bool drained = service && drains_.contains(*service);
        if (drained && !leaving_.contains(*service)) return false;
        if (word != words_.end()) return true;
        return service && up(*service) && (!drained || leaving_by_verdict_.contains(*service));
    }
    [[nodiscard]] bool shows(ServiceId service) const {
        return std::ranges::any_of(services_, [&](const auto& each) {
            return each.second == service && announces(each.first);
        });
    }
    void end_empty_stages() {
        std::erase_if(leaving_, [&](const auto& each) { return !shows(each.first); });
        std::erase_if(leaving_by_verdict_,
                      [&](ServiceId each) { return !leaving_.contains(each); });
    }
    [[nodiscard]] bool up(ServiceId service) const {
        return health::evaluate(policy_.services[service].healthy_when, states_) ==
               CheckState::pass;
    }

    SitePolicy policy_;
    std::map<Prefix, std::optional<ServiceId>> services_;  ///< of every prefix that is drawn
    std::vector<CheckState> states_;
    std::map<ServiceId, std::optional<TimePoint>> drains_;
    std::map<ServiceId, TimePoint> leaving_;  ///< drained, shown with GRACEFUL_SHUTDOWN until then
    std::set<ServiceId> leaving_by_verdict_;  ///< not only what an operator announced
    std::map<Prefix, std::pair<OverrideKind, std::optional<TimePoint>>> words_;
};

/// FailoverBegan stands in front of withdrawals and nowhere else.
void check_order(const SiteActions& actions) {
    for (std::size_t i = 0; i < actions.size(); ++i) {
        const bool began = i > 0 && std::holds_alternative<FailoverBegan>(actions[i - 1]);
        const bool withdraw = std::holds_alternative<Withdraw>(actions[i]);
        const bool follows = i > 0 && std::holds_alternative<Withdraw>(actions[i - 1]);
        if (withdraw) REQUIRE((began || follows));
        if (began) REQUIRE(withdraw);
    }
    REQUIRE((actions.empty() || !std::holds_alternative<FailoverBegan>(actions.back())));
}

std::optional<OverrideKind> random_kind(Random& random) {
    constexpr std::array kinds{OverrideKind::announce, OverrideKind::drain, OverrideKind::withdraw};
    const std::uint64_t drawn = random.below(4);
    return drawn == 3 ? std::nullopt : std::optional{kinds[drawn]};
}

void random_word(Random& random, Rig& rig, Model& model) {
    const Prefix of = nth(static_cast<ServiceId>(random.below(services + 1)),
                          static_cast<unsigned>(random.below(per_service)));
    const auto service = static_cast<ServiceId>(random.below(services));
    const bool on_service = random.below(4) == 0;
    const auto subject =
        on_service ? std::variant<ServiceId, Prefix>{service} : std::variant<ServiceId, Prefix>{of};
    if (random.below(2) == 0) {
        const auto kind = on_service             ? OverrideKind::drain
                          : random.below(2) == 0 ? OverrideKind::announce
                                                 : OverrideKind::withdraw;
        std::optional<TimePoint> expires;
        if (random.below(2) == 0)
            expires = rig.now + Duration{static_cast<std::int64_t>(random.below(3'000'000'000))};
        model.set(rig.now, subject, kind, expires);
        rig.set(subject, kind, expires);
    } else {
        const auto only = random_kind(random);
        model.clear(subject, only);
        rig.clear(subject, only);
    }
}

void random_step(Random& random, Rig& rig, Model& model) {
    const auto check = static_cast<CheckId>(random.below(checks));
    const auto result = static_cast<ProbeResult>(random.below(3));
    const std::uint64_t drawn = random.below(1000);
    if (drawn < 1) {
        model.stopped = true;
        rig.handle(StopAnnouncing{"SIGTERM"});
    } else if (drawn < 150) {
        random_word(random, rig, model);
    } else if (drawn < 250) {
        rig.event(check, result);
    } else if (drawn < 500 || rig.attempts.at(check) == 0) {
        rig.jump();
    } else {
        rig.finish(check, result, "drawn");
    }
}

}  // namespace

TEST_CASE("site: after every event exactly what the precedence rules say is announced") {
    std::size_t changes = 0;
    std::size_t drains = 0;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        Random random(seed);
        const SitePolicy policy = random_policy(random);
        Rig rig(policy);
        Model model(policy);
        rig.handle(Begin{});
        for (int step = 0; step < 400; ++step) {
            CAPTURE(seed);
            CAPTURE(step);
            const auto before = rig.network.announced();
            random_step(random, rig, model);
            model.observe(rig.actions);
            check_order(rig.actions);
            // An answer can arrive behind the expiry of a word, before the timer was served.
            model.expire(rig.now);
            rig.tick();
            model.observe(rig.actions);
            check_order(rig.actions);
            REQUIRE(rig.network.announced() == model.desired(false));
            REQUIRE(rig.network.draining() == model.desired(true));
            drains += rig.network.draining().empty() ? 0U : 1U;
            changes += before != rig.network.announced() ? 1U : 0U;
        }
    }
    CHECK(changes > 2000);  // the run exercised what it is about
    CHECK(drains > 1000);
}

TEST_CASE("site: ten thousand checks and services with a million prefixes are cheap") {
    SitePolicy policy{.site = "large",
                      .owned = {prefix("0.0.0.0/0")},
                      .checks = {},
                      .services = {},
                      .neighbors = {},
                      .seed = 1};
    for (CheckId id = 0; id < 10'000; ++id) {
        policy.checks.push_back({fmt::format("check-{}", id), nervous()});
        std::vector<Prefix> prefixes;
        for (std::uint32_t i = 0; i < 100; ++i) {
            const std::uint32_t bits = (id * 100 + i) << 8U;
            const std::array octets{static_cast<std::uint8_t>(bits >> 24U),
                                    static_cast<std::uint8_t>(bits >> 16U),
                                    static_cast<std::uint8_t>(bits >> 8U), std::uint8_t{0}};
            prefixes.push_back(*Prefix::masked(*Address::from_octets(octets), 24));
        }
        policy.services.push_back({fmt::format("service-{}", id),
                                   {std::make_shared<const bgp::PrefixBlock>(prefixes)},
                                   uses(id)});
    }
    Site site(std::move(policy), {});
    TimePoint now{1s};
    SiteActions actions;
    std::vector<std::uint64_t> attempts(10'000);
    const auto take = [&] {
        std::size_t moved = 0;
        for (const SiteAction& action : actions) {
            if (const auto* start = std::get_if<StartProbe>(&action)) {
                attempts[start->check] = start->attempt;
            }
            if (const auto* advertise = std::get_if<Advertise>(&action)) {
                moved += advertise->range.size();
            }
            if (const auto* withdraw = std::get_if<Withdraw>(&action)) {
                moved += withdraw->range.size();
            }
        }
        actions.clear();
        return moved;
    };
    site.handle(now, Begin{}, actions);
    std::size_t moved = take();
    for (const ProbeResult result : {ProbeResult::pass, ProbeResult::fail}) {
        now += 2s;
        site.tick(now, actions);
        moved += take();
        for (CheckId id = 0; id < 10'000; ++id) {
            site.handle(now, ProbeFinished{id, attempts[id], {result, "", now, now}}, actions);
            REQUIRE(site.next_deadline());
            moved += take();
        }
    }
    CHECK(moved == 2'000'000);
}

}  // namespace swerve::failover
