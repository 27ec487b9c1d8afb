#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <functional>

#include "swerve/base/bytes.hpp"

namespace swerve::daemon {

/// Writes the last words of a connection and closes it in the order that lets the other side read
/// them: write, shut down the sending side, discard what still comes, close. Takes at most 1 s and
/// owns the socket meanwhile; closing with unread input would send a RST, which destroys a
/// NOTIFICATION at the receiver.
/// `done` is called at the end.
void say_farewell(boost::asio::ip::tcp::socket socket, Bytes last_words,
                  std::function<void()> done = {});

/// Closes by RST, so that the peer's kernel learns of it at once.
void reset(boost::asio::ip::tcp::socket socket);

}  // namespace swerve::daemon
