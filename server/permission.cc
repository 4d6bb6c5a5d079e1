#include "server/permission.h"

#include <sys/stat.h>

#include "sdk/base/fault.h"

namespace myfs::server {

Errno may(const Owner& inode, const Cred& cred, int mask) {
  if (cred.is_root()) {
    bool executable = S_ISDIR(inode.mode) || (inode.mode & 0111) != 0;
    return (mask & kMayExec) != 0 && !executable ? Errno(EACCES) : Errno();
  }
  uint32_t bits = inode.mode & 7;
  if (cred.uid == inode.uid) {
    bits = (inode.mode >> 6) & 7;
  } else if (inode.acl != nullptr && (inode.mode & S_IRWXG) != 0) {
    // Without any right in the mask the kernel does not look at the list.
    return inode.acl->permission(cred, inode.uid, inode.gid, static_cast<uint32_t>(mask));
  } else if (cred.in_group(inode.gid)) {
    bits = (inode.mode >> 3) & 7;
  }
  return (static_cast<uint32_t>(mask) & ~bits) != 0 ? Errno(EACCES) : Errno();
}

Errno may_remove(const Owner& dir, const Owner& victim, const Cred& cred) {
  if (Errno error = may(dir, cred, kMayWrite | kMayExec); !error.ok()) return error;
  if ((dir.mode & S_ISVTX) != 0 && !is_owner(victim, cred) && !is_owner(dir, cred))
    return Errno(EPERM);
  return {};
}

Owner owner_of_new(const Owner& dir, const Cred& cred, uint32_t mode) {
  Owner owner{.mode = mode, .uid = cred.uid, .gid = cred.gid};
  if ((dir.mode & S_ISGID) == 0) return owner;
  owner.gid = dir.gid;
  if (S_ISDIR(mode)) {
    owner.mode |= S_ISGID;
  } else if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && !cred.is_root() &&
             !cred.in_group(dir.gid)) {
    owner.mode &= ~static_cast<uint32_t>(S_ISGID);
  }
  return owner;
}

Errno may_chmod(const Owner& inode, const Cred& cred, uint32_t* mode) {
  if (!is_owner(inode, cred)) return Errno(EPERM);
  if (!cred.is_root() && !cred.in_group(inode.gid)) *mode &= ~static_cast<uint32_t>(S_ISGID);
  return {};
}

Errno may_chown(const Owner& inode, const Cred& cred, const uint32_t* uid, const uint32_t* gid) {
  if (cred.is_root()) return {};
  if (uid != nullptr && (cred.uid != inode.uid || *uid != inode.uid)) return Errno(EPERM);
  if (gid != nullptr && (cred.uid != inode.uid || (*gid != inode.gid && !cred.in_group(*gid))))
    return Errno(EPERM);
  return {};
}

uint32_t mode_without_privileges(const Owner& inode, const Cred& cred) {
  if (MYFS_FAULTY(kSetuidKeep, 1)) return inode.mode;
  uint32_t mode = inode.mode & ~static_cast<uint32_t>(S_ISUID);
  if ((mode & S_ISGID) == 0) return mode;
  if ((mode & S_IXGRP) != 0 || (!cred.is_root() && !cred.in_group(inode.gid)))
    mode &= ~static_cast<uint32_t>(S_ISGID);
  return mode;
}

}  // namespace myfs::server
