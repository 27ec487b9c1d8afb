// What several kinds of objects may say: names of services, and secrets in files of their own.

#include <algorithm>
#include <filesystem>

#include "conf/draft.hpp"
#include "conf/files.hpp"

namespace swerve::conf {

namespace {

/// Why a text is no secret; nothing if it is one. Never says what it holds.
std::optional<Refusal> refuse_secret(std::string_view text, std::size_t most, std::string_view of) {
    if (text.empty()) return Refusal{"holds nothing", {}};
    if (text.size() > most) {
        return Refusal{"holds " + std::to_string(text.size()) + " octets, more than the " +
                           std::to_string(most) + " of " + std::string{of},
                       {}};
    }
    const bool is_printable =
        std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
    if (!is_printable) {
        return Refusal{"holds an octet that is not printable ASCII", "one line, nothing else"};
    }
    if (text.front() == ' ' || text.back() == ' ') {
        return Refusal{"begins or ends with a blank, which nobody would see", "remove it"};
    }
    return std::nullopt;
}

}  // namespace

std::optional<std::vector<failover::ServiceId>> read_service_names(const Section& section,
                                                                   const Names* services) {
    const YamlNode* given = section.find("services");
    const auto words = section.list<std::string>("services");
    if (!words) return std::nullopt;
    std::vector<failover::ServiceId> out;
    if (services == nullptr || words->size() != given->items.size()) return out;
    const std::string path = section.path_of("services");
    for (std::size_t i = 0; i < words->size(); ++i) {
        const std::string item = path + "[" + std::to_string(i) + "]";
        const Place place = given->items[i].place;
        const auto id = resolve(section.faults(), *services, (*words)[i], place, item, "service");
        if (!id) {
            section.faults().distrust(path);
        } else if (std::ranges::find(out, *id) != out.end()) {
            section.faults().add(place, item, quote((*words)[i]) + " is given twice");
        } else {
            out.push_back(*id);
        }
    }
    return out;
}

std::optional<Secret> read_secret(const Section& section, std::string_view key,
                                  const std::string& directory, std::size_t most,
                                  std::string_view of) {
    constexpr std::size_t most_octets = 4096;
    const auto given = section.get<std::string>(key);
    if (!given) return std::nullopt;
    const std::filesystem::path path = std::filesystem::path{directory} / *given;
    std::string file = path.lexically_normal().string();
    const auto text = read_private(file, most_octets);
    if (!text) {
        section.fault(key, quote(file) + " " + text.error());
        return std::nullopt;
    }
    std::string_view line = *text;
    if (line.ends_with('\n')) line.remove_suffix(1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (auto refusal = refuse_secret(line, most, of)) {
        section.fault(key, quote(file) + " " + refusal->message, std::move(refusal->hint));
        return std::nullopt;
    }
    return Secret{std::move(file), std::string{line}};
}

}  // namespace swerve::conf
