#include "daemon/operations/reloader.hpp"

#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <utility>

#include "daemon/actions/addresses.hpp"
#include "daemon/operations/ask.hpp"
#include "daemon/operations/settled_load.hpp"
#include "swerve/base/clock.hpp"

namespace swerve::daemon {

namespace asio = boost::asio;

namespace {

[[nodiscard]] std::unexpected<ReloadFailure> invalid(conf::Diagnostics faults) {
    ReloadFailure out{ApiError::invalid_configuration, faults.front().to_string(),
                      "swervectl config check FILE shows every fault; the configuration in force "
                      "is what it was"};
    const std::size_t count = conf::fault_count(faults);
    if (count > 1) out.message += fmt::format(" (and {} more)", count - 1);
    out.faults = std::move(faults);
    return fail(std::move(out));
}

/// The file is good, but this process cannot take it over.
[[nodiscard]] std::unexpected<ReloadFailure> needs_restart(conf::Diagnostics faults) {
    auto out = invalid(std::move(faults));
    out.error().hint =
        "restart swerved, or put the old value back; the configuration in force is what it was";
    return out;
}

[[nodiscard]] std::unexpected<ReloadFailure> not_applied(std::string why) {
    return fail(ReloadFailure{ApiError::not_applied, std::move(why),
                              "the configuration in force is what it was"});
}

}  // namespace

Reloader::Reloader(ApiContext& context, HttpServer& http, const asio::any_io_executor& executor)
    : context_(context),
      http_(http),
      executor_(executor),
      pause_(std::make_shared<asio::steady_timer>(executor)) {
    context_.reloads.last_success = wall_now();
}

asio::awaitable<Reloader::Outcome> Reloader::reload() {
    if (stopped_) co_return not_applied("the daemon is stopping");
    if (!next_) {
        next_ = std::make_shared<Round>(
            Round{asio::steady_timer{executor_, asio::steady_timer::time_point::max()}});
    }
    const auto round = next_;
    if (!std::exchange(running_, true)) {
        asio::co_spawn(executor_, run(), [this](const std::exception_ptr& error) {
            running_ = false;
            if (error) context_.logger->critical("event=reload text=\"reloading ended\"");
        });
    }
    if (!round->outcome) {
        co_await round->answered.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    co_return round->outcome.value_or(not_applied("the daemon is stopping"));
}

asio::awaitable<void> Reloader::run() {
    while (next_) {
        const auto round = std::exchange(next_, nullptr);
        round->outcome = co_await attempt();
        if (!*round->outcome) {
            context_.reloads.failed();
            context_.alarm("reload failed: " + round->outcome->error().message);
        } else if ((**round->outcome)->empty()) {
            context_.reloads.succeeded(wall_now());
        }
        round->answered.cancel();
    }
}

asio::awaitable<Reloader::Outcome> Reloader::preview() {
    const auto pause = std::make_shared<asio::steady_timer>(executor_);
    auto loaded = co_await load_settled(context_.config->file, files_of(*context_.config), pause);
    if (!loaded) co_return invalid(std::move(loaded.error()));
    auto change = conf::compare(context_.config, std::move(*loaded));
    if (!change) co_return needs_restart(std::move(change.error()));
    co_return std::move(*change);
}

asio::awaitable<Reloader::Outcome> Reloader::attempt() {
    auto loaded = co_await load_settled(context_.config->file, files_of(*context_.config), pause_);
    if (!loaded) co_return invalid(std::move(loaded.error()));
    auto change = conf::compare(context_.config, std::move(*loaded));
    if (!change) co_return needs_restart(std::move(change.error()));
    if ((*change)->empty()) co_return std::move(*change);
    co_return co_await apply(std::move(*change));
}

asio::awaitable<Reloader::Outcome> Reloader::apply(std::shared_ptr<const conf::Change> change) {
    const std::function<void(std::function<void(std::shared_ptr<const Snapshot>)>)> look =
        [&](auto done) { context_.main.snapshot({}, std::move(done)); };
    const auto seen = co_await ask<std::shared_ptr<const Snapshot>>(context_.main_deadline, look);
    reenabled_.clear();
    if (seen && *seen) reenabled_ = reenabled(*change->after, (*seen)->neighbors);
    if (const auto ready = prepare_http(*change); !ready) co_return not_applied(ready.error());
    // Before main is asked, whose new checks look for them at once.
    if (context_.addresses != nullptr) context_.addresses->add(*change->after);
    using Done = std::function<void(std::optional<std::string>)>;
    const std::function<void(Done)> start = [&](Done done) {
        context_.main.apply(change, std::move(done));
    };
    const auto answer = co_await ask<std::optional<std::string>>(context_.main_deadline, start);
    if (!answer) {
        // It may come yet; then main's event takes the listener over as well.
        co_return fail(ReloadFailure{
            ApiError::main_silent, "the main loop gave no answer: not known whether it took effect",
            "the events tell: swervectl events"});
    }
    if (*answer) {
        next_http_.reset();
        if (context_.addresses != nullptr) context_.addresses->undo();
        co_return not_applied(**answer);
    }
    co_return change;
}

Result<void, std::string> Reloader::prepare_http(const conf::Change& change) {
    next_http_.reset();
    if (change.before->http_listen == change.after->http_listen) return {};
    next_http_.emplace(nullptr);
    if (!change.after->http_listen) return {};
    auto bound = http_.bind_tcp(*change.after->http_listen);
    if (!bound) {
        next_http_.reset();
        return fail(bound.error());
    }
    *next_http_ = std::move(*bound);
    return {};
}

void Reloader::in_force(const conf::Change& change) {
    context_.config = change.after;
    context_.counters->forget_all_but(*change.after);
    context_.reloads.succeeded(wall_now());
    if (context_.addresses != nullptr) context_.addresses->in_force(*change.after, context_.main);
    if (next_http_) http_.serve_tcp(*std::exchange(next_http_, std::nullopt));
    for (const Reenabled& each : std::exchange(reenabled_, {})) {
        context_.alarm(fmt::format(
            "neighbor {} is enabled: its address was disabled under the name of {}, which is gone; "
            "swervectl neighbor {} disable keeps it down",
            each.neighbor, each.was, each.neighbor));
    }
}

void Reloader::stop() {
    stopped_ = true;
    pause_->cancel();
    if (next_) next_->answered.cancel();
}

}  // namespace swerve::daemon
