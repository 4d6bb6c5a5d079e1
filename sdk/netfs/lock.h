// NetLocks: the locks that this client holds, waits for and gives back at its server.
// Kernel counterpart: nfs4_proc_lock, nfs4_retry_setlk (fs/nfs/nfs4proc.c), nlmclnt_lock with
// nlmclnt_cancel (fs/lockd/clntproc.c), struct nlm_wait.
// Differs: the grant of a wait is a message that may overtake the answer which names the wait, and
// is repeated after a reconnect; what the server did is put in order by its numbers (fl_seq).
// Thread safety: all; granted(), session_lost() and completions on the I/O loop.
// Lock rank: mutex_ kLease, before the locks of fs::FileLockContext; waits hold nothing.
// Owns / is owned by: part of a Super. A request has references from its caller, the call under way
// and queued_, and one from unsettled_ once its caller has left; its inode is dropped by the caller
// or a worker, never on the loop, and at the latest by shut_down().
// Invariants: (1) a request is answered once: it ends granted, refused or failed; (2)
// FileLockContext has exactly what callers were told that they hold; (3) what was granted to a
// caller who has left is given back once: the server is made to hold what FileLockContext says;
// until then no other lock of that owner on the inode is asked for; (4) a ticket is named in no
// session but its own; (5) an unlock whose caller had no time to ask is asked for by a worker, and
// no lock of that owner on the inode before it: it never takes away what was granted later.
//
// WHO GIVES UP. A wait that is cancelled or out of time is withdrawn, and the caller returns when
// the server has said so: nothing is granted to him afterwards. If the server says that it was
// granted before, it counts, and the call succeeds. If the server does not answer within
// kWithdraw_ns, the caller leaves and a worker sees to it.
//
// SESSIONS. A broken connection changes nothing. A server that was begun anew is told what is held
// and what is waited for; what it refuses is lost. With the session all locks go: what was held is
// lost (fl_lost), what was asked for is asked again in the next session.
#pragma once

#include <cstdint>
#include <deque>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "sdk/fs/locks.h"
#include "sdk/netfs/inode.h"
#include "sdk/rpc/client.h"

namespace myfs::netfs {

class Super;

inline constexpr int64_t kWithdraw_ns = 1'000'000'000;
inline constexpr size_t kEarlyGrantsMax = 65'536;

rpc::LockRange wire_range(const fs::FileLock& lock);
void take_range(const rpc::LockRange& from, fs::FileLock* to);

class LockRequest final : public RefCounted<LockRequest> {
 public:
  enum class State : uint8_t { kUnsent, kAsked, kQueued, kOver };
  LockRequest(NetInode& of, const rpc::Handle& its_handle, const rpc::Opener& by,
              const fs::FileLock& wanted, uint16_t session_generation, State begins = State::kAsked)
      : lock(wanted),
        handle(its_handle),
        opener(by),
        generation(session_generation),
        net(of),
        inode(RefPtr<fs::Inode>::try_from(&of)),
        state(begins) {}

  const fs::FileLock lock;
  const rpc::Handle handle;
  const rpc::Opener opener;
  const uint16_t generation;
  NetInode& net;            // while `inode` is not null
  RefPtr<fs::Inode> inode;  // see above

  // Under NetLocks::mutex_.
  State state;
  bool given_up = false;  // the caller would rather not have it
  bool cancel_sent = false;
  bool granted = false;
  uint64_t ticket = 0;
  uint64_t seq = 0;  // of the grant
  Errno error;

  Event wake;      // over, or the caller is to give up
  Event answered;  // not kAsked any more
  Event over;
  Event settled;  // nothing is to be given back any more; of those whose caller has left
};

class NetLocks {
 public:
  explicit NetLocks(Super& super) : super_(super) {}
  NetLocks(const NetLocks&) = delete;
  NetLocks& operator=(const NetLocks&) = delete;

  // As FileOps::lock.
  Result<void> set(const CallContext& ctx, NetInode& inode, const rpc::Opener& opener,
                   const fs::FileLock& lock, bool wait);
  Result<void> get(const CallContext& ctx, NetInode& inode, fs::FileLock& lock);

  // A lock under which this call may have begun was lost since: when the session was `generation`.
  bool lost_since(const NetInode& inode, const fs::File& file, uint16_t generation) const;

  // What the server says unasked.
  void granted(uint64_t ticket, uint64_t seq);
  // The generation has changed.
  void session_lost();
  // For a server that was begun anew; on the loop. False: that is all.
  void begin_reclaim();
  bool next_claims(rpc::ReclaimPart* part);
  void reclaimed(const std::vector<rpc::LockClaim>& claims,
                 const std::vector<rpc::ReclaimAnswer::Lock>& answers);
  // Nobody waits any longer: ESHUTDOWN.
  void shut_down();
  void forget(NetInode& inode);  // is evicted
  size_t unsettled();
  size_t early_grants();

 private:
  using Key = std::tuple<const NetInode*, fs::LockKind, uint64_t>;  // an owner on an inode
  static Key key_of(const NetInode& inode, const fs::FileLock& lock) {
    return {&inode, lock.fl_kind, lock.fl_owner};
  }

  bool server_has_to_unlock(NetInode& inode, const fs::FileLock& lock);
  void unlock_later(NetInode& inode, const rpc::Opener& opener, const fs::FileLock& lock);
  // `*sent`: the server has been asked, or will be.
  Result<void> try_set(const CallContext& ctx, NetInode& inode, const rpc::Opener& opener,
                       const fs::FileLock& lock, bool wait, bool* sent);
  Result<void> ask(const CallContext& ctx, Ref<LockRequest> request, bool wait, bool* sent);
  Errno wait_over(const CallContext& ctx, LockRequest& request);
  Errno withdraw(Ref<LockRequest> request, Errno why);
  // ETIMEDOUT; ESHUTDOWN: nothing will set it any more.
  Errno await(Event& event, int64_t deadline_ns);
  // Until the request is over. ETIMEDOUT: the time is, or (`soft`) there was no room to ask in
  // time.
  Errno drive(Ref<LockRequest> request, int64_t deadline_ns);
  Result<void> wait_settled(const CallContext& ctx, NetInode& inode, const fs::FileLock& lock);
  void settle_later_locked(Ref<LockRequest> request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void settle_all();
  void settle(Ref<LockRequest> request);
  void give_back(LockRequest& request);
  Errno make_server_hold(LockRequest& request, const std::vector<fs::FileLock>& pieces);
  Errno ask_patiently(const LockRequest& request, const fs::FileLock& lock);
  bool is_shut();

  void answered(LockRequest& request, const Result<rpc::LockReply>& reply);
  void cancelled(LockRequest& request, const Result<uint64_t>& granted_seq);
  void grant_locked(LockRequest& request, uint64_t seq) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void end_locked(LockRequest& request, Errno error) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void leave_locked(const LockRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void note_holder_locked(NetInode& inode, bool holds) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void record_locked(NetInode& inode, fs::FileLock lock, uint64_t seq)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void acknowledge(const LockRequest& request, uint64_t ticket);
  std::vector<fs::FileLock> surely_held_locked(const NetInode& inode,
                                               const fs::FileLock& held) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void lose_locked(const rpc::LockClaim& claim) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void go_on_waiting_locked(const rpc::LockClaim& claim, const rpc::ReclaimAnswer::Lock& answer)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Super& super_;
  Mutex mutex_{LockRank::kLease};
  absl::flat_hash_set<const LockRequest*> asked_ ABSL_GUARDED_BY(mutex_);  // without an answer
  absl::flat_hash_map<Key, std::vector<fs::LockSpan>> under_way_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, RefPtr<LockRequest>> queued_ ABSL_GUARDED_BY(mutex_);
  // Grants of tickets that no answer has named yet; kept while answers are outstanding.
  absl::flat_hash_map<uint64_t, uint64_t> early_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<NetInode*> holders_ ABSL_GUARDED_BY(mutex_);
  std::vector<RefPtr<LockRequest>> unsettled_ ABSL_GUARDED_BY(mutex_);
  bool settling_ ABSL_GUARDED_BY(mutex_) = false;
  const LockRequest* in_work_ ABSL_GUARDED_BY(mutex_) = nullptr;  // of unsettled_
  bool shut_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<rpc::LockClaim> claims_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace myfs::netfs
