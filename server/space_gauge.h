// SpaceGauge: how much room a block store has, without a system call for each write and each grant.
// Kernel counterpart: s_freeclusters_counter (fs/ext4/balloc.c).  Differs: others use the disk as
// well, so the figure grows old.
// Thread safety: the shard's loop only.
// Owns / is owned by: member of FileDataImpl; borrows the store.
// Invariants: (1) what recent() tells is no older than kSpaceStale_ns, and less by all that was
// taken since; (2) below kSpaceTight_bytes it is never older than the call: who is told that there
// is no room was told the truth.
#pragma once

#include <cstdint>
#include <functional>

#include "server/store/block_store.h"

namespace myfs::server {

inline constexpr int64_t kSpaceStale_ns = 100'000'000;
inline constexpr uint64_t kSpaceTight_bytes = uint64_t{256} << 20;

class SpaceGauge {
 public:
  using Clock = std::function<int64_t()>;  // boottime_ns

  // `reserve_bytes` are kept for what must succeed: every figure is without them.
  SpaceGauge(const BlockStore& store, uint64_t reserve_bytes, Clock clock);

  // As the store has it now.
  BlockSpace ask();
  BlockSpace recent();
  // Bytes that were let in and are not on the disk yet.
  void take(uint64_t bytes);
  // The store has refused something: what is known is not so.
  void doubt() { known_until_ns_ = 0; }

 private:
  const BlockStore& store_;
  const uint64_t reserve_bytes_;
  const Clock clock_;
  BlockSpace known_;
  int64_t known_until_ns_ = 0;  // 0: nothing is known
};

}  // namespace myfs::server
