#include "health/probes/resp.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace swerve::health {
namespace {

using Kind = RespValue::Kind;

constexpr std::string_view line_end = "\r\n";

std::optional<std::int64_t> number(std::string_view text) {
    std::int64_t out = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return out;
}

/// The octets themselves are not told: they may hold a secret that the server repeats.
std::unexpected<std::string> not_resp() { return fail(std::string{"no RESP"}); }

bool is_kind(char octet) { return std::string_view{"+-:$*"}.contains(octet); }

}  // namespace

std::string resp_command(std::span<const std::string> words) {
    std::string out = "*" + std::to_string(words.size()) + "\r\n";
    for (const std::string& word : words) {
        out += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
    }
    return out;
}

Result<std::optional<RespValue>, std::string> RespReader::take(std::string_view octets) {
    if (octets.size() > octet_limit - octets_.size()) return fail("more than 64 KiB");
    octets_ += octets;
    do {
        progressed_ = false;
        auto value = bulk_ ? bulk() : step();
        if (!value) return value;
        if (!*value) continue;
        if (auto answer = place(**std::move(value))) {
            values_ = 0;
            return answer;
        }
    } while (progressed_);
    return std::nullopt;
}

RespReader::Step RespReader::step() {
    // What never was RESP need not be waited for to end.
    if (at_ < octets_.size() && !is_kind(octets_[at_])) return not_resp();
    const std::size_t end = octets_.find(line_end, scanned_);
    if (end != std::string::npos && end - at_ > line_limit) {
        return fail("a line longer than 1 KiB");
    }
    if (end == std::string::npos) {
        // The first half of an end of line may be there.
        scanned_ = std::max(at_, octets_.size() - std::min<std::size_t>(octets_.size(), 1));
        if (octets_.size() - at_ > line_limit + 1) return fail("a line longer than 1 KiB");
        return std::nullopt;
    }
    const std::string_view line = std::string_view{octets_}.substr(at_, end - at_);
    at_ = scanned_ = end + line_end.size();
    progressed_ = true;
    if (++values_ > value_limit) {
        return fail("more than " + std::to_string(value_limit) + " values");
    }
    const std::string_view rest = line.substr(1);
    switch (line[0]) {
        case '+':
            return RespValue{.kind = Kind::text, .text = std::string{rest}, .items = {}};
        case '-':
            return RespValue{.kind = Kind::error, .text = std::string{rest}, .items = {}};
        case ':':
            if (const auto value = number(rest)) {
                return RespValue{.kind = Kind::integer, .text = {}, .integer = *value, .items = {}};
            }
            break;
        case '$':
            return begin_bulk(rest);
        case '*':
            return begin_array(rest);
        default:
            break;
    }
    return not_resp();
}

RespReader::Step RespReader::begin_bulk(std::string_view length) {
    const auto octets = number(length);
    if (!octets || *octets < -1) return not_resp();
    if (*octets == -1) return RespValue{};
    if (std::cmp_greater(*octets, octet_limit)) {
        return fail("a text of " + std::to_string(*octets) + " octets");
    }
    bulk_ = static_cast<std::size_t>(*octets);
    return std::nullopt;
}

RespReader::Step RespReader::bulk() {
    if (octets_.size() - at_ < *bulk_ + line_end.size()) return std::nullopt;
    const std::string_view rest = std::string_view{octets_}.substr(at_);
    if (rest.substr(*bulk_, line_end.size()) != line_end) return fail("a text without its end");
    RespValue out{.kind = Kind::text, .text = std::string{rest.substr(0, *bulk_)}, .items = {}};
    at_ += *bulk_ + line_end.size();
    scanned_ = at_;
    bulk_.reset();
    progressed_ = true;
    return out;
}

RespReader::Step RespReader::begin_array(std::string_view count) {
    const auto wanted = number(count);
    if (!wanted || *wanted < -1) return not_resp();
    if (*wanted == -1) return RespValue{};
    if (std::cmp_greater(*wanted, value_limit)) {
        return fail("an array of " + std::to_string(*wanted) + " values");
    }
    RespValue array{.kind = Kind::array, .text = {}, .items = {}};
    if (*wanted == 0) return array;
    if (open_.size() == depth_limit) {
        return fail("arrays nested deeper than " + std::to_string(depth_limit));
    }
    open_.push_back({std::move(array), static_cast<std::size_t>(*wanted)});
    return std::nullopt;
}

std::optional<RespValue> RespReader::place(RespValue value) {
    while (!open_.empty()) {
        Open& inner = open_.back();
        inner.array.items.push_back(std::move(value));
        if (inner.array.items.size() < inner.wanted) return std::nullopt;
        value = std::move(inner.array);
        open_.pop_back();
    }
    return value;
}

}  // namespace swerve::health
