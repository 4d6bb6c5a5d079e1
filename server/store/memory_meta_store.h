// MemoryMetaStore: the MetaStore of tests, simulations and --store memory.
// Kernel counterpart: none.  Differs from RocksDB: a crash is a function call.
// Thread safety: as MetaStore; crash() needs quiescence.
// Owns / is owned by: as MetaStore.
// Invariants: (1) crash() leaves exactly the batches up to the last durable one.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sdk/base/sync.h"
#include "server/store/meta_store.h"

namespace myfs::server {

class MemoryMetaStore : public MetaStore {
 public:
  Result<std::optional<std::string>> get(std::string_view key) const override;
  Result<void> scan(std::string_view from, std::string_view to, size_t limit,
                    const ScanFn& fn) const override;
  Result<void> commit_batch(std::span<const Txn* const> batch, Durability durability) override;
  Result<void> sync() override;
  uint64_t free_bytes() const override { return free_bytes_.load(std::memory_order_relaxed); }
  // What free_bytes() says from now on.
  void set_free_bytes(uint64_t bytes) { free_bytes_.store(bytes, std::memory_order_relaxed); }

  // Loses what is not durable, as a power cut does.
  void crash();
  size_t size() const;

 private:
  // One entry of the undo list: the value that a relaxed mutation replaced.
  struct Undo {
    std::string key;
    std::optional<std::string> old_value;
  };
  void apply_locked(const Mutation& mutation, bool keep_undo) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::atomic<uint64_t> free_bytes_{uint64_t{1} << 40};
  mutable SharedMutex mutex_{LockRank::kStore};
  std::map<std::string, std::string, std::less<>> map_ ABSL_GUARDED_BY(mutex_);
  std::vector<Undo> undo_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace myfs::server
