#pragma once
// A program as a child: how it is started, read, ended and reaped, and whose turn it is.

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "health/probes/runtime.hpp"
#include "swerve/base/result.hpp"
#include "swerve/base/time.hpp"

namespace swerve::health {

/// Where a program that is named without a slash is looked for, and its PATH.
inline constexpr std::string_view exec_path =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why the file may not be run: it is none, or somebody other than root could have us run as root
/// what they wrote.
[[nodiscard]] std::optional<std::string> refuses_to_run(const std::string& file);

/// Lets so many in at once; the others wait in the order they came. Lives on one loop, held by a
/// shared_ptr.
class Turns : public std::enable_shared_from_this<Turns> {
public:
    explicit Turns(std::size_t count) : free_(count) {}

    struct GiveBack {
        std::shared_ptr<Turns> keep;
        void operator()(Turns* turns) const { turns->give_back(); }
    };
    /// Given back when it is destroyed; null: none was to be had.
    using Turn = std::unique_ptr<Turns, GiveBack>;
    /// Waits for a turn until `until` or until it is cancelled.
    [[nodiscard]] static boost::asio::awaitable<Turn> take(std::shared_ptr<Turns> turns,
                                                           TimePoint until);

private:
    struct Waiter;
    void give_back();

    std::size_t free_;
    std::list<Waiter*> waiting_;
};

/// How a program ended.
struct ExecEnd {
    bool by_signal = false;
    int number = 0;  ///< the exit code, or the signal
};

/// A program in a session of its own, with /dev/null as its input, a pipe as its output, nothing
/// else of what is open here, no signal blocked or ignored, `/` as its directory, and PATH, HOME
/// and LANG as its environment.
class ExecChild {
public:
    /// How much of the output is kept: its end.
    static constexpr std::size_t output_kept = 4096;

    /// Kills the whole group and deletes the child once it is reaped, which holds its turns until
    /// then: a program stuck in the kernel counts as one that runs.
    struct PutDown {
        void operator()(ExecChild* child) const;
    };
    using Running = std::unique_ptr<ExecChild, PutDown>;

    /// `environment` ("NAME=value") is added to its own. The error says why the program could not
    /// be started.
    [[nodiscard]] static Result<Running, std::string> start(
        const boost::asio::any_io_executor& executor, const std::string& file,
        std::vector<std::string> argv, std::vector<Turns::Turn> turns,
        const std::vector<std::string>& environment = {});

    /// Takes the output until the program ends, then kills what is left of its group. The error
    /// says what else there is to say: at `until` or when cancelled, that it still runs.
    [[nodiscard]] boost::asio::awaitable<Result<ExecEnd, std::string>> ended(TimePoint until);

    /// What is kept of the output, as the program wrote it.
    [[nodiscard]] std::string_view output() const { return tail_; }
    /// The last line with anything in it, as the program wrote it; empty: there is none.
    [[nodiscard]] std::string_view last_line() const;

    ~ExecChild();
    ExecChild(const ExecChild&) = delete;
    ExecChild& operator=(const ExecChild&) = delete;

private:
    using Descriptor = boost::asio::posix::stream_descriptor;

    ExecChild(::pid_t pid, Descriptor exit, Descriptor output, std::vector<Turns::Turn> turns);
    [[nodiscard]] Result<ExecEnd, std::string> still_runs() const;
    static void bury(std::unique_ptr<ExecChild> child);
    [[nodiscard]] bool has_ended() const;
    void kill_group() const;
    Result<ExecEnd, std::string> reap();
    void take_output();

    ::pid_t pid_;
    Descriptor exit_;  ///< the pidfd: readable once the program has ended
    Descriptor output_;
    std::string tail_;
    bool reaped_ = false;  ///< or taken by somebody else
    std::vector<Turns::Turn> turns_;
};

}  // namespace swerve::health
