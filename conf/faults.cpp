#include "conf/faults.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "swerve/base/escape.hpp"
#include "swerve/conf/load.hpp"

namespace swerve::conf {

namespace {

/// More than this is never kept, however bad a file is; the rest is counted.
constexpr std::size_t max_kept = 100 * max_diagnostics;

/// Optimal string alignment distance: insertions, deletions, substitutions and swaps of
/// neighboring letters.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> before(b.size() + 1);
    std::vector<std::size_t> last(b.size() + 1);
    std::vector<std::size_t> current(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        current[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
            current[j] = std::min({last[j] + 1, current[j - 1] + 1, last[j - 1] + change});
            const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) current[j] = std::min(current[j], before[j - 2] + 1);
        }
        before.swap(last);
        last.swap(current);
    }
    return last[b.size()];
}

}  // namespace

void Faults::add(Place place, const std::string& path, std::string message, std::string hint) {
    distrust(path);
    add_elsewhere(place,
                  {file_, place.line, place.column, path, std::move(message), std::move(hint)});
}

void Faults::add_elsewhere(Place anchor, Diagnostic fault) {
    if (faults_.size() >= max_kept) {
        ++unlisted_;
        return;
    }
    faults_.push_back({anchor, std::move(fault)});
}

bool Faults::sound(std::string_view path) const {
    while (!faulty_.contains(path)) {
        const auto dot = path.rfind('.');
        if (dot == std::string_view::npos) return true;
        path = path.substr(0, dot);
    }
    return false;
}

bool Faults::sound_throughout(std::string_view path) const {
    const auto below = faulty_.lower_bound(std::string{path} + ".");
    const bool any_below = below != faulty_.end() && below->starts_with(std::string{path} + ".");
    return sound(path) && !any_below;
}

std::string Faults::where(Place place) const {
    return file_ + ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
}

Diagnostics Faults::take() {
    std::ranges::stable_sort(faults_, {}, [this](const Fault& fault) {
        const Diagnostic& found = fault.diagnostic;
        const bool elsewhere = found.file != file_;
        return std::tuple{fault.anchor, elsewhere ? Place{found.line, found.column} : Place{}};
    });
    Diagnostics out;
    for (auto& fault : faults_) {
        if (out.size() == max_diagnostics) break;
        out.push_back(std::move(fault.diagnostic));
    }
    const std::size_t more = faults_.size() - out.size() + unlisted_;
    if (more > 0) {
        out.push_back({.file = file_,
                       .path = {},
                       .message = "and " + std::to_string(more) + " more",
                       .hint = {},
                       .count = more});
    }
    faults_.clear();
    return out;
}

std::string quote(std::string_view text) { return "'" + escape(text, 64) + "'"; }

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
    // Longer words cannot be near any key or name, and comparing them would cost for nothing.
    if (word.size() > 64) return {};
    std::string_view best;
    std::size_t least = std::max<std::size_t>(1, word.size() / 3) + 1;
    for (const std::string_view candidate : candidates) {
        const std::size_t found = distance(word, candidate);
        if (found >= least || found >= candidate.size()) continue;
        least = found;
        best = candidate;
    }
    return best;
}

std::string did_you_mean(std::string_view candidate) {
    return candidate.empty() ? std::string{} : "did you mean " + quote(candidate) + "?";
}

}  // namespace swerve::conf
