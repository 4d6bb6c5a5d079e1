#include "server/auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

namespace myfs::server {

std::string hmac_sha256(std::string_view secret, std::string_view data) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
           reinterpret_cast<const unsigned char*>(data.data()), data.size(), out, &size) == nullptr)
    return {};
  return std::string(reinterpret_cast<char*>(out), size);
}

bool equal_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

AuthResult authenticate(const AuthPolicy& policy, const PeerInfo& peer, std::string_view challenge,
                        std::string_view client, std::string_view proof, const Cred& claimed) {
  AuthResult result;
  result.principal.cred = claimed;
  if (peer.is_unix) {
    result.principal.anyone = peer.uid == 0 || peer.uid == policy.server_uid;
    if (!result.principal.anyone)
      result.principal.cred = Cred{.uid = peer.uid, .gid = peer.gid, .groups = peer.groups};
    return result;
  }
  result.principal.anyone = true;
  if (policy.insecure_tcp) return result;
  if (policy.secret.empty()) {
    result.error = Errno(EACCES);
    result.why = "the server has no secret for TCP clients: connect by its unix socket";
    return result;
  }
  std::string expected = hmac_sha256(policy.secret, std::string(challenge).append(client));
  if (expected.empty() || !equal_constant_time(expected, proof)) {
    result.error = Errno(EACCES);
    result.why = proof.empty() ? "the server asks for a proof: give the option secret_file"
                               : "the proof is wrong: the option secret_file names another secret";
  }
  return result;
}

}  // namespace myfs::server
