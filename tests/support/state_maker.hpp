#pragma once
// Saved states from a seed, with everything that a state may hold and a name may contain.

#include <string>
#include <vector>

#include "swerve/base/random.hpp"
#include "swerve/failover/saved_state.hpp"

namespace swerve::test {

class StateMaker {
public:
    explicit StateMaker(std::uint64_t seed) : random_(seed) {}

    [[nodiscard]] failover::SavedState make() {
        failover::SavedState out{.boot_id = text("boot"),
                                 .saved_at = boot_time(),
                                 .saved_wall = wall_time(),
                                 .started = boot_time(),
                                 .ended_clean = random_.below(2) == 0,
                                 .crashes = static_cast<unsigned>(random_.below(1U << 31U)),
                                 .overrides = {},
                                 .checks = {},
                                 .disabled_neighbors = {}};
        for (std::uint64_t count = random_.below(4); count > 0; --count) {
            out.overrides.push_back(override_of(count));
        }
        for (std::uint64_t count = random_.below(4); count > 0; --count) {
            out.checks.push_back({text("check" + std::to_string(count)), random_.next(),
                                  static_cast<health::CheckState>(random_.below(3))});
        }
        for (std::uint64_t count = random_.below(3); count > 0; --count) {
            out.disabled_neighbors.push_back(text("upstream" + std::to_string(count)));
        }
        for (std::uint64_t count = random_.below(3); count > 0; --count) {
            out.damping.push_back(damping_of(count));
        }
        return out;
    }

private:
    [[nodiscard]] failover::SavedDamping damping_of(std::uint64_t number) {
        failover::SavedDamping out{.service = text("service" + std::to_string(number)),
                                   .damping = {},
                                   .shown = static_cast<failover::Shown>(random_.below(4))};
        out.damping.penalty = static_cast<double>(random_.below(1'000'000)) / 8;
        out.damping.at = boot_time();
        if (random_.below(2) == 0) out.damping.withdrawn_at = boot_time();
        for (std::uint64_t count = random_.below(3); count > 0; --count) {
            out.damping.withdrawals.push_back(boot_time());
        }
        return out;
    }
    [[nodiscard]] failover::SavedOverride override_of(std::uint64_t number) {
        failover::SavedOverride out{.subject = text("service" + std::to_string(number)),
                                    .kind = static_cast<failover::OverrideKind>(random_.below(3)),
                                    .reason = text(""),
                                    .who = text("uid "),
                                    .set_at = wall_time(),
                                    .expires = std::nullopt};
        if (random_.below(2) == 0) {
            const auto third_octet = static_cast<std::uint32_t>(number) << 8U;
            out.subject = *Prefix::masked(Address::v4(0xc6336400U + third_octet), 24);
        }
        if (random_.below(2) == 0) out.expires = failover::SavedDeadline{boot_time(), wall_time()};
        return out;
    }
    [[nodiscard]] std::string text(std::string head) {
        static const std::vector<std::string> parts{"",
                                                    " a reason",
                                                    "\"quoted\"",
                                                    "back\\slash",
                                                    "new\nline",
                                                    "\t\x01\x7f",
                                                    "größer",
                                                    "漢字 \U0001F680",
                                                    "\xff\xfe",
                                                    "} \\u0000",
                                                    std::string{"\0x", 2},
                                                    "–"};
        for (std::uint64_t count = random_.below(4); count > 0; --count) {
            head += parts[random_.below(parts.size())];
        }
        return head;
    }
    [[nodiscard]] Duration some_time() {
        return Duration{static_cast<Duration::rep>(random_.next() >> (2 + random_.below(60)))};
    }
    [[nodiscard]] TimePoint boot_time() { return TimePoint{some_time()}; }
    [[nodiscard]] WallTime wall_time() { return WallTime{some_time()}; }

    Random random_;
};

}  // namespace swerve::test
