// Permission: whether a credential may read, write, search, create, delete.
// Kernel counterpart: inode_permission, generic_permission, acl_permission_check, may_create,
// may_delete, check_sticky (fs/namei.c).
// Differs: works on attributes that the caller knows to be true; what is not known is left to the
// server.
// Thread safety: pure functions; who passes a Perm of the cache is in its read section.
#pragma once

#include <cstdint>
#include <optional>

#include "sdk/base/call_context.h"
#include "sdk/base/cred.h"
#include "sdk/base/errno.h"
#include "sdk/base/kstat.h"
#include "sdk/base/result.h"
#include "sdk/fs/inode.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

inline constexpr uint32_t MAY_EXEC = 1, MAY_WRITE = 2, MAY_READ = 4;  // the mode bits' order

// The caller as the server takes him, for what is answered in its place [current_cred() of nfsd].
class Acting {
 public:
  Acting(const Cred& caller, const SuperBlock& sb);
  const Cred& operator*() const { return other_.has_value() ? *other_ : caller_; }
  const Cred* operator->() const { return &**this; }

 private:
  const Cred& caller_;
  std::optional<Cred> other_;
};

// [fsuidgid_has_mapping] EOVERFLOW: what the caller makes there could not belong to him.
inline Errno may_own(const Cred& caller, const SuperBlock& sb) {
  return sb.s_idmap() == nullptr || sb.s_idmap()->has(caller) ? Errno() : Errno(EOVERFLOW);
}

// Errno{} or EACCES; `cred` acts already.
Errno generic_permission(const Cred& cred, const Perm& perm, uint32_t mask);
// For the caller, by the cache; nothing: it cannot tell.
std::optional<Errno> permission_hit(const Cred& cred, const Inode& inode, uint32_t mask);
// By the cache if it can tell and is young enough, else the file system is asked.
Result<void> inode_permission(const CallContext& ctx, Inode& inode, uint32_t mask);
// EPERM unless the caller owns it or is privileged; asks if the cache cannot tell.
Result<void> inode_owner_or_capable(const CallContext& ctx, Inode& inode);
// The sticky bit forbids `cred` to remove what `victim` owns from `dir`.
bool check_sticky(const Cred& cred, const Perm& dir, const Perm& victim);
Errno may_create(const Cred& cred, const Perm& dir);
// EACCES, EPERM (sticky), ENOTDIR and EISDIR (by what the caller removes).
Errno may_delete(const Cred& cred, const Perm& dir, const Perm& victim, bool is_dir);

}  // namespace myfs::fs
