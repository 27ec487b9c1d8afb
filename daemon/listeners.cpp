#include "daemon/listeners.hpp"

#include <algorithm>
#include <boost/asio/ip/v6_only.hpp>
#include <utility>

#include "daemon/session_socket.hpp"

namespace swerve::daemon {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

/// Between two attempts to accept while that fails.
constexpr auto accept_pause = std::chrono::seconds{1};

}  // namespace

Result<void, std::string> Listeners::bind(const std::vector<Endpoint>& endpoints) {
    std::vector<ListenerPtr> next;
    for (const Endpoint& endpoint : endpoints) {
        const auto known = std::ranges::find(
            all_, endpoint, [](const ListenerPtr& listener) { return listener->endpoint; });
        if (known != all_.end()) {
            next.push_back(*known);
            continue;
        }
        auto opened = open(endpoint);
        if (!opened) return fail(opened.error());
        next.push_back(std::move(*opened));
    }
    const std::vector<ListenerPtr> before = std::exchange(all_, std::move(next));
    for (const ListenerPtr& listener : before) {
        if (std::ranges::find(all_, listener) != all_.end()) continue;
        error_code ignored;
        listener->acceptor.close(ignored);
        listener->pause.cancel();
    }
    if (!started_) return {};
    for (const ListenerPtr& listener : all_) {
        if (std::ranges::find(before, listener) == before.end()) accept(listener);
    }
    return {};
}

Result<Listeners::ListenerPtr, std::string> Listeners::open(const Endpoint& endpoint) {
    const tcp::endpoint local = to_asio(endpoint);
    tcp::acceptor acceptor{io_};
    error_code error;
    const auto step = [&](auto&& what) {
        if (!error) what();
    };
    step([&] { acceptor.open(local.protocol(), error); });
    step([&] { acceptor.set_option(tcp::acceptor::reuse_address(true), error); });
    step([&] {
        if (local.address().is_v6()) acceptor.set_option(boost::asio::ip::v6_only(true), error);
    });
    step([&] { acceptor.bind(local, error); });
    step([&] { acceptor.listen(tcp::acceptor::max_listen_connections, error); });
    if (error) {
        return fail("cannot listen for BGP on " + endpoint.to_string() + ": " + error.message());
    }
    return std::make_shared<Listener>(
        Listener{endpoint, std::move(acceptor), boost::asio::steady_timer{io_}});
}

void Listeners::start() {
    started_ = true;
    for (const ListenerPtr& listener : all_) accept(listener);
}

void Listeners::close() {
    started_ = false;
    (void)bind({});
}

void Listeners::accept(const ListenerPtr& listener) {
    listener->acceptor.async_accept([this, listener](const error_code& error, tcp::socket socket) {
        if (!listener->acceptor.is_open()) return;
        if (!error) {
            hooks_.accepted(std::move(socket));
            return accept(listener);
        }
        // Most likely no descriptors are left: asking again at once would only spin.
        hooks_.alarm("cannot accept a BGP connection: " + error.message());
        listener->pause.expires_after(accept_pause);
        listener->pause.async_wait([this, listener](const error_code& cancelled) {
            if (!cancelled) accept(listener);
        });
    });
}

}  // namespace swerve::daemon
