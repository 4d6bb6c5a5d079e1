#include "sdk/fs/inode.h"

#include <cassert>

#include "sdk/base/rcu.h"
#include "sdk/fs/locks.h"
#include "sdk/fs/mmap.h"
#include "sdk/fs/permission.h"
#include "sdk/fs/readdir.h"
#include "sdk/fs/super_block.h"
#include "sdk/mm/address_space.h"
#include "sdk/mm/runtime.h"

namespace myfs::fs {

namespace {

uint32_t mode_hint(const Kstat& stat) {
  return stat.has_acl ? stat.mode & ~uint32_t{0111} : stat.mode;
}

}  // namespace

Inode::Inode(SuperBlock& sb, const Kstat& stat, InodeOps& op, FileOps& fop)
    : i_ino(stat.ino),
      i_generation(stat.generation),
      i_type(stat.mode & S_IFMT),
      i_mode_hint(mode_hint(stat)),
      i_change(stat.change),
      i_sb_(&sb),
      i_op_(&op),
      i_fop_(&fop),
      i_attr_(stat) {}

Inode::~Inode() {
  delete i_flctx_.load(std::memory_order_relaxed);
  delete i_mmap_.load(std::memory_order_relaxed);
  delete i_link_.load(std::memory_order_relaxed);
  delete i_acl_.load(std::memory_order_relaxed);
  if (DirListing* listing = i_listing_.load(std::memory_order_relaxed); listing != nullptr) {
    listing->unref();
  }
}

void Inode::unref() const {
  uint32_t old = count_.load(std::memory_order_relaxed);
  while (old > 1) {
    if (count_.compare_exchange_weak(old, old - 1, std::memory_order_acq_rel)) return;
  }
  i_sb_->s_inodes.put_last(const_cast<Inode&>(*this));
}

Kstat Inode::i_attr() const {
  Kstat copy;
  uint32_t seq;
  do {
    seq = i_seq_.read_begin();
    racy_copy(&copy, &i_attr_, sizeof copy);
  } while (i_seq_.retry(seq));
  return copy;
}

FileLockContext& Inode::get_lock_context() {
  if (FileLockContext* known = i_flctx()) return *known;
  auto made = std::make_unique<FileLockContext>(*this);
  FileLockContext* none = nullptr;
  if (i_flctx_.compare_exchange_strong(none, made.get(), std::memory_order_acq_rel)) {
    return *made.release();
  }
  return *none;
}

InodeMappings& Inode::get_mappings() {
  if (InodeMappings* known = i_mmap()) return *known;
  auto made = std::make_unique<InodeMappings>(*this, i_mapping->runtime().budget());
  InodeMappings* none = nullptr;
  if (i_mmap_.compare_exchange_strong(none, made.get(), std::memory_order_acq_rel)) {
    return *made.release();
  }
  return *none;
}

uint64_t Inode::i_size() const {
  uint64_t size;
  uint32_t seq;
  do {
    seq = i_seq_.read_begin();
    racy_copy(&size, &i_attr_.size, sizeof size);
  } while (i_seq_.retry(seq));
  return size;
}

void Inode::publish_locked(const Kstat& next, const PosixAcl* acl) {
  i_seq_.write_begin();
  racy_copy(&i_attr_, &next, sizeof next);
  i_acl_.store(acl, std::memory_order_release);
  i_seq_.write_end();
  i_mode_hint.store(mode_hint(next), std::memory_order_release);
  if (next.change > i_change.load(std::memory_order_relaxed)) {
    i_change.store(next.change, std::memory_order_release);
  }
}

bool Inode::learn_attr(const Kstat& stat, const PosixAcl& acl) {
  assert(stat.has_acl == !acl.empty());
  const PosixAcl* old = nullptr;  // freed outside of the lock
  {
    MutexLock lock(i_lock);
    if (stat.change < i_change.load(std::memory_order_relaxed)) return false;
    const PosixAcl* known = i_acl_.load(std::memory_order_relaxed);
    const bool same = known == nullptr ? acl.empty() : *known == acl;
    if (!same) {
      old = known;
      known = acl.empty() ? nullptr : new PosixAcl(acl);
    }
    publish_locked(stat, known);
    if (i_sb_->s_validity.attr_timeout_ns.load(std::memory_order_relaxed) != kNoDeadline) {
      i_learned_ns_.store(boottime_ns(), std::memory_order_release);
    }
  }
  if (old != nullptr) rcu_delete(const_cast<PosixAcl*>(old));
  return true;
}

Kstat Inode::i_attr_and_acl(PosixAcl* acl) const {
  MutexLock lock(i_lock);
  const PosixAcl* known = i_acl_.load(std::memory_order_relaxed);
  *acl = known == nullptr ? PosixAcl() : *known;
  return i_attr_;
}

bool Inode::attr_young() const {
  const int64_t timeout_ns = i_sb_->s_validity.attr_timeout_ns.load(std::memory_order_relaxed);
  if (timeout_ns == kNoDeadline) [[likely]]
    return true;
  return boottime_ns() - i_learned_ns_.load(std::memory_order_acquire) < timeout_ns;
}

bool Inode::attr_covered(LeaseWord::Sample sample, uint32_t type, const Validity& validity) {
  if (type == S_IFDIR) return LeaseWord::covers(sample, kLeaseA | kLeaseD, validity);
  return LeaseWord::covers(sample, kLeaseA, validity) && (sample & (kLeaseR | kLeaseW)) != 0;
}

bool Inode::attr_hit(Kstat* stat) const {
  LeaseWord::Sample sample = i_lease.sample();
  if (!attr_covered(sample, i_type, i_sb_->s_validity)) return false;
  if (i_changing.load(std::memory_order_acquire) != 0 || !attr_young()) return false;
  uint32_t seq;
  do {
    seq = i_seq_.read_begin();
    racy_copy(stat, &i_attr_, sizeof *stat);
  } while (i_seq_.retry(seq));
  LeaseParts held = LeaseWord::parts(sample) & (kLeaseA | kLeaseD | kLeaseR | kLeaseW);
  return i_lease.still(sample, held);
}

bool Inode::perm_hit(Perm* perm) const {
  LeaseWord::Sample sample = i_lease.sample();
  if (!LeaseWord::covers(sample, kLeaseA, i_sb_->s_validity)) return false;
  if (i_changing.load(std::memory_order_acquire) >= kChangingPerm) return false;
  uint32_t seq;
  do {
    seq = i_seq_.read_begin();
    racy_copy(&perm->mode, &i_attr_.mode, sizeof perm->mode);
    racy_copy(&perm->uid, &i_attr_.uid, sizeof perm->uid);
    racy_copy(&perm->gid, &i_attr_.gid, sizeof perm->gid);
    racy_copy(&perm->has_default_acl, &i_attr_.has_default_acl, sizeof perm->has_default_acl);
    perm->acl = i_acl_.load(std::memory_order_acquire);
  } while (i_seq_.retry(seq));
  return i_lease.still(sample, kLeaseA);
}

void Inode::set_link(std::string_view target) {
  if (i_link_.load(std::memory_order_acquire) != nullptr) return;
  const std::string* expected = nullptr;
  auto copy = std::make_unique<std::string>(target);
  if (i_link_.compare_exchange_strong(expected, copy.get(), std::memory_order_acq_rel)) {
    (void)copy.release();
  }
}

RefPtr<DirListing> Inode::listing() const {
  RcuReadGuard guard;
  return RefPtr<DirListing>::try_from(i_listing_.load(std::memory_order_acquire));
}

void Inode::set_listing(RefPtr<DirListing> listing) {
  DirListing* old = nullptr;
  {
    MutexLock lock(i_lock);
    if (i_changing.load(std::memory_order_acquire) != 0 ||
        listing->version.change < i_change.load(std::memory_order_relaxed)) {
      return;
    }
    old = i_listing_.exchange(listing.leak(), std::memory_order_acq_rel);
  }
  if (old != nullptr) old->unref();
}

void Inode::drop_listing() {
  if (i_listing_.load(std::memory_order_acquire) == nullptr &&
      i_changing.load(std::memory_order_acquire) == 0) {
    return;
  }
  DirListing* old;
  {
    MutexLock lock(i_lock);
    old = i_listing_.exchange(nullptr, std::memory_order_acq_rel);
  }
  if (old != nullptr) old->unref();
}

Result<LookupChain> InodeOps::lookup(const CallContext&, Dentry&, std::span<const std::string_view>,
                                     LookupIntent) {
  return Errno(ENOTDIR);
}
Result<Kstat> InodeOps::getattr(const CallContext&, Inode& inode) { return inode.i_attr(); }
Result<void> InodeOps::setattr(const CallContext&, Inode&, const Iattr&, File*) {
  return Errno(EPERM);
}
Result<std::string> InodeOps::readlink(const CallContext&, Inode&) { return Errno(EINVAL); }
Result<Ref<Dentry>> InodeOps::get_parent(const CallContext&, Dentry&) { return Errno(ESTALE); }
Result<void> InodeOps::permission(const CallContext& ctx, Inode& inode, uint32_t mask) {
  MYFS_ASSIGN(const Kstat stat, getattr(ctx, inode));
  return generic_permission(*Acting(*ctx.cred, inode.i_sb()), Perm(stat), mask);
}
Result<CreateResult> InodeOps::create(const CallContext&, Dentry&, std::string_view,
                                      const CreateArgs&) {
  return Errno(EACCES);
}
Result<CreateResult> InodeOps::tmpfile(const CallContext&, Dentry&, const CreateArgs&) {
  return Errno(EOPNOTSUPP);
}
Result<void> InodeOps::link(const CallContext&, Inode&, Dentry&, std::string_view) {
  return Errno(EPERM);
}
Result<void> InodeOps::unlink(const CallContext&, Dentry&, std::string_view) {
  return Errno(EPERM);
}
Result<void> InodeOps::rmdir(const CallContext&, Dentry&, std::string_view) { return Errno(EPERM); }
Result<void> InodeOps::rename(const CallContext&, Dentry&, std::string_view, Dentry&,
                              std::string_view, uint32_t) {
  return Errno(EPERM);
}
Result<std::string> InodeOps::getxattr(const CallContext&, Inode&, std::string_view) {
  return Errno(EOPNOTSUPP);
}
Result<std::vector<std::string>> InodeOps::listxattr(const CallContext&, Inode&) {
  return std::vector<std::string>();
}
Result<void> InodeOps::setxattr(const CallContext&, Inode&, std::string_view, std::string_view,
                                uint32_t) {
  return Errno(EOPNOTSUPP);
}
Result<void> InodeOps::removexattr(const CallContext&, Inode&, std::string_view) {
  return Errno(EOPNOTSUPP);
}

}  // namespace myfs::fs
