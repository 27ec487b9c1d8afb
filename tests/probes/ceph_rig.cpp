#include "tests/probes/ceph_rig.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <poll.h>

#include <chrono>

#include "swerve/base/clock.hpp"
#include "tests/support/skipped.hpp"

namespace swerve::health::testing {
namespace {

using namespace fmt::literals;

constexpr std::string_view cluster = "5e0e7e00-0000-4000-8000-000000000001";

constexpr std::string_view config = R"(
[global]
fsid = {fsid}
mon_host = v1:127.0.0.1:{port}
mon_initial_members = a
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
run_dir = {dir}
crash_dir = {dir}
admin_socket = {dir}/$name.asok
log_file = {dir}/$name.log
pid_file =
mon_data = {dir}/monitor
mgr_data = {dir}
mgr_initial_modules = prometheus
mon_tick_interval = 1
mon_data_avail_warn = 0
mon_warn_on_insecure_global_id_reclaim = false
mon_warn_on_insecure_global_id_reclaim_allowed = false
mon_warn_on_msgr2_not_enabled = false
mon_warn_on_too_few_osds = false
)";

std::string at(std::uint16_t port) { return "http://127.0.0.1:" + std::to_string(port); }

}  // namespace

bool Ceph::is_possible() {
    const bool is_there =
        run_program({"sh", "-c", "command -v ceph-mon && command -v ceph-mgr"}) == 0;
    if (!is_there) swerve::testing::skipped("needs ceph-mon and ceph-mgr");
    return is_there;
}

Ceph::Ceph() {
    write_files();
    REQUIRE(run_program({"monmaptool", "--create", "--fsid", std::string{cluster}, "--addv", "a",
                         fmt::format("[v1:127.0.0.1:{}]", monitor_port_), dir_.file("map")}) == 0);
    REQUIRE(start("ceph-mon", "a", {"--mkfs", "--monmap", dir_.file("map")})->wait() == 0);
    monitor_ = start("ceph-mon", "a", {"-f"});
    // What is set here and not in the file can be changed later on. The managers do not know of
    // these options before they have run, hence the force.
    control({"config", "set", "mon", "mon_data_avail_crit", "0"});
    control({"config", "set", "mgr", "mgr/prometheus/cache", "false", "--force"});
    for (const auto& [name, port] : {std::pair{"x", port_}, std::pair{"y", standby_port_}}) {
        const std::string option = fmt::format("mgr/prometheus/{}/server_", name);
        control({"config", "set", "mgr", option + "port", std::to_string(port), "--force"});
        control({"config", "set", "mgr", option + "addr", "127.0.0.1", "--force"});
    }
    manager_ = start("ceph-mgr", "x", {"-f"});
    Loop loop;
    const auto probe = make_probe("ceph", {{"url", text(url())}});
    bool is_ready = false;
    for (int i = 0; i < 600 && !is_ready; ++i) {
        is_ready = loop.attempt(*probe).result == ProbeResult::pass;
        if (!is_ready) ::poll(nullptr, 0, 100);
    }
    REQUIRE_MESSAGE(is_ready, "Ceph's manager did not start");
    standby_ = start("ceph-mgr", "y", {"-f"});
}

void Ceph::write_files() const {
    dir_.write("ceph.conf", fmt::format(config, "fsid"_a = cluster, "port"_a = monitor_port_,
                                        "dir"_a = dir_.file(".")));
}

std::unique_ptr<Child> Ceph::start(const std::string& program, const std::string& name,
                                   const std::vector<std::string>& more) const {
    std::vector<std::string> command{program, "-c", dir_.file("ceph.conf"), "-i", name};
    command.insert(command.end(), more.begin(), more.end());
    return std::make_unique<Child>(std::move(command));
}

std::string Ceph::url() const { return at(port_); }
std::string Ceph::standby_url() const { return at(standby_port_); }

void Ceph::control(const std::vector<std::string>& words) const {
    std::vector<std::string> command{"ceph", "-c", dir_.file("ceph.conf"), "--connect-timeout",
                                     "60"};
    command.insert(command.end(), words.begin(), words.end());
    // A manager that has only just become active refuses what it does not know of itself yet.
    const TimePoint latest = BootClock::now() + std::chrono::seconds{60};
    while (run_program(command) != 0) REQUIRE(BootClock::now() < latest);
}

}  // namespace swerve::health::testing
