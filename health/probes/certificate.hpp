#pragma once
// What a server's certificate says of itself, in words.

#include <openssl/x509.h>

#include <cstdint>
#include <optional>
#include <string>

#include "swerve/base/time.hpp"
#include "swerve/health/outcome.hpp"

namespace swerve::health {

/// One certificate of a chain.
struct CertificateFacts {
    std::string name;    ///< its first name (RFC 9525), or its subject where it has none
    std::string issuer;  ///< the common name of who signed it, or its whole name
    std::string begins;  ///< "2026-11-21 06:00:00 UTC"
    std::string ends;
    std::int64_t until_begin_s = 0;  ///< by the wall clock; negative: since
    std::int64_t until_end_s = 0;

    /// "'portal.example' by 'Authority R3'", escaped.
    [[nodiscard]] std::string title() const;
};

[[nodiscard]] CertificateFacts facts_of(const X509* certificate);

/// Of the certificate of a chain that ends first: fail if it ends within so many days. Where the
/// wall clock is not to be trusted, what it says against a certificate is unknown.
[[nodiscard]] Outcome judge_days(const CertificateFacts& first_to_end, std::int64_t days_left,
                                 bool is_clock_set);
/// Of a certificate that was refused for its dates.
[[nodiscard]] Outcome judge_dates(const CertificateFacts& refused, const std::string& target,
                                  bool is_clock_set);

/// What speaks against a certificate by its dates: fail, or unknown where the wall clock, which
/// they are compared with, is not to be trusted.
[[nodiscard]] Outcome against_dates(std::string reason, bool is_clock_set);

/// Whether the kernel takes its wall clock for one that is kept in step (adjtimex(2)).
[[nodiscard]] bool is_wall_clock_set();

}  // namespace swerve::health
