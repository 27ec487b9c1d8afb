#include <string>
#include <vector>

#include "conf/reader.hpp"
#include "conf/schema.hpp"
#include "conf/tables.hpp"
#include "swerve/conf/load.hpp"

namespace swerve::conf {

namespace {

constexpr std::string_view introduction =
    R"(# Configuration

Made from the schema; the test "reference: the page is up to date" says how to make it anew.

`swerved --check FILE` and `swervectl config check FILE` validate a file. All faults are reported at
once, one line each, as `file:line:column: key: what is wrong (hint: what to do)`.

- Durations are whole numbers with a unit: `200ms`, `9s`, `5m`, `1h`.
- Numbers are plain decimal: `010`, `0x10` and quoted numbers are refused. Booleans are `true` and
  `false`.
- Names hold letters, digits, `.`, `_` and `-`, start with a letter or digit, and have at most 63
  characters.
- Prefixes are written with their length and without host bits.
- Anchors, aliases, merge keys, tags and second documents are refused.
- A file has at most 16 MiB, a line of it 1 MiB.
- A key of a later version is refused with "not in this version".

Examples: [minimal.yaml](../conf/examples/minimal.yaml), [site.yaml](../conf/examples/site.yaml),
[collector.yaml](../conf/examples/collector.yaml); of each probe in [checks](checks.md).
)";

/// DESIGN.md §4.13.
constexpr std::string_view merging = R"(
### What a route carries

A route is sent with what its service says in `announce`, and its neighbor and the group of that in
`export`:

- Lists (`communities`, `extended_communities`, `large_communities`) add up: those of the service,
  then those of the group, then those of the neighbor, each once. A well-known name and its number
  are the same community.
- Of single values (`prepend`, `med`, `local_pref`, `origin`) the neighbor's wins, 0 included, then
  the group's; where neither gives one, that of the service counts.
- `site_community` goes along with every route, those by hand included.

### What a reload does to sessions

A session ends, and begins anew, when a key changes that the connection or the OPEN settles: the AS
of either side, `router_id`, `address`, `range`, `interface`, `local_address`, `multihop`,
`hold_time`, `families`, `role`, `role_strict`, `extended_message`, `extended_next_hop`, `add_path`,
`graceful_restart.restart_time`, `admin_down`. Sessions of a range end with it. Everything else takes
effect on sessions that are up, another password and `ttl_security` included: change them at both
ends within the hold time.

No key of `bfd` ends a BGP session here. `interval` and `multiplier` are negotiated anew by a poll
(RFC 5880 §6.8.3) while BFD stays up, and a neighbor that is slower keeps its own; `strict` counts
from the next BGP session on. With another `auth`, or `multihop` where there was none, BFD begins anew, and
without `bfd` it ends: the neighbor is told AdminDown, which is no failure (RFC 5882). BIRD 2 and FRR 8 take it for
one and end the BGP session once; switch BFD off there first.
)";

constexpr std::string_view bfd_section = R"(
### BFD

`bfd: {}` switches BFD (RFC 5880) on for a neighbor, with the defaults, between its `local_address`
and `address`. The neighbor must be configured for the same:

| | UDP port | packets must arrive with |
| --- | --- | --- |
| directly connected (RFC 5881) | 3784 | TTL or hop limit 255 |
| `multihop` (RFC 5883) | 4784 | TTL or hop limit of at least 256 − `multihop` |

When BFD goes down, the BGP session ends at once (Cease, subcode 10) and is tried again after a
second; with `strict` it waits for BFD. A neighbor that switches BFD off does not end the session. A
neighbor of `range` and a collector have no BFD.
)";

/// How effects, degrees and promises work together.
constexpr std::string_view judgement = R"(
### What checks may do to a service

`effect` says which checks of `healthy_when` count for what; the others are left out of it as though
they had not been written, and if nothing remains it passes.

| the service | when |
| --- | --- |
| may start | `healthy_when` passes over its checks of `withdraw` and `gate` |
| is down: withdrawn | `healthy_when` fails, or has lost its evidence, over its checks of `withdraw` alone |
| is degraded | it is not down, and `healthy_when` does not pass over its checks of `withdraw` and `degrade`, or `degraded_when` passes |
| is up | otherwise |

A check of `gate` or `alarm` that fails while the service is up changes nothing and raises an alarm.
A shared failure strikes all sites at once: if each of them withdrew, nobody would be left. That is
why a check of `scope: shared` cannot `withdraw`.

### Degrees

A degraded service carries what `degrade` adds: `prepend` is added to what there is, lists add up,
other single values take the place of what there is, whoever gave it. An operator's drain goes by
stages: degraded (`drain.degrade_for`), then with GRACEFUL_SHUTDOWN (`drain.graceful_shutdown_for`),
then withdrawn. A service that comes back is degraded for `return.degrade_for` first.

### What `rto` promises

`rto` is the longest time from the first moment in which the site cannot serve to the last packet
sent to it. For each kind of failure the worst case follows from the configuration; where n is the
smaller of `fall` and `window.failures`, of one check it is:

| failure | worst case |
| --- | --- |
| `fails_fast`: every request fails at once | interval + (n − 1) × fast_interval |
| `hangs`: no request is answered | interval + timeout + (n − 1) × the larger of fast_interval and timeout; no bound for a probe that asks the service for no answer, as `process`, `link`, or `tcp` without `expect` |
| `alternates`: every second request fails | 2 × interval + 2 × (window.failures − 1) × fast_interval; with `fall: 1` 2 × interval; no bound if `window.of` holds too few results |
| `event`: something tells of it between attempts | trusted: nothing; to be confirmed: 10 ms + timeout |
| `daemon_dies`: swerved ends without a word | nothing: the kernel closes the sessions; with `graceful_restart` its restart time |
| `host_dies`: nobody is left to close them | the longest hold time of the neighbors that are sent the service, or with `bfd` interval × multiplier where that is shorter; with `graceful_restart` its restart time on top, for which some keep routes then, too |

Of `healthy_when` only checks of `withdraw` count, and of those the slowest one: a failure may show
to no other. Where it shows to too few for `healthy_when` to fail, there is no bound. A check with
`only_if` is as slow as the slowest of those that it depends on, if it is not slower itself: it is
undecided, and takes the service with it, as soon as one of them fails. Beneath `not` the failure is that the check passes, which takes the larger of `rise` and
window.of − window.failures + 1 attempts at `interval`. What the neighbors need once they know is
not in it; neither is what the machine takes for its own work (5 ms, and 20 ms for an event right
behind several others of the same probe).

A configuration is refused when `rto` cannot be kept for `fails_fast` and `hangs`; for the others
there is a warning. `swervectl rto` prints the table, with the hold times and the detection times of
BFD that were negotiated; while BFD with a neighbor is not Up, its hold time counts.
)";

std::string rows(std::span<const Key> keys, const std::string& parent) {
    std::string out;
    for (const Key& key : keys) {
        if (key.type == Type::not_yet || key.type == Type::named_maps) continue;
        const std::string name = dotted(parent, key.name);
        if (key.type == Type::map) {
            out += rows(key.members, name);
        } else {
            out += table_row(name, key, parent);
        }
    }
    return out;
}

std::string later_list(std::span<const Key> keys, const std::string& parent) {
    std::string out;
    for (const Key& key : keys) {
        const std::string name = dotted(parent, key.name);
        if (key.type == Type::map) {
            const std::string members = later_list(key.members, name);
            if (!members.empty()) out += (out.empty() ? "" : ", ") + members;
        } else if (key.type == Type::not_yet) {
            out += (out.empty() ? "" : ", ") + ("`" + name + "`");
        }
    }
    return out;
}

std::string later_words(std::span<const Key> keys) {
    const std::string list = later_list(keys, {});
    return list.empty() ? list : "\nNot in this version: " + list + ".\n";
}

std::string probes() {
    std::string out;
    for (const auto& type : health::probe_types()) {
        out += "\n### Probe `" + std::string{type.name} + "`\n\n" + std::string{type.help} + "\n";
        out +=
            type.has_events({}) ? "\nIt sees events between attempts: `on_event` applies.\n" : "";
        out += type.asks_scope ? "\nNothing tells what it looks at: `scope` must be given.\n" : "";
        out += field_table(type.fields, std::string{type.name});
    }
    out += "\nNot in this version:";
    for (const std::string_view name : later_probes()) out += " `" + std::string{name} + "`";
    return out + ".\n";
}

}  // namespace

std::string reference() {
    std::string out{introduction};
    out += "\n## The file\n" + std::string{table_head} + rows(schema(), {}) + later_words(schema());
    for (const Key& key : schema()) {
        if (key.type != Type::named_maps) continue;
        const std::string name{key.name};
        out += "\n## `" + name + ".NAME`\n\n" + std::string{key.help} + "\n";
        if (!key.members.empty()) out += std::string{table_head} + rows(key.members, {});
        out += later_words(key.members);
        if (name == "neighbors") out += bfd_section;
        if (name == "checks") out += probes();
        if (name == "services") out += std::string{judgement} + std::string{merging};
    }
    return out;
}

}  // namespace swerve::conf
