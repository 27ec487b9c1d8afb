#pragma once
// Every key of the configuration, declared once. The loader, its hints, and the reference page read
// these tables.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "swerve/health/probe_fields.hpp"

namespace swerve::conf {

enum class Type : std::uint8_t {
    text,
    name,
    path,  ///< relative ones start at the directory of the configuration file
    absolute_path,
    choice,
    boolean,
    integer,
    number,  ///< decimal
    asn,
    duration,
    whole_seconds,  ///< a duration that goes over the wire in seconds
    router_id,
    address,
    prefix,
    host,  ///< the prefix of one address
    endpoint,
    community,
    large_community,
    extended_community,
    interface,
    next_hop,  ///< an address, or the word self
    expression,
    map,         ///< with the keys in `members`
    named_maps,  ///< names chosen by the operator, each a map with the keys in `members`
    not_yet      ///< a word of the design that this version refuses
};

struct Key {
    std::string_view name;
    Type type;
    bool list = false;  ///< a list of values of `type`
    bool required = false;
    std::string_view help = {};       ///< one sentence
    std::string_view fallback = {};   ///< the default as people write it; empty: none
    std::string_view otherwise = {};  ///< what an absent key means, where `fallback` cannot say it
    bool or_zero = false;             ///< of durations: 0, too, though `least` is more
    std::int64_t least = 0;           ///< of integers; of durations in ms; of text in octets
    std::int64_t most = 0;            ///< the same; of lists, how many members; 0: not limited
    std::string_view choices = {};    ///< of Type::choice: "confirm|trust"
    std::span<const Key> members = {};
};

/// The keys of the file.
[[nodiscard]] std::span<const Key> schema();
/// The keys of a group: none is required.
[[nodiscard]] std::span<const Key> group_keys();
/// The keys of a template.
[[nodiscard]] std::span<const Key> template_keys();
/// Keys of a neighbor that no group has.
[[nodiscard]] std::span<const std::string_view> keys_of_one_neighbor();
/// Words that stand for probes of later versions.
[[nodiscard]] std::span<const std::string_view> later_probes();

[[nodiscard]] const Key* find_key(std::span<const Key> keys, std::string_view name);

/// The keys of a probe, in the terms of this schema. Members of groups are not converted.
[[nodiscard]] std::vector<Key> keys_of(std::span<const health::Field> fields);

/// "AS number (1..4294967295)", "list of prefixes", …: what a key takes, for messages and the page.
[[nodiscard]] std::string describe(const Key& key);

}  // namespace swerve::conf
