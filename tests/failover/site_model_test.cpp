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

/// The prefixes of a service, and behind them some of no service.
Prefix nth(ServiceId service, unsigned index) {
    return prefix(fmt::format("10.{}.{}.0/24", service, index));
}

/// Most checks withdraw.
Effect random_effect(Random& random) {
    return random.below(2) == 0 ? Effect::withdraw : static_cast<Effect>(random.below(4));
}

/// None, one or two.
Duration some_seconds(Random& random) { return std::chrono::seconds{random.below(3)}; }

SitePolicy random_policy(Random& random) {
    SitePolicy policy{.site = "model",
                      .owned = {prefix("10.0.0.0/8")},
                      .checks = {},
                      .services = {},
                      .neighbors = {},
                      .seed = random.next()};
    for (CheckId id = 0; id < checks; ++id) {
        CheckPolicy check{
            fmt::format("check-{}", id),
            {.rise = 1 + static_cast<unsigned>(random.below(2)),
             .fall = 1 + static_cast<unsigned>(random.below(2)),
             .on_event = random.below(2) == 0 ? health::OnEvent::trust : health::OnEvent::confirm}};
        check.effect = random_effect(random);
        if (id > 0 && random.below(8) == 0) check.only_if = static_cast<CheckId>(random.below(id));
        policy.checks.push_back(std::move(check));
    }
    for (ServiceId id = 0; id < services; ++id) {
        std::vector<Prefix> prefixes;
        for (unsigned i = 0; i < per_service; ++i) prefixes.push_back(nth(id, i));
        policy.services.push_back({.name = fmt::format("service-{}", id),
                                   .prefixes = {std::make_shared<const bgp::PrefixBlock>(prefixes)},
                                   .healthy_when = random_expression(random, checks, 2),
                                   .drain_degraded_for = some_seconds(random),
                                   .return_degraded_for = some_seconds(random),
                                   .damping = {.hold_down = some_seconds(random)},
                                   .graceful_shutdown_for = some_seconds(random)});
        if (random.below(4) == 0) {
            policy.services.back().degraded_when = random_expression(random, checks, 1);
        }
    }
    return policy;
}

class Model {
public:
    explicit Model(const SitePolicy& policy)
        : policy_(policy), states_(policy.checks.size(), CheckState::unknown), all_(services) {
        for (ServiceId id = 0; id <= services; ++id) {
            for (unsigned i = 0; i < per_service; ++i) {
                services_.emplace(nth(id, i), id < services ? std::optional{id} : std::nullopt);
            }
        }
    }

    void begin(TimePoint now) { settle_all(now); }
    void observe(TimePoint now, const SiteActions& actions) {
        for (const SiteAction& action : actions) {
            if (const auto* changed = std::get_if<CheckChanged>(&action)) {
                REQUIRE(states_[changed->check] == changed->from);
                states_[changed->check] = changed->to;
                settle_all(now);
            }
        }
    }
    void set(TimePoint now, const std::variant<ServiceId, Prefix>& subject, OverrideKind kind,
             std::optional<TimePoint> expires) {
        if (stopped) return;
        if (const auto* id = std::get_if<ServiceId>(&subject)) {
            Service& service = all_[*id];
            const ServicePolicy& its = policy_.services[*id];
            const Duration notice = its.drain_degraded_for + its.graceful_shutdown_for;
            if (!service.drained && shows(*id) && notice > Duration{}) {
                service.leaving = now + notice;
                service.degraded_until = now + its.drain_degraded_for;
            }
            service.drained = true;
            service.drain_expires = expires;
        } else {
            const Prefix& of = std::get<Prefix>(subject);
            if (kind == OverrideKind::withdraw && !words_.contains(of) && !services_.at(of)) return;
            words_[of] = {kind, expires};
        }
        settle_all(now);
    }
    void clear(TimePoint now, const std::variant<ServiceId, Prefix>& subject,
               std::optional<OverrideKind> only) {
        const auto meant = [&](OverrideKind kind) { return !only || *only == kind; };
        std::erase_if(words_, [&](const auto& word) {
            const bool inside = std::holds_alternative<Prefix>(subject)
                                    ? word.first == std::get<Prefix>(subject)
                                    : services_.at(word.first) == std::get<ServiceId>(subject);
            return inside && meant(word.second.first);
        });
        if (std::holds_alternative<ServiceId>(subject) && meant(OverrideKind::drain)) {
            undrain(all_[std::get<ServiceId>(subject)]);
        }
        settle_all(now);
    }
    void pass_to(TimePoint now) {
        std::erase_if(words_, [&](const auto& word) {
            return word.second.second && *word.second.second <= now;
        });
        for (Service& service : all_) {
            if (service.drain_expires && *service.drain_expires <= now) undrain(service);
        }
        settle_all(now);
    }
    [[nodiscard]] std::set<Prefix> desired(Shown shown) const {
        std::set<Prefix> wanted;
        for (const auto& [of, service] : services_) {
            if (shown_of(of) == shown) wanted.insert(of);
        }
        return wanted;
    }

    bool stopped = false;

private:
    struct Service {
        Verdict verdict = Verdict::unknown;
        Shown shown = Shown::nothing;  ///< of prefixes without a word
        bool drained = false;
        std::optional<TimePoint> drain_expires{};
        std::optional<TimePoint> leaving{};  ///< end of the drain's stages
        TimePoint degraded_until{};          ///< of the first of them, or of a return
        TimePoint returned_until{};
        std::optional<TimePoint> withdrawn{};
        Shown stage = Shown::nothing;  ///< of the drain
    };

    static void undrain(Service& service) {
        service.drained = false;
        service.drain_expires.reset();
        service.leaving.reset();
    }
    [[nodiscard]] Shown shown_of(const Prefix& of) const {
        const auto id = services_.at(of);
        const auto word = words_.find(of);
        if (stopped) return Shown::nothing;
        if (word != words_.end() && word->second.first == OverrideKind::withdraw) {
            return Shown::nothing;
        }
        if (word == words_.end()) return id ? all_[*id].shown : Shown::nothing;
        return id && all_[*id].drained ? all_[*id].stage : Shown::announced;
    }
    [[nodiscard]] bool shows(ServiceId service) const {
        return std::ranges::any_of(services_, [&](const auto& each) {
            return each.second == service && shown_of(each.first) != Shown::nothing;
        });
    }
    [[nodiscard]] CheckState over(const Expression& expression,
                                  std::initializer_list<Effect> counted) const {
        return evaluate_only(expression, states_, [&](CheckId check) {
            return std::ranges::count(counted, policy_.checks[check].effect) > 0;
        });
    }
    [[nodiscard]] Verdict judged(const ServicePolicy& its, Verdict before) const {
        const CheckState stay = over(its.healthy_when, {Effect::withdraw});
        const CheckState start = over(its.healthy_when, {Effect::withdraw, Effect::gate});
        const bool serves = before == Verdict::up || before == Verdict::degraded;
        const bool undecided = stay == CheckState::unknown ||
                               (stay == CheckState::pass && start == CheckState::unknown);
        if (stay != CheckState::pass || (!serves && start != CheckState::pass)) {
            return undecided && before == Verdict::unknown ? Verdict::unknown : Verdict::down;
        }
        const bool full =
            over(its.healthy_when, {Effect::withdraw, Effect::degrade}) == CheckState::pass;
        const CheckState worse =
            its.degraded_when ? health::evaluate(*its.degraded_when, states_) : CheckState::fail;
        const bool better =
            worse == CheckState::fail || (worse == CheckState::unknown && before == Verdict::up);
        return full && better ? Verdict::up : Verdict::degraded;
    }
    void settle_all(TimePoint now) {
        for (ServiceId id = 0; id < services; ++id) settle(now, id);
    }
    void settle(TimePoint now, ServiceId id) {
        Service& service = all_[id];
        const ServicePolicy& its = policy_.services[id];
        service.verdict = judged(its, service.verdict);
        const bool serves = service.verdict == Verdict::up || service.verdict == Verdict::degraded;
        if (service.leaving && *service.leaving <= now) service.leaving.reset();
        service.stage = !service.leaving               ? Shown::nothing
                        : now < service.degraded_until ? Shown::degraded
                                                       : Shown::draining;
        Shown wanted = Shown::nothing;
        if (stopped || !serves) {
            wanted = Shown::nothing;
        } else if (service.drained) {
            wanted = service.shown == Shown::nothing ? Shown::nothing : service.stage;
        } else if (service.shown != Shown::nothing || !service.withdrawn ||
                   now >= *service.withdrawn + its.damping.hold_down) {
            if (service.shown == Shown::nothing) {
                service.returned_until = now + its.return_degraded_for;
            }
            wanted = service.verdict == Verdict::degraded || now < service.returned_until
                         ? Shown::degraded
                         : Shown::announced;
        }
        if (service.shown != Shown::nothing && wanted == Shown::nothing) service.withdrawn = now;
        if (service.shown == Shown::nothing && wanted != Shown::nothing) service.withdrawn.reset();
        service.shown = wanted;
        // Once nothing of it is shown, the stage is over.
        if (service.leaving && !shows(id)) {
            service.leaving.reset();
            service.stage = Shown::nothing;
        }
    }

    SitePolicy policy_;
    std::map<Prefix, std::optional<ServiceId>> services_;  ///< of every prefix that is drawn
    std::vector<CheckState> states_;
    std::vector<Service> all_;
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
        model.clear(rig.now, subject, only);
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
    std::size_t degraded = 0;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        Random random(seed);
        const SitePolicy policy = random_policy(random);
        Rig rig(policy);
        Model model(policy);
        rig.handle(Begin{});
        model.begin(rig.now);
        for (int step = 0; step < 400; ++step) {
            CAPTURE(seed);
            CAPTURE(step);
            const auto before = rig.network.announced();
            random_step(random, rig, model);
            model.observe(rig.now, rig.actions);
            check_order(rig.actions);
            // An answer can arrive behind the expiry of a word, before the timer was served.
            rig.tick();
            model.observe(rig.now, rig.actions);
            model.pass_to(rig.now);
            check_order(rig.actions);
            REQUIRE(rig.network.announced() == model.desired(Shown::announced));
            REQUIRE(rig.network.degraded() == model.desired(Shown::degraded));
            REQUIRE(rig.network.draining() == model.desired(Shown::draining));
            drains += rig.network.draining().empty() ? 0U : 1U;
            degraded += rig.network.degraded().empty() ? 0U : 1U;
            changes += before != rig.network.announced() ? 1U : 0U;
        }
    }
    CHECK(changes > 2000);  // the run exercised what it is about
    CHECK(drains > 1000);
    CHECK(degraded > 2000);
}

TEST_CASE("site: a reload that changes nothing moves nothing, whatever the moment") {
    std::size_t shown = 0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        Random random(seed);
        const SitePolicy policy = random_policy(random);
        Rig rig(policy);
        Model unused(policy);
        rig.handle(Begin{});
        for (int step = 0; step < 300; ++step) {
            CAPTURE(seed);
            CAPTURE(step);
            random_step(random, rig, unused);
            rig.tick();  // what was due when the event came is no affair of the reload
            if (random.below(10) != 0) continue;
            const SiteView before = rig.site.view();
            std::vector<std::optional<CheckId>> same;
            for (CheckId id = 0; id < checks; ++id) same.emplace_back(id);
            rig.handle(Reconfigure{policy, same});
            CHECK(rig.all<VerdictChanged>().empty());
            CHECK(rig.all<IntentChanged>().empty());
            CHECK(rig.all<CheckAlarm>().empty());
            CHECK(rig.all<DampingChanged>().empty());
            Network after;
            rig.site.for_each_announced([&](const Advertise& each) { after.apply({each}); });
            REQUIRE(after.announced() == rig.network.announced());
            REQUIRE(after.degraded() == rig.network.degraded());
            REQUIRE(after.draining() == rig.network.draining());
            for (ServiceId id = 0; id < services; ++id) {
                const SiteView::Service now = rig.site.view().services[id];
                REQUIRE(now.degraded_until == before.services[id].degraded_until);
                REQUIRE(now.leaving_until == before.services[id].leaving_until);
                REQUIRE(now.damped == before.services[id].damped);
                shown += now.shown != Shown::nothing ? 1U : 0U;
            }
        }
    }
    CHECK(shown > 1000);
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
