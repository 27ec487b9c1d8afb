#pragma once
// Tells when a file may have changed. All watches of a loop share one inotify descriptor, of which
// a user has few.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <string>

#include "health/probes/events.hpp"

namespace swerve::health {

class Inotify;

/// Sees that the file of a path appears, goes, is replaced, written or touched. While its directory
/// does not exist, the nearest one above is watched. Of a symbolic link, the file it leads to is
/// watched, too. What happens on a network's other hosts is not seen, and neither is a directory
/// further up that is renamed or, itself a link, led elsewhere: events complement the attempts at
/// intervals, they do not replace them. Belongs to one loop.
class FileWatch {
public:
    /// Watches from now on; `path` is absolute.
    FileWatch(const boost::asio::any_io_executor& executor, const std::string& path);
    ~FileWatch();
    FileWatch(const FileWatch&) = delete;
    FileWatch& operator=(const FileWatch&) = delete;

    /// Until something may have changed since the last return; however much it was, it is told
    /// once. Where the system has no more watches to give, once a second. False once the coroutine
    /// is cancelled.
    boost::asio::awaitable<bool> changed();

private:
    friend class Inotify;
    void arm();

    Inotify& inotify_;
    boost::asio::any_io_executor executor_;
    std::string path_;
    Notice notice_;
    bool armed_ = false;
};

}  // namespace swerve::health
