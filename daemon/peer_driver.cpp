#include "daemon/peer_driver.hpp"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <span>
#include <utility>

#include "daemon/farewell.hpp"
#include "daemon/interfaces.hpp"
#include "swerve/base/overloaded.hpp"

namespace swerve::daemon {
namespace {

using bgp::Side;
using boost::system::error_code;
using Wait = boost::asio::ip::tcp::socket::wait_type;

/// How much is read from one neighbor before the loop looks at the others. It holds hundreds of
/// UPDATEs, and whatever else is to be done may have to wait for every neighbor that floods us.
constexpr std::size_t octets_per_turn = std::size_t{16} << 10U;

/// How much is read before a deadline counts, or before it is said that a connection goes on:
/// any message that has arrived as a whole.
constexpr std::size_t octets_beforehand = std::size_t{64} << 10U;

/// How many connections of one neighbor are told at a time why they end. Whoever storms us gets no
/// more of our descriptors than this, and of these some are kept for sessions that were admitted.
constexpr unsigned max_farewells = 8;
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
    std::unique_ptr<MrtTap> tap{};  ///< where its messages are dumped
};

PeerDriver::PeerDriver(boost::asio::io_context& io, NeighborId id, bgp::Peer& peer,
                       PeerTarget target, Hooks hooks)
    : io_(io),
      id_(id),
      peer_(peer),
      target_(std::move(target)),
      hooks_(std::move(hooks)),
      timer_(io, [this] { tick(); }) {}

PeerDriver::~PeerDriver() { retire(); }

void PeerDriver::retire() {
    for (const Side side : {Side::dialled, Side::accepted}) drop(side);
    timer_.arm(std::nullopt);
    alive_.reset();
}

void PeerDriver::retarget(const PeerTarget& target) {
    const bool dumps_elsewhere = target.mrt != target_.mrt;
    target_ = target;
    for (const Side side : {Side::dialled, Side::accepted}) {
        const LinkPtr current = link(side);
        if (!current) continue;
        if (const auto applied = current->socket.apply(target_.socket); !applied) {
            refuse(current, applied.error());
            continue;
        }
        if (current->open && dumps_elsewhere) tap(*current, false);
    }
}

void PeerDriver::deliver(const bgp::PeerEvent& event) {
    hooks_.tell(PeerInput{id_, event});
    flush();
}

void PeerDriver::tick() {
    // What the neighbor has sent counts before a timer that it would have restarted (RFC 4271
    // §6.5).
    for (const Side side : {Side::dialled, Side::accepted}) {
        if (const LinkPtr current = link(side)) read(current, octets_beforehand);
    }
    if (!alive_) return;
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
                       // RFC 9687 §4.3: without a hold time nothing is ever too late.
                       if (up.negotiated.hold_time == Duration::zero()) return;
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
    unsigned scope = 0;
    if (target_.remote.address.is_ipv6_link_local()) {
        const auto found = scope_of(target_.socket.interface);
        if (!found) return fail_dial(found.error());
        scope = *found;
    }
    auto opened = SessionSocket::open(io_, target_.remote.address, target_.socket);
    if (!opened) return fail_dial(opened.error());
    const auto current = std::make_shared<Link>(*this, std::move(*opened), Side::dialled);
    link(Side::dialled) = current;
    current->socket.socket().async_connect(
        to_asio(target_.remote, scope), [this, current](const error_code& error) {
            if (current->driver == nullptr) return;
            if (!error) return connected(current);
            drop(Side::dialled);
            deliver(bgp::TcpFailed{Side::dialled, "connecting to " + target_.remote.to_string() +
                                                      ": " + error.message()});
        });
}

/// From a fresh turn, because the machine that asked is still in the middle of its own.
void PeerDriver::fail_dial(std::string reason) {
    boost::asio::post(io_,
                      [this, held = std::weak_ptr{alive_}, reason = std::move(reason)]() mutable {
                          if (held.expired()) return;
                          deliver(bgp::TcpFailed{Side::dialled, std::move(reason)});
                      });
}

void PeerDriver::accepted(boost::asio::ip::tcp::socket socket) {
    // The end of the connection that this one replaces may have arrived already. One that goes on
    // is not read, or whoever floods us could have that done once more with every call.
    for (const Side side : {Side::dialled, Side::accepted}) {
        const LinkPtr current = link(side);
        if (current && current->socket.ends()) read(current, octets_beforehand);
    }
    if (!alive_) return reset(std::move(socket));
    if (const auto refusal = peer_.refuses_connection()) {
        if (*farewells_ >= max_refusals) return reset(std::move(socket));
        return say_farewell(std::move(socket), bgp::encode(*refusal));
    }
    const auto current = std::make_shared<Link>(
        *this, SessionSocket{std::move(socket), target_.remote.address}, Side::accepted);
    link(Side::accepted) = current;
    connected(current);
}

void PeerDriver::connected(const LinkPtr& current) {
    const auto prepared = current->socket.prepare(target_.socket);
    if (!prepared) return refuse(current, prepared.error());
    error_code error;
    const auto endpoint = current->socket.socket().local_endpoint(error);
    if (error) {
        drop(current->side);
        return deliver(bgp::TcpFailed{current->side, "connection lost: " + error.message()});
    }
    current->open = true;
    const Address local = from_asio(endpoint.address());
    if (target_.mrt) tap(*current, true);
    deliver(bgp::TcpConnected{
        current->side, local,
        peer_.config().shared_link ? link_local_beside(local) : std::optional<Address>{}});
    if (current->driver == nullptr) return;
    wait_readable(current);
    wait_error(current);
}

/// A connection without what was asked for is none: it ends, and why is said where it can be seen.
void PeerDriver::refuse(const LinkPtr& current, const std::string& reason) {
    drop(current->side);
    if (std::exchange(last_alarm_, reason) != reason) hooks_.alarm(reason);
    deliver(bgp::TcpFailed{current->side, reason});
}

void PeerDriver::tap(Link& link, bool from_start) {
    link.tap.reset();
    error_code error;
    const auto local = link.socket.socket().local_endpoint(error);
    if (!target_.mrt || error) return;
    link.tap = std::make_unique<MrtTap>(*target_.mrt, from_asio(local.address()),
                                        target_.remote.address, from_start, hooks_.dump);
    if (const auto& session = peer_.negotiated(); !from_start && session) {
        link.tap->agreed(session->four_octet_as, session->add_path);
    }
}

void PeerDriver::wait_readable(const LinkPtr& current) {
    current->socket.socket().async_wait(Wait::wait_read, [this, current](const error_code& error) {
        if (error || current->driver == nullptr) return;
        read(current, octets_per_turn);
        if (current->driver != nullptr) wait_readable(current);
    });
}

void PeerDriver::wait_error(const LinkPtr& current) {
    current->socket.socket().async_wait(Wait::wait_error, [this, current](const error_code& error) {
        if (error || current->driver == nullptr) return;
        note_acknowledgements(current);
        // An urgent octet wakes this, too, until ordinary reading steps over it.
        read(current, octets_per_turn);
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

void PeerDriver::read(const LinkPtr& current, std::size_t budget) {
    while (current->open && budget > 0) {
        const auto got =
            current->socket.read(std::span{buffer_}.first(std::min(budget, buffer_.size())));
        if (got.status == SessionSocket::Io::blocked) return;
        if (got.status == SessionSocket::Io::ended) {
            drop(current->side);
            return deliver(bgp::TcpFailed{current->side, got.reason});
        }
        const ByteView octets{buffer_.data(), got.count};
        if (current->tap) current->tap->received(octets);
        deliver(bgp::BytesReceived{current->side, octets});
        if (current->driver == nullptr) return;
        budget -= got.count;
    }
}

void PeerDriver::flush() {
    if (!alive_) return;
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
        if (current->tap) current->tap->sent(views, sent.count);
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
    if (!alive_) return true;
    if (withdrawals_open_ || peer_.rib_out().pending_withdrawals() > 0) return false;
    for (const LinkPtr& current : links_) {
        if (current && current->socket.awaits_acknowledgement()) return false;
    }
    return true;
}

void PeerDriver::close(const bgp::CloseTcp& order) {
    const LinkPtr current = forget(order.side);
    if (!current || !current->open) return;
    const ByteView words{order.last_words};
    if (current->tap) current->tap->sent({&words, 1}, words.size());
    if (order.reset) {
        // As far as the kernel takes them: whoever does not read cannot be waited for.
        (void)current->socket.write({words}, false);
        return reset(current->socket.take());
    }
    say_farewell(current->socket.take(), order.last_words);
}

void PeerDriver::say_farewell(boost::asio::ip::tcp::socket socket, Bytes last_words) {
    if (*farewells_ >= max_farewells) return reset(std::move(socket));
    ++*farewells_;
    daemon::say_farewell(std::move(socket), std::move(last_words),
                         [farewells = farewells_] { --*farewells; });
}

std::size_t PeerDriver::unsent_octets() const {
    std::size_t octets = 0;
    for (const LinkPtr& current : links_) {
        if (current && current->open) octets += current->socket.unsent();
    }
    return octets;
}

}  // namespace swerve::daemon
