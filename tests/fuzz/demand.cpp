#include <cstdlib>
#include <iostream>

#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

void demand(bool holds, std::string_view what) {
    if (holds) return;
    std::cerr << "does not hold: " << what << std::endl;
    std::abort();
}

}  // namespace swerve::fuzz
