#include "sdk/fs/task.h"

#include <utility>

#include "sdk/base/limits.h"
#include "sdk/fs/namei.h"
#include "sdk/fs/open.h"
#include "sdk/fs/read_write.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

namespace {
// Owners that the callers of a lower interface name are others' numbers: ours have the top bit.
std::atomic<uint64_t> next_lock_owner{uint64_t{1} << 63};
}  // namespace

TaskStruct::TaskStruct(CredRef cred)
    : nsproxy(make_ref<MntNamespace>()),
      lock_owner(next_lock_owner.fetch_add(1, std::memory_order_relaxed)),
      cred_(std::move(cred)) {}

TaskStruct::TaskStruct(CredRef cred, Scope scope)
    : nsproxy(std::move(scope.ns)),
      lock_owner(next_lock_owner.fetch_add(1, std::memory_order_relaxed)),
      cred_(std::move(cred)) {
  fs.set(std::move(scope.root), std::move(scope.pwd));
  fs.set_umask(scope.umask);
}

Result<TaskStruct::Scope> TaskStruct::copy_scope(const TaskStruct& of) {
  Path root = of.fs.root(), pwd = of.fs.pwd();
  MYFS_ASSIGN(Ref<MntNamespace> ns, MntNamespace::copy(*of.nsproxy, &root, &pwd));
  return Scope{std::move(ns), std::move(root), std::move(pwd), of.fs.umask()};
}

TaskStruct::~TaskStruct() {
  CallContext ctx;
  ctx.cred = cred();
  ctx.deadline_ns = deadline_after_ns(kUmountTimeout_ns);
  (void)exit_mmap(ctx, *this);  // who wants to know has asked before
  (void)exit_files(ctx);
  fs.set(Path(), Path());
}

CredRef TaskStruct::cred() const {
  MutexLock lock(cred_mutex_);
  return cred_;
}

void TaskStruct::set_cred(CredRef cred) {
  MutexLock lock(cred_mutex_);
  std::swap(cred_, cred);
}

Result<void> TaskStruct::exit_files(const CallContext& ctx) {
  Result<void> first;
  for (int fd : files.open_fds()) {
    Result<void> closed = vfs_close(ctx, *this, fd);
    if (first.ok()) first = closed;
  }
  return first;
}

namespace {

Path root_of(const Mount& mount) {
  return {Ref<Mount>(const_cast<Mount&>(mount)), Ref<Dentry>(mount.mnt_root())};
}

}  // namespace

Result<Ref<Mount>> TaskStruct::mount(const CallContext& ctx, Ref<SuperBlock> sb,
                                     std::string_view at, bool read_only) {
  if (!fs.root()) {
    if (at != "/") return Errno(ENOENT);
    Result<Ref<Mount>> first = nsproxy->attach_first(sb, read_only, &fs);
    if (first.ok() || first.error() != Errno(EBUSY)) return first;
  }
  MYFS_ASSIGN(const WalkResult found,
              path_lookup(ctx, *this, At{AT_FDCWD, at}, LOOKUP_FOLLOW | LOOKUP_DIRECTORY));
  MYFS_ASSIGN(Ref<Mount> mount, nsproxy->attach(std::move(sb), found.path, read_only));
  // A mount over "/" is the new root: else nobody could reach it.
  fs.replace_root(found.path, root_of(*mount));
  return mount;
}

Result<void> TaskStruct::bind(const CallContext& ctx, At from_at, At at, bool recursive) {
  MYFS_ASSIGN(const WalkResult from, path_lookup(ctx, *this, from_at, LOOKUP_FOLLOW));
  MYFS_ASSIGN(const WalkResult place, path_lookup(ctx, *this, at, LOOKUP_FOLLOW));
  MYFS_ASSIGN(Ref<Mount> mount, nsproxy->bind(from.path, place.path, recursive));
  fs.replace_root(place.path, root_of(*mount));
  return ok_result();
}

Result<void> TaskStruct::move_mount(const CallContext& ctx, At from_at, At at) {
  MYFS_ASSIGN(const WalkResult from, path_lookup(ctx, *this, from_at, LOOKUP_FOLLOW));
  MYFS_ASSIGN(const WalkResult place, path_lookup(ctx, *this, at, LOOKUP_FOLLOW));
  MYFS_TRY(nsproxy->move(from.path, place.path));
  fs.replace_root(place.path, root_of(*from.path.mnt));
  return ok_result();
}

Result<void> TaskStruct::mount_setattr(const CallContext& ctx, At at, std::optional<bool> read_only,
                                       std::optional<Propagation> propagation, bool recursive) {
  MYFS_ASSIGN(const WalkResult found, path_lookup(ctx, *this, at, LOOKUP_FOLLOW));
  if (!found.path.mnt->is_root(*found.path.dentry)) return Errno(EINVAL);
  if (read_only.has_value()) {
    MYFS_TRY(nsproxy->set_read_only(found.path, *read_only, recursive));
  }
  if (!propagation.has_value()) return ok_result();
  return nsproxy->set_propagation(found.path, *propagation, recursive);
}

Result<void> TaskStruct::remount(const CallContext& ctx, At at, const Reconfigure& change) {
  MYFS_ASSIGN(const WalkResult found, path_lookup(ctx, *this, at, LOOKUP_FOLLOW));
  if (!found.path.mnt->is_root(*found.path.dentry)) return Errno(EINVAL);
  const Mount& mount = *found.path.mnt;
  MYFS_TRY(mount.mnt_sb().reconfigure(ctx, change));
  // Nobody writes, now that the super block is read-only; who just tries to is refused by that.
  if (change.read_only.has_value()) mount.write_count().set_read_only(*change.read_only);
  return ok_result();
}

Result<void> TaskStruct::freeze(const CallContext& ctx, At at) {
  MYFS_ASSIGN(const WalkResult found, path_lookup(ctx, *this, at, LOOKUP_FOLLOW));
  return found.path.mnt->mnt_sb().freeze(ctx);
}

Result<void> TaskStruct::thaw(const CallContext& ctx, At at) {
  MYFS_ASSIGN(const WalkResult found, path_lookup(ctx, *this, at, LOOKUP_FOLLOW));
  return found.path.mnt->mnt_sb().thaw();
}

Result<void> TaskStruct::umount(const CallContext& ctx, std::string_view at, bool detach,
                                bool force) {
  MYFS_ASSIGN(WalkResult found, path_lookup(ctx, *this, At{AT_FDCWD, at}, LOOKUP_FOLLOW));
  Path place = std::move(found.path);
  if (!place.mnt->is_root(*place.dentry)) return Errno(EINVAL);
  place.dentry = nullptr;
  Ref<Mount> mount = std::move(place.mnt).to_ref();
  const Path top = root_of(*mount);
  constexpr unsigned kOwnRefs = 2;  // `mount`, `top`
  const bool any = detach || force;
  if (!any) {
    // Nobody waits for the server only to be told that it is in use.
    MYFS_TRY(nsproxy->may_detach(mount, kOwnRefs, fs));
    MYFS_TRY(sync_filesystem(ctx, mount->mnt_sb()));
  }
  const Path next = mount->mountpoint();
  const Path pwd = any ? fs.pwd() : Path();
  MYFS_TRY(nsproxy->detach(mount, kOwnRefs, fs,
                           detach  ? MntNamespace::Umount::kTree
                           : force ? MntNamespace::Umount::kBusy
                                   : MntNamespace::Umount::kIdle));
  // Somebody may have changed directory since.
  fs.replace_root(top, next, any ? &pwd : nullptr);
  SuperBlock& sb = mount->mnt_sb();
  if (force && sb.mount_count() == 0) sb.s_op().shutdown(ctx);
  return ok_result();
}

}  // namespace myfs::fs
