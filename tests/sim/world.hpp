#pragma once
// Sites, upstream routers and everything that goes wrong, from one seed.

#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "tests/sim/host.hpp"
#include "tests/sim/router.hpp"

namespace swerve::sim {

class World {
public:
    World(std::uint64_t seed, Trace::Wants wants);
    ~World();

    /// Lives through all of it; throws a Violation.
    void run();

    [[nodiscard]] const Trace& trace() const { return trace_; }
    [[nodiscard]] const Tally& tally() const { return tally_; }
    [[nodiscard]] Duration lived() const;

    /// One kind of misfortune, and how often it is drawn.
    struct Misfortune {
        std::string_view name;
        unsigned weight;
        void (World::*strike)();
        bool of_bfd = false;  ///< only where BFD is spoken
    };
    [[nodiscard]] static std::span<const Misfortune> odds();

private:
    struct Path {
        std::unique_ptr<Link> link;
        Host* host;
        Router* router;
        std::optional<bfd::SessionConfig> bfd{};  ///< the router's
    };

    void build_site(unsigned number);
    [[nodiscard]] std::optional<BfdPlan> some_bfd();
    void attach_bfd(Path& path, const Uplink& uplink);
    [[nodiscard]] Path* some_bfd_path();
    void chaos(Duration span);
    void strike_again();
    void heal();
    void tidy_up(Host& host);
    void let_octets_arrive();
    void check_quiet();
    void check_quiet(Host& host);

    [[nodiscard]] Host& some_host();
    [[nodiscard]] Path& some_path();
    [[nodiscard]] const std::string& some_check(Host& host);
    [[nodiscard]] Subject some_subject(Host& host);
    [[nodiscard]] std::optional<Duration> some_term();
    /// A span that ends before quiet is due.
    [[nodiscard]] Duration some_span(Duration low, Duration high);
    void sicken(Condition condition, unsigned failing_percent, Duration longest);
    void flap(Host& host, const std::string& check, Duration half, unsigned times);

    void service_dies() { sicken(Condition::dead, 0, seconds{40}); }
    void service_hangs() { sicken(Condition::hanging, 0, seconds{40}); }
    void brown_out() { sicken(Condition::brown_out, between(random_, 10, 90), seconds{60}); }
    void service_is_mute() { sicken(Condition::mute, 0, seconds{90}); }
    void service_flaps();
    void false_alarm();
    void probes_stall();
    void daemon_crash();
    void crash_loop();
    void clean_restart();
    void planned_restart();
    void power_loss();
    void process_pause();
    void link_cut();
    void slow_link();
    void single_bytes();
    void tcp_reset();
    void zero_window();
    void busy_operator(Host& host);
    void router_pause();
    void router_restart();
    void half_open();
    void router_notification();
    void router_asks();
    void reload();
    void undecided();
    void withdraw() { speak(failover::OverrideKind::withdraw); }
    void announce() { speak(failover::OverrideKind::announce); }
    void speak(failover::OverrideKind kind);
    void drain();
    void take_back();
    void neighbor_command();
    void clock_step();
    void disk_full();
    void torn_save();
    void damaged_state();
    void datagrams_lost();
    void one_way_loss();
    void datagrams_forged();
    void forge(Path& path);
    void main_stalls();
    void main_hangs();
    void router_bfd_timing();
    void router_bfd_off();
    void key_changes();

    Random random_;
    Trace trace_;
    Timeline timeline_;
    Network network_;
    Tally tally_;
    BfdWitness witness_;
    bool with_bfd_;
    std::vector<std::unique_ptr<Router>> routers_;
    std::vector<std::unique_ptr<Host>> hosts_;
    std::vector<Path> paths_;
    TimePoint quiet_from_{};
};

}  // namespace swerve::sim
