#pragma once
// A client that writes any octets it likes, sensible or not, and reads with a deadline.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/json/parse.hpp>
#include <chrono>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "swerve/net/address.hpp"

namespace swerve::test {

class HttpClient {
public:
    explicit HttpClient(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.data(), path.size());
        connected_ =
            ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    }
    explicit HttpClient(const Endpoint& endpoint) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(endpoint.port);
        std::memcpy(&address.sin_addr, endpoint.address.octets().data(), 4);
        connected_ =
            ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    }
    ~HttpClient() { ::close(socket_); }
    HttpClient(const HttpClient&) = delete;
    HttpClient& operator=(const HttpClient&) = delete;

    [[nodiscard]] bool connected() const { return connected_; }

    /// Whether the other side has not ended the connection; nothing is read.
    [[nodiscard]] bool peer_open() const {
        pollfd state{socket_, POLLRDHUP, 0};
        return ::poll(&state, 1, 10) == 0;
    }

    /// As much as the other side takes.
    void send(std::string_view octets) const {
        while (!octets.empty()) {
            const ssize_t sent = ::send(socket_, octets.data(), octets.size(), MSG_NOSIGNAL);
            if (sent <= 0) return;
            octets.remove_prefix(static_cast<std::size_t>(sent));
        }
    }

    /// Everything until the other side ends, or until `enough` stands in it, or five seconds passed
    /// (then "…" stands at the end).
    [[nodiscard]] std::string read(std::string_view enough = {}) {
        std::string out;
        while (enough.empty() || out.find(enough) == std::string::npos) {
            pollfd wanted{socket_, POLLIN, 0};
            if (::poll(&wanted, 1, 5000) <= 0) return out + "…";
            std::array<char, 4096> octets{};
            const ssize_t got = ::recv(socket_, octets.data(), octets.size(), 0);
            if (got <= 0) return out;
            out.append(octets.data(), static_cast<std::size_t>(got));
        }
        return out;
    }

private:
    int socket_;
    bool connected_ = false;
};

struct HttpAnswer {
    int status = 0;
    std::string header;
    std::string body;

    [[nodiscard]] boost::json::object json() const { return boost::json::parse(body).as_object(); }
    [[nodiscard]] std::string error_code() const {
        return std::string{json().at("error").at("code").as_string()};
    }
    [[nodiscard]] std::string message() const {
        return std::string{json().at("error").at("message").as_string()};
    }
    [[nodiscard]] std::string hint() const {
        return std::string{json().at("error").at("hint").as_string()};
    }
};

[[nodiscard]] inline HttpAnswer parse_answer(const std::string& text) {
    HttpAnswer out;
    const auto end = text.find("\r\n\r\n");
    if (text.size() < 12 || end == std::string::npos) return out;
    out.status = std::stoi(text.substr(9, 3));
    out.header = text.substr(0, end);
    out.body = text.substr(end + 4);
    return out;
}

/// One request on one connection.
template <class Where>
[[nodiscard]] HttpAnswer ask_http(const Where& where, const std::string& method,
                                  const std::string& target, const std::string& body = {}) {
    HttpClient client{where};
    std::string text = method + " " + target + " HTTP/1.1\r\nHost: swerve\r\n";
    if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    client.send(text + "\r\n" + body);
    return parse_answer(client.read());
}

}  // namespace swerve::test
