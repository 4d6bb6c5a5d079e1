#include "sdk/fs/dentry.h"

#include <cstdlib>
#include <new>

#include "sdk/base/limits.h"
#include "sdk/base/rcu.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

std::string Dentry::d_name() const {
  RcuReadGuard guard;
  return std::string(position().d_name());
}

Ref<Dentry> Dentry::d_parent() const {
  RcuReadGuard guard;
  while (true) {
    // A rename may drop the last reference to the parent that we saw; then there is a new one.
    RefPtr<Dentry> parent = RefPtr<Dentry>::try_from(position().d_parent);
    if (parent) return std::move(parent).to_ref();
  }
}

bool Dentry::try_kill() {
  uint32_t expected = 1;
  return count_.compare_exchange_strong(expected, 0, std::memory_order_acq_rel);
}

void Dentry::destroy(Dentry* dentry) {
  DentryPosition* position = dentry->d_pos_.load(std::memory_order_relaxed);
  if (position != dentry->own_position()) ::operator delete(position);
  dentry->~Dentry();
  ::operator delete(dentry);
}

void Dentry::last_ref_dropped() {
  // Parents go one after the other in this loop: a path may be 2000 levels deep.
  Dentry* dentry = this;
  while (dentry != nullptr) {
    Inode* inode = dentry->d_inode_;
    Dentry* parent = dentry->d_pos_.load(std::memory_order_relaxed)->d_parent;
    bool has_parent = parent != dentry;
    call_rcu(dentry, [](void* p) { destroy(static_cast<Dentry*>(p)); });
    if (inode != nullptr) inode->unref();
    bool last = has_parent && parent->count_.fetch_sub(1, std::memory_order_acq_rel) == 1;
    dentry = last ? parent : nullptr;
  }
}

bool is_same_place(const Dentry& a, const Dentry& b) {
  if (&a == &b) return true;
  const Inode* inode = a.d_inode();
  return inode != nullptr && inode == b.d_inode() && inode->is_dir();
}

bool is_subdir(const Dentry& dentry, const Dentry& ancestor) {
  RcuReadGuard guard;
  const Dentry* at = &dentry;
  // Stale positions could form a circle; no path is deeper than this.
  for (size_t depth = 0; depth < kPathMax_bytes / 2; ++depth) {
    if (is_same_place(*at, ancestor)) return true;
    const Dentry* parent = at->position().d_parent;
    if (parent == at) return false;
    at = parent;
  }
  return false;
}

}  // namespace myfs::fs
