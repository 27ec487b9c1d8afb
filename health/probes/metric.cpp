#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "health/probes/http_client.hpp"
#include "health/probes/metrics_page.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"
#include "health/probes/threshold.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr std::size_t page_limit = 4UZ * 1024 * 1024;
/// Of a series as reasons name it.
constexpr std::size_t series_shown = 160;
const std::vector<std::int64_t> expected_statuses{200};

constexpr Field fields[] = {
    url_field,
    host_field,
    {.name = "name",
     .kind = FieldKind::string,
     .required = true,
     .help = "Name of the metric, as it stands on the page: node_load1, http_requests_total."},
    {.name = "labels",
     .kind = FieldKind::string_list,
     .help = "Labels that a series must have, each as name=value; an empty value: that it lacks "
             "the label. Other labels do not matter."},
    {.name = "match",
     .kind = FieldKind::string,
     .fallback = "all",
     .help = "Of several series, whether `all` or `any` must pass."},
    at_least_field,
    at_most_field,
    username_field,
    password_file_field,
    token_file_field,
    tls_field,
};

/// What the series of a page came to.
struct Tally {
    std::size_t found = 0;
    std::size_t held = 0;
    std::size_t no_number = 0;
    std::string first_held;
    std::string first_missed;

    void take(const Threshold& bounds, std::string_view series, double value) {
        ++found;
        const bool holds = bounds.holds(value);
        held += holds ? 1 : 0;
        if (std::isnan(value)) {
            ++no_number;
        } else if (auto& first = holds ? first_held : first_missed; first.empty()) {
            first = escape(series, series_shown) + " is " + number_text(value);
            if (!holds) first += bounds.missed(value);
        }
    }
};

class MetricProbe final : public HttpClientProbe {
public:
    MetricProbe(HttpServer server, SeriesSelector selector, Threshold bounds, bool any)
        : HttpClientProbe(std::move(server)),
          selector_(std::move(selector)),
          bounds_(bounds),
          is_any_enough_(any) {}

    asio::awaitable<Outcome> ask(const ProbeContext& context) override {
        Tally tally;
        MetricsPage page(selector_, [this, &tally](std::string_view series, double value) {
            tally.take(bounds_, series, value);
        });
        HttpRequest request;
        request.headers = {{"Accept", "text/plain;version=0.0.4"}};
        request.limit = page_limit;
        request.wants_body = [](unsigned status) { return status == 200; };
        request.take = [&page](std::string_view piece) { page.feed(piece); };
        request.awaited = ", without the end of the page";
        const auto answer = co_await client_.exchange(context, std::move(request));
        if (!answer) co_return answer.error();
        if (answer->status != 200) {
            co_return wrong_status(*answer, expected_statuses, client_.server().has_credentials());
        }
        if (!answer->cut) page.end();
        co_return judge(tally, page, answer->cut);
    }

private:
    [[nodiscard]] Outcome judge(const Tally& tally, const MetricsPage& page, bool cut) const {
        const std::string of_all =
            tally.found < 2 ? "" : ", of " + std::to_string(tally.found) + " series";
        // What is seen decides, whatever else there may be.
        if (is_any_enough_ && tally.held > 0) return passed(tally.first_held + of_all);
        if (!is_any_enough_ && !tally.first_missed.empty()) {
            return failed(tally.first_missed + of_all);
        }
        if (cut) return unsure("the page is longer than 4 MiB");
        if (page.unreadable() > 0) {
            return unsure(std::to_string(page.unreadable()) + " lines of " + selector_.name +
                          " cannot be read");
        }
        if (page.series() == 0) return unsure("the page holds no metrics");
        if (tally.found == 0) return unsure("no series " + wanted() + " on the page");
        if (tally.no_number > 0) return unsure(wanted() + " is NaN" + of_all);
        return is_any_enough_ ? failed(tally.first_missed + of_all)
                              : passed(tally.first_held + of_all);
    }

    [[nodiscard]] std::string wanted() const {
        std::string labels;
        for (const auto& [name, value] : selector_.labels) {
            labels += (labels.empty() ? "" : ",") + name + "=\"" + value + "\"";
        }
        return escape(selector_.name + (labels.empty() ? "" : "{" + labels + "}"), series_shown);
    }

    SeriesSelector selector_;
    Threshold bounds_;
    bool is_any_enough_;
};

Result<SeriesSelector, FieldFault> selector_of(const FieldMap& values) {
    SeriesSelector out{.name = *get<std::string>(values, "name"), .labels = {}};
    if (!is_metric_name(out.name)) {
        return fail(FieldFault{"name", quoted(out.name) + " is no name of a metric",
                               "labels go into `labels`"});
    }
    const auto* labels = get<std::vector<std::string>>(values, "labels");
    if (labels == nullptr) return out;
    for (const std::string& label : *labels) {
        const std::size_t equals = label.find('=');
        if (equals == std::string::npos || !is_label_name(label.substr(0, equals))) {
            return fail(FieldFault{"labels", quoted(label) + " is not name=value", "like job=db"});
        }
        out.labels.emplace_back(label.substr(0, equals), label.substr(equals + 1));
    }
    return out;
}

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    auto server = http_server(values);
    if (!server) return fail(std::move(server.error()));
    auto selector = selector_of(values);
    if (!selector) return fail(std::move(selector.error()));
    const auto* match = get<std::string>(values, "match");
    if (match != nullptr && *match != "all" && *match != "any") {
        return fail(FieldFault{"match", quoted(*match) + " is neither all nor any", ""});
    }
    auto bounds = Threshold::from(values);
    if (!bounds) return fail(std::move(bounds.error()));
    if (!bounds->is_given()) {
        return fail(FieldFault{"", "nothing says which value passes", "give at_least or at_most"});
    }
    return std::make_unique<MetricProbe>(std::move(*server), std::move(*selector), *bounds,
                                         match != nullptr && *match == "any");
}

std::string target(const FieldMap& values) {
    return *get<std::string>(values, "url") + " " + *get<std::string>(values, "name");
}

}  // namespace

ProbeType metric_probe() {
    return {.name = "metric",
            .help =
                "GETs a page of metrics in the text format of Prometheus and compares one of "
                "them; of several series all, unless `match` is any. A series that is missing is "
                "`unknown`.",
            .fields = fields,
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .make = make,
            .caveat = http_caveat,
            .target = target};
}

}  // namespace swerve::health
