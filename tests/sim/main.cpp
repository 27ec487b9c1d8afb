// sim_test: lives through worlds, one per seed, and says what it saw.

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/world.hpp"

namespace swerve::sim {
namespace {

struct Options {
    std::uint64_t first = 1;
    std::uint64_t last = 100;
    unsigned jobs = 1;
    Trace::Wants wants;
};

constexpr const char* usage =
    "usage: sim_test [--seeds A..B | --count N | --seed N] [--jobs N] [--hash] [--trace]\n"
    "  --seeds A..B  these worlds (default 1..100)\n"
    "  --seed N      this world, with its story\n"
    "  --jobs N      processes\n"
    "  --trace       every event as well; the same for the same seed on every machine\n"
    "  --hash        print a hash of all traces\n";

/// What an allocator keeps of what it was given back.
constexpr std::size_t allocator_caches = std::size_t{1} << 20U;

std::optional<std::uint64_t> number(std::string_view text) {
    std::uint64_t out = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return out;
}

std::optional<Options> parse(const std::vector<std::string_view>& arguments) {
    Options out;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view name = arguments[i];
        if (name == "--hash") {
            out.wants.hash = true;
            continue;
        }
        if (name == "--trace") {
            out.wants.print_details = true;
            continue;
        }
        if (++i == arguments.size()) return std::nullopt;
        const std::string_view value = arguments[i];
        const auto dots = value.find("..");
        const auto one = number(value);
        if (name == "--seeds" && dots != std::string_view::npos) {
            const auto first = number(value.substr(0, dots));
            const auto last = number(value.substr(dots + 2));
            if (!first || !last || *first > *last) return std::nullopt;
            out.first = *first;
            out.last = *last;
        } else if (name == "--seed" && one) {
            out.first = out.last = *one;
            out.wants.print_story = true;
        } else if (name == "--count" && one && *one > 0) {
            out.last = *one;
        } else if (name == "--jobs" && one && *one > 0 && *one <= 64) {
            out.jobs = static_cast<unsigned>(*one);
        } else {
            return std::nullopt;
        }
    }
    return out;
}

/// What one process tells the one that asked for it, a line each.
class Report {
public:
    explicit Report(std::FILE* to) : to_(to) {}
    void count(const std::string& name, std::uint64_t value) {
        fmt::print(to_, "count\t{}\t{}\n", name, value);
    }
    void hash(std::uint64_t seed, std::uint64_t value) {
        fmt::print(to_, "hash\t{}\t{}\n", seed, value);
    }
    void flush() { std::fflush(to_); }

private:
    std::FILE* to_;
};

void tell_failure(std::uint64_t seed, const World& world, const std::string& what) {
    std::string text = fmt::format("seed {}: {}\nlast events:\n", seed, what);
    for (const std::string& line : world.trace().last()) text += "  " + line + "\n";
    text += fmt::format("replay: sim_test --seed {}\n", seed);
    std::fputs(text.c_str(), stderr);
}

/// Returns whether every invariant held.
bool live(std::uint64_t seed, const Options& options, Report& report) {
    World world{seed, options.wants};
    try {
        world.run();
    } catch (const Violation& violation) {
        tell_failure(seed, world,
                     fmt::format("{} is violated: {}", violation.number(), violation.what()));
        return false;
    } catch (const std::exception& fault) {
        tell_failure(seed, world, fmt::format("an exception ended the world: {}", fault.what()));
        return false;
    }
    for (const auto& [name, value] : world.tally()) report.count(name, value);
    report.count("virtual milliseconds",
                 static_cast<std::uint64_t>(world.lived() / std::chrono::milliseconds{1}));
    report.count("worlds", 1);
    report.hash(seed, world.trace().hash());
    return true;
}

/// Every `jobs`-th seed from `first` on; stops at the first violation.
bool live_some(std::uint64_t first, const Options& options, Report report) {
    std::optional<std::size_t> baseline;
    for (std::uint64_t seed = first; seed <= options.last; seed += options.jobs) {
        if (!live(seed, options, report)) return false;
        // S8: heap bytes return to what they were. (LeakSanitizer, in its build, says where from.)
        const struct mallinfo2 heap = ::mallinfo2();
        const std::size_t used = heap.uordblks + heap.hblkhd;
        if (!baseline) baseline = used;
        if (used > *baseline + allocator_caches) {
            fmt::print(stderr, "seed {}: S8 is violated: {} octets were never given back\n", seed,
                       used - *baseline);
            return false;
        }
    }
    report.flush();
    return true;
}

struct Sum {
    Tally counts;
    std::map<std::uint64_t, std::uint64_t> hashes;
};

void take(std::FILE* from, Sum& sum) {
    char* line = nullptr;
    std::size_t size = 0;
    while (::getline(&line, &size, from) > 0) {
        const std::string_view text{line, std::strlen(line) - 1};
        const auto first = text.find('\t');
        const auto second = text.find('\t', first + 1);
        const std::string_view name = text.substr(first + 1, second - first - 1);
        const std::uint64_t value = number(text.substr(second + 1)).value_or(0);
        if (text.starts_with("count")) {
            sum.counts[std::string{name}] += value;
        } else {
            sum.hashes[number(name).value_or(0)] = value;
        }
    }
    std::free(line);
}

/// One process for each job; the worlds do not know of each other.
bool live_all(const Options& options, Sum& sum) {
    struct Child {
        pid_t pid;
        std::FILE* reads;
    };
    std::vector<Child> children;
    for (unsigned job = 0; job < options.jobs; ++job) {
        int ends[2];
        if (::pipe(ends) != 0) return false;
        std::fflush(stdout);
        const pid_t pid = ::fork();
        if (pid == 0) {
            ::close(ends[0]);
            std::FILE* const to = ::fdopen(ends[1], "w");
            const bool held = live_some(options.first + job, options, Report{to});
            std::fclose(to);
            std::exit(held ? 0 : 1);
        }
        ::close(ends[1]);
        children.push_back({pid, ::fdopen(ends[0], "r")});
    }
    bool held = true;
    for (const Child& child : children) {
        take(child.reads, sum);
        std::fclose(child.reads);
        int status = 0;
        ::waitpid(child.pid, &status, 0);
        if (WIFSIGNALED(status)) {
            fmt::print(stderr, "a process was ended by signal {}\n", WTERMSIG(status));
        }
        held = held && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    return held;
}

int run(const Options& options) {
    const auto begun = std::chrono::steady_clock::now();
    Sum sum;
    const bool held = live_all(options, sum);
    if (options.wants.print_details) return held ? 0 : 1;
    const auto took = std::chrono::steady_clock::now() - begun;
    const std::uint64_t minutes = sum.counts["virtual milliseconds"] / 60'000;
    sum.counts.erase("virtual milliseconds");
    for (const auto& [name, value] : sum.counts) fmt::print("{:>10}  {}\n", value, name);
    fmt::print("{:>8}.{}  virtual hours\n", minutes / 60, minutes % 60 / 6);
    fmt::print("{:>10}  ms of wall time\n", took / std::chrono::milliseconds{1});
    if (options.wants.hash) {
        std::uint64_t all = 0;
        for (const auto& [seed, hash] : sum.hashes) all = (all ^ hash) * 0x100000001b3ULL;
        fmt::print("trace hash {:016x}\n", all);
    }
    fmt::print("{}\n", held ? "every invariant held" : "an invariant was violated");
    return held ? 0 : 1;
}

}  // namespace
}  // namespace swerve::sim

int main(int argc, char** argv) {
    const auto options = swerve::sim::parse(std::vector<std::string_view>(argv + 1, argv + argc));
    if (!options) {
        std::fputs(swerve::sim::usage, stderr);
        return 2;
    }
    return swerve::sim::run(*options);
}
