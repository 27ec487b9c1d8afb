#pragma once
// The keys of checks, beside those of their probes. See schema.hpp.

#include "conf/neighbor_keys.hpp"
#include "conf/schema.hpp"

namespace swerve::conf {

inline constexpr Key window_keys[] = {
    {.name = "failures",
     .type = Type::integer,
     .help = "This many failures …",
     .fallback = "5",
     .least = 1,
     .most = 64},
    {.name = "of",
     .type = Type::integer,
     .help = "… among this many results, whatever their order, make the check fail.",
     .fallback = "10",
     .least = 1,
     .most = 64},
};

inline constexpr Key check_keys[] = {
    {.name = "template",
     .type = Type::name,
     .help = "The template whose keys hold for this check, too.",
     .otherwise = "none"},
    {.name = "interval",
     .type = Type::duration,
     .help = "From the start of one attempt to the start of the next.",
     .fallback = "1s",
     .least = 10,
     .most = hour},
    {.name = "fast_interval",
     .type = Type::duration,
     .help = "The same from a first failure until the check flips or its window is clean; at most "
             "`interval`.",
     .otherwise = "the smaller of 200ms and `interval`",
     .least = 10,
     .most = hour},
    {.name = "timeout",
     .type = Type::duration,
     .help = "Limit of one attempt as a whole.",
     .fallback = "800ms",
     .least = 10,
     .most = hour},
    {.name = "rise",
     .type = Type::integer,
     .help =
         "Passes in a row that make the check pass, once fewer than `window.failures` of the last "
         "`window.of` results failed.",
     .fallback = "5",
     .least = 1,
     .most = 100},
    {.name = "fall",
     .type = Type::integer,
     .help = "Failures in a row that make the check fail.",
     .fallback = "3",
     .least = 1,
     .most = 100},
    {.name = "window",
     .type = Type::map,
     .help = "Makes the check fail when many results fail, though not in a row.",
     .members = window_keys},
    {.name = "on_event",
     .type = Type::choice,
     .help = "What an event between attempts means: `confirm` starts an attempt whose failure "
             "flips the check, `trust` flips it at once.",
     .otherwise = "confirm",
     .choices = "confirm|trust"},
    {.name = "scope",
     .type = Type::choice,
     .help =
         "Whether a failure means that this site alone is broken (`local`), or may mean something "
         "that strikes other sites at the same time (`shared`). Required where a probe says so.",
     .otherwise = "local",
     .choices = "local|shared"},
    {.name = "effect",
     .type = Type::choice,
     .help =
         "What the check may do to the services that name it in `healthy_when`. `withdraw`: its "
         "failure takes the routes away. `degrade`: they stand with the attributes of `degrade`. "
         "`gate`: it must pass to start announcing; when it fails later, that is an alarm. "
         "`alarm`: it never counts, and its failure is an alarm. A check of `scope: shared` cannot "
         "`withdraw`.",
     .otherwise = "`withdraw` of a local check, `gate` of a shared one",
     .choices = "withdraw|degrade|gate|alarm"},
    {.name = "on_unknown",
     .type = Type::choice,
     .help = "What becomes of a check that has shown no evidence for `unknown_hold`: it counts as "
             "failed (`fail`), or its last state stands, under an alarm (`hold`).",
     .otherwise = "`fail` of a local check, `hold` of a shared one",
     .choices = "hold|fail"},
    {.name = "unknown_hold",
     .type = Type::duration,
     .help = "How long the last state stands without evidence before `on_unknown` decides.",
     .fallback = "30s",
     .least = 0,
     .most = 24 * hour},
    {.name = "only_if",
     .type = Type::name,
     .help = "Another check: attempts are made only while that one passes; otherwise this one is "
             "unknown at once.",
     .otherwise = "attempts are always made"},
};

}  // namespace swerve::conf
