// The proof of a login: who knows the secret can make it, who only listens cannot use it again.
// Kernel counterpart: none (CHAP is the nearest).
// Thread safety: functions without state.
#pragma once

#include <string>
#include <string_view>

namespace myfs::rpc {

// HMAC-SHA256(secret, challenge | client): 32 bytes; empty without a secret.
std::string login_proof(std::string_view secret, std::string_view challenge,
                        std::string_view client);

}  // namespace myfs::rpc
