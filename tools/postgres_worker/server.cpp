#include "tools/postgres_worker/server.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace swerve::tools {
namespace {

using namespace health;
using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

/// How old a connection may get: what only new ones meet (too many of them, a password that was
/// changed, a server that no longer listens) is seen this often.
constexpr auto renew_after = std::chrono::seconds{15};

// No statement of the probe's gives more than one row of twenty short values.
constexpr int row_limit = 4;
constexpr int column_limit = 32;
constexpr int value_limit = 4096;
constexpr int result_limit = 8;
constexpr std::size_t message_limit = 1024;

std::string cut(const char* text) { return {text, ::strnlen(text, message_limit)}; }

const char* doing(ConnStatusType status) {
    switch (status) {
        case CONNECTION_SSL_STARTUP:
            return "in the TLS handshake";
        case CONNECTION_AWAITING_RESPONSE:
        case CONNECTION_MADE:
            return "in the authentication";
        case CONNECTION_AUTH_OK:
            return "logged in, until the session is ready";
        case CONNECTION_STARTED:
        case CONNECTION_OK:
        case CONNECTION_BAD:
        case CONNECTION_SETENV:
        case CONNECTION_NEEDED:
        case CONNECTION_CHECK_WRITABLE:
        case CONNECTION_CONSUME:
        case CONNECTION_GSS_STARTUP:
        case CONNECTION_CHECK_TARGET:
        case CONNECTION_CHECK_STANDBY:
            break;
    }
    return "connecting";
}

/// Until the server has something to say, or hears; ends the process when the daemon is gone. False
/// after `timeout_ms`, where that is not negative.
bool wait_for(int socket, short events, int timeout_ms = -1) {
    std::array<::pollfd, 2> both{{{socket, events, 0}, {STDIN_FILENO, POLLRDHUP, 0}}};
    const int count = ::poll(both.data(), both.size(), timeout_ms);
    if (count < 0 && errno == EINTR) return true;
    if (both[1].revents != 0) std::exit(EXIT_SUCCESS);
    return count != 0;
}

/// The rows of a result added to those before it. False: more than anybody asked for.
bool add_rows(const PGresult* result, PostgresRows& out) {
    const int rows = PQntuples(result);
    const int columns = PQnfields(result);
    if (columns > column_limit || rows > row_limit) return false;
    for (int row = 0; row < rows; ++row) {
        if (out.rows.size() == row_limit) return false;
        PostgresRow& values = out.rows.emplace_back();
        for (int column = 0; column < columns; ++column) {
            const int length = PQgetlength(result, row, column);
            if (length > value_limit) return false;
            auto& value = values.emplace_back();
            if (PQgetisnull(result, row, column) != 0) continue;
            value.emplace(PQgetvalue(result, row, column), static_cast<std::size_t>(length));
        }
    }
    return true;
}

PostgresFailure failure_of(const PGresult* result) {
    PostgresFailure out;
    const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (state != nullptr) out.sqlstate = cut(state);
    out.message = cut(message != nullptr ? message : PQresultErrorMessage(result));
    return out;
}

}  // namespace

PostgresFailure too_much() {
    return {false, false, "", "the answer is larger than what was asked"};
}

void PostgresServer::answer(const PostgresRequest& request) {
    cancel_at_ =
        std::chrono::steady_clock::now() + std::chrono::milliseconds{request.cancel_after_ms};
    bool is_kept = is_usable_for(request.parameters);
    if (!is_kept && !connect(request.parameters)) return;
    for (const std::string& statement : request.statements) {
        PostgresReply reply;
        bool done = run(statement, reply);
        // A kept connection may have ended while nobody looked (a restart, an administrator, a
        // firewall): a new one tells what is true now.
        if (!done && is_kept && PQstatus(connection_.get()) == CONNECTION_BAD) {
            if (!connect(request.parameters)) return;
            done = run(statement, reply);
        }
        is_kept = false;
        reply_(reply);
        if (!done) {
            connection_.reset();
            return;
        }
    }
}

bool PostgresServer::is_usable_for(const Parameters& parameters) const {
    return connection_ && PQstatus(connection_.get()) == CONNECTION_OK &&
           connected_with_ == parameters &&
           std::chrono::steady_clock::now() - connected_at_ < renew_after;
}

bool PostgresServer::connect(const Parameters& parameters) {
    std::vector<const char*> names;
    std::vector<const char*> values;
    for (const auto& [name, value] : parameters) {
        names.push_back(name.c_str());
        values.push_back(value.c_str());
    }
    names.push_back(nullptr);
    values.push_back(nullptr);
    connection_.reset();
    connection_.reset(PQconnectStartParams(names.data(), values.data(), 0));
    if (!connection_) {
        reply_(PostgresFailure{true, false, "", "out of memory"});
        return false;
    }
    // Verbose messages carry the SQLSTATE, which libpq does not tell otherwise while it connects.
    PQsetErrorVerbosity(connection_.get(), PQERRORS_VERBOSE);
    PQsetNoticeReceiver(connection_.get(), on_notice, this);
    const char* told = nullptr;
    auto next = PGRES_POLLING_WRITING;
    while (PQstatus(connection_.get()) != CONNECTION_BAD && next != PGRES_POLLING_OK) {
        tell_progress(told);
        wait_for(PQsocket(connection_.get()), next == PGRES_POLLING_READING ? POLLIN : POLLOUT);
        next = PQconnectPoll(connection_.get());
        if (next == PGRES_POLLING_FAILED) break;
    }
    connected_with_ = parameters;
    connected_at_ = std::chrono::steady_clock::now();
    if (PQstatus(connection_.get()) == CONNECTION_OK) {
        reply_(PostgresProgress{});
        return true;
    }
    reply_(PostgresFailure{true, PQconnectionNeedsPassword(connection_.get()) != 0, "",
                           cut(PQerrorMessage(connection_.get()))});
    connection_.reset();
    return false;
}

void PostgresServer::tell_progress(const char*& told) {
    const char* now = doing(PQstatus(connection_.get()));
    if (now == told) return;
    told = now;
    reply_(PostgresProgress{now});
}

bool PostgresServer::run(const std::string& statement, PostgresReply& reply) {
    warned_by_.clear();
    PGconn* const connection = connection_.get();
    const auto failed = [&](PostgresFailure failure) {
        reply = std::move(failure);
        return false;
    };
    if (PQsendQuery(connection, statement.c_str()) != 1) {
        return failed({false, false, "", cut(PQerrorMessage(connection))});
    }
    // Row by row, or an endless answer would be gathered first and looked at later.
    PQsetSingleRowMode(connection);
    PostgresRows rows;
    std::optional<PostgresFailure> failure;
    for (int count = 0;; ++count) {
        wait_for_result();
        const Result result(PQgetResult(connection), &PQclear);
        if (!result) break;
        if (count == result_limit) return failed(too_much());
        switch (PQresultStatus(result.get())) {
            case PGRES_COMMAND_OK:
                rows.command = cut(PQcmdStatus(result.get()));
                rows.rows.clear();
                break;
            case PGRES_SINGLE_TUPLE:
            case PGRES_TUPLES_OK:
                if (!add_rows(result.get(), rows)) return failed(too_much());
                break;
            case PGRES_FATAL_ERROR:
                if (!failure) failure = failure_of(result.get());
                break;
            case PGRES_EMPTY_QUERY:
            case PGRES_COPY_OUT:
            case PGRES_COPY_IN:
            case PGRES_BAD_RESPONSE:
            case PGRES_NONFATAL_ERROR:
            case PGRES_COPY_BOTH:
            case PGRES_PIPELINE_SYNC:
            case PGRES_PIPELINE_ABORTED:
                return failed({false, false, "", "the answer is none to what was asked"});
        }
    }
    if (failure) return failed(std::move(*failure));
    rows.warned_by = warned_by_;
    reply = std::move(rows);
    return true;
}

/// A statement that takes too long is cancelled, which for one that waits in COMMIT for a standby
/// ends the wait with a warning: statement_timeout does not run there. Without it, the session
/// would wait on after we are gone.
void PostgresServer::wait_for_result() {
    PGconn* const connection = connection_.get();
    bool is_cancelled = false;
    while (PQisBusy(connection) != 0) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(
            cancel_at_ - std::chrono::steady_clock::now());
        const int wait_ms = is_cancelled ? -1 : std::max(static_cast<int>(left.count()), 0);
        if (wait_for(PQsocket(connection), POLLIN, wait_ms)) {
            // What is wrong is told by the result.
            if (PQconsumeInput(connection) != 1) return;
            continue;
        }
        is_cancelled = true;
        const std::unique_ptr<PGcancel, decltype(&PQfreeCancel)> cancel(PQgetCancel(connection),
                                                                        &PQfreeCancel);
        std::array<char, 256> ignored{};
        (void)PQcancel(cancel.get(), ignored.data(), static_cast<int>(ignored.size()));
    }
}

void PostgresServer::on_notice(void* self, const PGresult* notice) {
    auto& warned_by = static_cast<PostgresServer*>(self)->warned_by_;
    const char* function = PQresultErrorField(notice, PG_DIAG_SOURCE_FUNCTION);
    if (function != nullptr && warned_by.size() < 8) warned_by.emplace_back(cut(function));
}

}  // namespace swerve::tools
