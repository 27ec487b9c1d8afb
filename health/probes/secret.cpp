#include "health/probes/secret.hpp"

#include <sys/stat.h>

#include <utility>

#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

constexpr std::size_t secret_limit = 4096;

}  // namespace

Result<FileText, std::string> read_private(const std::string& path, std::size_t limit) {
    auto file = read_file(path, limit);
    if (!file) return file;
    struct ::stat status{};
    if (::stat(path.c_str(), &status) != 0) return fail(escape(path) + ": is gone");
    if ((status.st_mode & S_IRWXO) != 0) {
        return fail(escape(path) + ": everybody has access to it, make its mode 0640 or less");
    }
    return file;
}

Result<std::string, std::string> read_secret(const std::string& path) {
    const auto cannot = [&path](std::string_view why) {
        return fail(escape(path) + ": " + std::string{why});
    };
    auto file = read_private(path, secret_limit + 2);
    if (!file) return fail(std::move(file.error()));
    std::string secret = std::move(file->text);
    if (secret.ends_with('\n')) secret.pop_back();
    if (secret.ends_with('\r')) secret.pop_back();
    if (secret.empty()) return cannot("is empty");
    if (file->cut || secret.size() > secret_limit) return cannot("is longer than 4096 octets");
    if (secret.find('\n') != std::string::npos) return cannot("has more than one line");
    if (escape(secret, secret.size()) != secret) {
        return cannot("holds characters that cannot be printed");
    }
    return secret;
}

}  // namespace swerve::health
