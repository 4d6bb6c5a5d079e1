#include "sdk/rpc/auth.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace myfs::rpc {

std::string login_proof(std::string_view secret, std::string_view challenge,
                        std::string_view client) {
  if (secret.empty()) return {};
  std::string message(challenge);
  message += client;
  std::string proof(EVP_MAX_MD_SIZE, '\0');
  unsigned size = 0;
  const unsigned char* made =
      HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(message.data()), message.size(),
           reinterpret_cast<unsigned char*>(proof.data()), &size);
  proof.resize(made == nullptr ? 0 : size);
  return proof;
}

}  // namespace myfs::rpc
