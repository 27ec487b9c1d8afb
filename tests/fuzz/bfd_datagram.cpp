// Two sessions, one with a key, that any datagrams reach at any moments: after each tick nothing is
// due, each report is of a session that is wanted, each answer fits its session, and in the end no
// session is left.

#include <algorithm>
#include <set>

#include "swerve/bfd/table.hpp"
#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {
namespace {

using namespace bfd;
using std::chrono::milliseconds;

const SessionConfig plain{.owner = 1,
                          .key = {Address::v4(0xc0000201), Address::v4(0xc0000202)},
                          .timing = {milliseconds{50}, milliseconds{50}, 3}};
const SessionConfig with_key{
    .owner = 2,
    .key = {Address::v4(0xc0000201), Address::v4(0xc0000203), {}, true},
    .hops = 4,
    .timing = {milliseconds{50}, milliseconds{50}, 3},
    .authentication = Authentication{AuthType::meticulous_keyed_sha1, 1, "a key"}};

class Driver {
public:
    /// One step of the input: what is done, and an octet for it.
    void step(std::uint8_t what, std::uint8_t octet, ByteView octets) {
        switch (what % 8) {
            case 0:
                now_ += milliseconds{octet} * 8;
                break;
            case 1:
                configure(octet);
                break;
            case 2:
                if (octet == 0xff) table_.hold_down(now_, out_);
                break;
            default:
                receive(what, octet, octets);
        }
        look();
        table_.tick(now_, out_);
        look();
        const auto next = table_.next_deadline();
        demand(!next || *next > now_, "nothing is due after a tick");
    }
    void end() {
        table_.configure(now_, {}, out_);
        look();
        // No farewell takes longer than a minute, whatever the neighbor asks for.
        for (int i = 0; i < 61 && !open_.empty(); ++i) {
            now_ += std::chrono::seconds{1};
            table_.tick(now_, out_);
            look();
        }
        demand(open_.empty() && !table_.next_deadline(), "no session is left");
    }

private:
    void configure(std::uint8_t octet) {
        std::vector<SessionConfig> wanted;
        if ((octet & 1U) != 0) wanted.push_back(plain);
        if ((octet & 2U) != 0) wanted.push_back(with_key);
        for (SessionConfig& each : wanted) {
            if ((octet & 4U) != 0) each.owner += 2;
            if ((octet & 8U) != 0) each.timing.min_tx = milliseconds{300};
            if ((octet & 16U) != 0) each.timing.multiplier = 1;
            if ((octet & 32U) != 0) each.hops = 9;
            if ((octet & 64U) != 0) each.authentication.reset();
        }
        table_.configure(now_, wanted, out_);
    }
    void receive(std::uint8_t what, std::uint8_t octet, ByteView octets) {
        const SessionConfig& to = (octet & 1U) != 0 ? with_key : plain;
        Bytes copy(octets.begin(), octets.end());
        // Nobody guesses 32 bits, and a digest less: where the input asks for it, they are right.
        const auto session = std::ranges::find_if(
            open_, [&](std::uint32_t id) { return table_.view(id)->config.key == to.key; });
        const auto packet = decode(copy);
        if (packet && what >= 128 && session != open_.end()) {
            Packet right = packet->packet;
            right.your_discriminator = *session;
            const bool signs = (octet & 2U) != 0;
            copy = encode(right, signs ? &*with_key.authentication : nullptr, octet);
        }
        table_.receive(now_,
                       {.octets = copy,
                        .local = to.key.local,
                        .remote = to.key.remote,
                        .multihop = to.key.multihop != ((octet & 4U) != 0),
                        .ttl = (octet & 8U) != 0 ? 252 : 255},
                       out_);
    }
    void look() {
        for (const std::uint32_t id : out_.opened) {
            demand(id != 0 && open_.insert(id).second, "a number of its own");
        }
        demand(out_.transmissions.size() <= 64, "no storm comes of one datagram");
        for (const auto& each : out_.transmissions) {
            const auto sent = decode(each.octets);
            demand(sent && open_.contains(each.session), "what is sent is a packet of a session");
            demand(sent->packet.my_discriminator == each.session, "and says whose");
        }
        for (const Report& each : out_.reports) {
            demand(each.owner >= 1 && each.owner <= 4, "somebody's");
            demand(each.state != State::admin_down, "one that goes is silent here");
        }
        for (const std::uint32_t id : out_.closed) demand(open_.erase(id) == 1, "closed once");
        for (const std::uint32_t id : open_) {
            demand(table_.view(id).has_value(), "what is not closed is there");
        }
        out_ = {};
    }

    Table table_{1};
    TimePoint now_{};
    TableOutput out_;
    std::set<std::uint32_t> open_;
};

}  // namespace

void bfd_datagram(ByteView input) {
    Driver driver;
    driver.step(1, 3, {});
    while (input.size() >= 3) {
        const std::size_t size = std::min<std::size_t>(input[2], input.size() - 3);
        driver.step(input[0], input[1], input.subspan(3, size));
        input = input.subspan(3 + size);
    }
    driver.end();
}

}  // namespace swerve::fuzz
