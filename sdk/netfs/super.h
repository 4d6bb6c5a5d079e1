// Super: a mount of a MyFS server: session, leases, recalls, the operations of its super block.
// Kernel counterpart: fs/ceph/super.c, mds_client.c; fs/nfs/super.c, nfs4state.c.
// Differs: one server, one session at a time; a lost session drops all caches in O(1) by a
// generation. Thread safety: all; CallbackSink's methods on the I/O loop with LEAF locks only.
// Lock rank: kLease (LeaseTable), kSession (RecallWorker).
// Owns / is owned by: owned by its SuperBlock (as SuperOps); owns client, lease table, worker and
// the operation tables. Inodes refer to it and die before it.
// Invariants: (1) a recall of A or D is acknowledged from the loop; R and W by a worker; (2) no
// reference to an inode is dropped on the loop; (3) Validity::generation rises before anything of
// a new session is accepted.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "sdk/base/callback_thread.h"
#include "sdk/fs/super_block.h"
#include "sdk/netfs/addr.h"
#include "sdk/netfs/inode.h"
#include "sdk/netfs/lease.h"
#include "sdk/netfs/lock.h"
#include "sdk/netfs/lost_writes.h"
#include "sdk/netfs/ops.h"
#include "sdk/netfs/recall.h"
#include "sdk/rpc/client.h"

namespace myfs::mm {
class Runtime;
}
namespace myfs::uv_io {
class Loop;
}

namespace myfs::netfs {

struct MountOptions {
  rpc::ClientOptions client;
  std::string s_id;  // the URL, for messages
  bool read_only = false;
  bool sync_writes = false;  // write_policy=sync: write() returns when the server has the bytes
  int64_t attr_timeout_ns = kNoDeadline;  // see fs::Validity
  size_t rsize_bytes = kDefaultIo_bytes;
  size_t wsize_bytes = kDefaultIo_bytes;
  std::shared_ptr<const IdMap> idmap;
  std::shared_ptr<const RescueDir> salvage;  // where lost writes go; or null
  mm::Runtime* runtime = nullptr;            // null: the process's
};

// Counts what tests and statistics want to know of coherence.
struct NetCounters {
  Counter changes_in_doubt;  // given up by their callers
  Counter recalls, recalls_of_data, glimpses, lease_acquires, uncached_reads, uncached_writes,
      local_opens, server_opens, sessions_lost, lost_bytes, sessions_reclaimed, leases_kept,
      leases_dropped;  // of leases: inodes at reclaim; dropped in part or whole
};

class Super final : public fs::SuperOps, public rpc::CallbackSink {
 public:
  // Connects, logs in and makes the super block with its root. The loop outlives it.
  static Result<Ref<fs::SuperBlock>> mount(uv_io::Loop& loop, MountOptions options,
                                           const CallContext& ctx);
  ~Super() override;

  fs::SuperBlock& sb() const { return *sb_; }
  fs::Validity& validity() const;
  rpc::Client& client() const { return *client_; }
  LeaseTable& leases() { return *leases_; }
  RecallWorker& worker() { return worker_; }
  NetLocks& locks() { return locks_; }
  mm::Runtime& runtime() const { return runtime_; }
  NetCounters& counters() { return counters_; }
  LostWritesDesk& lost_writes() { return *lost_writes_; }
  // Where the application is told of leases that it holds, and of what has become invalid.
  CallbackThread& app_callbacks() { return app_callbacks_; }
  // A recall that had to wait for the application.
  void recall_again(const rpc::RecallItem& item, const SessionMark& session) {
    recall_one(item, session);
  }
  // As mounted; what can change since is asked for below.
  const MountOptions& options() const { return options_; }
  bool sync_writes() const { return sync_writes_.load(std::memory_order_relaxed); }
  NetInodeOps& inode_ops() { return inode_ops_; }
  NetFileOps& file_ops() { return file_ops_; }
  NetAddressSpaceOps& address_space_ops() { return address_space_ops_; }
  // No new dirty data after it; boottime_ns scale.
  int64_t dirty_deadline_ns() const { return dirty_deadline_ns_.load(std::memory_order_acquire); }
  // The server's clock: times of files that we stamp.
  Time server_now() const;
  // The server answers before what it has done is durable: commit and sync alone make it so.
  bool relaxed() const { return relaxed_.load(std::memory_order_acquire); }
  // Of which server's memory: changes with the session, and when its server is begun anew. Not 0.
  uint32_t era() const {
    const uint32_t generation = validity().generation.load(std::memory_order_acquire);
    return generation << 16 | (restarts_.load(std::memory_order_acquire) & 0xffff);
  }
  // For work that no caller waits for: root's credentials, no deadline.
  const CallContext& background_ctx() const { return background_ctx_; }

  // The inode of an answer, made if it is new; the answer is taken in. `stat`: see NetInode::learn.
  // EPROTO if the answer carries no attributes.
  Result<Ref<NetInode>> learn(const rpc::Node& node, const Ticket& ticket, Kstat* stat);
  // What a change has made of an inode: `node`, or if the answer was a replay, which brings no
  // attributes, what the server says now. If it cannot be asked, the inode is forgotten.
  Result<rpc::Node> node_after(const CallContext& ctx, NetInode& inode, const rpc::Handle& handle,
                               rpc::Node node);
  // Takes that in.
  void learn_change(const CallContext& ctx, NetInode& inode, const rpc::Handle& handle,
                    const rpc::Node& node, const Ticket& ticket);
  // The same only if the inode is cached; for victims of unlink.
  RefPtr<NetInode> learn_cached(const rpc::Node& node, const Ticket& ticket);

  // A handle of the present session; if the session is new, by the handle of an earlier one.
  // ESTALE: the inode is not there any more.
  Result<rpc::Handle> handle_of(const CallContext& ctx, NetInode& inode);
  // Runs fn(handle, ticket) -> Result<T>, which makes one call and takes in its reply; again with a
  // new handle if the session ended before the call was executed.
  template <typename Fn>
  auto call(const CallContext& ctx, NetInode& inode, Fn fn)
      -> decltype(fn(rpc::Handle(), Ticket())) {
    for (int refused = 0;;) {
      Result<rpc::Handle> handle = handle_of(ctx, inode);
      if (!handle.ok()) return handle.error();
      CallScope scope(*leases_);
      auto reply = fn(*handle, scope.ticket());
      if (reply.ok() || !was_void(reply.error(), scope.ticket())) return reply;
      // However often the server restarts, a caller may wait for it; only the caller knows how
      // long.
      const bool same_session =
          scope.ticket().generation == validity().generation.load(std::memory_order_acquire);
      if (same_session && ++refused == kHandleAttempts) return Errno(EIO);
    }
  }

  // Drops a reference, and the inode's pin if nothing is dirty any more, on a worker a little
  // later: for the loop, which must not destroy. Losses that were noted are told there, too.
  void put_later(RefPtr<fs::Inode> inode);
  // As call(), for calls whose only inode is this directory: if it is gone, it is known as removed
  // from then on, and the answer is ENOENT.
  template <typename Fn>
  auto call_dir(const CallContext& ctx, NetInode& dir, Fn fn)
      -> decltype(fn(rpc::Handle(), Ticket())) {
    auto reply = call(ctx, dir, std::move(fn));
    if (reply.ok() || reply.error() != Errno(ESTALE)) return reply;
    dir.mark_removed();
    return Errno(ENOENT);
  }

  // Gives back what was collected, at once or soon.
  void returns_pending(bool urgent);
  void send_returns();
  std::string path_of(const NetInode& inode) const;

  // --- SuperOps
  Result<fs::Kstatfs> statfs(const CallContext& ctx, fs::Dentry& dentry) override;
  Result<void> sync_fs(const CallContext& ctx) override;
  Result<std::vector<fs::SmallFile>> read_many(const CallContext& ctx,
                                               std::span<fs::Inode* const> inodes,
                                               uint32_t max_bytes) override;
  Result<fs::DirStats> dir_stats(const CallContext& ctx, fs::Inode& dir, bool recursive) override;
  void evict_inode(fs::Inode& inode) override;
  void forget(fs::Inode& inode) override;
  Result<std::string> encode_fh(const CallContext& ctx, fs::Inode& inode) override;
  Result<Ref<fs::Inode>> fh_to_inode(const CallContext& ctx, std::string_view handle) override;
  Result<void> reconfigure(const CallContext& ctx, const fs::Reconfigure& change) override;
  std::string show_options() override;
  Errno may_write() override;
  void umount_begin(const CallContext& ctx, bool force) override;
  void shutdown(const CallContext& ctx) override;
  void put_super() override;

  // --- CallbackSink
  void on_session_started(const rpc::SessionInfo& info, int64_t sent_boottime_ns,
                          int64_t server_time_ns) override;
  void on_session_lost(std::string_view why) override;
  std::vector<rpc::Grant> held_grants() override;
  void on_rebound(const rpc::SessionInfo& info, std::vector<rpc::Grant> kept, bool grace,
                  int64_t sent_boottime_ns) override;
  rpc::ReclaimPart next_reclaim(bool begin) override;
  void on_reclaimed(const rpc::ReclaimPart& part, rpc::ReclaimAnswer answer) override;
  void on_resumed(const rpc::SessionInfo& info, int64_t sent_boottime_ns) override;
  void on_renewed(uint32_t term_ms, int64_t sent_boottime_ns) override;
  void on_recall(std::vector<rpc::RecallItem> items) override;
  void on_glimpse(uint64_t glimpse_id, uint64_t ino) override;
  void on_lock_granted(uint64_t lock_id, uint64_t seq) override;
  void on_trim(uint32_t leases) override;
  void on_evicted(std::string_view why) override;
  void on_settled(Ref<PendingChange> change, std::vector<rpc::Grant> unheard) override;
  void on_changed(uint64_t ino, uint64_t change, uint32_t mask, std::string name) override;

 private:
  static constexpr int kHandleAttempts = 3;
  static constexpr size_t kPastSessionsMax = 64;
  Super(MountOptions options, mm::Runtime& runtime);
  bool was_void(Errno error, const Ticket& ticket) const;
  Result<void> find_again(const CallContext& ctx, NetInode& inode);
  Result<void> find_by_handle(const CallContext& ctx, NetInode& inode, const rpc::Handle& past,
                              uint64_t past_session);
  Result<void> find_by_names(const CallContext& ctx, NetInode& inode, rpc::Handle dir);
  // The server's number of the session in which handles were marked with `incarnation`; 0: not
  // known any more.
  uint64_t past_session(uint32_t incarnation);
  // The names from the root down to it; false: not known.
  bool names_to(const NetInode& inode, std::vector<std::string>* names) const;
  void set_deadlines(int64_t sent_boottime_ns, uint32_t term_ms);
  // Of whatever the loop brings at the moment.
  SessionMark present_session() const;
  void recall_all(const std::vector<rpc::RecallItem>& items, const SessionMark& session);
  void recall_one(const rpc::RecallItem& item, const SessionMark& session);
  void acknowledge_later(const rpc::RecallItem& item, std::vector<rpc::AckArgs> acks);
  void put_deferred();
  void lose_dirty_pages(std::string why);
  void end_generation();
  void lose_pages_later(std::vector<uint64_t> inodes, std::string why);

  const MountOptions options_;
  mm::Runtime& runtime_;
  NetInodeOps inode_ops_;
  NetFileOps file_ops_;
  NetAddressSpaceOps address_space_ops_;
  CallContext background_ctx_;
  fs::SuperBlock* sb_ = nullptr;  // our owner
  std::unique_ptr<LeaseTable> leases_;
  NetLocks locks_{*this};
  NetCounters counters_;
  const std::shared_ptr<LostWritesDesk> lost_writes_;
  CallbackThread app_callbacks_;
  std::atomic<int64_t> dirty_deadline_ns_{0};
  std::atomic<int64_t> server_minus_boottime_ns_{0};
  uint64_t incarnation_ = 0;           // of the newest session; the loop's
  std::atomic<uint32_t> restarts_{0};  // of the server, that the sessions have outlived
  std::atomic<bool> relaxed_{false};
  std::atomic<bool> sync_writes_{false};
  std::atomic<bool> server_read_only_{false};  // whatever the mount wants
  std::atomic<bool> returns_scheduled_{false};

  Mutex deferred_mutex_{LockRank::kCall};
  std::vector<RefPtr<fs::Inode>> deferred_ ABSL_GUARDED_BY(deferred_mutex_);

  Mutex root_mutex_{LockRank::kCall};
  rpc::Handle root_handle_ ABSL_GUARDED_BY(root_mutex_);
  uint16_t root_generation_ ABSL_GUARDED_BY(root_mutex_) = 0;
  struct PastSession {
    uint64_t incarnation = 0;
    uint64_t session_id = 0;
  };
  // The newest ones, each at its incarnation modulo the size.
  std::array<PastSession, kPastSessionsMax> past_sessions_ ABSL_GUARDED_BY(root_mutex_);

  RecallWorker worker_;
  std::atomic<rpc::Client*> client_ready_{nullptr};  // client_ once mount() has it
  std::unique_ptr<rpc::Client> client_;              // last: its callbacks use all of the above
};

}  // namespace myfs::netfs
