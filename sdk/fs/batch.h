// Batch: many small operations in few round trips: stat of many paths, small files read whole.
// Kernel counterpart: none; for the scan nfs_use_readdirplus (fs/nfs/dir.c).
// Thread safety: all.
// Lock rank: as path_lookup and readdir: i_rwsem shared of the directories that are asked about.
// Invariants: (1) each item ends as the single call would have ended at some time during the batch;
// (2) what is fetched in advance goes into the caches under the leases that come with it, and an
// item is answered from these, or asked for alone.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "sdk/base/call_context.h"
#include "sdk/base/kstat.h"
#include "sdk/base/result.h"
#include "sdk/fs/task.h"

namespace myfs::fs {

struct StatItem {
  std::string_view path;
  Errno error;
  Kstat stat;
};
// stat(2) of each; at_flags: AT_SYMLINK_NOFOLLOW. Names that lack in a directory are learned by
// reading it, as long as enough of what is read is wanted.
void vfs_stat_many(const CallContext& ctx, const TaskStruct& task, std::span<StatItem> items,
                   int at_flags);

struct ReadItem {
  std::string_view path;
  void* buffer;
  size_t size;
  Errno error;
  size_t count = 0;
};
// open(2) for reading, read(2) of `size` bytes from the start, close(2) of each. Small files that
// are not cached come many in one round trip.
void vfs_read_many(const CallContext& ctx, TaskStruct& task, std::span<ReadItem> items);

}  // namespace myfs::fs
