// A page is read the same however it is cut, and gives nothing but lines of its own.

#include "health/probes/metrics_page.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

namespace {

using namespace health;

struct Reading {
    std::vector<std::pair<std::string, double>> found;
    std::size_t series = 0;
    std::size_t unreadable = 0;
};

Reading read(std::string_view page, const SeriesSelector& selector, std::size_t piece) {
    Reading out;
    MetricsPage reader(selector, [&out](std::string_view series, double value) {
        out.found.emplace_back(series, value);
    });
    for (std::size_t at = 0; at < page.size(); at += piece) reader.feed(page.substr(at, piece));
    reader.end();
    out.series = reader.series();
    out.unreadable = reader.unreadable();
    return out;
}

void check_same(const Reading& a, const Reading& b) {
    const bool same = std::ranges::equal(a.found, b.found, [](const auto& x, const auto& y) {
        const bool both_nan = std::isnan(x.second) && std::isnan(y.second);
        return x.first == y.first && (both_nan || x.second == y.second);
    });
    demand(same, "the same series however the page is cut");
    demand(a.series == b.series && a.unreadable == b.unreadable, "and the same count of lines");
}

}  // namespace

/// The first octet says how the page is cut.
void metrics_page(ByteView input) {
    const Chosen chosen(input);
    const std::string page(chosen.rest.begin(), chosen.rest.end());
    const Reading whole = read(page, {.name = "up", .labels = {}}, page.size() + 1);
    check_same(whole, read(page, {.name = "up", .labels = {}}, 1U + chosen.choice % 64U));
    demand(whole.found.size() + whole.unreadable <= whole.series, "each from a line of its own");
    for (const auto& [series, value] : whole.found) {
        demand(series.starts_with("up"), "the name that was asked for");
        demand(page.contains(series), "as it stands on the page");
    }
    const Reading some = read(page, {.name = "up", .labels = {{"job", "db"}}}, page.size() + 1);
    const Reading without = read(page, {.name = "up", .labels = {{"job", ""}}}, page.size() + 1);
    demand(some.found.size() + without.found.size() <= whole.found.size(), "labels only select");
}

}  // namespace swerve::fuzz
