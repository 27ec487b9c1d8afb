// What the worker for PostgreSQL takes from the daemon: a request is written as it was read, and a
// stream is cut into the same bodies however it comes.

#include "health/probes/postgres_wire.hpp"
#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

using namespace health;

void postgres_request(ByteView input) {
    Bytes stream(input.begin(), input.end());
    std::size_t taken = 0;
    for (;;) {
        std::optional<Bytes> body;
        const std::size_t before = stream.size();
        if (!take_frame(stream, body)) {
            demand(!body, "no body where there is no frame");
            return;
        }
        if (!body) {
            demand(stream.size() == before, "what is not whole stays");
            return;
        }
        demand(body->size() <= postgres_frame_limit, "no body beyond the limit");
        taken += 4 + body->size();
        demand(taken + stream.size() == input.size(), "no octet is lost");
        const auto request = decode_postgres_request(*body);
        demand(!request || !decode_postgres_reply(*body), "a request is no reply");
        if (!request) continue;
        auto frame = encode(*request);
        demand(frame.has_value(), "what was read can be written");
        std::optional<Bytes> again;
        demand(take_frame(*frame, again) && again == body, "a request is written as it was read");
    }
}

}  // namespace swerve::fuzz
