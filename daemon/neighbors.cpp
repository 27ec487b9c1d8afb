#include "daemon/neighbors.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "daemon/describe.hpp"
#include "daemon/operations/mrt_file.hpp"

namespace swerve::daemon {
namespace {

using boost::asio::ip::tcp;

/// RFC 5082 §3 where it is asked for. Else, by RFC 4271 §5.1.3 and common practice, a directly
/// connected external peer is one hop away; internal peers may be anywhere.
unsigned hop_limit(const conf::Config& config, const conf::Neighbor& neighbor) {
    if (neighbor.ttl_security || neighbor.remote_as == conf::local_as(config, neighbor)) return 255;
    return neighbor.multihop.value_or(1);
}

PeerTarget target_of(const conf::Config& config, const Neighbor& neighbor) {
    // A collector's neighbor is never dialled and may be anywhere.
    if (neighbor.config == nullptr) {
        return {{neighbor.address, 0}, {.local_address = std::nullopt, .hop_limit = 255}};
    }
    const conf::Neighbor& with = *neighbor.config;
    PeerTarget out{{neighbor.address, with.port},
                   {.local_address = with.local_address,
                    .hop_limit = hop_limit(config, with),
                    .interface = neighbor.interface,
                    .md5_key = with.password}};
    if (with.ttl_security) out.socket.least_hops = 256 - *with.ttl_security;
    if (!with.mrt_file.empty()) {
        out.mrt = MrtTarget{with.mrt_file, conf::local_as(config, with), with.remote_as};
    }
    return out;
}

}  // namespace

Neighbors::Neighbors(boost::asio::io_context& io, boost::asio::io_context& operations,
                     Speaker& speaker, TakeTurn turn, std::function<void(std::string)> alarm)
    : io_(io),
      speaker_(speaker),
      turn_(std::move(turn)),
      alarm_(std::move(alarm)),
      listeners_(
          io, {.admit = [this](const Address& address,
                               const std::string& interface) { return admit(address, interface); },
               .accepted =
                   [this](NeighborId id, tcp::socket socket) {
                       // Admitting it may have ended others, and itself.
                       const auto driver = drivers_.find(id);
                       if (driver == drivers_.end()) return;
                       driver->second->accepted(std::move(socket));
                   },
               .alarm = alarm_}),
      mrt_(
          io, operations,
          [files = std::make_shared<MrtFiles>()](const MrtRecord& record) {
              return files->append(record);
          },
          alarm_) {
    for (const auto& [id, neighbor] : speaker_.neighbors()) add(id);
}

Neighbors::~Neighbors() = default;

Result<void, std::string> Neighbors::listen(const conf::Config& config) {
    if (config.bgp_listen.empty()) return listeners_.bind({}, {});
    auto keys = listener_keys(config);
    if (!keys) return fail(keys.error());
    return listeners_.bind(config.bgp_listen, std::move(*keys));
}

void Neighbors::add(NeighborId id) {
    const Neighbor& neighbor = *speaker_.neighbors().find(id);
    PeerDriver::Hooks hooks{
        .tell =
            [this](const SpeakerEvent& event) {
                turn_([&](Moment at, SpeakerOutput& out) { speaker_.handle(at, event, out); });
            },
        .settled = [this] { tell_settled(); },
        .dump = [this](MrtRecord record) { mrt_.push(std::move(record)); },
        .alarm = [this, name = neighbor.name](
                     const std::string& what) { alarm_("neighbor " + name + ": " + what); },
    };
    drivers_.emplace(id, std::make_unique<PeerDriver>(io_, id, speaker_.peer(id),
                                                      target_of(*speaker_.config(), neighbor),
                                                      std::move(hooks)));
}

void Neighbors::carry_out(SpeakerOutput& out) {
    for (const NeighborId id : out.added) add(id);
    for (const auto& [id, action] : out.connections) {
        // The end of one session may be the end of the daemon, and so of others, at once.
        if (const auto driver = drivers_.find(id); driver != drivers_.end()) {
            driver->second->perform(action);
        }
    }
    for (const NeighborId id : out.removed) remove(id);
    if (out.routes_changed) {
        for (const auto& [id, driver] : drivers_) driver->flush();
        return;
    }
    // A flood of UPDATEs is one turn with hundreds of actions; to look at the socket once is
    // enough.
    std::optional<NeighborId> flushed;
    for (const auto& [id, action] : out.connections) {
        if (std::exchange(flushed, id) == id) continue;
        if (const auto driver = drivers_.find(id); driver != drivers_.end()) {
            driver->second->flush();
        }
    }
}

/// A neighbor of a range goes while its driver is telling of its end, so that the driver itself
/// goes a turn later.
void Neighbors::remove(NeighborId id) {
    const auto driver = drivers_.extract(id);
    if (driver.empty()) return;
    driver.mapped()->retire();
    boost::asio::post(io_, [gone = std::shared_ptr<PeerDriver>{std::move(driver.mapped())}] {});
}

void Neighbors::retarget() {
    std::vector<NeighborId> all;
    for (const auto& [id, driver] : drivers_) all.push_back(id);
    for (const NeighborId id : all) {
        // A connection that cannot follow ends, and its neighbor may go with it.
        const Neighbor* neighbor = speaker_.neighbors().find(id);
        const auto driver = drivers_.find(id);
        if (neighbor == nullptr || driver == drivers_.end()) continue;
        driver->second->retarget(target_of(*speaker_.config(), *neighbor));
    }
}

std::optional<NeighborId> Neighbors::admit(const Address& address, const std::string& interface) {
    std::optional<NeighborId> id;
    turn_([&](Moment at, SpeakerOutput& out) { id = speaker_.admit(at, address, interface, out); });
    return id;
}

void Neighbors::when_settled(std::function<void()> settled) {
    settled_.push_back(std::move(settled));
    tell_settled();
}

void Neighbors::tell_settled() {
    if (settled_.empty()) return;
    const bool all = std::ranges::all_of(
        drivers_, [](const auto& each) { return each.second->withdrawals_settled(); });
    if (!all) return;
    for (const auto& settled : std::exchange(settled_, {})) settled();
}

void Neighbors::describe(const SnapshotRequest& request, Snapshot& out) const {
    daemon::describe(speaker_, request, out);
    for (NeighborView& view : out.neighbors) {
        view.unsent_octets = drivers_.at(view.id)->unsent_octets();
    }
}

}  // namespace swerve::daemon
