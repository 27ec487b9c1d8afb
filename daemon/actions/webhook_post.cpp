#include "daemon/actions/webhook_post.hpp"

#include <netdb.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>
#include <cstring>
#include <exception>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "health/probes/runtime.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::daemon {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;
using health::Timer;

namespace {

using Status = Result<unsigned, std::string>;
using Request = http::request<http::string_body>;
using Parser = http::response_parser<http::empty_body>;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t header_limit = 16UZ * 1024;
constexpr int interim_limit = 8;

struct Server {
    bool tls;
    std::string host;
    std::string port;
    std::string host_header;
    std::string path;
};

std::optional<Server> server_of(const std::string& text) {
    const auto parsed = boost::urls::parse_uri(text);
    if (!parsed) return std::nullopt;
    const bool tls = parsed->scheme_id() == boost::urls::scheme::https;
    if (!tls && parsed->scheme_id() != boost::urls::scheme::http) return std::nullopt;
    Server out{.tls = tls,
               .host = std::string{parsed->host_address()},
               .port = std::string{parsed->port()},
               .host_header = std::string{parsed->encoded_host_and_port()},
               .path = std::string{parsed->encoded_resource()}};
    if (out.host.empty()) return std::nullopt;
    if (out.port.empty()) out.port = tls ? "443" : "80";
    if (!out.path.starts_with('/')) out.path.insert(0, "/");
    return out;
}

Request request_of(const Server& server, WebhookPost what) {
    Request out{http::verb::post, server.path, 11};
    out.set(http::field::host, server.host_header);
    out.set(http::field::user_agent, "swerved/" SWERVE_VERSION);
    out.set(http::field::content_type, "application/json");
    out.set("Idempotency-Key", what.id);
    if (!what.bearer.empty()) out.set(http::field::authorization, "Bearer " + what.bearer);
    out.set(http::field::connection, "close");
    out.body() = std::move(what.body);
    out.prepare_payload();
    return out;
}

/// Shared by all webhooks: reading the system's certificates takes 20 ms.
ssl::context& tls_context() {
    static ssl::context* const context = [] {
        auto* made = new ssl::context(ssl::context::tls_client);
        SSL_CTX_set_min_proto_version(made->native_handle(), TLS1_2_VERSION);
        made->set_verify_mode(ssl::verify_peer);
        error_code ignored;  // then there is no authority to trust, which the handshake says
        made->set_default_verify_paths(ignored);
        return made;
    }();
    return *context;
}

void expect_name(SSL* handle, const std::string& host) {
    X509_VERIFY_PARAM* const rules = SSL_get0_param(handle);
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, host.c_str()) == 1) return;
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    X509_VERIFY_PARAM_set1_host(rules, host.c_str(), 0);
    // RFC 6066 §3: a name goes into server_name, an address must not.
    std::string name = host;
    SSL_ctrl(handle, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, name.data());
}

template <class Stream>
asio::awaitable<Status> exchange(Stream& stream, const Request& request) {
    const auto [unsent, sent] = co_await http::async_write(stream, request, as_result);
    if (unsent) co_return fail("sending: " + escape(unsent.message()));
    boost::beast::flat_buffer buffer(header_limit);
    // RFC 9110 §15.2: interim answers may come before the final one.
    for (int i = 0; i < interim_limit; ++i) {
        Parser parser;
        parser.header_limit(header_limit);
        parser.body_limit(boost::none);
        const auto [error, count] =
            co_await http::async_read_header(stream, buffer, parser, as_result);
        if (error) co_return fail("waiting for the answer: " + escape(error.message()));
        if (parser.get().result_int() / 100 != 1) co_return parser.get().result_int();
    }
    co_return fail("interim answers without end");
}

asio::awaitable<Status> exchange_over_tls(tcp::socket& socket, const std::string& host,
                                          const Request& request) {
    ssl::stream<tcp::socket&> stream(socket, tls_context());
    expect_name(stream.native_handle(), host);
    const auto [error] = co_await stream.async_handshake(ssl::stream_base::client, as_result);
    const long verified = SSL_get_verify_result(stream.native_handle());
    if (error && verified != X509_V_OK) {
        co_return fail(std::string{"the certificate is refused: "} +
                       X509_verify_cert_error_string(verified));
    }
    if (error) co_return fail("TLS handshake: " + escape(error.message()));
    co_return co_await exchange(stream, request);
}

asio::awaitable<Status> exchange_with(const Server& server, const std::vector<tcp::endpoint>& found,
                                      const Request& request) {
    tcp::socket socket(co_await asio::this_coro::executor);
    const auto [error, remote] = co_await asio::async_connect(socket, found, as_result);
    if (error) co_return fail("connecting: " + escape(error.message()));
    Status out;
    if (server.tls) {
        out = co_await exchange_over_tls(socket, server.host, request);
    } else {
        out = co_await exchange(socket, request);
    }
    health::close_quietly(socket);
    co_return out;
}

asio::awaitable<void> wait_for(Duration timeout) {
    Timer timer(co_await asio::this_coro::executor, BootClock::now() + timeout);
    co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace

/// getaddrinfo, which nothing can cancel, on a thread of its own, so that no other webhook waits
/// for it. The thread is joined by nobody and outlives whoever asked: it touches nothing but this.
struct NameLookup {
    explicit NameLookup(const Server& server)
        : name(server.host), service(server.port), ready(::eventfd(0, EFD_CLOEXEC)) {}
    ~NameLookup() {
        if (ready >= 0) ::close(ready);
    }
    NameLookup(const NameLookup&) = delete;
    NameLookup& operator=(const NameLookup&) = delete;

    /// An address is no name to look up: it is done at once.
    static std::shared_ptr<NameLookup> begin(const Server& server) {
        auto out = std::make_shared<NameLookup>(server);
        error_code no_address;
        const auto address = asio::ip::make_address(server.host, no_address);
        if (no_address) {
            std::thread{[out] { out->look_up(); }}.detach();
        } else {
            std::uint16_t port = 0;
            std::from_chars(server.port.data(), server.port.data() + server.port.size(), port);
            out->found.emplace_back(address, port);
            out->done = true;
        }
        return out;
    }

    const std::string name;
    const std::string service;
    const int ready;  ///< readable once it is done
    std::atomic<bool> done = false;
    // To be read once it is done.
    int error = 0;
    std::vector<tcp::endpoint> found;

private:
    void look_up() {
        ::addrinfo wanted{};
        wanted.ai_flags = AI_NUMERICSERV;
        wanted.ai_socktype = SOCK_STREAM;
        ::addrinfo* list = nullptr;
        error = ::getaddrinfo(name.c_str(), service.c_str(), &wanted, &list);
        for (const ::addrinfo* each = list; error == 0 && each != nullptr; each = each->ai_next) {
            tcp::endpoint& endpoint = found.emplace_back();
            endpoint.resize(each->ai_addrlen);
            std::memcpy(endpoint.data(), each->ai_addr, each->ai_addrlen);
        }
        if (list != nullptr) ::freeaddrinfo(list);
        done = true;
        (void)::eventfd_write(ready, 1);
    }
};

namespace {

/// Exceptions stay inside, for whoever waits for the first of two would see one of its own.
asio::awaitable<void> exchange_guarded(const Server& server, std::shared_ptr<NameLookup> lookup,
                                       const Request& request, Status& out) {
    try {
        out = fail("looking up the name of the server");
        if (!lookup->done) {
            asio::posix::stream_descriptor ready(co_await asio::this_coro::executor,
                                                 ::dup(lookup->ready));
            co_await ready.async_wait(asio::posix::descriptor_base::wait_read, as_result);
        }
        if (!lookup->done) co_return;
        if (lookup->error != 0) {
            out = fail("looking up the name: " + escape(::gai_strerror(lookup->error)));
            co_return;
        }
        out = co_await exchange_with(server, lookup->found, request);
    } catch (const std::exception& error) {
        out = fail("the attempt broke off: " + escape(error.what()));
    }
}

}  // namespace

WebhookClient::WebhookClient() = default;

WebhookClient::~WebhookClient() = default;

asio::awaitable<Status> WebhookClient::post(WebhookPost what, Duration timeout) {
    using namespace asio::experimental::awaitable_operators;
    const auto server = server_of(what.url);
    if (!server) co_return fail("the URL is none of http or https");
    const Request request = request_of(*server, std::move(what));
    if (!lookup_ || lookup_->done || lookup_->name != server->host ||
        lookup_->service != server->port) {
        lookup_ = NameLookup::begin(*server);
    }
    Status found;
    const auto first =
        co_await (exchange_guarded(*server, lookup_, request, found) || wait_for(timeout));
    if (first.index() == 1 && !found) {
        co_return fail("no answer within " + health::duration_text(timeout) + ", " + found.error());
    }
    co_return found;
}

}  // namespace swerve::daemon
