#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "health/probes/redis_client.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;

constexpr std::size_t name_limit = 255;

constexpr Field fields[] = {
    {.name = "endpoint",
     .kind = FieldKind::endpoint,
     .required = true,
     .help = "The Sentinel's address and port, as 198.51.100.1:26379 or [2001:db8::1]:26379."},
    redis_username_field,
    redis_password_file_field,
    {.name = "master",
     .kind = FieldKind::string,
     .required = true,
     .help = "The master's name in the Sentinel's configuration, as in `sentinel monitor NAME`."},
    {.name = "address",
     .kind = FieldKind::string,
     .help = "Address that the master must have, as 198.51.100.1, or with its port as "
             "198.51.100.1:6379; any if absent."},
    {.name = "quorum",
     .kind = FieldKind::boolean,
     .fallback = "true",
     .help = "Whether the Sentinels in reach must be enough to authorize a failover "
             "(SENTINEL CKQUORUM)."},
    server_name_field,
    choosing_tls_field,
};

/// Where a master must be; port 0: at any.
struct Demands {
    std::string master;
    std::optional<Endpoint> place;
    bool quorum = true;
};

class SentinelProbe final : public Probe {
public:
    SentinelProbe(RedisServer server, Demands demands)
        : client_(std::move(server)), demands_(std::move(demands)) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        auto talk = co_await client_.greet(context);
        if (!talk) co_return std::move(talk.error());
        Outcome outcome = co_await look(context, *talk);
        talk->close();
        co_return outcome;
    }

private:
    asio::awaitable<Outcome> look(const ProbeContext& context, RedisTalk& talk) const {
        std::vector<std::string> command{"SENTINEL", "GET-MASTER-ADDR-BY-NAME", demands_.master};
        const auto where = co_await talk.ask(std::move(command));
        if (!where) co_return where.error();
        step(context, "SENTINEL GET-MASTER-ADDR-BY-NAME answered");
        Outcome found = judge_place(talk, *where);
        if (found.result != ProbeResult::pass || !demands_.quorum) co_return found;
        command = {"SENTINEL", "CKQUORUM", demands_.master};
        const auto quorum = co_await talk.ask(std::move(command));
        if (!quorum) co_return quorum.error();
        step(context, "SENTINEL CKQUORUM answered");
        if (quorum->kind != RespValue::Kind::text || !quorum->text.starts_with("OK ")) {
            co_return unsure(client_.name() + " answers SENTINEL CKQUORUM with " +
                             talk.said(quorum->text));
        }
        found.reason += ", Sentinel says " + talk.said(quorum->text);
        co_return found;
    }

    [[nodiscard]] Outcome judge_place(const RedisTalk& talk, const RespValue& where) const {
        const std::string name = "'" + demands_.master + "'";
        if (where.kind == RespValue::Kind::null) {
            return unsure(client_.name() + " knows no master " + name);
        }
        const auto place = place_of(where);
        if (!place) {
            const std::string said = where.items.empty() ? where.text : where.items.front().text;
            return unsure(client_.name() + " does not tell the address of master " + name +
                          " but " + talk.said(said));
        }
        const std::string at = "master " + name + " is " + place->to_string();
        if (!demands_.place) return passed(at);
        const Endpoint& wanted = *demands_.place;
        if (place->address == wanted.address && (wanted.port == 0 || place->port == wanted.port)) {
            return passed(at);
        }
        return failed(at + ", not " +
                      (wanted.port == 0 ? wanted.address.to_string() : wanted.to_string()));
    }

    /// Of a pair of texts. A Sentinel with resolve-hostnames may say a name, which proves no
    /// address.
    static std::optional<Endpoint> place_of(const RespValue& where) {
        if (where.items.size() != 2) return std::nullopt;
        const auto address = Address::parse(where.items[0].text);
        const std::string& digits = where.items[1].text;
        std::uint16_t port = 0;
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), port);
        const bool whole = error == std::errc{} && end == digits.data() + digits.size();
        if (!address || !whole || port == 0) return std::nullopt;
        return Endpoint{*address, port};
    }

    RedisClient client_;
    Demands demands_;
};

Result<Demands, FieldFault> demands_of(const FieldMap& values) {
    Demands out{.master = *get<std::string>(values, "master"), .place = {}};
    // What Sentinel itself takes for a name.
    const auto fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '.' || c == '_';
    };
    if (out.master.empty() || out.master.size() > name_limit ||
        !std::ranges::all_of(out.master, fits)) {
        return fail(FieldFault{"master", quoted(out.master) + " is no name of a master",
                               "letters, digits, '.', '-' and '_'"});
    }
    if (const auto* text = get<std::string>(values, "address")) {
        if (const auto address = Address::parse(*text)) {
            out.place = Endpoint{*address, 0};
        } else {
            out.place = Endpoint::parse(*text);
            if (!out.place || out.place->port == 0) {
                return fail(FieldFault{"address", quoted(*text) + " is not an address",
                                       "write it as 198.51.100.1 or 198.51.100.1:6379"});
            }
        }
    }
    if (const auto* quorum = get<bool>(values, "quorum")) out.quorum = *quorum;
    return out;
}

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    auto server = redis_server(values);
    if (!server) return fail(std::move(server.error()));
    auto demands = demands_of(values);
    if (!demands) return fail(std::move(demands.error()));
    return std::make_unique<SentinelProbe>(*std::move(server), *std::move(demands));
}

std::string caveat(const FieldMap& values) {
    if (std::string insecure = caveat_of_insecure_tls(values); !insecure.empty()) return insecure;
    return "a Sentinel names the master also while it is dead; a redis check beside it tells "
           "whether it lives";
}

std::string target(const FieldMap& values) {
    return "sentinel://" + get<Endpoint>(values, "endpoint")->to_string() + "/" +
           *get<std::string>(values, "master");
}

}  // namespace

ProbeType sentinel_probe() {
    return {.name = "sentinel",
            .help = "Asks a Redis Sentinel where the master is, and whether there is a quorum.",
            .fields = fields,
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
