#include "health/probes/system_bus.hpp"

#include <fcntl.h>
#include <poll.h>
#include <systemd/sd-bus.h>

#include <algorithm>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "swerve/base/escape.hpp"

namespace swerve::health {

namespace asio = boost::asio;

namespace {

constexpr auto service = "org.freedesktop.systemd1";
constexpr auto unit_prefix = "/org/freedesktop/systemd1/unit";
constexpr auto unit_changed =
    "type='signal',sender='org.freedesktop.systemd1',"
    "path_namespace='/org/freedesktop/systemd1/unit',"
    "interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'";
constexpr auto systemd_came_or_went =
    "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
    "member='NameOwnerChanged',arg0='org.freedesktop.systemd1'";
/// Messages before others have their turn.
constexpr int messages_per_turn = 64;
constexpr std::size_t longest_unit_name = 255;  // systemd.unit(5)

std::string message(int negative_errno) { return std::generic_category().message(-negative_errno); }

struct CloseBus {
    void operator()(::sd_bus* bus) const { ::sd_bus_close_unref(bus); }
};
struct ReleaseSlot {
    void operator()(::sd_bus_slot* slot) const { ::sd_bus_slot_unref(slot); }
};
struct ReleaseMessage {
    void operator()(::sd_bus_message* each) const { ::sd_bus_message_unref(each); }
};
using Bus = std::unique_ptr<::sd_bus, CloseBus>;
using Slot = std::unique_ptr<::sd_bus_slot, ReleaseSlot>;
using Message = std::unique_ptr<::sd_bus_message, ReleaseMessage>;

/// A call to systemd; nobody is started to answer it.
Message method_call(::sd_bus* bus, const char* path, const char* interface, const char* method) {
    ::sd_bus_message* made = nullptr;
    if (::sd_bus_message_new_method_call(bus, &made, service, path, interface, method) < 0) {
        return nullptr;
    }
    Message out{made};
    ::sd_bus_message_set_auto_start(made, 0);
    return out;
}

Outcome refused(const ::sd_bus_error& error) {
    const std::string_view name = error.name == nullptr ? "" : error.name;
    if (name.ends_with(".UnknownObject") || name.ends_with(".NoSuchUnit")) {
        return failed("systemd has no such unit");
    }
    if (name.ends_with(".ServiceUnknown") || name.ends_with(".NameHasNoOwner")) {
        return unsure("systemd is not on the system bus: is it the init system here?");
    }
    std::string reason = "systemd gives no answer on the system bus: ";
    return unsure(reason + escape(error.message == nullptr ? name : error.message));
}

Result<std::string, Outcome> value_in(::sd_bus_message* answer) {
    const char* text = nullptr;
    std::uint32_t number = 0;
    if (::sd_bus_message_enter_container(answer, SD_BUS_TYPE_VARIANT, "s") > 0 &&
        ::sd_bus_message_read_basic(answer, SD_BUS_TYPE_STRING, &text) > 0) {
        return std::string{text};
    }
    if (::sd_bus_message_enter_container(answer, SD_BUS_TYPE_VARIANT, "u") > 0 &&
        ::sd_bus_message_read_basic(answer, SD_BUS_TYPE_UINT32, &number) > 0) {
        return std::to_string(number);
    }
    return fail(unsure("systemd answered something else than was asked for"));
}

}  // namespace

class SystemBus final : public asio::execution_context::service {
public:
    using key_type = SystemBus;
    inline static asio::execution_context::id id;

    explicit SystemBus(asio::execution_context& context)
        : asio::execution_context::service(context) {}

    static SystemBus& of(const asio::any_io_executor& executor) {
        return asio::use_service<SystemBus>(asio::query(executor, asio::execution::context));
    }

    /// A question under way. As long as there is one, or a watch, the connection stays.
    struct Call {
        Call(SystemBus& of, const asio::any_io_executor& executor) : bus(of), done(executor) {
            bus.calls_.insert(this);
        }
        ~Call() {
            bus.calls_.erase(this);
            bus.close_if_idle();
        }
        Call(const Call&) = delete;
        Call& operator=(const Call&) = delete;

        void answer(Result<std::string, Outcome> with) {
            result = std::move(with);
            done.raise();
        }

        SystemBus& bus;
        Notice done;
        Slot slot;
        std::optional<Result<std::string, Outcome>> result;
    };

    void add(const asio::any_io_executor& executor, UnitWatch& watch) {
        watches_.emplace(watch.path_, &watch);
        (void)open(executor);
    }
    void remove(UnitWatch& watch) {
        const auto [first, last] = watches_.equal_range(watch.path_);
        watches_.erase(
            std::find_if(first, last, [&](const auto& each) { return each.second == &watch; }));
        close_if_idle();
    }

    /// Asks; the call is answered later, and at once if it cannot be asked.
    void ask(Call& call, const asio::any_io_executor& executor, const UnitName& unit,
             const char* interface, const char* name, Duration limit) {
        if (const auto why = open(executor)) return call.answer(fail(unsure(*why)));
        const Message question =
            method_call(bus_.get(), unit.path.c_str(), "org.freedesktop.DBus.Properties", "Get");
        ::sd_bus_slot* slot = nullptr;
        const auto usec = std::chrono::duration_cast<std::chrono::microseconds>(limit).count();
        int result =
            question ? ::sd_bus_message_append(question.get(), "ss", interface, name) : -ENOMEM;
        if (result >= 0) {
            result =
                ::sd_bus_call_async(bus_.get(), &slot, question.get(), answered, &call,
                                    static_cast<std::uint64_t>(std::max<Duration::rep>(usec, 1)));
        }
        if (result < 0) return lost(result);
        call.slot.reset(slot);
        arm();
    }

private:
    using Descriptor = asio::posix::stream_descriptor;

    void shutdown() override { close(); }

    /// Why there is no connection; nothing if there is one. Nothing here waits: the bus is greeted
    /// while the loop goes on, and what is asked meanwhile is sent afterwards.
    std::optional<std::string> open(const asio::any_io_executor& executor) {
        if (bus_) return std::nullopt;
        ::sd_bus* made = nullptr;
        int result = ::sd_bus_open_system_with_description(&made, "swerve");
        bus_.reset(made);
        if (result >= 0) result = listen();
        const int descriptor = result < 0 ? result : ::sd_bus_get_fd(made);
        // A descriptor of our own, for Asio closes what it is given.
        const int copy = descriptor < 0 ? descriptor : ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0);
        if (copy < 0) {
            bus_.reset();
            return "no system bus: " + message(descriptor < 0 ? descriptor : -errno) +
                   " (the package dbus brings it; DBUS_SYSTEM_BUS_ADDRESS names another)";
        }
        descriptor_ = std::make_shared<Descriptor>(executor, copy);
        timer_ = std::make_unique<Timer>(executor);
        arm();
        // Whatever happened before nobody told us.
        for (const auto& [path, watch] : watches_) watch->notice_.raise();
        return std::nullopt;
    }

    /// systemd sends signals only while somebody has subscribed. One rule for all units, as the
    /// number of rules is limited, too.
    int listen() {
        int result =
            ::sd_bus_add_match_async(bus_.get(), nullptr, unit_changed, changed, nullptr, this);
        if (result < 0) return result;
        result = ::sd_bus_add_match_async(bus_.get(), nullptr, systemd_came_or_went, came_or_went,
                                          nullptr, this);
        return result < 0 ? result : subscribe();
    }

    int subscribe() {
        const Message call = method_call(bus_.get(), "/org/freedesktop/systemd1",
                                         "org.freedesktop.systemd1.Manager", "Subscribe");
        // Nobody waits for the answer: without systemd, who asks for a unit learns that.
        const auto ignore = [](::sd_bus_message*, void*, ::sd_bus_error*) { return 0; };
        return call ? ::sd_bus_call_async(bus_.get(), nullptr, call.get(), ignore, nullptr, 0)
                    : -ENOMEM;
    }

    static int changed(::sd_bus_message* signal, void* self, ::sd_bus_error* /*error*/) {
        const auto [first, last] =
            static_cast<SystemBus*>(self)->watches_.equal_range(::sd_bus_message_get_path(signal));
        std::for_each(first, last, [](const auto& each) { each.second->notice_.raise(); });
        return 0;
    }

    static int came_or_went(::sd_bus_message* /*signal*/, void* self, ::sd_bus_error* /*error*/) {
        auto& bus = *static_cast<SystemBus*>(self);
        (void)bus.subscribe();
        for (const auto& [path, watch] : bus.watches_) watch->notice_.raise();
        return 0;
    }

    static int answered(::sd_bus_message* answer, void* of, ::sd_bus_error* /*error*/) {
        auto& call = *static_cast<Call*>(of);
        const ::sd_bus_error* error = ::sd_bus_message_get_error(answer);
        if (error != nullptr) {
            call.answer(fail(refused(*error)));
        } else {
            call.answer(value_in(answer));
        }
        return 0;
    }

    void pump() {
        int result = 1;
        for (int i = 0; i < messages_per_turn && result > 0; ++i) {
            result = ::sd_bus_process(bus_.get(), nullptr);
        }
        if (result < 0) return lost(result);
        if (result == 0) return arm();
        asio::post(descriptor_->get_executor(), [this, of = descriptor_] {
            if (of == descriptor_) pump();
        });
    }

    /// Waits for what the connection waits for.
    void arm() {
        const int events = ::sd_bus_get_events(bus_.get());
        std::uint64_t until = 0;
        const int result = ::sd_bus_get_timeout(bus_.get(), &until);
        if (events < 0 || result < 0) return lost(events < 0 ? events : result);
        if ((events & POLLIN) != 0) wait(Descriptor::wait_read, reads_);
        if ((events & POLLOUT) != 0) wait(Descriptor::wait_write, writes_);
        if (until == UINT64_MAX) return;
        ::timespec now{};
        ::clock_gettime(CLOCK_MONOTONIC, &now);
        const Duration left = std::chrono::microseconds{until} - std::chrono::seconds{now.tv_sec} -
                              std::chrono::nanoseconds{now.tv_nsec};
        timer_->expires_after(std::max(left, Duration::zero()));
        timer_->async_wait([this, of = descriptor_](const boost::system::error_code& error) {
            if (!error && of == descriptor_) pump();
        });
    }

    /// `waits` is whether it does already.
    void wait(Descriptor::wait_type what, std::shared_ptr<Descriptor>& waits) {
        if (waits == descriptor_) return;
        waits = descriptor_;
        descriptor_->async_wait(
            what, [this, &waits, of = descriptor_](const boost::system::error_code& error) {
                if (error || of != descriptor_) return;
                waits.reset();
                pump();
            });
    }

    void lost(int negative_errno) {
        close();
        for (Call* call : calls_) {
            if (call->result) continue;
            call->answer(
                fail(unsure("the connection to the system bus broke: " + message(negative_errno))));
        }
    }

    void close_if_idle() {
        if (calls_.empty() && watches_.empty()) close();
    }

    void close() {
        for (Call* call : calls_) call->slot.reset();
        bus_.reset();
        timer_.reset();
        reads_.reset();
        writes_.reset();
        // Its handlers keep it until they have run, and without a close they never do.
        boost::system::error_code ignored;
        if (descriptor_) descriptor_->close(ignored);
        descriptor_.reset();
    }

    Bus bus_;
    std::shared_ptr<Descriptor> descriptor_;  ///< tells one connection from the next
    std::shared_ptr<Descriptor> reads_;       ///< the connection that is waited for to read from
    std::shared_ptr<Descriptor> writes_;
    std::unique_ptr<Timer> timer_;
    std::set<Call*> calls_;
    std::multimap<std::string, UnitWatch*, std::less<>> watches_;  ///< by path
};

Result<UnitName, std::string> UnitName::parse(const std::string& text) {
    static constexpr std::string_view allowed =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-_.\\@";
    static constexpr std::string_view suffixes[] = {".service", ".socket", ".target",   ".mount",
                                                    ".device",  ".timer",  ".path",     ".slice",
                                                    ".scope",   ".swap",   ".automount"};
    UnitName out{text, {}};
    const bool has_suffix = std::ranges::any_of(
        suffixes, [&](std::string_view suffix) { return text.ends_with(suffix); });
    if (!has_suffix) out.text += ".service";
    const bool is_name = out.text.find_first_not_of(allowed) == std::string::npos &&
                         !out.text.starts_with('.') && out.text.size() <= longest_unit_name;
    if (!is_name) return fail(quoted(text) + " cannot be the name of a unit");
    char* path = nullptr;
    if (::sd_bus_path_encode(unit_prefix, out.text.c_str(), &path) < 0) {
        return fail(quoted(text) + " cannot be the name of a unit");
    }
    out.path = path;
    std::free(path);
    return out;
}

asio::awaitable<Result<std::string, Outcome>> unit_property(const UnitName& unit,
                                                            const char* interface, const char* name,
                                                            TimePoint until) {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    SystemBus::Call call(SystemBus::of(executor), executor);
    const Duration limit = until - BootClock::now();
    call.bus.ask(call, executor, unit, interface, name, limit);
    co_await call.done.wait(limit);
    if (!call.result) co_return fail(unsure("waiting for systemd to tell of " + unit.text));
    co_return std::move(*call.result);
}

UnitWatch::UnitWatch(const asio::any_io_executor& executor, const UnitName& unit)
    : bus_(SystemBus::of(executor)), path_(unit.path), notice_(executor) {
    bus_.add(executor, *this);
}

UnitWatch::~UnitWatch() { bus_.remove(*this); }

}  // namespace swerve::health
