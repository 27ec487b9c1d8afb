#include "tools/swervectl/faults.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <vector>

#include "swerve/base/escape.hpp"
#include "tools/swervectl/answer.hpp"

namespace swerve::ctl {

namespace json = boost::json;

namespace {

/// Lines of the files that diagnostics point into, read once each.
class Sources {
public:
    std::string line(const std::string& file, int number) {
        auto [found, fresh] = lines_.try_emplace(file);
        if (fresh) {
            std::ifstream in{file};
            for (std::string text; std::getline(in, text);) found->second.push_back(text);
        }
        const auto index = static_cast<std::size_t>(number) - 1;
        return number < 1 || index >= found->second.size() ? "" : found->second[index];
    }

private:
    std::map<std::string, std::vector<std::string>> lines_;
};

/// The source line and a caret under the column; of a long line the part around it.
std::string excerpt(std::string line, int column) {
    constexpr std::size_t shown = 100;
    auto at = static_cast<std::size_t>(std::max(column, 1)) - 1;
    // A control character takes one column, as it does in the editor's count.
    std::ranges::replace_if(
        line, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
    if (line.size() > shown) {
        const std::size_t first = at > shown / 2 ? std::min(at, line.size()) - shown / 2 : 0;
        line = line.substr(first, shown);
        at -= std::min(first, at);
    }
    at = std::min(at, line.size());
    const auto columns = static_cast<std::size_t>(
        std::count_if(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(at),
                      [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
    return fmt::format("    {}\n    {}^\n", escape(line), std::string(columns, ' '));
}

/// Of an answer that does not say how many faults a line stands for, each is one.
std::size_t count_at(const json::object& fault) {
    return static_cast<std::size_t>(std::clamp(number_at(fault, "count").value_or(1), 1.0, 1e9));
}

int place_at(const json::object& fault, std::string_view key) {
    return static_cast<int>(std::clamp(number_at(fault, key).value_or(0), 0.0, 1e9));
}

}  // namespace

std::string faults_text(const conf::Diagnostics& faults) {
    Sources sources;
    std::string out;
    for (const conf::Diagnostic& fault : faults) {
        out += fault.to_string() + "\n";
        const std::string line = sources.line(fault.file, fault.line);
        if (!line.empty()) out += excerpt(line, fault.column);
    }
    return out;
}

json::array to_json(const conf::Diagnostics& faults) {
    json::array out;
    for (const conf::Diagnostic& fault : faults) {
        out.push_back({{"file", fault.file},
                       {"line", fault.line},
                       {"column", fault.column},
                       {"path", fault.path},
                       {"message", fault.message},
                       {"hint", fault.hint},
                       {"count", fault.count},
                       {"severity", to_string(fault.severity)}});
    }
    return out;
}

conf::Diagnostics faults_from(const json::object& error) {
    conf::Diagnostics out;
    for (const json::object& fault : objects_at(error, "diagnostics")) {
        out.push_back({.file = raw_at(fault, "file"),
                       .line = place_at(fault, "line"),
                       .column = place_at(fault, "column"),
                       .path = raw_at(fault, "path"),
                       .message = raw_at(fault, "message"),
                       .hint = raw_at(fault, "hint"),
                       .count = count_at(fault),
                       .severity = text_at(fault, "severity") == "warning"
                                       ? conf::Severity::warning
                                       : conf::Severity::error});
    }
    return out;
}

std::string plural(std::size_t count, std::string_view one, std::string_view many) {
    return fmt::format("{} {}", count, count == 1 ? one : many);
}

}  // namespace swerve::ctl
