// LowLevelCall: what the calls of <myfs/lowlevel.h> have in common: checked arguments and entries.
// Kernel counterpart: fs/fuse/dir.c (fuse_lookup_name, fuse_iget).
// Thread safety: functions of their arguments.
#pragma once

#include <string_view>
#include <utility>

#include "sdk/api/call_scope.h"
#include "sdk/api/kstat_out.h"
#include "sdk/api/lowlevel.h"
#include "sdk/base/limits.h"
#include "sdk/fs/keep.h"
#include "sdk/fs/stat.h"

namespace myfs::api {

inline myfs_task* task_of(const myfs_inode* inode) {
  return inode == nullptr ? nullptr : inode->task;
}
inline myfs_task* task_of(const myfs_file* file) { return file == nullptr ? nullptr : file->task; }

// A name in a directory that the caller holds: EINVAL for a null, a path, or an object of another
// task.
inline Result<fs::At> name_at(const myfs_inode* dir, const char* name) {
  if (dir == nullptr || name == nullptr) return fail(Errno(EINVAL), "the name is null");
  const std::string_view text(name);
  if (text.find('/') != text.npos) return fail(Errno(EINVAL), "a name has no slash");
  if (!dir->place.inode().is_dir()) return Errno(ENOTDIR);
  return fs::At{.dfd = AT_FDCWD, .path = text, .start = &dir->place};
}
// The place itself, for calls that take LOOKUP_EMPTY or AT_EMPTY_PATH.
inline fs::At at_inode(const myfs_inode& inode) {
  return fs::At{.dfd = AT_FDCWD, .path = {}, .start = &inode.place};
}

// MYFS_INVAL_*: what was answered under these parts.
inline unsigned invalidated(const fs::Inode& inode, fs::LeaseParts parts) {
  unsigned what = 0;
  if ((parts & fs::kLeaseA) != 0) what |= MYFS_INVAL_ATTR;
  // Who may search it may change: names were told to be kept since everybody might.
  if ((parts & fs::kLeaseA) != 0 && inode.is_dir()) what |= MYFS_INVAL_NAMES;
  if ((parts & fs::kLeaseD) != 0) what |= MYFS_INVAL_ATTR | MYFS_INVAL_NAMES;
  if ((parts & (fs::kLeaseR | fs::kLeaseW)) != 0) what |= MYFS_INVAL_ATTR | MYFS_INVAL_DATA;
  return what;
}

inline Errno check_entry(const myfs_entry* entry) {
  if (entry == nullptr) return fail(Errno(EINVAL), "there is no place for the result");
  if (entry->size != sizeof(myfs_entry)) {
    return fail(Errno(EINVAL), "myfs_entry.size is wrong");
  }
  return Errno();
}

// Fills `entry` with what is at `place`, one look-up more. `stat`: its attributes if they are
// known.
inline Result<void> fill_entry(const CallContext& ctx, LowLevel& lowlevel, fs::Path place,
                               const Kstat* stat, myfs_entry* entry) {
  Kstat attr;
  entry->keep_attr_ms = fs::keep_attr_ns(place.inode(), &attr) / kNsPerMs;
  entry->keep_name_ms = fs::keep_name_ns(*place.dentry) / kNsPerMs;
  if (entry->keep_attr_ms != 0) {
    // Those that are covered.
  } else if (stat != nullptr) {
    attr = *stat;
    place.inode().i_sb().show(&attr);
  } else {
    MYFS_ASSIGN(attr, fs::vfs_getattr(ctx, place.inode()));
  }
  entry->generation = place.inode().i_generation;
  to_stat(attr, &entry->attr);
  entry->inode = lowlevel.look_up(std::move(place));
  return ok_result();
}

}  // namespace myfs::api
