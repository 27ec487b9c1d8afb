// What the evidence of a check depends on, as one number that is saved with its state.

#include <bit>
#include <concepts>
#include <variant>

#include "conf/fnv.hpp"
#include "swerve/conf/config.hpp"

namespace swerve::conf {

namespace {

void add(Fnv1a& hash, const health::FieldMap& fields);

void add(Fnv1a& hash, std::integral auto number) { hash.add(static_cast<std::uint64_t>(number)); }
void add(Fnv1a& hash, double number) { hash.add(std::bit_cast<std::uint64_t>(number)); }
void add(Fnv1a& hash, const std::string& text) { hash.add(text); }
void add(Fnv1a& hash, Duration duration) { add(hash, duration.count()); }
void add(Fnv1a& hash, const Endpoint& endpoint) { hash.add(endpoint.to_string()); }

template <class T>
void add(Fnv1a& hash, const std::vector<T>& members) {
    add(hash, members.size());
    for (const T& member : members) add(hash, member);
}

// The probe and the name say of which kind a value is, so the kind need not be added.
void add(Fnv1a& hash, const health::FieldMap& fields) {
    add(hash, fields.size());
    for (const auto& [name, field] : fields) {
        add(hash, name);
        std::visit([&](const auto& value) { add(hash, value); }, field.value);
    }
}

}  // namespace

std::uint64_t fingerprint(const Check& check) {
    const health::TrackerPolicy& timing = check.timing;
    Fnv1a hash;
    add(hash, check.probe.type);
    add(hash, check.probe.fields);
    // `fast_interval` and `on_event` only say how soon a failure is looked for.
    add(hash, timing.interval);
    add(hash, timing.timeout);
    for (const unsigned count :
         {timing.rise, timing.fall, timing.window_failures, timing.window_of}) {
        add(hash, count);
    }
    return hash.value();
}

}  // namespace swerve::conf
