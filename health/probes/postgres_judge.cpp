#include "health/probes/postgres_judge.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

using namespace std::chrono_literals;

/// A sender says something at half of wal_sender_timeout, 30 s by default, also when nothing is
/// written.
constexpr std::int64_t message_age_limit_ms = 45'000;
/// What an idle primary may be ahead with, for it still writes of its own accord.
constexpr std::int64_t idle_bytes = std::int64_t{1} << 20;
constexpr std::size_t waiter_limit = 32;
constexpr std::size_t text_limit = 160;

Outcome make(ProbeResult result, std::string reason) { return {result, std::move(reason), {}, {}}; }
Outcome failing(std::string reason) { return make(ProbeResult::fail, std::move(reason)); }
Outcome unclear(std::string reason) { return make(ProbeResult::unknown, std::move(reason)); }

/// The columns of the answer, in their order.
enum Column : std::uint8_t {
    in_recovery,
    read_only,
    sees_statistics,
    walfile,
    received_timeline,
    standby_names,
    synchronous_commit,
    sync_streaming,
    waiters,
    received_is_replayed,
    replay_age_ms,
    replay_paused,
    receiver,
    message_age_ms,
    bytes_behind,
    column_count
};

// pg_current_wal_lsn() is an error on a standby and pg_is_wal_replay_paused() on a primary, so both
// stand in a CASE. pg_control_checkpoint() tells the old timeline for a while after a promotion;
// the name of the file that is written tells the new one at once.
constexpr std::string_view question =
    "SELECT pg_is_in_recovery(), "
    "current_setting('transaction_read_only') = 'on', "
    "pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'), "
    "CASE WHEN NOT pg_is_in_recovery() THEN pg_walfile_name(pg_current_wal_lsn()) END, "
    "r.received_tli, "
    "current_setting('synchronous_standby_names'), "
    "current_setting('synchronous_commit'), "
    "(SELECT count(*) FROM pg_stat_replication "
    "WHERE state = 'streaming' AND sync_state IN ('sync', 'quorum')), "
    "(SELECT string_agg(pid || ':' || "
    "coalesce((extract(epoch FROM query_start) * 1000000)::bigint, 0), ' ') "
    "FROM (SELECT pid, query_start FROM pg_stat_activity WHERE wait_event = 'SyncRep' "
    "ORDER BY query_start LIMIT 32) w), "
    "coalesce(pg_last_wal_receive_lsn() <= pg_last_wal_replay_lsn(), false), "
    "(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::bigint, "
    "CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END, "
    "r.status, "
    "(extract(epoch FROM clock_timestamp() - r.last_msg_receipt_time) * 1000)::bigint, "
    "pg_wal_lsn_diff(greatest(r.latest_end_lsn, pg_last_wal_receive_lsn()), "
    "pg_last_wal_replay_lsn())::bigint "
    "FROM (VALUES (1)) AS one LEFT JOIN pg_stat_wal_receiver r ON true";

template <class T>
std::optional<T> number(std::string_view text, int base = 10) {
    T value{};
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, value, base);
    if (error != std::errc{} || stop != end) return std::nullopt;
    return value;
}

/// Reads the columns, and remembers whether one was none of its kind.
class Columns {
public:
    explicit Columns(const PostgresRow& row) : row_(row) {}

    [[nodiscard]] bool flag(Column column) {
        const auto& value = row_[column];
        if (!value || (*value != "t" && *value != "f")) fine_ = false;
        return value && *value == "t";
    }
    [[nodiscard]] std::optional<std::int64_t> integer(Column column) {
        const auto& value = row_[column];
        if (!value) return std::nullopt;
        const auto read = number<std::int64_t>(*value);
        if (!read) fine_ = false;
        return read;
    }
    [[nodiscard]] std::string text(Column column) const { return row_[column].value_or(""); }
    [[nodiscard]] std::set<PostgresWaiter> sessions(Column column) {
        std::set<PostgresWaiter> out;
        const std::string all = text(column);
        for (std::string_view rest = all; !rest.empty();) {
            const std::string_view one = rest.substr(0, rest.find(' '));
            rest.remove_prefix(std::min(one.size() + 1, rest.size()));
            const std::size_t colon = std::min(one.find(':'), one.size());
            const auto process = number<std::int64_t>(one.substr(0, colon));
            const auto since = number<std::int64_t>(one.substr(std::min(colon + 1, one.size())));
            if (!process || !since || out.size() == waiter_limit) {
                fine_ = false;
                return {};
            }
            out.emplace(*process, *since);
        }
        return out;
    }
    /// A name of a file of WAL begins with the timeline, in eight hexadecimal digits.
    [[nodiscard]] std::uint32_t timeline() {
        if (const auto& file = row_[walfile]) {
            const auto value = number<std::uint32_t>(std::string_view{*file}.substr(0, 8), 16);
            if (!value || file->size() != 24) fine_ = false;
            return value.value_or(0);
        }
        const std::int64_t value = integer(received_timeline).value_or(0);
        if (value < 0 || value > 0xffffffffLL) fine_ = false;
        return fine_ ? static_cast<std::uint32_t>(value) : 0;
    }
    [[nodiscard]] bool fine() const { return fine_; }

private:
    const PostgresRow& row_;
    bool fine_ = true;
};

std::string_view without_blanks(std::string_view text) {
    const std::size_t begin = std::min(text.find_first_not_of(" \t\r\n"), text.size());
    text.remove_prefix(begin);
    return text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
}

/// Cuts a word off the front, in any case, if blanks follow it.
bool take_word(std::string_view& text, std::string_view word) {
    const bool is_there =
        text.size() > word.size() &&
        std::ranges::equal(text.substr(0, word.size()), word,
                           [](char left, char right) { return (left | 0x20) == right; }) &&
        (text[word.size()] == ' ' || text[word.size()] == '\t');
    if (is_there) text = without_blanks(text.substr(word.size()));
    return is_there;
}

std::string on_timeline(const PostgresFacts& facts) {
    return facts.timeline == 0 ? "" : fmt::format(" on timeline {}", facts.timeline);
}

std::string lag_text(Duration lag) {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(lag).count();
    return ms % 1000 == 0 ? fmt::format("{}s", ms / 1000)
                          : fmt::format("{}.{:03}s", ms / 1000, ms % 1000);
}

std::string standbys(std::int64_t count) {
    return fmt::format("{} synchronous {}", count, count == 1 ? "standby" : "standbys");
}

std::optional<Outcome> judge_writing(const PostgresFacts& facts,
                                     const std::set<PostgresWaiter>& before,
                                     const std::string& what) {
    if (facts.read_only) {
        return failing(what + ", but read-only: default_transaction_read_only is on");
    }
    const std::int64_t demanded = demanded_standbys(facts.standby_names);
    if (facts.commits_wait && demanded > facts.sync_streaming) {
        return failing(fmt::format(
            "{}, but every COMMIT hangs: synchronous_standby_names is '{}', and of the {} that it "
            "waits for {} streaming",
            what, escape(facts.standby_names, text_limit), standbys(demanded),
            facts.sync_streaming == 0   ? "none is"
            : facts.sync_streaming == 1 ? "1 is"
                                        : fmt::format("{} are", facts.sync_streaming)));
    }
    std::vector<PostgresWaiter> stuck;
    std::ranges::set_intersection(facts.waiters, before, std::back_inserter(stuck));
    if (stuck.empty()) return std::nullopt;
    return failing(fmt::format(
        "{}, but {} in COMMIT for a synchronous standby since the attempt before, among them "
        "process {}",
        what, stuck.size() == 1 ? "1 session waits" : fmt::format("{} sessions wait", stuck.size()),
        stuck.front().first));
}

Outcome judge_primary(const PostgresWants& wants, const PostgresFacts& facts,
                      const std::set<PostgresWaiter>& before) {
    const std::string what = "primary" + on_timeline(facts);
    if (wants.writable) {
        if (auto fault = judge_writing(facts, before, what)) return std::move(*fault);
    }
    std::string reason = what;
    if (wants.writable) reason += ", no COMMIT hangs";
    if (wants.sync_standbys > 0) {
        reason += fmt::format(", {} streaming", standbys(facts.sync_streaming));
        if (facts.sync_streaming < wants.sync_standbys) {
            return failing(fmt::format(
                "{}, but {} demanded", reason,
                wants.sync_standbys == 1 ? "1 is" : fmt::format("{} are", wants.sync_standbys)));
        }
    }
    return make(ProbeResult::pass, std::move(reason));
}

Outcome judge_standby(const PostgresWants& wants, const PostgresFacts& facts) {
    std::string reason = "standby" + on_timeline(facts);
    const bool streams = facts.receiver == "streaming";
    const std::string why =
        std::string{facts.replay_paused ? ", replay is paused" : ""} +
        (streams                  ? ""
         : facts.receiver.empty() ? ", no WAL receiver runs"
                                  : ", the WAL receiver is " + escape(facts.receiver, text_limit));
    if (wants.max_lag) {
        const auto lag = postgres_lag(facts);
        if (!lag) {
            return failing(reason +
                           " with a lag that cannot be told, for no transaction was "
                           "replayed yet" +
                           why);
        }
        reason += ", " + lag_text(*lag) + " behind";
        if (*lag > *wants.max_lag) {
            return failing(reason + ", more than " + lag_text(*wants.max_lag) + why);
        }
    }
    if (wants.max_lag_bytes) {
        if (!streams || !facts.bytes_behind) {
            return failing(reason + ", how many bytes it is behind cannot be told" + why);
        }
        const std::int64_t bytes = std::max<std::int64_t>(*facts.bytes_behind, 0);
        reason += fmt::format(", {} bytes behind", bytes);
        if (bytes > *wants.max_lag_bytes) {
            return failing(fmt::format("{}, more than {}{}", reason, *wants.max_lag_bytes, why));
        }
    }
    return make(ProbeResult::pass, std::move(reason));
}

/// The SQLSTATE that a verbose message carries ("FATAL:  28P01: password …"), which is cut down to
/// what stands behind it.
std::string take_sqlstate(std::string_view& message) {
    for (std::size_t at = message.find(":  "); at != std::string_view::npos;
         at = message.find(":  ", at + 1)) {
        const std::string_view rest = message.substr(at + 3);
        const bool is_state =
            rest.size() > 7 && rest.substr(5, 2) == ": " &&
            std::ranges::all_of(rest.substr(0, 5), [](char letter) {
                return (letter >= '0' && letter <= '9') || (letter >= 'A' && letter <= 'Z');
            });
        if (!is_state) continue;
        message = rest.substr(7);
        return std::string{rest.substr(0, 5)};
    }
    return "";
}

bool is_one_of(std::string_view state, std::span<const std::string_view> classes) {
    return std::ranges::any_of(classes,
                               [&](std::string_view begin) { return state.starts_with(begin); });
}

/// Of an error with an SQLSTATE: what a person can do about it, where that is not plain.
Outcome judge_state(std::string_view state, std::string said) {
    // Connections broken, no resources, limits reached, shutting down or starting, the server's own
    // faults.
    static constexpr std::array<std::string_view, 10> service{"08",    "25006", "40", "53", "54",
                                                              "55006", "57",    "58", "F0", "XX"};
    // Whom the operator lets in, and what was configured: no word about the service.
    if (state == "08P01") return unclear(std::move(said));
    if (state == "42501") return unclear(said + "; grant the check's user what it needs");
    if (state == "42P01" || state == "42703") {
        return unclear(said + "; create the table of the heartbeat with a column beat");
    }
    if (state == "57014") {
        return failing("cancelled after three quarters of the timeout: " + said);
    }
    return is_one_of(state, service) ? failing(std::move(said)) : unclear(std::move(said));
}

}  // namespace

std::string_view postgres_question() { return question; }

Result<PostgresFacts, std::string> read_postgres_facts(const PostgresRows& answer) {
    if (answer.rows.size() != 1 || answer.rows[0].size() != column_count) {
        return fail(std::string{"the answer has not the rows and columns that were asked for"});
    }
    Columns columns(answer.rows[0]);
    PostgresFacts out;
    out.in_recovery = columns.flag(in_recovery);
    out.read_only = columns.flag(read_only);
    out.sees_statistics = columns.flag(sees_statistics);
    out.timeline = columns.timeline();
    out.standby_names = columns.text(standby_names);
    const std::string commit = columns.text(synchronous_commit);
    out.commits_wait = commit != "off" && commit != "local";
    out.sync_streaming = columns.integer(sync_streaming).value_or(0);
    out.waiters = columns.sessions(waiters);
    out.received_is_replayed = columns.flag(received_is_replayed);
    out.replay_age_ms = columns.integer(replay_age_ms);
    out.replay_paused = columns.flag(replay_paused);
    out.receiver = columns.text(receiver);
    out.message_age_ms = columns.integer(message_age_ms);
    out.bytes_behind = columns.integer(bytes_behind);
    if (!columns.fine()) return fail(std::string{"the answer holds what no PostgreSQL says"});
    return out;
}

std::int64_t demanded_standbys(std::string_view names) {
    names = without_blanks(names);
    if (names.empty()) return 0;
    std::string_view rest = names;
    if (!take_word(rest, "first")) (void)take_word(rest, "any");
    std::int64_t count = 0;
    const auto [stop, error] = std::from_chars(rest.data(), rest.data() + rest.size(), count);
    if (error != std::errc{} || count < 1) return 1;
    const std::string_view behind =
        without_blanks({stop, static_cast<std::size_t>(rest.data() + rest.size() - stop)});
    // A list without a count asks for one; a name may begin with digits.
    return behind.starts_with('(') ? count : 1;
}

std::optional<Duration> postgres_lag(const PostgresFacts& facts) {
    // On an idle pair the age of the last transaction grows though nothing is missing. All that was
    // received may be far from all that there is.
    const bool is_near = facts.bytes_behind.value_or(0) <= idle_bytes;
    if (is_near && facts.received_is_replayed && facts.receiver == "streaming" &&
        facts.message_age_ms && *facts.message_age_ms <= message_age_limit_ms) {
        return Duration{0};
    }
    if (!facts.replay_age_ms) return std::nullopt;
    // The clocks of two hosts differ, and a lying server may say anything.
    static constexpr std::int64_t most = std::chrono::milliseconds{std::chrono::years{10}}.count();
    return std::chrono::milliseconds{std::clamp<std::int64_t>(*facts.replay_age_ms, 0, most)};
}

Outcome judge_postgres(const PostgresWants& wants, const PostgresFacts& facts,
                       std::set<PostgresWaiter>& before) {
    const std::set<PostgresWaiter> earlier = std::exchange(before, facts.waiters);
    const std::string where = on_timeline(facts);
    if (wants.role == PostgresRole::any) {
        return make(ProbeResult::pass,
                    std::string{facts.in_recovery ? "standby" : "primary"} + where);
    }
    const bool wants_standby = wants.role == PostgresRole::standby;
    if (facts.in_recovery && !wants_standby) {
        return failing("is a standby" + where + ", not the primary");
    }
    if (!facts.in_recovery && wants_standby) {
        return failing("is a primary" + where + ", not a standby");
    }
    const bool looks_at_statistics =
        wants.writable || wants.sync_standbys > 0 || wants.max_lag || wants.max_lag_bytes;
    if (looks_at_statistics && !facts.sees_statistics) {
        return unclear(
            "the check's user may not see what other sessions wait for nor how replication "
            "stands; GRANT pg_monitor TO it");
    }
    return wants_standby ? judge_standby(wants, facts) : judge_primary(wants, facts, earlier);
}

std::string postgres_heartbeat(std::string_view table) {
    std::string name;
    for (const char letter : table) {
        name += letter == '.' ? std::string{"\".\""} : std::string{letter};
    }
    return "UPDATE \"" + name + "\" SET beat = clock_timestamp()";
}

std::optional<Outcome> judge_postgres_heartbeat(const PostgresRows& answer,
                                                std::string_view table) {
    // The function's name is in no translation, as the words of the warning are. To cancel ends the
    // wait and not the transaction, which is committed here and nowhere else.
    if (std::ranges::find(answer.warned_by, "SyncRepWaitForLSN") != answer.warned_by.end()) {
        return failing(
            fmt::format("the COMMIT of a row in {} waited in vain for a synchronous "
                        "standby",
                        table));
    }
    if (answer.command == "UPDATE 1") return std::nullopt;
    if (answer.command == "UPDATE 0") {
        return unclear(fmt::format("{} is empty; insert the one row of the heartbeat", table));
    }
    return unclear(fmt::format("the answer to a write into {} was {}, not UPDATE 1", table,
                               escape(answer.command, text_limit)));
}

Outcome judge_postgres_failure(const PostgresFailure& failure, const std::string& target) {
    std::string_view message = failure.message;
    std::string state = failure.sqlstate;
    if (state.empty()) state = take_sqlstate(message);
    message = message.substr(0, message.find('\n'));
    // libpq says first what we know: "connection to server at … failed: ".
    static constexpr std::string_view failed_at = " failed: ";
    const std::size_t known = message.find(failed_at);
    if (message.starts_with("connection to server ") && known != std::string_view::npos) {
        message = message.substr(known + failed_at.size());
    }
    std::string said = target + ": " + escape(message, text_limit);
    if (!state.empty()) {
        return judge_state(state, said + " (SQLSTATE " + escape(state, 5) + ")");
    }
    if (failure.asks_password) return unclear(target + " asks for a password; set password_file");
    // libpq's own words, which it does not translate for us.
    static constexpr std::array<std::string_view, 12> ours{"could not create socket",
                                                           "not supported",
                                                           "mechanisms are supported",
                                                           "GSSAPI",
                                                           "root certificate file",
                                                           "could not read",
                                                           "could not load",
                                                           "Permission denied",
                                                           "out of memory",
                                                           "Too many open files",
                                                           "Cannot assign",
                                                           "invalid connection option"};
    const bool is_ours =
        failure.connecting && std::ranges::any_of(ours, [&](std::string_view word) {
            return message.find(word) != std::string_view::npos;
        });
    return is_ours ? unclear(std::move(said)) : failing(std::move(said));
}

}  // namespace swerve::health
