#include "daemon/operations/metrics.hpp"

#include <prometheus/text_serializer.h>

#include <array>
#include <sstream>
#include <utility>

#include "daemon/operations/bfd_metrics.hpp"
#include "daemon/operations/json_text.hpp"
#include "daemon/operations/metric_builder.hpp"
#include "daemon/operations/route_state.hpp"
#include "daemon/operations/views.hpp"

namespace swerve::daemon {

namespace {

using metric::counter;
using metric::gauge;
using metric::histogram;
using metric::Labels;
using metric::move_all;
using prometheus::MetricFamily;

/// Seconds since the epoch of a moment on the boot clock.
[[nodiscard]] double timestamp(const Snapshot& snapshot, TimePoint when) {
    return seconds((snapshot.wall - (snapshot.now - when)).time_since_epoch());
}

void add_build(const MetricSources& sources, std::vector<MetricFamily>& out) {
    auto info =
        gauge("swerve_build_info", "Version of swerved and the compiler it was built with.");
    info.add({{"version", SWERVE_VERSION}, {"compiler", __VERSION__}}, 1);
    auto started = gauge("process_start_time_seconds", "When the daemon started, Unix time.");
    started.add({}, seconds(sources.snapshot.started_wall.time_since_epoch()));
    const ProcessFacts& facts = sources.process;
    auto cpu = counter("process_cpu_seconds_total", "User and system CPU time.");
    cpu.add({}, facts.cpu_seconds);
    auto resident = gauge("process_resident_memory_bytes", "Resident memory.");
    resident.add({}, facts.resident_bytes);
    auto size = gauge("process_virtual_memory_bytes", "Virtual memory.");
    size.add({}, facts.virtual_bytes);
    auto open = gauge("process_open_fds", "Open file descriptors.");
    open.add({}, facts.open_descriptors);
    auto most = gauge("process_max_fds", "File descriptors the process may have.");
    most.add({}, facts.most_descriptors);
    move_all(out, info, started, cpu, resident, size, open, most);
}

constexpr std::array states{bgp::State::idle,         bgp::State::connect,
                            bgp::State::active,       bgp::State::open_sent,
                            bgp::State::open_confirm, bgp::State::established};

[[nodiscard]] Asn local_as(const Snapshot& snapshot, const NeighborView& neighbor) {
    if (neighbor.config == nullptr) return snapshot.config->local_as;
    return conf::local_as(*snapshot.config, *neighbor.config);
}

void add_sessions(const Snapshot& snapshot, std::vector<MetricFamily>& out) {
    auto up = gauge("swerve_bgp_session_up", "1 while the session is established.");
    auto state = gauge("swerve_bgp_session_state", "1 for the state the session is in (RFC 4271).");
    auto info = gauge("swerve_bgp_neighbor_info", "What is configured of a neighbor.");
    auto established = gauge("swerve_bgp_session_established_timestamp_seconds",
                             "When the session was established, Unix time; absent while down.");
    auto hold = gauge("swerve_bgp_hold_time_seconds", "Negotiated hold time.");
    auto count =
        counter("swerve_bgp_session_established_total", "How often the session was established.");
    auto disabled = gauge("swerve_bgp_disabled", "1 while an operator keeps the session down.");
    auto out_of_sync =
        gauge("swerve_bgp_out_of_sync",
              "1 while what the neighbor was sent differs for long from what it is to hold.");
    auto admin_down =
        gauge("swerve_bgp_admin_down", "1 while the configuration keeps the session down.");
    for (const auto& neighbor : snapshot.neighbors) {
        const Labels label{{"neighbor", neighbor.name}};
        disabled.add(label, neighbor.disabled ? 1 : 0);
        admin_down.add(label, neighbor.config != nullptr && neighbor.config->admin_down ? 1 : 0);
        out_of_sync.add(label, neighbor.out_of_sync ? 1 : 0);
        const bool is_up = neighbor.state == bgp::State::established;
        up.add(label, is_up ? 1 : 0);
        for (const bgp::State each : states) {
            state.add(
                {{"neighbor", neighbor.name}, {"state", std::string{views::state_word(each)}}},
                each == neighbor.state ? 1 : 0);
        }
        info.add({{"neighbor", neighbor.name},
                  {"address", neighbor.address.to_string()},
                  {"local_as", local_as(snapshot, neighbor).to_string()},
                  {"remote_as", neighbor.remote_as ? neighbor.remote_as->to_string() : ""},
                  {"description", neighbor.description}},
                 1);
        if (is_up) established.add(label, timestamp(snapshot, neighbor.since));
        if (neighbor.negotiated) hold.add(label, seconds(neighbor.negotiated->hold_time));
        count.add(label, neighbor.counters.established);
    }
    move_all(out, up, state, info, established, hold, count, disabled, admin_down, out_of_sync);
}

constexpr std::array<std::string_view, 6> message_types{
    "", "open", "update", "notification", "keepalive", "route_refresh"};

void add_traffic(const Snapshot& snapshot, std::vector<MetricFamily>& out) {
    auto sent = counter("swerve_bgp_messages_sent_total", "BGP messages sent.");
    auto received = counter("swerve_bgp_messages_received_total", "BGP messages received.");
    auto advertised =
        gauge("swerve_bgp_prefixes_advertised", "Prefixes the neighbor holds from this site.");
    auto kept = gauge("swerve_bgp_prefixes_received", "Routes kept of those the neighbor sent.");
    auto kept_octets =
        gauge("swerve_bgp_prefixes_received_bytes", "Memory that the kept routes take.");
    auto heard = gauge("swerve_bgp_prefixes_heard",
                       "Routes the neighbor has announced and not withdrawn, kept or not.");
    auto limit = gauge("swerve_bgp_prefix_limit", "More than this ends the session.");
    auto pending = gauge("swerve_bgp_prefixes_pending",
                         "Prefixes whose announcement or withdrawal is not yet sent.");
    auto queue = gauge("swerve_bgp_out_queue_bytes",
                       "Octets the kernel holds that are not on the wire yet.");
    for (const auto& neighbor : snapshot.neighbors) {
        const std::string& name = neighbor.name;
        for (std::size_t type = 1; type < message_types.size(); ++type) {
            const std::string word{message_types[type]};
            sent.add({{"neighbor", name}, {"type", word}}, neighbor.counters.sent[type]);
            received.add({{"neighbor", name}, {"type", word}}, neighbor.counters.received[type]);
        }
        for (const Family family : bgp::all_families) {
            advertised.add(
                {{"neighbor", name}, {"afi", std::string{to_string(family)}}, {"safi", "unicast"}},
                neighbor.advertised[static_cast<std::size_t>(family)]);
        }
        kept.add({{"neighbor", name}}, neighbor.kept);
        kept_octets.add({{"neighbor", name}}, neighbor.kept_octets);
        heard.add({{"neighbor", name}}, neighbor.received);
        if (neighbor.config != nullptr) {
            const conf::PrefixLimit& most = neighbor.config->prefix_limit;
            limit.add({{"neighbor", name}, {"of", "kept"}}, most.kept);
            if (most.received) limit.add({{"neighbor", name}, {"of", "received"}}, *most.received);
        }
        pending.add({{"neighbor", name}, {"action", "announce"}}, neighbor.pending_announcements);
        pending.add({{"neighbor", name}, {"action", "withdraw"}}, neighbor.pending_withdrawals);
        queue.add({{"neighbor", name}}, neighbor.unsent_octets);
    }
    move_all(out, sent, received, advertised, kept, kept_octets, heard, limit, pending, queue);
}

constexpr std::array shown_states{failover::Shown::nothing, failover::Shown::draining,
                                  failover::Shown::degraded, failover::Shown::announced};

/// What the network sees of services, and what holds back that it sees more.
void add_shown(const Snapshot& snapshot, std::vector<MetricFamily>& out) {
    auto shown = gauge("swerve_service_shown", "1 for what the network sees of the service.");
    auto penalty = gauge("swerve_service_damping_penalty",
                         "What the model of upstreams' route flap damping (RFC 2439) counts.");
    auto damped = gauge("swerve_service_damped",
                        "1 while an announcement, or its better attributes, wait for damping.");
    for (const auto& service : snapshot.site.services) {
        for (const failover::Shown each : shown_states) {
            shown.add({{"service", service.name}, {"shown", std::string{to_string(each)}}},
                      each == service.shown ? 1 : 0);
        }
        penalty.add({{"service", service.name}}, service.damping.penalty(snapshot.now));
        damped.add({{"service", service.name}}, service.damped ? 1 : 0);
    }
    move_all(out, shown, penalty, damped);
}

void add_services(const Snapshot& snapshot, std::vector<MetricFamily>& out) {
    auto healthy = gauge("swerve_service_healthy", "1 while the verdict of the service is up.");
    auto drained = gauge("swerve_service_drained", "1 while an operator drains the service.");
    auto draining =
        gauge("swerve_service_draining", "1 while the stages of its drain still announce it.");
    auto count = gauge("swerve_service_prefixes", "Prefixes of the service.");
    auto holding =
        gauge("swerve_service_sent_to", "Neighbors that hold at least one prefix of the service.");
    const Holders holders{snapshot};
    std::size_t total = snapshot.site.manual_routes.size();
    for (const auto& service : snapshot.site.services) {
        const Labels label{{"service", service.name}};
        std::size_t prefixes = 0;
        for (const auto& block : service.prefixes) prefixes += block->size();
        total += prefixes;
        healthy.add(label, service.verdict == failover::Verdict::up ? 1 : 0);
        drained.add(label, service.drain ? 1 : 0);
        draining.add(label, service.leaving_until ? 1 : 0);
        count.add(label, prefixes);
        holding.add(label, holders.of(service));
    }
    auto announced = gauge("swerve_prefix_announced",
                           "1 while at least one neighbor holds the prefix from this site.");
    if (total <= most_prefix_series) {
        for_each_route(snapshot, {}, [&](const SiteRoute& route) {
            announced.add({{"service", route.service == nullptr ? "" : route.service->name},
                           {"prefix", route.prefix.to_string()}},
                          route.sent_to > 0 ? 1 : 0);
            return true;
        });
    }
    move_all(out, healthy, drained, draining, count, holding, announced);
}

constexpr std::array visibilities{bgp::Visibility::seen, bgp::Visibility::not_seen,
                                  bgp::Visibility::not_observable};

void add_observed(const Snapshot& snapshot, std::vector<MetricFamily>& out) {
    auto visible = gauge("swerve_prefix_visible",
                         "1 for what the neighbors' routes say of the prefix at other sites.");
    for (const bgp::Observation& each : snapshot.observed) {
        for (const bgp::Visibility state : visibilities) {
            visible.add({{"prefix", each.prefix.to_string()},
                         {"state", std::string{bgp::to_string(state)}}},
                        state == each.visibility ? 1 : 0);
        }
    }
    visible.move_to(out);
}

constexpr std::array check_states{health::CheckState::unknown, health::CheckState::pass,
                                  health::CheckState::fail};
constexpr std::array probe_results{health::ProbeResult::pass, health::ProbeResult::fail,
                                   health::ProbeResult::unknown};

void add_checks(const Snapshot& snapshot, std::vector<MetricFamily>& out) {
    auto success = gauge("swerve_check_success", "1 when the last attempt passed.");
    auto state = gauge("swerve_check_state", "1 for the state the check is in.");
    auto runs = counter("swerve_check_runs_total", "Attempts by result.");
    auto failures =
        gauge("swerve_check_consecutive_failures", "Failed attempts since the last that passed.");
    auto last_run =
        gauge("swerve_check_last_run_timestamp_seconds", "When the last attempt ended, Unix time.");
    auto duration = gauge("swerve_check_duration_seconds", "How long the last attempt took.");
    auto alarm = gauge("swerve_check_alarm",
                       "1 while the check calls for somebody though it changes no verdict.");
    for (std::size_t i = 0; i < snapshot.site.checks.size(); ++i) {
        const auto& check = snapshot.site.checks[i];
        const Labels label{{"check", check.name}};
        for (const auto each : check_states) {
            state.add({{"check", check.name}, {"state", std::string{health::to_string(each)}}},
                      each == check.state ? 1 : 0);
        }
        for (const auto each : probe_results) {
            runs.add({{"check", check.name}, {"result", std::string{health::to_string(each)}}},
                     check.results[static_cast<std::size_t>(each)]);
        }
        failures.add(label, check.failures);
        alarm.add(label, check.alarm.empty() ? 0 : 1);
        if (!check.last) continue;
        success.add({{"check", check.name}, {"type", snapshot.config->checks[i].probe.type}},
                    check.last->result == health::ProbeResult::pass ? 1 : 0);
        last_run.add(label, timestamp(snapshot, check.last->finished));
        duration.add(label, seconds(check.last->finished - check.last->started));
    }
    auto lateness =
        histogram("swerve_check_lateness_seconds",
                  "How late attempts began: what the loops have added to the interval.");
    lateness.add({}, snapshot.attempt_lateness);
    move_all(out, success, state, runs, failures, last_run, duration, alarm, lateness);
}

void add_events(const EventCounters& counters, std::vector<MetricFamily>& out) {
    auto sessions =
        counter("swerve_bgp_session_transitions_total", "Sessions that came up or ended.");
    for (const auto& [key, count] : counters.sessions()) {
        sessions.add({{"neighbor", key.first}, {"to", key.second}}, count);
    }
    auto notifications =
        counter("swerve_bgp_notifications_total", "NOTIFICATION messages that ended a session.");
    for (const auto& [key, count] : counters.notifications()) {
        notifications.add({{"neighbor", key.neighbor},
                           {"direction", key.sent ? "sent" : "received"},
                           {"code", std::to_string(key.code)},
                           {"subcode", std::to_string(key.subcode)}},
                          count);
    }
    auto limits = counter("swerve_bgp_prefix_limit_reached_total",
                          "Sessions that ended because the neighbor told too many routes.");
    for (const auto& [name, count] : counters.prefix_limits()) {
        limits.add({{"neighbor", name}}, count);
    }
    auto services = counter("swerve_service_transitions_total", "Verdicts by what they became.");
    for (const auto& [key, count] : counters.services()) {
        services.add({{"service", key.first}, {"to", key.second}}, count);
    }
    auto detection = histogram("swerve_detection_seconds",
                               "First failed evidence to verdict, of each failover.");
    auto written =
        histogram("swerve_withdraw_latency_seconds",
                  "Verdict to the last octet of the withdraw handed to the kernel, by neighbor.");
    auto acknowledged =
        histogram("swerve_withdraw_acknowledge_seconds",
                  "Last octet of the withdraw handed to the kernel to its acknowledgement.");
    for (const auto& [service, stages] : counters.stages()) {
        detection.add({{"service", service}}, stages.detection);
        written.add({{"service", service}}, stages.written);
        acknowledged.add({{"service", service}}, stages.acknowledged);
    }
    auto lost = counter("swerve_check_evidence_lost_total",
                        "How often a verdict had to be held without evidence.");
    lost.add({}, counters.evidence_lost());
    auto alarms = counter("swerve_alarms_total", "Alarms the daemon raised about itself.");
    alarms.add({}, counters.alarms());
    move_all(out, sessions, notifications, limits, services, detection, written, acknowledged, lost,
             alarms);
}

void add_promises(const MetricSources& sources, std::vector<MetricFamily>& out) {
    auto rto = gauge("swerve_service_rto_seconds", "What the configuration promises as `rto`.");
    auto over = counter("swerve_failover_over_rto_total",
                        "Failovers that took longer than promised, from the first evidence on.");
    const auto& counts = sources.counters.over_rto();
    for (const conf::Service& service : sources.snapshot.config->services) {
        if (!service.rto) continue;
        rto.add({{"service", service.name}}, seconds(*service.rto));
        const auto count = counts.find(service.name);
        over.add({{"service", service.name}}, count == counts.end() ? 0 : count->second);
    }
    move_all(out, rto, over);
}

void add_reloads(const ReloadFacts& reloads, std::vector<MetricFamily>& out) {
    auto successful = gauge("swerve_config_last_reload_successful",
                            "1 when the configuration file is what is in force; 0 after a reload "
                            "that failed.");
    successful.add({}, reloads.last_successful ? 1 : 0);
    auto when = gauge("swerve_config_last_reload_success_timestamp_seconds",
                      "When the configuration was last loaded, Unix time.");
    when.add({}, seconds(reloads.last_success.time_since_epoch()));
    auto count = counter("swerve_config_reloads_total", "Reloads by result.");
    count.add({{"result", "success"}}, reloads.successes);
    count.add({{"result", "failure"}}, reloads.failures);
    move_all(out, successful, when, count);
}

void add_daemon(const MetricSources& sources, std::vector<MetricFamily>& out) {
    auto lateness = gauge("swerve_event_loop_worst_lateness_seconds",
                          "Worst lateness of the loop's heartbeat since the start.");
    for (const auto& loop : sources.snapshot.loops) {
        lateness.add({{"loop", loop.name}}, seconds(loop.worst_lateness));
    }
    auto messages = counter("swerve_log_messages_total", "Log messages by level.");
    for (int level = spdlog::level::debug; level <= spdlog::level::critical; ++level) {
        const auto word =
            spdlog::level::to_string_view(static_cast<spdlog::level::level_enum>(level));
        messages.add({{"level", std::string{word.data(), word.size()}}},
                     sources.log_counts[static_cast<std::size_t>(level)]);
    }
    auto audit = counter("swerve_audit_failures_total", "Lines the audit file did not take.");
    audit.add({}, sources.audit_failures);
    auto stopping = gauge("swerve_stopping", "1 while the daemon withdraws before its end.");
    stopping.add({}, sources.snapshot.site.stopping ? 1 : 0);
    move_all(out, lateness, messages, audit, stopping);
}

void add_actions(const ActionCounts& actions, std::vector<MetricFamily>& out) {
    auto runs = counter("swerve_hook_runs_total", "Runs of hooks by result.");
    auto dropped =
        counter("swerve_hook_dropped_total", "Changes a hook was not run for: too many waited.");
    for (const auto& hook : actions.hooks) {
        for (std::size_t i = 0; i < hook.runs.size(); ++i) {
            runs.add({{"hook", hook.name},
                      {"result", std::string{to_string(static_cast<HookResult>(i))}}},
                     hook.runs[i]);
        }
        dropped.add({{"hook", hook.name}}, hook.dropped);
    }
    auto deliveries = counter("swerve_webhook_deliveries_total", "Notices to webhooks by result.");
    auto queue = gauge("swerve_webhook_queue", "Notices that wait for the webhook.");
    for (const auto& webhook : actions.webhooks) {
        for (std::size_t i = 0; i < webhook.notices.size(); ++i) {
            deliveries.add({{"webhook", webhook.name},
                            {"result", std::string{to_string(static_cast<WebhookResult>(i))}}},
                           webhook.notices[i]);
        }
        queue.add({{"webhook", webhook.name}}, webhook.waiting);
    }
    move_all(out, runs, dropped, deliveries, queue);
}

}  // namespace

std::vector<MetricFamily> collect(const MetricSources& sources) {
    std::vector<MetricFamily> out;
    add_build(sources, out);
    add_sessions(sources.snapshot, out);
    add_traffic(sources.snapshot, out);
    add_bfd(sources.snapshot, sources.counters, out);
    add_services(sources.snapshot, out);
    add_shown(sources.snapshot, out);
    add_observed(sources.snapshot, out);
    add_checks(sources.snapshot, out);
    add_events(sources.counters, out);
    add_promises(sources, out);
    add_reloads(sources.reloads, out);
    add_daemon(sources, out);
    add_actions(sources.actions, out);
    return out;
}

std::string render(const std::vector<MetricFamily>& families) {
    std::ostringstream out;
    prometheus::TextSerializer{}.Serialize(out, families);
    return out.str();
}

}  // namespace swerve::daemon
