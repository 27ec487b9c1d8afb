#pragma once
// What a PostgreSQL server is asked, and what its answers mean for a check. No Asio, no libpq: rows
// and errors come as text.

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "health/probes/postgres_wire.hpp"
#include "swerve/base/result.hpp"
#include "swerve/base/time.hpp"
#include "swerve/health/outcome.hpp"

namespace swerve::health {

enum class PostgresRole : std::uint8_t { any, primary, standby };

/// What the check asks of the server.
struct PostgresWants {
    PostgresRole role = PostgresRole::any;
    bool writable = false;
    std::optional<Duration> max_lag;
    std::optional<std::int64_t> max_lag_bytes;
    std::int64_t sync_standbys = 0;
};

/// A session that waits in COMMIT for a synchronous standby: its process, and when its statement
/// began.
using PostgresWaiter = std::pair<std::int64_t, std::int64_t>;

struct PostgresFacts {
    bool in_recovery = false;
    bool read_only = false;
    bool sees_statistics = false;  ///< without it what follows of other sessions is empty
    std::uint32_t timeline = 0;    ///< 0: not told
    std::string standby_names;     ///< synchronous_standby_names
    bool commits_wait = false;     ///< synchronous_commit asks for a standby's word
    std::int64_t sync_streaming = 0;
    std::set<PostgresWaiter> waiters;
    bool received_is_replayed = false;
    std::optional<std::int64_t> replay_age_ms;
    bool replay_paused = false;
    std::string receiver;  ///< its status; empty: there is none
    std::optional<std::int64_t> message_age_ms;
    std::optional<std::int64_t> bytes_behind;
};

/// One statement for all of it.
[[nodiscard]] std::string_view postgres_question();
/// Why a row is no answer to it, in words.
[[nodiscard]] Result<PostgresFacts, std::string> read_postgres_facts(const PostgresRows& answer);

/// How many synchronous standbys COMMIT waits for by this value of synchronous_standby_names.
[[nodiscard]] std::int64_t demanded_standbys(std::string_view names);

/// How long ago what the standby has replayed was the newest. Nothing: it cannot be told.
[[nodiscard]] std::optional<Duration> postgres_lag(const PostgresFacts& facts);

/// `before` holds the sessions that waited at the look before, and is brought up to date.
[[nodiscard]] Outcome judge_postgres(const PostgresWants& wants, const PostgresFacts& facts,
                                     std::set<PostgresWaiter>& before);

/// Writes into a table of one row, and what came of it.
[[nodiscard]] std::string postgres_heartbeat(std::string_view table);
[[nodiscard]] std::optional<Outcome> judge_postgres_heartbeat(const PostgresRows& answer,
                                                              std::string_view table);

/// What an error says of the service, and whose fault it is. `target` is named in the reason.
[[nodiscard]] Outcome judge_postgres_failure(const PostgresFailure& failure,
                                             const std::string& target);

}  // namespace swerve::health
