// Path: a place in a name space: a mount and a dentry of it, both held.
// Kernel counterpart: struct path.
// Thread safety: a value.
// Owns / is owned by: owns both references. Members are dropped in the order dentry, mount: a mount
// keeps the super block alive.
#pragma once

#include "sdk/base/ref.h"
#include "sdk/fs/dentry.h"
#include "sdk/fs/mount.h"

namespace myfs::fs {

struct Path {
  RefPtr<Mount> mnt;  // declared first: destroyed last
  RefPtr<Dentry> dentry;

  explicit operator bool() const { return static_cast<bool>(dentry); }
  Inode& inode() const { return *dentry->d_inode(); }
  bool operator==(const Path&) const = default;
};

}  // namespace myfs::fs
