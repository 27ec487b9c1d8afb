#pragma once
// Pieces of a configuration file, and what loading them gives.

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "swerve/conf/load.hpp"

namespace swerve::conf {

inline const std::string head =
    "site: fra1\n"
    "local_as: 64500\n"
    "router_id: 192.0.2.1\n"
    "owned: [198.51.100.0/24, 10.0.0.0/8, \"2001:db8::/32\"]\n";
inline const std::string neighbors = "neighbors:\n  a: {address: 192.0.2.254, remote_as: 64496}\n";
inline const std::string checks = "checks:\n  web: {tcp: {endpoint: \"198.51.100.1:80\"}}\n";
inline const std::string services =
    "services:\n  portal: {prefixes: [198.51.100.0/24], healthy_when: web}\n";

inline std::string joined(const Diagnostics& faults) {
    std::string out;
    for (const Diagnostic& fault : faults) out += fault.to_string() + "\n";
    return out;
}

inline Diagnostics faults_of(const std::string& text) {
    const auto loaded = load_text(text, "swerve.yaml");
    return loaded ? Diagnostics{} : loaded.error();
}

inline Config config_of(const std::string& text) {
    const auto loaded = load_text(text, "swerve.yaml");
    if (!loaded) FAIL(joined(loaded.error()));
    return **loaded;
}

/// A directory of one test, gone with it.
class Scratch {
public:
    Scratch() {
        std::string pattern = (std::filesystem::temp_directory_path() / "swerve-XXXXXX").string();
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() { std::filesystem::remove_all(path_); }

    std::string write(const std::string& name, const std::string& content) const {
        std::ofstream{path_ / name, std::ios::binary} << content;
        return (path_ / name).string();
    }

private:
    std::filesystem::path path_;
};

}  // namespace swerve::conf
