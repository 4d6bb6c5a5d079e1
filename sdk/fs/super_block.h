// SuperBlock: one mounted file system: its session's validity, its names, its inodes.
// Kernel counterpart: struct super_block, struct super_operations.  Differs: dcache and inode table
// are its own; no global state at all, so several clients live in one process.
// Thread safety: all.
// Lock rank: s_umount kSuperUmount, s_rename_mutex kRename.
// Owns / is owned by: owned by its Mounts; owns SuperOps, the dcache, the inode table, the root
// dentry. Whoever keeps inodes or dentries keeps a Mount; who merely looks at counters may keep the
// SuperBlock, which does not keep it from ending.
// Invariants: (1) after kill() no dentry is hashed and no inode cached, and SuperOps::put_super has
// returned; (2) it ends with its last Mount, in a name space or not.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/base/call_context.h"
#include "sdk/base/id_map.h"
#include "sdk/base/metrics.h"
#include "sdk/base/principal.h"
#include "sdk/base/ref.h"
#include "sdk/base/result.h"
#include "sdk/base/sync.h"
#include "sdk/fs/cache_listener.h"
#include "sdk/fs/dcache.h"
#include "sdk/fs/freeze.h"
#include "sdk/fs/inode_cache.h"
#include "sdk/fs/lease_word.h"
#include "sdk/fs/write_count.h"
#include "sdk/mm/reclaim.h"

namespace myfs::fs {

// [struct kstatfs]
struct Kstatfs {
  uint64_t f_bsize = 4096;
  uint64_t f_blocks = 0, f_bfree = 0, f_bavail = 0;  // of f_bsize
  uint64_t f_files = 0, f_ffree = 0;
  uint64_t f_fsid = 0;
  uint32_t f_namelen = 255;
  uint32_t f_flags = 0;  // ST_RDONLY
};

// What is in a directory, itself not counted.
struct DirStats {
  uint64_t entries = 0;
  uint64_t subdirs = 0;  // of the entries
  uint64_t bytes = 0;    // sizes of regular files
};

// The content of a small file, as SuperOps::read_many answers.
struct SmallFile {
  bool whole = false;  // false: not read, for whatever reason; ask for it alone
  std::string data;
};
inline constexpr size_t kReadManyMax = 256;  // files in one call

// What a live mount may be given anew; what is not set stays [struct fs_context, remount].
struct Reconfigure {
  std::optional<bool> read_only;
  std::optional<bool> sync_writes;
  std::optional<bool> soft;
  std::optional<int64_t> timeout_ns;
  std::optional<int64_t> attr_timeout_ns;
};

class SuperOps {
 public:
  virtual ~SuperOps() = default;
  virtual Result<Kstatfs> statfs(const CallContext& ctx, Dentry& dentry) = 0;
  // Everything written and changed so far becomes durable.
  virtual Result<void> sync_fs(const CallContext& ctx) = 0;
  // The contents of regular files that are not cached and of at most `max_bytes` each, many in one
  // round trip; the attributes that come along are learned. For ctx's credentials.
  virtual Result<std::vector<SmallFile>> read_many(const CallContext& /*ctx*/,
                                                   std::span<Inode* const> /*inodes*/,
                                                   uint32_t /*max_bytes*/) {
    return Errno(EOPNOTSUPP);
  }
  // The inode left the table and nobody can find it: drop its pages, give back its leases (batched:
  // it must not wait for an answer). The VFS frees it afterwards.
  virtual void evict_inode(Inode& inode) = 0;
  // Of a directory that the caller may read; `recursive`: with all below.
  virtual Result<DirStats> dir_stats(const CallContext& ctx, Inode& dir, bool recursive);
  // Of an inode of this file system it is not known what the server has done to it: nothing cached
  // of it is used any more. May wait.
  virtual void forget(Inode& inode) = 0;
  // [struct export_operations] A name of the inode that outlives sessions and servers' restarts,
  // and the inode of one: ESTALE if it was removed, EACCES for what this file system has not made,
  // EINVAL for what is none. Default: EOPNOTSUPP.
  virtual Result<std::string> encode_fh(const CallContext& ctx, Inode& inode);
  virtual Result<Ref<Inode>> fh_to_inode(const CallContext& ctx, std::string_view handle);
  // [reconfigure, show_options] All but read_only, which is the VFS's; default: it has none.
  virtual Result<void> reconfigure(const CallContext& ctx, const Reconfigure& change);
  // "name=value" joined by commas, without ro and rw.
  virtual std::string show_options();
  // [remount_fs] Errno{} if it may be written to, as far as the file system knows.
  virtual Errno may_write() { return Errno(); }
  // umount has begun: what cannot be written until ctx.deadline_ns is given up; afterwards nothing
  // is in flight. `force` is for messages.
  virtual void umount_begin(const CallContext& ctx, bool force) = 0;
  // Forced unmount with files open: calls that wait end, they and later ones with ESHUTDOWN.
  virtual void shutdown(const CallContext& ctx) { umount_begin(ctx, true); }
  // The last call: the session ends here.
  virtual void put_super() = 0;
};

struct SuperCounters {
  Counter walk_hits;  // walks that asked nobody
  Counter lookups;    // InodeOps::lookup
  Counter attr_hits, attr_misses;
  Counter read_hits, read_misses;  // of calls
  Counter readdir_hits, readdir_pages;
};

struct SuperOptions {
  bool read_only = false;
  size_t max_dentries = 1'000'000;
  size_t max_unused_inodes = 250'000;
  mm::Budget* budget = nullptr;  // charged for dentries and inodes, which it may ask back; or null
  std::string s_id;              // for messages: the URL
  std::shared_ptr<const IdMap> idmap;  // of whom callers and owners are at the server; or null
};

class SuperBlock final : public RefCounted<SuperBlock>, private mm::Shrinker {
 public:
  static Ref<SuperBlock> create(std::unique_ptr<SuperOps> op, SuperOptions options);

  SuperOps& s_op() const { return *s_op_; }
  const uint32_t s_dev;  // st_dev: unique among the super blocks of this process so far
  const std::string s_id;
  mm::Budget* s_budget() const { return s_budget_; }  // may be null
  // Whom the server takes callers for. Null: for who they are. In an rcu read section.
  const Principal* principal_rcu() const { return s_principal_.load(std::memory_order_acquire); }
  void set_principal(const Principal& principal);  // by one thread at a time
  // [mnt_idmap] Caches know the server's ids. Null: they are those of this host.
  const IdMap* s_idmap() const { return s_idmap_.get(); }
  // Attributes as a caller sees them.
  void show(Kstat* stat) const {
    stat->dev = s_dev;
    if (s_idmap_ != nullptr) s_idmap_->kstat_out(stat);
  }
  // The caller as the server knows him.
  CredRef server_cred(const CredRef& cred) const {
    return s_idmap_ == nullptr ? cred : std::make_shared<const Cred>(s_idmap_->cred_in(*cred));
  }
  bool is_read_only() const { return s_write_count_.is_read_only(); }
  // Whoever has something open for writing.
  void set_read_only(bool value) { s_write_count_.set_read_only(value); }
  WriteCount& write_count() { return s_write_count_; }

  // Once, before the first mount.
  Ref<Dentry> set_root(Ref<Inode> inode);
  Dentry& s_root() const { return *s_root_; }

  Validity s_validity;
  Dcache s_dcache;
  InodeCache s_inodes;
  SuperCounters s_counters;
  CacheListeners s_listeners;
  SbWriters s_writers;
  SharedMutex s_umount{LockRank::kSuperUmount};
  Mutex s_rename_mutex{LockRank::kRename};
  std::atomic<size_t> s_mapped_stores{0};  // inodes with kMappedStores
  uint64_t next_open_id() { return next_open_id_.fetch_add(1, std::memory_order_relaxed) + 1; }

  // [reconfigure_super] EBUSY: to be read-only while something is open for writing or being
  // changed; EROFS: the server lets nobody write. Then nothing is changed.
  Result<void> reconfigure(const CallContext& ctx, const Reconfigure& change);
  // [freeze_super] Waits for the changes under way, makes everything durable, what was stored into
  // mappings included; then changes wait
  // until the thaw, or the end of the last mount. EBUSY: it is frozen, or being frozen; what
  // sync_fs says, ETIMEDOUT, EINTR: it is not; ESHUTDOWN: it has lost its last mount meanwhile.
  Result<void> freeze(const CallContext& ctx);
  // [thaw_super] EINVAL: it is not frozen, or a freeze of it has not returned yet.
  Result<void> thaw() { return s_writers.thaw(); }

  // Lets go of unused dentries and inodes; for the memory budget. Returns an estimate of the bytes
  // freed.
  size_t shrink_caches(size_t wanted_bytes);
  // Ends it. `ctx.deadline_ns` bounds it. Idempotent.
  void kill(const CallContext& ctx, bool force);
  // [s_active] A Mount was made; it is gone, and with the last one the super block ends, within
  // kUmountTimeout_ns: whoever drops a Mount may wait.
  void mount_made() { s_active_.fetch_add(1, std::memory_order_relaxed); }
  static void mount_gone(Ref<SuperBlock> sb);
  // Called once, by the thread in which the last Mount has gone, when everything has ended. Before
  // the first Mount is made.
  void on_end(std::function<void()> ended) { on_end_ = std::move(ended); }
  // What its operations need until they are destroyed. Before the first Mount is made.
  void hold(std::shared_ptr<void> what) { held_ = std::move(what); }
  // Of mounts in name spaces.
  void mount_entered() { s_mounts_.fetch_add(1, std::memory_order_acq_rel); }
  // The last one thaws it: nobody could do so later.
  void mount_taken_out() {
    if (s_mounts_.fetch_sub(1, std::memory_order_acq_rel) == 1) (void)s_writers.thaw();
  }
  size_t mount_count() const { return s_mounts_.load(std::memory_order_acquire); }
  bool is_active() const { return active_.load(std::memory_order_acquire); }

  void last_ref_dropped();

 private:
  SuperBlock(std::unique_ptr<SuperOps> op, SuperOptions options);
  ~SuperBlock() override;

  size_t shrink(size_t bytes) override;

  std::shared_ptr<void> held_;  // declared first: destroyed last
  const std::unique_ptr<SuperOps> s_op_;
  mm::Budget* const s_budget_;
  const std::shared_ptr<const IdMap> s_idmap_;
  RefPtr<Dentry> s_root_;
  WriteCount s_write_count_;
  std::atomic<const Principal*> s_principal_{nullptr};
  std::atomic<size_t> s_mounts_{0};
  std::atomic<size_t> s_active_{0};
  std::function<void()> on_end_;
  std::atomic<bool> active_{true};
  std::atomic<uint64_t> next_open_id_{0};
};

}  // namespace myfs::fs
