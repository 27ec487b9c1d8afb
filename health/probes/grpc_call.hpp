#pragma once
// One unary gRPC call over HTTP/2 (nghttp2), octets in and octets out: pure, so that it can be fed
// anything. Bounded against servers that lie; what the limits are for stands in grpc_call.cpp.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct nghttp2_session;

namespace swerve::health {

struct GrpcRequest {
    bool is_tls = false;
    std::string authority;
    std::string path;  ///< "/grpc.health.v1.Health/Check"
    std::string body;  ///< with gRPC's frame around the message
};

/// What came back; not yet judged.
struct GrpcAnswer {
    std::optional<unsigned> http_status;
    std::string content_type;
    std::optional<unsigned> status;  ///< grpc-status, of the header or of the trailer
    std::string message;             ///< grpc-message, as it was sent
    std::string body;
    std::optional<std::uint32_t> reset;    ///< the error code with which the stream was reset
    std::optional<std::uint32_t> go_away;  ///< and of a GOAWAY
};

class GrpcCall {
public:
    static constexpr std::size_t octet_limit = 64UZ * 1024;   ///< of all frames that come in
    static constexpr std::size_t header_limit = 16UZ * 1024;  ///< of header and trailer, unpacked
    static constexpr std::size_t body_limit = 4UZ * 1024;

    explicit GrpcCall(GrpcRequest request);
    ~GrpcCall();
    GrpcCall(const GrpcCall&) = delete;
    GrpcCall& operator=(const GrpcCall&) = delete;

    /// What is to be sent now, at the beginning and after each take().
    [[nodiscard]] std::string output();
    void take(std::string_view octets);
    /// The stream has ended, or nothing can come of it any more.
    [[nodiscard]] bool is_over() const { return is_over_ || !fault_.empty(); }
    /// How the server breaks HTTP/2 or a limit, "" if it does not; not escaped.
    [[nodiscard]] const std::string& fault() const { return fault_; }
    [[nodiscard]] const GrpcAnswer& answer() const { return answer_; }

private:
    struct Callbacks;

    void submit();
    void header(std::string_view name, std::string_view value);
    /// Keeps the first fault.
    void blame(std::string what);

    GrpcRequest request_;
    GrpcAnswer answer_;
    std::unique_ptr<nghttp2_session, void (*)(nghttp2_session*)> session_;
    std::int32_t stream_ = -1;
    std::size_t sent_ = 0;     ///< of the request's body
    std::size_t taken_ = 0;    ///< octets that came in
    std::size_t headers_ = 0;  ///< as RFC 9113 §6.5.2 counts a header list
    std::string beginning_;    ///< of what came in, to tell HTTP/1 by
    bool is_over_ = false;
    std::string fault_;
};

}  // namespace swerve::health
