// The probe against stand-ins for a server that mean it no good, and the worker by itself.

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <thread>

#include "health/probes/postgres_worker.hpp"
#include "health/probes/runtime.hpp"
#include "tests/probes/postgres_rig.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

std::string u32(std::size_t value) {
    std::string out;
    for (const unsigned shift : {24U, 16U, 8U, 0U})
        out += static_cast<char>(value >> shift & 0xffU);
    return out;
}

/// A message of the protocol: type, length, content.
std::string said(char type, const std::string& content) {
    return std::string(1, type) + u32(content.size() + 4) + content;
}

const std::string let_in = said('R', u32(0));
const std::string ready = let_in + said('Z', "I");

/// Reads the startup message.
asio::awaitable<bool> greeted(tcp::socket& socket) {
    std::array<std::uint8_t, 4> length{};
    const auto [error, count] = co_await asio::async_read(socket, asio::buffer(length), as_result);
    if (error) co_return false;
    Bytes rest((std::size_t{length[2]} << 8U) + length[3] - 4);
    const auto [cut, taken] = co_await asio::async_read(socket, asio::buffer(rest), as_result);
    co_return !cut;
}

/// Reads one message with its type.
asio::awaitable<std::string> message_from(tcp::socket& socket) {
    std::array<std::uint8_t, 5> head{};
    const auto [error, count] = co_await asio::async_read(socket, asio::buffer(head), as_result);
    if (error) co_return "";
    std::string rest((std::size_t{head[3]} << 8U) + head[4] - 4, '\0');
    const auto [cut, taken] = co_await asio::async_read(socket, asio::buffer(rest), as_result);
    co_return cut ? "" : rest;
}

asio::awaitable<bool> say(tcp::socket& socket, std::string text) {
    const auto [error, count] = co_await asio::async_write(socket, asio::buffer(text), as_result);
    co_return !error;
}

/// Stays until the other end goes.
asio::awaitable<void> stay(tcp::socket& socket) {
    std::array<char, 4096> sink{};
    for (;;) {
        const auto [error, count] = co_await socket.async_read_some(asio::buffer(sink), as_result);
        if (error) co_return;
    }
}

/// Greets with `greeting` and then says `answer` to the first statement, so many times.
Server::Serve stand_in(std::string greeting, std::string answer = "", std::size_t times = 1) {
    return [=](tcp::socket given) -> asio::awaitable<void> {
        return [](tcp::socket socket, std::string first, std::string second,
                  std::size_t count) -> asio::awaitable<void> {
            if (!co_await greeted(socket) || !co_await say(socket, std::move(first))) co_return;
            if (!second.empty() && (co_await message_from(socket)).empty()) co_return;
            for (std::size_t i = 0; i < count; ++i) {
                if (!co_await say(socket, second)) co_return;
            }
            co_await stay(socket);
        }(std::move(given), greeting, answer, times);
    };
}

constexpr std::size_t for_ever = ~std::size_t{0};

/// Asks for SCRAM with so many iterations.
asio::awaitable<void> ask_for_iterations(tcp::socket socket) {
    if (!co_await greeted(socket)) co_return;
    std::string offer = u32(10) + "SCRAM-SHA-256";
    offer += std::string(2, '\0');
    if (!co_await say(socket, said('R', offer))) co_return;
    const std::string first = co_await message_from(socket);
    const std::size_t nonce = first.rfind("r=");
    if (nonce == std::string::npos) co_return;
    const std::string challenge = first.substr(nonce) + "x,s=c2FsdHNhbHRzYWx0c2FsdA==,i=1000000000";
    if (!co_await say(socket, said('R', u32(11) + challenge))) co_return;
    co_await stay(socket);
}

/// Asks for the password in the clear, and says it back: in a refusal, or in `answer` to the first
/// statement, in which it stands for SECRET.
Server::Serve repeats_password(std::string answer = "") {
    return [answer](tcp::socket given) -> asio::awaitable<void> {
        return [](tcp::socket socket, std::string second) -> asio::awaitable<void> {
            if (!co_await greeted(socket) || !co_await say(socket, said('R', u32(3)))) co_return;
            std::string password = co_await message_from(socket);
            while (password.ends_with('\0')) password.pop_back();
            CHECK(password == "geheim-17");
            if (second.empty()) {
                std::string error = "SFATAL";
                error += '\0';
                error += "C28000";
                error += '\0';
                error += "Mlogin with " + password + " refused";
                error += std::string(2, '\0');
                second = said('E', error);
            } else {
                if (!co_await say(socket, ready)) co_return;
                if ((co_await message_from(socket)).empty()) co_return;
            }
            if (!co_await say(socket, std::move(second))) co_return;
            co_await stay(socket);
        }(std::move(given), answer);
    };
}

FieldMap check(const Server& server, const TempDir& dir) {
    const std::string secret = dir.write("password", "geheim-17\n");
    ::chmod(secret.c_str(), 0600);
    return {{"endpoint", {server.endpoint()}},
            {"username", text("swerve")},
            {"password_file", text(secret)},
            {"role", text("primary")}};
}

/// What an attempt finds, with the server's address as HERE.
std::string meet(Loop& loop, const Server::Serve& serve, Duration timeout = 3s) {
    const TempDir dir;
    const Server server(loop, serve);
    const Outcome outcome = loop.attempt("postgres", check(server, dir), timeout);
    std::string out = std::string{to_string(outcome.result)} + ": " + outcome.reason;
    const std::string name = server.endpoint().to_string();
    const std::size_t at = out.find(name);
    if (at != std::string::npos) out.replace(at, name.size(), "HERE");
    CHECK(out.find("geheim-17") == std::string::npos);
    // The probe is gone, and with it its worker.
    CHECK(loop.run_until([] { return postgres_workers().empty(); }));
    return out;
}

/// One column of a row description, and the row.
std::string row(const std::string& value) {
    std::string column{"\0\1c", 3};
    column += std::string(1 + 4 + 2, '\0') + u32(25) + std::string{"\xff\xff", 2} + u32(for_ever) +
              std::string(2, '\0');
    return said('T', column) + said('D', std::string{"\0\1", 2} + u32(value.size()) + value);
}

Duration processor_time() {
    ::timespec spent{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return std::chrono::seconds{spent.tv_sec} + std::chrono::nanoseconds{spent.tv_nsec};
}

std::string content_of(const std::string& file) {
    std::ostringstream out;
    out << std::ifstream(file).rdbuf();
    return out.str();
}

}  // namespace

TEST_CASE(
    "postgres: a stand-in that asks for a billion SCRAM iterations gets the timeout of them") {
    Loop loop;
    const Duration before = processor_time();
    CHECK(meet(loop, ask_for_iterations, 500ms) ==
          "fail: no answer within 500ms, HERE: in the authentication");
    CHECK(processor_time() - before < 250ms);
}

TEST_CASE("postgres: a password that a server repeats is not told") {
    Loop loop;
    CHECK(meet(loop, repeats_password()) ==
          "unknown: HERE: login with *** refused (SQLSTATE 28000)");
    // meet() looks for it, and a primary by this row, whose COMMITs wait for such a standby.
    const std::vector<std::string> columns{
        "f", "f", "t", "000000010000000000000001", "", "1 (geheim-17)", "on", "0", "", "f", "", "f",
        "",  "",  ""};
    std::string content{"\0\x0f", 2};
    std::string heads = content;
    for (const std::string& value : columns) {
        heads += "c" + std::string(1 + 4 + 2, '\0') + u32(25) + std::string{"\xff\xff", 2} +
                 u32(for_ever) + std::string(2, '\0');
        content += value.empty() ? u32(for_ever) : u32(value.size()) + value;
    }
    const std::string answer = said('T', heads) + said('D', content) +
                               said('C', std::string{"SELECT 1\0", 9}) + said('Z', "I");
    CHECK(meet(loop, repeats_password(answer)) ==
          "fail: HERE is not as demanded, and its answer repeats the password");
}

TEST_CASE("postgres: a worker that tells of steps without end is cut off") {
    Loop loop;
    const TempDir dir;
    const Server server(loop, says_and_stays(""));
    const auto file = find_postgres_worker();
    REQUIRE(file.has_value());
    const Bytes frame = *encode(PostgresReply{PostgresProgress{std::string(200, 'x')}});
    const std::string frames = dir.write("frame", std::string(frame.begin(), frame.end()));
    REQUIRE(std::rename(file->c_str(), (*file + ".away").c_str()) == 0);
    {
        std::ofstream(*file) << "#!/bin/sh\nwhile cat " + frames + " >&0; do :; done\n";
        ::chmod(file->c_str(), 0755);
    }
    std::size_t steps = 0;
    ProbeContext context;
    context.step = [&](const std::string& step) {
        if (step.find("xxxx") == std::string::npos) return;
        ++steps;
        CHECK(step.size() < 120);
    };
    const Outcome outcome = loop.attempt(*make_probe("postgres", check(server, dir)), 5s, context);
    REQUIRE(std::rename((*file + ".away").c_str(), file->c_str()) == 0);
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == "swerve-postgres tells of more steps than there are");
    CHECK(steps == 32);
}

TEST_CASE("postgres: a stand-in that hangs is told by the step at which it does") {
    Loop loop;
    // Beside the start of a worker.
    const auto hang = [&](const Server::Serve& serve) { return meet(loop, serve, 2s); };
    CHECK(hang(says_and_stays("")) == "fail: no answer within 2s, HERE: in the authentication");
    CHECK(hang(stand_in("R")) == "fail: no answer within 2s, HERE: in the authentication");
    CHECK(hang(stand_in(let_in)) ==
          "fail: no answer within 2s, HERE: logged in, until the session is ready");
    CHECK(hang(stand_in(ready)) == "fail: no answer within 2s, HERE: asking how it stands");
    CHECK(hang(stand_in(ready, row("half").substr(0, 40))) ==
          "fail: no answer within 2s, HERE: asking how it stands");
}

TEST_CASE("postgres: a stand-in that talks without end is cut off") {
    Loop loop;
    const std::string setting = said('S', std::string{"a\0b\0", 4});
    const std::string notice = said('N', std::string{"SNOTICE\0C00000\0Mnoise\0\0", 23});
    CHECK(meet(loop, stand_in(let_in, setting, for_ever), 200ms).starts_with("fail: no answer"));
    CHECK(meet(loop, stand_in(ready, notice, for_ever), 300ms).starts_with("fail: no answer"));
    const std::string too_much = "fail: HERE: the answer is larger than what was asked";
    CHECK(meet(loop, stand_in(ready, row("again"), for_ever)) == too_much);
    CHECK(meet(loop, stand_in(ready, row(std::string(5000, 'x')))) == too_much);
    // A gigabyte is announced and sent: memory ends before the answer does.
    const std::string huge = 'D' + u32(1UZ << 30U) + std::string(1UZ << 20U, '\0');
    const std::string out = meet(loop, stand_in(ready + row("x").substr(0, 30), huge, 512), 8s);
    CHECK(out.starts_with("fail: "));
}

TEST_CASE("postgres: a stand-in that is none, or closes, or lies") {
    Loop loop;
    const std::string closed = "fail: HERE: server closed the connection unexpectedly";
    CHECK(meet(loop, says("")) == closed);
    CHECK(meet(loop, says(let_in)) == closed);
    CHECK(meet(loop, says("HTTP/1.1 400 Bad Request\r\n\r\n")).starts_with("fail: HERE: "));
    CHECK(meet(loop, says(std::string("\x00\xff\x1b\x00", 4) + std::string(100, '\xfe')))
              .starts_with("fail: HERE: "));
    const std::string done = said('C', std::string{"SELECT 1\0", 9}) + said('Z', "I");
    CHECK(meet(loop, stand_in(ready, row("t") + done)) ==
          "unknown: HERE: the answer has not the rows and columns that were asked for");
    CHECK(meet(loop, stand_in(ready, said('C', std::string{"SELECT 1\0", 9}) + said('Z', "I"))) ==
          "unknown: HERE: the answer has not the rows and columns that were asked for");
    CHECK(meet(loop, stand_in(ready, said('H', std::string(3, '\0')))).starts_with("fail: HERE: "));
    const auto refuse = [&](const std::string& state) {
        std::string error = "SFATAL";
        error += '\0';
        error += "C" + state;
        error += '\0';
        error += "Mbecause\x1b[31m";
        error += std::string(2, '\0');
        return meet(loop, stand_in(said('E', error)));
    };
    CHECK(refuse("57P03") == "fail: HERE: because\\x1b[31m (SQLSTATE 57P03)");
    CHECK(refuse("28000") == "unknown: HERE: because\\x1b[31m (SQLSTATE 28000)");
}

TEST_CASE("postgres: the worker sees nothing of the daemon, and leaves no core") {
    Loop loop;
    const TempDir dir;
    const Server server(loop, stand_in(ready));
    std::string text_of_steps;
    int worker = 0;
    ProbeContext context;
    context.step = [&](const std::string& step) {
        text_of_steps += step + "\n";
        const auto workers = postgres_workers();
        if (!workers.empty()) worker = workers.front();
        if (step.find("in the authentication") == std::string::npos) return;
        const std::string proc = "/proc/" + std::to_string(worker);
        CHECK(content_of(proc + "/cmdline") == std::string{"swerve-postgres\0", 16});
        CHECK(content_of(proc + "/environ") ==
              std::string{"HOME=/nonexistent\0LANG=C.UTF-8\0", 31});
        CHECK(content_of(proc + "/limits").find("Max core file size        0 ") !=
              std::string::npos);
        CHECK(content_of(proc + "/status").find("CapPrm:\t0000000000000000") != std::string::npos);
        std::size_t descriptors = 0;
        for (const auto& entry : std::filesystem::directory_iterator(proc + "/fd")) {
            const std::string to = std::filesystem::read_symlink(entry.path()).string();
            CHECK((to == "/dev/null" || to.starts_with("socket:")));
            ++descriptors;
        }
        CHECK(descriptors == 4);
    };
    const Outcome outcome = loop.attempt(*make_probe("postgres", check(server, dir)), 2s, context);
    CHECK(worker != 0);
    CHECK(text_of_steps.find("started ") != std::string::npos);
    CHECK(text_of_steps.find("in the authentication") != std::string::npos);
    CHECK((text_of_steps + outcome.reason).find("geheim-17") == std::string::npos);
    CHECK(loop.run_until([] { return postgres_workers().empty(); }));
    // libpq is in the worker alone.
    CHECK(content_of("/proc/self/maps").find("/libpq.so") == std::string::npos);
}

TEST_CASE("postgres: an attempt that is cancelled takes its worker along") {
    Loop loop;
    const TempDir dir;
    const Server server(loop, says_and_stays(""));
    const auto probe = make_probe("postgres", check(server, dir));
    const ProbeContext context;
    asio::cancellation_signal stop;
    bool ended = false;
    asio::co_spawn(
        loop.io, attempt(*probe, context, 60s),
        asio::bind_cancellation_slot(
            stop.slot(), [&](const std::exception_ptr&, const Outcome&) { ended = true; }));
    REQUIRE(loop.run_until([] { return !postgres_workers().empty(); }));
    stop.emit(asio::cancellation_type::terminal);
    CHECK(loop.run_until([&] { return ended && postgres_workers().empty(); }));
}

TEST_CASE("postgres: a probe that another thread lets go of takes its worker along") {
    Loop loop;
    const TempDir dir;
    const Server server(loop, says(""));
    auto probe = make_probe("postgres", check(server, dir));
    CHECK(loop.attempt(*probe).result == ProbeResult::fail);
    CHECK(postgres_workers().size() == 1);
    std::thread([&] { probe.reset(); }).join();
    CHECK(loop.run_until([] { return postgres_workers().empty(); }));
}

TEST_CASE("postgres: a worker that dies is unknown, and the next attempt has another") {
    Loop loop;
    const TempDir dir;
    const Server server(loop, says_and_stays(""));
    const auto probe = make_probe("postgres", check(server, dir));
    ProbeContext context;
    context.step = [](const std::string& step) {
        if (step.find("in the authentication") == std::string::npos) return;
        ::kill(postgres_workers().front(), SIGKILL);
    };
    for (int i = 0; i < 2; ++i) {
        const Outcome outcome = loop.attempt(*probe, 3s, context);
        CHECK(outcome.result == ProbeResult::unknown);
        CHECK(outcome.reason == "swerve-postgres was ended by signal 9");
    }
}

TEST_CASE("postgres: a missing worker is unknown and says what to install") {
    Loop loop;
    const TempDir dir;
    const Server server(loop, says_and_stays(""));
    const auto file = find_postgres_worker();
    REQUIRE(file.has_value());
    REQUIRE(std::rename(file->c_str(), (*file + ".away").c_str()) == 0);
    const Outcome missing = loop.attempt("postgres", check(server, dir));
    {
        std::ofstream(*file) << "no program";
        ::chmod(file->c_str(), 0755);
    }
    const Outcome broken = loop.attempt("postgres", check(server, dir));
    REQUIRE(std::rename((*file + ".away").c_str(), file->c_str()) == 0);
    CHECK(missing.result == ProbeResult::unknown);
    CHECK(missing.reason.starts_with(
        "the program swerve-postgres, which asks databases, is neither "));
    CHECK(missing.reason.ends_with("; install it with swerved"));
    CHECK(broken.result == ProbeResult::unknown);
    CHECK(broken.reason == *file + " could not be started: Exec format error");
}

TEST_CASE("postgres worker: ends with the thread that started it, and serves nobody else") {
    const auto file = find_postgres_worker();
    REQUIRE(file.has_value());
    CHECK(run_program({*file}) == 2);
    Loop loop;
    PostgresWorker::Running worker;
    std::thread([&] {
        auto started = PostgresWorker::start(loop.io.get_executor(), *file);
        REQUIRE(started.has_value());
        worker = std::move(*started);
        // Until it has asked to be told of our end.
        REQUIRE(loop.run_until([] {
            const auto workers = postgres_workers();
            const std::string proc = "/proc/" + std::to_string(workers.at(0));
            return content_of(proc + "/limits").find("Max open files            32 ") !=
                   std::string::npos;
        }));
    }).join();
    std::optional<Result<PostgresReply, std::string>> end;
    asio::co_spawn(loop.io, worker->receive(),
                   [&](const std::exception_ptr&, Result<PostgresReply, std::string> reply) {
                       end = std::move(reply);
                   });
    REQUIRE(loop.run_until([&] { return end.has_value(); }));
    CHECK(end->error() == "was ended by signal 9");
}

TEST_CASE("postgres worker: garbage in a request ends it") {
    Loop loop;
    for (const Bytes& garbage : {Bytes{0xff, 0xff, 0xff, 0xff}, Bytes{0, 0, 0, 1, 9}}) {
        auto worker = PostgresWorker::start(loop.io.get_executor(), *find_postgres_worker());
        REQUIRE(worker.has_value());
        std::optional<Result<PostgresReply, std::string>> end;
        asio::co_spawn(loop.io, (*worker)->send(garbage), [](const std::exception_ptr&, bool) {});
        asio::co_spawn(loop.io, (*worker)->receive(),
                       [&](const std::exception_ptr&, Result<PostgresReply, std::string> reply) {
                           end = std::move(reply);
                       });
        REQUIRE(loop.run_until([&] { return end.has_value(); }));
        CHECK(end->error() == "is of another version than this daemon; restart it");
    }
}
