// HandleMac: the proof that this server issued a handle, for one session and one export.
// Kernel counterpart: the signed file handles proposed for nfsd.
// Thread safety: immutable after construction.
#pragma once

#include <cstdint>

#include "server/siphash.h"
#include "server/types.h"

namespace myfs::server {

class HandleMac {
 public:
  HandleMac() = default;
  // The key of a session: derived from the server's own secret, so that no client can compute it.
  HandleMac(const SipKey& server_key, uint64_t session_id, uint64_t export_ino);

  Handle seal(uint64_t ino, uint32_t gen) const;
  bool valid(const Handle& handle) const;

 private:
  SipKey key_{};
};

}  // namespace myfs::server
