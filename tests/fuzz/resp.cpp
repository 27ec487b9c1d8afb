// RESP means the same in one piece and in many, and no answer is larger than what it was made of.

#include "health/probes/resp.hpp"

#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

namespace {

using namespace health;

using Answer = Result<std::optional<RespValue>, std::string>;

std::size_t values_in(const RespValue& value, std::size_t depth) {
    demand(depth <= RespReader::depth_limit, "arrays are not nested deeper than the limit");
    const bool is_array = value.kind == RespValue::Kind::array;
    demand(is_array || value.items.empty(), "only arrays hold values");
    demand(value.text.size() <= RespReader::octet_limit, "no text is longer than the limit");
    std::size_t out = 1;
    for (const RespValue& item : value.items) out += values_in(item, depth + 1);
    return out;
}

bool same(const RespValue& a, const RespValue& b) {
    if (a.kind != b.kind || a.text != b.text || a.integer != b.integer) return false;
    if (a.items.size() != b.items.size()) return false;
    for (std::size_t i = 0; i < a.items.size(); ++i) {
        if (!same(a.items[i], b.items[i])) return false;
    }
    return true;
}

/// The first answer, or fault, of octets that come one at a time.
Answer in_pieces(std::string_view octets) {
    RespReader reader;
    for (const char octet : octets) {
        Answer answer = reader.take({&octet, 1});
        if (!answer || *answer) return answer;
    }
    return std::nullopt;
}

}  // namespace

void resp(ByteView input) {
    const std::string_view octets{reinterpret_cast<const char*>(input.data()), input.size()};
    RespReader reader;
    Answer answer = reader.take(octets);
    if (octets.size() <= RespReader::octet_limit) {
        const Answer apart = in_pieces(octets);
        demand(apart.has_value() == answer.has_value(), "a fault in pieces as in one");
        if (answer) {
            demand(apart->has_value() == answer->has_value(), "an answer in pieces as in one");
            demand(!*answer || same(**answer, **apart), "the same answer in pieces as in one");
        }
    }
    while (answer && *answer) {
        demand(values_in(**answer, 0) <= RespReader::value_limit, "no more values than the limit");
        const bool ended = !reader.has_rest();
        answer = reader.take("");
        demand(!ended || (answer && !*answer), "no answer out of nothing");
    }
}

}  // namespace swerve::fuzz
