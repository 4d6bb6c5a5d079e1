#include "sdk/fs/super_block.h"

#include "sdk/base/limits.h"
#include "sdk/base/log.h"
#include "sdk/base/rcu.h"
#include "sdk/fs/mmap.h"

namespace myfs::fs {

Result<std::string> SuperOps::encode_fh(const CallContext&, Inode&) { return Errno(EOPNOTSUPP); }
Result<Ref<Inode>> SuperOps::fh_to_inode(const CallContext&, std::string_view) {
  return Errno(EOPNOTSUPP);
}

Result<void> SuperOps::reconfigure(const CallContext&, const Reconfigure&) { return ok_result(); }
Result<DirStats> SuperOps::dir_stats(const CallContext&, Inode&, bool) { return Errno(EOPNOTSUPP); }
std::string SuperOps::show_options() { return {}; }

Ref<SuperBlock> SuperBlock::create(std::unique_ptr<SuperOps> op, SuperOptions options) {
  return Ref<SuperBlock>(new SuperBlock(std::move(op), std::move(options)),
                         Ref<SuperBlock>::Adopt{});
}

namespace {
std::atomic<uint32_t> g_next_dev{1};
}  // namespace

SuperBlock::SuperBlock(std::unique_ptr<SuperOps> op, SuperOptions options)
    : s_dev(g_next_dev.fetch_add(1, std::memory_order_relaxed)),
      s_id(options.s_id),
      s_dcache(*this, options.max_dentries),
      s_inodes(*this, options.max_unused_inodes),
      s_op_(std::move(op)),
      s_budget_(options.budget),
      s_idmap_(std::move(options.idmap)),
      s_write_count_(options.read_only) {
  if (s_budget_ != nullptr) s_budget_->register_shrinker(this);
}

SuperBlock::~SuperBlock() { delete s_principal_.load(std::memory_order_relaxed); }

void SuperBlock::set_principal(const Principal& principal) {
  const Principal* next = principal.trusts() ? nullptr : new Principal(principal);
  const Principal* old = s_principal_.exchange(next, std::memory_order_acq_rel);
  if (old != nullptr) rcu_delete(const_cast<Principal*>(old));
}

Ref<Dentry> SuperBlock::set_root(Ref<Inode> inode) {
  assert(!s_root_);
  s_root_ = s_dcache.d_alloc_anon(std::move(inode));
  return s_root_.to_ref();
}

Result<void> SuperBlock::reconfigure(const CallContext& ctx, const Reconfigure& change) {
  const bool was_read_only = is_read_only();
  const bool read_only = change.read_only.value_or(was_read_only);
  if (!read_only && was_read_only) MYFS_TRY(Result<void>(s_op_->may_write()));
  if (read_only && !was_read_only) {
    MYFS_TRY(Result<void>(s_write_count_.make_read_only()));
    // What files that were open have left behind.
    ReadLock lock(s_umount);
    Result<void> synced = is_active() ? s_op_->sync_fs(ctx) : ok_result();
    if (!synced.ok()) {
      s_write_count_.set_read_only(false);
      return synced;
    }
  }
  if (Result<void> changed = s_op_->reconfigure(ctx, change); !changed.ok()) {
    if (!was_read_only) set_read_only(false);
    return changed;
  }
  if (!read_only) set_read_only(false);
  return ok_result();
}

Result<void> SuperBlock::freeze(const CallContext& ctx) {
  MYFS_TRY(Result<void>(s_writers.begin_freeze(ctx)));
  Result<void> synced;
  {
    ReadLock lock(s_umount);
    if (is_active() && !is_read_only()) {
      synced = mmap_sync_frozen(ctx, *this);
      if (synced.ok()) synced = s_op_->sync_fs(ctx);
    }
  }
  s_writers.end_freeze(synced.ok());
  MYFS_TRY(synced);
  // Whoever takes the last mount out counts down before he thaws: either he has seen it frozen, or
  // we see that it has none.
  if (mount_count() != 0) return synced;
  (void)s_writers.thaw();
  return Errno(ESHUTDOWN);
}

size_t SuperBlock::shrink_caches(size_t wanted_bytes) {
  size_t dentries = wanted_bytes / (Dcache::kBytesPerDentry + InodeCache::kBytesPerInode) + 1;
  size_t freed = s_dcache.shrink(dentries);
  size_t evicted = s_inodes.shrink(freed > 0 ? freed : dentries);
  return freed * Dcache::kBytesPerDentry + evicted * InodeCache::kBytesPerInode;
}

size_t SuperBlock::shrink(size_t bytes) { return shrink_caches(bytes); }

void SuperBlock::kill(const CallContext& ctx, bool force) {
  bool expected = true;
  if (!active_.compare_exchange_strong(expected, false, std::memory_order_acq_rel)) return;
  if (s_budget_ != nullptr) s_budget_->unregister_shrinker(this);
  {
    WriteLock lock(s_umount);
    s_op_->umount_begin(ctx, force);
    s_dcache.shrink_all();
    s_root_ = nullptr;
    if (size_t busy = s_inodes.evict_all(); busy != 0) {
      log(LogLevel::kError, "%s: %d inodes are still in use after umount", s_id,
          static_cast<int>(busy));
    }
  }
  // Without the lock: it may wait for the application, who may be syncing all that it has mounted.
  s_op_->put_super();
  rcu_barrier();
}

namespace {

CallContext ending() {
  static const CredRef root_cred = std::make_shared<const Cred>();
  CallContext ctx;
  ctx.cred = root_cred;
  ctx.deadline_ns = deadline_after_ns(kUmountTimeout_ns);
  return ctx;
}

}  // namespace

void SuperBlock::mount_gone(Ref<SuperBlock> sb) {
  if (sb->s_active_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  sb->kill(ending(), false);
  if (sb->on_end_) std::exchange(sb->on_end_, nullptr)();
}

void SuperBlock::last_ref_dropped() {
  kill(ending(), false);
  delete this;
}

}  // namespace myfs::fs
