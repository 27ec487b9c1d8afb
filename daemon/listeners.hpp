#pragma once
// Where neighbors may connect to.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "swerve/base/result.hpp"
#include "swerve/net/address.hpp"

namespace swerve::daemon {

class Listeners {
public:
    using Socket = boost::asio::ip::tcp::socket;
    struct Hooks {
        std::function<void(Socket)> accepted;
        std::function<void(std::string)> alarm;
    };

    Listeners(boost::asio::io_context& io, Hooks hooks) : io_(io), hooks_(std::move(hooks)) {}

    /// Binds those endpoints that are not bound yet, and only if all of them can be, gives up those
    /// that are not named any more. The error is a sentence; everything is as it was then.
    [[nodiscard]] Result<void, std::string> bind(const std::vector<Endpoint>& endpoints);
    /// Begins to accept; what is bound later does so at once.
    void start();
    void close();

private:
    struct Listener {
        Endpoint endpoint;
        boost::asio::ip::tcp::acceptor acceptor;
        boost::asio::steady_timer pause;  ///< after an error of our own, such as no descriptors
    };
    using ListenerPtr = std::shared_ptr<Listener>;

    [[nodiscard]] Result<ListenerPtr, std::string> open(const Endpoint& endpoint);
    void accept(const ListenerPtr& listener);

    boost::asio::io_context& io_;
    Hooks hooks_;
    std::vector<ListenerPtr> all_;
    bool started_ = false;
};

}  // namespace swerve::daemon
