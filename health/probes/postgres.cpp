// A PostgreSQL server and its part in replication, asked over libpq in a process of its own
// (ADR-0022).

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "health/probes/exec_child.hpp"
#include "health/probes/postgres_settings.hpp"
#include "health/probes/postgres_worker.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"
#include "health/probes/secret.hpp"
#include "swerve/base/clock.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

/// Binds a socket to the address, as only an address of this host lets itself be; the error if not.
int bind_to(const Address& address) {
    ::sockaddr_storage local{};
    ::socklen_t length = 0;
    if (address.family() == Family::ipv4) {
        auto& in = reinterpret_cast<::sockaddr_in&>(local);
        in.sin_family = AF_INET;
        std::memcpy(&in.sin_addr, address.octets().data(), sizeof in.sin_addr);
        length = sizeof in;
    } else {
        auto& in = reinterpret_cast<::sockaddr_in6&>(local);
        in.sin6_family = AF_INET6;
        std::memcpy(&in.sin6_addr, address.octets().data(), sizeof in.sin6_addr);
        length = sizeof in;
    }
    const int socket = ::socket(local.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket < 0) return errno;
    const bool is_bound = ::bind(socket, reinterpret_cast<const ::sockaddr*>(&local), length) == 0;
    const int error = is_bound ? 0 : errno;
    ::close(socket);
    return error;
}

/// A server may repeat what it was sent, and it may ask for the password in the clear.
void blot(std::string& text, const std::string& secret) {
    static constexpr std::string_view blotted = "***";
    if (secret.empty()) return;
    for (std::size_t at = 0; (at = text.find(secret, at)) != std::string::npos;) {
        text.replace(at, secret.size(), blotted);
        at += blotted.size();
    }
}

/// More steps no connection has; each is handed on, and the worker may be in a server's hands.
constexpr std::size_t progress_limit = 32;
constexpr std::size_t doing_limit = 80;
/// Processes of one check that are there at once.
constexpr long workers_limit = 3;

/// After how much of what is left the server is asked to give up: a session that waits in COMMIT
/// does not see that its client is gone, and each attempt would leave one more.
std::uint32_t patience(TimePoint deadline) {
    using namespace std::chrono_literals;
    const Duration left = std::clamp<Duration>(deadline - BootClock::now(), 1ms, 1h);
    return static_cast<std::uint32_t>(left * 3 / 4 / 1ms);
}

class PostgresProbe final : public Probe {
public:
    explicit PostgresProbe(PostgresSettings settings)
        : settings_(std::move(settings)), name_(escape(settings_.name())) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint deadline) override {
        // One conversation with the worker at a time; attempts of one check may overlap.
        const Turns::Turn turn = co_await Turns::take(own_turn_, deadline + std::chrono::hours{1});
        if (!turn) co_return unsure("the attempt before this one has not ended");
        if (auto fault = locality_fault(context)) co_return std::move(*fault);
        auto parameters = settings_.parameters();
        secret_.clear();
        if (!settings_.password_file.empty()) {
            auto password = read_secret(settings_.password_file);
            if (!password) co_return unsure("password_file " + password.error());
            secret_ = *std::move(password);
            parameters.emplace_back("password", secret_);
        }
        if (auto fault = start_worker(context, co_await asio::this_coro::executor)) {
            co_return std::move(*fault);
        }
        // However this ends, a worker that has not said everything is of no more use.
        Talk talk(*this);
        co_return co_await ask(context, talk, std::move(parameters), deadline);
    }

private:
    using Parameters = std::vector<std::pair<std::string, std::string>>;

    /// Kills the worker unless the conversation came to its end.
    struct Talk {
        explicit Talk(PostgresProbe& whose) : probe(whose) {}
        ~Talk() {
            if (!is_over) probe.worker_.reset();
        }
        Talk(const Talk&) = delete;
        Talk& operator=(const Talk&) = delete;

        PostgresProbe& probe;
        bool is_over = false;
    };

    /// DESIGN.md §4.5: what answers at an owned address that is not here is another site's server.
    std::optional<Outcome> locality_fault(const ProbeContext& context) {
        if (!settings_.endpoint) return std::nullopt;
        const Address& address = settings_.endpoint->address;
        const bool ours = std::ranges::any_of(
            context.owned, [&](const Prefix& prefix) { return prefix.contains(address); });
        const int error = ours ? bind_to(address) : 0;
        if (error == 0) return std::nullopt;
        worker_.reset();
        if (error == EADDRNOTAVAIL)
            return failed(address.to_string() + ": address not on this host");
        return unsure(address.to_string() + ": " + std::generic_category().message(error));
    }

    std::optional<Outcome> start_worker(const ProbeContext& context,
                                        const asio::any_io_executor& executor) {
        if (worker_) return std::nullopt;
        const auto file = find_postgres_worker();
        if (!file) return unsure(file.error());
        // One that is stuck in the kernel does not end when it is killed.
        if (living_.use_count() > workers_limit) {
            return unsure("earlier swerve-postgres processes were killed and have not ended yet");
        }
        auto started = PostgresWorker::start(executor, *file, living_);
        if (!started) return unsure(escape(*file) + " could not be started: " + started.error());
        worker_ = std::move(*started);
        step(context, "started " + escape(*file));
        return std::nullopt;
    }

    asio::awaitable<Outcome> ask(const ProbeContext& context, Talk& talk, Parameters parameters,
                                 TimePoint deadline) {
        PostgresRequest request{
            std::move(parameters), {std::string{postgres_question()}}, patience(deadline)};
        const auto answer = co_await exchange(context, talk, request, "asking how it stands");
        if (!answer) co_return answer.error();
        const auto facts = read_postgres_facts(*answer);
        if (!facts) co_return unsure(name_ + ": " + facts.error());
        Outcome outcome = judge_postgres(settings_.wants, *facts, waiting_);
        // The values are judged as they are. These two are quoted where they are to blame.
        const bool repeats = !secret_.empty() && (facts->standby_names.contains(secret_) ||
                                                  facts->receiver.contains(secret_));
        if (outcome.result != ProbeResult::pass && repeats) {
            outcome.reason = "is not as demanded, and its answer repeats the password";
        }
        const std::string_view link = outcome.result == ProbeResult::pass   ? " is "
                                      : outcome.result == ProbeResult::fail ? " "
                                                                            : ": ";
        outcome.reason = name_ + std::string{link} + outcome.reason;
        step(context, outcome.reason);
        if (outcome.result != ProbeResult::pass || settings_.heartbeat.empty()) co_return outcome;

        request.statements = {postgres_heartbeat(settings_.heartbeat)};
        request.cancel_after_ms = patience(deadline);
        const std::string doing = "waiting for the COMMIT of a row in " + settings_.heartbeat;
        const auto written = co_await exchange(context, talk, request, doing);
        if (!written) co_return written.error();
        if (auto fault = judge_postgres_heartbeat(*written, settings_.heartbeat)) {
            fault->reason = name_ + ": " + fault->reason;
            co_return std::move(*fault);
        }
        outcome.reason += ", heartbeat written";
        co_return outcome;
    }

    /// The rows of a request with one statement.
    asio::awaitable<Result<PostgresRows, Outcome>> exchange(const ProbeContext& context, Talk& talk,
                                                            const PostgresRequest& request,
                                                            const std::string& asked) {
        std::string doing = asked;
        talk.is_over = false;
        auto frame = encode(request);
        if (!frame) co_return fail(unsure("the request is longer than 64 KiB"));
        (void)co_await worker_->send(std::move(*frame));
        for (std::size_t steps = 0;;) {
            auto reply = co_await worker_->receive();
            if (!reply) {
                std::string why = reply.error().empty() ? name_ + ": " + doing
                                                        : "swerve-postgres " + reply.error();
                co_return fail(unsure(std::move(why)));
            }
            if (auto* progress = std::get_if<PostgresProgress>(&*reply)) {
                if (++steps > progress_limit) {
                    co_return fail(unsure("swerve-postgres tells of more steps than there are"));
                }
                doing = progress->doing.empty() ? asked : escape(progress->doing, doing_limit);
                step(context, name_ + ": " + doing);
                continue;
            }
            talk.is_over = true;
            if (auto* rows = std::get_if<PostgresRows>(&*reply)) {
                blot(rows->command, secret_);
                co_return std::move(*rows);
            }
            auto& failure = std::get<PostgresFailure>(*reply);
            blot(failure.message, secret_);
            co_return fail(judge_postgres_failure(failure, name_));
        }
    }

    PostgresSettings settings_;
    std::string name_;    ///< of the server, for reasons
    std::string secret_;  ///< of the attempt that runs; empty: none
    PostgresWorker::Running worker_;
    /// Held by each worker until it is reaped.
    std::shared_ptr<const char> living_ = std::make_shared<const char>('\0');
    std::shared_ptr<Turns> own_turn_ = std::make_shared<Turns>(1);
    std::set<PostgresWaiter> waiting_;  ///< at the attempt before
};

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    auto settings = postgres_settings(values);
    if (!settings) return fail(std::move(settings.error()));
    return std::make_unique<PostgresProbe>(std::move(*settings));
}

std::string caveat(const FieldMap& values) {
    const auto settings = postgres_settings(values);
    if (!settings) return "";
    const bool leaves_host = settings->endpoint && !settings->endpoint->address.is_loopback();
    if (leaves_host && settings->tls_mode != "verify-full") {
        return "whoever answers at that address passes for this server, and can ask for the "
               "password in the clear";
    }
    const PostgresWants& wants = settings->wants;
    if (wants.role == PostgresRole::any) {
        return "any role passes, so a standby does for a primary";
    }
    if (wants.role == PostgresRole::standby && !wants.max_lag && !wants.max_lag_bytes) {
        return "nothing is asked of its lag, so a standby cut off from its primary passes";
    }
    if (wants.role == PostgresRole::primary && settings->heartbeat.empty()) {
        return "nothing is written: that it could be is concluded from what other sessions wait "
               "for";
    }
    return "";
}

std::string target(const FieldMap& values) {
    const auto settings = postgres_settings(values);
    return settings ? "postgres://" + escape(settings->name() + "/" + settings->database) : "";
}

}  // namespace

ProbeType postgres_probe() {
    return {.name = "postgres",
            .help =
                "Logs in to a PostgreSQL server (10 or later), over one connection that is kept "
                "and renewed every 15 s, and looks at its role and its part in replication. "
                "libpq runs in a process of its own for each check, `swerve-postgres`, which is "
                "killed at `timeout`. A wrong password, a missing database and a missing right are "
                "`unknown`.",
            .fields = postgres_fields(),
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
