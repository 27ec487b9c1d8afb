// swerved: the daemon.

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>

#include "daemon/descriptor_sink.hpp"
#include "daemon/run.hpp"
#include "daemon/secrecy.hpp"
#include "swerve/conf/load.hpp"

namespace {

// DESIGN.md §6.
constexpr int exit_usage = 2;
constexpr int exit_config = 4;

struct Arguments {
    std::string file;
    bool check = false;
    std::string log_level = "info";
};

int start(const Arguments& arguments) {
    // A reload names the file anew, wherever the process stands by then; a check names it as asked.
    const std::string file =
        arguments.check ? arguments.file : std::filesystem::absolute(arguments.file).string();
    const auto config = swerve::conf::load(file);
    if (!config) {
        for (const auto& fault : config.error()) {
            std::fprintf(stderr, "%s\n", fault.to_string().c_str());
        }
        return exit_config;
    }
    for (const auto& warning : (*config)->warnings) {
        std::fprintf(stderr, "%s\n", warning.to_string().c_str());
    }
    if (arguments.check) {
        std::printf("%s: valid (site %s: neighbors %zu, checks %zu, services %zu)\n",
                    arguments.file.c_str(), (*config)->site.c_str(), (*config)->neighbors.size(),
                    (*config)->checks.size(), (*config)->services.size());
        return EXIT_SUCCESS;
    }
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(
        "swerved", std::make_shared<swerve::daemon::DescriptorSink>(STDERR_FILENO)));
    spdlog::set_level(spdlog::level::from_str(arguments.log_level));
    spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
    return swerve::daemon::run(*config);
}

}  // namespace

int main(int argc, char** argv) {
    Arguments arguments;
    CLI::App app{
        "swerved announces a site's prefixes over BGP while the site can serve them, and withdraws "
        "them when it cannot.\n"
        "It runs in the foreground and logs to standard error. SIGTERM withdraws, waits for "
        "acknowledgement and exits; SIGHUP applies what changed in FILE."};
    app.set_version_flag("--version", "swerved " SWERVE_VERSION);
    app.add_option("FILE", arguments.file, "configuration (YAML)")->required();
    app.add_flag("--check", arguments.check,
                 "validate FILE, print every fault as file:line:column, and exit: 0 valid, 4 not");
    app.add_option("--log-level", arguments.log_level, "debug, info, warning, error or critical")
        ->check(CLI::IsMember({"debug", "info", "warning", "error", "critical"}))
        ->capture_default_str();
    try {
        app.parse(argc, argv);
        // The configuration brings the first secrets.
        if (const auto fault = swerve::daemon::forbid_core_dumps()) {
            std::fprintf(stderr, "swerved: %s\n", fault->c_str());
            return EXIT_FAILURE;
        }
        return start(arguments);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? EXIT_SUCCESS : exit_usage;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "swerved: %s\n", error.what());
        return EXIT_FAILURE;
    }
}
