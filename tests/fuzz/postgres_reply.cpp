// What the daemon takes from its worker for PostgreSQL, whom a server may have turned: a reply is
// written as it was read, and what it comes to is a sentence that can be printed.

#include <algorithm>

#include "health/probes/postgres_judge.hpp"
#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

namespace {

using namespace health;

void demand_sentence(const Outcome& outcome) {
    demand(outcome.reason.size() < 2000, "a reason is short");
    demand(std::ranges::none_of(outcome.reason,
                                [](char letter) {
                                    const auto octet = static_cast<std::uint8_t>(letter);
                                    return octet < 0x20 || octet == 0x7f;
                                }),
           "a reason is one line of text");
}

void judge_rows(const PostgresRows& rows) {
    if (const auto outcome = judge_postgres_heartbeat(rows, "heartbeat")) demand_sentence(*outcome);
    const auto facts = read_postgres_facts(rows);
    if (!facts) return;
    demand(facts->waiters.size() <= 32, "no more sessions than were asked for");
    const auto lag = postgres_lag(*facts);
    demand(!lag || *lag >= Duration{0}, "nothing is behind by less than nothing");
    demand(demanded_standbys(facts->standby_names) >= 0, "a count of standbys");
    for (const auto role : {PostgresRole::any, PostgresRole::primary, PostgresRole::standby}) {
        PostgresWants wants{.role = role, .writable = true, .sync_standbys = 1};
        wants.max_lag = std::chrono::seconds{1};
        std::set<PostgresWaiter> before;
        demand_sentence(judge_postgres(wants, *facts, before));
        demand(before == facts->waiters, "who waits is remembered");
        demand_sentence(judge_postgres(wants, *facts, before));
        wants.max_lag.reset();
        wants.max_lag_bytes = 0;
        wants.writable = false;
        demand_sentence(judge_postgres(wants, *facts, before));
    }
}

}  // namespace

void postgres_reply(ByteView input) {
    const auto reply = decode_postgres_reply(input);
    if (!reply) return;
    if (input.size() > postgres_frame_limit) return;
    auto frame = encode(*reply);
    demand(frame.has_value(), "what was read can be written");
    std::optional<Bytes> body;
    demand(take_frame(*frame, body) && std::ranges::equal(*body, input),
           "a reply is written as it was read");
    if (const auto* rows = std::get_if<PostgresRows>(&*reply)) judge_rows(*rows);
    if (const auto* failure = std::get_if<PostgresFailure>(&*reply)) {
        demand_sentence(judge_postgres_failure(*failure, "192.0.2.1:5432"));
    }
}

}  // namespace swerve::fuzz
