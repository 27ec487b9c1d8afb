// A document that parses can be looked into with any pointer, and what is shown of it is safe.

#include "health/probes/json_answer.hpp"

#include <algorithm>
#include <string>

#include "swerve/base/escape.hpp"
#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

namespace {

using namespace health;

void check_shown(const std::string& text) {
    demand(text.size() <= 512, "what is shown is short");
    demand(text == escape(text, text.size()), "what is shown is safe");
}

/// Every member and element is found under the pointer that names it; as deep as the limit allows.
void walk(const boost::json::value& document, const boost::json::value& value,
          const std::string& pointer, std::size_t& budget) {
    if (budget == 0) return;
    --budget;
    demand(json_at(document, pointer) == &value, "a pointer finds what it names");
    demand(!bad_json_pointer(pointer), "and is a pointer");
    check_shown(json_text(value));
    demand(json_scalar(value).has_value() == value.is_primitive(), "a scalar is a scalar");
    if (const auto* array = value.if_array()) {
        for (std::size_t i = 0; i < array->size(); ++i) {
            walk(document, (*array)[i], pointer + "/" + std::to_string(i), budget);
        }
    }
    if (const auto* object = value.if_object()) {
        for (const auto& member : *object) {
            std::string name;
            for (const char c : member.key()) {
                if (c == '~') name += "~0";
                if (c == '/') name += "~1";
                if (c != '~' && c != '/') name += c;
            }
            walk(document, member.value(), pointer + "/" + name, budget);
        }
    }
}

}  // namespace

/// Up to the first line feed stands a pointer, behind it the document.
void json_answer(ByteView input) {
    const std::string text(input.begin(), input.end());
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string pointer = text.substr(0, end);
    const auto document = parse_json(std::string_view{text}.substr(std::min(end + 1, text.size())));
    if (!document) return check_shown(document.error());
    const auto* found = json_at(*document, pointer);
    demand(found == nullptr || !bad_json_pointer(pointer), "what finds something is a pointer");
    std::size_t budget = 200;
    walk(*document, *document, "", budget);
}

}  // namespace swerve::fuzz
