// Path: a place in a name space: a mount and a dentry of it, both held.
// Kernel counterpart: struct path.
// Thread safety: a value.
// Owns / is owned by: owns both references. They are dropped in the order dentry, mount, by an
// assignment, too: a mount keeps the super block alive, and with the last one it ends. So no path
// is destroyed or assigned to in an rcu read section, or under a lock that the end of a super block
// takes.
#pragma once

#include <utility>

#include "sdk/base/ref.h"
#include "sdk/fs/dentry.h"
#include "sdk/fs/mount.h"

namespace myfs::fs {

struct Path {
  RefPtr<Mount> mnt;  // declared first: destroyed last
  RefPtr<Dentry> dentry;

  Path() = default;
  Path(RefPtr<Mount> its_mnt, RefPtr<Dentry> its_dentry)
      : mnt(std::move(its_mnt)), dentry(std::move(its_dentry)) {}
  Path(const Path&) = default;
  Path(Path&&) noexcept = default;
  Path& operator=(Path other) noexcept {
    std::swap(mnt, other.mnt);
    std::swap(dentry, other.dentry);
    return *this;
  }

  explicit operator bool() const { return static_cast<bool>(dentry); }
  Inode& inode() const { return *dentry->d_inode(); }
  bool operator==(const Path&) const = default;
};

}  // namespace myfs::fs
