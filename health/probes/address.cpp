// Whether an address is bound on this host and can be used.

#include <linux/if_addr.h>

#include <boost/asio/this_coro.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "health/probes/netlink.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr Field fields[] = {
    {.name = "address",
     .kind = FieldKind::string,
     .required = true,
     .help = "The IPv4 or IPv6 address."},
    {.name = "interface",
     .kind = FieldKind::string,
     .help = "Where it must be bound; absent: anywhere."},
};

/// One place where the address is bound.
struct Binding {
    unsigned interface;
    std::uint32_t flags;
};

/// The binding that a message tells of, if it is one of `address`.
std::optional<Binding> binding_of(const Address& address, const NetlinkMessage& message) {
    const auto header = message.header<::ifaddrmsg>();
    if (!header || header->ifa_family != kernel_family(address.family())) return std::nullopt;
    const auto attributes = message.attributes<::ifaddrmsg>();
    // Of a point-to-point link IFA_ADDRESS is the other end.
    auto bound = address_in(attribute(attributes, IFA_LOCAL));
    if (!bound) bound = address_in(attribute(attributes, IFA_ADDRESS));
    if (bound != address) return std::nullopt;
    const auto flags = number_in(attribute(attributes, IFA_FLAGS));
    return Binding{header->ifa_index, flags.value_or(header->ifa_flags)};
}

class AddressProbe final : public Probe {
public:
    AddressProbe(Address address, std::optional<std::string> interface)
        : address_(address), interface_(std::move(interface)) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        std::vector<Binding> bindings;
        std::vector<std::byte> request(sizeof(::ifaddrmsg));
        const ::ifaddrmsg selected{.ifa_family = kernel_family(address_.family())};
        std::memcpy(request.data(), &selected, sizeof selected);
        const auto asked =
            co_await dump(RTM_GETADDR, std::move(request), [&](const NetlinkMessage& message) {
                if (const auto found = binding_of(address_, message)) bindings.push_back(*found);
            });
        if (!asked) co_return unsure(asked.error());
        step(context, "read this host's addresses: it is bound " + std::to_string(bindings.size()) +
                          " times");
        co_return judge(bindings);
    }

    asio::awaitable<void> watch(const ProbeContext& context,
                                std::function<void(Outcome)> report) override {
        NetlinkWatch changes(co_await asio::this_coro::executor, groups(),
                             [this](const NetlinkMessage& message) {
                                 return is_of_link(message) || binding_of(address_, message);
                             });
        co_await report_changes(
            *this, context, [&changes] { return changes.changed(); }, std::move(report));
    }

private:
    [[nodiscard]] std::vector<int> groups() const {
        const bool ipv4 = address_.family() == Family::ipv4;
        return {RTNLGRP_LINK, ipv4 ? RTNLGRP_IPV4_IFADDR : RTNLGRP_IPV6_IFADDR};
    }

    /// One place where it can be used is enough; else the trouble of the first is told.
    [[nodiscard]] Outcome judge(const std::vector<Binding>& bindings) const {
        const std::string name = address_.to_string();
        std::optional<Outcome> trouble;
        for (const Binding& binding : bindings) {
            const std::string where = interface_name(binding.interface);
            if (interface_ && where != *interface_) continue;
            Outcome found = passed(name + " is on " + escape(where));
            if ((binding.flags & IFA_F_DADFAILED) != 0) {
                found = failed(name + " on " + escape(where) + " is a duplicate of another host's");
            } else if ((binding.flags & IFA_F_TENTATIVE) != 0 &&
                       (binding.flags & IFA_F_OPTIMISTIC) == 0) {
                found = failed(name + " on " + escape(where) +
                               " is tentative: duplicates are still being looked for");
            } else if (auto link = trouble_with(where)) {
                link->reason = name + ": " + link->reason;
                found = std::move(*link);
            }
            if (found.result == ProbeResult::pass) return found;
            if (!trouble) trouble = std::move(found);
        }
        if (trouble) return *trouble;
        return failed(name + " is " +
                      (interface_ ? "not on " + escape(*interface_) : "on no interface"));
    }

    Address address_;
    std::optional<std::string> interface_;
};

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    const std::string& text = *get<std::string>(values, "address");
    const auto address = Address::parse(text);
    if (!address) {
        return fail(FieldFault{"address", quoted(text) + " is no address", "as 198.51.100.1"});
    }
    if (address->is_unspecified() || address->is_multicast()) {
        return fail(FieldFault{"address", quoted(text) + " is no address of a host", ""});
    }
    const auto* interface = get<std::string>(values, "interface");
    if (interface == nullptr) return std::make_unique<AddressProbe>(*address, std::nullopt);
    if (const auto unusable = unusable_interface(*interface)) {
        return fail(FieldFault{"interface", *unusable, ""});
    }
    return std::make_unique<AddressProbe>(*address, *interface);
}

std::string caveat(const FieldMap& /*values*/) {
    return "that an address is bound does not prove that anybody serves there";
}

std::string target(const FieldMap& values) {
    const auto* interface = get<std::string>(values, "interface");
    return *get<std::string>(values, "address") + (interface ? "%" + *interface : "");
}

}  // namespace

ProbeType address_probe() {
    return {.name = "address",
            .help =
                "Asks whether an address is bound on this host, on an interface that is up, "
                "and neither tentative nor a duplicate.",
            .fields = fields,
            .has_events = sees_events,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
