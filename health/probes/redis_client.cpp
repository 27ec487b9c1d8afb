#include "health/probes/redis_client.hpp"

#include <array>
#include <utility>

#include "health/probes/runtime.hpp"
#include "health/probes/secret.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr std::size_t piece_size = 4096;

/// The code word that an error begins with.
std::string_view word_of(std::string_view error) { return error.substr(0, error.find(' ')); }

std::string text_of(const FieldMap& values, std::string_view name) {
    const auto* text = get<std::string>(values, name);
    return text == nullptr ? std::string{} : *text;
}

}  // namespace

Result<RedisServer, FieldFault> redis_server(const FieldMap& values) {
    RedisServer out{.target = *get<Endpoint>(values, "endpoint"),
                    .tls = {},
                    .username = text_of(values, "username"),
                    .password_file = text_of(values, "password_file")};
    if (auto fault = endpoint_fault(out.target)) return fail(*std::move(fault));
    if (out.password_file.empty() && values.contains("username")) {
        return fail(FieldFault{"password_file", "is missing: a user needs a password",
                               "give both or none"});
    }
    std::string name = out.target.address.to_string();
    if (const auto* given = get<std::string>(values, "server_name")) {
        if (!is_server_name(*given)) {
            return fail(FieldFault{"server_name", quoted(*given) + " is not a name of a server",
                                   "write it as cache.example"});
        }
        name = *given;
    }
    auto tls = chosen_tls(values, std::move(name));
    if (!tls) return fail(std::move(tls.error()));
    if (!*tls && values.contains("server_name")) {
        return fail(
            FieldFault{"server_name", "means nothing without TLS", "enable TLS or leave it out"});
    }
    out.tls = *std::move(tls);
    return out;
}

RedisClient::RedisClient(RedisServer server)
    : server_(std::move(server)), name_(server_.target.to_string()) {
    if (server_.tls) tls_.emplace(*server_.tls);
}

std::vector<std::string> RedisClient::login(const RedisServer& server, const std::string& secret) {
    if (server.username.empty()) return {"AUTH", secret};
    return {"AUTH", server.username, secret};
}

asio::awaitable<Result<RedisTalk, Outcome>> RedisClient::greet(const ProbeContext& context) {
    std::string secret;
    if (!server_.password_file.empty()) {
        auto read = read_secret(server_.password_file);
        if (!read) co_return fail(unsure("password_file " + read.error()));
        secret = *std::move(read);
    }
    auto connection = co_await Connection::open(context, server_.target, tls_ ? &*tls_ : nullptr);
    if (!connection) co_return fail(std::move(connection.error()));
    RedisTalk talk(std::move(*connection), server_.target, secret);
    std::vector<std::vector<std::string>> commands;
    if (!secret.empty()) commands.push_back(login(server_, secret));
    commands.push_back({"PING"});
    RespValue answer;
    for (std::vector<std::string>& command : commands) {
        const std::string word = command[0];
        auto got = co_await talk.ask(std::move(command));
        if (!got) {
            talk.close();
            co_return fail(std::move(got.error()));
        }
        step(context, word + " answered");
        answer = *std::move(got);
    }
    if (answer.text != "PONG") {
        talk.close();
        co_return fail(unsure(name_ + " answers PING with " + talk.said(answer.text) +
                              " instead of PONG: it may be no Redis"));
    }
    co_return talk;
}

asio::awaitable<Result<RespValue, Outcome>> RedisTalk::ask(std::vector<std::string> command) {
    const std::string name = command.at(0);
    if (reader_.has_rest()) {
        co_return fail(unsure(target_.to_string() + " says more than it was asked"));
    }
    const auto error = co_await connection_.write(resp_command(command));
    if (error) co_return fail(connection_.outcome_of(error, "sending " + name, target_));
    std::array<char, piece_size> piece{};
    for (;;) {
        const auto received = co_await connection_.read(piece);
        if (received.error && is_end_of_connection(received.error)) {
            co_return fail(failed(target_.to_string() + " closed without an answer to " + name));
        }
        if (received.error) {
            const std::string waiting =
                "waiting for the answer to " + name + " from " + target_.to_string();
            co_return fail(connection_.outcome_of(received.error, waiting, target_));
        }
        auto answer = reader_.take({piece.data(), received.count});
        if (!answer) {
            std::string reason = target_.to_string() + " answers " + name +
                                 " with what cannot be read: " + answer.error();
            // A part of a secret that the server repeats would not be known as one.
            if (secret_.empty()) reason += " in " + said({piece.data(), received.count});
            co_return fail(unsure(std::move(reason)));
        }
        if (!*answer) continue;
        if ((*answer)->kind == RespValue::Kind::error) {
            co_return fail(refused((*answer)->text, name));
        }
        co_return std::move(**answer);
    }
}

/// What an error says of the service. Of wrong credentials it says nothing.
Outcome RedisTalk::refused(const std::string& error, const std::string& command) const {
    const std::string who = target_.to_string();
    const std::string_view word = word_of(error);
    if (word == "NOAUTH") {
        return unsure(who + " asks for a password: give `password_file`");
    }
    // The second is of Redis 5 and earlier.
    if (word == "WRONGPASS" || error.starts_with("ERR invalid password"))
        return unsure(who + " refuses the user or the password");
    if (word == "NOPERM") {
        return unsure(who + " does not let this user run " + command + ": " + said(error));
    }
    if (word == "DENIED") return unsure(who + " is in protected mode: " + said(error));
    if (error.starts_with("ERR max number of clients")) {
        return failed(who + " takes no more clients: " + said(error));
    }
    if (word == "ERR" && command == "AUTH") {
        return unsure(who + " cannot take the password: it may have none, or know no users");
    }
    const std::string answers = who + " answers " + command + " with " + said(error);
    return word == "ERR" ? unsure(answers) : failed(answers);
}

std::string RedisTalk::said(std::string_view text) const {
    std::string out{text};
    // A server may repeat what it was sent: some put the arguments of a command into its error.
    for (std::size_t at = 0;
         !secret_.empty() && (at = out.find(secret_, at)) != std::string::npos;) {
        out.replace(at, secret_.size(), "***");
        at += 3;
    }
    return quoted(out);
}

}  // namespace swerve::health
