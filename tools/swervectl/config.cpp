#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <fstream>
#include <map>
#include <vector>

#include "swerve/base/escape.hpp"
#include "swerve/conf/load.hpp"
#include "tools/swervectl/commands.hpp"

namespace swerve::ctl {

namespace json = boost::json;

namespace {

std::string plural(std::size_t count, std::string_view one, std::string_view many) {
    return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::size_t prefix_count(const conf::Config& config) {
    std::size_t sum = 0;
    for (const conf::Service& service : config.services) sum += conf::count_prefixes(service);
    return sum;
}

std::string summary(const conf::Config& config) {
    std::string out = fmt::format("site {}, AS{}", config.site, config.local_as.value());
    if (config.collector) return out + ", a collector";
    return fmt::format("{}, {}, {}, {}, {}", out,
                       plural(config.neighbors.size(), "neighbor", "neighbors"),
                       plural(config.checks.size(), "check", "checks"),
                       plural(config.services.size(), "service", "services"),
                       plural(prefix_count(config), "prefix", "prefixes"));
}

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

void print_faults(const conf::Diagnostics& faults, const std::string& file) {
    Sources sources;
    for (const conf::Diagnostic& fault : faults) {
        std::string out = fault.to_string() + "\n";
        const std::string line = sources.line(fault.file, fault.line);
        if (!line.empty()) out += excerpt(line, fault.column);
        std::fputs(out.c_str(), stdout);
    }
    fmt::print("{}: {}\n", file, plural(faults.size(), "error", "errors"));
}

json::array to_json(const conf::Diagnostics& faults) {
    json::array out;
    for (const conf::Diagnostic& fault : faults) {
        out.push_back({{"file", fault.file},
                       {"line", fault.line},
                       {"column", fault.column},
                       {"path", fault.path},
                       {"message", fault.message},
                       {"hint", fault.hint}});
    }
    return out;
}

}  // namespace

Outcome<Exit> check_configuration(const Context& context, const std::string& file) {
    const auto loaded = conf::load(file);
    const conf::Diagnostics faults = loaded ? conf::Diagnostics{} : loaded.error();
    if (context.json) {
        json::object out = document("swerve.config_check/1");
        out["file"] = file;
        out["valid"] = loaded.has_value();
        out["summary"] = loaded ? json::value(summary(**loaded)) : json::value(nullptr);
        out["diagnostics"] = to_json(faults);
        print_json(json::serialize(out));
    } else if (loaded) {
        fmt::print("{}: ok: {}\n", file, summary(**loaded));
    } else {
        print_faults(faults, file);
    }
    return loaded ? Exit::done : Exit::invalid_configuration;
}

}  // namespace swerve::ctl
