#include <algorithm>
#include <array>
#include <utility>

#include "failover/site_parts.hpp"

namespace swerve::failover {

void Site::Parts::set_override(TimePoint now, const SetOverride& event, SiteActions& out) {
    if (const auto* id = std::get_if<ServiceId>(&event.subject)) {
        Service& service = services[*id];
        expires(*id, service.drain ? &*service.drain : nullptr, &event.value);
        begin_leaving(now, *id);
        service.drain = event.value;
        out.emplace_back(OverrideChanged{policy.services[*id].name, event.value});
        return settle(now, *id, now, out);
    }
    const Prefix& prefix = std::get<Prefix>(event.subject);
    expires(prefix, word_on(prefix), &event.value);
    const auto [word, added] = words.try_emplace(prefix, Word{event.value, std::nullopt});
    if (added) word->second.place = locate(prefix);
    word->second.value = event.value;
    out.emplace_back(OverrideChanged{prefix.to_string(), event.value});
    const auto& place = word->second.place;
    if (place) {
        services[place->service].routes.put(place->at, &word->second.value);
    } else if (!manual.contains(prefix)) {
        manual.emplace(prefix, manual_route(prefix));
    }
    settle(now, prefix, place, "", out);
}

void Site::Parts::clear_overrides(TimePoint now, const ClearOverrides& event, SiteActions& out) {
    const auto meant = [&](const Override* word) {
        return word != nullptr && (!event.only || word->kind == *event.only);
    };
    if (const auto* prefix = std::get_if<Prefix>(&event.subject)) {
        if (!meant(word_on(*prefix))) return;
        const auto place = drop_word(*prefix, false, "", out);
        return settle(now, *prefix, place, "the override was cleared", out);
    }
    const ServiceId id = std::get<ServiceId>(event.subject);
    if (id >= services.size()) return;
    Service& service = services[id];
    if (meant(service.drain ? &*service.drain : nullptr)) drop_drain(id, false, "", out);
    for (const Prefix& prefix : service.routes.overridden()) {
        if (meant(word_on(prefix))) drop_word(prefix, false, "", out);
    }
    settle(now, id, now, out);
}

void Site::Parts::expire_words(TimePoint now, SiteActions& out) {
    while (!expiring.empty() && expiring.begin()->first <= now) {
        const Subject subject = expiring.begin()->second;
        if (const auto* service = std::get_if<ServiceId>(&subject)) {
            drop_drain(*service, true, "", out);
            settle(now, *service, now, out);
        } else {
            const Prefix& prefix = std::get<Prefix>(subject);
            const auto place = drop_word(prefix, true, "", out);
            settle(now, prefix, place, "the override expired", out);
        }
    }
}

void Site::Parts::drop_drain(ServiceId id, bool expired, const std::string& why, SiteActions& out) {
    std::optional<Override>& drain = services[id].drain;
    if (!drain) return;
    expires(id, &*drain, nullptr);
    end_leaving(id);
    drain.reset();
    out.emplace_back(OverrideChanged{policy.services[id].name, std::nullopt, expired, why});
}

/// Returns where the word stood, for the prefix is still to be settled.
std::optional<Site::Parts::Place> Site::Parts::drop_word(const Prefix& prefix, bool expired,
                                                         const std::string& why, SiteActions& out) {
    const auto word = words.find(prefix);
    const auto place = word->second.place;
    expires(prefix, &word->second.value, nullptr);
    if (place) services[place->service].routes.put(place->at, nullptr);
    words.erase(word);
    out.emplace_back(OverrideChanged{prefix.to_string(), std::nullopt, expired, why});
    return place;
}

void Site::Parts::expires(const Subject& subject, const Override* before, const Override* after) {
    if (before != nullptr && before->expires) expiring.erase({*before->expires, subject});
    if (after != nullptr && after->expires) expiring.emplace(*after->expires, subject);
}

Site::Parts::Manual Site::Parts::manual_route(const Prefix& prefix) {
    const std::array one{prefix};
    return {std::make_shared<const bgp::PrefixBlock>(one)};
}

std::optional<Refusal> Site::Parts::refuses(const Subject& subject, OverrideKind kind) const {
    if (stopping) return Refusal::stopping;
    if (const auto* service = std::get_if<ServiceId>(&subject)) {
        const bool can = *service < services.size() && kind == OverrideKind::drain;
        return can ? std::nullopt : std::optional{Refusal::no_such_object};
    }
    const Prefix& prefix = std::get<Prefix>(subject);
    if (!is_owned(prefix)) return Refusal::not_owned;
    const bool can = kind == OverrideKind::announce ||
                     (kind == OverrideKind::withdraw && (words.contains(prefix) || locate(prefix)));
    return can ? std::nullopt : std::optional{Refusal::no_such_object};
}

std::optional<ServiceId> Site::Parts::find_service(std::string_view name) const {
    const auto found = std::ranges::find(policy.services, name, &ServicePolicy::name);
    if (found == policy.services.end()) return std::nullopt;
    return static_cast<ServiceId>(found - policy.services.begin());
}

std::optional<Site::Parts::Place> Site::Parts::locate(const Prefix& prefix) const {
    for (ServiceId id = 0; id < services.size(); ++id) {
        if (const auto at = services[id].routes.find(prefix)) return Place{id, *at};
    }
    return std::nullopt;
}

const Override* Site::Parts::word_on(const Prefix& prefix) const {
    const auto word = words.find(prefix);
    return word == words.end() ? nullptr : &word->second.value;
}

bool Site::Parts::is_owned(const Prefix& prefix) const {
    return std::ranges::any_of(policy.owned,
                               [&](const Prefix& block) { return block.contains(prefix); });
}

}  // namespace swerve::failover
