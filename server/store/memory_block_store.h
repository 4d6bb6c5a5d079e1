// MemoryBlockStore: the BlockStore of tests, simulations and --store memory.
// Kernel counterpart: drivers/block/brd.c.  Differs: a crash is a function call that may lose or
// tear what was not synced.
// Thread safety: all; crash() needs quiescence.
// Invariants: (1) after crash() each write since the last sync of its block is there, gone or torn
// at any byte, independently of the others; a block never synced is there or gone.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sdk/base/sync.h"
#include "server/store/block_store.h"

namespace myfs::server {

class MemoryBlockStore : public BlockStore {
 public:
  explicit MemoryBlockStore(uint64_t capacity_bytes = uint64_t{1} << 40)
      : capacity_bytes_(capacity_bytes) {}
  Result<void> create(BlockId id) override;
  Result<void> pwrite(BlockId id, uint64_t offset, std::span<const uint8_t> data) override;
  Result<void> pread(BlockId id, uint64_t offset, std::span<uint8_t> out) override;
  Result<void> pread_nowait(BlockId id, uint64_t offset, std::span<uint8_t> out) override;
  Result<void> sync(std::span<const BlockId> ids) override;
  void discard(BlockId id, uint64_t offset, uint64_t length) override;
  Result<void> remove(BlockId id) override;
  Result<std::vector<BlockId>> list() override;
  BlockSpace space() const override;

  // What a power cut leaves; `seed` decides what of the unsynced writes survives: 0 nothing,
  // UINT64_MAX everything, else a random part.
  void crash(uint64_t seed);
  // A sync that failed: a crash takes what was written to these since the last good one, whatever
  // is synced later, but it can be read until then.
  void forget_unsynced(std::span<const BlockId> ids);
  // Flips one bit: a rotten disk.
  void damage(BlockId id, uint64_t offset);

 private:
  struct Write {
    uint64_t offset;
    std::string data;
  };
  struct Block {
    std::string durable;  // content at the last sync
    std::string now;
    std::vector<Write> since_sync;
    bool exists_durably = false;
  };

  const uint64_t capacity_bytes_;
  mutable Mutex mutex_{LockRank::kStore};
  std::map<BlockId, Block> blocks_ ABSL_GUARDED_BY(mutex_);
  uint64_t used_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace myfs::server
