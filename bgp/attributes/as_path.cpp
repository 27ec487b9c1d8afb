// AS_PATH and AS4_PATH: values, text, and the four-octet path behind a two-octet peer (RFC 6793).

#include <algorithm>

#include "bgp/attributes/row.hpp"

namespace swerve::bgp {

namespace {

constexpr std::size_t most_in_segment = 255;

/// Segment types as they stand on the wire, the confederation ones of RFC 5065 included.
constexpr std::uint8_t set_type = 1;
constexpr std::uint8_t sequence_type = 2;
constexpr std::uint8_t confed_sequence_type = 3;
constexpr std::uint8_t confed_set_type = 4;

using Segments = std::vector<AsPathSegment>;

/// Reads the numbers of one segment; empty when one of them is AS 0 or they overrun the value.
std::vector<Asn> read_asns(Reader& reader, std::size_t count, bool four_octet) {
    std::vector<Asn> out;
    const auto octets = reader.take(count * (four_octet ? 4 : 2));
    if (!octets) return out;
    out.reserve(count);
    Reader numbers{*octets};
    while (!numbers.empty()) {
        const std::uint32_t number =
            four_octet ? numbers.u32().value_or(0) : numbers.u16().value_or(0);
        const auto as = Asn::from(number);
        if (!as) return {};  // RFC 7607 §2
        out.push_back(*as);
    }
    return out;
}

/// RFC 7606 §7.2, with RFC 9774 §3: nothing but AS_SEQUENCE is a sound path. With `skip_confed`
/// confederation segments are passed over (RFC 6793 §6).
std::string_view read_segments(ByteView value, bool four_octet, bool skip_confed, Segments& out) {
    Reader reader{value};
    while (!reader.empty()) {
        const auto type = reader.u8();
        const auto count = reader.u8();
        if (!type || !count || *count == 0) return "segment without a number";
        const bool confed = *type == confed_sequence_type || *type == confed_set_type;
        if (*type != sequence_type && !(confed && skip_confed)) return "segment is no AS_SEQUENCE";
        auto asns = read_asns(reader, *count, four_octet);
        if (asns.empty()) return "segment overruns the attribute or holds AS 0";
        if (confed) continue;
        out.push_back(AsPathSegment{AsPathSegment::Type::as_sequence, std::move(asns)});
    }
    return {};
}

/// Whether a sound or unsound path of four-octet numbers names a set: as far as it can be read.
bool holds_set(ByteView value) {
    Reader reader{value};
    while (!reader.empty()) {
        const auto type = reader.u8();
        if (type == set_type || type == confed_set_type) return true;
        const auto count = reader.u8();
        if (!count || !reader.take(*count * std::size_t{4})) break;
    }
    return false;
}

/// A segment longer than its count octet allows becomes several (RFC 4271 §5.1.2).
void write_segments(const Segments& segments, bool four_octet, Bytes& out) {
    Writer writer{out};
    for (const AsPathSegment& segment : segments) {
        for (std::size_t from = 0; from < segment.asns.size(); from += most_in_segment) {
            const std::size_t count = std::min(most_in_segment, segment.asns.size() - from);
            writer.u8(static_cast<std::uint8_t>(segment.type));
            writer.u8(static_cast<std::uint8_t>(count));
            for (std::size_t i = from; i < from + count; ++i) {
                const Asn as = segment.asns[i];
                if (four_octet) {
                    writer.u32(as.value());
                } else {
                    writer.u16(as.fits_two_octets() ? static_cast<std::uint16_t>(as.value())
                                                    : Asn::trans);
                }
            }
        }
    }
}

bool needs_as4_path(const AsPath& path) {
    return std::ranges::any_of(path.segments, [](const AsPathSegment& segment) {
        return std::ranges::any_of(segment.asns, [](Asn as) { return !as.fits_two_octets(); });
    });
}

}  // namespace

std::size_t AsPath::length() const {
    std::size_t hops = 0;
    for (const AsPathSegment& segment : segments) {
        hops += segment.type == AsPathSegment::Type::as_set ? 1 : segment.asns.size();
    }
    return hops;
}

bool AsPath::contains(Asn asn) const {
    return std::ranges::any_of(segments, [&](const AsPathSegment& segment) {
        return std::ranges::find(segment.asns, asn) != segment.asns.end();
    });
}

std::optional<Asn> AsPath::first() const {
    if (segments.empty() || segments.front().asns.empty() ||
        segments.front().type != AsPathSegment::Type::as_sequence) {
        return std::nullopt;
    }
    return segments.front().asns.front();
}

std::string AsPath::to_string() const {
    std::string out;
    for (const AsPathSegment& segment : segments) {
        const bool set = segment.type == AsPathSegment::Type::as_set;
        if (!out.empty()) out += ' ';
        if (set) out += '{';
        for (std::size_t i = 0; i < segment.asns.size(); ++i) {
            if (i > 0) out += ' ';
            out += segment.asns[i].to_string();
        }
        if (set) out += '}';
    }
    return out;
}

std::string_view decode_as_path(ByteView value, const AttributeContext& context,
                                DecodedAttributes& out) {
    // RFC 4271 §5.1.2: an external peer puts its own AS into the path, so that only an internal one
    // has reason to send none.
    if (value.empty() && !context.internal) return "empty from an external peer";
    Segments segments;
    const auto fault = read_segments(value, context.four_octet_as, false, segments);
    if (fault.empty()) out.path.as_path.segments = std::move(segments);
    return fault;
}

std::string_view decode_as4_path(ByteView value, const AttributeContext&, DecodedAttributes& out) {
    if (value.empty()) return "empty";
    out.set_in_as4_path = holds_set(value);
    Segments segments;
    const auto fault = read_segments(value, true, true, segments);
    if (fault.empty()) out.as4_path = std::move(segments);
    return fault;
}

bool encode_as_path(const EncodeInput& input, Bytes& out) {
    write_segments(input.path.as_path.segments, input.context.four_octet_as, out);
    return true;
}

bool encode_as4_path(const EncodeInput& input, Bytes& out) {
    // RFC 6793 §4.2.2: only towards a two-octet peer, and only when the AS_PATH had to lie.
    if (input.context.four_octet_as || !needs_as4_path(input.path.as_path)) return false;
    write_segments(input.path.as_path.segments, true, out);
    return true;
}

void merge_as4(DecodedAttributes& attributes) {
    auto& aggregator = attributes.path.aggregator;
    if (aggregator && attributes.as4_aggregator) {
        // Of the two the plain one is newer when it names its AS outright: a speaker that does not
        // know the AS4_ attributes has set it, and both of them are stale.
        if (aggregator->as.value() != Asn::trans) return;
        aggregator = attributes.as4_aggregator;
    }
    if (!attributes.as4_path) return;
    AsPath tail{std::move(*attributes.as4_path)};
    AsPath& path = attributes.path.as_path;
    if (path.length() < tail.length()) return;
    // What the two-octet speakers on the way prepended stands in AS_PATH only.
    std::size_t lead = path.length() - tail.length();
    Segments merged;
    for (AsPathSegment& segment : path.segments) {
        if (lead == 0) break;
        const std::size_t kept = std::min(lead, segment.asns.size());
        segment.asns.erase(segment.asns.begin() + static_cast<std::ptrdiff_t>(kept),
                           segment.asns.end());
        lead -= segment.asns.size();
        merged.push_back(std::move(segment));
    }
    for (AsPathSegment& segment : tail.segments) {
        if (!merged.empty() && merged.back().asns.size() + segment.asns.size() <= most_in_segment) {
            auto& asns = merged.back().asns;
            asns.insert(asns.end(), segment.asns.begin(), segment.asns.end());
        } else {
            merged.push_back(std::move(segment));
        }
    }
    path.segments = std::move(merged);
}

}  // namespace swerve::bgp
