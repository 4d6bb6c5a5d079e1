// Readdir: the entries of a directory in the order of their cookies.
// Kernel counterpart: fs/readdir.c (iterate_dir), dcache_readdir; fs/nfs/dir.c for the cached
// listing.  Differs: the listing of a COMPLETE directory is one compact array kept with the inode,
// not a walk over dentries.
// Thread safety: all. Lock rank: f_pos_lock, then i_rwsem shared if the file system must be asked.
// Invariants: (1) positions: 0 start, 1 after '.', 2 after '..', cookie + 2 after an entry: stable
// while the entry exists; (2) a listing is used only under the D lease and version that it was made
// under, and is dropped by any change of ours.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "sdk/base/call_context.h"
#include "sdk/base/ref.h"
#include "sdk/base/result.h"
#include "sdk/fs/file.h"
#include "sdk/fs/task.h"

namespace myfs::fs {

struct DirStats;

struct DirEntry {
  std::string_view name;
  uint64_t d_ino = 0;
  int64_t d_off = 0;  // the position after it: for telldir, seekdir
  uint8_t d_type = 0;
};

// Memory of one listing; a larger directory is read from the server each time.
inline constexpr size_t kListingMax_bytes = 16 << 20;

// All entries of a directory. Immutable once it hangs on an inode; freed by rcu.
class DirListing final : public RefCounted<DirListing> {
 public:
  struct Record {
    uint64_t cookie;
    uint64_t ino;
    uint32_t name_offset;
    uint8_t name_len;
    uint8_t type;
  };
  DirVersion version;
  std::vector<Record> records;
  std::string names;

  void append(const DirPage::Entry& entry);
  // Index of the first entry with a cookie above `cookie`.
  size_t first_above(uint64_t cookie) const;
  std::string_view name(const Record& r) const {
    return {names.data() + r.name_offset, r.name_len};
  }
  size_t size_bytes() const { return records.capacity() * sizeof(Record) + names.capacity(); }
  void last_ref_dropped();
};

// What a directory stream holds between calls: the page that it is in, and the listing that it is
// building.
struct DirCursor {
  DirPage page;
  size_t next = 0;  // in page.entries
  bool have_page = false;
  int64_t page_pos = -1;  // the position that page.entries[next] follows
  // The listing that is being made; null: not from the start, or the lease broke.
  RefPtr<DirListing> building;
  uint64_t complete_seq = 0;
  bool all_learned = true;
  bool too_large = false;
};

using EmitFn = absl::FunctionRef<bool(const DirEntry&)>;  // false: no room, this entry comes again

// Emits from the position on, and advances it past what was taken. Returns the number taken; 0 at
// the end. ENOTDIR, EBADF; ENOENT for a removed directory.
Result<size_t> iterate_dir(const CallContext& ctx, File& file, EmitFn emit);
// The same from `position` on: one that an entry's d_off told, or 0. EINVAL: negative.
Result<size_t> iterate_dir_at(const CallContext& ctx, File& file, int64_t position, EmitFn emit);
// Its position; what was fetched for another one is forgotten.
void seek_dir_locked(File& file, int64_t position) ABSL_EXCLUSIVE_LOCKS_REQUIRED(file.f_pos_lock);
Result<size_t> vfs_readdir(const CallContext& ctx, const TaskStruct& task, int fd, EmitFn emit);
// What is cached of the directory, of its names and attributes, is asked for anew. ENOTDIR, EACCES.
Result<void> vfs_refresh(const CallContext& ctx, const TaskStruct& task, At at);
// ENOTDIR, and what the file system says.
Result<DirStats> vfs_dir_stats(const CallContext& ctx, const TaskStruct& task, At at,
                               bool recursive);

}  // namespace myfs::fs
