#pragma once
// The process that talks to PostgreSQL for one check (ADR-0022): how it is found, started, spoken
// to, ended and reaped.

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <string>

#include "health/probes/postgres_wire.hpp"
#include "swerve/base/result.hpp"

namespace swerve::health {

/// The file of the worker: beside the program that runs, or in libexec/swerve beside its directory.
/// The error says where it was looked for and what to do.
[[nodiscard]] Result<std::string, std::string> find_postgres_worker();

class PostgresWorker {
public:
    /// Kills it; deletes it once it is reaped. From any thread.
    struct PutDown {
        void operator()(PostgresWorker* worker) const;
    };
    using Running = std::unique_ptr<PostgresWorker, PutDown>;

    /// With a socket as its input and nothing else of what is open here. It ends with the thread
    /// that started it, and `token` is held until it is reaped. The error says why it could not be
    /// started.
    [[nodiscard]] static Result<Running, std::string> start(
        const boost::asio::any_io_executor& executor, const std::string& file,
        std::shared_ptr<const void> token = nullptr);

    /// Sends a frame and wipes it. False: the worker takes none any more, receive() says why.
    [[nodiscard]] boost::asio::awaitable<bool> send(Bytes frame);
    /// The next reply. The error says that there will be none, or is empty when cancelled.
    [[nodiscard]] boost::asio::awaitable<Result<PostgresReply, std::string>> receive();

    ~PostgresWorker();
    PostgresWorker(const PostgresWorker&) = delete;
    PostgresWorker& operator=(const PostgresWorker&) = delete;

private:
    using Socket = boost::asio::local::stream_protocol::socket;
    using Descriptor = boost::asio::posix::stream_descriptor;

    PostgresWorker(::pid_t pid, Descriptor exit, Socket socket, std::shared_ptr<const void> token);
    boost::asio::awaitable<std::string> how_it_ended();
    static void bury(std::unique_ptr<PostgresWorker> worker);
    [[nodiscard]] bool has_ended() const;
    void reap(int options);

    ::pid_t pid_;
    Descriptor exit_;  ///< the pidfd: readable once the worker has ended
    Socket socket_;
    Bytes received_;
    std::shared_ptr<const void> token_;
    bool reaped_ = false;
};

}  // namespace swerve::health
