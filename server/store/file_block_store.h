// FileBlockStore: one file of the host's file system per block.
// Kernel counterpart: drivers/block/loop.c.
// Thread safety: as BlockStore. Lock rank: kStore, not held over a system call that may sleep.
// Owns / is owned by: owns the descriptors of the files in use.
// Invariants: (1) a file with writes that no sync has covered keeps a descriptor open, since the
// kernel may forget an inode together with the error of its write-back; beyond a bound such files
// are synced early, and an error is kept for the sync that asks; (2) a file made since its
// directory was last fsynced is in `fresh_`.
#pragma once

#include <list>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "sdk/base/sync.h"
#include "server/store/block_store.h"

namespace myfs::server {

class FileBlockStore : public BlockStore {
 public:
  FileBlockStore(std::string dir, int dir_fd, const BlockStoreOptions& options)
      : dir_(std::move(dir)), dir_fd_(dir_fd), options_(options) {}
  ~FileBlockStore() override;
  Result<void> create(BlockId id) override;
  Result<void> pwrite(BlockId id, uint64_t offset, std::span<const uint8_t> data) override;
  Result<void> pread(BlockId id, uint64_t offset, std::span<uint8_t> out) override;
  Result<void> pread_nowait(BlockId id, uint64_t offset, std::span<uint8_t> out) override;
  Result<void> sync(std::span<const BlockId> ids) override;
  void discard(BlockId id, uint64_t offset, uint64_t length) override;
  Result<void> remove(BlockId id) override;
  Result<std::vector<BlockId>> list() override;
  BlockSpace space() const override;

 private:
  class Fd;
  using FdRef = std::shared_ptr<Fd>;
  struct Cached {
    FdRef fd;
    std::list<BlockId>::iterator place;  // in lru_
  };

  // The open file, from the cache if it is there. `flags`: O_CREAT | O_EXCL or 0.
  Result<FdRef> open_block(BlockId id, int flags);
  FdRef cached(BlockId id);
  void cache_locked(BlockId id, const FdRef& fd) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void shrink_locked(size_t limit, std::vector<FdRef>& closed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Keeps the number of unsynced files bounded.
  void note_unsynced(BlockId id, const FdRef& fd);
  Result<void> sync_directories(std::span<const BlockId> ids);

  const std::string dir_;
  const int dir_fd_;
  const BlockStoreOptions options_;

  mutable Mutex mutex_{LockRank::kStore};
  absl::flat_hash_map<BlockId, Cached> cache_ ABSL_GUARDED_BY(mutex_);
  std::list<BlockId> lru_ ABSL_GUARDED_BY(mutex_);  // most recent first
  absl::flat_hash_map<BlockId, FdRef> unsynced_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<BlockId> fresh_ ABSL_GUARDED_BY(mutex_);
  std::multiset<BlockId> syncing_early_ ABSL_GUARDED_BY(mutex_);
  CondVar early_done_;
  // Blocks whose early sync failed: told to the next sync() of them.
  absl::flat_hash_map<BlockId, Errno> failed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace myfs::server
