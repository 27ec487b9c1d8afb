#include "tests/probes/etcd_rig.hpp"

#include <doctest/doctest.h>
#include "tests/support/skipped.hpp"

namespace swerve::health::testing {
namespace {

std::string at(const std::string& scheme, std::uint16_t port) {
    return scheme + "://127.0.0.1:" + std::to_string(port);
}

std::vector<std::string> command(const std::string& name, const TempDir& dir,
                                 const std::string& client, const std::string& peer,
                                 const std::string& cluster) {
    return {"etcd",
            "--name=" + name,
            "--data-dir=" + dir.file(name),
            "--listen-client-urls=" + client,
            "--advertise-client-urls=" + client,
            "--listen-peer-urls=" + peer,
            "--initial-advertise-peer-urls=" + peer,
            "--initial-cluster=" + cluster,
            "--heartbeat-interval=20",
            "--election-timeout=200",
            "--unsafe-no-fsync"};
}

}  // namespace

bool EtcdCluster::is_possible() {
    const bool is_there = run_program({"sh", "-c", "command -v etcd"}) == 0;
    if (!is_there) swerve::testing::skipped("needs etcd");
    return is_there;
}

EtcdCluster::EtcdCluster() {
    std::array<std::string, size> peers;
    std::string cluster;
    for (std::size_t i = 0; i < size; ++i) {
        client_ports_[i] = free_port();
        peers[i] = at("http", free_port());
        cluster += (i == 0 ? "m" : ",m") + std::to_string(i) + "=" + peers[i];
    }
    for (std::size_t i = 0; i < size; ++i) {
        members_[i] = std::make_unique<Child>(
            command("m" + std::to_string(i), dir_, url(i), peers[i], cluster));
    }
}

std::string EtcdCluster::url(std::size_t member) const {
    return at("http", client_ports_.at(member));
}

EtcdOverTls::EtcdOverTls(const Certificates& certificates) {
    const std::string peer = at("http", free_port());
    auto words = command("m0", dir_, url(), peer, "m0=" + peer);
    words.push_back("--cert-file=" + certificates.file("good.pem"));
    words.push_back("--key-file=" + certificates.file("good.key"));
    words.push_back("--trusted-ca-file=" + certificates.file("ca.pem"));
    words.emplace_back("--client-cert-auth");
    member_ = std::make_unique<Child>(words);
}

std::string EtcdOverTls::url() const { return at("https", port_); }

}  // namespace swerve::health::testing
