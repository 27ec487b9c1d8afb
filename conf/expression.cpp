#include <algorithm>

#include "conf/draft.hpp"

namespace swerve::conf {

namespace {

using health::Expression;

/// No check can have this name.
constexpr std::string_view always = "always";

constexpr Key name_key{.name = "", .type = Type::text};
constexpr std::string_view forms =
    "NAME, {all: […]}, {any: […]}, {not: …} or "
    "{at_least: {count: N, of: […]}}";

struct Context {
    Faults& faults;
    const Names* checks;
};

std::optional<Expression> read(const Context& context, const YamlNode& node,
                               const std::string& path);

std::optional<Expression> read_name(const Context& context, const YamlNode& node,
                                    const std::string& path) {
    const auto name = read_value(context.faults, name_key, node, path);
    if (!name) return std::nullopt;
    const auto& text = std::get<std::string>(*name);
    if (text == always) {
        context.faults.add(node.place, path, quote(text) + " stands alone, or for nothing",
                           "write healthy_when: always, or leave it out");
        return std::nullopt;
    }
    if (context.checks == nullptr) return std::nullopt;
    const auto check = resolve(context.faults, *context.checks, text, node.place, path, "check");
    if (!check) return std::nullopt;
    return Expression{Expression::Op::check, *check, 0, {}};
}

/// Reads all members even when one is faulty, so that all faults are reported.
std::optional<std::vector<Expression>> read_members(const Context& context, const YamlNode& node,
                                                    const std::string& path) {
    if (!expect(context.faults, node, path, YamlNode::Kind::list)) return std::nullopt;
    if (node.items.empty()) {
        context.faults.add(node.place, path, "has no members", "name at least one check");
        return std::nullopt;
    }
    std::vector<Expression> members;
    for (std::size_t i = 0; i < node.items.size(); ++i) {
        auto member = read(context, node.items[i], path + "[" + std::to_string(i) + "]");
        if (member) members.push_back(*std::move(member));
    }
    if (members.size() < node.items.size()) return std::nullopt;
    return members;
}

constexpr Key at_least_keys[] = {
    {.name = "count",
     .type = Type::integer,
     .required = true,
     .help = "how many of them must pass",
     .least = 1,
     .most = 65535},
    {.name = "of",
     .type = Type::expression,
     .required = true,
     .help = "a list of checks or expressions"},
};

std::optional<Expression> read_at_least(const Context& context, const YamlNode& node,
                                        const std::string& path) {
    const Section section{context.faults, node, path, at_least_keys};
    const auto count = section.get<std::uint32_t>("count");
    const YamlNode* of = section.find("of");
    if (of == nullptr) return std::nullopt;
    auto members = read_members(context, *of, section.path_of("of"));
    if (count && of->kind == YamlNode::Kind::list && *count > of->items.size() &&
        !of->items.empty()) {
        section.fault("count", std::to_string(*count) + " of " + std::to_string(of->items.size()) +
                                   " can never pass");
        return std::nullopt;
    }
    if (!count || !members) return std::nullopt;
    return Expression{Expression::Op::at_least, 0, *count, *std::move(members)};
}

std::optional<Expression> read_operator(const Context& context, const YamlNode::Entry& entry,
                                        const std::string& parent) {
    const std::string path = dotted(parent, entry.key);
    const YamlNode& value = entry.value;
    if (entry.key == "at_least") return read_at_least(context, value, path);
    if (entry.key == "not") {
        auto inner = read(context, value, path);
        if (!inner) return std::nullopt;
        return Expression{Expression::Op::negation, 0, 0, {*std::move(inner)}};
    }
    if (entry.key == "all" || entry.key == "any") {
        auto members = read_members(context, value, path);
        if (!members) return std::nullopt;
        const auto op = entry.key == "all" ? Expression::Op::all : Expression::Op::any;
        return Expression{op, 0, 0, *std::move(members)};
    }
    const auto meant = nearest(entry.key, {"all", "any", "not", "at_least"});
    context.faults.add(entry.place, path, "unknown key " + quote(entry.key),
                       meant.empty() ? std::string{forms} : did_you_mean(meant));
    return std::nullopt;
}

std::optional<Expression> read(const Context& context, const YamlNode& node,
                               const std::string& path) {
    if (node.kind == YamlNode::Kind::scalar) return read_name(context, node, path);
    if (node.kind != YamlNode::Kind::map) {
        context.faults.add(
            node.place, path,
            "expected a check or an expression, found " + std::string{describe(node.kind)},
            std::string{forms});
        return std::nullopt;
    }
    if (node.entries.size() == 1) return read_operator(context, node.entries.front(), path);
    const Place place = node.entries.empty() ? node.place : node.entries[1].place;
    context.faults.add(place, path, "an expression has exactly one of all, any, not and at_least",
                       "nest them: {all: [a, {any: [b, c]}]}");
    return std::nullopt;
}

}  // namespace

std::optional<std::uint32_t> resolve(Faults& faults, const Names& names, std::string_view name,
                                     Place place, const std::string& path, std::string_view what) {
    const auto found = names.find(name);
    if (found != names.end()) return found->second;
    std::vector<std::string_view> known;
    for (const auto& [each, position] : names) known.push_back(each);
    std::string hint = did_you_mean(nearest(name, known));
    if (hint.empty() && !known.empty() && known.size() <= 10) {
        hint = "there are:";
        for (const std::string_view each : known) hint += " " + std::string{each};
    }
    faults.add(place, path, "there is no " + std::string{what} + " " + quote(name),
               std::move(hint));
    return std::nullopt;
}

std::optional<Expression> read_expression(Faults& faults, const YamlNode& node,
                                          const std::string& path, const Names* checks) {
    // All of nothing.
    if (node.kind == YamlNode::Kind::scalar && node.text == always) {
        return Expression{Expression::Op::all, 0, 0, {}};
    }
    return read({faults, checks}, node, path);
}

}  // namespace swerve::conf
