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

void FsStruct::set_root(Path root) { replace(&root, nullptr); }
void FsStruct::set_pwd(Path pwd) { replace(nullptr, &pwd); }
void FsStruct::set(Path root, Path pwd) { replace(&root, &pwd); }

}  // namespace myfs::fs
