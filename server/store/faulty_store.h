// FaultyMetaStore, FaultyBlockStore: decorators that make the n-th call fail or end the machine.
// Kernel counterpart: fault injection (lib/fault-inject.c).  Differs: by count, not by chance, so
// that a test can loop over every point until one run passes without a fault.
// Thread safety: as what they decorate; the plan is atomic.
// Owns / is owned by: own nothing; store and plan outlive them.
// Invariants: (1) a failed call had no effect, but for a failed sync (the writes are lost) and the
// crash point (the call may be done or not done: both are tried); (2) after the crash point every
// call fails with EIO and changes nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "server/store/block_store.h"
#include "server/store/meta_store.h"

namespace myfs::server {

class FaultPlan {
 public:
  // The n-th counted call from now (1 = next) fails with `error`; 0: none.
  void fail_at(int64_t nth, Errno error) {
    error_ = error.value();
    crash_ = false;
    left_ = nth;
  }
  // The n-th counted call from now is the last one; `executed`: it takes effect.
  void crash_at(int64_t nth, bool executed) {
    crash_ = true;
    executed_ = executed;
    left_ = nth;
  }
  void heal() {
    left_ = 0;
    crashed_ = false;
  }
  bool fired() const { return fired_.exchange(false); }
  bool crashed() const { return crashed_; }
  uint64_t calls() const { return calls_; }

  enum class Verdict : uint8_t { kRun, kFail, kRunThenFail };
  // Called once by each counted call.
  Verdict next(Errno* error);

 private:
  std::atomic<int64_t> left_{0};
  std::atomic<int> error_{0};
  std::atomic<bool> crash_{false}, executed_{false}, crashed_{false};
  mutable std::atomic<bool> fired_{false};
  std::atomic<uint64_t> calls_{0};
};

// Counts commit_batch and sync; reads are not counted.
class FaultyMetaStore : public MetaStore {
 public:
  FaultyMetaStore(MetaStore& store, FaultPlan& plan) : store_(store), plan_(plan) {}
  Result<std::optional<std::string>> get(std::string_view key) const override;
  Result<void> scan(std::string_view from, std::string_view to, size_t limit,
                    const ScanFn& fn) const override;
  Result<void> commit_batch(std::span<const Txn* const> batch, Durability durability) override;
  Result<void> sync() override;
  uint64_t free_bytes() const override { return store_.free_bytes(); }

 private:
  MetaStore& store_;
  FaultPlan& plan_;
};

// Counts create, pwrite, sync, remove.
class FaultyBlockStore : public BlockStore {
 public:
  FaultyBlockStore(BlockStore& store, FaultPlan& plan) : store_(store), plan_(plan) {}
  Result<void> create(BlockId id) override;
  Result<void> pwrite(BlockId id, uint64_t offset, std::span<const uint8_t> data) override;
  Result<void> pread(BlockId id, uint64_t offset, std::span<uint8_t> out) override;
  Result<void> pread_nowait(BlockId id, uint64_t offset, std::span<uint8_t> out) override;
  Result<void> sync(std::span<const BlockId> ids) override;
  void discard(BlockId id, uint64_t offset, uint64_t length) override;
  Result<void> remove(BlockId id) override;
  Result<std::vector<BlockId>> list() override { return store_.list(); }
  BlockSpace space() const override { return store_.space(); }

 private:
  Result<void> counted(const std::function<Result<void>()>& call);
  BlockStore& store_;
  FaultPlan& plan_;
};

}  // namespace myfs::server
