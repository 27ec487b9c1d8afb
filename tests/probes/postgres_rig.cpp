#include "tests/probes/postgres_rig.hpp"

#include <doctest/doctest.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>

#include "swerve/base/clock.hpp"
#include "tests/support/skipped.hpp"

namespace swerve::health::testing {
namespace {

using namespace std::chrono_literals;

constexpr const char* programs = "/usr/lib/postgresql/15/bin/";

/// The command as somebody other than root, whom PostgreSQL refuses to serve.
std::vector<std::string> as_postgres(std::vector<std::string> command) {
    command[0] = programs + command[0];
    if (::geteuid() != 0) return command;
    command.insert(command.begin(),
                   {"setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"});
    return command;
}

std::string content_of(const std::string& file) {
    std::ostringstream out;
    out << std::ifstream(file).rdbuf();
    return out.str();
}

}  // namespace

bool has_postgres() {
    const bool is_installed = ::access((std::string{programs} + "postgres").c_str(), X_OK) == 0;
    const bool has_user = ::geteuid() != 0 || ::getpwnam("postgres") != nullptr;
    if (!is_installed || !has_user) swerve::testing::skipped("there is no PostgreSQL 15 to run");
    return is_installed && has_user;
}

void Postgres::prepare() {
    REQUIRE(::chmod(dir_.file(".").c_str(), 0755) == 0);
    REQUIRE(::mkdir(data().c_str(), 0700) == 0);
    dir_.write("password", "geheim\n");
    dir_.write("wrong", "falsch\n");
    for (const char* secret : {"password", "wrong"}) ::chmod(dir_.file(secret).c_str(), 0600);
    if (::geteuid() != 0) return;
    const auto* user = ::getpwnam("postgres");
    for (const std::string& file : {data(), dir_.file(".")}) {
        REQUIRE(::chown(file.c_str(), user->pw_uid, user->pw_gid) == 0);
    }
}

Postgres::Postgres() {
    prepare();
    REQUIRE(run_program(
                as_postgres({"initdb", "--pgdata", data(), "--no-sync", "--username", "postgres",
                             "--auth", "trust", "--locale", "C", "--encoding", "UTF8"})) == 0);
    std::ofstream(data() + "/pg_hba.conf") << "local all all trust\n"
                                              "local replication all trust\n"
                                              "host all all 127.0.0.1/32 scram-sha-256\n";
    std::ofstream(data() + "/postgresql.auto.conf", std::ios::app)
        << "password_encryption = 'scram-sha-256'\n";
    start();
    (void)sql(
        "CREATE ROLE swerve LOGIN PASSWORD 'geheim'; CREATE ROLE plain LOGIN PASSWORD 'geheim'; "
        "GRANT pg_monitor TO swerve; CREATE TABLE heartbeat (beat timestamptz); "
        "INSERT INTO heartbeat VALUES (NULL); CREATE TABLE empty (beat timestamptz); CREATE TABLE "
        "locked (beat timestamptz); "
        "GRANT UPDATE ON heartbeat, empty TO swerve, plain; "
        "CREATE TABLE load (line text);");
}

Postgres::Postgres(const Postgres& primary, const std::string& name) : name_(name) {
    prepare();
    REQUIRE(run_program(
                as_postgres({"pg_basebackup", "--pgdata", data(), "--host", primary.directory(),
                             "--port", std::to_string(primary.port()), "--username", "postgres",
                             "--write-recovery-conf", "--checkpoint", "fast", "--no-sync"})) == 0);
    start();
}

Postgres::~Postgres() {
    if (process_) stop();
}

void Postgres::start() {
    // Somebody else may have taken the port since it was found free; then it ends at once.
    const bool is_first = !was_started_;
    for (int tries = 0; tries < 3 && !started(); ++tries) {
        if (is_first) port_ = free_port();
    }
    was_started_ = true;
    REQUIRE(process_ != nullptr);
}

bool Postgres::started() {
    process_ = std::make_unique<Child>(as_postgres({"postgres",
                                                    "-D",
                                                    data(),
                                                    "-p",
                                                    std::to_string(port_),
                                                    "-k",
                                                    directory(),
                                                    "-c",
                                                    "listen_addresses=127.0.0.1",
                                                    "-c",
                                                    "fsync=off",
                                                    "-c",
                                                    "shared_buffers=8MB",
                                                    "-c",
                                                    "max_connections=12",
                                                    "-c",
                                                    "superuser_reserved_connections=3",
                                                    "-c",
                                                    "autovacuum=off",
                                                    "-c",
                                                    "cluster_name=" + name_,
                                                    "-c",
                                                    "wal_retrieve_retry_interval=100ms",
                                                    "-c",
                                                    "wal_receiver_status_interval=1"}));
    const TimePoint give_up = BootClock::now() + 20s;
    const std::vector<std::string> is_ready{std::string{programs} + "pg_isready", "--host",
                                            directory(), "--port", std::to_string(port_)};
    while (run_program(is_ready) != 0) {
        ::siginfo_t info{};
        const int error = ::waitid(P_PID, static_cast<::id_t>(process_->pid()), &info,
                                   WEXITED | WNOHANG | WNOWAIT);
        const bool has_ended = error != 0 || info.si_pid == process_->pid();
        if (!has_ended && BootClock::now() < give_up) continue;
        process_->signal(SIGQUIT);
        process_->wait();
        process_.reset();
        return false;
    }
    return true;
}

void Postgres::stop() {
    process_->signal(SIGCONT);
    process_->signal(SIGQUIT);
    process_->wait();
    process_.reset();
}

void Postgres::serve_tls(const std::string& certificate, const std::string& key) const {
    for (const auto& [from, name] : {std::pair{certificate, "server.crt"}, {key, "server.key"}}) {
        const std::string file = data() + "/" + name;
        std::filesystem::copy_file(from, file, std::filesystem::copy_options::overwrite_existing);
        REQUIRE(::chmod(file.c_str(), 0600) == 0);
        if (::geteuid() != 0) continue;
        const auto* user = ::getpwnam("postgres");
        REQUIRE(::chown(file.c_str(), user->pw_uid, user->pw_gid) == 0);
    }
    (void)sql("ALTER SYSTEM SET ssl = on");
    (void)sql("SELECT pg_reload_conf()");
    CHECK(becomes_true("current_setting('ssl') = 'on'"));
}

std::unique_ptr<Child> Postgres::psql(const std::string& statement, const std::string& out) const {
    return std::make_unique<Child>(std::vector<std::string>{
        std::string{programs} + "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align",
        "--set", "ON_ERROR_STOP=1", "--host", directory(), "--port", std::to_string(port_),
        "--username", "postgres", "--output", out, "--command", statement, "postgres"});
}

std::string Postgres::sql(const std::string& statement) const {
    const TempDir dir;
    const std::string out = dir.file("out");
    const int code = psql(statement, out)->wait();
    REQUIRE_MESSAGE(code == 0, statement);
    std::string text = content_of(out);
    while (text.ends_with('\n')) text.pop_back();
    return text;
}

bool Postgres::becomes_true(const std::string& question) const {
    const TimePoint give_up = BootClock::now() + 10s;
    while (sql("SELECT (" + question + ")") != "t") {
        if (BootClock::now() > give_up) return false;
    }
    return true;
}

void Postgres::set(const std::string& name, const std::string& value) const {
    (void)sql("ALTER SYSTEM SET " + name + " = '" + value + "'");
    (void)sql("SELECT pg_reload_conf()");
    CHECK(becomes_true("current_setting('" + name + "') = '" + value + "'"));
}

FieldMap Postgres::check(FieldMap more) const {
    more.insert({{"endpoint", {endpoint()}},
                 {"username", text("swerve")},
                 {"password_file", text(file("password"))}});
    return more;
}

PostgresPair& PostgresPair::shared() {
    static PostgresPair pair;
    return pair;
}

std::vector<int> postgres_workers() {
    std::vector<int> out;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
        std::ifstream children(entry.path() / "children");
        for (int pid = 0; children >> pid;) {
            std::string name = content_of("/proc/" + std::to_string(pid) + "/comm");
            if (name == "swerve-postgres\n") out.push_back(pid);
        }
    }
    return out;
}

}  // namespace swerve::health::testing
