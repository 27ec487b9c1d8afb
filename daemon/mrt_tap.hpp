#pragma once
// Copies of the messages of a session on their way to a dump (RFC 6396). Taken on main, written on
// operations; what operations cannot take in time is dropped and counted, for a dump must never
// delay a session.

#include <array>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "swerve/base/bytes.hpp"
#include "swerve/base/time.hpp"
#include "swerve/bgp/open.hpp"
#include "swerve/net/address.hpp"
#include "swerve/net/asn.hpp"

namespace swerve::daemon {

/// Whose messages go where.
struct MrtTarget {
    std::string file;  ///< empty: nowhere
    Asn local_as;
    Asn remote_as;

    friend bool operator==(const MrtTarget&, const MrtTarget&) = default;
};

/// One message as it stood on the wire.
struct MrtRecord {
    MrtTarget target;
    Address local;
    Address remote;
    WallTime at;
    bool sent = false;          ///< by us
    bool four_octet_as = true;  ///< AS numbers in an AS_PATH have four octets
    bool add_path = false;      ///< NLRI carries path identifiers (RFC 8050)
    std::uint64_t dropped = 0;  ///< messages for this file before this one that were not dumped
    Bytes message;              ///< with its header
};

/// Cuts a stream of octets into messages by their length field. Holds less than one message.
class MessageCutter {
public:
    /// `from_start`: the first octet begins a message; else the first marker is looked for, and so
    /// it is after a length that cannot be.
    explicit MessageCutter(bool from_start) : in_step_(from_start) {}

    void feed(ByteView octets, const std::function<void(ByteView)>& message);

private:
    /// Moves to the next marker; false when there is none yet.
    bool find_step(std::size_t& at);

    Bytes pending_;
    bool in_step_;
};

/// Both directions of one connection.
class MrtTap {
public:
    using Sink = std::function<void(MrtRecord)>;

    /// `from_start`: no octet was exchanged yet.
    MrtTap(MrtTarget target, const Address& local, const Address& remote, bool from_start,
           Sink sink);

    /// Of a session that was up before: what its OPENs, which were not seen, have agreed on.
    void agreed(bool four_octet_as, const bgp::FamilySet& add_path) {
        four_octet_as_ = four_octet_as;
        add_path_ = add_path;
    }
    void received(ByteView octets) { take(octets, false); }
    /// The first `count` octets of what `views` hold, one after the other.
    void sent(std::span<const ByteView> views, std::size_t count);

    [[nodiscard]] const MrtTarget& target() const { return target_; }

private:
    void take(ByteView octets, bool sent);
    /// Whether path identifiers stand before the prefixes of a message that was received.
    [[nodiscard]] bool has_path_ids(ByteView message) const;
    /// What the two OPENs say decides how the messages after them are to be read.
    void note_open(ByteView message, bool sent);

    MrtTarget target_;
    Address local_;
    Address remote_;
    Sink sink_;
    std::array<MessageCutter, 2> cutters_;                   ///< received, sent
    std::array<std::optional<bgp::Capabilities>, 2> opens_;  ///< the same
    bool four_octet_as_ = true;
    bgp::FamilySet add_path_{};  ///< received
};

/// The way from main to operations: so many octets at most are under way at a time.
class MrtQueue {
public:
    /// `write` runs on `operations` and returns what went wrong and is news; `alarm` on `main`.
    using Write = std::function<std::optional<std::string>(const MrtRecord&)>;
    MrtQueue(boost::asio::io_context& main, boost::asio::io_context& operations, Write write,
             std::function<void(std::string)> alarm);

    void push(MrtRecord record);

    static constexpr std::size_t max_octets = std::size_t{8} << 20U;

private:
    boost::asio::io_context& main_;
    boost::asio::io_context& operations_;
    std::shared_ptr<const Write> write_;
    std::function<void(std::string)> alarm_;
    std::size_t under_way_ = 0;
    std::map<std::string, std::uint64_t> dropped_;  ///< by file, since the last that was taken
};

}  // namespace swerve::daemon
