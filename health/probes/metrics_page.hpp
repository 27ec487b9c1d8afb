#pragma once
// The text format of Prometheus, read as it comes: only the series that are asked for are looked
// into, and nothing but the line that is not complete yet is kept.

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace swerve::health {

/// Which series: of this name, with all these labels. A label with an empty value stands for one
/// that a series lacks, as in Prometheus.
struct SeriesSelector {
    std::string name;
    std::vector<std::pair<std::string, std::string>> labels;
};

/// Whether Prometheus takes it for the name of a metric, or of a label.
[[nodiscard]] bool is_metric_name(std::string_view text);
[[nodiscard]] bool is_label_name(std::string_view text);

class MetricsPage {
public:
    /// Called with what stands before the value (name{labels}), as it stands on the page, and the
    /// value, NaN and infinities too.
    using Found = std::function<void(std::string_view series, double value)>;

    MetricsPage(SeriesSelector selector, Found found)
        : selector_(std::move(selector)), found_(std::move(found)) {}

    /// Takes the next octets, however the page is cut.
    void feed(std::string_view piece);
    /// The page is over: its last line may lack its end.
    void end();

    /// Lines with a series, of whatever name. None: this is no such page, or an empty one.
    [[nodiscard]] std::size_t series() const { return series_; }
    /// Lines that begin with the name and cannot be read, or are too long to be.
    [[nodiscard]] std::size_t unreadable() const { return unreadable_; }

private:
    void take(std::string_view line);

    SeriesSelector selector_;
    Found found_;
    std::string line_;  ///< the beginning of one that is not complete
    bool is_too_long_ = false;
    std::size_t series_ = 0;
    std::size_t unreadable_ = 0;
};

}  // namespace swerve::health
