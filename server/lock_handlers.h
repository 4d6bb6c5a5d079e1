// LockHandlers: the calls on locks, as bodies of requests.
// Kernel counterpart: fcntl_setlk, flock(2), nfsd4_lock (fs/nfsd/nfs4state.c).
// Thread safety: the shard's loop only.
// Invariants: (1) an answer waits for no commit: locks live in memory, and their clients are told
// in the order in which they came to be; (2) nothing is granted while sessions of the last run
// that may hold locks have not come back; (3) a session that has expired holds nobody up.
#pragma once

#include "server/lock_table.h"
#include "server/namespace.h"

namespace myfs::server {

struct LockArgs {
  Handle node{};
  Opener opener{};
  LockRange range{};  // the owner's session is filled in
  bool wait = false;
};
struct LockReply {
  int error = 0;
  uint64_t lock_id = 0;
  bool queued = false;
  bool granted = false;  // lockCancel
  uint64_t seq = 0;
  bool conflicts = false;
  LockRange conflict{};  // lockTest
};

inline Outcome outcome_of(const LockReply& reply) {
  return {.error = reply.error,
          .off = reply.lock_id,
          .count = reply.queued || reply.granted,
          .verifier = reply.seq};
}
inline void fill_replayed(const Outcome& outcome, const HandleMac&, LockReply* reply) {
  reply->error = outcome.error;
  reply->lock_id = outcome.off;
  reply->seq = outcome.verifier;
  reply->queued = reply->granted = outcome.count != 0;
}

// EINVAL: not a type, kind or range that exists.
Errno decode_lock(uint8_t type, uint8_t kind, uint64_t start, uint64_t len, uint64_t owner,
                  int32_t pid, LockRange* out);
Errno lock(Turn& turn, const LockArgs& args, LockReply& reply);
Errno lock_test(Turn& turn, const LockArgs& args, LockReply& reply);
Errno lock_cancel(Turn& turn, uint64_t lock_id, LockReply& reply);
Errno lock_release(Turn& turn, const Handle& node, uint64_t owner, LockKind kind, LockReply& reply);

}  // namespace myfs::server
