// The neutral receiver of the benches: a BGP neighbor that takes everything, stamps and counts it,
// and says so as JSON lines. With --prefixes it can send, too: a ready-made stream to another
// receiver is the floor that speakers are measured against.

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "session.hpp"

namespace bench {
namespace {

constexpr std::int64_t keepalive_ns = 1'000'000'000;

struct Options {
    std::string listen;
    std::string dial;
    std::uint16_t port = 0;
    std::uint32_t local_as = 64496;
    int receive_buffer = 0;
    bool each = false;
    std::string prefixes;
};

template <class... Arguments>
void say(std::int64_t at_ns, const char* event, const char* more = "",
         const Arguments&... arguments) {
    fmt::print("{{\"event\":\"{}\",\"at_ns\":{}{}}}\n", event, at_ns,
               fmt::format(fmt::runtime(more), arguments...));
    std::fflush(stdout);
}

[[noreturn]] void give_up(const char* what) {
    throw std::system_error{errno, std::generic_category(), what};
}

class Receiver {
public:
    explicit Receiver(Options options) : options_(std::move(options)) { load(); }
    int run();

private:
    /// What `count` waits for.
    struct Count {
        std::uint64_t Tally::* of;
        std::uint64_t wanted;
        std::int64_t first_ns = 0;
    };

    void load();
    void open();
    void adopt(int fd);
    void command(const std::string& line);
    void heard(const Tally& before);
    void serve(std::uint32_t events);
    void watch(int operation, int fd, std::uint32_t events) const;
    void update_interest();
    void say_totals(const char* event, std::int64_t first_ns);
    [[nodiscard]] sockaddr_in address(const std::string& text) const;

    Options options_;
    int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    int listener_ = -1;
    std::unique_ptr<Session> session_;
    bool reads_ = true;
    bool ended_ = false;  ///< it dialled, and the session is over
    std::uint32_t interest_ = 0;
    std::optional<Count> count_;
    Octets announcements_;
    Octets withdrawals_;
    std::string input_;
};

void Receiver::load() {
    if (options_.prefixes.empty()) return;
    const auto prefixes = read_prefixes(options_.prefixes);
    if (!prefixes) throw std::runtime_error{prefixes.error()};
    constexpr std::uint32_t next_hop = 0xc0000201;
    announcements_ = make_announcements(*prefixes, options_.local_as, next_hop);
    withdrawals_ = make_withdrawals(*prefixes);
}

int Receiver::run() {
    watch(EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN);
    open();
    std::int64_t keepalive_at = boottime_ns() + keepalive_ns;
    while (!ended_) {
        std::array<epoll_event, 4> events{};
        const int count = ::epoll_wait(epoll_, events.data(), events.size(), 200);
        for (int i = 0; i < count; ++i) {
            const int fd = events[static_cast<std::size_t>(i)].data.fd;
            if (fd == STDIN_FILENO) {
                std::array<char, 4096> text{};
                const ssize_t got = ::read(STDIN_FILENO, text.data(), text.size());
                if (got <= 0) return 0;
                input_.append(text.data(), static_cast<std::size_t>(got));
                for (std::size_t end = 0; (end = input_.find('\n')) != std::string::npos;) {
                    command(input_.substr(0, end));
                    input_.erase(0, end + 1);
                }
            } else if (fd == listener_) {
                if (const int taken = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
                    taken >= 0) {
                    adopt(taken);
                }
            } else if (session_ && fd == session_->fd()) {
                serve(events[static_cast<std::size_t>(i)].events);
            }
        }
        if (boottime_ns() >= keepalive_at) {
            keepalive_at = boottime_ns() + keepalive_ns;
            if (session_ && session_->is_established()) session_->keepalive();
        }
        update_interest();
    }
    return 0;
}

void Receiver::open() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) give_up("no socket");
    const int on = 1;
    (void)::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (options_.receive_buffer > 0) {
        // Before listen(), so that the window is never larger.
        (void)::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &options_.receive_buffer,
                           sizeof options_.receive_buffer);
    }
    sockaddr_in where = address(options_.dial.empty() ? options_.listen : options_.dial);
    auto* raw = reinterpret_cast<sockaddr*>(&where);
    if (!options_.dial.empty()) {
        if (::connect(fd, raw, sizeof where) != 0) give_up("connect");
        return adopt(fd);
    }
    if (::bind(fd, raw, sizeof where) != 0 || ::listen(fd, 8) != 0) give_up("listen");
    listener_ = fd;
    watch(EPOLL_CTL_ADD, fd, EPOLLIN);
    socklen_t size = sizeof where;
    (void)::getsockname(fd, raw, &size);
    say(boottime_ns(), "listening", ",\"port\":{}", ntohs(where.sin_port));
}

void Receiver::adopt(int fd) {
    if (session_) {
        ::close(fd);
        return;
    }
    const int on = 1;
    (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    sockaddr_in local{};
    socklen_t size = sizeof local;
    (void)::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size);
    session_ = std::make_unique<Session>(
        fd, options_.local_as, ntohl(local.sin_addr.s_addr),
        Session::Listener{[] { say(boottime_ns(), "established"); },
                          [this] {
                              if (options_.each) say(session_->read_at(), "keepalive");
                          },
                          [this](const Tally& before) { heard(before); },
                          [](std::int64_t begin_ns, std::size_t octets) {
                              say(boottime_ns(), "sent", ",\"begin_ns\":{},\"octets\":{}", begin_ns,
                                  octets);
                          }});
    interest_ = EPOLLIN | EPOLLOUT;
    watch(EPOLL_CTL_ADD, fd, interest_);
}

void Receiver::command(const std::string& line) {
    std::istringstream words{line};
    std::string verb;
    std::string what;
    std::uint64_t wanted = 0;
    words >> verb >> what >> wanted;
    if (verb == "read") {
        reads_ = what == "on";
        say(boottime_ns(), "read", ",\"on\":{}", reads_);
    } else if (verb == "count") {
        count_ = Count{what == "announced" ? &Tally::announced : &Tally::withdrawn, wanted};
        if (session_) session_->tally() = Tally{.digest = session_->tally().digest};
        say(boottime_ns(), "counting");
    } else if (verb == "totals") {
        say_totals("totals", 0);
    } else if (verb == "send" && session_) {
        session_->send(what == "announce" ? announcements_ : withdrawals_);
    } else {
        fmt::print(stderr, "error: cannot do '{}'\n", line);
    }
}

void Receiver::heard(const Tally& before) {
    const Tally& now = session_->tally();
    if (options_.each && (now.announced != before.announced || now.withdrawn != before.withdrawn)) {
        say(session_->read_at(), "heard", ",\"announced\":{},\"withdrawn\":{}",
            now.announced - before.announced, now.withdrawn - before.withdrawn);
    }
    if (!count_) return;
    if (count_->first_ns == 0 && now.*count_->of != 0) count_->first_ns = session_->read_at();
    if (now.*count_->of < count_->wanted) return;
    say_totals("counted", count_->first_ns);
    count_.reset();
}

void Receiver::serve(std::uint32_t events) {
    std::optional<std::string> end;
    if (reads_ && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) end = session_->read();
    if (!end && (events & EPOLLOUT) != 0 && session_->wants_write()) end = session_->write();
    // Level-triggered: an end that cannot be read away would wake the loop for ever.
    if (!end && !reads_ && (events & (EPOLLHUP | EPOLLERR)) != 0) end = "connection lost";
    if (!end) return;
    say(boottime_ns(), "down", ",\"reason\":\"{}\"", *end);
    session_.reset();
    interest_ = 0;
    reads_ = true;
    if (listener_ < 0) ended_ = true;
}

void Receiver::watch(int operation, int fd, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_, operation, fd, &event) != 0) give_up("epoll_ctl");
}

void Receiver::update_interest() {
    if (!session_) return;
    std::uint32_t wanted = 0;
    if (reads_) wanted |= EPOLLIN;
    if (session_->wants_write()) wanted |= EPOLLOUT;
    if (wanted == interest_) return;
    interest_ = wanted;
    watch(EPOLL_CTL_MOD, session_->fd(), wanted);
}

void Receiver::say_totals(const char* event, std::int64_t first_ns) {
    const Tally tally = session_ ? session_->tally() : Tally{};
    say(session_ ? session_->read_at() : boottime_ns(), event,
        ",\"first_ns\":{},\"announced\":{},\"withdrawn\":{},\"updates\":{},"
        "\"announcing_octets\":{},\"withdrawing_octets\":{},\"ends_of_rib\":{},"
        "\"digest\":\"{:016x}\"",
        first_ns, tally.announced, tally.withdrawn, tally.updates, tally.announcing_octets,
        tally.withdrawing_octets, tally.ends_of_rib, tally.digest);
}

sockaddr_in Receiver::address(const std::string& text) const {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(options_.port);
    if (::inet_pton(AF_INET, text.c_str(), &out.sin_addr) != 1) {
        throw std::runtime_error{"not an IPv4 address: " + text};
    }
    return out;
}

}  // namespace
}  // namespace bench

int main(int count, char** arguments) try {
    bench::Options options;
    CLI::App app{
        "A BGP neighbor that takes everything, stamps and counts it (JSON lines on standard "
        "output).\nCommands on standard input: count announced|withdrawn N, totals, read on|off,\n"
        "send announce|withdraw; it ends with its input."};
    auto* listen = app.add_option("--listen", options.listen, "IPv4 address to listen on");
    app.add_option("--dial", options.dial, "IPv4 address to dial")->excludes(listen);
    app.add_option("--port", options.port, "TCP port; 0 with --listen: any")->capture_default_str();
    app.add_option("--as", options.local_as, "its AS number")->capture_default_str();
    app.add_option("--receive-buffer", options.receive_buffer, "SO_RCVBUF in octets");
    app.add_flag("--each", options.each,
                 "report every read that had prefixes, and every KEEPALIVE");
    app.add_option("--prefixes", options.prefixes, "what `send` sends, one IPv4 prefix a line");
    CLI11_PARSE(app, count, arguments);
    if (options.listen.empty() && options.dial.empty()) {
        fmt::print(stderr, "error: --listen or --dial is needed\n");
        return 2;
    }
    return bench::Receiver{std::move(options)}.run();
} catch (const std::exception& error) {
    std::fputs("error: ", stderr);
    std::fputs(error.what(), stderr);
    std::fputs("\n", stderr);
    return 1;
}
