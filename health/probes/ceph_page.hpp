#pragma once
// What the exporter of Ceph's manager says of the cluster's health. Nothing here waits for
// anything.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "health/probes/metrics_page.hpp"
#include "swerve/health/outcome.hpp"

namespace swerve::health {

enum class CephHealth : std::uint8_t { ok, warn, error };

class CephPage {
public:
    CephPage();
    CephPage(const CephPage&) = delete;
    CephPage& operator=(const CephPage&) = delete;

    /// Takes the next octets, however the page is cut.
    void feed(std::string_view piece);
    /// The page is over.
    void end();

    /// Pass up to `worst`. `cut`: the page went on behind what was fed.
    [[nodiscard]] Outcome judge(CephHealth worst, bool cut) const;

private:
    void take_detail(std::string_view series);
    [[nodiscard]] std::string health_text(CephHealth health) const;

    std::optional<CephHealth> health_;  ///< the worst of all that are on the page
    std::string odd_;                   ///< a value that stands for no health
    std::vector<std::string> errors_;   ///< health checks that are raised
    std::vector<std::string> warnings_;
    MetricsPage status_;
    MetricsPage details_;
};

}  // namespace swerve::health
