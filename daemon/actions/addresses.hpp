#pragma once
// The addresses that services bring with them: on the interface before the first probe looks for
// them, and taken off only after the neighbors have acknowledged the withdraw and a grace has
// passed. What was there before is left alone.

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <compare>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/main_port.hpp"
#include "health/probes/runtime.hpp"
#include "swerve/base/result.hpp"
#include "swerve/base/time.hpp"
#include "swerve/conf/config.hpp"
#include "swerve/net/prefix.hpp"

namespace swerve::daemon {

/// Used by one thread at a time: before the loops run, on the operations loop, and after both; at
/// the end perhaps beside an operations loop that hangs.
class Addresses {
public:
    /// `config` is in force. `alarm` gets a sentence for an address that cannot be had, once for
    /// each reason.
    Addresses(const conf::Config& config, const boost::asio::any_io_executor& operations,
              std::function<void(std::string)> alarm);
    Addresses(const Addresses&) = delete;
    Addresses& operator=(const Addresses&) = delete;

    /// Adds what this configuration has and is not there yet; what it does not have stays.
    void add(const conf::Config& config);
    /// Looks now and then, on the operations loop, for what could not be had or was taken away: an
    /// interface may come late, or anew.
    void start();
    /// Main has taken this configuration over: what it does not have goes once every withdraw is
    /// acknowledged and the grace of its service has passed. Called on the operations loop.
    void in_force(const conf::Config& config, MainPort& main);
    /// The configuration that add() was last called for did not come into force.
    void undo();
    /// Gives up what waits for a grace, so that the operations loop runs out of work.
    void stop();
    /// The longest of those that are ours; 0 when none is.
    [[nodiscard]] Duration grace() const;
    /// Removes all that are ours, and only then logs it, for the log may be what hangs.
    void remove_all();

    static constexpr Duration look_every = std::chrono::seconds{5};

private:
    struct Key {
        std::string interface;
        Prefix address;
        friend auto operator<=>(const Key&, const Key&) = default;
    };
    struct Held {
        bool ours = false;
        Duration grace{};
    };

    /// With the longest grace of those that name it.
    [[nodiscard]] static std::map<Key, Duration> wanted(const conf::Config& config);
    void add(const Key& key, Duration grace);
    void remove(const Key& key);
    static void report(const Key& key, const Result<void, std::string>& removed);
    void give_up_graces();
    void remove_later(const std::vector<Key>& keys);

    std::function<void(std::string)> alarm_;
    boost::asio::any_io_executor executor_;
    health::Timer next_look_;
    std::map<Key, Held> held_;
    std::map<Key, std::string> faults_;  ///< of those that cannot be had
    std::vector<Key> added_;             ///< since add() was last called
    std::map<Key, Duration> wanted_;     ///< by the configuration in force
    std::vector<std::shared_ptr<health::Timer>> graces_;
    unsigned round_ = 0;  ///< of reloads; who waits for a grace of an earlier one does so in vain
    bool stopped_ = false;
};

}  // namespace swerve::daemon
