// Permission: whether a credential may read, write, search, create, delete.
// Kernel counterpart: inode_permission, generic_permission, may_create, may_delete, check_sticky
// (fs/namei.c).
// Differs: works on attributes that the caller knows to be true; what is not known is left to the
// server.
// Thread safety: pure functions.
#pragma once

#include <cstdint>

#include "sdk/base/call_context.h"
#include "sdk/base/cred.h"
#include "sdk/base/errno.h"
#include "sdk/base/kstat.h"
#include "sdk/base/result.h"
#include "sdk/fs/inode.h"

namespace myfs::fs {

inline constexpr uint32_t MAY_EXEC = 1, MAY_WRITE = 2, MAY_READ = 4;  // the mode bits' order

// Errno{} or EACCES, by mode bits alone.
Errno generic_permission(const Cred& cred, uint32_t mode, uint32_t uid, uint32_t gid,
                         uint32_t mask);
inline Errno generic_permission(const Cred& cred, const Kstat& stat, uint32_t mask) {
  return generic_permission(cred, stat.mode, stat.uid, stat.gid, mask);
}
// From the cache if the lease allows, else asks for the attributes. ACLs included.
Result<void> inode_permission(const CallContext& ctx, Inode& inode, uint32_t mask);
// The sticky bit forbids `cred` to remove what `victim` owns from `dir`.
bool check_sticky(const Cred& cred, const Kstat& dir, const Kstat& victim);
Errno may_create(const Cred& cred, const Kstat& dir);
// EACCES, EPERM (sticky), ENOTDIR and EISDIR (by what the caller removes).
Errno may_delete(const Cred& cred, const Kstat& dir, const Kstat& victim, bool is_dir);

}  // namespace myfs::fs
