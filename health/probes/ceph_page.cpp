#include "health/probes/ceph_page.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "health/probes/runtime.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

/// How many health checks a reason names; all are in `ceph health detail`.
constexpr std::size_t named_limit = 4;
constexpr std::size_t name_shown = 40;

/// The value of a label as it stands on the page, up to its first quotation mark: Ceph's names of
/// health checks have none inside.
std::string_view label(std::string_view series, std::string_view name) {
    const std::string opening = std::string{name} + "=\"";
    for (std::size_t at = 0; (at = series.find(opening, at)) != std::string_view::npos; ++at) {
        if (at == 0 || (series[at - 1] != '{' && series[at - 1] != ',' && series[at - 1] != ' ')) {
            continue;
        }
        const std::string_view rest = series.substr(at + opening.size());
        return rest.substr(0, rest.find('"'));
    }
    return {};
}

std::string_view word(CephHealth health) {
    switch (health) {
        case CephHealth::ok:
            return "HEALTH_OK";
        case CephHealth::warn:
            return "HEALTH_WARN";
        case CephHealth::error:
            break;
    }
    return "HEALTH_ERR";
}

}  // namespace

CephPage::CephPage()
    : status_({.name = "ceph_health_status", .labels = {}},
              [this](std::string_view, double value) {
                  // NaN is none of these either.
                  if (value == 0.0 || value == 1.0 || value == 2.0) {
                      const auto health = static_cast<CephHealth>(value);
                      health_ = std::max(health, health_.value_or(CephHealth::ok));
                  } else {
                      odd_ = fmt::format("{:g}", value);
                  }
              }),
      details_({.name = "ceph_health_detail", .labels = {}},
               [this](std::string_view series, double value) {
                   if (value > 0) take_detail(series);
               }) {}

void CephPage::take_detail(std::string_view series) {
    auto& names = label(series, "severity") == "HEALTH_ERR" ? errors_ : warnings_;
    const std::string_view name = label(series, "name");
    if (name.empty() || names.size() > named_limit) return;
    names.push_back(escape(name, name_shown));
}

void CephPage::feed(std::string_view piece) {
    status_.feed(piece);
    details_.feed(piece);
}

void CephPage::end() {
    status_.end();
    details_.end();
}

std::string CephPage::health_text(CephHealth health) const {
    std::string out{word(health)};
    if (health == CephHealth::ok) return out;
    std::vector<std::string> names = errors_;
    names.insert(names.end(), warnings_.begin(), warnings_.end());
    const std::size_t count = std::min(names.size(), named_limit);
    for (std::size_t i = 0; i < count; ++i) out += (i == 0 ? ": " : ", ") + names[i];
    return names.size() > count ? out + " and more" : out;
}

Outcome CephPage::judge(CephHealth worst, bool cut) const {
    // What is seen decides, whatever else there may be; only an error cannot get worse.
    if (health_ == CephHealth::error) return failed(health_text(*health_));
    if (!odd_.empty()) return unsure("ceph_health_status is " + odd_ + ", which says nothing");
    if (status_.unreadable() > 0) return unsure("the value of ceph_health_status cannot be read");
    if (health_) {
        if (*health_ > worst) return failed(health_text(*health_));
        return passed(health_text(*health_));
    }
    if (cut) return unsure("no ceph_health_status in the first 4 MiB of the page");
    if (status_.series() == 0) {
        return unsure("an empty page, as a standby manager shows: ask the active one");
    }
    return unsure("no ceph_health_status on the page: is this the exporter of Ceph's manager?");
}

}  // namespace swerve::health
