#pragma once
// The keys of services, and of what is told of their changes. See schema.hpp.

#include "conf/neighbor_keys.hpp"
#include "conf/schema.hpp"

namespace swerve::conf {

inline constexpr Key drain_keys[] = {
    {.name = "degrade_for",
     .type = Type::duration,
     .help = "How long a drain announces the routes with the attributes of `degrade` first.",
     .fallback = "0s",
     .least = 0,
     .most = 24 * hour},
    {.name = "graceful_shutdown_for",
     .type = Type::duration,
     .help =
         "How long a drain then announces the routes with the community graceful_shutdown (RFC "
         "8326) and LOCAL_PREF 0 on top of the attributes of `degrade` before it withdraws them; "
         "with both at `0s` it withdraws them at once.",
     .fallback = "10s",
     .least = 0,
     .most = hour},
};

inline constexpr Key degrade_keys[] = {
    {.name = "prepend",
     .type = Type::integer,
     .help = "How often the local AS is put in front of the path beyond what it has already; 32 in "
             "all at most.",
     .otherwise = "0, but 2 without `degrade`",
     .least = 0,
     .most = 32},
    {.name = "med",
     .type = Type::integer,
     .help = "MULTI_EXIT_DISC instead of the one it has, whoever gave that.",
     .otherwise = "not changed",
     .least = 0,
     .most = max_u32},
    {.name = "local_pref",
     .type = Type::integer,
     .help = "LOCAL_PREF likewise; sent to iBGP neighbors only.",
     .otherwise = "not changed",
     .least = 0,
     .most = max_u32},
    {.name = "origin",
     .type = Type::choice,
     .help = "ORIGIN likewise.",
     .otherwise = "not changed",
     .choices = "igp|egp|incomplete"},
    communities,
    extended_communities,
    large_communities,
};

inline constexpr Key return_keys[] = {
    {.name = "degrade_for",
     .type = Type::duration,
     .help = "How long a service that comes back, or starts, is announced with the attributes of "
             "`degrade` before it is announced in full.",
     .fallback = "0s",
     .least = 0,
     .most = 24 * hour},
};

/// `damping` of the file.
inline constexpr Key file_damping_keys[] = {
    {.name = "profile",
     .type = Type::choice,
     .help =
         "Whose route flap damping (RFC 2439) is assumed at the upstreams: `cisco` (also FRR), "
         "`junos`, or what RFC 7196 recommends; `none`: nobody's. An announcement waits until "
         "it, and one more withdraw behind it, would not be suppressed. A withdraw never waits.",
     .fallback = "cisco",
     .choices = "none|rfc7196|cisco|junos"},
    {.name = "hold_down",
     .type = Type::duration,
     .help = "From a withdraw to the next announcement at least.",
     .fallback = "0s",
     .least = 0,
     .most = 24 * hour},
    {.name = "changes_per_hour",
     .type = Type::integer,
     .help = "After so many withdrawals within an hour announcements wait until one of them is an "
             "hour ago, under an alarm; 0: not limited.",
     .fallback = "12",
     .least = 0,
     .most = 1000},
};

/// `damping` of a service.
inline constexpr Key damping_keys[] = {
    {.name = "profile",
     .type = Type::choice,
     .help = "Whose route flap damping is assumed at the upstreams, as `damping.profile` of the "
             "file says it.",
     .otherwise = "that of the file",
     .choices = "none|rfc7196|cisco|junos"},
    {.name = "hold_down",
     .type = Type::duration,
     .help = "From a withdraw to the next announcement at least.",
     .otherwise = "that of the file",
     .least = 0,
     .most = 24 * hour},
    {.name = "changes_per_hour",
     .type = Type::integer,
     .help = "Withdrawals within an hour after which announcements wait; 0: not limited.",
     .otherwise = "that of the file",
     .least = 0,
     .most = 1000},
};

inline constexpr Key addresses_keys[] = {
    {.name = "interface",
     .type = Type::interface,
     .help = "Interface that the addresses are put on.",
     .fallback = "lo"},
    {.name = "add",
     .type = Type::host,
     .list = true,
     .required = true,
     .help = "The addresses, each within `owned` and of one service only. They are there before "
             "the first probe and stay while the daemon runs, whatever the verdict is.",
     .most = 1000},
    {.name = "grace",
     .type = Type::duration,
     .help = "When the daemon stops, or a reload drops them: from the withdraw that all neighbors "
             "have acknowledged to their removal.",
     .fallback = "1s",
     .least = 0,
     .most = hour},
};

inline constexpr Key service_keys[] = {
    {.name = "prefixes",
     .type = Type::prefix,
     .list = true,
     .help =
         "The prefixes whose announcement follows this service; each within `owned`, and of one "
         "service only."},
    {.name = "prefixes_file",
     .type = Type::path,
     .help = "Instead of `prefixes`: a text file with one prefix per line, at most 2000000 in all "
             "services and 64 MiB. `#` starts a comment; blank lines and Windows line ends do not "
             "matter. A relative path starts at the directory of the configuration file.",
     .least = 1,
     .most = 4095},
    {.name = "healthy_when",
     .type = Type::expression,
     .required = true,
     .help = "Which checks must pass: NAME, or `{all: […]}`, `{any: […]}`, `{not: …}`, "
             "`{at_least: {count: N, of: […]}}`, nested as needed; or `always`, which needs "
             "none. Which of them count for what is up to their `effect`."},
    {.name = "degraded_when",
     .type = Type::expression,
     .help = "Such an expression, too: while it passes, the service is announced with the "
             "attributes of `degrade` at most; without evidence it makes nothing better. All its "
             "checks count, whatever their `effect`; "
             "those of `alarm` cannot be named.",
     .otherwise = "never"},
    {.name = "announce",
     .type = Type::map,
     .help = "What the routes of this service carry; lists add up with those of the neighbor, of "
             "single values the neighbor's wins.",
     .members = announce_keys},
    {.name = "degrade",
     .type = Type::map,
     .help = "What the routes of this service carry on top of that while it is degraded.",
     .otherwise = "`{prepend: 2}`",
     .members = degrade_keys},
    {.name = "drain",
     .type = Type::map,
     .help = "How an operator's drain goes.",
     .members = drain_keys},
    {.name = "return",
     .type = Type::map,
     .help = "How a service comes back.",
     .members = return_keys},
    {.name = "damping",
     .type = Type::map,
     .help = "What upstreams may hold against routes that come and go.",
     .members = damping_keys},
    {.name = "rto",
     .type = Type::duration,
     .help = "What the operator promises: the longest time from the first moment in which the site "
             "cannot serve to the last packet sent to it. A configuration that cannot keep it "
             "where the service fails at once or hangs is refused; for other failures there is a "
             "warning.",
     .otherwise = "nothing is promised",
     .least = 1,
     .most = 24 * hour},
    {.name = "addresses",
     .type = Type::map,
     .help = "Addresses that Swerve puts on an interface for this service.",
     .otherwise = "none",
     .members = addresses_keys},
    later("min_uplinks"),
    later("mode"),
    later("guard"),
    later("min_sites"),
    later("hooks"),
    later("failback"),
};

inline constexpr std::string_view occasions = "announce|degrade|drain|withdraw|alarm";

/// Of hooks and webhooks alike.
inline constexpr Key audience_key{
    .name = "services",
    .type = Type::name,
    .list = true,
    .help =
        "The services whose changes, and the alarms of whose checks, these are; alarms that are "
        "of no service come all the same.",
    .otherwise = "all"};

inline constexpr Key hook_keys[] = {
    {.name = "run",
     .type = Type::text,
     .list = true,
     .required = true,
     .help = "The program, as an absolute path, and its arguments, passed as they are.",
     .most = 64},
    {.name = "on",
     .type = Type::choice,
     .list = true,
     .required = true,
     .help = "The changes that it is run for.",
     .choices = occasions},
    audience_key,
    {.name = "timeout",
     .type = Type::duration,
     .help = "How long it may run before it is killed.",
     .fallback = "10s",
     .least = 10,
     .most = hour},
};

inline constexpr Key webhook_keys[] = {
    {.name = "url",
     .type = Type::text,
     .help = "Where to post, `http://` or `https://`. Shown wherever the configuration is.",
     .otherwise = "`url_file`",
     .least = 1,
     .most = 2000},
    {.name = "url_file",
     .type = Type::path,
     .help = "File with the URL, in one line, where the URL itself is the secret; never shown. "
             "Others than its owner and group must have no access to it.",
     .otherwise = "`url`",
     .least = 1,
     .most = 4095},
    {.name = "on",
     .type = Type::choice,
     .list = true,
     .required = true,
     .help = "The changes that are posted.",
     .choices = occasions},
    audience_key,
    {.name = "timeout",
     .type = Type::duration,
     .help = "Limit of one attempt.",
     .fallback = "5s",
     .least = 10,
     .most = hour},
    {.name = "attempts",
     .type = Type::integer,
     .help = "How often it is tried in all, with growing pauses between.",
     .fallback = "5",
     .least = 1,
     .most = 100},
    {.name = "bearer_file",
     .type = Type::path,
     .help = "File with a token that is sent along (`Authorization: Bearer`, RFC 6750): one line "
             "of printable characters. As with `password_file` of a neighbor, others than its "
             "owner and group must have no access to it.",
     .otherwise = "none",
     .least = 1,
     .most = 4095},
};

}  // namespace swerve::conf
