// HandleMac: the proof that this server issued a handle, for one session and one export.
// Kernel counterpart: the signed file handles proposed for nfsd; SipHash as lib/siphash.c.
// Thread safety: immutable after construction.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "server/types.h"

namespace myfs::server {

using MacKey = std::array<uint64_t, 2>;

// SipHash-2-4.
uint64_t siphash(const MacKey& key, std::string_view data);

class HandleMac {
 public:
  HandleMac() = default;
  // The key of a session: derived from the server's own secret, so that no client can compute it.
  HandleMac(const MacKey& server_key, uint64_t session_id, uint64_t export_ino);

  Handle seal(uint64_t ino, uint32_t gen) const;
  bool valid(const Handle& handle) const;

 private:
  MacKey key_{};
};

}  // namespace myfs::server
