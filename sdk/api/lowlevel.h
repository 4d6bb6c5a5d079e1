// LowLevel: the inodes and open files that a caller of <myfs/lowlevel.h> holds of one task.
// Kernel counterpart: fs/fuse/inode.c (fuse_inode::nlookup), fs/nfsd/filecache.c.  Differs: one
// object per inode of a mount, found by its number; the place by which it was first found stays its
// place, since every dentry of a directory leads to the same names.
// Thread safety: all; an object must not be used while its last look-up is forgotten.
// Lock rank: kFdTable, a leaf; places and files are dropped outside it.
// Owns / is owned by: part of a myfs_task, declared after what its places and files need. A
// myfs_inode owns its place and with it the mount, a myfs_file its fs::File.
// Invariants: (1) at most one myfs_inode per (super block, number, generation); (2) it is in the
// table iff its count is above 0.
#pragma once

#include <myfs/lowlevel.h>

#include <cstdint>
#include <tuple>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "sdk/base/call_context.h"
#include "sdk/base/ref.h"
#include "sdk/base/result.h"
#include "sdk/base/sync.h"
#include "sdk/fs/file.h"
#include "sdk/fs/path.h"

struct myfs_inode {
  myfs_inode(myfs_task* owner, myfs::fs::Path found) : task(owner), place(std::move(found)) {}
  myfs_task* const task;
  const myfs::fs::Path place;
  uint64_t lookups = 1;  // under the table's lock
};

struct myfs_file {
  myfs_file(myfs_task* owner, myfs::Ref<myfs::fs::File> opened)
      : task(owner), file(std::move(opened)) {}
  myfs_task* const task;
  const myfs::Ref<myfs::fs::File> file;
};

namespace myfs::api {

class LowLevel {
 public:
  explicit LowLevel(myfs_task* task) : task_(task) {}
  ~LowLevel() { forget_all(); }
  LowLevel(const LowLevel&) = delete;
  LowLevel& operator=(const LowLevel&) = delete;

  // One look-up more of what is at `place`.
  myfs_inode* look_up(fs::Path place);
  // EINVAL: not so many.
  Result<void> forget(myfs_inode* inode, uint64_t count);

  myfs_file* add_file(Ref<fs::File> file);
  void remove_file(myfs_file* file);

  // Flushes and closes what is open; the first failure. Nothing else may run on the task.
  Result<void> close_all(const CallContext& ctx);
  void forget_all();

 private:
  using Key = std::tuple<const fs::SuperBlock*, uint64_t, uint32_t>;
  static Key key_of(const fs::Path& place);

  myfs_task* const task_;
  Mutex mutex_{LockRank::kFdTable};
  absl::flat_hash_map<Key, myfs_inode*> inodes_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<myfs_file*> files_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace myfs::api
