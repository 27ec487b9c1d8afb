#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>

#include "swerve/base/time.hpp"

namespace swerve::daemon {

/// What main answers to `start`, or nothing when it stays silent for `deadline`. `start` is called
/// once, with the function that takes the answer on this loop; an answer that comes too late is
/// dropped.
template <class T>
boost::asio::awaitable<std::optional<T>> ask(Duration deadline,
                                             std::function<void(std::function<void(T)>)> start) {
    struct Pending {
        boost::asio::steady_timer timer;
        std::optional<T> answer;
    };
    const auto executor = co_await boost::asio::this_coro::executor;
    auto pending = std::make_shared<Pending>(
        Pending{boost::asio::steady_timer{executor, deadline}, std::nullopt});
    // Main may keep the function longer than this loop lives.
    start([weak = std::weak_ptr{pending}](T answer) {
        if (const auto held = weak.lock()) {
            held->answer = std::move(answer);
            held->timer.cancel();
        }
    });
    if (!pending->answer) {
        co_await pending->timer.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    }
    co_return std::move(pending->answer);
}

}  // namespace swerve::daemon
