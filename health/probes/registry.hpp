#pragma once
// Each probe's file defines one of these; registry.cpp lists them.

#include "swerve/health/probe_fields.hpp"

namespace swerve::health {

[[nodiscard]] ProbeType address_probe();
[[nodiscard]] ProbeType ceph_probe();
[[nodiscard]] ProbeType cilium_probe();
[[nodiscard]] ProbeType clock_probe();
[[nodiscard]] ProbeType consul_probe();
[[nodiscard]] ProbeType disk_probe();
[[nodiscard]] ProbeType dns_probe();
[[nodiscard]] ProbeType etcd_probe();
[[nodiscard]] ProbeType exec_probe();
[[nodiscard]] ProbeType file_probe();
[[nodiscard]] ProbeType grpc_probe();
[[nodiscard]] ProbeType http_probe();
[[nodiscard]] ProbeType http_json_probe();
[[nodiscard]] ProbeType icmp_probe();
[[nodiscard]] ProbeType kubernetes_probe();
[[nodiscard]] ProbeType link_probe();
[[nodiscard]] ProbeType metric_probe();
[[nodiscard]] ProbeType postgres_probe();
[[nodiscard]] ProbeType pressure_probe();
[[nodiscard]] ProbeType process_probe();
[[nodiscard]] ProbeType rabbitmq_probe();
[[nodiscard]] ProbeType redis_probe();
[[nodiscard]] ProbeType route_probe();
[[nodiscard]] ProbeType sentinel_probe();
[[nodiscard]] ProbeType systemd_probe();
[[nodiscard]] ProbeType tcp_probe();
[[nodiscard]] ProbeType tls_probe();
[[nodiscard]] ProbeType udp_probe();
[[nodiscard]] ProbeType vault_probe();
[[nodiscard]] ProbeType wireguard_probe();

}  // namespace swerve::health
