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
  // A mount over "/" is the new root of its task: else nobody could reach it.
  if (!old_root || place == old_root) {
    Path root{mount, Ref<Dentry>(mount->mnt_root())};
    const Path pwd = fs.pwd();
    fs.set(root, pwd == old_root ? root : pwd);
  }
  return mount;
}

Result<void> TaskStruct::umount(const CallContext& ctx, std::string_view at, bool force,
                                bool shutdown) {
  MYFS_ASSIGN(WalkResult found, path_lookup(ctx, *this, At{AT_FDCWD, at}, LOOKUP_FOLLOW));
  Path place = std::move(found.path);
  if (place.dentry.get() != &place.mnt->mnt_root()) return Errno(EINVAL);
  if (!force) MYFS_TRY(sync_filesystem(ctx, place.mnt->mnt_sb()));
  place.dentry = nullptr;
  Ref<Mount> mount = std::move(place.mnt).to_ref();
  // The task's own root and working directory do not keep the file system that they are the root
  // of.
  const Path root = fs.root(), pwd = fs.pwd();
  const Path top{mount, Ref<Dentry>(mount->mnt_root())};
  const bool is_root = root == top;
  // `mount`, `top`, and for the root fs's own and these copies.
  const unsigned own_refs = 2 + (is_root ? 2 + (pwd == top ? 2 : 0) : 0);
  Mount* below = mount->mnt_parent();
  Path next;
  if (is_root && below != nullptr) {
    next = Path{Ref<Mount>(*below), Ref<Dentry>(*mount->mnt_mountpoint())};
  }
  MYFS_TRY(nsproxy->detach(mount, own_refs, force));
  if (is_root) fs.set(next, pwd == top || force ? next : pwd);
  if (shutdown) mount->mnt_sb().s_op().shutdown(ctx);
  return ok_result();
}

}  // namespace myfs::fs
