// Whatever a name server sends, reading it ends, and what was read is in the message.

#include "health/probes/dns_message.hpp"

#include <algorithm>

#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

using namespace health::dns;

void dns_message(ByteView input) {
    const Chosen chosen{input};
    constexpr std::uint16_t types[] = {type_a, type_aaaa, type_soa, 16, 255};
    Random random{chosen.choice};
    const Query query =
        make_query(*name_from_text("a.test"), types[chosen.choice % 5], chosen.bit(7), random);
    static_cast<void>(decode_answer(query, chosen.rest));

    // The same octets as the records of an answer to the query: their first says how many.
    const Chosen counted{chosen.rest};
    Bytes message = encode(query);
    const std::size_t question = message.size();
    Writer to{message};
    to.patch_u16(2, 0x8400);
    to.patch_u16(6, counted.choice);
    to.bytes(counted.rest);
    const auto answer = decode_answer(query, message);
    if (!answer) {
        demand(!answer.error().foreign, "an answer to the query is never passed over");
        demand(!answer.error().what.empty(), "what is wrong is said");
    } else {
        demand(answer->records <= counted.choice, "no more records than were announced");
        demand(answer->addresses.size() <= answer->records, "no address without a record");
        demand(answer->records * 11 <= message.size() - question, "records take room");
        demand(query.type == type_soa || query.type == 255 || !answer->soa_serial,
               "a serial only where an SOA was asked for");
        message.push_back(0);
        demand(decode_answer(query, message) == answer, "what follows changes nothing");
    }
    // Who did not see the query cannot answer it.
    message[0] ^= 1U;
    const auto forged = decode_answer(query, message);
    demand(!forged && forged.error().foreign, "another id is passed over");

    const std::string_view text{reinterpret_cast<const char*>(chosen.rest.data()),
                                chosen.rest.size()};
    if (const auto name = name_from_text(text)) {
        demand(name->size() <= 255 && name->back() == 0, "a name that can be sent");
    }
}

}  // namespace swerve::fuzz
