// AppLeases: leases on one file that the application holds by its open files, and the recalls of
// the server that wait for the application.
// Kernel counterpart: struct file_lease, fcntl(F_SETLEASE), lease_modify, __break_lease
// (fs/locks.c).  Differs: against other clients, too, by the session's own lease; a call instead of
// a signal.
// Thread safety: AppLease all. AppLeases: under the mutex of the record that it is part of. The
// functions below: all; not under leaf locks.
// Lock rank: AppLeases is guarded by LeaseRecord::mu (kLease); AppLease's mutex is kCall, released
// while the application is called.
// Owns / is owned by: AppLeases is its record's from the first lease on; an AppLease is shared by
// it and by calls that are queued.
// Invariants: (1) a recall that takes what a lease stands for is not begun before the lease is
// given back or broken: to the rest of the client it has not arrived yet, and no new lease comes
// in its way; (2) a lease is broken its break time after the first recall at the latest, so the
// server's patience is enough; (3) a lease whose parts have left the record counts as nothing from
// that moment on, told or not; (4) after end() has returned no call to the application runs or
// begins, but for the one that end() was called from.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "sdk/base/call_context.h"
#include "sdk/base/clock.h"
#include "sdk/base/limits.h"
#include "sdk/base/result.h"
#include "sdk/netfs/lease.h"

namespace myfs::fs {
class File;
}

namespace myfs::netfs {

class NetInode;
class Super;

// What is left of the server's patience is for writing back and the way.
inline constexpr int64_t kAppLeaseBreakMax_ns = kRecallTimeout_ns - 2 * kNsPerSec;

class AppLease {
 public:
  struct Recall {
    bool broken = false;      // it is gone
    LeaseParts keep = 0;      // what may be kept: R or nothing
    int64_t deadline_ns = 0;  // boottime_ns scale: when it will be broken
  };
  using Fn = std::function<void(const Recall&)>;

  explicit AppLease(Fn fn) : fn_(std::move(fn)) {}
  // On a CallbackThread.
  void tell(const Recall& recall);
  // Returns whether it has been told that it is broken.
  bool end();

 private:
  const Fn fn_;
  Mutex mutex_{LockRank::kCall};
  CondVar returned_;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
};

class AppLeases {
 public:
  struct Holder {
    uint64_t open_id = 0;
    LeaseParts parts = 0;  // R, or R and W
    int64_t break_ns = 0;
    std::shared_ptr<AppLease> lease;
    int64_t deadline_ns = kNoDeadline;  // since it was told of a recall: when it is broken
    LeaseParts keep = 0;                // from then on: what it was told that it may keep
    // Invariant (3). It stays until it is given back, taken anew or closed, since it may still be
    // told.
    bool lost = false;
    bool broken_told = false;
    bool takes(LeaseParts recalled) const { return !lost && (parts & recalled) != 0; }
  };
  struct HeldOff {
    rpc::RecallItem item;
    SessionMark session;
    bool going = false;  // nothing is in its way; it is being begun
  };

  Holder* find(uint64_t open_id);
  bool holds(LeaseParts parts) const;
  // Whether a recall of this session is waiting that takes some of `parts`.
  bool recalled(LeaseParts parts, uint16_t generation) const;
  // These have left the record.
  void lose(LeaseParts parts);
  // When the next lease has to be broken.
  int64_t next_deadline_ns() const;
  // Wakes those who wait for a change.
  void note_change();

  std::vector<Holder> holders;
  std::vector<HeldOff> held_off;
  std::vector<Event*> waiting;  // of those who wait for a change; set once each
};

// fcntl(F_SETLEASE): R, or R and W; the open file allows as much. What others hold is recalled.
// EAGAIN: other open files of this client are in the way, it is being recalled, or the server does
// not give it.
Result<void> set_app_lease(const CallContext& ctx, const fs::File& file, LeaseParts parts,
                           int64_t break_ns, AppLease::Fn fn);
// Given back: by the application, or since the file was closed.
void drop_app_lease(NetInode& inode, uint64_t open_id);
// F_GETLEASE: what holds at this moment; 0: nothing.
LeaseParts app_lease_of(NetInode& inode, uint64_t open_id);
// The right to `parts` has ended, by whatever but a recall, or by what the record knows already
// (0): breaks the leases that take them.
void lose_app_leases(NetInode& inode, LeaseParts parts);
// On a recall, under the record's mutex: whether it has to wait. May run on the loop.
bool hold_off_recall(NetInode& inode, const rpc::RecallItem& item, const SessionMark& session);

}  // namespace myfs::netfs
