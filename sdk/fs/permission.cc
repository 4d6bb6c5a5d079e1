#include "sdk/fs/permission.h"

#include "sdk/fs/super_block.h"

namespace myfs::fs {

Errno generic_permission(const Cred& cred, uint32_t mode, uint32_t uid, uint32_t gid,
                         uint32_t mask) {
  if (cred.is_root()) {
    // CAP_DAC_OVERRIDE: everything but executing a file that nobody may execute.
    bool executes_file = (mask & MAY_EXEC) != 0 && !S_ISDIR(mode);
    return executes_file && (mode & 0111) == 0 ? Errno(EACCES) : Errno();
  }
  uint32_t granted = mode & 7;
  if (cred.uid == uid) {
    granted = (mode >> 6) & 7;
  } else if (((mode >> 3) & 7) != (mode & 7) && cred.in_group(gid)) {
    granted = (mode >> 3) & 7;
  }
  return (mask & ~granted) == 0 ? Errno() : Errno(EACCES);
}

Result<void> inode_permission(const CallContext& ctx, Inode& inode, uint32_t mask) {
  const Cred& cred = *ctx.cred;
  uint32_t mode, uid, gid;
  if (!inode.attr_young() || !inode.perm_hit(&mode, &uid, &gid) ||
      !inode.i_sb().s_validity.alive()) {
    MYFS_ASSIGN(Kstat stat, inode.i_op().getattr(ctx, inode));
    mode = stat.mode;
    uid = stat.uid;
    gid = stat.gid;
  }
  bool by_acl = (inode.i_flags.load(std::memory_order_acquire) & Inode::kHasAcl) != 0 &&
                !cred.is_root() && cred.uid != uid;
  if (by_acl) return inode.i_op().permission(ctx, inode, mask);
  return generic_permission(cred, mode, uid, gid, mask);
}

bool check_sticky(const Cred& cred, const Kstat& dir, const Kstat& victim) {
  return (dir.mode & S_ISVTX) != 0 && !cred.is_root() && cred.uid != victim.uid &&
         cred.uid != dir.uid;
}

Errno may_create(const Cred& cred, const Kstat& dir) {
  return generic_permission(cred, dir, MAY_WRITE | MAY_EXEC);
}

Errno may_delete(const Cred& cred, const Kstat& dir, const Kstat& victim, bool is_dir) {
  if (Errno error = generic_permission(cred, dir, MAY_WRITE | MAY_EXEC); !error.ok()) return error;
  if (check_sticky(cred, dir, victim)) return Errno(EPERM);
  if (is_dir && !victim.is_dir()) return Errno(ENOTDIR);
  if (!is_dir && victim.is_dir()) return Errno(EISDIR);
  return Errno();
}

}  // namespace myfs::fs
