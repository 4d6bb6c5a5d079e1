// FsStruct: a task's root, working directory and umask.
// Kernel counterpart: struct fs_struct.  Differs: readers take no lock: the pair is an immutable
// record, replaced as a whole.
// Thread safety: all.
// Lock rank: kNamespace + nothing below; held for the exchange of pointers only.
// Owns / is owned by: member of TaskStruct; holds both paths.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/functional/function_ref.h"
#include "sdk/base/sync.h"
#include "sdk/fs/path.h"

namespace myfs::fs {

class FsStruct {
 public:
  // Raw pointers: good inside the read section in which they were loaded. All null before the first
  // mount.
  struct View {
    Mount* root_mnt = nullptr;
    Dentry* root = nullptr;
    Mount* pwd_mnt = nullptr;
    Dentry* pwd = nullptr;
  };

  FsStruct();
  ~FsStruct();
  FsStruct(const FsStruct&) = delete;
  FsStruct& operator=(const FsStruct&) = delete;

  const View& view_rcu() const { return *view_.load(std::memory_order_acquire); }
  Path root() const;
  Path pwd() const;
  void set_root(Path root);
  void set_pwd(Path pwd);
  void set(Path root, Path pwd);
  // [chroot_fs_refs] If the root is `from`, it becomes `to`, and so does the working directory, if
  // it is `from` or `pwd_too`. False: it is not.
  bool replace_root(const Path& from, const Path& to, const Path* pwd_too = nullptr);
  // fn(how many references to `mount` are those of a root that is its root, and of a working
  // directory there), while they cannot change.
  bool with_refs_to(const Mount& mount, absl::FunctionRef<bool(unsigned refs)> fn) const;

  uint32_t umask() const { return umask_.load(std::memory_order_relaxed); }
  uint32_t set_umask(uint32_t mask) { return umask_.exchange(mask & 0777); }  // the old one

 private:
  // Returns the record that it replaced.
  const View* publish_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void replace(Path* root, Path* pwd);

  mutable Mutex mutex_{LockRank::kFdTable};
  Path root_ ABSL_GUARDED_BY(mutex_);
  Path pwd_ ABSL_GUARDED_BY(mutex_);
  std::atomic<const View*> view_;
  std::atomic<uint32_t> umask_{022};
};

}  // namespace myfs::fs
