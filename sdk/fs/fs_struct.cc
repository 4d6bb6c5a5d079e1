#include "sdk/fs/fs_struct.h"

#include <utility>

#include "sdk/base/rcu.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

FsStruct::FsStruct() : view_(new View) {}

FsStruct::~FsStruct() { delete view_.load(std::memory_order_relaxed); }

Path FsStruct::root() const {
  MutexLock lock(mutex_);
  return root_;
}

Path FsStruct::pwd() const {
  MutexLock lock(mutex_);
  return pwd_;
}

const FsStruct::View* FsStruct::publish_locked() {
  return view_.exchange(
      new View{root_.mnt.get(), root_.dentry.get(), pwd_.mnt.get(), pwd_.dentry.get()},
      std::memory_order_acq_rel);
}

void FsStruct::replace(Path* root, Path* pwd) {
  const View* old;
  {
    MutexLock lock(mutex_);
    if (root != nullptr) std::swap(root_, *root);
    if (pwd != nullptr) std::swap(pwd_, *pwd);
    old = publish_locked();
  }
  call_rcu(const_cast<View*>(old), [](void* p) { delete static_cast<View*>(p); });
}

bool FsStruct::replace_root(const Path& from, const Path& to, const Path* pwd_too) {
  Path old_root, old_pwd;  // dropped without the lock
  const View* old;
  {
    MutexLock lock(mutex_);
    if (root_ != from) return false;
    old_root = std::exchange(root_, to);
    if (pwd_ == from || (pwd_too != nullptr && pwd_ == *pwd_too)) {
      old_pwd = std::exchange(pwd_, to);
    }
    old = publish_locked();
  }
  call_rcu(const_cast<View*>(old), [](void* p) { delete static_cast<View*>(p); });
  return true;
}

bool FsStruct::with_refs_to(const Mount& mount, absl::FunctionRef<bool(unsigned refs)> fn) const {
  const auto is_at = [&](const Path& path) {
    return path.mnt.get() == &mount && path.dentry.get() == &mount.mnt_root();
  };
  MutexLock lock(mutex_);
  return fn(!is_at(root_) ? 0 : is_at(pwd_) ? 2 : 1);
}

void FsStruct::set_root(Path root) { replace(&root, nullptr); }
void FsStruct::set_pwd(Path pwd) { replace(nullptr, &pwd); }
void FsStruct::set(Path root, Path pwd) { replace(&root, &pwd); }

}  // namespace myfs::fs
