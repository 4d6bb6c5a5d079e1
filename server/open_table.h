// OpenTable: the opens that clients registered; they authorise data I/O whatever the mode becomes,
// and pin the inode.
// Kernel counterpart: struct nfs4_ol_stateid.  Differs: most opens are never registered, only those
// that outlive the lease under which they were made.
// Thread safety: the shard's loop only.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/lease_table.h"
#include "server/types.h"

namespace myfs::server {

inline constexpr size_t kSessionOpensMax = 1'000'000;

class OpenTable {
 public:
  // ENFILE: too many of the session. Registering the same open again is nothing.
  Errno add(SessionId session, uint64_t ino, const Opener& opener);
  // Returns the inode, or 0 when it was not registered.
  uint64_t remove(SessionId session, uint64_t open_id);
  // Null: not registered for this inode.
  const Opener* find(SessionId session, uint64_t ino, uint64_t open_id) const;
  // Returns the inodes that were open, ascending, each once.
  std::vector<uint64_t> remove_session(SessionId session);
  bool any(uint64_t ino) const { return counts_.contains(ino); }
  std::vector<SessionId> sessions_of(uint64_t ino) const;

 private:
  struct Open {
    uint64_t ino = 0;
    Opener opener{};
  };
  void forget_one(uint64_t ino);
  std::map<SessionId, std::map<uint64_t, Open>> sessions_;
  absl::flat_hash_map<uint64_t, uint32_t> counts_;  // registered opens of an inode
};

}  // namespace myfs::server
