#include "conf/prefix_table.hpp"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <span>
#include <tuple>

#include "conf/files.hpp"
#include "swerve/conf/load.hpp"

namespace swerve::conf {

namespace {

/// Sorted, and without those that another one covers: then only the last one that is not greater
/// than a prefix can contain it.
std::vector<Prefix> without_covered(std::vector<Prefix> prefixes) {
    std::ranges::sort(prefixes);
    std::vector<Prefix> out;
    for (const Prefix& prefix : prefixes) {
        if (out.empty() || !out.back().contains(prefix)) out.push_back(prefix);
    }
    return out;
}

bool is_within(const std::vector<Prefix>& owned, const Prefix& prefix) {
    const auto behind = std::ranges::upper_bound(owned, prefix);
    return behind != owned.begin() && std::prev(behind)->contains(prefix);
}

std::string_view trimmed(std::string_view line) {
    line = line.substr(0, line.find('#'));
    const auto first = line.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) return {};
    return line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
}

}  // namespace

std::string PrefixTable::read(const Section& service) {
    const YamlNode* list = service.find("prefixes");
    const auto file = service.get<std::string>("prefixes_file");
    const bool misspelt = !faults_->sound(service.path_of("prefixes")) ||
                          !faults_->sound(service.path_of("prefixes_file"));
    sources_.push_back({service.path_of("prefixes"), service.node().place, nullptr, {}});
    if (list != nullptr && service.has("prefixes_file")) {
        service.fault("prefixes_file", "stands beside prefixes", "give one of the two");
        return {};
    }
    if (list != nullptr) {
        read_list(service);
    } else if (file) {
        read_file(service, *file);
    } else if (!misspelt && service.node().kind == YamlNode::Kind::map &&
               faults_->sound(service.path())) {
        service.missing("prefixes", "name prefixes, or a prefixes_file");
    }
    return sources_.back().file;
}

void PrefixTable::read_list(const Section& service) {
    static const Key& key = *find_key(find_key(schema(), "services")->members, "prefixes");
    const YamlNode& list = *service.find("prefixes");
    Source& source = sources_.back();
    source.place = list.place;
    if (!expect(*faults_, list, source.path, YamlNode::Kind::list)) return;
    source.list = &list;
    if (list.items.empty()) service.fault("prefixes", "has no members");
    for (std::uint32_t i = 0; i < list.items.size() && !full_; ++i) {
        const auto value =
            read_value(*faults_, key, list.items[i], source.path + "[" + std::to_string(i) + "]");
        if (value) add(std::get<Prefix>(*value), i, 0);
    }
}

void PrefixTable::read_file(const Section& service, const std::string& given) {
    const std::filesystem::path path = std::filesystem::path{directory_} / given;
    Source& source = sources_.back();
    source.path = service.path_of("prefixes_file");
    source.place = service.find("prefixes_file")->place;
    source.file = path.lexically_normal().string();
    if (full_) return;
    const auto text = read_text(source.file, max_prefixes_file_octets);
    if (!text) {
        service.fault("prefixes_file", quote(source.file) + " " + text.error());
        return;
    }
    // A table of numbers, UTF-16 or a binary: one line instead of a hundred.
    if (const std::size_t zero = text->find('\0'); zero != std::string::npos) {
        const auto before = text->begin() + static_cast<std::ptrdiff_t>(zero);
        const auto line = std::count(text->begin(), before, '\n') + 1;
        const std::size_t line_start = text->rfind('\n', zero) + 1;
        faults_->distrust(source.path);
        faults_->add_elsewhere(
            source.place,
            {source.file, static_cast<int>(line), static_cast<int>(zero - line_start) + 1,
             source.path, "holds a zero octet", "prefixes are written as text, in UTF-8"});
        return;
    }
    const std::size_t before = listed_.size();
    read_lines(*text);
    if (listed_.size() == before && faults_->sound(source.path)) {
        service.fault("prefixes_file", quote(source.file) + " holds no prefixes");
    }
}

void PrefixTable::read_lines(std::string_view text) {
    static constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
    const Source& source = sources_.back();
    const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
    listed_.reserve(listed_.size() + std::min(lines, max_prefixes));
    std::size_t bad = 0;
    std::uint32_t number = 0;
    for (std::size_t begin = 0; begin < text.size() && !full_;) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        const std::string_view line = text.substr(begin, end - begin);
        const std::string_view word = trimmed(line);
        begin = end + 1;
        ++number;
        if (word.empty()) continue;
        const auto column = static_cast<std::size_t>(word.data() - line.data()) + 1;
        const auto parsed = parse_prefix(word);
        if (parsed) {
            add(*parsed, number, column);
        } else if (bad++ < max_diagnostics) {
            faults_->add_elsewhere(source.place,
                                   {source.file, static_cast<int>(number), static_cast<int>(column),
                                    source.path, parsed.error().message, parsed.error().hint});
        }
    }
    if (bad > 0) faults_->distrust(source.path);
    if (bad > max_diagnostics) faults_->add_unlisted(bad - max_diagnostics);
}

void PrefixTable::add(const Prefix& prefix, std::uint32_t position, std::size_t column) {
    const std::size_t most = std::numeric_limits<std::uint16_t>::max();
    const Listed listed{prefix, static_cast<std::uint16_t>(std::min(column, most)),
                        static_cast<std::uint32_t>(sources_.size() - 1), position};
    full_ = listed_.size() == max_prefixes;
    if (!full_) return listed_.push_back(listed);
    faults_->distrust(sources_.back().path);
    fault(listed, "more than " + std::to_string(max_prefixes) + " prefixes in all");
}

void PrefixTable::settle(std::vector<Prefix> owned, std::vector<Service>& services) {
    // Nothing can be said about prefixes of which the last ones were not read.
    if (full_) return;
    const std::vector<Prefix> cover = without_covered(std::move(owned));
    std::ranges::sort(listed_, [](const Listed& a, const Listed& b) {
        return std::tie(a.prefix, a.source, a.position) < std::tie(b.prefix, b.source, b.position);
    });
    std::vector<Finding> findings;
    std::uint32_t first = 0;
    for (std::uint32_t i = 0; i < listed_.size(); ++i) {
        if (listed_[i].prefix != listed_[first].prefix) first = i;
        if (i != first) {
            findings.push_back({i, first});
        } else if (!cover.empty() && !is_within(cover, listed_[i].prefix)) {
            findings.push_back({i, i});
        }
    }
    report(findings);
    hand_out(services);
}

void PrefixTable::hand_out(std::vector<Service>& services) {
    const auto key = [](const Listed& listed) { return std::tie(listed.source, listed.prefix); };
    std::ranges::sort(listed_, {}, key);
    const auto repeated = std::ranges::unique(listed_, {}, key);
    listed_.erase(repeated.begin(), repeated.end());
    std::vector<std::size_t> counts(sources_.size());
    std::vector<Prefix> prefixes;
    prefixes.reserve(listed_.size());
    for (const Listed& listed : listed_) {
        ++counts[listed.source];
        prefixes.push_back(listed.prefix);
    }
    // There may be millions: what was read is gone before the blocks are made.
    listed_ = {};
    std::span<const Prefix> rest{prefixes};
    for (std::size_t i = 0; i < counts.size(); ++i) {
        services[i].prefixes = blocks_of(rest.first(counts[i]));
        rest = rest.subspan(counts[i]);
    }
}

void PrefixTable::report(const std::vector<Finding>& findings) {
    std::vector<Finding> in_order = findings;
    std::ranges::sort(in_order, [this](const Finding& a, const Finding& b) {
        const Listed& left = listed_[a.listed];
        const Listed& right = listed_[b.listed];
        return std::tie(left.source, left.position) < std::tie(right.source, right.position);
    });
    std::map<std::uint32_t, std::size_t> counts;
    for (const Finding& finding : in_order) {
        const Listed& listed = listed_[finding.listed];
        if (counts[listed.source]++ >= max_diagnostics) {
            faults_->add_unlisted(1);
        } else if (finding.first == finding.listed) {
            fault(listed, quote(listed.prefix.to_string()) + " lies outside owned",
                  "only what owned covers can be announced");
        } else {
            fault(listed, quote(listed.prefix.to_string()) + " is given twice",
                  "the first one is at " + whereabouts(listed_[finding.first]));
        }
    }
}

std::string PrefixTable::whereabouts(const Listed& listed) const {
    const Source& source = sources_[listed.source];
    if (source.list == nullptr) return source.file + ":" + std::to_string(listed.position);
    return faults_->where(source.list->items[listed.position].place) + " in " + source.path;
}

void PrefixTable::fault(const Listed& listed, std::string message, std::string hint) {
    const Source& source = sources_[listed.source];
    if (source.list != nullptr) {
        faults_->add(source.list->items[listed.position].place,
                     source.path + "[" + std::to_string(listed.position) + "]", std::move(message),
                     std::move(hint));
        return;
    }
    faults_->add_elsewhere(
        source.place, {source.file, static_cast<int>(listed.position), listed.column, source.path,
                       std::move(message), std::move(hint)});
}

}  // namespace swerve::conf
