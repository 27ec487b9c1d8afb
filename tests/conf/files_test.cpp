// Every file in tests/conf/good, tests/conf/bad and conf/examples is a test.

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "swerve/conf/load.hpp"
#include "swerve/health/probe_fields.hpp"

namespace swerve::conf {
namespace {

namespace fs = std::filesystem;

const fs::path root{SWERVE_SOURCE_DIR};

std::vector<fs::path> files_in(const fs::path& directory) {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(root / directory)) {
        if (entry.path().extension() == ".yaml") files.push_back(entry.path());
    }
    std::ranges::sort(files);
    return files;
}

std::string content_of(const fs::path& file) {
    std::ifstream in{file, std::ios::binary};
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}

std::string without(std::string text, const std::string& part) {
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part)) {
        text.erase(at, part.size());
    }
    return text;
}

/// "address consul exec …", as hints list the probes.
std::string all_probes() {
    std::string out;
    for (const health::ProbeType& type : health::probe_types()) {
        out += (out.empty() ? "" : " ") + std::string{type.name};
    }
    return out;
}

/// The lines behind "# expect: "; {probes} in them stands for the names of all probes.
std::vector<std::string> expected_of(const fs::path& file) {
    static const std::string mark = "# expect: ";
    static const std::string all = "{probes}";
    std::istringstream in{content_of(file)};
    std::vector<std::string> out;
    for (std::string line; std::getline(in, line);) {
        if (!line.starts_with(mark)) continue;
        if (const auto at = line.find(all); at != std::string::npos) {
            line.replace(at, all.size(), all_probes());
        }
        out.push_back(line.substr(mark.size()));
    }
    return out;
}

/// Diagnostics as they stand in "# expect: ": the directory and the file's own name left out.
std::vector<std::string> found_in(const fs::path& file) {
    std::vector<std::string> out;
    const auto loaded = load(file.string());
    if (loaded) return out;
    for (const Diagnostic& diagnostic : loaded.error()) {
        const std::string line = without(diagnostic.to_string(), file.parent_path().string() + "/");
        const std::string own = file.filename().string() + ":";
        out.push_back(line.starts_with(own) ? line.substr(own.size()) : line);
    }
    return out;
}

std::string lines(const std::vector<std::string>& members) {
    std::string out;
    for (const std::string& member : members) out += "# expect: " + member + "\n";
    return out;
}

TEST_CASE("load: every bad file gets exactly the diagnostics it names") {
    for (const auto& file : files_in("tests/conf/bad")) {
        CAPTURE(file.filename().string());
        CHECK(lines(found_in(file)) == lines(expected_of(file)));
        CHECK_FALSE(expected_of(file).empty());
    }
}

TEST_CASE("load: every good file and every example is accepted, and its print is equal to it") {
    auto files = files_in("tests/conf/good");
    std::ranges::copy(files_in("conf/examples"), std::back_inserter(files));
    std::ranges::copy(files_in("conf/examples/checks"), std::back_inserter(files));
    CHECK(files.size() >= 6);
    for (const auto& file : files) {
        CAPTURE(file.string());
        const auto loaded = load(file.string());
        CHECK(lines(found_in(file)).empty());
        if (!loaded) continue;
        const std::string printed = print(**loaded);
        CAPTURE(printed);
        const auto again = load_text(printed, "/nowhere/printed.yaml");
        REQUIRE(again);
        CHECK(**again == **loaded);
        CHECK(print(**again) == printed);
    }
}

fs::path example_of(std::string_view probe) {
    return root / "conf" / "examples" / "checks" / (std::string{probe} + ".yaml");
}

TEST_CASE("checks: every probe has an example, which uses it and says what its results mean") {
    for (const health::ProbeType& type : health::probe_types()) {
        const std::string name{type.name};
        const fs::path file = example_of(name);
        INFO("the probe `" << name << "` needs its example in conf/examples/checks/" << name
                           << ".yaml; those beside it show the form");
        CHECK(fs::exists(file));
        if (!fs::exists(file)) continue;
        const std::string text = content_of(file);
        for (const std::string mark : {"# pass: ", "# fail: ", "# unknown: "}) {
            INFO("without a line that begins with '" << mark << "'");
            CHECK((text.starts_with(mark) || text.contains("\n" + mark)));
        }
        const auto loaded = load(file.string());
        CHECK(lines(found_in(file)).empty());
        if (!loaded) continue;
        CHECK(std::ranges::any_of((*loaded)->checks,
                                  [&](const Check& check) { return check.probe.type == name; }));
    }
}

TEST_CASE("checks: the page is up to date") {
    const std::string made =
        checks_page([](std::string_view probe) { return content_of(example_of(probe)); });
    const fs::path page = root / "docs" / "checks.md";
    if (std::getenv("SWERVE_WRITE_REFERENCE") != nullptr) {
        std::ofstream{page, std::ios::binary} << made;
    }
    INFO("write it anew: SWERVE_WRITE_REFERENCE=1 conf_test -tc='checks: the page*'");
    CHECK(content_of(page) == made);
}

TEST_CASE("reference: the page is up to date") {
    const fs::path page = root / "docs" / "configuration.md";
    if (std::getenv("SWERVE_WRITE_REFERENCE") != nullptr) {
        std::ofstream{page, std::ios::binary} << reference();
    }
    INFO("write it anew: SWERVE_WRITE_REFERENCE=1 conf_test -tc='reference: the page*'");
    CHECK(content_of(page) == reference());
}

}  // namespace
}  // namespace swerve::conf
