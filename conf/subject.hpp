#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "conf/faults.hpp"
#include "conf/reader.hpp"

namespace swerve::conf {

/// One object of the file and what its rules need: whether values can be trusted, where to point.
class Subject {
public:
    Subject(const Origin& origin, Faults& faults) : origin_(origin), faults_(faults) {}

    [[nodiscard]] bool sound(std::string_view path) const {
        return faults_.sound(dotted(origin_.path, path));
    }
    [[nodiscard]] bool sound_throughout(std::string_view path) const {
        return faults_.sound_throughout(dotted(origin_.path, path));
    }
    /// Of a single value that is there, as it was written.
    [[nodiscard]] const std::string& text(std::string_view key) const {
        return origin_.node->find(key)->text;
    }
    [[nodiscard]] bool has(std::initializer_list<std::string_view> keys) const {
        return origin_.has(keys);
    }
    void fault(std::initializer_list<std::string_view> keys, std::string message,
               std::string hint = {}) const {
        std::string path = origin_.path;
        for (const std::string_view key : keys) path = dotted(path, key);
        faults_.add(origin_.at(keys), path, std::move(message), std::move(hint));
    }
    /// A key that must be there and is not.
    void lacks_key(std::string_view key, std::string hint) const {
        faults_.distrust(dotted(origin_.path, key));
        const Place place = origin_.node->named_at;
        faults_.add_elsewhere(place, {faults_.file(), place.line, place.column, origin_.path,
                                      quote(key) + " is missing", std::move(hint)});
    }
    /// A list or map that must have members, and has none or is not there at all.
    void lacks(std::string_view key, std::string hint) const {
        if (origin_.has({key})) return fault({key}, "has no members", std::move(hint));
        fault({}, quote(key) + " is missing", std::move(hint));
    }

private:
    const Origin& origin_;
    Faults& faults_;
};

}  // namespace swerve::conf
