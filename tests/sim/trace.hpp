#pragma once
// What happened in a world, line by line. The story is what a person wants to read; the details
// complete it to the trace that must be the same, octet for octet, on every compiler (S9).

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <cstdio>
#include <deque>
#include <stdexcept>
#include <string>
#include <utility>

#include "swerve/base/time.hpp"

namespace swerve::sim {

/// An invariant that does not hold: ends the world.
class Violation : public std::runtime_error {
public:
    Violation(std::string number, const std::string& sentence)
        : std::runtime_error(sentence), number_(std::move(number)) {}
    /// "S2", as in docs/simulation.md.
    [[nodiscard]] const std::string& number() const { return number_; }

private:
    std::string number_;
};

template <class... Args>
[[noreturn]] void violate(const char* number, fmt::format_string<Args...> format, Args&&... args) {
    throw Violation(number, fmt::format(format, std::forward<Args>(args)...));
}

/// "03:07.250000" since the world began.
[[nodiscard]] inline std::string clock_text(TimePoint at) {
    const auto us =
        std::chrono::duration_cast<std::chrono::microseconds>(at - TimePoint{std::chrono::hours{1}})
            .count();
    return fmt::format("{:02}:{:02}.{:06}", us / 60'000'000, us / 1'000'000 % 60, us % 1'000'000);
}

class Trace {
public:
    struct Wants {
        bool print_story = false;
        bool print_details = false;
        bool hash = false;
    };
    explicit Trace(Wants wants) : wants_(wants) {}

    template <class... Args>
    void story(TimePoint at, fmt::format_string<Args...> format, Args&&... args) {
        last_.push_back(clock_text(at) + "  " + fmt::format(format, std::forward<Args>(args)...));
        if (last_.size() > kept) last_.pop_front();
        take(last_.back(), wants_.print_story || wants_.print_details);
    }
    template <class... Args>
    void detail(TimePoint at, fmt::format_string<Args...> format, Args&&... args) {
        if (!wants_.print_details && !wants_.hash) return;
        take(clock_text(at) + "    " + fmt::format(format, std::forward<Args>(args)...),
             wants_.print_details);
    }

    [[nodiscard]] const std::deque<std::string>& last() const { return last_; }
    [[nodiscard]] std::uint64_t hash() const { return hash_; }

private:
    static constexpr std::size_t kept = 40;

    /// FNV-1a.
    void take(const std::string& line, bool print) {
        for (const char c : line) {
            hash_ = (hash_ ^ static_cast<std::uint8_t>(c)) * 0x100000001b3ULL;
        }
        if (print) std::puts(line.c_str());
    }

    Wants wants_;
    std::deque<std::string> last_;
    std::uint64_t hash_ = 0xcbf29ce484222325ULL;
};

}  // namespace swerve::sim
