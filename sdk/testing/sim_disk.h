// SimDisk: the stores of a simulated server: slow at times, failing at times, forgetful in a crash.
// Kernel counterpart: dm-flakey and dm-log-writes below jbd2.
// Thread safety: simulated threads only, which run one at a time.
// Owns / is owned by: owned by a test beside its Simulator; outlives every server.
// Invariants: (1) a server sees the disk through a view; after crash() an old view changes nothing
// and answers EIO; (2) a commit under way at a crash is there as a whole or not at all, and so is
// each block's sync; what was synced or committed before is there.
#pragma once

#include <memory>
#include <span>

#include "sdk/testing/simulator.h"
#include "server/store/memory_block_store.h"
#include "server/store/memory_meta_store.h"

namespace myfs::sim {

struct SimDiskOptions {
  int64_t write_max_ns = 100'000;  // of a pwrite; half of the time it takes none
  int64_t sync_max_ns = 500'000;   // of a sync or commit
  uint64_t slow_one_in = 0;        // a sync or commit takes slow_extra_ns more; 0: never
  int64_t slow_extra_ns = 200'000'000;
  uint64_t commit_fails_one_in = 0;  // with EIO; 0: never
  uint64_t sync_fails_one_in = 0;    // with EIO, and forgets what it should have synced
};

class SimDisk {
 public:
  SimDisk(Simulator& simulator, SimDiskOptions options)
      : options_(options), random_(simulator.seed() ^ 0xd15c) {}

  struct View {
    std::unique_ptr<server::MetaStore> meta;
    std::unique_ptr<server::BlockStore> blocks;
  };
  // For the next server. Those before are cut off.
  View mount();
  // The server is gone. `power_cut`: what was not synced is lost, torn or there, by the seed; else
  // the machine lives on and everything written is there.
  void crash(bool power_cut);
  // Nothing new fits until it is false again.
  void set_full(bool full);
  // From now on.
  void set_options(const SimDiskOptions& options) { options_ = options; }

  server::MemoryMetaStore& meta() { return meta_; }
  server::MemoryBlockStore& blocks() { return blocks_; }

 private:
  friend class SimMetaStore;
  friend class SimBlockStore;
  bool fails(uint64_t one_in) { return one_in != 0 && random_.one_in(one_in); }
  void pass_time(int64_t max_ns);
  void pass_sync_time();

  SimDiskOptions options_;
  SimRandom random_;
  server::MemoryMetaStore meta_;
  server::MemoryBlockStore blocks_;
  uint64_t mounts_ = 0;  // views of another number are cut off
  bool full_ = false;
  std::span<const server::Txn* const> committing_;  // the batch under way
};

}  // namespace myfs::sim
