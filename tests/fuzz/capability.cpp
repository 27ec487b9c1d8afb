// Capabilities mean the same in one parameter and in several, once and repeated, and what is read
// of them is what is written of it.

#include "bgp/capability.hpp"

#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

namespace {

using namespace bgp;

/// Each capability as a parameter of its own, as many routers send them.
Result<Capabilities, Notification> decode_one_by_one(ByteView parameter) {
    Capabilities out;
    while (!parameter.empty()) {
        const std::size_t wanted = parameter.size() < 2 ? 2 : std::size_t{2} + parameter[1];
        const ByteView one = parameter.first(std::min(wanted, parameter.size()));
        if (auto done = decode_capabilities(one, out); !done) return fail(done.error());
        parameter = parameter.subspan(one.size());
    }
    return out;
}

}  // namespace

void capability(ByteView input) {
    Capabilities read;
    const auto done = decode_capabilities(input, read);
    const auto apart = decode_one_by_one(input);
    demand(done.has_value() == apart.has_value(), "in several parameters as in one");
    if (!done) {
        demand(done.error() == apart.error(), "the same error in several parameters as in one");
        demand(done.error().code == 2, "an error of a capability is code 2");
        demand(done.error().data.size() <= 4, "no more than an AS number goes back");
        return;
    }
    demand(*apart == read, "the same capabilities in several parameters as in one");

    Capabilities twice = read;
    demand(decode_capabilities(input, twice) && twice == read, "said twice is said once");

    Bytes octets;
    encode_capabilities(read, octets);
    Capabilities again;
    demand(decode_capabilities(octets, again).has_value(), "what we write can be read");
    read.unknown.clear();
    read.has_multiprotocol = !read.multiprotocol.empty();
    demand(again == read, "what we write is what was read");
}

}  // namespace swerve::fuzz
