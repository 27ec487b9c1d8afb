#pragma once
// Real PostgreSQL servers on loopback, primaries and standbys.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/probes/support.hpp"

namespace swerve::health::testing {

/// Whether there is a PostgreSQL 15 to run, and somebody other than root to run it as; says so if
/// not.
[[nodiscard]] bool has_postgres();

/// One server in the foreground. The role `swerve` may log in with the password in file("password")
/// and is a member of pg_monitor; `plain` is not. Either may update the table heartbeat, which has
/// one row.
class Postgres {
public:
    /// A primary of its own.
    Postgres();
    /// A standby of `primary` that streams under `name`.
    Postgres(const Postgres& primary, const std::string& name);
    ~Postgres();
    Postgres(const Postgres&) = delete;
    Postgres& operator=(const Postgres&) = delete;

    void start();
    /// At once, as a crash would, but with its memory given back.
    void stop();
    /// Takes sessions over TLS, too, with this certificate.
    void serve_tls(const std::string& certificate, const std::string& key) const;
    void signal(int number) const { process_->signal(number); }

    /// What the statement gives, as psql shows it without frames; asked by the superuser.
    std::string sql(const std::string& statement) const;
    /// Sets a parameter for good and waits until sessions see it.
    void set(const std::string& name, const std::string& value) const;
    /// psql with a statement that is not waited for.
    [[nodiscard]] std::unique_ptr<Child> psql(const std::string& statement,
                                              const std::string& out = "/dev/null") const;
    /// Asks until the answer is "t".
    [[nodiscard]] bool becomes_true(const std::string& question) const;

    [[nodiscard]] Endpoint endpoint() const { return {Address::v4(0x7f000001), port_}; }
    [[nodiscard]] std::string directory() const { return dir_.file("."); }
    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] std::string file(std::string_view name) const { return dir_.file(name); }
    /// Keys of a check by `swerve`, with `more` over them.
    [[nodiscard]] FieldMap check(FieldMap more = {}) const;

private:
    void prepare();
    bool started();
    [[nodiscard]] std::string data() const { return dir_.file("data"); }

    TempDir dir_;
    std::uint16_t port_ = free_port();
    std::string name_ = "primary";
    std::unique_ptr<Child> process_;
    bool was_started_ = false;
};

/// The primary that tests share, and its standby "near".
struct PostgresPair {
    Postgres primary;
    Postgres near{primary, "near"};

    static PostgresPair& shared();
};

/// The worker processes that this one has.
[[nodiscard]] std::vector<int> postgres_workers();

}  // namespace swerve::health::testing
