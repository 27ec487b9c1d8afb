#include "daemon/actions/addresses.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "daemon/actions/interface_address.hpp"
#include "daemon/operations/json_text.hpp"
#include "swerve/base/clock.hpp"

namespace swerve::daemon {
Addresses::Addresses(const conf::Config& config, const boost::asio::any_io_executor& operations,
                     std::function<void(std::string)> alarm)
    : alarm_(std::move(alarm)),
      executor_(operations),
      next_look_(operations),
      wanted_(wanted(config)) {}

std::map<Addresses::Key, Duration> Addresses::wanted(const conf::Config& config) {
    std::map<Key, Duration> out;
    for (const conf::Service& service : config.services) {
        if (!service.addresses) continue;
        for (const Prefix& address : service.addresses->add) {
            Duration& grace = out[{service.addresses->interface, address}];
            grace = std::max(grace, service.addresses->grace);
        }
    }
    return out;
}

void Addresses::add(const conf::Config& config) {
    added_.clear();
    for (const auto& [key, grace] : wanted(config)) add(key, grace);
}

void Addresses::add(const Key& key, Duration grace) {
    const std::string what = key.address.to_string() + " on " + key.interface;
    const auto added = add_address(key.interface, key.address);
    if (!added) {
        held_.erase(key);
        if (std::exchange(faults_[key], added.error()) == added.error()) return;
        return alarm_("address " + what + " cannot be had: " + added.error());
    }
    faults_.erase(key);
    const auto held = held_.find(key);
    if (held != held_.end() && !*added) {
        held->second.grace = grace;
        return;
    }
    const bool ours = *added || has_our_mark(key.interface, key.address);
    const std::string_view how = *added ? "is added"
                                 : ours ? "was left by a daemon before this one and is taken over"
                                        : "was there already and is left alone";
    spdlog::info("event=address text={}", quoted(what + " " + std::string{how}));
    held_[key] = {ours, grace};
    added_.push_back(key);
}

void Addresses::start() {
    if (wanted_.empty()) return;
    next_look_.expires_after(look_every);
    next_look_.async_wait([this](const boost::system::error_code& error) {
        if (error || stopped_) return;
        for (const auto& [key, grace] : wanted_) add(key, grace);
        start();
    });
}

void Addresses::in_force(const conf::Config& config, MainPort& main) {
    wanted_ = wanted(config);
    start();
    // What an earlier reload dropped waits anew: it may have come back in between.
    give_up_graces();
    std::vector<Key> dropped;
    for (const auto& [key, held] : held_) {
        if (!wanted_.contains(key)) dropped.push_back(key);
    }
    if (dropped.empty()) return;
    main.when_settled([this, round = round_, dropped = std::move(dropped)] {
        if (round == round_) remove_later(dropped);
    });
}

void Addresses::remove_later(const std::vector<Key>& keys) {
    for (const Key& key : keys) {
        const auto held = held_.find(key);
        if (held == held_.end()) continue;
        auto timer = std::make_shared<health::Timer>(executor_);
        timer->expires_after(held->second.grace);
        timer->async_wait([this, key, timer, round = round_](const boost::system::error_code&) {
            if (round == round_) remove(key);
        });
        graces_.push_back(std::move(timer));
    }
}

void Addresses::undo() {
    for (const Key& key : std::exchange(added_, {})) {
        if (!wanted_.contains(key)) remove(key);
    }
}

void Addresses::stop() {
    stopped_ = true;
    next_look_.cancel();
    give_up_graces();
}

void Addresses::give_up_graces() {
    ++round_;
    for (const auto& timer : graces_) timer->cancel();
    graces_.clear();
}

Duration Addresses::grace() const {
    Duration longest{};
    for (const auto& [key, held] : held_) {
        if (held.ours) longest = std::max(longest, held.grace);
    }
    return longest;
}

void Addresses::remove_all() {
    std::vector<std::pair<Key, Result<void, std::string>>> removed;
    for (const auto& [key, held] : std::exchange(held_, {})) {
        if (held.ours) removed.emplace_back(key, remove_address(key.interface, key.address));
    }
    for (const auto& [key, how] : removed) report(key, how);
}

void Addresses::remove(const Key& key) {
    const auto held = held_.extract(key);
    if (held.empty() || !held.mapped().ours) return;
    report(key, remove_address(key.interface, key.address));
}

void Addresses::report(const Key& key, const Result<void, std::string>& removed) {
    const std::string what = key.address.to_string() + " on " + key.interface;
    if (!removed) {
        spdlog::warn("event=address text={}", quoted(what + " stays: " + removed.error()));
    } else {
        spdlog::info("event=address text={}", quoted(what + " is removed"));
    }
}

}  // namespace swerve::daemon
