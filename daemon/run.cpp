#include "daemon/run.hpp"

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <random>
#include <semaphore>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/actions/addresses.hpp"
#include "daemon/main_loop.hpp"
#include "daemon/operations/operations.hpp"
#include "daemon/state/posix_disk.hpp"
#include "daemon/state/resume.hpp"
#include "daemon/state/store.hpp"
#include "daemon/state_lock.hpp"
#include "daemon/watchdog.hpp"
#include "swerve/base/clock.hpp"

namespace swerve::daemon {
namespace {

using boost::asio::io_context;

/// Hands events from main to operations.
class PostedEvents final : public EventSink {
public:
    explicit PostedEvents(io_context& operations_io) : operations_io_(operations_io) {}
    void attach(Operations& operations) { operations_ = &operations; }
    void publish(Event event) override {
        boost::asio::post(operations_io_, [this, event = std::move(event)]() mutable {
            operations_->publish(std::move(event));
        });
    }
    void save() override {
        boost::asio::post(operations_io_, [this] { operations_->state_changed(); });
    }

private:
    io_context& operations_io_;
    Operations* operations_ = nullptr;
};

Result<std::string, std::string> read_boot_id() {
    constexpr auto path = "/proc/sys/kernel/random/boot_id";
    std::ifstream file{path};
    std::string id;
    if (!std::getline(file, id) || id.empty()) {
        return fail(std::string{"cannot read "} + path +
                    ", without which no deadline would hold across restarts");
    }
    return id;
}

std::uint64_t fresh_seed() {
    std::random_device device;
    return (std::uint64_t{device()} << 32U) | device();
}

/// Sessions, probes and clients of the API share the descriptors; the usual soft limit of 1,024 is
/// for programs that use select.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
}

/// What operations still has to write may hang (a dead disk, say), and what then is still to be
/// logged, too. The routes are gone by then, so the process ends without it.
constexpr Duration end_patience = std::chrono::seconds{5};
void bound_the_end(unsigned seconds) {
    (void)std::signal(SIGALRM, [](int) { std::_Exit(EXIT_SUCCESS); });
    ::alarm(seconds);
}

/// The log may be what hangs, so that its last line gets a second at most.
[[noreturn]] void end_hung_process(const std::string& loop) {
    (void)std::signal(SIGALRM, SIG_DFL);
    ::alarm(1);
    spdlog::critical(
        "the {} loop stopped moving: ending the process, so that the neighbors drop the routes",
        loop);
    std::_Exit(EXIT_FAILURE);
}

/// Until then, or until another signal says that it takes too long.
void wait(io_context& io, boost::asio::signal_set& signals, TimePoint until) {
    health::Timer timer{io, until};
    timer.async_wait([&](const boost::system::error_code&) { signals.cancel(); });
    signals.async_wait([&](const boost::system::error_code&, int) { timer.cancel(); });
    io.restart();
    io.run();
}

/// The loops with their threads; main runs on the caller's.
class Loops {
public:
    io_context main{1};
    io_context probes{1};
    io_context bfd{1};
    io_context operations{1};

    void start_threads() {
        struct Loop {
            const char* name;  ///< for ps and top, at most 15 octets
            io_context* io;
        };
        for (const Loop& loop :
             {Loop{"probes", &probes}, Loop{"bfd", &bfd}, Loop{"operations", &operations}}) {
            threads_.emplace_back([this, loop] {
                (void)::pthread_setname_np(::pthread_self(), loop.name);
                loop.io->run();
                ended_.release();
            });
        }
    }
    /// Waits until all have done what they have been told; false if they have not in time.
    [[nodiscard]] bool join(Duration patience) {
        probes_work_.reset();
        bfd_work_.reset();
        operations_work_.reset();
        const auto late = std::chrono::steady_clock::now() + patience;
        for (std::size_t i = 0; i < threads_.size(); ++i) {
            if (!ended_.try_acquire_until(late)) return false;
        }
        threads_.clear();
        return true;
    }

private:
    using Guard = boost::asio::executor_work_guard<io_context::executor_type>;

    Guard probes_work_{probes.get_executor()};
    Guard bfd_work_{bfd.get_executor()};
    Guard operations_work_{operations.get_executor()};
    std::counting_semaphore<3> ended_{0};  ///< of the threads
    std::vector<std::jthread> threads_;
};

}  // namespace

int run(const std::shared_ptr<const conf::Config>& config) {
    (void)std::signal(SIGPIPE, SIG_IGN);
    // A limit on the size of files is a disk that is full, not a reason to take the routes away.
    (void)std::signal(SIGXFSZ, SIG_IGN);
    // Whoever started us may have ignored it, and then nobody learns how a program of ours ended.
    (void)std::signal(SIGCHLD, SIG_DFL);
    raise_descriptor_limit();
    const auto refuse = [](const std::string& why) {
        spdlog::critical("{}", why);
        return EXIT_FAILURE;
    };
    const auto lock = StateLock::take(config->state_dir, config->site);
    if (!lock) return refuse(lock.error());
    const auto boot_id = read_boot_id();
    if (!boot_id) return refuse(boot_id.error());
    const failover::BootFacts boot{*boot_id, BootClock::now(), wall_now()};
    PosixDisk disk{config->state_dir};
    StateStore store{disk};
    const failover::Restored restored = resume(store, boot);

    Loops loops;
    PostedEvents events{loops.operations};
    std::vector<LoopView> lateness;  // of the watched loops, as operations knows it
    MainLoop main{{loops.main, loops.probes, loops.bfd, loops.operations},
                  config,
                  restored,
                  events,
                  [&lateness] { return lateness; },
                  fresh_seed()};
    Watchdog watchdog{{{"main", loops.main}, {"probes", loops.probes}, {"bfd", loops.bfd}},
                      {.hung =
                           [&main](const std::string& loop) {
                               // A neighbor whose TCP does not hear of our end hears of this.
                               main.hold_bfd_down();
                               end_hung_process(loop);
                           },
                       .lateness =
                           [&](std::vector<LoopView> now) {
                               boost::asio::post(loops.operations,
                                                 [&, now = std::move(now)] { lateness = now; });
                           }},
                      {}};
    Addresses addresses{
        *config, loops.operations.get_executor(), [&events](std::string alarm) {
            events.publish({BootClock::now(), wall_now(),
                            DaemonEvent{DaemonEvent::Kind::alarm, std::move(alarm)}});
        }};
    Operations operations{loops.operations,
                          main,
                          config,
                          ProcessState{store, boot.boot_id, boot.now, restored.crashes},
                          {.addresses = &addresses}};
    events.attach(operations);
    if (const auto bound = main.listen(); !bound) return refuse(bound.error());
    if (const auto opened = operations.start(); !opened) return refuse(opened.error());

    // Before the first probe looks for them.
    addresses.add(*config);

    boost::asio::signal_set signals{loops.main, SIGTERM, SIGINT, SIGHUP};
    const std::function<void()> stopped = [&] { signals.cancel(); };
    std::function<void()> await_signal = [&] {
        signals.async_wait([&](const boost::system::error_code& error, int signal) {
            if (error) return;
            await_signal();  // first, for a stop that has nothing to wait for cancels it
            if (signal == SIGHUP) {
                boost::asio::post(loops.operations, [&] { operations.reload("SIGHUP"); });
            } else {
                main.stop(
                    {.reason = signal == SIGTERM ? "stopped by SIGTERM" : "stopped by SIGINT"});
            }
        });
    };
    boost::asio::post(loops.main, [&] {
        await_signal();
        main.start(stopped);
    });
    loops.start_threads();
    watchdog.start();
    loops.main.run();  // returns when the last session has taken its last words

    const TimePoint withdrawn = BootClock::now();
    watchdog.stop();  // before anything that may take long
    main.end_bfd();
    main.end_probes();
    boost::asio::post(loops.operations, [&] { operations.stop(main.planned_restart()); });
    const bool ended = loops.join(end_patience);
    if (!main.planned_restart()) {
        wait(loops.main, signals, withdrawn + addresses.grace());
        bound_the_end(5);
        addresses.remove_all();
    }
    if (!ended) {
        bound_the_end(1);
        spdlog::critical("a loop did not end within 5 s: what it had to write is cut short");
        std::_Exit(EXIT_SUCCESS);
    }
    return EXIT_SUCCESS;
}

}  // namespace swerve::daemon
