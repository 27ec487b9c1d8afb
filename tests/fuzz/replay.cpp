// Runs the targets over the committed corpus, for builds without libFuzzer: one directory each, by
// the name of the target. A target without inputs is an error, or nobody would miss them.

#include <array>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "tests/fuzz/targets.hpp"

namespace {

using namespace swerve;

struct Target {
    std::string_view name;
    void (*run)(ByteView);
};

constexpr std::array targets{
    Target{"framer", fuzz::framer},
    Target{"open", fuzz::open},
    Target{"capability", fuzz::capability},
    Target{"update", fuzz::update},
    Target{"notification", fuzz::notification},
    Target{"route_refresh", fuzz::route_refresh},
    Target{"readyz", fuzz::readyz},
    Target{"json_answer", fuzz::json_answer},
    Target{"metrics_page", fuzz::metrics_page},
    Target{"rabbitmq", fuzz::rabbitmq},
    Target{"etcd", fuzz::etcd},
    Target{"ceph", fuzz::ceph},
    Target{"dns_message", fuzz::dns_message},
    Target{"echo_message", fuzz::echo_message},
    Target{"pressure", fuzz::pressure},
    Target{"resp", fuzz::resp},
    Target{"redis_replication", fuzz::redis_replication},
    Target{"grpc_call", fuzz::grpc_call},
    Target{"grpc_health", fuzz::grpc_health},
    Target{"wireguard_netlink", fuzz::wireguard_netlink},
    Target{"wireguard_text", fuzz::wireguard_text},
    Target{"postgres_request", fuzz::postgres_request},
    Target{"postgres_reply", fuzz::postgres_reply},
    Target{"bfd_packet", fuzz::bfd_packet},
    Target{"bfd_datagram", fuzz::bfd_datagram},
};

Bytes read(const std::filesystem::path& path) {
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}

/// How many inputs the directory holds. Each is run whole and cut after each of its octets, for
/// what ends early is where decoders read too far.
std::size_t replay(const Target& target, const std::filesystem::path& directory) {
    std::size_t inputs = 0;
    for (const auto& entry : std::filesystem::directory_iterator{directory}) {
        const Bytes input = read(entry.path());
        for (std::size_t size = 0; size <= input.size(); ++size) {
            // A copy of its own size, so that a sanitizer sees the first octet read beyond it.
            const Bytes cut(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(size));
            target.run(cut);
        }
        ++inputs;
    }
    return inputs;
}

}  // namespace

int main(int count, char** arguments) {
    if (count != 2) {
        std::cerr << "usage: fuzz_replay CORPUS\n";
        return 2;
    }
    for (const Target& target : targets) {
        const auto directory = std::filesystem::path{arguments[1]} / target.name;
        const std::size_t inputs =
            std::filesystem::is_directory(directory) ? replay(target, directory) : 0;
        std::cout << target.name << ": " << inputs << " inputs\n";
        if (inputs == 0) return 1;
    }
    return 0;
}
