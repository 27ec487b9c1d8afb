// Asks a DNS server a question and looks at the answer.

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "health/probes/datagram.hpp"
#include "health/probes/dns_message.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;
using boost::system::error_code;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

constexpr Field expect_fields[] = {
    {.name = "rcode",
     .kind = FieldKind::string,
     .fallback = "NOERROR",
     .help = "The response code, as NOERROR, NXDOMAIN or REFUSED."},
    {.name = "aa",
     .kind = FieldKind::boolean,
     .help = "Whether the answer must be authoritative; absent: unless `recurse` is on."},
    {.name = "answers",
     .kind = FieldKind::integer,
     .help = "How many records of the type there must be at least, behind CNAMEs too; absent: 1, "
             "and none if another rcode than NOERROR is expected.",
     .least = 0,
     .most = 1000},
    {.name = "address", .kind = FieldKind::string, .help = "An address that must be among them."},
    {.name = "soa_serial_at_least",
     .kind = FieldKind::integer,
     .help = "How old the zone may be, as serial of its SOA; compared in the circle of RFC 1982.",
     .least = 0,
     .most = 0xffffffff},
};

constexpr Field fields[] = {
    {.name = "endpoint",
     .kind = FieldKind::endpoint,
     .required = true,
     .help = "Address and port of the server, as 198.51.100.53:53 or [2001:db8::53]:53."},
    {.name = "name",
     .kind = FieldKind::string,
     .required = true,
     .help = "The name to ask for, as www.example or `.`; it is asked for as it stands, no domain "
             "is added."},
    {.name = "type",
     .kind = FieldKind::string,
     .fallback = "A",
     .help = "The type of record, as A, AAAA, SOA, NS, TXT, or TYPE65 by number."},
    {.name = "transport",
     .kind = FieldKind::string,
     .fallback = "udp",
     .help = "udp, which turns to TCP where an answer is cut, or tcp."},
    {.name = "recurse",
     .kind = FieldKind::boolean,
     .fallback = "false",
     .help = "Ask the server to resolve the name, which is for resolvers."},
    {.name = "expect",
     .kind = FieldKind::group,
     .help = "What the answer must look like.",
     .members = expect_fields},
};

/// What the configuration asks for.
struct Settings {
    Endpoint target;
    std::string name;  ///< as it was written
    std::string type;
    Bytes wire_name;
    std::uint16_t type_number = 0;
    bool over_tcp = false;
    bool recurse = false;
    std::uint8_t rcode = dns::no_error;
    bool authoritative = true;
    std::size_t records = 1;
    std::optional<Address> address;
    std::optional<std::uint32_t> serial;
};

/// What a server may send over UDP without EDNS is 512 octets; a little more is read so that one
/// that sends more is understood.
constexpr std::size_t datagram_limit = 4096;
/// How many messages that are no answer to our query are passed over.
constexpr int foreign_limit = 256;

Random seeded() {
    std::uint64_t seed = 0;
    // Never short for so few octets once the kernel is seeded, which it is before daemons run.
    if (::getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) {
        seed = static_cast<std::uint64_t>(BootClock::now().time_since_epoch().count());
    }
    return Random{seed};
}

class DnsProbe final : public Probe {
public:
    explicit DnsProbe(Settings settings)
        : settings_(std::move(settings)),
          server_(settings_.target.to_string()),
          waiting_("waiting for the answer of " + server_) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        Random random = seeded();
        if (settings_.over_tcp) co_return co_await ask_over_tcp(context, random);
        bool cut = false;
        Outcome outcome = co_await ask_over_udp(context, random, cut);
        if (!cut) co_return outcome;
        step(context, "the answer was cut: asking again over TCP");
        outcome = co_await ask_over_tcp(context, random);
        if (outcome.result != ProbeResult::pass) {
            outcome.reason = "over TCP, as the answer over UDP was cut: " + outcome.reason;
        }
        co_return outcome;
    }

private:
    asio::awaitable<Outcome> ask_over_udp(const ProbeContext& context, Random& random, bool& cut);
    asio::awaitable<Outcome> ask_over_tcp(const ProbeContext& context, Random& random);
    asio::awaitable<Outcome> converse(const ProbeContext& context, tcp::socket& socket,
                                      const dns::Query& query);

    [[nodiscard]] dns::Query new_query(Random& random) const {
        return dns::make_query(settings_.wire_name, settings_.type_number, settings_.recurse,
                               random);
    }

    /// What a message says of the service; nothing if it is no answer to the query, which
    /// `foreign` then tells.
    [[nodiscard]] std::optional<Outcome> look_at(const ProbeContext& context,
                                                 const dns::Query& query, ByteView message,
                                                 std::string& foreign) const;
    [[nodiscard]] Outcome judge(const dns::Answer& answer) const;
    [[nodiscard]] std::string missing(const dns::Answer& answer) const;
    [[nodiscard]] Outcome only_foreign(int count, const std::string& foreign) const {
        return failed("none of " + std::to_string(count) + " messages from " + server_ +
                      " answers the question" + foreign);
    }

    Settings settings_;
    std::string server_;   ///< its endpoint, for reasons
    std::string waiting_;  ///< how reasons begin
};

asio::awaitable<Outcome> DnsProbe::ask_over_udp(const ProbeContext& context, Random& random,
                                                bool& cut) {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    auto socket = connect_datagram(executor, context, settings_.target);
    if (!socket) co_return std::move(socket.error());
    const dns::Query query = new_query(random);
    const Bytes octets = dns::encode(query);
    const auto [error, sent] = co_await socket->async_send(asio::buffer(octets), as_result);
    if (error) co_return from_error(error, "sending to " + server_, settings_.target);
    step(context, "asked " + server_ + " over UDP");
    Bytes buffer(datagram_limit);
    std::string foreign;
    for (int i = 0; i < foreign_limit; ++i) {
        const auto [fault, count] = co_await socket->async_receive(asio::buffer(buffer), as_result);
        if (fault) co_return from_error(fault, waiting_ + foreign, settings_.target);
        const ByteView message = ByteView{buffer}.first(count);
        const auto answer = dns::decode_answer(query, message);
        cut = answer && answer->truncated;
        if (cut) co_return Outcome{};
        if (auto outcome = look_at(context, query, message, foreign)) {
            co_return std::move(*outcome);
        }
    }
    co_return only_foreign(foreign_limit, foreign);
}

asio::awaitable<Outcome> DnsProbe::ask_over_tcp(const ProbeContext& context, Random& random) {
    auto socket = co_await connect(context, settings_.target);
    if (!socket) co_return std::move(socket.error());
    const dns::Query query = new_query(random);
    Outcome outcome = co_await converse(context, *socket, query);
    close_quietly(*socket);
    co_return outcome;
}

asio::awaitable<Outcome> DnsProbe::converse(const ProbeContext& context, tcp::socket& socket,
                                            const dns::Query& query) {
    // RFC 7766 §8: length and message in one write.
    Bytes octets;
    const Bytes question = dns::encode(query);
    Writer to{octets};
    to.u16(static_cast<std::uint16_t>(question.size()));
    to.bytes(question);
    const auto [error, sent] = co_await asio::async_write(socket, asio::buffer(octets), as_result);
    if (error) co_return from_error(error, "sending to " + server_, settings_.target);
    step(context, "asked " + server_ + " over TCP");
    std::string foreign;
    std::size_t taken = 0;
    int count = 0;
    for (; count < foreign_limit && taken < answer_limit; ++count) {
        std::array<std::uint8_t, 2> prefix{};
        const auto [cut_off, read] =
            co_await asio::async_read(socket, asio::buffer(prefix), as_result);
        if (cut_off == asio::error::eof) {
            co_return failed(server_ + " closed without an answer" + foreign);
        }
        if (cut_off) co_return from_error(cut_off, waiting_ + foreign, settings_.target);
        Bytes message(*Reader{prefix}.u16());
        const auto [broken_off, got] =
            co_await asio::async_read(socket, asio::buffer(message), as_result);
        const std::string there =
            std::to_string(got) + " of " + std::to_string(message.size()) + " octets";
        if (broken_off == asio::error::eof) {
            co_return failed(server_ + " closed in the middle of its answer, after " + there);
        }
        if (broken_off) {
            co_return from_error(broken_off, waiting_ + ", " + there + " of it came",
                                 settings_.target);
        }
        taken += prefix.size() + message.size();
        if (auto outcome = look_at(context, query, message, foreign)) {
            co_return std::move(*outcome);
        }
    }
    co_return only_foreign(count, foreign);
}

std::optional<Outcome> DnsProbe::look_at(const ProbeContext& context, const dns::Query& query,
                                         ByteView message, std::string& foreign) const {
    const auto answer = dns::decode_answer(query, message);
    if (!answer) {
        const std::string what{answer.error().what};
        if (!answer.error().foreign) {
            return unsure("the answer of " + server_ + " cannot be read: " + what);
        }
        step(context, "passed over what is no answer: " + what);
        foreign = ", and passed over what came: " + what;
        return std::nullopt;
    }
    step(context, dns::rcode_text(answer->rcode) + ", " + std::to_string(answer->records) +
                      " records, " + std::to_string(message.size()) + " octets");
    return judge(*answer);
}

Outcome DnsProbe::judge(const dns::Answer& answer) const {
    const std::string rcode = dns::rcode_text(answer.rcode);
    const std::string question = settings_.name + " " + settings_.type;
    if (answer.rcode != settings_.rcode) {
        return failed(rcode + " instead of " + dns::rcode_text(settings_.rcode) + " for " +
                      question);
    }
    if (settings_.authoritative && !answer.authoritative) {
        return failed(rcode + " for " + question +
                      ", but not authoritative: the zone is not served by " + server_);
    }
    const std::string lack = missing(answer);
    if (!lack.empty()) return failed(rcode + " for " + question + ", but " + lack);
    std::string reason = rcode + " for " + question + ", " + std::to_string(answer.records) +
                         (answer.records == 1 ? " record" : " records");
    if (answer.soa_serial) reason += ", serial " + std::to_string(*answer.soa_serial);
    return passed(std::move(reason));
}

/// What the records lack; empty: nothing.
std::string DnsProbe::missing(const dns::Answer& answer) const {
    // Of what is cut even over TCP nothing can be said.
    if (answer.truncated) return "the answer is cut over TCP too";
    if (answer.records < settings_.records) {
        return std::to_string(answer.records) + " records instead of at least " +
               std::to_string(settings_.records);
    }
    if (settings_.address &&
        std::ranges::find(answer.addresses, *settings_.address) == answer.addresses.end()) {
        std::string out = settings_.address->to_string() + " is not among the addresses";
        if (!answer.addresses.empty()) out += ", only " + answer.addresses.front().to_string();
        if (answer.addresses.size() > 1) out += " and others";
        return out;
    }
    if (settings_.serial) {
        if (!answer.soa_serial) return "there is no serial";
        if (!dns::serial_at_least(*answer.soa_serial, *settings_.serial)) {
            return "serial " + std::to_string(*answer.soa_serial) + " is older than " +
                   std::to_string(*settings_.serial);
        }
    }
    return "";
}

bool recurses(const FieldMap& values) {
    const auto* recurse = get<bool>(values, "recurse");
    return recurse != nullptr && *recurse;
}

/// What is wrong with the question; nothing if it is in `out`.
std::optional<FieldFault> add_question(const FieldMap& values, Settings& out) {
    out.name = *get<std::string>(values, "name");
    auto name = dns::name_from_text(out.name);
    if (!name) {
        return FieldFault{"name", quoted(out.name) + " is no name in DNS",
                          "letters, digits, '-', '_' and '*' in labels of at most 63"};
    }
    out.wire_name = std::move(*name);
    const auto* type = get<std::string>(values, "type");
    out.type = type == nullptr ? "A" : *type;
    const auto number = dns::type_from_text(out.type);
    if (!number) {
        return FieldFault{"type", quoted(out.type) + " is no type of record", "as A, SOA, TYPE65"};
    }
    out.type_number = *number;
    const auto* transport = get<std::string>(values, "transport");
    if (transport != nullptr && *transport != "udp" && *transport != "tcp") {
        return FieldFault{"transport", quoted(*transport) + " is neither udp nor tcp", ""};
    }
    out.over_tcp = transport != nullptr && *transport == "tcp";
    out.recurse = recurses(values);
    out.authoritative = !out.recurse;
    return std::nullopt;
}

std::optional<FieldFault> add_address(const std::string& text, Settings& out) {
    out.address = Address::parse(text);
    if (!out.address) {
        return FieldFault{"expect.address", quoted(text) + " is no address", "as 198.51.100.1"};
    }
    const bool ipv4 = out.address->family() == Family::ipv4;
    if (out.type_number == (ipv4 ? dns::type_a : dns::type_aaaa)) return std::nullopt;
    const std::string type = ipv4 ? "A" : "AAAA";
    return FieldFault{"expect.address", quoted(text) + " is never in records other than " + type,
                      "set `type: " + type + "`"};
}

std::optional<FieldFault> add_expectations(const FieldMap& values, Settings& out) {
    const auto* expect = get<FieldMap>(values, "expect");
    if (expect == nullptr) return std::nullopt;
    if (const auto* rcode = get<std::string>(*expect, "rcode")) {
        const auto number = dns::rcode_from_text(*rcode);
        if (!number || *number == dns::server_failure) {
            return FieldFault{"expect.rcode", quoted(*rcode) + " is no rcode to be expected",
                              "as NOERROR, NXDOMAIN, REFUSED; SERVFAIL always fails"};
        }
        out.rcode = *number;
    }
    if (out.rcode != dns::no_error) out.records = 0;
    // Who refuses or does not know the zone is no authority for it.
    if (out.rcode != dns::no_error && out.rcode != *dns::rcode_from_text("NXDOMAIN")) {
        out.authoritative = false;
    }
    if (const auto* aa = get<bool>(*expect, "aa")) out.authoritative = *aa;
    if (const auto* answers = get<std::int64_t>(*expect, "answers")) {
        out.records = static_cast<std::size_t>(*answers);
    }
    if (const auto* address = get<std::string>(*expect, "address")) {
        if (auto fault = add_address(*address, out)) return fault;
    }
    if (const auto* serial = get<std::int64_t>(*expect, "soa_serial_at_least")) {
        if (out.type_number != dns::type_soa) {
            return FieldFault{"expect.soa_serial_at_least", "is only in records of type SOA",
                              "set `type: SOA`"};
        }
        out.serial = static_cast<std::uint32_t>(*serial);
    }
    return std::nullopt;
}

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    Settings settings{.target = *get<Endpoint>(values, "endpoint")};
    if (const auto unusable = unusable_target(settings.target.address)) {
        return fail(FieldFault{"endpoint", *unusable, "name the address that clients reach"});
    }
    if (settings.target.port == 0) {
        return fail(FieldFault{"endpoint", "port 0 cannot be sent to", "1 to 65535"});
    }
    if (auto fault = add_question(values, settings)) return fail(std::move(*fault));
    if (auto fault = add_expectations(values, settings)) return fail(std::move(*fault));
    return std::make_unique<DnsProbe>(std::move(settings));
}

std::string caveat(const FieldMap& values) {
    if (!recurses(values)) return "";
    return "what a resolver finds depends on servers elsewhere, whose failure all sites see at "
           "once";
}

std::string target(const FieldMap& values) {
    const auto* type = get<std::string>(values, "type");
    return "dns://" + get<Endpoint>(values, "endpoint")->to_string() + "/" +
           escape(*get<std::string>(values, "name")) + " " +
           (type == nullptr ? "A" : escape(*type));
}

}  // namespace

ProbeType dns_probe() {
    return {.name = "dns",
            .help = "Asks a DNS server for a name over UDP or TCP and looks at the answer.",
            .fields = fields,
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
