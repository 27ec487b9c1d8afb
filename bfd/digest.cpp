#include "bfd/digest.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>

namespace swerve::bfd {

Sha1 sha1(ByteView text) {
    Sha1 out{};
    EVP_Digest(text.data(), text.size(), out.data(), nullptr, EVP_sha1(), nullptr);
    return out;
}

bool is_same_secret(ByteView a, ByteView b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace swerve::bfd
