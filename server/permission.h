// Permission: who may do what to an inode, by its mode bits and its ACL.
// Kernel counterpart: generic_permission, acl_permission_check, may_delete, setattr_prepare,
// chown_common.  Differs: the capabilities of uid 0 are implied, nobody else has any.
// Thread safety: pure functions.
#pragma once

#include <cstdint>

#include "sdk/base/cred.h"
#include "sdk/base/errno.h"
#include "sdk/base/posix_acl.h"

namespace myfs::server {

inline constexpr int kMayExec = 1, kMayWrite = 2, kMayRead = 4;

struct Owner {
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  const PosixAcl* acl = nullptr;  // of the record that this was made from; null: none
};

// EACCES, or 0.
Errno may(const Owner& inode, const Cred& cred, int mask);
// Removing or replacing a name of `victim` in `dir`: EACCES; EPERM by the sticky bit.
Errno may_remove(const Owner& dir, const Owner& victim, const Cred& cred);
inline bool is_owner(const Owner& inode, const Cred& cred) {
  return cred.is_root() || cred.uid == inode.uid;
}

// Owner and mode of something new in `dir`.
Owner owner_of_new(const Owner& dir, const Cred& cred, uint32_t mode);
// The mode that chmod leaves: who is not in the group cannot set setgid. EPERM for others.
Errno may_chmod(const Owner& inode, const Cred& cred, uint32_t* mode);
Errno may_chown(const Owner& inode, const Cred& cred, const uint32_t* uid, const uint32_t* gid);
// setuid and setgid as they are after a chown, or a write by somebody who is not root.
uint32_t mode_without_privileges(const Owner& inode, const Cred& cred);

}  // namespace myfs::server
