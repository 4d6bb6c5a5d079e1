#include "sdk/fs/xattr.h"

#include <fcntl.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "sdk/base/limits.h"
#include "sdk/base/rcu.h"
#include "sdk/fs/namei_ops.h"
#include "sdk/fs/permission.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

namespace {

constexpr uint32_t kXattrCreate = 1, kXattrReplace = 2;

// [xattr_permission] and the checks of the name; `changes`: for set and remove.
Errno check_name(const Cred& cred, const Inode& inode, std::string_view name, bool changes) {
  if (name.empty() || name.size() > kNameMax_bytes) return Errno(ERANGE);
  if (name.starts_with("user.")) {
    const bool allowed = inode.is_regular() || inode.is_dir();
    if (!allowed) return Errno(changes ? EPERM : ENODATA);
    return name.size() == 5 ? Errno(EINVAL) : Errno();
  }
  if (name.starts_with("trusted.")) {
    if (!Acting(cred, inode.i_sb())->is_root()) return Errno(changes ? EPERM : ENODATA);
    return Errno();
  }
  if (is_posix_acl_xattr(name)) return inode.is_symlink() ? Errno(EOPNOTSUPP) : Errno();
  return name.starts_with("security.") ? Errno() : Errno(EOPNOTSUPP);
}

// [vfs_posix_acl_to_xattr and back] A list's ids, from what the server says to what the caller
// sees, or the reverse: EINVAL for an id that is not mapped, and what is wrong with the list.
Result<std::string> map_acl(const IdMap& map, std::string value, bool in) {
  MYFS_ASSIGN(PosixAcl acl, PosixAcl::from_xattr(value));
  if (acl.empty()) return value;
  if (in) {
    MYFS_TRY(Result<void>(map.acl_in(&acl)));
  } else {
    map.acl_out(&acl);
  }
  return acl.to_xattr();
}

// [get_cached_acl] Nothing: the cache cannot tell.
std::optional<Result<std::string>> cached_acl(const Inode& inode, std::string_view name) {
  RcuReadGuard guard;
  Perm perm;
  if (!inode.attr_young() || !inode.perm_hit(&perm) || !inode.i_sb().s_validity.alive()) return {};
  const bool is_default = name == kXattrAclDefault;
  if (is_default ? !perm.has_default_acl : perm.acl == nullptr) return Errno(ENODATA);
  if (is_default) return {};
  return perm.acl->to_xattr();
}

Result<Path> find(const CallContext& ctx, TaskStruct& task, At at, int at_flags) {
  if ((at_flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0) return Errno(EINVAL);
  const uint32_t flags = ((at_flags & AT_SYMLINK_NOFOLLOW) == 0 ? uint32_t{LOOKUP_FOLLOW} : 0) |
                         ((at_flags & AT_EMPTY_PATH) != 0 ? uint32_t{LOOKUP_EMPTY} : 0);
  if (at.path.empty() && at.dfd != AT_FDCWD) {
    RefPtr<File> file = task.files.fget(at.dfd);
    if (!file || (file->f_mode & File::kPath) != 0) return Errno(EBADF);
  }
  MYFS_ASSIGN(WalkResult found, path_lookup(ctx, task, at, flags, LookupIntent::kStat));
  return std::move(found.path);
}

}  // namespace

Result<std::string> inode_getxattr(const CallContext& ctx, Inode& inode, std::string_view name) {
  if (Errno error = check_name(*ctx.cred, inode, name, false); !error.ok()) return error;
  if (!is_posix_acl_xattr(name)) return inode.i_op().getxattr(ctx, inode, name);
  auto cached = cached_acl(inode, name);
  Result<std::string> value =
      cached.has_value() ? *std::move(cached) : inode.i_op().getxattr(ctx, inode, name);
  const IdMap* map = inode.i_sb().s_idmap();
  if (map == nullptr || !value.ok()) return value;
  return map_acl(*map, *std::move(value), false);
}

Result<std::vector<std::string>> inode_listxattr(const CallContext& ctx, Inode& inode) {
  MYFS_ASSIGN(std::vector<std::string> names, inode.i_op().listxattr(ctx, inode));
  if (!Acting(*ctx.cred, inode.i_sb())->is_root()) {
    std::erase_if(names, [](const std::string& name) { return name.starts_with("trusted."); });
  }
  return names;
}

Result<void> inode_setxattr(const CallContext& ctx, Inode& inode, std::string_view name,
                            std::string_view value, uint32_t flags) {
  if ((flags & ~(kXattrCreate | kXattrReplace)) != 0) return Errno(EINVAL);
  if (value.size() > kXattrValueMax_bytes) return Errno(E2BIG);
  if (Errno error = check_name(*ctx.cred, inode, name, true); !error.ok()) return error;
  std::string mapped;
  if (const IdMap* map = inode.i_sb().s_idmap(); map != nullptr && is_posix_acl_xattr(name)) {
    MYFS_ASSIGN(mapped, map_acl(*map, std::string(value), true));
    value = mapped;
  }
  WriteLock lock(inode.i_rwsem);
  ChangeInFlight change({}, {&inode}, Inode::kChanging + Inode::kChangingPerm);
  return inode.i_op().setxattr(change.context(ctx), inode, name, value, flags);
}

Result<void> inode_removexattr(const CallContext& ctx, Inode& inode, std::string_view name) {
  if (Errno error = check_name(*ctx.cred, inode, name, true); !error.ok()) return error;
  WriteLock lock(inode.i_rwsem);
  ChangeInFlight change({}, {&inode}, Inode::kChanging + Inode::kChangingPerm);
  return inode.i_op().removexattr(change.context(ctx), inode, name);
}

Result<std::string> vfs_getxattr(const CallContext& ctx, TaskStruct& task, At at, int at_flags,
                                 std::string_view name) {
  MYFS_ASSIGN(Path path, find(ctx, task, at, at_flags));
  return inode_getxattr(ctx, path.inode(), name);
}

Result<std::vector<std::string>> vfs_listxattr(const CallContext& ctx, TaskStruct& task, At at,
                                               int at_flags) {
  MYFS_ASSIGN(Path path, find(ctx, task, at, at_flags));
  return inode_listxattr(ctx, path.inode());
}

Result<void> vfs_setxattr(const CallContext& ctx, TaskStruct& task, At at, int at_flags,
                          std::string_view name, std::string_view value, uint32_t flags) {
  MYFS_ASSIGN(Path path, find(ctx, task, at, at_flags));
  MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, path));
  return inode_setxattr(ctx, path.inode(), name, value, flags);
}

Result<void> vfs_removexattr(const CallContext& ctx, TaskStruct& task, At at, int at_flags,
                             std::string_view name) {
  MYFS_ASSIGN(Path path, find(ctx, task, at, at_flags));
  MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, path));
  return inode_removexattr(ctx, path.inode(), name);
}

}  // namespace myfs::fs
