// CallContext: what travels with one call from the facade to the wire: who, until when, cancelled
// or not. Kernel counterpart: current_cred(), signal_pending(current), struct kiocb's timeout.
// Thread safety: CancelToken all; CallContext is immutable.
// Owns / is owned by: lives on the caller's stack for the time of the call; holds no ownership of
// the token.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "sdk/base/clock.h"
#include "sdk/base/cred.h"
#include "sdk/base/ref.h"
#include "sdk/base/sync.h"

namespace myfs {

// Cancels any number of calls. cancel() runs the listeners of calls that wait at that moment.
class CancelToken {
 public:
  bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }
  void cancel();

  // Registers `fn` for the time of a wait; runs it at once (on this thread) if already cancelled.
  // `fn` runs under a leaf lock: it may only set an Event or post to a loop.
  class Listener {
   public:
    Listener(CancelToken* token, std::function<void()> fn);  // null token: nothing
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

   private:
    friend class CancelToken;
    CancelToken* const token_;
    const std::function<void()> fn_;
    Listener* next_ = nullptr;
    Listener* prev_ = nullptr;
  };

 private:
  std::atomic<bool> cancelled_{false};
  Mutex mutex_{LockRank::kCall};
  Listener* listeners_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

// A change that its caller may give up while the server still carries it out. Whoever sends it
// keeps a reference until the final answer.
class PendingChange : public RefCounted<PendingChange> {
 public:
  virtual ~PendingChange() = default;
  // By the thread that made the change: it waits no longer.
  virtual void give_up() { given_up_.store(true, std::memory_order_release); }
  bool given_up() const { return given_up_.load(std::memory_order_acquire); }
  // What was given up is over, and nobody has heard how. Any thread that may wait.
  virtual void settled() = 0;
  // Whether the cache does not answer for this inode from before the change until after it. By the
  // thread that makes it.
  virtual bool covers(uint64_t ino) const = 0;

 private:
  std::atomic<bool> given_up_{false};
};

struct CallContext {
  CredRef cred;                       // never null
  int64_t deadline_ns = kNoDeadline;  // boottime_ns scale
  CancelToken* cancel = nullptr;      // may be null
  PendingChange* change = nullptr;    // that calls with this context are part of; may be null

  bool cancelled() const { return cancel != nullptr && cancel->cancelled(); }
};

}  // namespace myfs
