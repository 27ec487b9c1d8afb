#pragma once
// Where neighbors may connect to, and who is let in.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/speaker/neighbor_table.hpp"
#include "daemon/tcp_md5.hpp"
#include "swerve/base/result.hpp"
#include "swerve/net/address.hpp"

namespace swerve::daemon {

class Listeners {
public:
    using Socket = boost::asio::ip::tcp::socket;
    struct Hooks {
        /// Whose connection this is; nothing when nobody wants it, and then it is reset before
        /// anything was made for it. `interface` is that of a link-local address.
        std::function<std::optional<NeighborId>(const Address&, const std::string& interface)>
            admit;
        std::function<void(NeighborId, Socket)> accepted;
        std::function<void(std::string)> alarm;
    };

    Listeners(boost::asio::io_context& io, Hooks hooks) : io_(io), hooks_(std::move(hooks)) {}

    /// Binds those endpoints that are not bound yet, brings the keys of all to `keys`, and only if
    /// all of that can be, gives up endpoints that are not named any more. The error is a sentence;
    /// everything is as it was then.
    [[nodiscard]] Result<void, std::string> bind(const std::vector<Endpoint>& endpoints,
                                                 std::vector<Md5Key> keys);
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

    [[nodiscard]] Result<ListenerPtr, std::string> open(const Endpoint& endpoint,
                                                        const std::vector<Md5Key>& keys);
    void await(const ListenerPtr& listener);
    void accept(const ListenerPtr& listener);
    void take(int fd, const Endpoint& from, unsigned scope);

    boost::asio::io_context& io_;
    Hooks hooks_;
    std::vector<ListenerPtr> all_;
    std::vector<Md5Key> keys_;  ///< as all of them hold
    bool started_ = false;
};

}  // namespace swerve::daemon
