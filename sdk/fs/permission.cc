#include "sdk/fs/permission.h"

#include "sdk/base/nowait.h"
#include "sdk/base/rcu.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

Acting::Acting(const Cred& caller, const SuperBlock& sb) : caller_(caller) {
  if (sb.s_idmap() != nullptr) [[unlikely]]
    other_ = sb.s_idmap()->cred_in(caller);
  RcuReadGuard guard;
  const Principal* principal = sb.principal_rcu();
  if (principal != nullptr && !principal->trusts(**this)) [[unlikely]]
    other_ = principal->acting_as(**this);
}

Errno generic_permission(const Cred& cred, const Perm& perm, uint32_t mask) {
  const uint32_t mode = perm.mode;
  if (cred.is_root()) {
    // CAP_DAC_OVERRIDE: everything but executing a file that nobody may execute.
    bool executes_file = (mask & MAY_EXEC) != 0 && !S_ISDIR(mode);
    return executes_file && (mode & 0111) == 0 ? Errno(EACCES) : Errno();
  }
  uint32_t granted = mode & 7;
  if (cred.uid == perm.uid) {
    granted = (mode >> 6) & 7;
  } else if (perm.acl != nullptr && (mode & S_IRWXG) != 0) {
    // Without any right in the mask the kernel does not look at the list.
    return perm.acl->permission(cred, perm.uid, perm.gid, mask);
  } else if (((mode >> 3) & 7) != (mode & 7) && cred.in_group(perm.gid)) {
    granted = (mode >> 3) & 7;
  }
  return (mask & ~granted) == 0 ? Errno() : Errno(EACCES);
}

std::optional<Errno> permission_hit(const Cred& cred, const Inode& inode, uint32_t mask) {
  RcuReadGuard guard;
  Perm perm;
  if (!inode.perm_hit(&perm) || !inode.i_sb().s_validity.alive()) return std::nullopt;
  return generic_permission(*Acting(cred, inode.i_sb()), perm, mask);
}

Result<void> inode_permission(const CallContext& ctx, Inode& inode, uint32_t mask) {
  if (inode.attr_young()) {
    std::optional<Errno> known = permission_hit(*ctx.cred, inode, mask);
    if (known.has_value()) return *known;
  }
  if (must_not_wait()) return refuse_to_wait();
  return inode.i_op().permission(ctx, inode, mask);
}

Result<void> inode_owner_or_capable(const CallContext& ctx, Inode& inode) {
  const Acting acting(*ctx.cred, inode.i_sb());
  if (acting->is_root()) return ok_result();
  Kstat stat;
  if (!inode.attr_hit(&stat) || !inode.i_sb().s_validity.alive()) {
    if (must_not_wait()) return refuse_to_wait();
    MYFS_ASSIGN(stat, inode.i_op().getattr(ctx, inode));
  }
  return stat.uid == acting->uid ? Errno() : Errno(EPERM);
}

bool check_sticky(const Cred& cred, const Perm& dir, const Perm& victim) {
  return (dir.mode & S_ISVTX) != 0 && !cred.is_root() && cred.uid != victim.uid &&
         cred.uid != dir.uid;
}

Errno may_create(const Cred& cred, const Perm& dir) {
  return generic_permission(cred, dir, MAY_WRITE | MAY_EXEC);
}

Errno may_delete(const Cred& cred, const Perm& dir, const Perm& victim, bool is_dir) {
  if (Errno error = generic_permission(cred, dir, MAY_WRITE | MAY_EXEC); !error.ok()) return error;
  if (check_sticky(cred, dir, victim)) return Errno(EPERM);
  if (is_dir && !S_ISDIR(victim.mode)) return Errno(ENOTDIR);
  if (!is_dir && S_ISDIR(victim.mode)) return Errno(EISDIR);
  return Errno();
}

}  // namespace myfs::fs
