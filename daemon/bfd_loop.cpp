#include "daemon/bfd_loop.hpp"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>
#include <semaphore>
#include <utility>

#include "daemon/bfd_socket.hpp"
#include "daemon/deadline_timer.hpp"
#include "daemon/interfaces.hpp"
#include "daemon/realtime.hpp"
#include "swerve/base/clock.hpp"

namespace swerve::daemon {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// A flood of forged datagrams gets no more than this, and what is more waits in the kernel, or is
/// lost there; the timer goes on in between. What arrives one by one is read a millisecond's worth
/// at once.
constexpr std::size_t datagrams_per_turn = 256;
constexpr Duration time_between_turns = 1ms;

/// Of many sessions some are due at about the same time: one wake serves them all.
constexpr Duration time_between_ticks = 500us;

/// At a deadline as much is read as waits in the sockets, but in the long run no more than the
/// turns may read: whoever has a full credit had a calm, or a pause of this process.
constexpr Duration price_of_datagram =
    time_between_turns / static_cast<Duration::rep>(datagrams_per_turn);
constexpr Duration credit_at_most = 8192 * price_of_datagram;

/// Between two attempts to open what could not be opened.
constexpr Duration retry_period = 1s;
/// For AdminDown at the end, and for whoever waits for hold_down().
constexpr Duration end_patience = 200ms;
constexpr Duration hold_down_patience = 100ms;
/// No neighbor gives up that soon.
constexpr Duration shortest_standstill = 10ms;
/// A host that stutters is told once in a while; how often it does, the lateness shows.
constexpr Duration standstill_alarm_gap = 10s;

using ReceiverPtr = std::shared_ptr<BfdReceiver>;

/// The sockets of one session.
struct Link {
    bfd::SessionKey key;
    ReceiverPtr receiver{};
    std::optional<BfdSender> sender{};
    std::uint16_t port = 0;  ///< the one it has had: a session keeps its source port
    std::string trouble{};   ///< why it has no sockets; empty: it has
    int send_error = 0;      ///< of the last packet; 0: it was sent
    std::uint64_t packets_sent = 0;
};

std::string seconds_of(Duration time) {
    std::array<char, 32> text{};
    (void)std::snprintf(text.data(), text.size(), "%.1f",
                        std::chrono::duration<double>(time).count());
    return text.data();
}

}  // namespace

struct BfdLoop::Parts {
    Parts(asio::io_context& on, Hooks told, std::uint64_t seed);

    void configure(BfdWanted wanted);
    void begin_end();
    void hold_down();
    [[nodiscard]] BfdSnapshot describe() const;

    asio::io_context& io;

private:
    void wait_for_datagrams();
    void on_readable();
    void on_deadline();
    std::size_t read_ready();
    void grant_credit(TimePoint now);
    void notice_standstill(TimePoint now);
    void settle();
    void perform();
    void connect(Link& link);
    [[nodiscard]] Result<ReceiverPtr, std::string> receiver_for(const bfd::SessionKey& key);
    void look_after_links();
    void send(const bfd::TableOutput::Transmission& transmission);
    void be_realtime(bool wanted);
    void end();

    Hooks hooks_;
    Random random_;
    bfd::Table table_;
    bfd::TableOutput out_;
    /// An epoll(7) of all receivers: one question tells which of them have something. Goes after
    /// them, for each takes itself out of it.
    asio::posix::stream_descriptor arrivals_;
    bool is_reading_ = false;              ///< turns of reading follow each other until the end
    std::map<std::uint32_t, Link> links_;  ///< by the discriminator of the session
    std::map<BfdDoor, std::weak_ptr<BfdReceiver>> doors_;
    BfdBatch batch_;
    DeadlineTimer timer_;
    DeadlineTimer retry_;
    DeadlineTimer resume_;  ///< ends a pause of reading
    DeadlineTimer give_up_;
    std::optional<TimePoint> deadline_;  ///< as armed
    Duration credit_ = credit_at_most;
    TimePoint credited_at_;
    std::size_t first_ready_ = 0;
    TimePoint last_tick_{};
    TimePoint last_ran_;
    std::optional<TimePoint> alarmed_at_;
    LatenessCounts lateness_;
    bool wants_realtime_ = false;
    bool is_realtime_ = false;
    bool ending_ = false;
    bool ended_ = false;
};

BfdLoop::BfdLoop(asio::io_context& io, Hooks hooks, std::uint64_t seed)
    : parts_(std::make_unique<Parts>(io, std::move(hooks), seed)) {}

BfdLoop::~BfdLoop() = default;

void BfdLoop::configure(BfdWanted wanted) {
    asio::post(parts_->io, [parts = parts_.get(), wanted = std::move(wanted)]() mutable {
        parts->configure(std::move(wanted));
    });
}

void BfdLoop::stop() {
    asio::post(parts_->io, [parts = parts_.get()] { parts->begin_end(); });
}

void BfdLoop::hold_down() {
    // Shared, for whoever waited may be gone when the loop comes to it.
    const auto done = std::make_shared<std::binary_semaphore>(0);
    asio::post(parts_->io, [parts = parts_.get(), done] {
        parts->hold_down();
        done->release();
    });
    (void)done->try_acquire_for(hold_down_patience);
}

void BfdLoop::describe(std::function<void(BfdSnapshot)> done) {
    asio::post(parts_->io,
               [parts = parts_.get(), done = std::move(done)] { done(parts->describe()); });
}

BfdLoop::Parts::Parts(asio::io_context& on, Hooks told, std::uint64_t seed)
    : io(on),
      hooks_(std::move(told)),
      random_(~seed),
      table_(seed),
      arrivals_(on),
      timer_(on, [this] { on_deadline(); }),
      retry_(on, [this] { look_after_links(); }),
      resume_(on, [this] { wait_for_datagrams(); }),
      give_up_(on, [this] { end(); }),
      credited_at_(BootClock::now()),
      last_ran_(credited_at_) {
    boost::system::error_code error;
    // Without it no receiver opens, and says so.
    (void)arrivals_.assign(::epoll_create1(EPOLL_CLOEXEC), error);
}

void BfdLoop::Parts::configure(BfdWanted wanted) {
    if (ending_) return;
    be_realtime(wanted.realtime);
    table_.configure(BootClock::now(), std::move(wanted.sessions), out_);
    settle();
    if (!std::exchange(is_reading_, true)) wait_for_datagrams();
}

void BfdLoop::Parts::hold_down() {
    if (ended_) return;
    table_.hold_down(BootClock::now(), out_);
    settle();
}

void BfdLoop::Parts::begin_end() {
    if (ending_) return;
    ending_ = true;
    const TimePoint now = BootClock::now();
    table_.configure(now, {}, out_);
    give_up_.arm(now + end_patience);
    settle();
}

void BfdLoop::Parts::end() {
    if (std::exchange(ended_, true)) return;
    links_.clear();
    doors_.clear();
    boost::system::error_code ignored;
    (void)arrivals_.close(ignored);
    for (DeadlineTimer* timer : {&timer_, &retry_, &resume_, &give_up_}) timer->arm(std::nullopt);
}

BfdSnapshot BfdLoop::Parts::describe() const {
    BfdSnapshot out;
    out.lateness = lateness_.copy();
    out.discarded = table_.discarded();
    out.realtime = is_realtime_;
    for (bfd::SessionView& session : table_.views()) {
        const auto found = links_.find(session.discriminator);
        BfdView view{.session = std::move(session)};
        if (found != links_.end()) {
            const Link& link = found->second;
            view.source_port = link.sender ? link.port : 0;
            view.packets_sent = link.packets_sent;
            view.trouble = link.trouble;
            if (view.trouble.empty() && link.send_error != 0) {
                view.trouble = std::string{"cannot send: "} +
                               std::strerror(link.send_error);  // NOLINT(concurrency-mt-unsafe)
            }
        }
        out.sessions.push_back(std::move(view));
    }
    return out;
}

void BfdLoop::Parts::be_realtime(bool wanted) {
    if (wanted == std::exchange(wants_realtime_, wanted)) return;
    const auto done = set_realtime(wanted);
    is_realtime_ = wanted && done.has_value();
    if (!done) hooks_.alarm(done.error());
}

void BfdLoop::Parts::wait_for_datagrams() {
    arrivals_.async_wait(asio::posix::stream_descriptor::wait_read,
                         [this](const boost::system::error_code& error) {
                             if (!error && !ended_) on_readable();
                         });
}

void BfdLoop::Parts::on_readable() {
    const TimePoint now = BootClock::now();
    notice_standstill(now);
    grant_credit(now);
    for (std::size_t got = 0; got < datagrams_per_turn;) {
        const std::size_t more = read_ready();
        if (more == 0) break;
        got += more;
    }
    settle();
    if (!ended_) resume_.arm(now + time_between_turns);
}

void BfdLoop::Parts::on_deadline() {
    if (ended_) return;
    const TimePoint begins = BootClock::now();
    if (deadline_ && begins >= *deadline_) lateness_.count(begins - *deadline_);
    notice_standstill(begins);
    grant_credit(begins);
    // A packet that waited in the socket while we did not run has not come late, wherever it was
    // that we stood still: silence counts up to a moment at which nothing had been left unread.
    do {
        last_tick_ = BootClock::now();
    } while (read_ready() != 0);
    table_.tick(last_tick_, out_);
    deadline_.reset();
    settle();
}

/// Once a turn, or a flood that is a little slower than the credit grows would never let it end.
void BfdLoop::Parts::grant_credit(TimePoint now) {
    credit_ = std::min(credit_ + std::max(now - credited_at_, Duration{}), credit_at_most);
    credited_at_ = now;
}

/// One batch of every socket that has something, as far as the credit goes.
std::size_t BfdLoop::Parts::read_ready() {
    std::array<epoll_event, 64> events{};
    const int found =
        ::epoll_wait(arrivals_.native_handle(), events.data(), static_cast<int>(events.size()), 0);
    const auto count = static_cast<std::size_t>(std::max(found, 0));
    std::size_t total = 0;
    // Another one is the first each time, or a flood of one would silence those behind it.
    ++first_ready_;
    for (std::size_t i = 0; i < count; ++i) {
        const auto* receiver =
            static_cast<const BfdReceiver*>(events[(i + first_ready_) % count].data.ptr);
        const auto most =
            static_cast<std::size_t>(std::max<Duration::rep>(credit_ / price_of_datagram, 0));
        if (most == 0) break;
        const std::size_t got = receiver->read(batch_, most, [&](const bfd::Datagram& datagram) {
            // Never a moment before it was read: it may have arrived just then.
            table_.receive(BootClock::now(), datagram, out_);
        });
        credit_ -= static_cast<Duration::rep>(got) * price_of_datagram;
        total += got;
    }
    return total;
}

/// Before anything that arrived meanwhile is read: it may say that a neighbor has given us up.
void BfdLoop::Parts::notice_standstill(TimePoint now) {
    const Duration gap = now - last_ran_;
    if (!deadline_ || now < *deadline_ + 1ms || gap < shortest_standstill) return;
    if (alarmed_at_ && now - *alarmed_at_ < standstill_alarm_gap) return;
    const auto views = table_.views();
    const bool too_long = std::ranges::any_of(views, [&](const bfd::SessionView& view) {
        return view.state == bfd::State::up && view.neighbor_detection_time &&
               gap > *view.neighbor_detection_time;
    });
    if (!too_long) return;
    alarmed_at_ = now;
    hooks_.alarm("BFD: this process stood still for " + seconds_of(gap) +
                 " s; neighbors may have given it up");
}

/// What every turn ends with.
void BfdLoop::Parts::settle() {
    perform();
    if (ending_ && !ended_ && table_.has_said_farewell()) end();
    if (ended_) return;
    deadline_ = table_.next_deadline();
    if (deadline_) deadline_ = std::max(*deadline_, last_tick_ + time_between_ticks);
    timer_.arm(deadline_);
    last_ran_ = BootClock::now();
}

void BfdLoop::Parts::perform() {
    const bfd::TableOutput out = std::exchange(out_, {});
    for (const std::uint32_t session : out.opened) {
        const auto view = table_.view(session);
        if (!view) continue;
        connect(links_.emplace(session, Link{.key = view->config.key}).first->second);
    }
    for (const auto& transmission : out.transmissions) send(transmission);
    // One by one and each of them, for a Down that an Init hides would end no BGP session. Where
    // main does not take them they wait there: not without bound, for a session reports no more
    // than some 50 changes a second, and after seconds the watchdog ends a process whose main
    // hangs.
    for (const bfd::Report& report : out.reports) hooks_.report(report);
    for (const std::uint32_t session : out.closed) links_.erase(session);
    if (!out.opened.empty()) retry_.arm(BootClock::now() + retry_period);
}

void BfdLoop::Parts::connect(Link& link) {
    const auto in_trouble = [&](const std::string& why) {
        // Many sessions, one reason: one alarm.
        const bool is_known = std::ranges::any_of(
            links_, [&](const auto& each) { return each.second.trouble == why; });
        link.trouble = why;
        link.receiver.reset();
        if (!is_known) hooks_.alarm("BFD: " + why);
    };
    auto receiver = receiver_for(link.key);
    if (!receiver) return in_trouble(receiver.error());
    auto sender = BfdSender::open(link.key, link.port, random_);
    if (!sender) return in_trouble(sender.error());
    link.receiver = std::move(*receiver);
    link.port = sender->port();
    link.sender.emplace(std::move(*sender));
    link.trouble.clear();
}

Result<ReceiverPtr, std::string> BfdLoop::Parts::receiver_for(const bfd::SessionKey& key) {
    const BfdDoor door{key.local, key.interface, key.multihop};
    if (const auto known = doors_.find(door); known != doors_.end()) {
        if (auto receiver = known->second.lock()) return receiver;
    }
    auto opened = BfdReceiver::open(door);
    if (!opened) return fail(opened.error());
    // Its end is not left to close(2): where a child that was just forked still has the descriptor,
    // epoll would go on to name a receiver that is gone.
    const auto forget = [this](BfdReceiver* gone) {
        (void)::epoll_ctl(arrivals_.native_handle(), EPOLL_CTL_DEL, gone->descriptor(), nullptr);
        std::default_delete<BfdReceiver>{}(gone);
    };
    const ReceiverPtr receiver{std::make_unique<BfdReceiver>(std::move(*opened)).release(), forget};
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = receiver.get();
    if (::epoll_ctl(arrivals_.native_handle(), EPOLL_CTL_ADD, receiver->descriptor(), &event) !=
        0) {
        return fail(std::string{"cannot watch a socket: "} +
                    std::strerror(errno));  // NOLINT(concurrency-mt-unsafe)
    }
    doors_[door] = receiver;
    return receiver;
}

/// What could not be opened is tried anew; and an interface that went and came back has another
/// number, of which a socket that is bound to the old one hears nothing.
void BfdLoop::Parts::look_after_links() {
    for (auto& [session, link] : links_) {
        if (!link.receiver || link.key.interface.empty()) continue;
        if (scope_of(link.key.interface).value_or(0) == link.receiver->scope()) continue;
        link.receiver.reset();
        link.sender.reset();
    }
    for (auto& [session, link] : links_) {
        if (!link.receiver) connect(link);
    }
    std::erase_if(doors_, [](const auto& door) { return door.second.expired(); });
    const bool goes_on = std::ranges::any_of(links_, [](const auto& each) {
        return !each.second.receiver || !each.second.key.interface.empty();
    });
    if (goes_on) retry_.arm(BootClock::now() + retry_period);
}

void BfdLoop::Parts::send(const bfd::TableOutput::Transmission& transmission) {
    const auto found = links_.find(transmission.session);
    if (found == links_.end()) return;
    Link& link = found->second;
    if (!link.sender) return;
    link.send_error = link.sender->send(transmission.octets);
    if (link.send_error == 0) ++link.packets_sent;
}

}  // namespace swerve::daemon
