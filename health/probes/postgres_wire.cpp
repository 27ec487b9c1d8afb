#include "health/probes/postgres_wire.hpp"

#include <type_traits>

namespace swerve::health {
namespace {

/// The first octet of each body: daemon and worker may be of different versions during an upgrade.
constexpr std::uint8_t wire_version = 1;

enum class Kind : std::uint8_t { request = 1, progress = 2, rows = 3, failure = 4 };

ByteView octets_of(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

class Frame {
public:
    explicit Frame(Kind kind) {
        writer_.u32(0);
        writer_.u8(wire_version);
        writer_.u8(static_cast<std::uint8_t>(kind));
    }
    void number(std::uint32_t value) { writer_.u32(value); }
    void flag(bool value) { writer_.u8(value ? 1 : 0); }
    void text(std::string_view value) {
        writer_.u32(static_cast<std::uint32_t>(value.size()));
        writer_.bytes(octets_of(value));
    }
    void count(std::size_t value) {
        too_many_ = too_many_ || value > postgres_count_limit;
        writer_.u8(static_cast<std::uint8_t>(value));
    }
    [[nodiscard]] std::optional<Bytes> done() && {
        const std::size_t length = out_.size() - 4;
        if (too_many_ || length > postgres_frame_limit) return std::nullopt;
        writer_.patch_u16(0, static_cast<std::uint16_t>(length >> 16U));
        writer_.patch_u16(2, static_cast<std::uint16_t>(length & 0xffffU));
        return std::move(out_);
    }

private:
    Bytes out_;
    Writer writer_{out_};
    bool too_many_ = false;
};

/// Reads with a memory of the first thing that was wrong, after which everything read is empty.
class Body {
public:
    explicit Body(ByteView body) : reader_(body) {
        fine_ = reader_.u8() == wire_version;
        kind_ = octet();
    }
    [[nodiscard]] bool is(Kind kind) const { return fine_ && kind_ == static_cast<int>(kind); }
    [[nodiscard]] bool flag() {
        const int value = octet();
        if (value > 1) fine_ = false;
        return value == 1;
    }
    [[nodiscard]] std::uint32_t number() {
        const auto value = fine_ ? reader_.u32() : std::nullopt;
        fine_ = fine_ && value;
        return value.value_or(0);
    }
    [[nodiscard]] std::string text() {
        const auto length = fine_ ? reader_.u32() : std::nullopt;
        const auto octets = length ? reader_.take(*length) : std::nullopt;
        fine_ = fine_ && octets;
        if (!fine_) return {};
        return {octets->begin(), octets->end()};
    }
    [[nodiscard]] std::size_t count() {
        const int value = octet();
        if (static_cast<std::size_t>(value) > postgres_count_limit) fine_ = false;
        return fine_ ? static_cast<std::size_t>(value) : 0;
    }
    [[nodiscard]] bool is_fine_and_over() const { return fine_ && reader_.empty(); }

private:
    [[nodiscard]] int octet() {
        const auto value = fine_ ? reader_.u8() : std::nullopt;
        fine_ = fine_ && value;
        return fine_ ? *value : 0;
    }

    Reader reader_;
    bool fine_ = true;
    int kind_ = 0;
};

PostgresRows read_rows(Body& body) {
    PostgresRows out;
    out.command = body.text();
    const std::size_t rows = body.count();
    for (std::size_t i = 0; i < rows; ++i) {
        PostgresRow& row = out.rows.emplace_back();
        const std::size_t columns = body.count();
        for (std::size_t j = 0; j < columns; ++j) {
            auto& value = row.emplace_back();
            if (body.flag()) value = body.text();
        }
    }
    const std::size_t warnings = body.count();
    for (std::size_t i = 0; i < warnings; ++i) out.warned_by.push_back(body.text());
    return out;
}

std::optional<Bytes> encode_rows(const PostgresRows& rows) {
    Frame frame(Kind::rows);
    frame.text(rows.command);
    frame.count(rows.rows.size());
    for (const PostgresRow& row : rows.rows) {
        frame.count(row.size());
        for (const auto& value : row) {
            frame.flag(value.has_value());
            if (value) frame.text(*value);
        }
    }
    frame.count(rows.warned_by.size());
    for (const std::string& name : rows.warned_by) frame.text(name);
    return std::move(frame).done();
}

}  // namespace

std::optional<Bytes> encode(const PostgresRequest& request) {
    Frame frame(Kind::request);
    frame.count(request.parameters.size());
    for (const auto& [name, value] : request.parameters) {
        frame.text(name);
        frame.text(value);
    }
    frame.count(request.statements.size());
    for (const std::string& statement : request.statements) frame.text(statement);
    frame.number(request.cancel_after_ms);
    return std::move(frame).done();
}

std::optional<Bytes> encode(const PostgresReply& reply) {
    if (const auto* rows = std::get_if<PostgresRows>(&reply)) return encode_rows(*rows);
    if (const auto* progress = std::get_if<PostgresProgress>(&reply)) {
        Frame frame(Kind::progress);
        frame.text(progress->doing);
        return std::move(frame).done();
    }
    const auto& failure = std::get<PostgresFailure>(reply);
    Frame frame(Kind::failure);
    frame.flag(failure.connecting);
    frame.flag(failure.asks_password);
    frame.text(failure.sqlstate);
    frame.text(failure.message);
    return std::move(frame).done();
}

bool take_frame(Bytes& buffer, std::optional<Bytes>& body) {
    body.reset();
    const auto length = Reader(buffer).u32();
    if (!length) return true;
    if (*length > postgres_frame_limit) return false;
    const std::size_t end = 4 + std::size_t{*length};
    if (buffer.size() < end) return true;
    const auto rest = buffer.begin() + static_cast<std::ptrdiff_t>(end);
    body.emplace(buffer.begin() + 4, rest);
    buffer.erase(buffer.begin(), rest);
    return true;
}

std::optional<PostgresRequest> decode_postgres_request(ByteView octets) {
    Body body(octets);
    if (!body.is(Kind::request)) return std::nullopt;
    PostgresRequest out;
    const std::size_t parameters = body.count();
    for (std::size_t i = 0; i < parameters; ++i) {
        auto& [name, value] = out.parameters.emplace_back();
        name = body.text();
        value = body.text();
    }
    const std::size_t statements = body.count();
    for (std::size_t i = 0; i < statements; ++i) out.statements.push_back(body.text());
    out.cancel_after_ms = body.number();
    if (!body.is_fine_and_over()) return std::nullopt;
    return out;
}

std::optional<PostgresReply> decode_postgres_reply(ByteView octets) {
    Body body(octets);
    std::optional<PostgresReply> out;
    if (body.is(Kind::progress)) {
        out = PostgresProgress{body.text()};
    } else if (body.is(Kind::rows)) {
        out = read_rows(body);
    } else if (body.is(Kind::failure)) {
        PostgresFailure failure;
        failure.connecting = body.flag();
        failure.asks_password = body.flag();
        failure.sqlstate = body.text();
        failure.message = body.text();
        out = std::move(failure);
    }
    if (!body.is_fine_and_over()) return std::nullopt;
    return out;
}

}  // namespace swerve::health
