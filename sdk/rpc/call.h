// Call: one request from the moment it is made to its final reply, over as many connections as it
// takes.
// Kernel counterpart: struct rpc_task (net/sunrpc/sched.c, clnt.c).  Differs: the waiting thread
// may drive the I/O loop.
// Thread safety: `state_`, `done`, abandon() any thread; everything else only inside the loop.
// Owns / is owned by: counted: the caller who waits, the loop's list of unanswered calls, messages
// that refer to its payload.
// Invariants: (1) kPending -> kAnswered or kAbandoned, once, by whoever wins the exchange; (2) the
// caller's memory is touched only by the winner; (3) an abandoned call that changes something stays
// in the list until its final reply, which settles the PendingChange; (4) a completion runs after
// no message refers to borrowed memory any more.
#pragma once

#include <kj/async.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "sdk/base/call_context.h"
#include "sdk/base/cred.h"
#include "sdk/base/errno.h"
#include "sdk/base/error_detail.h"
#include "sdk/base/ref.h"
#include "sdk/base/sync.h"
#include "sdk/rpc/admission.h"
#include "sdk/rpc/method.h"
#include "sdk/rpc/wire.h"

namespace myfs::rpc {

class Call;
class Channel;
class Connection;

// Where a call goes that has a transmission to do, and where its answer is brought.
class CallOwner {
 public:
  virtual void answered(Call& call, Errno error) = 0;
  virtual void released(Call& call) = 0;  // no message refers to its payload any more

 protected:
  ~CallOwner() = default;
};

enum class Lane : uint8_t { kControl, kData };

class Call : public RefCounted<Call> {
 public:
  enum class State : uint8_t { kPending, kAnswered, kAbandoned };

  Call(Method method, Lane lane, bool changes) : method(method), lane(lane), changes(changes) {}
  virtual ~Call() = default;

  // Constant once the call has been started.
  const Method method;
  const Lane lane;
  const bool changes;
  CredRef cred;
  uint64_t ino = 0;
  int64_t started_ns = 0;
  int64_t deadline_ns = kNoDeadline;  // who waits sees to it until an answer has come
  uint64_t incarnation =
      0;  // of the session that it belongs to; 0: of the one that will send it first

  // Inside the loop: builds the request, sends it, decodes the reply, tells the owner. Rejects with
  // transport trouble only.
  virtual kj::Promise<void> transmit(Connection& connection, CallOwner& owner) = 0;
  // Whether every handle among the arguments was issued by that session.
  virtual bool handles_of(uint64_t incarnation) const = 0;
  // Copies what was borrowed from the caller for sending.
  virtual void own_payload() {}
  virtual bool borrows() const { return false; }

  bool claim() {
    State expected = State::kPending;
    return state_.compare_exchange_strong(expected, State::kAnswered, std::memory_order_acq_rel);
  }
  // The caller gives up. False: the answer is there or about to be delivered.
  bool abandon() {
    State expected = State::kPending;
    return state_.compare_exchange_strong(expected, State::kAbandoned, std::memory_order_acq_rel);
  }
  State state() const { return state_.load(std::memory_order_acquire); }
  bool maybe_executed() const {
    return changes && transmissions.load(std::memory_order_relaxed) > 0;
  }
  // The answer to the last transmission does not tell what came of the others, unless it comes
  // from the slot.
  bool sent_again() const { return changes && transmissions.load(std::memory_order_relaxed) > 1; }

  // Inside the loop, once, by whoever claimed or abandoned: sets `done` or runs the completion.
  void deliver(Errno outcome) {
    if (std::exchange(delivered, true)) return;
    error = outcome;
    run_completion();
  }

  void pinned() { ++pins_; }
  void unpinned() {
    if (--pins_ == 0 && owner_ != nullptr) owner_->released(*this);
  }
  bool is_pinned() const { return pins_ > 0; }

  Event done;
  Errno error;         // valid once delivered
  ErrorDetail detail;  // likewise
  std::atomic<uint32_t> transmissions{0};
  RefPtr<PendingChange> change;  // that it is part of; null: of none
  std::vector<Grant> unheard;    // what an answer that came too late grants

  // Inside the loop.
  Op op;
  Admission admission;
  Channel* channel = nullptr;  // over which it was last sent; null: it waits to be sent
  bool listed = false;
  bool asynchronous = false;
  bool final_reply = false;  // nothing is to be sent any more
  bool delivered = false;
  bool reported = false;      // logged as blocked
  bool delivery_due = false;  // once released, with pending_error
  Errno pending_error;
  int64_t sent_ns = 0;  // last transmission
  uint32_t backoffs = 0;
  Call* next = nullptr;  // list of unanswered calls
  Call* prev = nullptr;
  kj::Canceler canceler;  // of a query's transmission

 protected:
  virtual void run_completion() = 0;
  CallOwner* owner_ = nullptr;

 private:
  std::atomic<State> state_{State::kPending};
  int pins_ = 0;
};

}  // namespace myfs::rpc
