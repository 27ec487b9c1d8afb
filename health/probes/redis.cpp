#include <algorithm>
#include <array>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "health/probes/redis_client.hpp"
#include "health/probes/redis_replication.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr std::int64_t lag_most = std::int64_t{1} << 40;

constexpr Field fields[] = {
    {.name = "endpoint",
     .kind = FieldKind::endpoint,
     .required = true,
     .help = "The server's address and port, as 198.51.100.1:6379 or [2001:db8::1]:6379."},
    redis_username_field,
    redis_password_file_field,
    {.name = "role",
     .kind = FieldKind::string,
     .fallback = "any",
     .help = "What the server must be: master, replica or any."},
    {.name = "link",
     .kind = FieldKind::string,
     .fallback = "up",
     .help = "What a replica's link to its master must be: up or any."},
    {.name = "max_silence",
     .kind = FieldKind::duration,
     .fallback = "15s",
     .help = "How long a replica may have heard nothing from its master; a master without writes "
             "speaks every 10 s (repl-ping-replica-period). Not asked where `link` is any. Of a "
             "master's replicas: how long one may have acknowledged nothing to count among "
             "`replicas`; it does so every second."},
    {.name = "max_lag",
     .kind = FieldKind::integer,
     .help = "Octets that a replica may have received and not applied yet (asked of the replica; "
             "Redis 7.0 and later), or be behind its master to count among `replicas`.",
     .least = 0,
     .most = lag_most},
    {.name = "replicas",
     .kind = FieldKind::integer,
     .fallback = "0",
     .help =
         "How many replicas of a master must be online, and within `max_silence` and `max_lag`.",
     .least = 0,
     .most = RedisReplication::replica_limit},
    server_name_field,
    choosing_tls_field,
};

enum class Role : std::uint8_t { any, master, replica };

struct Demands {
    Role role = Role::any;
    bool link_up = true;
    Duration max_silence{};
    std::optional<std::int64_t> max_lag;
    std::int64_t replicas = 0;
};

/// By how many octets. A lying server cannot make it overflow, nor less by what it has.
std::int64_t behind(std::int64_t newest, std::int64_t has) {
    return std::max<std::int64_t>(0, newest) - std::max<std::int64_t>(0, has);
}

/// Whether these seconds are beyond it; without multiplying, which could overflow.
bool is_longer(std::int64_t seconds, Duration than) {
    return seconds > std::chrono::duration_cast<std::chrono::seconds>(than).count();
}

std::string seconds_text(std::int64_t seconds) { return std::to_string(seconds) + "s"; }

class RedisProbe final : public Probe {
public:
    RedisProbe(RedisServer server, Demands demands)
        : client_(std::move(server)), demands_(demands) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        auto talk = co_await client_.greet(context);
        if (!talk) co_return std::move(talk.error());
        Outcome outcome = co_await look(context, *talk);
        talk->close();
        co_return outcome;
    }

private:
    /// The section has the role too, so that ROLE need not be asked, nor be allowed to this user.
    asio::awaitable<Outcome> look(const ProbeContext& context, RedisTalk& talk) const {
        std::vector<std::string> command{"INFO", "replication"};
        const auto info = co_await talk.ask(std::move(command));
        if (!info) co_return info.error();
        step(context, "INFO answered, " + std::to_string(info->text.size()) + " octets");
        const auto found = read_replication(info->text);
        if (!found) co_return unsure(client_.name() + " " + found.error());
        co_return found->is_master ? judge_master(*found) : judge_replica(talk, *found);
    }

    [[nodiscard]] Outcome judge_master(const RedisReplication& found) const {
        if (demands_.role == Role::replica) return failed(client_.name() + " is a master");
        const auto counts = [&](const RedisReplication::Replica& replica) {
            // A replica that hangs stays online for repl-timeout, a minute.
            return replica.is_online && replica.silent_seconds >= 0 &&
                   !is_longer(replica.silent_seconds, demands_.max_silence) &&
                   (!demands_.max_lag || behind(found.offset, replica.offset) <= *demands_.max_lag);
        };
        const auto good = std::ranges::count_if(found.replicas, counts);
        const std::string replicas = std::to_string(good) + " replicas in reach" +
                                     (demands_.max_lag ? " and within max_lag" : "");
        if (good < demands_.replicas) {
            return failed("master with " + replicas + ", " + std::to_string(demands_.replicas) +
                          " are needed");
        }
        return passed("master with " + replicas);
    }

    [[nodiscard]] Outcome judge_replica(const RedisTalk& talk,
                                        const RedisReplication& found) const {
        const std::string what = "replica of " + talk.said(found.master);
        if (demands_.role == Role::master) return failed(client_.name() + " is a " + what);
        if (auto fault = link_fault(found)) return failed(what + *fault);
        if (!demands_.max_lag) return passed(what);
        if (!found.received || !found.applied) {
            return unsure(what + " does not say what it has received: max_lag needs Redis 7.0");
        }
        const std::int64_t lag = std::max<std::int64_t>(0, behind(*found.received, *found.applied));
        const std::string reason = what + ", " + std::to_string(lag) + " octets not applied";
        return lag > *demands_.max_lag ? failed(reason) : passed(reason);
    }

    [[nodiscard]] std::optional<std::string> link_fault(const RedisReplication& found) const {
        if (!demands_.link_up) return std::nullopt;
        if (!found.link_is_up) {
            std::string out = ", link down";
            if (found.down_seconds && *found.down_seconds >= 0) {
                out += " for " + seconds_text(*found.down_seconds);
            }
            return out + (found.is_syncing ? ", taking over its data set" : "");
        }
        if (!found.silent_seconds || *found.silent_seconds < 0) {
            return ", which has said nothing yet";
        }
        if (is_longer(*found.silent_seconds, demands_.max_silence)) {
            return ", silent for " + seconds_text(*found.silent_seconds);
        }
        return std::nullopt;
    }

    RedisClient client_;
    Demands demands_;
};

std::string word_of(const FieldMap& values, std::string_view name, std::string_view fallback) {
    const auto* text = get<std::string>(values, name);
    return text == nullptr ? std::string{fallback} : *text;
}

Result<Demands, FieldFault> demands_of(const FieldMap& values) {
    Demands out;
    const std::string role = word_of(values, "role", "any");
    if (role != "any" && role != "master" && role != "replica") {
        return fail(
            FieldFault{"role", quoted(role) + " is no role", "one of master, replica and any"});
    }
    out.role = role == "master" ? Role::master : role == "replica" ? Role::replica : Role::any;
    const std::string link = word_of(values, "link", "up");
    if (link != "up" && link != "any") {
        return fail(FieldFault{"link", quoted(link) + " is no state of a link", "up or any"});
    }
    out.link_up = link == "up";
    const auto* silence = get<Duration>(values, "max_silence");
    out.max_silence = silence == nullptr ? std::chrono::seconds{15} : *silence;
    if (out.max_silence < std::chrono::seconds{1}) {
        return fail(FieldFault{"max_silence", "is less than 1s, and Redis tells whole seconds",
                               "at least 1s"});
    }
    if (const auto* replicas = get<std::int64_t>(values, "replicas")) out.replicas = *replicas;
    if (out.replicas > 0 && out.role != Role::master) {
        return fail(FieldFault{"replicas", "is asked of a master only", "write `role: master`"});
    }
    if (const auto* lag = get<std::int64_t>(values, "max_lag")) out.max_lag = *lag;
    if (out.max_lag && out.role == Role::master && out.replicas == 0) {
        return fail(FieldFault{"max_lag", "is of replicas, of which this master needs none",
                               "say with `replicas` how many"});
    }
    return out;
}

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    auto server = redis_server(values);
    if (!server) return fail(std::move(server.error()));
    auto demands = demands_of(values);
    if (!demands) return fail(std::move(demands.error()));
    return std::make_unique<RedisProbe>(*std::move(server), *demands);
}

std::string target(const FieldMap& values) {
    return "redis://" + get<Endpoint>(values, "endpoint")->to_string();
}

}  // namespace

ProbeType redis_probe() {
    return {.name = "redis",
            .help = "Asks a Redis server for its role, the link to its master, and lag.",
            .fields = fields,
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .make = make,
            .caveat = caveat_of_insecure_tls,
            .target = target};
}

}  // namespace swerve::health
