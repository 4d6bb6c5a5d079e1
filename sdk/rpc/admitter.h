// Admitter: who may send how much at one time: slots, operations and bytes of one session.
// Kernel counterpart: nfs4_alloc_slot (fs/nfs/nfs4session.c), struct rpc_xprt's slot table and
// congestion window.
// Thread safety: all.
// Lock rank: kSession; admit() waits holding nothing.
// Owns / is owned by: shared by its Client and by every Admission that is out.
// Invariants: (1) waiters are served in order of arrival, except that one who lacks only a slot
// lets those pass who need none; (2) slots 0..kReservedSlots-1, kReservedOperations and
// reserved_bytes_ are never given to Urgency::kNormal; (3) what was admitted in an earlier session
// counts for nothing in this one; (4) a slot's number rises by one with every call sent in it.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "sdk/base/call_context.h"
#include "sdk/base/result.h"
#include "sdk/base/sync.h"
#include "sdk/rpc/admission.h"

namespace myfs::rpc {

inline constexpr uint32_t kOperationsMax = 256;         // in flight, of normal urgency
inline constexpr uint32_t kReservedOperations = 4;      // beside them, for recalls
inline constexpr uint64_t kCreditMax_bytes = 32 << 20;  // in flight, whatever the server offers

class Admitter : public std::enable_shared_from_this<Admitter> {
 public:
  // ETIMEDOUT, EINTR, ESHUTDOWN.
  Result<Admission> admit(const CallContext& ctx, const AdmitArgs& args, int64_t deadline_ns);
  // EAGAIN instead of waiting.
  Result<Admission> try_admit(const AdmitArgs& args);
  // In the order of arrival with those who wait in admit(). `waker` is called under kSession, and
  // not before queue() returns.
  std::unique_ptr<QueuedAdmission> queue(const AdmitArgs& args, Waker& waker);

  // A login: everything starts anew; waiters stay and are served from it.
  void open(uint64_t incarnation, uint16_t slots, uint64_t credit_bytes, uint32_t max_io_bytes);
  // Everybody who waits or comes later gets ESHUTDOWN.
  void shut_down();

  // The number for the next call in this admission's slot. 0: the slot belongs to an earlier
  // session.
  uint64_t take_slot_seq(const Admission& admission);
  // The server has never seen the call that took the last number.
  void untake_slot_seq(const Admission& admission);
  // What bind says of slots: newest number seen of each. Idle slots adopt it, as the server's word
  // is what counts.
  void adopt_slot_seqs(const std::vector<uint64_t>& seqs);
  void set_slot_seq(const Admission& admission, uint64_t seq);

  struct Usage {
    uint32_t operations = 0;
    uint64_t bytes = 0;
    uint32_t slots = 0;
    size_t waiting = 0;
  };
  Usage usage() const;

 private:
  friend class Admission;
  struct Slot {
    uint64_t seq = 0;
    bool busy = false;
  };
  struct Pool {
    uint32_t operations = 0;  // in use
    uint32_t operations_max = 0;
    uint64_t bytes = 0;
    uint64_t bytes_max = 0;
    uint16_t first_slot = 0;
    uint16_t end_slot = 0;
  };
  struct Waiter {
    AdmitArgs args;
    Event event;
    Waker* waker = nullptr;  // instead of the event
    bool granted = false;
    Admission admission;
  };
  class Place;
  enum Lack : uint8_t { kNothing = 0, kSlot = 1, kCredit = 2 };

  Lack lack_locked(const Pool& pool, const AdmitArgs& args) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint16_t free_slot_locked(const Pool& pool) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void take_locked(Pool& pool, bool reserved, const AdmitArgs& args, Admission* out)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool take_if_free_locked(const AdmitArgs& args, Admission* out)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void tell_locked(Waiter& waiter);
  void enter_locked(Waiter& waiter) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void leave_locked(Waiter& waiter) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void serve_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void give_back(const Admission& admission);
  Slot* slot_locked(const Admission& admission) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_{LockRank::kSession};
  uint64_t incarnation_ ABSL_GUARDED_BY(mutex_) = 0;
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Slot> slots_ ABSL_GUARDED_BY(mutex_);
  Pool normal_ ABSL_GUARDED_BY(mutex_);
  Pool reserve_ ABSL_GUARDED_BY(mutex_);
  std::list<Waiter*> waiters_ ABSL_GUARDED_BY(mutex_);
  size_t recall_waiters_ ABSL_GUARDED_BY(mutex_) = 0;  // among them
};

}  // namespace myfs::rpc
