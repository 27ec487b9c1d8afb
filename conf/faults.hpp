#pragma once

#include <compare>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "swerve/conf/diagnostic.hpp"

namespace swerve::conf {

/// Where something stands in the configuration file, counted from 1.
struct Place {
    int line = 0;
    int column = 0;

    friend auto operator<=>(const Place&, const Place&) = default;
};

/// Collects the faults of one loading. A fault in a prefix file is ordered by the place in the
/// configuration file that names that file.
class Faults {
public:
    explicit Faults(std::string file) : file_(std::move(file)) {}

    /// Adds a fault and remembers `path` as unusable for the rules that come later.
    void add(Place place, const std::string& path, std::string message, std::string hint = {});
    /// Adds a fault whose place is in another file, named at `anchor`.
    void add_elsewhere(Place anchor, Diagnostic fault);
    /// Faults that exist but are not worth listing one by one.
    void add_unlisted(std::size_t count) { unlisted_ += count; }

    /// Makes rules that need the value at `path` keep silent; no line is printed.
    void distrust(const std::string& path) { faulty_.insert(path); }
    /// Whether no fault was found at `path` or at a key above it.
    [[nodiscard]] bool sound(std::string_view path) const;
    /// The same, and at no key below it either.
    [[nodiscard]] bool sound_throughout(std::string_view path) const;

    [[nodiscard]] bool empty() const { return faults_.empty(); }
    [[nodiscard]] const std::string& file() const { return file_; }
    /// "swerve.yaml:14:10", for a fault that names a second place.
    [[nodiscard]] std::string where(Place place) const;
    /// In the order of their place, at most max_diagnostics and one line that counts the rest.
    [[nodiscard]] Diagnostics take();

private:
    struct Fault {
        Place anchor;
        Diagnostic diagnostic;
    };

    std::string file_;
    std::vector<Fault> faults_;
    std::set<std::string, std::less<>> faulty_;
    std::size_t unlisted_ = 0;
};

/// Quotes a piece of a file for a message: safe for a terminal, and short.
[[nodiscard]] std::string quote(std::string_view text);

/// The candidate that `word` was probably meant to be; empty if none is near enough.
[[nodiscard]] std::string_view nearest(std::string_view word,
                                       const std::vector<std::string_view>& candidates);
/// "did you mean 'x'?", or nothing.
[[nodiscard]] std::string did_you_mean(std::string_view candidate);

}  // namespace swerve::conf
