#include "daemon/state/codec.hpp"

#include <fmt/format.h>

#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <cmath>
#include <concepts>
#include <set>
#include <utility>
#include <vector>

#include "swerve/base/escape.hpp"
#include "swerve/base/overloaded.hpp"

namespace swerve::daemon {

namespace json = boost::json;

using failover::OverrideKind;
using failover::SavedCheck;
using failover::SavedDamping;
using failover::SavedDeadline;
using failover::SavedOverride;
using failover::SavedState;
using failover::Shown;
using health::CheckState;

namespace {

// ---- the first line, kept by every version so that each can tell what it cannot read -----------

/// 2 brought `damping`.
constexpr unsigned version = 2;
constexpr unsigned oldest_version = 1;
constexpr std::string_view state_format = "swerve-state";
constexpr std::string_view alive_format = "swerve-alive";

/// FNV-1a in 64 bits. It guards against accidents only (who may write the file may write its
/// checksum, too), sees every change of a single octet for certain, and spares an idle daemon the
/// providers that OpenSSL would load for a better one.
[[nodiscard]] std::string checksum(std::string_view head, std::string_view body) {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const std::string_view part : {head, body}) {
        for (const char octet : part) {
            hash = (hash ^ static_cast<std::uint8_t>(octet)) * 0x100000001b3U;
        }
    }
    return fmt::format("{:016x}", hash);
}

[[nodiscard]] std::string seal(std::string_view format, std::uint64_t number,
                               std::string_view body) {
    const std::string head = fmt::format("{} {} {} ", format, version, number);
    return fmt::format("{}{}\n{}", head, checksum(head, body), body);
}

struct Opened {
    unsigned version;
    std::uint64_t number;
    std::string_view body;
};

[[nodiscard]] Result<Opened, std::string> open(std::string_view format, std::string_view text) {
    const std::size_t line_end = text.find('\n');
    if (line_end == std::string_view::npos) return fail("torn: its first line has no end");
    const std::string_view line = text.substr(0, line_end);

    std::array<std::string_view, 4> words;
    std::size_t at = 0;
    for (std::string_view& word : words) {
        word = line.substr(at, line.find(' ', at) - at);
        at = std::min(at + word.size() + 1, line.size());
    }
    const auto& [its_format, its_version, its_number, its_checksum] = words;
    if (its_format != format) return fail(fmt::format("does not begin with {}", format));
    unsigned read_version = 0;
    const char* const version_end = its_version.data() + its_version.size();
    if (std::from_chars(its_version.data(), version_end, read_version).ptr != version_end ||
        read_version < oldest_version || read_version > version) {
        return fail(
            fmt::format("written by a later version of Swerve (format {}, this one reads {})",
                        escape(its_version, 16), version));
    }
    const std::string_view head = line.substr(0, line.size() - its_checksum.size());
    const std::string_view body = text.substr(line_end + 1);
    if (its_checksum != checksum(head, body)) {
        return fail("torn or damaged: the checksum does not match");
    }
    std::uint64_t number = 0;
    const char* const number_end = its_number.data() + its_number.size();
    if (std::from_chars(its_number.data(), number_end, number).ptr != number_end ||
        head != fmt::format("{} {} {} ", format, read_version, number)) {
        return fail("its first line is not of this version");
    }
    return Opened{read_version, number, body};
}

// ---- writing -----------------------------------------------------------------------------------

template <class Clock>
[[nodiscard]] std::int64_t nanoseconds(std::chrono::time_point<Clock, Duration> when) {
    return when.time_since_epoch().count();
}

[[nodiscard]] json::object to_json(const SavedOverride& value) {
    json::object out;
    std::visit(Overloaded{[&](const std::string& service) { out["service"] = service; },
                          [&](const Prefix& prefix) { out["prefix"] = prefix.to_string(); }},
               value.subject);
    out["kind"] = to_string(value.kind);
    out["reason"] = value.reason;
    out["who"] = value.who;
    out["set_at"] = nanoseconds(value.set_at);
    out["expires"] = nullptr;
    if (value.expires) {
        out["expires"] = {{"boot", nanoseconds(value.expires->boot)},
                          {"wall", nanoseconds(value.expires->wall)}};
    }
    return out;
}

[[nodiscard]] json::object to_json(const SavedCheck& value) {
    return {{"name", value.name},
            {"fingerprint", value.fingerprint},
            {"state", to_string(value.state)}};
}

/// Moments as ages, which hold in every boot; the penalty in thousandths, for a double would not
/// come back from text as it was.
[[nodiscard]] json::object to_json(const SavedDamping& value, TimePoint saved_at) {
    const auto age = [&](TimePoint when) { return (saved_at - when).count(); };
    json::object out{{"service", value.service},
                     {"shown", to_string(value.shown)},
                     {"penalty_thousandths", std::llround(value.damping.penalty * 1000)},
                     {"age", age(value.damping.at)},
                     {"withdrawn", nullptr}};
    if (value.damping.withdrawn_at) out["withdrawn"] = age(*value.damping.withdrawn_at);
    json::array withdrawals;
    for (const TimePoint each : value.damping.withdrawals) withdrawals.push_back(age(each));
    out["withdrawals"] = std::move(withdrawals);
    return out;
}

[[nodiscard]] json::object to_json(const SavedState& state) {
    json::array damping;
    for (const SavedDamping& each : state.damping) {
        damping.push_back(to_json(each, state.saved_at));
    }
    json::array overrides;
    for (const SavedOverride& each : state.overrides) overrides.push_back(to_json(each));
    json::array checks;
    for (const SavedCheck& each : state.checks) checks.push_back(to_json(each));
    json::object out{{"boot_id", state.boot_id},
                     {"saved_at", nanoseconds(state.saved_at)},
                     {"saved_wall", nanoseconds(state.saved_wall)},
                     {"started", nanoseconds(state.started)},
                     {"ended_clean", state.ended_clean},
                     {"crashes", state.crashes},
                     {"overrides", std::move(overrides)},
                     {"checks", std::move(checks)},
                     {"damping", std::move(damping)},
                     {"disabled_neighbors", json::array(state.disabled_neighbors.begin(),
                                                        state.disabled_neighbors.end())}};
    // Only then, so that an earlier version of Swerve can read every other file.
    if (state.planned_restart) out["planned_restart"] = true;
    return out;
}

/// A member a line, and an element a line in the lists.
[[nodiscard]] std::string lines(const json::object& object) {
    std::string out;
    for (const auto& member : object) {
        out += fmt::format("{}{}: ", out.empty() ? "{\n" : ",\n",
                           json::serialize(json::string_view{member.key()}));
        const json::array* list = member.value().if_array();
        if (list == nullptr || list->empty()) {
            out += json::serialize(member.value());
            continue;
        }
        for (const json::value& element : *list) {
            out += &element == list->begin() ? "[\n  " : ",\n  ";
            out += json::serialize(element);
        }
        out += ']';
    }
    return out + "\n}\n";
}

// ---- reading -----------------------------------------------------------------------------------

/// A moment later than this (year 2116 of the wall clock) is a fault, so that neither a difference
/// nor a sum of two of them overflows.
constexpr std::int64_t latest = std::int64_t{1} << 62U;

/// The members of one object, read strictly: each must be there and of its type, and there is no
/// other. The first fault of the whole file sticks; what is read after it is empty.
class Members {
public:
    Members(const json::value& value, std::string where, std::string& fault)
        : object_(value.if_object()), where_(std::move(where)), fault_(fault) {
        if (object_ == nullptr) complain("is no object");
    }
    Members(const Members&) = delete;
    Members& operator=(const Members&) = delete;
    /// Whether all members were read.
    ~Members() {
        if (object_ != nullptr && object_->size() != read_) complain("has a member too many");
    }

    [[nodiscard]] bool has(std::string_view name) const {
        return object_ != nullptr && object_->contains(name);
    }
    [[nodiscard]] const json::value& value(std::string_view name) {
        static const json::value none;
        const json::value* found = object_ == nullptr ? nullptr : object_->if_contains(name);
        if (found == nullptr) {
            complain(fmt::format("has no {}", name));
            return none;
        }
        ++read_;
        return *found;
    }
    [[nodiscard]] std::string text(std::string_view name) {
        const json::string* found = value(name).if_string();
        if (found != nullptr) return std::string{*found};
        complain(fmt::format("{} is no text", name));
        return {};
    }
    [[nodiscard]] bool flag(std::string_view name) {
        const bool* found = value(name).if_bool();
        if (found != nullptr) return *found;
        complain(fmt::format("{} is neither true nor false", name));
        return false;
    }
    template <std::integral T>
    [[nodiscard]] T number(std::string_view name) {
        return as_number<T>(value(name), name);
    }
    template <std::integral T>
    [[nodiscard]] T as_number(const json::value& found, std::string_view name) {
        boost::system::error_code inexact;
        const T out = found.is_double() ? T{} : found.to_number<T>(inexact);
        if (inexact || found.is_double()) complain(fmt::format("{} is out of range", name));
        return out;
    }
    template <class Time>
    [[nodiscard]] Time time(std::string_view name) {
        const auto count = number<std::int64_t>(name);
        if (count < 0 || count >= latest) complain(fmt::format("{} is out of range", name));
        return Time{Duration{count}};
    }
    [[nodiscard]] const json::array& list(std::string_view name) {
        static const json::array none;
        const json::array* found = value(name).if_array();
        if (found != nullptr) return *found;
        complain(fmt::format("{} is no list", name));
        return none;
    }
    /// The one of `choices` whose text it is.
    template <class Choice>
    [[nodiscard]] Choice one_of(std::string_view name, std::initializer_list<Choice> choices) {
        const std::string word = text(name);
        for (const Choice choice : choices) {
            if (to_string(choice) == word) return choice;
        }
        complain(
            fmt::format("{} is '{}', which this version does not know", name, escape(word, 64)));
        return *choices.begin();
    }
    void complain(const std::string& what) {
        if (fault_.empty()) fault_ = where_ + " " + what;
    }

private:
    const json::object* object_;
    std::string where_;
    std::string& fault_;
    std::size_t read_ = 0;
};

[[nodiscard]] SavedOverride read_override(const json::value& value, std::string& fault) {
    Members members{value, "an override", fault};
    SavedOverride out;
    if (members.has("prefix")) {
        const std::string text = members.text("prefix");
        if (const auto prefix = Prefix::parse(text)) {
            out.subject = *prefix;
        } else {
            members.complain(fmt::format("is on '{}', which is no prefix", escape(text, 64)));
        }
    } else {
        out.subject = members.text("service");
    }
    out.kind = members.one_of<OverrideKind>(
        "kind", {OverrideKind::announce, OverrideKind::drain, OverrideKind::withdraw});
    out.reason = members.text("reason");
    out.who = members.text("who");
    out.set_at = members.time<WallTime>("set_at");
    if (const json::value& expires = members.value("expires"); !expires.is_null()) {
        Members times{expires, "the end of an override", fault};
        out.expires = SavedDeadline{times.time<TimePoint>("boot"), times.time<WallTime>("wall")};
    }
    return out;
}

[[nodiscard]] SavedCheck read_check(const json::value& value, std::string& fault) {
    Members members{value, "a check", fault};
    return {members.text("name"), members.number<std::uint64_t>("fingerprint"),
            members.one_of<CheckState>("state",
                                       {CheckState::unknown, CheckState::pass, CheckState::fail})};
}

[[nodiscard]] SavedDamping read_damping(const json::value& value, TimePoint saved_at,
                                        std::string& fault) {
    Members members{value, "the damping of a service", fault};
    const auto moment = [&](std::int64_t age) {
        if (age > -latest && age < latest) return saved_at - Duration{age};
        members.complain("has a moment out of range");
        return saved_at;
    };
    SavedDamping out{.service = members.text("service"), .damping = {}, .shown = Shown::nothing};
    out.shown = members.one_of<Shown>(
        "shown", {Shown::nothing, Shown::draining, Shown::degraded, Shown::announced});
    out.damping.penalty = members.number<std::uint32_t>("penalty_thousandths") / 1000.0;
    out.damping.at = moment(members.number<std::int64_t>("age"));
    if (const json::value& age = members.value("withdrawn"); !age.is_null()) {
        out.damping.withdrawn_at = moment(members.as_number<std::int64_t>(age, "withdrawn"));
    }
    for (const json::value& age : members.list("withdrawals")) {
        out.damping.withdrawals.push_back(
            moment(members.as_number<std::int64_t>(age, "a withdrawal")));
    }
    return out;
}

[[nodiscard]] SavedState read_state(const json::value& value, unsigned written_by,
                                    std::string& fault) {
    Members members{value, "the state", fault};
    SavedState out;
    out.boot_id = members.text("boot_id");
    out.saved_at = members.time<TimePoint>("saved_at");
    out.saved_wall = members.time<WallTime>("saved_wall");
    out.started = members.time<TimePoint>("started");
    out.ended_clean = members.flag("ended_clean");
    out.crashes = members.number<unsigned>("crashes");
    if (members.has("planned_restart")) out.planned_restart = members.flag("planned_restart");

    std::set<std::pair<std::variant<std::string, Prefix>, OverrideKind>> subjects;
    for (const json::value& each : members.list("overrides")) {
        out.overrides.push_back(read_override(each, fault));
        const SavedOverride& added = out.overrides.back();
        if (!subjects.emplace(added.subject, added.kind).second) {
            members.complain("has an override twice");
        }
    }
    std::set<std::string> names;
    for (const json::value& each : members.list("checks")) {
        out.checks.push_back(read_check(each, fault));
        if (!names.insert(out.checks.back().name).second) members.complain("has a check twice");
    }
    if (written_by >= 2) {
        names.clear();
        for (const json::value& each : members.list("damping")) {
            out.damping.push_back(read_damping(each, out.saved_at, fault));
            if (!names.insert(out.damping.back().service).second) {
                members.complain("has the damping of a service twice");
            }
        }
    }
    names.clear();
    for (const json::value& each : members.list("disabled_neighbors")) {
        const json::string* name = each.if_string();
        if (name == nullptr || !names.emplace(*name).second) {
            members.complain("has a disabled neighbor twice or without a name");
            break;
        }
        out.disabled_neighbors.emplace_back(*name);
    }
    return out;
}

}  // namespace

std::string encode(const Generation& generation) {
    return seal(state_format, generation.sequence, lines(to_json(generation.state)));
}

Result<Generation, std::string> decode(std::string_view text) {
    if (text.size() > largest_generation) {
        return fail(
            fmt::format("{} octets, more than {} MiB", text.size(), largest_generation >> 20U));
    }
    const auto opened = open(state_format, text);
    if (!opened) return fail(opened.error());
    json::parse_options options;
    // Octets that are no UTF-8 came from somewhere and are kept, rather than lose what stands
    // beside them.
    options.allow_invalid_utf8 = true;
    boost::system::error_code error;
    const json::value value = json::parse(opened->body, error, {}, options);
    if (error) return fail("its content is no JSON: " + error.message());
    std::string fault;
    Generation out{opened->number, read_state(value, opened->version, fault)};
    if (!fault.empty()) return fail(std::move(fault));
    return out;
}

std::string encode(const SignOfLife& sign) {
    return seal(alive_format, static_cast<std::uint64_t>(nanoseconds(sign.at)),
                sign.boot_id + "\n");
}

std::optional<SignOfLife> decode_sign_of_life(std::string_view text) {
    const auto opened = open(alive_format, text);
    if (!opened || opened->number >= static_cast<std::uint64_t>(latest) ||
        !opened->body.ends_with('\n')) {
        return std::nullopt;
    }
    return SignOfLife{std::string{opened->body.substr(0, opened->body.size() - 1)},
                      TimePoint{Duration{static_cast<std::int64_t>(opened->number)}}};
}

}  // namespace swerve::daemon
