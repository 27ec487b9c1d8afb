#include "swerve/failover/damping.hpp"

namespace swerve::failover {

std::string_view to_string(DampingProfile profile) {
    switch (profile) {
        case DampingProfile::none:
            return "none";
        case DampingProfile::rfc7196:
            return "rfc7196";
        case DampingProfile::cisco:
            return "cisco";
        case DampingProfile::junos:
            break;
    }
    return "junos";
}

}  // namespace swerve::failover
