// Reclaim: what a client tells a server that was begun anew: what it held of the one before.
// Kernel counterpart: nfs4_open_reclaim, nfs4_lock_reclaim (fs/nfs/nfs4state.c), reconnect_caps_cb
// (fs/ceph/mds_client.c).
// Thread safety: values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sdk/rpc/types.h"

namespace myfs::rpc {

inline constexpr size_t kReclaimMax = 1024;  // of each kind, in one part

struct LeaseClaim {
  Handle node{};
  Parts parts = 0;
  uint64_t change = 0;       // the newest of the inode that was seen
  uint64_t write_since = 0;  // grant since which W is held without a break
};
struct OpenClaim {
  Handle node{};
  OpenRecord open{};
};
struct LockClaim {
  Handle node{};
  LockRange range{};
  uint64_t ticket = 0;  // of a wait; 0: it is held
};

struct ReclaimPart {
  std::vector<LeaseClaim> leases{};
  std::vector<OpenClaim> opens{};
  std::vector<LockClaim> locks{};
  bool last = false;
};

struct ReclaimAnswer {
  struct Lock {
    Errno error{};
    uint64_t ticket = 0;
  };
  std::vector<Grant> kept{};  // of leases; what is not in it is lost
  std::vector<Lock> locks{};  // one for each
};

}  // namespace myfs::rpc
