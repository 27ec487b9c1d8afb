// Whether an interface exists and can carry traffic.

#include <net/if.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <functional>
#include <memory>
#include <span>
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
    {.name = "interface",
     .kind = FieldKind::string,
     .required = true,
     .help = "Its name, as eth0."},
};

class LinkProbe final : public Probe {
public:
    explicit LinkProbe(std::string interface) : interface_(std::move(interface)) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        const auto trouble = trouble_with(interface_);
        step(context, "asked the kernel for interface " + escape(interface_));
        co_return trouble ? *trouble : passed("interface " + escape(interface_) + " is up");
    }

    asio::awaitable<void> watch(const ProbeContext& context,
                                std::function<void(Outcome)> report) override {
        // What is renamed is told under its new name: then the number says that it was ours.
        auto concerns = [this, index = ::if_nametoindex(interface_.c_str())](
                            const NetlinkMessage& message) mutable {
            const auto link = message.header<::ifinfomsg>();
            if (!is_of_link(message) || !link) return false;
            const auto number = static_cast<unsigned>(link->ifi_index);
            if (!is_ours(message)) return number == index;
            index = number;
            return true;
        };
        NetlinkWatch links(co_await asio::this_coro::executor, groups(), std::move(concerns));
        co_await report_changes(
            *this, context, [&links] { return links.changed(); }, std::move(report));
    }

private:
    static std::vector<int> groups() { return {RTNLGRP_LINK}; }

    [[nodiscard]] bool is_ours(const NetlinkMessage& message) const {
        const auto name = attribute(message.attributes<::ifinfomsg>(), IFLA_IFNAME);
        const auto expected = std::as_bytes(std::span{interface_.c_str(), interface_.size() + 1});
        return std::ranges::equal(name, expected);
    }

    std::string interface_;
};

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    const std::string& interface = *get<std::string>(values, "interface");
    if (const auto unusable = unusable_interface(interface)) {
        return fail(FieldFault{"interface", *unusable, ""});
    }
    return std::make_unique<LinkProbe>(interface);
}

std::string caveat(const FieldMap& /*values*/) {
    return "that a link is up does not prove that anything comes through it";
}

std::string target(const FieldMap& values) { return *get<std::string>(values, "interface"); }

}  // namespace

ProbeType link_probe() {
    return {.name = "link",
            .help = "Asks whether a network interface exists, is up and has a carrier.",
            .fields = fields,
            .has_events = sees_events,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
