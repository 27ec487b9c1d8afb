#include "tests/sim/daemon.hpp"

#include <algorithm>
#include <utility>

#include "daemon/state/resume.hpp"
#include "swerve/base/deadlines.hpp"
#include "swerve/base/overloaded.hpp"
#include "tests/sim/host.hpp"

namespace swerve::sim {

using bgp::Side;
using daemon::SpeakerOutput;

namespace {

constexpr std::array sides{Side::dialled, Side::accepted};
/// As daemon/session_socket.
constexpr std::size_t max_unsent = std::size_t{256} << 10U;

}  // namespace

Daemon::Daemon(Host& host, std::uint64_t life)
    : host_(host), life_(life), store_(host.disk()), started_(host.clock()) {}
Daemon::~Daemon() = default;

void Daemon::begin() {
    const failover::BootFacts boot{host_.boot_id(), host_.clock(), host_.wall()};
    const auto generations = [&] {
        return std::pair{host_.disk().peek("state.a"), host_.disk().peek("state.b")};
    };
    const auto before = generations();
    const failover::Restored restored = daemon::resume(store_, boot);
    const bool counted = generations() != before;
    crashes_ = restored.crashes;
    speaker_ =
        std::make_unique<daemon::Speaker>(host_.config(), host_.world().random.next(), restored,
                                          daemon::Moment{host_.clock(), host_.wall()});
    for (const auto& [id, neighbor] : speaker_->neighbors()) drivers_[id] = {};
    for (std::size_t i = 0; i < speaker_->config()->checks.size(); ++i) {
        probes_.push_back(next_probe_++);
    }
    SpeakerOutput out;
    speaker_->handle({host_.clock(), host_.wall()}, failover::SiteEvent{failover::Begin{}}, out);
    host_.oracle().started(*speaker_, restored,
                           host_.machine(host_.world().timeline.now(), crashes_), counted);
    take_turn([&](daemon::Moment, SpeakerOutput& turn) { turn = std::move(out); });
    sign_of_life();
    ++host_.world().tally["daemon starts"];
}

void Daemon::take_turn(const std::function<void(daemon::Moment, SpeakerOutput&)>& what,
                       std::optional<NeighborId> writer) {
    SpeakerOutput out;
    what({host_.clock(), host_.wall()}, out);
    ++depth_;
    carry_out(out, writer);
    if (--depth_ > 0) return;
    arm();
    look();
}

void Daemon::look() {
    host_.oracle().check(*speaker_, std::exchange(routes_changed_, false), [this](NeighborId id) {
        const Driver& driver = drivers_.at(id);
        return driver.blocked[0] || driver.blocked[1];
    });
}

void Daemon::tell(const daemon::SpeakerEvent& event, std::optional<NeighborId> writer) {
    take_turn([&](daemon::Moment at, SpeakerOutput& out) { speaker_->handle(at, event, out); },
              writer);
}

void Daemon::carry_out(SpeakerOutput& out, std::optional<NeighborId> writer) {
    routes_changed_ |= out.routes_changed;
    for (const NeighborId id : out.added) drivers_[id] = {};
    for (const auto& [id, action] : out.connections) perform(id, drivers_.at(id), action);
    for (const NeighborId id : out.removed) {
        for (const Side side : sides) close(drivers_.at(id), side, {}, false);
        drivers_.erase(id);
        host_.oracle().removed(id);
    }
    if (out.bfd_changed) host_.bfd().configure(speaker_->bfd_sessions());
    if (out.routes_changed) {
        std::vector<NeighborId> all;
        for (const auto& [id, driver] : drivers_) all.push_back(id);
        for (const NeighborId id : all) flush(id);
    }
    for (const auto& [id, action] : out.connections) flush(id);
    if (writer) flush(*writer);
    for (const failover::StartProbe& order : out.probes) start(order);
    for (const daemon::Event& event : out.events) note(event);
    if (out.save) save_soon(between(host_.world().random, milliseconds{1}, milliseconds{100}));
}

void Daemon::note(const daemon::Event& event) {
    const auto say = [&](const std::string& text) {
        host_.world().trace.story(host_.world().timeline.now(), "{}: {}", host_.plan().name, text);
    };
    std::visit(
        Overloaded{
            [&](const daemon::SessionEvent& what) {
                if (what.up) ++host_.world().tally["sessions"];
                say(fmt::format("session with {} is {} {}", what.name, what.up ? "up" : "down",
                                what.reason));
            },
            [&](const daemon::FailoverCompleted& what) {
                ++host_.world().tally["failovers"];
                say(fmt::format("failover of {} is complete: {}", what.record.subject,
                                what.record.reason));
            },
            [&](const daemon::CheckEvent& what) {
                host_.oracle().check_changed(what.name, what.to);
                say(fmt::format("{} goes from {} to {}: {}", what.name, to_string(what.from),
                                to_string(what.to), what.reason));
            },
            [&](const daemon::EvidenceEvent& what) {
                say(fmt::format("{} has no evidence: {}", what.name, what.reason));
            },
            [&](const daemon::CheckAlarmEvent& what) {
                say(fmt::format("alarm of {} {}: {}", what.name, what.raised ? "raised" : "ended",
                                what.reason));
            },
            [&](const daemon::DampingEvent& what) {
                auto wait = what.wait;
                if (wait) wait->until = host_.on_the_world(wait->until);
                host_.oracle().waits(what.name, wait);
                if (wait) ++host_.world().tally["waits for damping"];
                say(fmt::format("{} {}: {}", what.name, what.wait ? "waits" : "waits no more",
                                what.reason));
            },
            [&](const daemon::VerdictEvent& what) {
                say(fmt::format("{} is {}: {}", what.name, to_string(what.to), what.reason));
            },
            [&](const daemon::IntentEvent& what) {
                host_.oracle().intent_changed(what.name, what.from, what.to);
                say(fmt::format("{} is to {}: {}", what.name, to_string(what.to), what.reason));
            },
            [&](const failover::OverrideChanged& what) {
                say(fmt::format("the override on {} {}", what.subject,
                                what.value     ? fmt::format("is {}", to_string(what.value->kind))
                                : what.expired ? "has run out"
                                               : "is taken back"));
            },
            [&](const daemon::DaemonEvent& what) { say(what.text); },
            [&](const daemon::OutOfSyncEvent& what) {
                say(what.name + (what.out_of_sync ? " is out of sync" : " is in sync"));
            },
            [](const daemon::BfdEvent&) {},
            [](const daemon::BestPathEvent&) {},
            [](const daemon::PrefixLimitEvent&) {},
            [](const daemon::NeighborCommandEvent&) {},
            [](const daemon::Reloaded&) {},
        },
        event.what);
}

void Daemon::deliver(NeighborId id, const bgp::PeerEvent& event) {
    tell(daemon::PeerInput{id, event}, id);
}

void Daemon::perform(NeighborId id, Driver& driver, const bgp::PeerAction& action) {
    Network& network = host_.world().network;
    std::visit(Overloaded{
                   [&](const bgp::Dial&) {
                       close(driver, Side::dialled, {}, false);
                       const auto* config = speaker_->neighbors().find(id);
                       if (config == nullptr) return;
                       const Socket socket = network.dial(host_.link_to(config->address), host_);
                       driver.socket(Side::dialled) = socket;
                       sockets_[socket] = {id, Side::dialled};
                   },
                   [&](const bgp::CancelDial&) { close(driver, Side::dialled, {}, false); },
                   [&](const bgp::CloseTcp& order) {
                       close(driver, order.side, order.last_words, order.reset);
                   },
                   [&](const bgp::SessionUp& up) {
                       driver.session = up.side;
                       host_.oracle().session_up(id, *driver.socket(up.side));
                   },
                   [&](const bgp::SessionDown&) {
                       driver.session.reset();
                       driver.withdrawals_open = false;
                       driver.marks.clear();
                       host_.oracle().session_down(id);
                       look_settled();
                   },
                   [&](const bgp::StateChanged& change) {
                       host_.oracle().state_changed(id, change.from, change.to);
                   },
                   [](const bgp::UpdateReceived&) {},
                   [](const bgp::RefreshBegun&) {},
                   [](const bgp::RefreshEnded&) {},
                   [](const bgp::NotificationExchanged&) {},
               },
               action);
}

void Daemon::close(Driver& driver, Side side, ByteView last_words, bool reset) {
    const auto socket = std::exchange(driver.socket(side), std::nullopt);
    driver.is_open(side) = false;
    driver.blocked[static_cast<std::size_t>(side)] = false;
    if (!socket) return;
    sockets_.erase(*socket);
    host_.oracle().closed(*socket, last_words);
    last_words_.assign(last_words.begin(), last_words.end());
    if (reset) {
        host_.world().network.reset(*socket);
    } else {
        host_.world().network.close(*socket, last_words);
    }
}

void Daemon::flush(NeighborId id) {
    const auto found = drivers_.find(id);
    if (found == drivers_.end()) return;
    for (const Side side : sides) flush(id, found->second, side);
}

void Daemon::flush(NeighborId id, Driver& driver, Side side) {
    Network& network = host_.world().network;
    bgp::Peer& peer = speaker_->peer(id);
    bool& blocked = driver.blocked[static_cast<std::size_t>(side)];
    std::vector<ByteView> views;
    while (driver.socket(side) && driver.is_open(side)) {
        const Socket socket = *driver.socket(side);
        blocked = false;
        const std::size_t unsent = network.unsent(socket);
        if (unsent >= max_unsent) {
            blocked = true;
            return;
        }
        const bool carries_routes = side == driver.session;
        if (carries_routes && peer.rib_out().pending_withdrawals() > 0) {
            driver.withdrawals_open = true;
        }
        const bool track = carries_routes && driver.withdrawals_open;
        views.clear();
        const std::size_t offered = peer.produce(host_.clock(), side, max_unsent - unsent, views);
        if (offered == 0) {
            if (track && peer.rib_out().pending_withdrawals() == 0) driver.withdrawals_open = false;
            return;
        }
        Bytes octets;
        for (const ByteView view : views) octets.insert(octets.end(), view.begin(), view.end());
        const std::size_t taken = network.write(socket, octets);
        blocked = taken < offered;
        if (taken == 0) return;
        host_.world().trace.detail(host_.world().timeline.now(), "{}: {} octets to neighbor {}",
                                   host_.plan().name, taken, id);
        if (network.written(socket) == taken) host_.oracle().opens(*speaker_, id);
        // Before it is recorded as sent: what was still to be withdrawn must have come first.
        host_.oracle().wrote(peer, id, socket, ByteView{octets}.first(taken));
        peer.consumed(host_.clock(), side, taken);
        if (track && taken == offered && peer.rib_out().pending_withdrawals() == 0) {
            driver.withdrawals_open = false;
            driver.marks.push_back({network.written(socket), host_.clock()});
            tell(daemon::WithdrawalsWritten{id, host_.clock()});
        }
    }
}

void Daemon::bfd_reported(const bfd::Report& report) {
    const daemon::Neighbor* const neighbor = speaker_->neighbors().find(report.owner);
    const bool was_up = neighbor != nullptr && neighbor->peer.state() == bgp::State::established;
    host_.oracle().told(*speaker_, report);
    last_words_.clear();
    tell(daemon::BfdReported{report});
    if (was_up && host_.oracle().ended_by(*speaker_, report, last_words_)) {
        ++host_.world().tally["sessions ended by BFD"];
    }
}

void Daemon::accepted(const Address& from, Socket socket) {
    Network& network = host_.world().network;
    const auto id = speaker_->neighbors().at(from);
    if (!id) return network.close(socket);
    read_all(*id);
    Driver& driver = drivers_.at(*id);
    if (const auto refusal = speaker_->peer(*id).refuses_connection()) {
        return network.close(socket, bgp::encode(*refusal));
    }
    close(driver, Side::accepted, {}, false);
    driver.socket(Side::accepted) = socket;
    driver.is_open(Side::accepted) = true;
    sockets_[socket] = {*id, Side::accepted};
    deliver(*id, bgp::TcpConnected{Side::accepted, host_.uplink_to(from).local_address});
}

void Daemon::connected(Socket socket) {
    const auto found = sockets_.find(socket);
    if (found == sockets_.end()) return;
    const auto [id, side] = found->second;
    drivers_.at(id).is_open(side) = true;
    const Address to = speaker_->neighbors().find(id)->address;
    deliver(id, bgp::TcpConnected{side, host_.uplink_to(to).local_address});
}

void Daemon::refused(Socket socket) {
    const auto found = sockets_.find(socket);
    if (found == sockets_.end()) return;
    const auto [id, side] = found->second;
    sockets_.erase(found);
    drivers_.at(id).socket(side).reset();
    deliver(id, bgp::TcpFailed{side, "connection refused"});
}

void Daemon::readable(Socket socket) {
    const auto found = sockets_.find(socket);
    if (found != sockets_.end()) read(found->second.neighbor, found->second.side);
}

void Daemon::read(NeighborId id, Side side) {
    Network& network = host_.world().network;
    for (;;) {
        const auto driver = drivers_.find(id);
        if (driver == drivers_.end() || !driver->second.is_open(side)) return;
        const Socket socket = *driver->second.socket(side);
        if (!network.has_input(socket)) return;
        const Network::Read got = network.read(socket);
        if (!got.octets.empty()) {
            host_.oracle().received(socket, got.octets);
            deliver(id, bgp::BytesReceived{side, got.octets});
        } else if (got.ended) {
            sockets_.erase(socket);
            driver->second.socket(side).reset();
            driver->second.is_open(side) = false;
            driver->second.blocked[static_cast<std::size_t>(side)] = false;
            host_.oracle().closed(socket, {});
            return deliver(id, bgp::TcpFailed{side, got.reason});
        }
    }
}

void Daemon::read_all(NeighborId id) {
    for (const Side side : sides) read(id, side);
}

void Daemon::writable(Socket socket) {
    const auto found = sockets_.find(socket);
    if (found == sockets_.end()) return;
    const auto [id, side] = found->second;
    if (!drivers_.at(id).blocked[static_cast<std::size_t>(side)]) return;
    // A turn of its own, so that what is written now is looked at.
    take_turn([](daemon::Moment, SpeakerOutput&) {}, id);
}

void Daemon::acknowledged(Socket socket) {
    const auto found = sockets_.find(socket);
    if (found == sockets_.end()) return;
    const NeighborId id = found->second.neighbor;
    std::deque<Mark>& marks = drivers_.at(id).marks;
    std::optional<TimePoint> latest;
    while (!marks.empty() && marks.front().octets <= host_.world().network.acknowledged(socket)) {
        latest = marks.front().written_at;
        marks.pop_front();
    }
    if (!latest) return;
    tell(daemon::WithdrawalsAcknowledged{id, *latest});
    look_settled();
}

void Daemon::arm() {
    std::optional<TimePoint> next = speaker_->next_deadline();
    for (const auto& [id, neighbor] : speaker_->neighbors()) {
        next = earlier(next, neighbor->peer.next_deadline());
    }
    if (next) next = host_.on_the_world(*next);
    if (next == armed_) return;
    armed_ = next;
    const std::uint64_t arming = ++arming_;
    if (!next) return;
    host_.world().timeline.at(*next, [&host = host_, life = life_, arming] {
        host.enter(life, [arming](Daemon& daemon) {
            if (arming == daemon.arming_) daemon.wake();
        });
    });
}

void Daemon::resumed() {
    armed_.reset();
    wake();
}

void Daemon::wake() {
    armed_.reset();
    const TimePoint now = host_.clock();
    std::vector<NeighborId> all;
    for (const auto& [id, neighbor] : speaker_->neighbors()) all.push_back(id);
    for (const NeighborId id : all) {
        const auto due = speaker_->peer(id).next_deadline();
        if (!due || *due > now) continue;
        // RFC 4271 §6.5: what the neighbor has sent counts before a timer it would have restarted.
        read_all(id);
        tell(daemon::PeerTick{id}, id);
        // S8: a deadline that stays in the past is a loop that spins.
        const auto next = speaker_->peer(id).next_deadline();
        if (next && *next <= now) violate("S8", "a peer's deadline stays in the past");
    }
    if (const auto due = speaker_->next_deadline(); due && *due <= now) {
        take_turn([&](daemon::Moment at, SpeakerOutput& out) { speaker_->tick(at, out); });
        const auto next = speaker_->next_deadline();
        if (next && *next <= now) violate("S8", "the speaker's deadline stays in the past");
    }
    arm();
}

void Daemon::die(bool with_the_host) {
    for (const auto& [socket, at] : sockets_) {
        if (with_the_host) {
            host_.world().network.vanish(socket);
        } else {
            host_.world().network.abandon(socket);
        }
    }
    sockets_.clear();
}

}  // namespace swerve::sim
