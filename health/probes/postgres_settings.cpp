#include "health/probes/postgres_settings.hpp"

#include <algorithm>
#include <limits>

#include "health/probes/runtime.hpp"
#include "health/probes/tls_client.hpp"

namespace swerve::health {
namespace {

constexpr std::size_t name_limit = 63;  ///< of PostgreSQL's identifiers

constexpr Field postgres_tls_members[] = {
    {.name = "mode",
     .kind = FieldKind::string,
     .fallback = "disable",
     .help = "`disable`, `require` (encrypted, whoever answers) or `verify-full` (the certificate "
             "must be of `ca_file` and for the server)."},
    {.name = "ca_file",
     .kind = FieldKind::absolute_path,
     .help = "PEM file of the authorities to trust, for `verify-full`."},
    {.name = "server_name",
     .kind = FieldKind::string,
     .help = "Name that the certificate must carry; without it, the address."},
};

constexpr Field heartbeat_members[] = {
    {.name = "table",
     .kind = FieldKind::string,
     .required = true,
     .help = "Table of one row with a column `beat timestamptz` that the user may update, as "
             "`swerve.heartbeat`."},
};

constexpr Field fields[] = {
    {.name = "endpoint",
     .kind = FieldKind::endpoint,
     .help = "Address and port of the server; or give `socket_directory`."},
    {.name = "socket_directory",
     .kind = FieldKind::absolute_path,
     .help = "Directory of the server's socket, as /run/postgresql."},
    {.name = "port",
     .kind = FieldKind::integer,
     .fallback = "5432",
     .help = "The number in the name of the server's socket; only with `socket_directory`.",
     .least = 1,
     .most = 65535},
    {.name = "database",
     .kind = FieldKind::string,
     .fallback = "postgres",
     .help = "Database to log in to."},
    {.name = "username", .kind = FieldKind::string, .required = true, .help = "Role to log in as."},
    {.name = "password_file",
     .kind = FieldKind::absolute_path,
     .help = "File with the password, read at every attempt; others than its owner and group must "
             "have no access to it."},
    {.name = "tls",
     .kind = FieldKind::group,
     .help = "Whether and how the connection is encrypted.",
     .members = postgres_tls_members},
    {.name = "role",
     .kind = FieldKind::string,
     .fallback = "any",
     .help = "What the server must be: `primary`, `standby` or `any`."},
    {.name = "writable",
     .kind = FieldKind::boolean,
     .help = "Of a primary: it fails where writing cannot work: read-only, fewer synchronous "
             "standbys than every COMMIT waits for, or a session that waits for one in two "
             "attempts in a row. True unless said otherwise; needs pg_monitor."},
    {.name = "heartbeat",
     .kind = FieldKind::group,
     .help = "Of a primary: the proof that it can be written to, by writing one row at every "
             "attempt.",
     .members = heartbeat_members},
    {.name = "max_lag",
     .kind = FieldKind::duration,
     .help = "Of a standby: how old the newest transaction it has replayed may be. Nothing is "
             "behind when all that was received is replayed and the primary was heard within 45 s, "
             "however long ago the last transaction was. Needs pg_monitor."},
    {.name = "max_lag_bytes",
     .kind = FieldKind::integer,
     .help = "Of a standby: how many bytes of WAL it may have yet to replay. Needs pg_monitor.",
     .least = 0,
     .most = std::numeric_limits<std::int64_t>::max()},
    {.name = "sync_standbys",
     .kind = FieldKind::integer,
     .help = "Of a primary: how many synchronous (or quorum) standbys must be streaming. Needs "
             "pg_monitor.",
     .least = 1,
     .most = 100},
};

using Fault = std::optional<FieldFault>;

FieldFault wrong(std::string path, std::string what, std::string hint) {
    return {std::move(path), std::move(what), std::move(hint)};
}

std::string text_of(const FieldMap& values, std::string_view name, std::string_view fallback = "") {
    const auto* text = get<std::string>(values, name);
    return std::string{text == nullptr ? fallback : *text};
}

Fault read_target(const FieldMap& values, PostgresSettings& out) {
    const auto* endpoint = get<Endpoint>(values, "endpoint");
    const auto* directory = get<std::string>(values, "socket_directory");
    if ((endpoint == nullptr) == (directory == nullptr)) {
        return wrong("endpoint", "one of endpoint and socket_directory must be given",
                     "a server is asked over TCP or over its socket");
    }
    const auto* port = get<std::int64_t>(values, "port");
    out.port = port == nullptr ? 5432 : *port;
    if (directory != nullptr) {
        out.directory = *directory;
        // libpq takes it for a list.
        if (out.directory.contains(',')) {
            return wrong("socket_directory", "has a comma in it, as no list may be given",
                         "name one directory without commas");
        }
        return std::nullopt;
    }
    if (const auto unusable = unusable_target(endpoint->address)) {
        return wrong("endpoint", *unusable, "name the address that clients reach");
    }
    if (endpoint->port == 0) {
        return wrong("endpoint", "port 0 cannot be connected to", "1 to 65535");
    }
    out.endpoint = *endpoint;
    return std::nullopt;
}

Fault read_login(const FieldMap& values, PostgresSettings& out) {
    out.database = text_of(values, "database", "postgres");
    out.username = text_of(values, "username");
    out.password_file = text_of(values, "password_file");
    for (const auto& [key, name] :
         {std::pair{"database", &out.database}, std::pair{"username", &out.username}}) {
        const bool is_name =
            !name->empty() && name->size() <= name_limit && name->find('\0') == std::string::npos;
        if (!is_name) return wrong(key, "is no name of PostgreSQL's", "1 to 63 octets");
    }
    return std::nullopt;
}

Fault read_tls(const FieldMap& values, PostgresSettings& out) {
    static const FieldMap none;
    const auto* given = get<FieldMap>(values, "tls");
    const FieldMap& tls = given == nullptr ? none : *given;
    out.tls_mode = text_of(tls, "mode", "disable");
    out.ca_file = text_of(tls, "ca_file");
    out.server_name = text_of(tls, "server_name");
    const bool verifies = out.tls_mode == "verify-full";
    if (!verifies && out.tls_mode != "disable" && out.tls_mode != "require") {
        return wrong("tls.mode", quoted(out.tls_mode) + " is no mode",
                     "disable, require or verify-full");
    }
    if (verifies && out.ca_file.empty()) {
        return wrong("tls.ca_file", "is missing, so that nothing could be verified",
                     "name the PEM file of the authority that signed the server's certificate");
    }
    if (!verifies && !out.ca_file.empty()) {
        return wrong("tls.ca_file", "is used by mode verify-full alone", "set tls.mode");
    }
    if (!verifies && !out.server_name.empty()) {
        return wrong("tls.server_name", "is used by mode verify-full alone", "set tls.mode");
    }
    if (!out.server_name.empty() && !is_server_name(out.server_name)) {
        return wrong("tls.server_name", quoted(out.server_name) + " is not a name of a server",
                     "write it as db.example");
    }
    if (out.tls_mode != "disable" && !out.endpoint) {
        return wrong("tls.mode", "cannot be had over a socket of this host", "leave tls out");
    }
    return std::nullopt;
}

/// Words that PostgreSQL need not be asked to quote: the name is put into a statement.
bool is_table_name(std::string_view name) {
    const auto is_word = [](std::string_view word) {
        return !word.empty() && word.size() <= name_limit && (word[0] < '0' || word[0] > '9') &&
               std::ranges::all_of(word, [](char letter) {
                   return letter == '_' || (letter >= 'a' && letter <= 'z') ||
                          (letter >= '0' && letter <= '9');
               });
    };
    const std::size_t dot = name.find('.');
    if (dot == std::string_view::npos) return is_word(name);
    return is_word(name.substr(0, dot)) && is_word(name.substr(dot + 1));
}

Fault read_wants(const FieldMap& values, PostgresSettings& out) {
    const std::string role = text_of(values, "role", "any");
    if (role == "primary") out.wants.role = PostgresRole::primary;
    if (role == "standby") out.wants.role = PostgresRole::standby;
    if (out.wants.role == PostgresRole::any && role != "any") {
        return wrong("role", quoted(role) + " is no role", "primary, standby or any");
    }
    for (const std::string_view key : {"writable", "heartbeat", "sync_standbys"}) {
        if (values.contains(key) && role != "primary") {
            return wrong(std::string{key}, "is asked of a primary", "set role: primary");
        }
    }
    for (const std::string_view key : {"max_lag", "max_lag_bytes"}) {
        if (values.contains(key) && role != "standby") {
            return wrong(std::string{key}, "is asked of a standby", "set role: standby");
        }
    }
    const auto* writable = get<bool>(values, "writable");
    out.wants.writable = writable == nullptr ? role == "primary" : *writable;
    if (const auto* lag = get<Duration>(values, "max_lag")) out.wants.max_lag = *lag;
    if (const auto* bytes = get<std::int64_t>(values, "max_lag_bytes")) {
        out.wants.max_lag_bytes = *bytes;
    }
    if (const auto* count = get<std::int64_t>(values, "sync_standbys")) {
        out.wants.sync_standbys = *count;
    }
    if (const auto* heartbeat = get<FieldMap>(values, "heartbeat")) {
        out.heartbeat = text_of(*heartbeat, "table");
        if (!is_table_name(out.heartbeat)) {
            return wrong("heartbeat.table", quoted(out.heartbeat) + " is no name of a table",
                         "write table or schema.table in small letters, digits and _");
        }
    }
    return std::nullopt;
}

}  // namespace

std::span<const Field> postgres_fields() { return fields; }

Result<PostgresSettings, FieldFault> postgres_settings(const FieldMap& values) {
    PostgresSettings out;
    for (const auto read : {read_target, read_login, read_tls, read_wants}) {
        if (auto fault = read(values, out)) return fail(std::move(*fault));
    }
    return out;
}

std::string PostgresSettings::name() const {
    return endpoint ? endpoint->to_string() : directory + ":" + std::to_string(port);
}

std::vector<std::pair<std::string, std::string>> PostgresSettings::parameters() const {
    std::vector<std::pair<std::string, std::string>> out{
        {"port", std::to_string(endpoint ? endpoint->port : port)},
        {"dbname", database},
        {"user", username},
        {"application_name", "swerve"},
        {"sslmode", tls_mode},
        // Nothing that libpq finds in places of its own.
        {"gssencmode", "disable"},
        {"passfile", "/dev/null"},
        {"sslcert", "/dev/null/none"},
        {"sslrootcert", ca_file.empty() ? "/dev/null/none" : ca_file},
        {"sslcrl", "/dev/null/none"},
        {"ssl_min_protocol_version", "TLSv1.2"},
    };
    if (!endpoint) {
        out.emplace_back("host", directory);
    } else {
        out.emplace_back("hostaddr", endpoint->address.to_string());
        out.emplace_back("host", server_name.empty() ? endpoint->address.to_string() : server_name);
    }
    return out;
}

}  // namespace swerve::health
