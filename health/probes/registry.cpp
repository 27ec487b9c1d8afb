#include "health/probes/registry.hpp"

#include <algorithm>
#include <array>

namespace swerve::health {

std::span<const ProbeType> probe_types() {
    static const std::array types{
        address_probe(),  ceph_probe(),   cilium_probe(),    clock_probe(),    consul_probe(),
        disk_probe(),     dns_probe(),    etcd_probe(),      exec_probe(),     file_probe(),
        grpc_probe(),     http_probe(),   http_json_probe(), icmp_probe(),     kubernetes_probe(),
        link_probe(),     metric_probe(), postgres_probe(),  pressure_probe(), process_probe(),
        rabbitmq_probe(), redis_probe(),  route_probe(),     sentinel_probe(), systemd_probe(),
        tcp_probe(),      tls_probe(),    udp_probe(),       vault_probe(),    wireguard_probe(),
    };
    return types;
}

const ProbeType* find_probe_type(std::string_view name) {
    const auto types = probe_types();
    const auto found = std::ranges::find(types, name, &ProbeType::name);
    return found == types.end() ? nullptr : &*found;
}

}  // namespace swerve::health
