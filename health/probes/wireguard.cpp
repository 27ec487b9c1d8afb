// Whether the tunnels of an interface of WireGuard are alive: the handshakes and the octets that
// came.

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "health/probes/netlink.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"
#include "health/probes/wireguard_judge.hpp"
#include "health/probes/wireguard_source.hpp"
#include "swerve/base/clock.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr Field fields[] = {
    {.name = "interface", .kind = FieldKind::string, .required = true, .help = "Its name, as wg0."},
    {.name = "peers",
     .kind = FieldKind::string_list,
     .help = "Public keys of those that must be there, in base64 as `wg show` says them; absent: "
             "all that the interface has, and at least one."},
    {.name = "max_handshake_age",
     .kind = FieldKind::duration,
     .fallback = "180s",
     .help = "How long ago the last handshake with each may be at most; while there is traffic, "
             "one follows the other after 2 minutes."},
    {.name = "receiving_within",
     .kind = FieldKind::duration,
     .fallback = "30s",
     .help = "How long nothing may come from a peer; needs persistent-keepalive (25 s) of the "
             "peer. The first attempts go by the handshake alone. 0s: does not matter."},
};

constexpr std::size_t most_named = 1024;

class WireguardProbe final : public Probe {
public:
    WireguardProbe(std::string interface, WireguardLimits limits)
        : interface_(std::move(interface)), judge_(std::move(limits)) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        auto device = co_await ask_wireguard(context, interface_);
        if (!device) co_return std::move(device.error());
        step(context, "it has " + std::to_string(device->peers.size()) + " peers");
        Outcome found = judge_.judge(*device, wall_now(), BootClock::now());
        found.reason = escape(interface_) + ": " + found.reason;
        co_return found;
    }

private:
    std::string interface_;
    WireguardJudge judge_;
};

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    const std::string& interface = *get<std::string>(values, "interface");
    if (const auto unusable = unusable_interface(interface)) {
        return fail(FieldFault{"interface", *unusable, ""});
    }
    WireguardLimits limits;
    if (const auto* peers = get<std::vector<std::string>>(values, "peers")) {
        if (peers->empty()) return fail(FieldFault{"peers", "has no members", "leave the key out"});
        if (peers->size() > most_named) {
            return fail(FieldFault{"peers", "has more than 1024 members", "leave the key out"});
        }
        for (const std::string& peer : *peers) {
            const auto key = parse_wireguard_key(peer);
            if (!key) {
                // It could be a private key of which a letter is missing, so it is not shown.
                return fail(FieldFault{"peers", "has a member that is no public key",
                                       "44 letters that end in =, as `wg show` says them"});
            }
            limits.peers.push_back(*key);
        }
    }
    if (const auto* age = get<Duration>(values, "max_handshake_age")) {
        if (*age < std::chrono::seconds{1}) {
            return fail(FieldFault{"max_handshake_age", "is less than 1s", ""});
        }
        limits.max_handshake_age = *age;
    }
    if (const auto* within = get<Duration>(values, "receiving_within")) {
        limits.receiving_within = *within;
    }
    return std::make_unique<WireguardProbe>(interface, std::move(limits));
}

std::string caveat(const FieldMap& /*values*/) {
    return "a tunnel that is cut shows in its handshakes after minutes, in its counters after "
           "receiving_within: a probe of an address behind it sees it in seconds";
}

std::string target(const FieldMap& values) { return *get<std::string>(values, "interface"); }

}  // namespace

ProbeType wireguard_probe() {
    return {.name = "wireguard",
            .help =
                "Asks WireGuard, in the kernel or in userspace, how old the handshakes with its "
                "peers are and whether anything comes from them.",
            .fields = fields,
            .has_events = sees_no_events,
            .asks_scope = true,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
