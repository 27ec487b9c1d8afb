#pragma once
// A machine with its clocks, its disk and its links, and the daemon that runs on it, for as long as
// it runs.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/bfd_side.hpp"
#include "tests/sim/daemon.hpp"
#include "tests/sim/draft.hpp"
#include "tests/sim/draw.hpp"
#include "tests/support/memory_disk.hpp"

namespace swerve::sim {

/// What all of a world share.
struct Surroundings {
    Timeline& timeline;
    Network& network;
    Trace& trace;
    Random& random;
    Tally& tally;
    BfdWitness& witness;
};

class Host final : public Station {
public:
    Host(const Surroundings& world, SitePlan plan);
    ~Host() override;

    void attach(std::size_t uplink, Link& link);

    // The daemon's life.
    void start();
    void crash(Duration down_for);
    void restart(bool planned);
    void lose_power(Duration down_for);
    void pause(Duration span);
    /// Main does nothing meanwhile; its BFD does.
    void stall_main(Duration span);
    /// Main does nothing any more, and the watchdog ends the process after `patience`.
    void hang(Duration patience, Duration down_for);

    // What happens to what it watches.
    void become(const std::string& check, Condition condition, unsigned failing_percent = 0);
    void report_event(const std::string& check);
    void stall_probes(bool stalled);

    // Operators.
    void reload();
    /// By a reload; no evidence for the old one counts for it.
    void replace_probe(const std::string& check);
    /// The neighbor over this link gets another key of BFD, by a reload.
    void replace_key(const Link& link, const bfd::Authentication& key);
    void say(const Subject& subject, std::optional<failover::OverrideKind> kind,
             std::optional<Duration> lasting = {});
    void command(const std::string& neighbor, daemon::NeighborCommand command);
    void step_clock(Duration by);

    // The disk.
    [[nodiscard]] test::MemoryDisk& disk() { return disk_; }
    void tear_next_save(std::size_t steps) { tear_ = steps; }
    void damage(bool both);

    [[nodiscard]] const SitePlan& plan() const { return plan_; }
    [[nodiscard]] Draft& draft() { return draft_; }
    [[nodiscard]] Daemon* daemon() { return daemon_.get(); }
    [[nodiscard]] Oracle& oracle() { return oracle_; }
    [[nodiscard]] const Truths& truths() const { return truths_; }
    [[nodiscard]] bool paused() const { return paused_; }
    [[nodiscard]] std::size_t backlog() const { return backlog_.size(); }

    // For the daemon.
    [[nodiscard]] BfdSide& bfd() { return bfd_; }
    void begin_bfd();
    [[nodiscard]] const Surroundings& world() const { return world_; }
    [[nodiscard]] TimePoint clock() const { return world_.timeline.now() - since_boot_; }
    [[nodiscard]] TimePoint on_the_world(TimePoint boot) const { return boot + since_boot_; }
    [[nodiscard]] WallTime wall() const;
    [[nodiscard]] std::string boot_id() const { return std::to_string(boot_); }
    [[nodiscard]] Machine machine(TimePoint process_started, unsigned crashes) const;
    [[nodiscard]] RealService& truth(const std::string& check) { return truths_[check]; }
    [[nodiscard]] Link& link_to(const Address& router) const;
    [[nodiscard]] const Uplink& uplink_to(const Address& router) const;
    [[nodiscard]] std::optional<std::size_t> take_tear() { return std::exchange(tear_, {}); }
    /// Runs `what` on the process of this life, when it runs again.
    void enter(std::uint64_t life, std::move_only_function<void(Daemon&)> what);
    /// From inside of the daemon: it has ended, of its own will or by a fault.
    void exited(std::uint64_t life, bool clean);
    [[nodiscard]] std::shared_ptr<const conf::Config> config() const { return config_; }

    // Station.
    [[nodiscard]] bool powered() const override { return powered_; }
    [[nodiscard]] bool listens() const override { return daemon_ && !daemon_->is_stopping(); }
    void accepted(Link& link, Socket socket) override;
    void connected(Socket socket) override;
    void refused(Socket socket) override;
    void readable(Socket socket) override;
    void writable(Socket socket) override;
    void acknowledged(Socket socket) override;
    void datagram(Link& link, Letter letter) override { bfd_.receive(link, std::move(letter)); }

private:
    struct Late {
        std::uint64_t life;
        std::move_only_function<void(Daemon&)> what;
    };
    void end(bool with_the_host);
    void resume(std::uint64_t life);
    void reload(const std::string& what);
    void check_admin_down(const Link& link, const bfd::SessionConfig& session) const;

    Surroundings world_;
    SitePlan plan_;
    Draft draft_;
    std::shared_ptr<const conf::Config> config_;  ///< as its file has it
    std::vector<Link*> links_;                    ///< by uplink
    Truths truths_;
    test::MemoryDisk disk_;
    Oracle oracle_;
    BfdSide bfd_;
    std::unique_ptr<Daemon> daemon_;
    std::uint64_t life_ = 0;
    bool powered_ = true;
    bool paused_ = false;
    std::vector<Late> backlog_;       ///< what waits for a process that stands still
    std::vector<Socket> unaccepted_;  ///< connections among it
    unsigned boot_ = 1;
    Duration since_boot_{0};
    Duration wall_offset_{0};
    std::optional<std::size_t> tear_;
};

}  // namespace swerve::sim
