#include "health/probes/certificate.hpp"

#include <openssl/asn1.h>
#include <openssl/x509v3.h>
#include <sys/timex.h>

#include <fmt/format.h>

#include <ctime>
#include <memory>
#include <string_view>

#include "health/probes/runtime.hpp"
#include "swerve/base/escape.hpp"
#include "swerve/net/address.hpp"

namespace swerve::health {
namespace {

constexpr std::int64_t day_s = 86'400;
constexpr std::string_view clock_hint =
    ", but the wall clock of this host is not synchronised, so this proves nothing";

std::string text_of(const ASN1_STRING* string) {
    unsigned char* text = nullptr;
    const int length = ASN1_STRING_to_UTF8(&text, string);
    if (length < 0) return {};
    std::string out(reinterpret_cast<const char*>(text), static_cast<std::size_t>(length));
    OPENSSL_free(text);
    return out;
}

/// The common name, or the whole name in one line.
std::string text_of(const X509_NAME* name) {
    const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    if (at >= 0) return text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
    const std::unique_ptr<BIO, int (*)(BIO*)> memory(BIO_new(BIO_s_mem()), BIO_free);
    X509_NAME_print_ex(memory.get(), name, 0, XN_FLAG_RFC2253);
    const char* data = nullptr;
    const long length = BIO_get_mem_data(memory.get(), &data);
    return length > 0 ? std::string(data, static_cast<std::size_t>(length)) : "nobody";
}

/// The first name or address among the alternative names; empty: there is none.
std::string alternative_name(const X509* certificate) {
    const auto free_names = [](GENERAL_NAMES* names) { GENERAL_NAMES_free(names); };
    const std::unique_ptr<GENERAL_NAMES, decltype(free_names)> names(
        static_cast<GENERAL_NAMES*>(
            X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
        free_names);
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
        if (name->type == GEN_DNS) return text_of(name->d.dNSName);
    }
    return {};
}

std::string utc(const ASN1_TIME* time) {
    std::tm broken{};
    if (ASN1_TIME_to_tm(time, &broken) != 1) return "a time that cannot be read";
    return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC", broken.tm_year + 1900,
                       broken.tm_mon + 1, broken.tm_mday, broken.tm_hour, broken.tm_min,
                       broken.tm_sec);
}

std::int64_t seconds_until(const ASN1_TIME* time) {
    int days = 0;
    int seconds = 0;
    // Null stands for now.
    if (ASN1_TIME_diff(&days, &seconds, nullptr, time) != 1) return 0;
    return days * day_s + seconds;
}

/// "42 days", "1 day", "5 hours", "3 minutes": whole ones, for operators.
std::string span_text(std::int64_t seconds) {
    const auto count = [seconds](std::int64_t unit, std::string_view name) {
        const std::int64_t units = seconds / unit;
        return fmt::format("{} {}{}", units, name, units == 1 ? "" : "s");
    };
    if (seconds >= day_s) return count(day_s, "day");
    if (seconds >= 3600) return count(3600, "hour");
    return count(60, "minute");
}

}  // namespace

std::string CertificateFacts::title() const { return quoted(name) + " by " + quoted(issuer); }

CertificateFacts facts_of(const X509* certificate) {
    const ASN1_TIME* begins = X509_get0_notBefore(certificate);
    const ASN1_TIME* ends = X509_get0_notAfter(certificate);
    std::string name = alternative_name(certificate);
    if (name.empty()) name = text_of(X509_get_subject_name(certificate));
    return {.name = std::move(name),
            .issuer = text_of(X509_get_issuer_name(certificate)),
            .begins = utc(begins),
            .ends = utc(ends),
            .until_begin_s = seconds_until(begins),
            .until_end_s = seconds_until(ends)};
}

Outcome judge_days(const CertificateFacts& first_to_end, std::int64_t days_left,
                   bool is_clock_set) {
    const std::int64_t left = first_to_end.until_end_s;
    if (left <= 0 || first_to_end.until_begin_s > 0)
        return judge_dates(first_to_end, {}, is_clock_set);
    std::string reason = "certificate " + first_to_end.title() + " ends in " + span_text(left) +
                         " (" + first_to_end.ends + ")";
    if (left >= days_left * day_s) return passed(std::move(reason));
    return against_dates(reason + ", less than " + std::to_string(days_left) + " days",
                         is_clock_set);
}

Outcome judge_dates(const CertificateFacts& refused, const std::string& target, bool is_clock_set) {
    std::string reason = "certificate " + refused.title();
    if (!target.empty()) reason += " of " + target;
    if (refused.until_begin_s > 0) {
        reason +=
            " is not valid before " + refused.begins + ", in " + span_text(refused.until_begin_s);
    } else {
        reason += " ended " + span_text(-refused.until_end_s) + " ago (" + refused.ends + ")";
    }
    return against_dates(std::move(reason), is_clock_set);
}

Outcome against_dates(std::string reason, bool is_clock_set) {
    if (is_clock_set) return failed(std::move(reason));
    return unsure(reason + std::string{clock_hint});
}

bool is_wall_clock_set() {
    ::timex state{};
    const int answer = ::adjtimex(&state);
    // Where it cannot be asked, there is nothing to say against the clock.
    return answer < 0 || (answer != TIME_ERROR && (state.status & STA_UNSYNC) == 0);
}

}  // namespace swerve::health
