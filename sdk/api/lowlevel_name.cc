// Look-ups and changes of names, by inode.

#include <sys/stat.h>

#include "sdk/api/lowlevel_call.h"
#include "sdk/fs/namei_ops.h"
#include "sdk/fs/permission.h"
#include "sdk/fs/super_block.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

namespace {

// EINVAL unless both objects are of one task.
Result<void> check_same_task(const myfs_inode* a, const myfs_inode* b) {
  if (a == nullptr || b == nullptr) return fail(Errno(EINVAL), "the inode is null");
  if (a->task != b->task) return fail(Errno(EINVAL), "the inodes are of two tasks");
  return ok_result();
}

int make(myfs_inode* dir, const myfs_call* call, const char* operation, const char* name,
         const fs::CreateArgs& args, myfs_entry* entry) {
  CallScope scope(api::task_of(dir), call, operation);
  return scope.run([&]() -> Result<void> {
    if (Errno error = api::check_entry(entry); !error.ok()) return error;
    MYFS_ASSIGN(const fs::At at, api::name_at(dir, name));
    fs::Path place;
    MYFS_ASSIGN(const fs::CreateResult made,
                fs::vfs_create(scope.ctx(), scope.task(), at, args, &place));
    return api::fill_entry(scope.ctx(), dir->task->lowlevel, std::move(place),
                           made.has_stat ? &made.stat : nullptr, entry);
  });
}

}  // namespace

extern "C" {

int myfs_ll_open_path(myfs_task* task, const myfs_call* call, const char* path, myfs_entry* entry) {
  CallScope scope(task, call, "open_path");
  return scope.run([&]() -> Result<void> {
    if (Errno error = api::check_entry(entry); !error.ok()) return error;
    MYFS_ASSIGN(const fs::At at, api::path_at(path));
    MYFS_ASSIGN(fs::WalkResult found,
                fs::path_lookup(scope.ctx(), scope.task(), at, fs::LOOKUP_FOLLOW));
    return api::fill_entry(scope.ctx(), task->lowlevel, std::move(found.path),
                           found.has_stat ? &found.stat : nullptr, entry);
  });
}

int myfs_ll_lookup(myfs_inode* dir, const myfs_call* call, const char* name, myfs_entry* entry) {
  CallScope scope(api::task_of(dir), call, "lookup");
  return scope.run([&]() -> Result<void> {
    if (Errno error = api::check_entry(entry); !error.ok()) return error;
    MYFS_ASSIGN(const fs::At at, api::name_at(dir, name));
    entry->keep_name_ms = entry->keep_attr_ms = 0;
    Result<void> result = fs::retry_estale([&]() -> Result<void> {
      MYFS_ASSIGN(fs::WalkResult found,
                  fs::path_lookup(scope.ctx(), scope.task(), at, 0, fs::LookupIntent::kStat));
      return api::fill_entry(scope.ctx(), dir->task->lowlevel, std::move(found.path),
                             found.has_stat ? &found.stat : nullptr, entry);
    });
    if (!result.ok() && result.error() == Errno(ENOENT)) {
      entry->keep_name_ms = fs::keep_absence_ns(dir->place.inode(), at.path) / kNsPerMs;
    }
    return result;
  });
}

ssize_t myfs_ll_name_to_handle(myfs_inode* inode, const myfs_call* call, void* handle,
                               size_t size) {
  CallScope scope(api::task_of(inode), call, "name_to_handle");
  return scope.run([&]() -> Result<size_t> {
    fs::Inode& of = inode->place.inode();
    MYFS_ASSIGN(const std::string made, of.i_sb().s_op().encode_fh(scope.ctx(), of));
    if (size == 0) return made.size();
    if (handle == nullptr) return fail(Errno(EINVAL), "there is no buffer");
    if (made.size() > size) return Errno(ERANGE);
    return made.copy(static_cast<char*>(handle), made.size());
  });
}

int myfs_ll_open_by_handle(myfs_inode* of_mount, const myfs_call* call, const void* handle,
                           size_t size, myfs_entry* entry) {
  CallScope scope(api::task_of(of_mount), call, "open_by_handle");
  return scope.run([&]() -> Result<void> {
    if (Errno error = api::check_entry(entry); !error.ok()) return error;
    if (handle == nullptr || size == 0) return fail(Errno(EINVAL), "the handle is null");
    fs::SuperBlock& sb = of_mount->place.dentry->d_sb();
    if (!fs::Acting(*scope.ctx().cred, sb)->is_root()) return Errno(EPERM);
    MYFS_ASSIGN(Ref<fs::Inode> inode,
                sb.s_op().fh_to_inode(scope.ctx(), {static_cast<const char*>(handle), size}));
    fs::Path place{of_mount->place.mnt, sb.s_dcache.d_alloc_anon(std::move(inode))};
    return api::fill_entry(scope.ctx(), of_mount->task->lowlevel, std::move(place), nullptr, entry);
  });
}

int myfs_ll_forget(myfs_inode* inode, uint64_t count) {
  CallScope scope(api::task_of(inode), nullptr, "forget");
  return scope.run([&] { return inode->task->lowlevel.forget(inode, count); });
}

int myfs_ll_mknod(myfs_inode* dir, const myfs_call* call, const char* name, mode_t mode,
                  mode_t umask, dev_t dev, myfs_entry* entry) {
  const mode_t type = (mode & S_IFMT) == 0 ? S_IFREG : mode & S_IFMT;
  const bool device = type == S_IFCHR || type == S_IFBLK;
  fs::CreateArgs args;
  args.mode = type | (mode & 07777);
  args.umask = umask & 0777;
  args.rdev = device ? dev : 0;
  CallScope scope(api::task_of(dir), call, "mknod");
  const int checked = scope.run([&]() -> Result<void> {
    if (type == S_IFDIR) return Errno(EPERM);
    if (!device && type != S_IFREG && type != S_IFIFO && type != S_IFSOCK) return Errno(EINVAL);
    const fs::Acting acting(*scope.ctx().cred, dir->place.dentry->d_sb());
    return device && !acting->is_root() ? Errno(EPERM) : Errno();
  });
  return checked < 0 ? checked : make(dir, call, "mknod", name, args, entry);
}

int myfs_ll_mkdir(myfs_inode* dir, const myfs_call* call, const char* name, mode_t mode,
                  mode_t umask, myfs_entry* entry) {
  fs::CreateArgs args;
  args.mode = S_IFDIR | (mode & 01777);
  args.umask = umask & 0777;
  return make(dir, call, "mkdir", name, args, entry);
}

int myfs_ll_symlink(myfs_inode* dir, const myfs_call* call, const char* target, const char* name,
                    myfs_entry* entry) {
  CallScope scope(api::task_of(dir), call, "symlink");
  const int checked = scope.run([&]() -> Result<void> {
    if (target == nullptr) return fail(Errno(EINVAL), "the target is null");
    const std::string_view text(target);
    if (text.empty()) return Errno(ENOENT);
    return text.size() > kSymlinkMax_bytes ? Errno(ENAMETOOLONG) : Errno();
  });
  if (checked < 0) return checked;
  fs::CreateArgs args;
  args.mode = S_IFLNK | 0777;
  args.target = target;
  return make(dir, call, "symlink", name, args, entry);
}

int myfs_ll_link(myfs_inode* inode, const myfs_call* call, myfs_inode* dir, const char* name,
                 myfs_entry* entry) {
  CallScope scope(api::task_of(inode), call, "link");
  return scope.run([&]() -> Result<void> {
    if (Errno error = api::check_entry(entry); !error.ok()) return error;
    MYFS_TRY(check_same_task(inode, dir));
    MYFS_ASSIGN(const fs::At at, api::name_at(dir, name));
    MYFS_TRY(fs::vfs_link(scope.ctx(), scope.task(), api::at_inode(*inode), at, AT_EMPTY_PATH));
    MYFS_TRY(api::fill_entry(scope.ctx(), inode->task->lowlevel, inode->place, nullptr, entry));
    entry->keep_name_ms = 0;  // the place is that of another name
    return ok_result();
  });
}

int myfs_ll_unlink(myfs_inode* dir, const myfs_call* call, const char* name) {
  CallScope scope(api::task_of(dir), call, "unlink");
  return scope.run([&]() -> Result<void> {
    MYFS_ASSIGN(const fs::At at, api::name_at(dir, name));
    return fs::vfs_unlink(scope.ctx(), scope.task(), at);
  });
}

int myfs_ll_rmdir(myfs_inode* dir, const myfs_call* call, const char* name) {
  CallScope scope(api::task_of(dir), call, "rmdir");
  return scope.run([&]() -> Result<void> {
    MYFS_ASSIGN(const fs::At at, api::name_at(dir, name));
    return fs::vfs_rmdir(scope.ctx(), scope.task(), at);
  });
}

int myfs_ll_rename(myfs_inode* from_dir, const myfs_call* call, const char* from,
                   myfs_inode* to_dir, const char* to, unsigned flags) {
  CallScope scope(api::task_of(from_dir), call, "rename");
  return scope.run([&]() -> Result<void> {
    MYFS_TRY(check_same_task(from_dir, to_dir));
    MYFS_ASSIGN(const fs::At old_at, api::name_at(from_dir, from));
    MYFS_ASSIGN(const fs::At new_at, api::name_at(to_dir, to));
    return fs::vfs_rename(scope.ctx(), scope.task(), old_at, new_at, flags);
  });
}

}  // extern "C"
