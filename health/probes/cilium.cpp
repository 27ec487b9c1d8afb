// The Cilium agent of this host by its health endpoint, and the clusters of its mesh by its
// metrics. Status codes, headers, metric and labels were read in Cilium's source; no agent was
// asked.

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "health/probes/api_server.hpp"
#include "health/probes/metrics_page.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr std::string_view health_path = "/healthz";
constexpr std::string_view default_url = "http://127.0.0.1:9879";
constexpr std::string_view default_metrics_url = "http://127.0.0.1:9962/metrics";
constexpr std::string_view readiness = "cilium_clustermesh_remote_cluster_readiness_status";
/// An agent of a large cluster has megabytes of metrics, of which one line for each cluster is
/// kept.
constexpr std::size_t page_limit = 4096UZ * 1024;
constexpr std::size_t most_clusters = 511;  ///< of a mesh, as Cilium has it
constexpr std::size_t longest_name = 64;

constexpr Field fields[] = {
    {.name = "url",
     .kind = FieldKind::string,
     .fallback = default_url,
     .help = "Where the agent tells its health."},
    {.name = "needs_kubernetes",
     .kind = FieldKind::boolean,
     .fallback = "false",
     .help = "An agent that cannot reach the Kubernetes API fails. What it has set up keeps "
             "forwarding without."},
    {.name = "clusters",
     .kind = FieldKind::string_list,
     .help = "Names of the remote clusters of the mesh that must be ready."},
    {.name = "metrics_url",
     .kind = FieldKind::string,
     .fallback = default_metrics_url,
     .help = "The agent's page of metrics, which tells of the clusters."},
};

/// Of the remote clusters that the page tells of, whether each is ready.
using Clusters = std::map<std::string, bool, std::less<>>;

class CiliumProbe final : public Probe {
public:
    CiliumProbe(HttpServer agent, HttpServer metrics, bool needs_kubernetes,
                std::vector<std::string> clusters)
        : agent_(std::move(agent)),
          metrics_(std::move(metrics)),
          needs_kubernetes_(needs_kubernetes),
          clusters_(std::move(clusters)) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override;

private:
    asio::awaitable<Outcome> ask_metrics(const ProbeContext& context);
    [[nodiscard]] Outcome judge(const Clusters& found, const MetricsPage& page, bool cut) const;

    HttpClient agent_;
    HttpClient metrics_;
    bool needs_kubernetes_;
    std::vector<std::string> clusters_;
};

asio::awaitable<Outcome> CiliumProbe::run(const ProbeContext& context, TimePoint /*deadline*/) {
    HttpRequest request;
    request.path = api_path(agent_.server(), health_path);
    request.headers = {{"brief", "true"},
                       {"require-k8s-connectivity", needs_kubernetes_ ? "true" : "false"}};
    const auto answer = co_await agent_.exchange(context, std::move(request));
    if (!answer) co_return answer.error();
    if (answer->status == 503) {
        co_return failed("the agent is not healthy (HTTP 503); cilium status --brief says why");
    }
    if (answer->status != 200) co_return refused(*answer, false);
    if (clusters_.empty()) co_return passed("the agent is healthy");
    co_return co_await ask_metrics(context);
}

/// The value of the label in name{a="b",…}; the names that are looked for hold nothing that would
/// be escaped.
std::string_view target_cluster(std::string_view series) {
    static constexpr std::string_view label = "target_cluster=\"";
    std::size_t at = series.find(label);
    while (at != std::string_view::npos && at > 0 && series[at - 1] != '{' &&
           series[at - 1] != ',' && series[at - 1] != ' ') {
        at = series.find(label, at + 1);
    }
    if (at == std::string_view::npos) return {};
    series.remove_prefix(at + label.size());
    return series.substr(0, series.find('"'));
}

asio::awaitable<Outcome> CiliumProbe::ask_metrics(const ProbeContext& context) {
    Clusters found;
    MetricsPage page({.name = std::string{readiness}, .labels = {}},
                     [&found](std::string_view series, double value) {
                         const std::string_view name = target_cluster(series);
                         if (name.size() > longest_name || found.size() > most_clusters) return;
                         const bool is_ready = !std::isnan(value) && value >= 1;
                         const auto at = found.try_emplace(std::string{name}, is_ready).first;
                         at->second = at->second && is_ready;
                     });
    HttpRequest request;
    request.headers = {{"Accept", "text/plain;version=0.0.4"}};
    request.limit = page_limit;
    request.wants_body = [](unsigned status) { return status == 200; };
    request.take = [&page](std::string_view piece) { page.feed(piece); };
    request.awaited = ", without the end of the page";
    const auto answer = co_await metrics_.exchange(context, std::move(request));
    if (!answer) {
        // Metrics are an option of the agent: whatever keeps them away says nothing of it.
        co_return unsure("the agent is healthy, but its metrics: " + answer.error().reason);
    }
    if (answer->status != 200) {
        co_return unsure("the agent is healthy, but its metrics: HTTP " +
                         std::to_string(answer->status));
    }
    if (!answer->cut) page.end();
    co_return judge(found, page, answer->cut);
}

Outcome CiliumProbe::judge(const Clusters& found, const MetricsPage& page, bool cut) const {
    std::string not_ready;
    std::string missing;
    for (const std::string& name : clusters_) {
        const auto at = found.find(name);
        if (at != found.end() && at->second) continue;
        std::string& list = at == found.end() ? missing : not_ready;
        list += (list.empty() ? "" : ", ") + name;
    }
    if (!not_ready.empty()) return failed("clusters not ready: " + not_ready);
    if (missing.empty()) {
        return passed("the agent is healthy, " + std::to_string(clusters_.size()) +
                      " clusters are ready");
    }
    if (cut) return unsure("the page of metrics is longer than 4 MiB");
    if (page.series() == 0) return unsure("the agent's page holds no metrics");
    if (page.unreadable() > 0) return unsure(std::string{readiness} + " cannot be read");
    if (found.empty()) {
        return unsure("no series " + std::string{readiness} +
                      ": the mesh or its metrics are off at this agent");
    }
    return failed("clusters not in the mesh of this agent: " + missing);
}

bool is_cluster_name(std::string_view name) {
    constexpr std::string_view allowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    return !name.empty() && name.size() <= longest_name &&
           name.find_first_not_of(allowed) == std::string_view::npos;
}

std::string url_of(const FieldMap& values, std::string_view key, std::string_view otherwise) {
    const auto* url = get<std::string>(values, key);
    return std::string{url == nullptr ? otherwise : std::string_view{*url}};
}

Result<std::vector<std::string>, FieldFault> clusters_of(const FieldMap& values) {
    const auto* clusters = get<std::vector<std::string>>(values, "clusters");
    if (clusters == nullptr) return std::vector<std::string>{};
    if (clusters->empty()) {
        return fail(FieldFault{"clusters", "is empty", "leave the key out"});
    }
    if (clusters->size() > most_clusters) {
        return fail(FieldFault{"clusters", "has more than a mesh has clusters (511)", ""});
    }
    for (const std::string& name : *clusters) {
        if (!is_cluster_name(name)) {
            return fail(FieldFault{"clusters", quoted(name) + " is no name of a cluster",
                                   "letters, digits, -, _ and . only"});
        }
    }
    return *clusters;
}

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    const FieldMap of_agent{{"url", {url_of(values, "url", default_url)}}};
    auto agent = api_server(of_agent, health_path);
    if (!agent) return fail(std::move(agent.error()));
    const FieldMap of_metrics{{"url", {url_of(values, "metrics_url", default_metrics_url)}}};
    auto metrics = http_server(of_metrics);
    if (!metrics) {
        metrics.error().path = "metrics_url";
        return fail(std::move(metrics.error()));
    }
    auto clusters = clusters_of(values);
    if (!clusters) return fail(std::move(clusters.error()));
    const auto* needs_kubernetes = get<bool>(values, "needs_kubernetes");
    return std::make_unique<CiliumProbe>(std::move(*agent), std::move(*metrics),
                                         needs_kubernetes != nullptr && *needs_kubernetes,
                                         std::move(*clusters));
}

std::string caveat(const FieldMap& /*values*/) {
    return "what an agent has set up keeps forwarding while it restarts";
}

std::string target(const FieldMap& values) { return url_of(values, "url", default_url); }

}  // namespace

ProbeType cilium_probe() {
    return {.name = "cilium",
            .help =
                "Asks the Cilium agent of this host for its health, and for that of the "
                "clusters in its mesh.",
            .fields = fields,
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .asks_scope = true,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
