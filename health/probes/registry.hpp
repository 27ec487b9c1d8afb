#pragma once
// Each probe's file defines one of these; registry.cpp lists them.

#include "swerve/health/probe_fields.hpp"

namespace swerve::health {

[[nodiscard]] ProbeType address_probe();
[[nodiscard]] ProbeType exec_probe();
[[nodiscard]] ProbeType file_probe();
[[nodiscard]] ProbeType http_probe();
[[nodiscard]] ProbeType link_probe();
[[nodiscard]] ProbeType postgres_probe();
[[nodiscard]] ProbeType process_probe();
[[nodiscard]] ProbeType route_probe();
[[nodiscard]] ProbeType systemd_probe();
[[nodiscard]] ProbeType tcp_probe();

}  // namespace swerve::health
