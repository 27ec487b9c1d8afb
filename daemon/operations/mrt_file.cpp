#include "daemon/operations/mrt_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

namespace swerve::daemon {
namespace {

constexpr std::uint16_t type_bgp4mp_et = 17;

enum Subtype : std::uint16_t {
    message = 1,
    message_as4 = 4,
    message_local = 6,
    message_as4_local = 7,
    message_addpath = 8,
    message_as4_addpath = 9,
};

Subtype subtype_of(const MrtRecord& record) {
    if (record.sent) return record.four_octet_as ? message_as4_local : message_local;
    if (record.add_path) return record.four_octet_as ? message_as4_addpath : message_addpath;
    return record.four_octet_as ? message_as4 : message;
}

void put_as(Writer& writer, Asn as, bool four_octets) {
    if (four_octets) return writer.u32(as.value());
    writer.u16(as.fits_two_octets() ? static_cast<std::uint16_t>(as.value()) : Asn::trans);
}

std::string os_error(const std::string& what) {
    return what + ": " + std::strerror(errno);  // NOLINT(concurrency-mt-unsafe)
}

std::optional<std::string> write_whole(const std::string& path, const Bytes& octets) {
    // Not to wait for a reader, should somebody have put a FIFO there.
    const int fd =
        ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
    if (fd < 0) return os_error("cannot open " + path);
    struct stat before{};
    std::optional<std::string> trouble;
    if (::fstat(fd, &before) != 0) trouble = os_error("cannot look at " + path);
    if (!trouble) {
        const ssize_t written = ::write(fd, octets.data(), octets.size());
        if (written != static_cast<ssize_t>(octets.size())) {
            trouble = written < 0 ? os_error("cannot write " + path)
                                  : "cannot write all of a message to " + path;
            // Half a record would make all that follows it unreadable.
            if (written > 0) (void)!::ftruncate(fd, before.st_size);
        }
    }
    (void)::close(fd);
    return trouble;
}

}  // namespace

Bytes encode_mrt(const MrtRecord& record) {
    using namespace std::chrono;
    const auto since = duration_cast<microseconds>(record.at.time_since_epoch());
    const auto second = duration_cast<seconds>(since);
    const bool ipv4 = record.remote.family() == Family::ipv4;
    Bytes body;
    Writer writer{body};
    writer.u32(static_cast<std::uint32_t>((since - second).count()));
    put_as(writer, record.target.remote_as, record.four_octet_as);
    put_as(writer, record.target.local_as, record.four_octet_as);
    writer.u16(0);  // the interface: as good as unknown, its number means nothing elsewhere
    writer.u16(ipv4 ? 1 : 2);
    writer.bytes(record.remote.octets());
    writer.bytes(record.local.octets());
    writer.bytes(record.message);

    Bytes out;
    Writer header{out};
    header.u32(static_cast<std::uint32_t>(second.count()));
    header.u16(type_bgp4mp_et);
    header.u16(subtype_of(record));
    header.u32(static_cast<std::uint32_t>(body.size()));
    header.bytes(body);
    return out;
}

std::optional<std::string> MrtFiles::append(const MrtRecord& record) {
    const std::string& path = record.target.file;
    if (const auto trouble = write_whole(path, encode_mrt(record))) {
        if (!failing_.insert(path).second) return std::nullopt;
        return *trouble + "; messages are not dumped there until that works again";
    }
    const bool failed = failing_.erase(path) > 0;
    if (record.dropped > 0) {
        return std::to_string(record.dropped) + " messages are missing in " + path +
               ": writing them was slower than the session";
    }
    if (failed) return "messages are dumped to " + path + " again";
    return std::nullopt;
}

}  // namespace swerve::daemon
