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
}

TaskStruct::TaskStruct(CredRef cred, const TaskStruct& of)
    : TaskStruct(std::move(cred), copy_scope(of)) {
  fs.set_umask(of.fs.umask());
}

TaskStruct::Scope TaskStruct::copy_scope(const TaskStruct& of) {
  Path root = of.fs.root(), pwd = of.fs.pwd();
  Ref<MntNamespace> ns = MntNamespace::copy(*of.nsproxy, &root, &pwd);
  return {std::move(ns), std::move(root), std::move(pwd)};
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

Result<Ref<Mount>> TaskStruct::mount(const CallContext& ctx, Ref<SuperBlock> sb,
                                     std::string_view at, bool read_only) {
  const Path old_root = fs.root();
  Path place;
  if (!old_root) {
    if (at != "/") return Errno(ENOENT);
  } else {
    MYFS_ASSIGN(WalkResult found,
                path_lookup(ctx, *this, At{AT_FDCWD, at}, LOOKUP_FOLLOW | LOOKUP_DIRECTORY));
    place = std::move(found.path);
  }
  MYFS_ASSIGN(Ref<Mount> mount,
              nsproxy->attach(std::move(sb), old_root ? &place : nullptr, read_only));
  enter_root(place, old_root, *mount);
  return mount;
}

void TaskStruct::enter_root(const Path& place, const Path& old_root, const Mount& mount) {
  if (old_root && place != old_root) return;
  Path root{Ref<Mount>(const_cast<Mount&>(mount)), Ref<Dentry>(mount.mnt_root())};
  const Path pwd = fs.pwd();
  fs.set(root, pwd == old_root ? root : pwd);
}

Result<void> TaskStruct::bind(const CallContext& ctx, At from_at, At at, bool recursive) {
  MYFS_ASSIGN(const WalkResult from, path_lookup(ctx, *this, from_at, LOOKUP_FOLLOW));
  MYFS_ASSIGN(const WalkResult place, path_lookup(ctx, *this, at, LOOKUP_FOLLOW));
  MYFS_ASSIGN(Ref<Mount> mount, nsproxy->bind(from.path, place.path, recursive));
  enter_root(place.path, fs.root(), *mount);
  return ok_result();
}

Result<void> TaskStruct::move_mount(const CallContext& ctx, At from_at, At at) {
  MYFS_ASSIGN(const WalkResult from, path_lookup(ctx, *this, from_at, LOOKUP_FOLLOW));
  MYFS_ASSIGN(const WalkResult place, path_lookup(ctx, *this, at, LOOKUP_FOLLOW));
  MYFS_TRY(nsproxy->move(from.path, place.path));
  enter_root(place.path, fs.root(), *from.path.mnt);
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
  MYFS_TRY(found.path.mnt->mnt_sb().reconfigure(ctx, change));
  if (change.read_only.has_value()) {
    // Nobody writes, now that the super block is read-only.
    MYFS_TRY(nsproxy->set_read_only(found.path, *change.read_only, false));
  }
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
  // The task's own root and working directory do not keep the file system that they are the root
  // of.
  const Path root = fs.root(), pwd = fs.pwd();
  const Path top{mount, Ref<Dentry>(mount->mnt_root())};
  const bool is_root = root == top;
  // `mount`, `top`, and for the root fs's own and these copies.
  const unsigned own_refs = 2 + (is_root ? 2 + (pwd == top ? 2 : 0) : 0);
  const Path next = is_root ? mount->mountpoint() : Path();
  const bool any = detach || force;
  if (!any) {
    // Nobody waits for the server only to be told that it is in use.
    MYFS_TRY(nsproxy->may_detach(mount, own_refs));
    MYFS_TRY(sync_filesystem(ctx, mount->mnt_sb()));
  }
  MYFS_TRY(nsproxy->detach(mount, own_refs,
                           detach  ? MntNamespace::Umount::kTree
                           : force ? MntNamespace::Umount::kBusy
                                   : MntNamespace::Umount::kIdle));
  if (is_root) fs.set(next, pwd == top || any ? next : pwd);
  SuperBlock& sb = mount->mnt_sb();
  if (force && sb.mount_count() == 0) sb.s_op().shutdown(ctx);
  return ok_result();
}

}  // namespace myfs::fs
