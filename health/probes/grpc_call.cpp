#include "health/probes/grpc_call.hpp"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "swerve/base/bytes.hpp"

namespace swerve::health {
namespace {

/// Answers to PING and SETTINGS that may wait to be sent: an honest server asks for one or two
/// before its answer, a flood is the end of the session.
constexpr std::size_t acknowledgement_limit = 64;
constexpr std::size_t beginning_limit = 16;
/// RFC 9113 §6.5.2: what each field of a header list counts beyond its octets.
constexpr std::size_t field_cost = 32;

/// The library speaks of octets as unsigned and never writes to them.
std::uint8_t* octets_of(std::string_view text) {
    return reinterpret_cast<std::uint8_t*>(const_cast<char*>(text.data()));
}

std::string_view text_of(const std::uint8_t* octets, std::size_t size) {
    return {reinterpret_cast<const char*>(octets), size};
}

nghttp2_nv field(std::string_view name, std::string_view value) {
    return {octets_of(name), octets_of(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

std::optional<unsigned> number(std::string_view text) {
    unsigned out = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return out;
}

GrpcCall& call_of(void* user) { return *static_cast<GrpcCall*>(user); }

template <class T, int (*make)(T**), void (*destroy)(T*)>
std::unique_ptr<T, void (*)(T*)> made() {
    T* out = nullptr;
    // Out of memory, which ends the process elsewhere too.
    if (make(&out) != 0) throw std::bad_alloc();
    return {out, destroy};
}

}  // namespace

/// What the library calls back; a negative answer ends the session.
struct GrpcCall::Callbacks {
    static int header(nghttp2_session* /*session*/, const nghttp2_frame* /*frame*/,
                      const std::uint8_t* name, std::size_t name_size, const std::uint8_t* value,
                      std::size_t value_size, std::uint8_t /*flags*/, void* user) {
        GrpcCall& call = call_of(user);
        call.header(text_of(name, name_size), text_of(value, value_size));
        return call.fault_.empty() ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
    }

    static int data(nghttp2_session* /*session*/, std::uint8_t /*flags*/, std::int32_t stream,
                    const std::uint8_t* octets, std::size_t size, void* user) {
        GrpcCall& call = call_of(user);
        if (stream != call.stream_) return 0;
        if (size > body_limit - call.answer_.body.size()) {
            call.blame("an answer longer than 4 KiB");
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        }
        call.answer_.body += text_of(octets, size);
        return 0;
    }

    static int closed(nghttp2_session* /*session*/, std::int32_t stream, std::uint32_t code,
                      void* user) {
        GrpcCall& call = call_of(user);
        if (stream != call.stream_) return 0;
        if (code != NGHTTP2_NO_ERROR) call.answer_.reset = code;
        call.is_over_ = true;
        return 0;
    }

    static int received(nghttp2_session* /*session*/, const nghttp2_frame* frame, void* user) {
        if (frame->hd.type == NGHTTP2_GOAWAY) {
            call_of(user).answer_.go_away = frame->goaway.error_code;
        }
        return 0;
    }

    static int invalid(nghttp2_session* /*session*/, const nghttp2_frame* /*frame*/, int error,
                       void* user) {
        call_of(user).blame(nghttp2_strerror(error));
        return 0;
    }

    /// The library says why it gives up in the GOAWAY that it sends.
    static int sent(nghttp2_session* /*session*/, const nghttp2_frame* frame, void* user) {
        if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
            const auto text = text_of(frame->goaway.opaque_data, frame->goaway.opaque_data_len);
            call_of(user).blame(text.empty() ? nghttp2_http2_strerror(frame->goaway.error_code)
                                             : std::string{text});
        }
        return 0;
    }

    static ssize_t body(nghttp2_session* /*session*/, std::int32_t /*stream*/, std::uint8_t* out,
                        std::size_t room, std::uint32_t* flags, nghttp2_data_source* /*source*/,
                        void* user) {
        GrpcCall& call = call_of(user);
        const std::string_view rest = std::string_view{call.request_.body}.substr(call.sent_);
        const std::size_t count = std::min(room, rest.size());
        std::ranges::copy(rest.substr(0, count), out);
        call.sent_ += count;
        if (count == rest.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
        return static_cast<ssize_t>(count);
    }
};

GrpcCall::GrpcCall(GrpcRequest request)
    : request_(std::move(request)), session_(nullptr, nghttp2_session_del) {
    const auto callbacks = made<nghttp2_session_callbacks, nghttp2_session_callbacks_new,
                                nghttp2_session_callbacks_del>();
    nghttp2_session_callbacks_set_on_header_callback(callbacks.get(), Callbacks::header);
    // Fields that break HTTP count as well; the library ignores them or resets the stream.
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks.get(), Callbacks::header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks.get(), Callbacks::data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks.get(), Callbacks::closed);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks.get(), Callbacks::received);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks.get(),
                                                                 Callbacks::invalid);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks.get(), Callbacks::sent);
    const auto options = made<nghttp2_option, nghttp2_option_new, nghttp2_option_del>();
    // Never more window than the 64 KiB of the beginning: nothing that a server sends is longer.
    nghttp2_option_set_no_auto_window_update(options.get(), 1);
    nghttp2_option_set_max_outbound_ack(options.get(), acknowledgement_limit);
    nghttp2_option_set_max_reserved_remote_streams(options.get(), 0);
    nghttp2_session* session = nullptr;
    if (nghttp2_session_client_new2(&session, callbacks.get(), this, options.get()) != 0) {
        throw std::bad_alloc();
    }
    session_.reset(session);
    submit();
}

GrpcCall::~GrpcCall() = default;

void GrpcCall::submit() {
    const std::array settings{
        nghttp2_settings_entry{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        nghttp2_settings_entry{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, header_limit}};
    nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, settings.data(), settings.size());
    const std::array fields{
        field(":method", "POST"),
        field(":scheme", request_.is_tls ? "https" : "http"),
        field(":authority", request_.authority),
        field(":path", request_.path),
        field("content-type", "application/grpc"),
        field("te", "trailers"),
        field("grpc-accept-encoding", "identity"),
        field("user-agent", "swerve"),
    };
    const nghttp2_data_provider body{.source = {}, .read_callback = Callbacks::body};
    stream_ = nghttp2_submit_request(session_.get(), nullptr, fields.data(), fields.size(), &body,
                                     nullptr);
    if (stream_ < 0) blame(nghttp2_strerror(stream_));
}

std::string GrpcCall::output() {
    std::string out;
    for (;;) {
        const std::uint8_t* octets = nullptr;
        const ssize_t count = nghttp2_session_mem_send(session_.get(), &octets);
        if (count < 0) blame(nghttp2_strerror(static_cast<int>(count)));
        if (count <= 0) break;
        out += text_of(octets, static_cast<std::size_t>(count));
    }
    // A session that neither reads nor writes any more has been given up by one of the two sides.
    if (nghttp2_session_want_read(session_.get()) == 0 &&
        nghttp2_session_want_write(session_.get()) == 0) {
        is_over_ = true;
    }
    return out;
}

void GrpcCall::take(std::string_view octets) {
    if (is_over()) return;
    beginning_ += octets.substr(0, beginning_limit - std::min(beginning_limit, beginning_.size()));
    if (beginning_.starts_with("HTTP/1")) {
        blame("HTTP/1 instead of HTTP/2");
        return;
    }
    if (octets.size() > octet_limit - taken_) {
        blame("more than 64 KiB without an end");
        return;
    }
    taken_ += octets.size();
    const ssize_t count =
        nghttp2_session_mem_recv(session_.get(), octets_of(octets), octets.size());
    if (count < 0) blame(nghttp2_strerror(static_cast<int>(count)));
}

void GrpcCall::header(std::string_view name, std::string_view value) {
    headers_ += name.size() + value.size() + field_cost;
    if (headers_ > header_limit) {
        blame("a header longer than 16 KiB");
        return;
    }
    // Interim answers have a status of their own, which the final one replaces.
    if (name == ":status") answer_.http_status = number(value);
    if (name == "content-type") answer_.content_type = value;
    if (name == "grpc-status") answer_.status = number(value);
    if (name == "grpc-message") answer_.message = value;
}

void GrpcCall::blame(std::string what) {
    if (fault_.empty()) fault_ = std::move(what);
}

}  // namespace swerve::health
