// Auth: who may log in, and as whom he may act.
// Kernel counterpart: SO_PEERCRED, rpcauth.
// Thread safety: pure functions on immutable values.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "sdk/base/cred.h"
#include "sdk/base/errno.h"
#include "sdk/base/principal.h"
#include "server/peer.h"

namespace myfs::server {

struct AuthPolicy {
  std::string secret{};       // of TCP clients; empty: none is configured
  bool insecure_tcp = false;  // accept claimed credentials
  uint32_t server_uid = 0;    // of the server's own process
};

struct AuthResult {
  Errno error{};  // EACCES
  std::string why{};
  Principal principal{};
};

std::string hmac_sha256(std::string_view secret, std::string_view data);
bool equal_constant_time(std::string_view a, std::string_view b);

// `proof` is HMAC-SHA256(secret, challenge | client) on TCP; `claimed` the cred of the login.
AuthResult authenticate(const AuthPolicy& policy, const PeerInfo& peer, std::string_view challenge,
                        std::string_view client, std::string_view proof, const Cred& claimed);

}  // namespace myfs::server
