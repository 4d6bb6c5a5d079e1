// NetInode: an inode of a MyFS server: its handle, its lease record, its cached pages.
// Kernel counterpart: struct ceph_inode_info, struct nfs_inode.
// Differs: leases decide what may be used; attributes and names live in the VFS's Inode and dcache.
// Thread safety: all, see each field.
// Lock rank: LeaseRecord::mu (kLease), then i_lock. Pages: kInvalidate and inwards.
// Owns / is owned by: as fs::Inode. While its pages may hold what the server lacks it has a
// reference to itself (pin), so that it is not evicted.
// Invariants: (1) R and W enter the word only while every page in the tree was read or written
// under the present session and i_size is the server's (or, under W, ours); (2) a handle is used
// only in the session generation from which it came.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>

#include "sdk/fs/inode.h"
#include "sdk/mm/address_space.h"
#include "sdk/netfs/lease.h"
#include "sdk/rpc/types.h"

namespace myfs::netfs {

class Super;

class NetInode final : public fs::Inode {
 public:
  NetInode(Super& super, const Kstat& stat);
  ~NetInode() override;

  Super& super() const { return super_; }
  LeaseRecord lease;
  // Null unless it is a regular file.
  mm::AddressSpace* mapping() const { return mapping_.get(); }

  // --- identity at the server
  // False: none of the present session; Super::handle_of() finds one.
  bool handle(rpc::Handle* handle) const;
  // The newest one there was, of whatever session; ino 0: none.
  rpc::Handle last_handle() const;
  void set_handle(const rpc::Handle& handle, uint16_t generation);
  // Where the inode was last seen: for finding it again where its handle does not help, and for
  // messages.
  void set_place(const NetInode& dir, std::string_view name);
  struct Place {
    uint64_t dir_ino = 0;  // 0: not known
    uint32_t dir_generation = 0;
    std::string name;
  };
  Place place() const;

  // --- answers
  // Takes in what an answer says about this inode: handle, attributes, grant. Returns attributes
  // that are good for the call: the answer's, or newer ones; under W with our own size and times.
  // LEAF locks only: also for completions on the loop.
  // `acl`: the ACL that goes with them.
  Kstat learn(const rpc::Node& node, const Ticket& ticket, PosixAcl* acl = nullptr);
  // The result of an own change of the size at the server, with invalidate_lock not held: the cache
  // follows, and the times of the change are the inode's. i_rwsem is held exclusive.
  void learn_size(const Kstat& now);

  // A directory that the server does not have any more.
  void mark_removed();
  // Whether the caller of getattr should insist on R: the last answer brought no R because another
  // client has W, and nothing has changed since, so it does not write any more.
  bool note_stat(const Kstat& stat);

  // --- data leases
  // Whether `parts` may be used now. Acquires them (once) from the server if not.
  Result<bool> acquire(const CallContext& ctx, LeaseParts parts, const rpc::Opener& opener);
  // A grant of R or W whose pages are those of a lost session: drops these, then uses it.
  void settle_pages();
  // Between them pages may be dirtied. begin: false without W.
  bool begin_write();
  void end_write();
  // After a copy into pages under begin_write.
  void stamp_write();
  // Who write-back acts for: the newest opener that wrote.
  void set_writer(const rpc::Opener& opener);
  rpc::Opener writer() const;

  // --- recalls and losses; on a worker
  void honour_recall();
  // Drops all pages; if the server lacked some of them, their loss is reported: to the mount's
  // LostWritesDesk, and EIO once per open file.
  void lose_pages(std::string_view why);
  // Neighbouring pages of which the server will not have the bytes [offset, offset + size_bytes).
  // LEAF locks only; before the pages' write is ended. Super::put_later() after it.
  void note_lost(std::span<mm::Page* const> pages, uint64_t offset, size_t size_bytes, Errno error,
                 std::string_view why);
  // Nobody who might be told has it open any more.
  void forget_told_losses();
  // Reports them when nothing else of the file is being written that may fail as well.
  void settle_losses();
  // What was noted and has not been told.
  void report_losses();
  // Whether `error` says that what is being written is nobody's any more: no loss.
  bool is_gone(Errno error) const {
    return error == Errno(ESTALE) && lease.nameless.load(std::memory_order_acquire);
  }
  // Of what is lost, and nobody knows which bytes.
  void log_loss(std::string_view why, std::string_view ranges) const;
  // Drops the pin if nothing is dirty any more. Not under leaf locks.
  void maybe_unpin();
  // Lets others read the file without asking us, if nobody here has it open for writing: writes
  // back, then returns W and keeps R.
  // Unless somebody has it open for writing, but for `from_writers`.
  void give_back_write(bool from_writers = false);
  // Returns what was given back to the server.
  void return_parts();
  // All leases go back: what is cached may be wrong.
  void forget();
  bool has_dirty_pages() const { return mapping_ != nullptr && !mapping_->is_clean(); }

  // Boot verifier that unstable pages were written under; 0: none.
  std::atomic<uint64_t> unstable_verifier{0};
  // COMMITs for pages so far.
  std::atomic<uint32_t> commits_sent{0};
  // Super::era() in which a relaxed server answered a write past the cache that no commit has
  // followed; 0: none.
  std::atomic<uint32_t> uncommitted_in{0};

 private:
  Kstat merge_locked(const rpc::Node& node) ABSL_EXCLUSIVE_LOCKS_REQUIRED(lease.mu);
  bool adopt_size_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(lease.mu);
  // `had_data`: R was covered before the attributes of the same answer were taken in.
  void take_in_locked(const rpc::Grant& grant, uint16_t generation, bool had_data)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lease.mu);
  void flush_for_recall();
  // Whether the server lacked some.
  bool drop_pages_locked(std::string_view why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mapping_->invalidate_lock);

  struct Losses;  // noted
  Super& super_;
  std::unique_ptr<mm::AddressSpace> mapping_;
  rpc::Handle handle_ ABSL_GUARDED_BY(i_lock);
  uint16_t handle_generation_ ABSL_GUARDED_BY(i_lock) = 0;
  Place place_ ABSL_GUARDED_BY(i_lock);
  rpc::Opener writer_ ABSL_GUARDED_BY(i_lock);
  std::unique_ptr<Losses> losses_ ABSL_GUARDED_BY(i_lock);
  Time last_stat_mtime_ ABSL_GUARDED_BY(i_lock);
  uint64_t last_stat_size_ ABSL_GUARDED_BY(i_lock) = UINT64_MAX;
};

inline NetInode& net_inode(fs::Inode& inode) { return static_cast<NetInode&>(inode); }

}  // namespace myfs::netfs
