#include "failover/service_routes.hpp"

#include <utility>

namespace swerve::failover {

namespace {

template <class Action>
bool continues(const std::vector<Action>& actions, const bgp::BlockRef& block, bgp::IdRange range) {
    return !actions.empty() && actions.back().block == block &&
           actions.back().range.end == range.begin;
}

}  // namespace

void Moves::add(Shown shown, std::optional<ServiceId> service, const bgp::BlockRef& block,
                bgp::IdRange range) {
    if (range.begin == range.end) return;
    if (shown != Shown::nothing) {
        if (continues(announcements, block, range) && announcements.back().shown == shown) {
            announcements.back().range.end = range.end;
        } else {
            announcements.push_back({service, block, range, shown});
        }
    } else if (continues(withdrawals, block, range)) {
        withdrawals.back().range.end = range.end;
    } else {
        withdrawals.push_back({block, range});
    }
}

ServiceRoutes::ServiceRoutes(ServiceId service, std::vector<bgp::BlockRef> blocks)
    : service_(service), blocks_(std::move(blocks)), exceptions_(blocks_.size()) {}

std::optional<ServiceRoutes::Place> ServiceRoutes::find(const Prefix& prefix) const {
    for (std::uint32_t block = 0; block < blocks_.size(); ++block) {
        if (blocks_[block]->family() != prefix.family()) continue;
        if (const auto id = blocks_[block]->find(prefix)) return Place{block, *id};
    }
    return std::nullopt;
}

std::vector<Prefix> ServiceRoutes::overridden() const {
    std::vector<Prefix> prefixes;
    for (std::size_t block = 0; block < blocks_.size(); ++block) {
        for (const auto& [id, exception] : exceptions_[block]) {
            prefixes.push_back(blocks_[block]->at(id));
        }
    }
    return prefixes;
}

void ServiceRoutes::put(Place place, const Override* word) {
    const auto [at, added] = exceptions_[place.block].try_emplace(place.id, word, shown_);
    if (!added) at->second.word = word;
}

void ServiceRoutes::settle(const Inputs& service, Moves& moves) {
    const Shown wanted = decide(service).shown;
    const bool changed = std::exchange(shown_, wanted) != wanted;
    for (std::uint32_t block = 0; block < blocks_.size(); ++block) {
        std::uint32_t plain = 0;  // first prefix behind the last exception
        for (auto& exception : exceptions_[block]) {
            if (changed) moves.add(wanted, service_, blocks_[block], {plain, exception.first});
            settle_one(block, exception, service, moves);
            plain = exception.first + 1;
        }
        if (changed) {
            moves.add(wanted, service_, blocks_[block], {plain, blocks_[block]->size()});
        }
        std::erase_if(exceptions_[block],
                      [](const auto& exception) { return exception.second.word == nullptr; });
    }
}

void ServiceRoutes::settle(Place place, const Inputs& service, Moves& moves) {
    Exceptions& exceptions = exceptions_[place.block];
    const auto exception = exceptions.find(place.id);
    settle_one(place.block, *exception, service, moves);
    if (exception->second.word == nullptr) exceptions.erase(exception);
}

void ServiceRoutes::settle_one(std::uint32_t block, Exceptions::value_type& exception,
                               const Inputs& service, Moves& moves) {
    Inputs inputs = service;
    inputs.prefix = exception.second.word;
    const Shown wanted = decide(inputs).shown;
    if (std::exchange(exception.second.shown, wanted) == wanted) return;
    moves.add(wanted, service_, blocks_[block], {exception.first, exception.first + 1});
}

}  // namespace swerve::failover
