// Every kind of edit × {up, down, drained, overridden, disabled}: what a reload may touch, and what
// it must not.

#include <sys/stat.h>

#include <array>
#include <fstream>

#include "tests/speaker/rig.hpp"
#include "tests/support/temporary_directory.hpp"

namespace swerve::daemon::test {

namespace {

/// Of upstream-a, for all that follows; whoever edits it puts it back.
class PasswordFile {
public:
    PasswordFile() { write("secret"); }
    [[nodiscard]] std::string path() const { return directory_.path() + "/upstream-a.key"; }
    void write(const std::string& password) const {
        std::ofstream{path()} << password;
        REQUIRE(::chmod(path().c_str(), 0600) == 0);
    }

private:
    swerve::test::TemporaryDirectory directory_;
};

const std::string text_before = R"(
site: fra1
local_as: 64500
router_id: 192.0.2.1
owned: [198.51.100.0/22, 203.0.113.0/24]
bgp: {listen: ["127.0.0.2:1179"]}
neighbors:
  upstream-a: {address: 192.0.2.254, remote_as: 64496, password_file: "KEY"}
  upstream-b: {address: 192.0.2.253, remote_as: 64497}
  lan: {range: 10.9.0.0/16, remote_as: 64498}
checks:
  web: {tcp: {endpoint: "192.0.2.1:80"}, rise: 2, fall: 2}
  db: {tcp: {endpoint: "192.0.2.1:5432"}, rise: 2, fall: 2}
services:
  portal: {prefixes: [198.51.100.0/24, 198.51.101.0/24], healthy_when: web}
  mail: {prefixes: [198.51.102.0/24], healthy_when: db}
)";

/// Comes from the range `lan`, by itself, whenever it has no session.
const std::string caller = "10.9.0.1";
const std::string called = "lan-10.9.0.1";

/// What the service `portal`, or in the last one the neighbor upstream-b, is in when the reload
/// comes. The service `mail` is always up.
enum class Phase : std::uint8_t { up, down, drained, withdrawn, announced, disabled };
constexpr std::array phases{Phase::up,        Phase::down,      Phase::drained,
                            Phase::withdrawn, Phase::announced, Phase::disabled};

std::string_view to_string(Phase phase) {
    constexpr std::array names{"up",
                               "down",
                               "drained",
                               "one prefix withdrawn",
                               "one prefix announced",
                               "announced but to a disabled neighbor"};
    return names[static_cast<std::size_t>(phase)];
}

using Prefixes = std::set<Prefix>;

const std::set<std::string> neighbors{"upstream-a", "upstream-b", called};

Prefixes set_of(std::initializer_list<std::string_view> texts) {
    Prefixes out;
    for (const std::string_view text : texts) out.insert(*Prefix::parse(text));
    return out;
}

const Prefix withdrawn_one = *Prefix::parse("198.51.101.0/24");
const Prefix manual_one = *Prefix::parse("203.0.113.0/24");

struct Edit {
    std::string name;
    std::vector<std::pair<std::string, std::string>> replaced;
    /// Prefixes of each service afterwards; what is in neither is announced by nobody but an
    /// operator.
    Prefixes portal = set_of({"198.51.100.0/24", "198.51.101.0/24"});
    Prefixes mail = set_of({"198.51.102.0/24"});
    std::set<std::string> resets = {};  ///< neighbors whose sessions may be made anew
    bool silent = true;                 ///< not one UPDATE may be sent for it
    bool drain_ends = false;            ///< the service that was drained is there no more
    bool manual_ends = false;           ///< the operator's prefix is not owned any more
    bool word_ends = false;             ///< the withdrawn prefix is not owned any more
    /// Neighbors with all routes.
    std::set<std::string> told = {"upstream-a", "upstream-b", called};
    std::string password = "secret";  ///< of upstream-a
};

std::vector<Edit> edits() {
    const std::string b = "  upstream-b: {address: 192.0.2.253, remote_as: 64497}\n";
    return {
        {"a comment", {{"site: fra1", "site: fra1  # Frankfurt"}}},
        {"the name of the site", {{"site: fra1", "site: fra2"}}},
        {"an interval", {{"rise: 2, fall: 2}\n  db", "rise: 2, fall: 2, interval: 2s}\n  db"}}},
        {"thresholds", {{"rise: 2, fall: 2}\n  db", "rise: 3, fall: 3}\n  db"}}},
        {"the target of a check", {{"192.0.2.1:80", "192.0.2.1:8080"}}},
        {"a check that nobody uses",
         {{"services:", "  spare: {tcp: {endpoint: \"192.0.2.1:81\"}}\nservices:"}}},
        {"a check in front of the others",
         {{"  web: {tcp", "  aaa: {tcp: {endpoint: \"192.0.2.1:81\"}}\n  web: {tcp"}}},
        {"another check is needed", {{"healthy_when: web", "healthy_when: {all: [web, db]}"}}},
        {"a new check is needed",
         {{"services:", "  new: {tcp: {endpoint: \"192.0.2.1:81\"}}\nservices:"},
          {"healthy_when: web", "healthy_when: {all: [web, new]}"}}},
        {"a check gets another name",
         {{"  web: {tcp", "  www: {tcp"}, {"healthy_when: web", "healthy_when: www"}}},
        {"a prefix is added",
         {{"[198.51.100.0/24, ", "[198.51.103.0/24, 198.51.100.0/24, "}},
         set_of({"198.51.100.0/24", "198.51.101.0/24", "198.51.103.0/24"}),
         set_of({"198.51.102.0/24"}),
         {},
         false},
        {"a prefix is removed",
         {{"[198.51.100.0/24, ", "["}},
         set_of({"198.51.101.0/24"}),
         set_of({"198.51.102.0/24"}),
         {},
         false},
        {"the withdrawn prefix is removed",
         {{", 198.51.101.0/24]", "]"}},
         set_of({"198.51.100.0/24"}),
         set_of({"198.51.102.0/24"}),
         {},
         false},
        {"a prefix moves to another service",
         {{"[198.51.100.0/24, ", "["}, {"[198.51.102.0/24]", "[198.51.102.0/24, 198.51.100.0/24]"}},
         set_of({"198.51.101.0/24"}),
         set_of({"198.51.100.0/24", "198.51.102.0/24"}),
         {},
         false},
        {"the operator's prefix becomes a service's",
         {{"[198.51.102.0/24]", "[198.51.102.0/24, 203.0.113.0/24]"}},
         set_of({"198.51.100.0/24", "198.51.101.0/24"}),
         set_of({"198.51.102.0/24", "203.0.113.0/24"}),
         {},
         false},
        {"a service is removed",
         {{"  portal: {prefixes: [198.51.100.0/24, 198.51.101.0/24], healthy_when: web}\n", ""}},
         {},
         set_of({"198.51.102.0/24"}),
         {},
         false,
         true},
        {"a service is added",
         {{"services:", "services:\n  aaa: {prefixes: [198.51.103.0/24], healthy_when: db}"}},
         set_of({"198.51.100.0/24", "198.51.101.0/24"}),
         set_of({"198.51.102.0/24", "198.51.103.0/24"}),
         {},
         false},
        {"communities of a service",
         {{"healthy_when: web}", "healthy_when: web, announce: {communities: [\"64500:7\"]}}"}},
         set_of({"198.51.100.0/24", "198.51.101.0/24"}),
         set_of({"198.51.102.0/24"}),
         {},
         false},
        {"a neighbor's export",
         {{b, "  upstream-b: {address: 192.0.2.253, remote_as: 64497, export: {med: 7}}\n"}},
         set_of({"198.51.100.0/24", "198.51.101.0/24"}),
         set_of({"198.51.102.0/24"}),
         {},
         false},
        {"a neighbor's next hop",
         {{b,
           "  upstream-b: {address: 192.0.2.253, remote_as: 64497, export: {next_hop: {ipv4: "
           "192.0.2.7}}}\n"}},
         set_of({"198.51.100.0/24", "198.51.101.0/24"}),
         set_of({"198.51.102.0/24"}),
         {},
         false},
        {"a neighbor's description and retry",
         {{b,
           "  upstream-b: {address: 192.0.2.253, remote_as: 64497, description: B, connect_retry: "
           "7s}\n"}}},
        {"a neighbor carries one service only",
         {{b, "  upstream-b: {address: 192.0.2.253, remote_as: 64497, services: [mail]}\n"}},
         set_of({"198.51.100.0/24", "198.51.101.0/24"}),
         set_of({"198.51.102.0/24"}),
         {},
         false,
         false,
         false,
         false,
         {"upstream-a", called}},
        {"a neighbor's hold time",
         {{b, "  upstream-b: {address: 192.0.2.253, remote_as: 64497, hold_time: 30s}\n"}},
         set_of({"198.51.100.0/24", "198.51.101.0/24"}),
         set_of({"198.51.102.0/24"}),
         {"upstream-b"}},
        {"a neighbor's address",
         {{"192.0.2.253", "192.0.2.252"}},
         set_of({"198.51.100.0/24", "198.51.101.0/24"}),
         set_of({"198.51.102.0/24"}),
         {"upstream-b"}},
        {"a neighbor is removed",
         {{b, ""}},
         set_of({"198.51.100.0/24", "198.51.101.0/24"}),
         set_of({"198.51.102.0/24"}),
         {"upstream-b"},
         true,
         false,
         false,
         false,
         {"upstream-a", called}},
        {"a neighbor is added in front",
         {{"  upstream-a:", "  aaa: {address: 192.0.2.251, remote_as: 64499}\n  upstream-a:"}},
         set_of({"198.51.100.0/24", "198.51.101.0/24"}),
         set_of({"198.51.102.0/24"}),
         {},
         true,
         false,
         false,
         false,
         {"aaa", "upstream-a", "upstream-b", called}},
        {"the router id",
         {{"router_id: 192.0.2.1", "router_id: 192.0.2.9"}},
         set_of({"198.51.100.0/24", "198.51.101.0/24"}),
         set_of({"198.51.102.0/24"}),
         {"upstream-a", "upstream-b", called}},
        {"a neighbor gets another name",
         {{"  upstream-b:", "  upstream-c:"}},
         set_of({"198.51.100.0/24", "198.51.101.0/24"}),
         set_of({"198.51.102.0/24"}),
         {"upstream-b"},
         true,
         false,
         false,
         false,
         {"upstream-a", "upstream-c", called}},
        {.name = "a password, in the same file", .replaced = {}, .password = "another"},
        {"a range's description and limit",
         {{"remote_as: 64498}", "remote_as: 64498, description: LAN, range_limit: 7}"}}},
        {"a range's export",
         {{"remote_as: 64498}", "remote_as: 64498, export: {med: 7}}"}},
         set_of({"198.51.100.0/24", "198.51.101.0/24"}),
         set_of({"198.51.102.0/24"}),
         {},
         false},
        {"a range's hold time",
         {{"remote_as: 64498}", "remote_as: 64498, hold_time: 30s}"}},
         set_of({"198.51.100.0/24", "198.51.101.0/24"}),
         set_of({"198.51.102.0/24"}),
         {called}},
        {"a range grows",
         {{"10.9.0.0/16", "10.8.0.0/15"}},
         set_of({"198.51.100.0/24", "198.51.101.0/24"}),
         set_of({"198.51.102.0/24"}),
         {called}},
        {"a range is removed",
         {{"  lan: {range: 10.9.0.0/16, remote_as: 64498}\n", ""}},
         set_of({"198.51.100.0/24", "198.51.101.0/24"}),
         set_of({"198.51.102.0/24"}),
         {called},
         true,
         false,
         false,
         false,
         {"upstream-a", "upstream-b"}},
        {"owned grows", {{"203.0.113.0/24]", "203.0.113.0/24, 192.0.2.0/24]"}}},
        {"owned loses the operator's prefix",
         {{", 203.0.113.0/24]", "]"}},
         set_of({"198.51.100.0/24", "198.51.101.0/24"}),
         set_of({"198.51.102.0/24"}),
         {},
         false,
         false,
         true},
    };
}

std::string before(const PasswordFile& key) {
    std::string text = text_before;
    return text.replace(text.find("KEY"), 3, key.path());
}

std::string apply(std::string text, const Edit& edit) {
    for (const auto& [from, to] : edit.replaced) {
        const std::size_t at = text.find(from);
        REQUIRE_MESSAGE(at != std::string::npos, from);
        text.replace(at, from.size(), to);
    }
    return text;
}

void enter(Rig& rig, Phase phase) {
    rig.begin();
    rig.call(caller);
    rig.run_for(10s);
    switch (phase) {
        case Phase::up:
            break;
        case Phase::down:
            rig.fails["web"] = rig.fails["www"] = rig.fails["new"] = true;
            break;
        case Phase::drained:
            rig.set(failover::ServiceId{0}, failover::OverrideKind::drain);
            break;
        case Phase::withdrawn:
            rig.set(withdrawn_one, failover::OverrideKind::withdraw);
            break;
        case Phase::announced:
            rig.set(manual_one, failover::OverrideKind::announce);
            break;
        case Phase::disabled:
            rig.handle(CommandNeighbor{"upstream-b", NeighborCommand::disable, "root", ""});
            break;
    }
    rig.run_for(10s);
}

/// What every neighbor that carries everything is to hold after the edit.
Prefixes expected(const Edit& edit, Phase phase) {
    Prefixes out = edit.mail;
    const bool serves = phase != Phase::down && (phase != Phase::drained || edit.drain_ends);
    if (serves) out.insert(edit.portal.begin(), edit.portal.end());
    if (phase == Phase::withdrawn && !edit.word_ends) out.erase(withdrawn_one);
    if (phase == Phase::announced && !edit.manual_ends) out.insert(manual_one);
    return out;
}

Prefixes held(Rig& rig, const std::string& name) {
    Prefixes out;
    for (const auto& [prefix, route] : rig.router(name).table()) out.insert(prefix);
    return out;
}

/// Lets what was reloaded come to rest, for longer than undecided checks may take.
void rest(Rig& rig) {
    rig.call(caller);
    rig.run_for(40s);
}

void check(const Edit& edit, Phase phase) {
    INFO(edit.name, " while portal is ", to_string(phase));
    const PasswordFile key;
    Rig rig(before(key));
    enter(rig, phase);
    const Prefixes was = held(rig, "upstream-a");
    const auto sessions = rig.sessions;
    for (const std::string& name : neighbors) {
        (void)rig.router(name).take_lost();
        (void)rig.router(name).take_updates();
    }
    key.write(edit.password);
    rig.reload(apply(before(key), edit));
    rest(rig);

    const Prefixes wanted = expected(edit, phase);
    for (const std::string& name : edit.told) {
        INFO("neighbor ", name);
        const bool disabled = phase == Phase::disabled && name == "upstream-b";
        CHECK(held(rig, name) == (disabled ? Prefixes{} : wanted));
    }
    for (const std::string& name : neighbors) {
        if (!rig.speaker.neighbors().find(name)) continue;
        INFO("neighbor ", name);
        if (phase == Phase::disabled && name == "upstream-b") {
            CHECK(rig.sessions[name] == sessions.at(name));
            continue;
        }
        const bool reset = edit.resets.contains(name);
        CHECK(rig.sessions[name] == sessions.at(name) + (reset ? 1 : 0));
        if (reset) continue;
        // What is to be there before and after was never away.
        for (const Prefix& prefix : rig.router(name).take_lost()) {
            CHECK_MESSAGE(
                (!wanted.contains(prefix) || !was.contains(prefix) || !edit.told.contains(name)),
                prefix.to_string(), " was lost on the way");
        }
        if (edit.silent && wanted == was) CHECK(rig.router(name).take_updates() == 0);
    }
}

}  // namespace

TEST_CASE("reload matrix: an edit touches what it must, whatever state the service is in") {
    for (const Edit& edit : edits()) {
        for (const Phase phase : phases) check(edit, phase);
    }
}

TEST_CASE("reload matrix: back and forth is as if nothing had happened") {
    for (const Edit& edit : edits()) {
        for (const Phase phase : phases) {
            if (edit.drain_ends && phase == Phase::drained) continue;  // the drain went with it
            if (edit.manual_ends && phase == Phase::announced) continue;
            // An operator's word about a neighbor goes with its name.
            const bool named = apply(text_before, edit).find("  upstream-b:") != std::string::npos;
            if (!named && phase == Phase::disabled) continue;
            INFO(edit.name, " and back while portal is ", to_string(phase));
            const PasswordFile key;
            Rig rig(before(key));
            enter(rig, phase);
            std::map<std::string, Prefixes> was;
            for (const std::string& name : neighbors) was[name] = held(rig, name);
            key.write(edit.password);
            rig.reload(apply(before(key), edit));
            key.write("secret");
            rig.reload(before(key));
            rest(rig);
            for (const std::string& name : neighbors) {
                INFO("neighbor ", name);
                CHECK(held(rig, name) == was[name]);
            }
        }
    }
}

}  // namespace swerve::daemon::test
