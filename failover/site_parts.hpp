#pragma once
// What a site knows, and the steps its events take. site.cpp has the way from an outcome to routes,
// site_checks.cpp which checks are asked and what is an alarm, site_stages.cpp what waits and what
// changes by and by, site_overrides.cpp operators' words, site_reconfigure.cpp restarts and
// reloads, site_view.cpp what others may see.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "failover/decide.hpp"
#include "failover/due_index.hpp"
#include "failover/judge.hpp"
#include "failover/service_routes.hpp"
#include "swerve/base/random.hpp"
#include "swerve/failover/saved_state.hpp"
#include "swerve/failover/site.hpp"

namespace swerve::failover {

struct Site::Parts {
    using Subject = std::variant<ServiceId, Prefix>;

    struct Check {
        health::Tracker tracker;
        TimePoint since{};
        std::vector<ServiceId> services{};  ///< that use it
        std::vector<CheckId> dependents{};  ///< by `only_if`
        bool asked = false;                 ///< what it depends on passes
        bool earned = false;                ///< Restored::earned, until it is asked
        TimePoint asked_at{};
        bool decided = false;  ///< once at least, since it was asked
        std::string alarm{};   ///< in force; empty: none
    };
    struct Service {
        ServiceRoutes routes;
        Verdict verdict = Verdict::unknown;
        std::string verdict_reason{};
        TimePoint verdict_since{};
        Intent intent = Intent::withdraw;
        TimePoint intent_since{};
        std::optional<Override> drain{};
        Health health{};
        Damping damping{DampingPolicy{}};
        /// Of prefixes without a word of their own: what is shown, and what was shown when there
        /// was no drain last, to which one that is lifted goes back at once.
        Shown shown = Shown::nothing;
        Shown undrained = Shown::nothing;
        Shown allowed = Shown::announced;  ///< by damping
        std::optional<Damping::Wait> damped{};
        /// What neighbors have kept over a planned restart, until then: to show it is no change.
        Shown kept = Shown::nothing;
        TimePoint kept_until{};
        /// The drain's routes stand, in both stages, until then.
        std::optional<TimePoint> leaving_until{};
        std::optional<TimePoint> leaving_degraded_until{};  ///< its first stage
        std::optional<TimePoint> returning_until{};
        /// Checks that a reload made new are undecided at first; what stands of the verdict does so
        /// until they are decided, or until this.
        std::optional<TimePoint> stands_until{};
        Standing standing{};
    };
    /// A prefix of no service that an operator announced. It keeps its block for good, so that
    /// whoever compares desired with sent routes knows it again.
    struct Manual {
        bgp::BlockRef block;
        bool announced = false;
    };
    struct Place {
        ServiceId service;
        ServiceRoutes::Place at;
    };
    /// The position of a prefix in a block.
    struct Spot {
        bgp::BlockRef block;
        std::uint32_t id;
    };
    /// An operator's word on a prefix; without a place it is a manual route.
    struct Word {
        Override value;
        std::optional<Place> place;
    };

    /// Prefixes of services that a reload drops, ascending, each with its service of before.
    using Heritage = std::vector<std::pair<Prefix, ServiceId>>;

    Parts(SitePolicy from, const Restored& with);

    void begin(TimePoint now, SiteActions& out);
    void track(TimePoint now, CheckId check, const health::TrackerEvent& event, SiteActions& out);
    void tick(TimePoint now, SiteActions& out);
    void set_override(TimePoint now, const SetOverride& event, SiteActions& out);
    void clear_overrides(TimePoint now, const ClearOverrides& event, SiteActions& out);
    void stop(TimePoint now, const StopAnnouncing& event, SiteActions& out);
    void reconfigure(TimePoint now, const Reconfigure& event, SiteActions& out);

    [[nodiscard]] std::optional<TimePoint> next_deadline() const;
    [[nodiscard]] std::optional<Refusal> refuses(const Subject& subject, OverrideKind kind) const;

    void tracked(TimePoint now, CheckId check, SiteActions& out);
    void judge(TimePoint now, ServiceId service, TimePoint evidence, SiteActions& out);
    void settle(TimePoint now, ServiceId service, TimePoint evidence, SiteActions& out);
    void settle(TimePoint now, const Prefix& prefix, const std::optional<Place>& place,
                const std::string& why, SiteActions& out);
    void settle_all(TimePoint now, SiteActions& out);
    void emit(FailoverBegan failover, Moves&& moves, SiteActions& out) const;

    void ask(TimePoint now, CheckId check, Duration splay, SiteActions& out);
    void ask_dependents(TimePoint now, CheckId check, SiteActions& out);
    void wait_no_more_for(TimePoint now, CheckId check, SiteActions& out);
    void end_standing(ServiceId service);
    [[nodiscard]] bool is_moot(CheckId check) const;
    void update_alarm(CheckId check, SiteActions& out);
    [[nodiscard]] std::string alarm_of(CheckId check) const;
    [[nodiscard]] bool is_overdue(CheckId check) const;
    [[nodiscard]] bool keeps_from_starting(CheckId check, ServiceId service) const;
    [[nodiscard]] std::optional<TimePoint> next_look(CheckId check) const;

    void expire_stages(TimePoint now, ServiceId service, SiteActions& out);
    void hold_back(TimePoint now, ServiceId service);
    void tell_damping(TimePoint now, ServiceId service, const std::optional<Damping::Wait>& before,
                      SiteActions& out) const;
    void show(TimePoint now, ServiceId service, Shown shown);
    void expire_kept(TimePoint now, Service& service) const;
    void wake(ServiceId service);
    void begin_leaving(TimePoint now, ServiceId service);
    void end_leaving(ServiceId service);
    void shift_stages(TimePoint now, Service& service, const ServicePolicy& before,
                      const ServicePolicy& after) const;
    void restore_damping(TimePoint now);

    void expire_words(TimePoint now, SiteActions& out);
    void leave_no_longer_than_shown(ServiceId service);
    void drop_drain(ServiceId service, bool expired, const std::string& why, SiteActions& out);
    std::optional<Place> drop_word(const Prefix& prefix, bool expired, const std::string& why,
                                   SiteActions& out);
    void expires(const Subject& subject, const Override* before, const Override* after);

    void index_checks();
    void restore_words(TimePoint now, SiteActions& out);
    void replace_checks(TimePoint now, const Reconfigure& event, SiteActions& out);
    void replace_services(TimePoint now, const SitePolicy& next, SiteActions& out);
    [[nodiscard]] Heritage heritage_of(const SitePolicy& before) const;
    void inherit(TimePoint now, ServiceId service, Service& fresh, const std::vector<Service>& old,
                 const SitePolicy& before, const Heritage& heritage, SiteActions& out) const;
    [[nodiscard]] std::map<Prefix, Spot> spots() const;
    [[nodiscard]] Spot spot(const Place& place) const;
    [[nodiscard]] std::vector<bgp::Handover> replace_words(const std::map<Prefix, Spot>& before,
                                                           SiteActions& out);
    [[nodiscard]] Duration patience(ServiceId service) const;
    void begin_checks(TimePoint now, const std::vector<CheckId>& ids, SiteActions& out);

    [[nodiscard]] static Manual manual_route(const Prefix& prefix);
    [[nodiscard]] Inputs inputs(ServiceId service) const;
    [[nodiscard]] CheckWords words_of(CheckId check) const;
    [[nodiscard]] std::string sentence(ServiceId service) const;
    [[nodiscard]] std::string waiting(ServiceId service) const;
    [[nodiscard]] std::string intent_reason(ServiceId service) const;
    [[nodiscard]] std::optional<ServiceId> find_service(std::string_view name) const;
    [[nodiscard]] std::optional<Place> locate(const Prefix& prefix) const;
    [[nodiscard]] const Override* word_on(const Prefix& prefix) const;
    [[nodiscard]] bool is_owned(const Prefix& prefix) const;

    SitePolicy policy;
    Random random;
    Restored restored;  ///< until begin()
    std::vector<Check> checks;
    std::vector<health::CheckState> states;  ///< of the checks, as expressions read them
    std::vector<Service> services;
    std::map<Prefix, Word> words;
    std::map<Prefix, Manual> manual;
    DueIndex due;        ///< of the checks' trackers
    DueIndex stage_due;  ///< of the services' stages and waits
    std::set<std::pair<TimePoint, Subject>> expiring;
    std::optional<TimePoint> hold_until;  ///< no verdict announces before (Restored::hold_until)
    TimePoint began{};
    bool stopping = false;
    std::string stop_reason;
    TimePoint latest{};                      ///< the moment that was told last, for sentences
    health::TrackerActions tracker_actions;  ///< scratch
};

}  // namespace swerve::failover
