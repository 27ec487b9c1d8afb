#include "daemon/peer_driver.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "daemon/farewell.hpp"
#include "swerve/base/overloaded.hpp"

namespace swerve::daemon {
namespace {

using bgp::Side;
using boost::system::error_code;
using Wait = boost::asio::ip::tcp::socket::wait_type;

/// How much is read from one neighbor before the loop looks at the others.
constexpr int reads_per_turn = 4;

/// How many connections of one neighbor are told at a time why they are not admitted.
constexpr unsigned max_refusals = 4;

/// TCP_USER_TIMEOUT stays this much above the send hold time, which would otherwise never fire
/// (DESIGN.md §4.9).
constexpr Duration user_timeout_margin = std::chrono::seconds{5};

}  // namespace

/// One connection. It knows its driver for as long as it is the current one, so that an answer that
/// comes after it was replaced, or after the driver is gone, does nothing.
struct PeerDriver::Link {
    Link(PeerDriver& of, SessionSocket opened, Side which)
        : driver(&of), socket(std::move(opened)), side(which) {}

    PeerDriver* driver;
    SessionSocket socket;
    Side side;
    bool open = false;
    bool waits_writable = false;
};

PeerDriver::PeerDriver(boost::asio::io_context& io, NeighborId id, bgp::Peer& peer,
                       PeerTarget target, Hooks hooks)
    : io_(io),
      id_(id),
      peer_(peer),
      target_(std::move(target)),
      hooks_(std::move(hooks)),
      timer_(io, [this] { tick(); }) {}

PeerDriver::~PeerDriver() {
    for (const Side side : {Side::dialled, Side::accepted}) drop(side);
}

void PeerDriver::deliver(const bgp::PeerEvent& event) {
    hooks_.tell(PeerInput{id_, event});
    flush();
}

void PeerDriver::tick() {
    // What the neighbor has sent counts before a timer that it would have restarted (RFC 4271
    // §6.5).
    for (const Side side : {Side::dialled, Side::accepted}) {
        if (const LinkPtr current = link(side); current && current->open) read(current);
    }
    hooks_.tell(PeerTick{id_});
    flush();
}

void PeerDriver::perform(const bgp::PeerAction& action) {
    std::visit(Overloaded{
                   [&](const bgp::Dial&) { dial(); },
                   [&](const bgp::CancelDial&) { drop(Side::dialled); },
                   [&](const bgp::CloseTcp& order) { close(order); },
                   [&](const bgp::SessionUp& up) {
                       session_side_ = up.side;
                       link(up.side)->socket.set_user_timeout(2 * up.negotiated.hold_time +
                                                              user_timeout_margin);
                   },
                   [&](const bgp::SessionDown&) {
                       session_side_.reset();
                       withdrawals_open_ = false;
                       hooks_.settled();
                   },
                   [](const bgp::StateChanged&) {},
                   [](const bgp::UpdateReceived&) {},
                   [](const bgp::RefreshBegun&) {},
                   [](const bgp::RefreshEnded&) {},
                   [](const bgp::NotificationExchanged&) {},
               },
               action);
}

PeerDriver::LinkPtr PeerDriver::forget(Side side) {
    LinkPtr current = std::exchange(link(side), nullptr);
    if (current) current->driver = nullptr;
    return current;
}

void PeerDriver::drop(Side side) {
    const LinkPtr current = forget(side);
    if (!current) return;
    error_code ignored;
    current->socket.socket().close(ignored);
}

void PeerDriver::dial() {
    drop(Side::dialled);
    auto opened = SessionSocket::open(io_, target_.remote.address.family(), target_.socket);
    if (!opened) {
        // From a fresh turn, because the machine that asked is still in the middle of its own.
        boost::asio::post(io_, [this, held = std::weak_ptr{alive_}, reason = opened.error()] {
            if (held.expired()) return;
            deliver(bgp::TcpFailed{Side::dialled, reason});
        });
        return;
    }
    const auto current = std::make_shared<Link>(*this, std::move(*opened), Side::dialled);
    link(Side::dialled) = current;
    current->socket.socket().async_connect(
        to_asio(target_.remote), [this, current](const error_code& error) {
            if (current->driver == nullptr) return;
            if (!error) return connected(current);
            drop(Side::dialled);
            deliver(bgp::TcpFailed{Side::dialled, "connecting to " + target_.remote.to_string() +
                                                      ": " + error.message()});
        });
}

void PeerDriver::accepted(boost::asio::ip::tcp::socket socket) {
    // The end of the connection that this one replaces may have arrived already.
    for (const Side side : {Side::dialled, Side::accepted}) {
        if (const LinkPtr current = link(side); current && current->open) read(current);
    }
    if (const auto refusal = peer_.refuses_connection()) {
        // Whoever storms us gets no more of our descriptors than this.
        if (*refusals_ >= max_refusals) return reset(std::move(socket));
        ++*refusals_;
        return say_farewell(std::move(socket), bgp::encode(*refusal),
                            [refusals = refusals_] { --*refusals; });
    }
    const auto current =
        std::make_shared<Link>(*this, SessionSocket{std::move(socket)}, Side::accepted);
    link(Side::accepted) = current;
    connected(current);
}

void PeerDriver::connected(const LinkPtr& current) {
    const auto prepared = current->socket.prepare(target_.socket);
    error_code error;
    const auto local = current->socket.socket().local_endpoint(error);
    if (!prepared || error) {
        const std::string reason = prepared ? error.message() : prepared.error();
        drop(current->side);
        return deliver(bgp::TcpFailed{current->side, reason});
    }
    current->open = true;
    deliver(bgp::TcpConnected{current->side, from_asio(local.address())});
    if (current->driver == nullptr) return;
    wait_readable(current);
    wait_error(current);
}

void PeerDriver::wait_readable(const LinkPtr& current) {
    current->socket.socket().async_wait(Wait::wait_read, [this, current](const error_code& error) {
        if (error || current->driver == nullptr) return;
        read(current);
        if (current->driver != nullptr) wait_readable(current);
    });
}

void PeerDriver::wait_error(const LinkPtr& current) {
    current->socket.socket().async_wait(Wait::wait_error, [this, current](const error_code& error) {
        if (error || current->driver == nullptr) return;
        note_acknowledgements(current);
        // An urgent octet wakes this, too, until ordinary reading steps over it.
        read(current);
        if (current->driver != nullptr) wait_error(current);
    });
}

void PeerDriver::wait_writable(const LinkPtr& current) {
    if (std::exchange(current->waits_writable, true)) return;
    current->socket.socket().async_wait(Wait::wait_write, [this, current](const error_code& error) {
        current->waits_writable = false;
        if (error || current->driver == nullptr) return;
        flush(current->side);
    });
}

void PeerDriver::read(const LinkPtr& current) {
    for (int turn = 0; turn < reads_per_turn; ++turn) {
        const auto got = current->socket.read(buffer_);
        if (got.status == SessionSocket::Io::blocked) return;
        if (got.status == SessionSocket::Io::ended) {
            drop(current->side);
            return deliver(bgp::TcpFailed{current->side, got.reason});
        }
        deliver(bgp::BytesReceived{current->side, ByteView{buffer_.data(), got.count}});
        if (current->driver == nullptr) return;
    }
}

void PeerDriver::flush() {
    flush(Side::dialled);
    flush(Side::accepted);
    timer_.arm(peer_.next_deadline());
}

void PeerDriver::flush(Side side) {
    std::vector<ByteView> views;
    while (const LinkPtr current = link(side)) {
        if (!current->open) return;
        const std::size_t unsent = current->socket.unsent();
        if (unsent >= max_unsent_octets) return wait_writable(current);
        const bool carries_routes = side == session_side_;
        if (carries_routes && peer_.rib_out().pending_withdrawals() > 0) withdrawals_open_ = true;
        const bool track = carries_routes && withdrawals_open_;
        views.clear();
        const std::size_t offered =
            peer_.produce(BootClock::now(), side, max_unsent_octets - unsent, views);
        if (offered == 0) {
            // What was to be withdrawn is announced again.
            if (track && peer_.rib_out().pending_withdrawals() == 0) withdrawals_open_ = false;
            return;
        }
        const auto sent = current->socket.write(views, track);
        const TimePoint now = BootClock::now();
        // A connection that broke is reported by its readable side, with what the peer still had to
        // say.
        if (sent.status == SessionSocket::Io::ended) return;
        if (sent.status == SessionSocket::Io::blocked) return wait_writable(current);
        peer_.consumed(now, side, sent.count);
        if (track && sent.count == offered && peer_.rib_out().pending_withdrawals() == 0) {
            withdrawals_open_ = false;
            current->socket.mark(now);
            hooks_.tell(WithdrawalsWritten{id_, now});
        }
    }
}

void PeerDriver::note_acknowledgements(const LinkPtr& current) {
    if (const auto written_at = current->socket.acknowledged()) {
        hooks_.tell(WithdrawalsAcknowledged{id_, *written_at});
        hooks_.settled();
    }
}

bool PeerDriver::withdrawals_settled() const {
    if (withdrawals_open_ || peer_.rib_out().pending_withdrawals() > 0) return false;
    for (const LinkPtr& current : links_) {
        if (current && current->socket.awaits_acknowledgement()) return false;
    }
    return true;
}

void PeerDriver::close(const bgp::CloseTcp& order) {
    const LinkPtr current = forget(order.side);
    if (!current || !current->open) return;
    if (order.reset) {
        // As far as the kernel takes them: whoever does not read cannot be waited for.
        (void)current->socket.write({ByteView{order.last_words}}, false);
        return reset(current->socket.take());
    }
    say_farewell(current->socket.take(), order.last_words);
}

std::size_t PeerDriver::unsent_octets() const {
    std::size_t octets = 0;
    for (const LinkPtr& current : links_) {
        if (current && current->open) octets += current->socket.unsent();
    }
    return octets;
}

}  // namespace swerve::daemon
