// Inode: one file, directory, link or device of a super block, and what this client knows of it.
// Kernel counterpart: struct inode, struct inode_operations (include/linux/fs.h).  Differs:
// attributes are one Kstat behind a sequence counter, usable only under i_lease; look-up resolves
// many names in one call; name-space operations take names, not dentries, and the file system
// enters the result into the dcache.
// Thread safety: all, see each field. Freed by rcu.
// Lock rank: i_rwsem kInodeRwsem, i_lock kInode (leaf).
// Owns / is owned by: owned by dentries, files and operations under way; without references it
// stays in the InodeCache's LRU until evicted. The concrete file system derives from it. i_sb
// outlives it.
// Invariants: (1) i_ino, i_generation and the type never change; (2) cached attributes are true iff
// a sample of i_lease covered the parts (attr_parts) and i_changing was 0 before the copy, and
// SuperBlock::s_validity was alive after it; (3) i_change is the newest change counter seen; older
// attributes are ignored.
#pragma once

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "sdk/base/call_context.h"
#include "sdk/base/errno.h"
#include "sdk/base/kstat.h"
#include "sdk/base/posix_acl.h"
#include "sdk/base/ref.h"
#include "sdk/base/result.h"
#include "sdk/base/seqcount.h"
#include "sdk/base/sync.h"
#include "sdk/fs/lease_word.h"

namespace myfs::mm {
class AddressSpace;
}

namespace myfs::fs {

class Dentry;
class DirListing;
class File;
class FileLockContext;
class FileOps;
class InodeMappings;
class InodeOps;
class SuperBlock;

// What decides who may do what to an inode.
struct Perm {
  uint32_t mode = 0, uid = 0, gid = 0;
  bool has_default_acl = false;
  const PosixAcl* acl = nullptr;  // null: mode bits decide
  Perm() = default;
  // Of an inode without an ACL.
  explicit Perm(const Kstat& stat) : mode(stat.mode), uid(stat.uid), gid(stat.gid) {}
};

class Inode : public RefCounted<Inode> {
 public:
  virtual ~Inode();

  // --- constant ---
  SuperBlock& i_sb() const { return *i_sb_; }
  const uint64_t i_ino;
  const uint32_t i_generation;
  const uint32_t i_type;  // S_IFMT bits
  bool is_dir() const { return i_type == S_IFDIR; }
  bool is_regular() const { return i_type == S_IFREG; }
  bool is_symlink() const { return i_type == S_IFLNK; }
  InodeOps& i_op() const { return *i_op_; }
  FileOps& i_fop() const { return *i_fop_; }
  // Of a regular file; null otherwise. Owned by the concrete inode, set in its constructor.
  mm::AddressSpace* i_mapping = nullptr;

  // --- own synchronisation: the first cache line of a warm walk ---
  LeaseWord i_lease;
  // Changes by this client under way at the server: while not 0, the cache does not answer for what
  // they may change. Raised by the VFS (ChangeInFlight in namei_ops.h) around every changing call.
  std::atomic<uint64_t> i_changing{0};  // the kinds of each, kChanging and others
  // The cached mode, for the check that everybody may search; without an x if an ACL decides.
  std::atomic<uint32_t> i_mode_hint{0};
  std::atomic<uint64_t> i_complete{0};  // see Dcache: sequence << 33 | version << 1 | set
  std::atomic<uint64_t> i_change{0};    // newest change counter seen
  std::atomic<uint32_t> i_flags{0};
  // Whether stat and the permission to use the file itself may be answered from the cache, by the
  // age of what it knows [attribute_timeout of fs/nfs]; asked before the copy. Names, and who may
  // search a directory, are the lease's affair alone.
  bool attr_young() const;
  // Of all changes; besides, of those of content, and of mode, owner or ACL.
  static constexpr uint64_t kChanging = 1, kChangingData = 1 << 16, kChangingPerm = 1ULL << 32;
  // Pages may be old and others told so already: by a change under way, whose caller may have
  // given it up.
  bool content_in_doubt() const {
    constexpr uint64_t kOfContent = kChangingPerm - kChangingData;
    return (i_changing.load(std::memory_order_acquire) & kOfContent) != 0;
  }
  enum Flags : uint32_t {
    kDead = 2,           // a directory that this client removed: nothing can be created in it
    kLostLocks = 4,      // FileLockContext has locks that were lost; set and cleared by it
    kMapped = 8,         // InodeMappings has areas; set and cleared by it
    kMappedStores = 16,  // one of them may store into the file
    kLostWrites = 32,    // an open file may not have been told of a loss; the file system's
  };

  // --- locks ---
  // Directory: exclusive for changes of names, shared for look-ups that ask. File: exclusive for
  // write, truncate and setattr, shared for reads that miss.
  mutable SharedMutex i_rwsem{LockRank::kInodeRwsem};
  mutable Mutex i_lock{LockRank::kInode};

  // --- attributes ---
  // The copy is whole; whether it is true is invariant (2).
  Kstat i_attr() const;
  // Which parts must be held for all of stat: directories A|D; others A and one of R and W.
  static bool attr_covered(LeaseWord::Sample sample, uint32_t type, const Validity& validity);
  // Under an rcu read section or a reference: copies true attributes, but for Validity::alive(),
  // which the caller asks last.
  bool attr_hit(Kstat* stat) const;
  // What permission hangs on, under A alone. Same contract; inside of an rcu read section, in which
  // perm->acl is valid.
  bool perm_hit(Perm* perm) const;
  // Attributes and ACL as they are known together, true or not.
  Kstat i_attr_and_acl(PosixAcl* acl) const;
  // Takes over attributes of an answer, with the ACL if stat.has_acl. False, and nothing changed,
  // if newer ones are known.
  bool learn_attr(const Kstat& stat, const PosixAcl& acl = {});
  // Changes attributes in place (a W holder's size and times). fn(Kstat&).
  template <typename Fn>
  void update_attr(Fn&& fn) {
    MutexLock lock(i_lock);
    Kstat next = i_attr_;
    fn(next);
    publish_locked(next, i_acl_.load(std::memory_order_relaxed));
  }
  uint64_t i_size() const;

  // Target of a symbolic link; it never changes. Null: not known. Valid while the inode is
  // referenced, or in the read section.
  const std::string* i_link() const { return i_link_.load(std::memory_order_acquire); }
  void set_link(std::string_view target);

  // The directory's entries in the order of their cookies, if known; see readdir.h.
  RefPtr<DirListing> listing() const;
  // Only while nothing contradicts it: i_changing is 0 and no newer change is known. Null: forget
  // it.
  void set_listing(RefPtr<DirListing> listing);
  void drop_listing();

  // Null: nobody has locked anything yet.
  FileLockContext* i_flctx() const { return i_flctx_.load(std::memory_order_acquire); }
  FileLockContext& get_lock_context();  // [locks_get_lock_context]

  // Null: nobody has mapped it yet. get_mappings: of a regular file.
  InodeMappings* i_mmap() const { return i_mmap_.load(std::memory_order_acquire); }
  InodeMappings& get_mappings();

  // The last reference goes under the lock of the InodeCache, which keeps the inode or evicts it:
  // no leaf lock and no rcu read section around it.
  void unref() const;

 protected:
  // `stat` gives number, generation, type and first attributes. The tables outlive the inode.
  Inode(SuperBlock& sb, const Kstat& stat, InodeOps& op, FileOps& fop);

 private:
  friend class InodeCache;
  void publish_locked(const Kstat& next, const PosixAcl* acl) ABSL_EXCLUSIVE_LOCKS_REQUIRED(i_lock);

  SuperBlock* const i_sb_;
  InodeOps* const i_op_;
  FileOps* const i_fop_;
  std::atomic<int64_t> i_learned_ns_{0};  // only where a super block bounds the age
  SeqCount i_seq_;                        // of i_attr_
  Kstat i_attr_;                          // written under i_lock
  // [i_acl] Freed by rcu; null: none. Changes under i_lock and i_seq_.
  std::atomic<const PosixAcl*> i_acl_{nullptr};
  std::atomic<const std::string*> i_link_{nullptr};
  std::atomic<DirListing*> i_listing_{nullptr};
  std::atomic<FileLockContext*> i_flctx_{nullptr};
  std::atomic<InodeMappings*> i_mmap_{nullptr};
  // InodeCache's, under its lock.
  Inode* i_lru_next_ = nullptr;
  Inode* i_lru_prev_ = nullptr;
  bool i_hashed_ = false;
};

// --- what a file system implements ---
// One step of a look-up. Exactly one of: dentry positive; error (dentry null or negative).
struct LookupStep {
  RefPtr<Dentry> dentry;
  Errno error;
  bool has_stat = false;
  Kstat stat;  // fresh, good for the operation that asked whatever leases came along
};
using LookupChain = absl::InlinedVector<LookupStep, 4>;

// What the walk is for: lets the file system ask for the leases that the next call will need.
enum class LookupIntent : uint8_t { kWalk, kStat, kOpenPath, kOpenRead, kOpenWrite };

struct CreateArgs {
  uint32_t mode = 0;        // with S_IFMT
  uint32_t umask = 0;       // to be taken off unless the directory has a default ACL
  uint64_t rdev = 0;        // of a device
  std::string_view target;  // of a symbolic link
  bool exclusive =
      true;  // an existing name is EEXIST; else, for regular files, it is answered as found
  // Set for open(O_CREAT): on success with a regular file the file system also opens it, as
  // FileOps::open would (f_flags with O_TRUNC included), and leaves `opened` true in the answer.
  File* file = nullptr;
};
struct CreateResult {
  Ref<Dentry> dentry;  // what the name is now: new, or found (may then be of any type)
  bool created = false;
  bool opened = false;
  bool has_stat = false;
  Kstat stat;
};

// Which attributes to set, and to what [struct iattr]. The bits are those of the wire.
struct Iattr {
  enum Valid : uint32_t {
    kMode = 1,
    kUid = 2,
    kGid = 4,
    kSize = 8,
    kAtime = 16,
    kMtime = 32,
    kAtimeNow = 64,
    kMtimeNow = 128,
    kKillPriv = 256,  // setuid and setgid bits go, as the kernel's ATTR_KILL_PRIV
  };
  uint32_t ia_valid = 0;
  uint32_t ia_mode = 0;  // permission bits only
  uint32_t ia_uid = 0;
  uint32_t ia_gid = 0;
  uint64_t ia_size = 0;
  Time ia_atime, ia_mtime;
};

// Every call may block in an RPC; none is made under a leaf lock or in an rcu read section. The
// file system checks permissions itself: the VFS's checks are for early answers only. Default: the
// kernel's answer for a missing operation.
class InodeOps {
 public:
  virtual ~InodeOps() = default;

  // Resolves names[0] in `dir`, names[1] in that, and so on; none is "." or "..". Stops after the
  // first error, symbolic link or non-directory, or when it likes (>= 1 step). Caches what it may
  // (d_learn). A symbolic link's target is set (set_link). Called with dir's i_rwsem shared. An
  // error of the call itself fails the walk.
  virtual Result<LookupChain> lookup(const CallContext& ctx, Dentry& dir,
                                     std::span<const std::string_view> names, LookupIntent intent);
  // Fresh attributes from whoever has them; acquires leases on the way and learns the answer.
  virtual Result<Kstat> getattr(const CallContext& ctx, Inode& inode);
  // Under the inode's i_rwsem, exclusive. `file`: through which descriptor, or null.
  virtual Result<void> setattr(const CallContext& ctx, Inode& inode, const Iattr& attr, File* file);
  virtual Result<std::string> readlink(const CallContext& ctx, Inode& inode);
  // The dentry of directory `dir` is not known to be true any more: asks where that inode hangs
  // now. The answer is a dentry of the same inode with the right d_parent and d_name (d_learn makes
  // it). ENOENT: it was removed.
  virtual Result<Ref<Dentry>> get_parent(const CallContext& ctx, Dentry& dir);
  // Asked if the cache cannot tell. mask: MAY_* of permission.h. Default: by the mode bits of
  // getattr().
  virtual Result<void> permission(const CallContext& ctx, Inode& inode, uint32_t mask);

  // Changes of names. dir's i_rwsem is held exclusive (both of them for rename, and s_rename_mutex
  // if they differ), and i_changing of the directories and of the inodes that the dcache knows
  // under the names is raised. On success the file system has learned the attributes of the answer
  // and entered the names: d_add, d_move, d_exchange.
  virtual Result<CreateResult> create(const CallContext& ctx, Dentry& dir, std::string_view name,
                                      const CreateArgs& args);
  // A regular file without a name, opened as args.file says [O_TMPFILE]; args.exclusive: it never
  // gets one. dir's i_rwsem is not held. Its dentry hangs nowhere.
  virtual Result<CreateResult> tmpfile(const CallContext& ctx, Dentry& dir, const CreateArgs& args);
  virtual Result<void> link(const CallContext& ctx, Inode& inode, Dentry& dir,
                            std::string_view name);
  virtual Result<void> unlink(const CallContext& ctx, Dentry& dir, std::string_view name);
  virtual Result<void> rmdir(const CallContext& ctx, Dentry& dir, std::string_view name);
  // flags: RENAME_NOREPLACE 1, RENAME_EXCHANGE 2.
  virtual Result<void> rename(const CallContext& ctx, Dentry& old_dir, std::string_view old_name,
                              Dentry& new_dir, std::string_view new_name, uint32_t flags);

  virtual Result<std::string> getxattr(const CallContext& ctx, Inode& inode, std::string_view name);
  virtual Result<std::vector<std::string>> listxattr(const CallContext& ctx, Inode& inode);
  // flags: XATTR_CREATE 1, XATTR_REPLACE 2.
  virtual Result<void> setxattr(const CallContext& ctx, Inode& inode, std::string_view name,
                                std::string_view value, uint32_t flags);
  virtual Result<void> removexattr(const CallContext& ctx, Inode& inode, std::string_view name);
};

}  // namespace myfs::fs
