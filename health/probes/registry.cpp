#include "health/probes/registry.hpp"

#include <algorithm>
#include <array>

namespace swerve::health {

std::span<const ProbeType> probe_types() {
    static const std::array types{
        address_probe(),  exec_probe(),    file_probe(),  http_probe(),    link_probe(),
        postgres_probe(), process_probe(), route_probe(), systemd_probe(), tcp_probe(),
    };
    return types;
}

const ProbeType* find_probe_type(std::string_view name) {
    const auto types = probe_types();
    const auto found = std::ranges::find(types, name, &ProbeType::name);
    return found == types.end() ? nullptr : &*found;
}

}  // namespace swerve::health
