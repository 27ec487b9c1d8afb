#include "daemon/operations/control_socket.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/support/http_client.hpp"
#include "tests/support/temporary_directory.hpp"

using swerve::daemon::ControlSocket;
using namespace swerve::test;

TEST_CASE("control socket: a socket that nobody answers on is replaced") {
    const TemporaryDirectory directory;
    const std::string path = directory.path() + "/control.sock";
    const std::string kept = path + ".kept";
    {
        auto dead = ControlSocket::open(path);
        REQUIRE(dead);
        std::filesystem::create_hard_link(path, kept);  // survives as a daemon's that was killed
    }
    std::filesystem::rename(kept, path);
    REQUIRE(std::filesystem::exists(path));
    const auto opened = ControlSocket::open(path);
    CHECK(opened.has_value());
    CHECK(HttpClient{path}.connected());
}

TEST_CASE("control socket: a living owner is named and left alone") {
    const TemporaryDirectory directory;
    const std::string path = directory.path() + "/control.sock";
    const auto first = ControlSocket::open(path);
    REQUIRE(first);
    const auto second = ControlSocket::open(path);
    REQUIRE_FALSE(second);
    CHECK(second.error().find("is in use by process " + std::to_string(::getpid()) + " (") !=
          std::string::npos);
    CHECK(HttpClient{path}.connected());
}

TEST_CASE("control socket: a file that is no socket is left alone") {
    const TemporaryDirectory directory;
    const std::string path = directory.path() + "/control.sock";
    std::ofstream{path} << "precious";
    const auto opened = ControlSocket::open(path);
    REQUIRE_FALSE(opened);
    CHECK(opened.error().find("is not a socket") != std::string::npos);
    CHECK(std::filesystem::file_size(path) == 8);
}

TEST_CASE("control socket: a path of 107 characters is the longest") {
    const TemporaryDirectory directory;
    const std::string base = directory.path() + "/";
    CHECK(ControlSocket::open(base + std::string(107 - base.size(), 's')).has_value());
    const auto longer = ControlSocket::open(base + std::string(108 - base.size(), 's'));
    REQUIRE_FALSE(longer);
    CHECK(longer.error().find("108 characters; a socket path can have 107") != std::string::npos);
}

TEST_CASE("control socket: a directory that cannot be made is named") {
    const TemporaryDirectory directory;
    std::ofstream{directory.path() + "/file"} << "x";
    const auto opened = ControlSocket::open(directory.path() + "/file/run/control.sock");
    REQUIRE_FALSE(opened);
    CHECK(opened.error().find("/file") != std::string::npos);
}

TEST_CASE("control socket: a successor's file is not removed") {
    const TemporaryDirectory directory;
    const std::string path = directory.path() + "/control.sock";
    {
        const auto first = ControlSocket::open(path);
        REQUIRE(first);
        std::filesystem::rename(path, path + ".old");
        std::ofstream{path} << "another's";
    }
    CHECK(std::filesystem::exists(path));
}
