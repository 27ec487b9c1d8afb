#include "tests/probes/support.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cstring>
#include <fstream>
#include <optional>
#include <random>
#include <thread>

#include "health/probes/runtime.hpp"

namespace swerve::health::testing {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

}  // namespace

TempDir::TempDir() {
    std::string pattern = std::filesystem::temp_directory_path() / "swerve-test-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
}

TempDir::~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::write(std::string_view name, std::string_view text) const {
    std::ofstream out(file(name), std::ios::trunc);
    out << text;
    return file(name);
}

Child::Child(std::vector<std::string> command) : pid_(0) {
    std::vector<char*> argv;
    for (std::string& word : command) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        ::posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_RDWR, 0);
    }
    const int error = ::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    REQUIRE_MESSAGE(error == 0, command[0] << ": " << std::strerror(error));
}

Child::~Child() {
    if (pid_ == 0) return;
    kill();
    wait();
}

void Child::kill() const { signal(SIGKILL); }

void Child::signal(int number) const { ::kill(pid_, number); }

int Child::wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run_program(std::vector<std::string> command) { return Child(std::move(command)).wait(); }

Outcome Loop::attempt(Probe& probe, Duration timeout, const ProbeContext& context) {
    std::optional<Outcome> found;
    asio::co_spawn(io, health::attempt(probe, context, timeout),
                   [&](const std::exception_ptr& error, Outcome outcome) {
                       REQUIRE_FALSE(error);
                       found = std::move(outcome);
                   });
    REQUIRE(run_until([&] { return found.has_value(); }));
    return *found;
}

Outcome Loop::attempt(std::string_view type, const FieldMap& values, Duration timeout,
                      const ProbeContext& context) {
    const auto probe = make_probe(type, values);
    return attempt(*probe, timeout, context);
}

bool Loop::run_until(const std::function<bool()>& done) {
    const TimePoint give_up = BootClock::now() + std::chrono::seconds{10};
    io.restart();
    while (!done() && BootClock::now() < give_up) io.run_one_for(std::chrono::milliseconds{100});
    return done();
}

Server::Server(Loop& loop, Serve serve, const std::string& address)
    : acceptor_(loop.io, tcp::endpoint(asio::ip::make_address(address), 0)),
      serve_(std::move(serve)) {
    asio::co_spawn(loop.io, accept(), asio::detached);
}

Endpoint Server::endpoint() const {
    const tcp::endpoint local = acceptor_.local_endpoint();
    return {*Address::parse(local.address().to_string()), local.port()};
}

asio::awaitable<void> Server::accept() {
    for (;;) {
        auto [error, socket] = co_await acceptor_.async_accept(as_result);
        if (error) co_return;
        asio::co_spawn(acceptor_.get_executor(), serve_(std::move(socket)), asio::detached);
    }
}

namespace {

/// Reads until the other side closes.
asio::awaitable<void> drain(tcp::socket& socket) {
    std::array<char, 4096> sink{};
    for (;;) {
        auto [error, count] = co_await socket.async_read_some(asio::buffer(sink), as_result);
        if (error) co_return;
    }
}

asio::awaitable<void> say(tcp::socket socket, std::string answer, bool stay, std::size_t step) {
    for (std::size_t at = 0; at < answer.size(); at += step) {
        const std::size_t count = std::min(step, answer.size() - at);
        auto [error, sent] =
            co_await asio::async_write(socket, asio::buffer(answer.data() + at, count), as_result);
        if (error) co_return;
    }
    boost::system::error_code ignored;
    if (!stay) socket.shutdown(tcp::socket::shutdown_send, ignored);
    co_await drain(socket);
}

}  // namespace

Server::Serve says(std::string answer) {
    return [answer = std::move(answer)](tcp::socket socket) {
        return say(std::move(socket), answer, false, answer.size() + 1);
    };
}

Server::Serve says_and_stays(std::string answer) {
    return [answer = std::move(answer)](tcp::socket socket) {
        return say(std::move(socket), answer, true, answer.size() + 1);
    };
}

Server::Serve drips(std::string answer) {
    return [answer = std::move(answer)](tcp::socket socket) {
        boost::system::error_code ignored;
        socket.set_option(tcp::no_delay(true), ignored);
        return say(std::move(socket), answer, false, 1);
    };
}

std::uint16_t free_port() {
    // Below those that the kernel gives to whoever asks for any: what runs beside us does.
    static std::minstd_rand random{std::random_device{}()};
    std::uniform_int_distribution<std::uint16_t> ports{10'000, 32'767};
    asio::io_context io;
    tcp::acceptor acceptor(io, tcp::v4());
    for (;;) {
        const std::uint16_t port = ports(random);
        boost::system::error_code error;
        acceptor.bind({asio::ip::address_v4::loopback(), port}, error);
        if (!error) return port;
        REQUIRE(error == asio::error::address_in_use);
    }
}

std::unique_ptr<Probe> make_probe(std::string_view type, const FieldMap& values) {
    auto made = find_probe_type(type)->make(values);
    REQUIRE_MESSAGE(made.has_value(), made.error().message);
    return std::move(*made);
}

std::string fault_of(std::string_view type, const FieldMap& values) {
    const auto made = find_probe_type(type)->make(values);
    return made ? "none" : made.error().path + ": " + made.error().message;
}

bool in_own_network(const std::function<void()>& body) {
    bool allowed = false;
    std::thread([&] {
        if (::unshare(CLONE_NEWNET) != 0) return;
        ::ifreq lo{};
        std::strcpy(lo.ifr_name, "lo");
        lo.ifr_flags = IFF_UP | IFF_RUNNING;
        const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        allowed = ::ioctl(socket, SIOCSIFFLAGS, &lo) == 0;
        ::close(socket);
        if (allowed) body();
    }).join();
    return allowed;
}

}  // namespace swerve::health::testing
