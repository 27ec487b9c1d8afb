#pragma once

#include <string>

#include "daemon/state/disk.hpp"

namespace swerve::daemon {

/// A real directory, which must exist. Files are made with mode 0600. A file larger than
/// `largest_generation` is not read.
class PosixDisk final : public Disk {
public:
    explicit PosixDisk(std::string directory) : directory_(std::move(directory)) {}

    [[nodiscard]] Result<std::optional<std::string>, std::string> read(
        std::string_view name) override;
    [[nodiscard]] Result<void, std::string> write(std::string_view name,
                                                  std::string_view octets) override;
    [[nodiscard]] Result<void, std::string> rename(std::string_view from,
                                                   std::string_view to) override;
    [[nodiscard]] Result<void, std::string> sync() override;
    [[nodiscard]] Result<void, std::string> scribble(std::string_view name,
                                                     std::string_view octets) override;

private:
    enum class Durable : bool { no, yes };
    [[nodiscard]] Result<void, std::string> put(std::string_view name, std::string_view octets,
                                                Durable durable) const;
    [[nodiscard]] std::string path_of(std::string_view name) const;

    std::string directory_;
};

}  // namespace swerve::daemon
