#pragma once
// The bfd loop of one process: the shipping table of sessions with sockets and a timer that are not
// real. It keeps the contract of daemon/bfd_loop: what has arrived counts before the timer, and it
// goes on while main does not.

#include <functional>
#include <memory>
#include <vector>

#include "swerve/bfd/table.hpp"
#include "tests/sim/bfd_witness.hpp"
#include "tests/sim/draw.hpp"

namespace swerve::sim {

[[nodiscard]] bfd::Timing some_bfd_timing(Random& random);

class BfdSide {
public:
    struct Hooks {
        std::function<void(const bfd::Report&)> report;  ///< a moment later, as a post is
        /// AdminDown is said to the other end of a link.
        std::function<void(const Link&, const bfd::SessionConfig&)> admin_down;
    };

    BfdSide(Timeline& timeline, Network& network, Random& random, BfdWitness& witness,
            Station& self)
        : timeline_(timeline), network_(network), random_(random), witness_(witness), self_(self) {}

    /// A path that a session may go over.
    void attach(Link& link, const std::string& name, const bfd::SessionKey& key);
    [[nodiscard]] bool is_attached(const Link& link) const;

    // The life of its process.
    void begin(Duration since_boot, Hooks hooks);
    void end();
    void pause(bool paused);
    /// Says AdminDown for every session; then `done`.
    void stop(std::function<void()> done);
    /// The same, and at once.
    void say_farewell();
    void hold_down();

    /// A post, too.
    void configure(std::vector<bfd::SessionConfig> wanted);
    void receive(Link& link, Letter letter);

private:
    struct Path {
        Link* link;
        std::string name;
        bfd::SessionKey key;
    };
    struct Arrived {
        Link* link;
        Letter letter;
    };
    struct Session {
        const Path* path;
        bfd::SessionConfig config;
    };

    [[nodiscard]] TimePoint clock() const { return timeline_.now() - since_boot_; }
    [[nodiscard]] const Path* path_of(const bfd::SessionKey& key) const;
    [[nodiscard]] TimePoint post_at();
    void run(std::function<void()> order);
    void apply(const std::vector<bfd::SessionConfig>& wanted);
    void hand_in(Link& link, const Letter& letter);
    void carry_out(const bfd::TableOutput& out);
    void tick();
    void arm();

    Timeline& timeline_;
    Network& network_;
    Random& random_;
    BfdWitness& witness_;
    Station& self_;
    std::vector<Path> paths_;
    Hooks hooks_;
    std::unique_ptr<bfd::Table> table_;  ///< none: no process
    Duration since_boot_{};
    std::uint64_t life_ = 0;
    bool paused_ = false;
    std::vector<bfd::SessionConfig> wanted_;
    std::map<std::uint32_t, Session> sessions_;  ///< by discriminator
    std::map<std::uint32_t, const Path*> owners_;
    std::vector<Arrived> waiting_;               ///< in the socket, while it stands still
    std::vector<std::function<void()>> orders_;  ///< in its queue, meanwhile
    TimePoint last_post_{};
    std::optional<TimePoint> armed_;
    std::uint64_t arming_ = 0;
    std::function<void()> stopped_;
};

}  // namespace swerve::sim
