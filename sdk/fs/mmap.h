// Mmap: mappings of files into the process: the areas of a task, the mappings of an inode, and what
// keeps memory and file in step.
// Kernel counterpart: mm/mmap.c (vm_area_struct, mm_struct), mm/msync.c, mm/filemap.c
// (filemap_fault, page_mkwrite, filemap_map_pages).  Differs: a mapping is filled when it is made,
// since nothing in a library may catch the faults of its host; stores are found by comparison
// (mm/mmap_pages.h) when somebody asks for them, so nothing is written by itself.
//
// What is promised [docs/posix.md, "Mappings"]:
//   - within this client mappings, read, write, truncate and their kin see one another, as on
//   Linux;
//     all mappings of an inode share its memory;
//   - stores reach the file at msync, munmap, fsync, fdatasync, sync and syncfs of this client, and
//     in no other way: neither by themselves nor by a recall. Until then they are the process's, as
//     what lies in a buffer of stdio;
//   - what other clients have written is there in what mmap brings, and after msync with
//     MS_INVALIDATE; else memory stays what it was. It is no copy under a lease: nothing that a
//     call *answers* comes from it, but to the one who stored it.
//
// Thread safety: all. Lock rank: InodeMappings::mutex_ is kMmap: inside i_rwsem, held while the
// file is read and written. MmStruct's lock is kFdTable, a leaf, held around mmap(2) and munmap(2).
// A recall takes neither.
// Owns / is owned by: a task's MmStruct owns its areas, an area its open file (and with it the
// mount: umount is EBUSY); an Inode owns its InodeMappings, which knows the bytes of each mapping.
// Invariants: (1) an area is constant: a part of it that goes leaves smaller ones; (2) areas of one
// task do not overlap, and enter and leave its table together with the process's memory; (3) bytes
// are in InodeMappings for as long as an area in a table, or one that was taken out of it and is
// not unmap()ped yet, covers them: either holds the file; (4) a page of MmapPages is present iff
// such bytes cover it and it does not lie behind the end of the file as it is known here; (5)
// kMapped is in i_flags iff there are such bytes, kMappedStores iff some are of a mapping that is
// shared and writable.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "sdk/base/call_context.h"
#include "sdk/base/ref.h"
#include "sdk/base/result.h"
#include "sdk/base/sync.h"
#include "sdk/fs/file.h"
#include "sdk/mm/mmap_pages.h"

namespace myfs::fs {

class TaskStruct;

// One mapping of a task, or what is left of it [vm_area_struct].
struct VmArea final : RefCounted<VmArea> {
  VmArea(Ref<File> file, uint64_t mapping, uintptr_t start, uintptr_t end, uint64_t offset,
         bool stores)
      : vm_file(std::move(file)),
        vm_mapping(mapping),
        vm_start(start),
        vm_end(end),
        vm_offset(offset),
        vm_stores(stores) {}

  const Ref<File> vm_file;
  const uint64_t vm_mapping;         // which one of its inode's it is a part of
  const uintptr_t vm_start, vm_end;  // addresses, of whole pages
  const uint64_t vm_offset;          // bytes, in the file; of vm_start
  const bool vm_stores;              // shared and writable: stores are the file's

  mm::MmapRange bytes() const { return {vm_offset, vm_offset + (vm_end - vm_start)}; }
  // The part of it that [start, end) covers.
  mm::MmapRange bytes_of(uintptr_t start, uintptr_t end) const;
};

struct MmapWanted {
  uintptr_t address;  // 0: anywhere
  size_t length;      // whole pages
  int prot, flags;    // of mmap(2)
  uint64_t offset;
  bool stores() const;  // shared and writable
};

// What has been taken out of a task's table: mapped no more, and to be unmap()ped.
struct VmGone {
  Ref<VmArea> area;
  mm::MmapRange bytes;  // what has gone of it
};

// The mappings of a task [mm_struct].
class MmStruct {
 public:
  // [mmap_region] Maps `memory_fd`. What lay at these addresses is `displaced` in the same moment:
  // by MAP_FIXED, or since somebody has taken its memory away behind our back. Errors of mmap(2).
  Result<Ref<VmArea>> map(const Ref<File>& file, const MmapWanted& wanted, int memory_fd,
                          uint64_t mapping, std::vector<VmGone>* displaced);
  // Takes the areas of [start, end) away. ENOMEM: the process has too many mappings for the parts
  // that would be left of one, which stays; the others are gone.
  Result<void> unmap(uintptr_t start, uintptr_t end, std::vector<VmGone>* gone);
  // The areas of [start, end), ascending. `whole`: there is no gap.
  std::vector<Ref<VmArea>> find(uintptr_t start, uintptr_t end, bool* whole) const;
  // Those of which areas are shared and writable, each once.
  std::vector<Ref<SuperBlock>> with_stores() const;

 private:
  std::vector<VmGone> take_out_locked(uintptr_t start, uintptr_t end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mmap_lock_);

  mutable Mutex mmap_lock_{LockRank::kFdTable};
  std::map<uintptr_t, Ref<VmArea>> areas_ ABSL_GUARDED_BY(mmap_lock_);  // by vm_end
};

// The mappings of one inode [i_mmap].
class InodeMappings {
 public:
  InodeMappings(Inode& inode, mm::Budget& budget) : inode_(inode), pages_(budget) {}

  // Fills, and maps into `mm`. i_rwsem shared. Errors of mmap(2); ENOMEM, and those of a read.
  Result<Ref<VmArea>> map(const CallContext& ctx, MmStruct& mm, const Ref<File>& file,
                          const MmapWanted& wanted, std::vector<VmGone>* displaced);
  // In whatever order parts of a mapping go.
  void unmap(const VmGone& gone);

  // Writes what was stored in these bytes. i_rwsem exclusive. The error of the write; then what was
  // not written stays to be written.
  Result<void> write_out(const CallContext& ctx, mm::MmapRange range);
  // Whether write_out would write.
  Result<bool> has_stores(mm::MmapRange range);
  // Brings in what the file holds now, whoever changed it.
  Result<void> refresh(const CallContext& ctx, mm::MmapRange range);
  // The same for what this client has just `written`, or its new size.
  Result<void> show_written(const CallContext& ctx, mm::MmapRange written);
  // Puts what was stored over the first `count` bytes of what was read at `offset`. i_rwsem.
  Result<void> overlay(const CallContext& ctx, IoVec to, uint64_t offset, size_t count);

 private:
  using Ranges = std::vector<mm::MmapRange>;
  struct Mapped {
    uint64_t mapping;  // VmArea::vm_mapping
    File* file;        // invariant (3)
    mm::MmapRange bytes;
    bool stores;
  };
  // Ascending and apart: the bytes of `within` that are mapped.
  Ranges covered_locked(mm::MmapRange within) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static Ranges minus(mm::MmapRange range, const Ranges& without);
  // Null: nobody can have stored.
  File* file_with_stores_locked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Result<void> refresh_locked(const CallContext& ctx, mm::MmapRange range, mm::MmapRange written)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Reads the file into pages: `fill`: absent ones, which are charged; else present ones.
  Result<void> read_in_locked(const CallContext& ctx, File& file, mm::MmapRange range, bool fill,
                              mm::MmapRange written = {}) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Makes absent pages present, all or none.
  Result<void> fill_locked(const CallContext& ctx, File& file, const Ranges& ranges)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void release_locked(const Ranges& ranges) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The file ends here now. It has no more pages than before.
  Result<void> resize_locked(uint64_t file_bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The size of the file as it is now; pages come and go with it. ENOMEM: only as far as pages are
  // present.
  Result<void> follow_size_locked(const CallContext& ctx, File& file)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether anything was stored behind the end, as it is known here, in the page that has it.
  Result<bool> stored_behind_end_locked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What was stored there counts as far as others have made the file longer.
  Result<void> follow_growth_locked(const CallContext& ctx) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Result<Ref<VmArea>> map_locked(const CallContext& ctx, MmStruct& mm, const Ref<File>& file,
                                 const MmapWanted& wanted, std::vector<VmGone>* displaced)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Forgets what the mappings that are left do not need.
  void settle_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Inode& inode_;
  Mutex mutex_{LockRank::kMmap};
  mm::MmapPages pages_ ABSL_GUARDED_BY(mutex_);
  std::vector<Mapped> mapped_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_mapping_ ABSL_GUARDED_BY(mutex_) = 0;
};

struct MmapArgs {
  void* address;
  size_t length;
  int prot, flags, fd;
  int64_t offset;
};
// [ksys_mmap_pgoff] EBADF, EACCES, EINVAL, ENODEV, EOVERFLOW, ENOMEM, EEXIST, EMFILE.
Result<void*> vfs_mmap(const CallContext& ctx, TaskStruct& task, const MmapArgs& args);
// flags: MS_ASYNC, MS_SYNC, MS_INVALIDATE. EINVAL, ENOMEM (a gap; the rest is done), EIO, ENOSPC.
Result<void> vfs_msync(const CallContext& ctx, TaskStruct& task, void* address, size_t length,
                       int flags);
// The pages are gone whatever it returns but EINVAL and ENOMEM (see MmStruct): what writing their
// stores came to.
Result<void> vfs_munmap(const CallContext& ctx, TaskStruct& task, void* address, size_t length);
// All of the task's [exit_mmap]; the first error.
Result<void> exit_mmap(const CallContext& ctx, TaskStruct& task);

// --- for the calls that mappings must see, or must be seen by
// Writes what was stored in the inode's mappings, if anything was; that waits for a thaw. Neither
// i_rwsem nor a WantWrite is held.
Result<void> mmap_write_out(const CallContext& ctx, Inode& inode);
// The same for all inodes of the super block, whoever has mapped them; or of all super blocks that
// the task has mounted or mapped. The first error.
Result<void> mmap_sync(const CallContext& ctx, SuperBlock& sb);
Result<void> mmap_sync(const CallContext& ctx, const TaskStruct& task);
// The same, by who freezes it: nobody else changes anything.
Result<void> mmap_sync_frozen(const CallContext& ctx, SuperBlock& sb);
// This client is going to change [from, to): what was stored there before comes before. i_rwsem
// exclusive. Errors of a write. from == to: its size alone.
Result<void> mmap_changing(const CallContext& ctx, Inode& inode, uint64_t from, uint64_t to);
// This client has changed [from, to) of the file, or its size. i_rwsem exclusive. Memory that
// cannot follow stays as it was, until somebody asks for it.
void mmap_changed(const CallContext& ctx, Inode& inode, uint64_t from, uint64_t to);
// What a read has brought. i_rwsem.
Result<void> mmap_overlay(const CallContext& ctx, Inode& inode, IoVec to, uint64_t offset,
                          size_t count);

}  // namespace myfs::fs
