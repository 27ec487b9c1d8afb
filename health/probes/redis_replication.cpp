#include "health/probes/redis_replication.hpp"

#include <charconv>
#include <map>

namespace swerve::health {
namespace {

using Lines = std::map<std::string_view, std::string_view>;

std::optional<std::int64_t> number(std::string_view text) {
    std::int64_t out = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return out;
}

/// "key:value" by key, the first of equal ones; headings and empty lines are skipped.
Lines lines_of(std::string_view info) {
    Lines out;
    while (!info.empty()) {
        const std::size_t end = std::min(info.find("\r\n"), info.size());
        const std::string_view line = info.substr(0, end);
        info.remove_prefix(std::min(info.size(), end + 2));
        const std::size_t colon = line.find(':');
        if (line.starts_with('#') || colon == std::string_view::npos) continue;
        out.emplace(line.substr(0, colon), line.substr(colon + 1));
    }
    return out;
}

std::optional<std::string_view> text_at(const Lines& lines, std::string_view key) {
    const auto found = lines.find(key);
    if (found == lines.end()) return std::nullopt;
    return found->second;
}

std::optional<std::int64_t> number_at(const Lines& lines, std::string_view key) {
    const auto text = text_at(lines, key);
    return text ? number(*text) : std::nullopt;
}

/// Of "ip=192.0.2.2,port=6379,state=online,offset=157,lag=0".
std::optional<std::string_view> part_of(std::string_view text, std::string_view key) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(','), text.size());
        const std::string_view part = text.substr(0, end);
        text.remove_prefix(std::min(text.size(), end + 1));
        if (part.size() > key.size() && part.starts_with(key) && part[key.size()] == '=') {
            return part.substr(key.size() + 1);
        }
    }
    return std::nullopt;
}

std::vector<RedisReplication::Replica> replicas_of(const Lines& lines) {
    std::vector<RedisReplication::Replica> out;
    for (std::size_t i = 0; i < RedisReplication::replica_limit; ++i) {
        const auto text = text_at(lines, "slave" + std::to_string(i));
        if (!text) break;
        const auto offset = number(part_of(*text, "offset").value_or(""));
        out.push_back({part_of(*text, "state") == "online" && offset, offset.value_or(0),
                       number(part_of(*text, "lag").value_or("")).value_or(-1)});
    }
    return out;
}

}  // namespace

Result<RedisReplication, std::string> read_replication(std::string_view info) {
    const Lines lines = lines_of(info);
    const auto role = text_at(lines, "role");
    if (!role) return fail("says no role: it may be a Sentinel");
    RedisReplication out;
    if (*role == "master") {
        const auto offset = number_at(lines, "master_repl_offset");
        if (!offset) return fail("is a master without master_repl_offset");
        out.is_master = true;
        out.offset = *offset;
        out.replicas = replicas_of(lines);
        return out;
    }
    // The word itself is not told: it may be a secret that the server repeats.
    if (*role != "slave" && *role != "replica") return fail("says a role that Redis has not");
    const auto link = text_at(lines, "master_link_status");
    if (!link) return fail("is a replica without master_link_status");
    out.link_is_up = *link == "up";
    out.is_syncing = text_at(lines, "master_sync_in_progress") == "1";
    out.master = std::string{text_at(lines, "master_host").value_or("?")} + ":" +
                 std::string{text_at(lines, "master_port").value_or("?")};
    out.silent_seconds = number_at(lines, "master_last_io_seconds_ago");
    out.down_seconds = number_at(lines, "master_link_down_since_seconds");
    out.received = number_at(lines, "slave_read_repl_offset");
    out.applied = number_at(lines, "slave_repl_offset");
    return out;
}

}  // namespace swerve::health
