// NoWaitScope: while it lives, what would ask a server or sleep on this thread fails with EAGAIN
// instead.
// Kernel counterpart: IOCB_NOWAIT, LOOKUP_CACHED (RESOLVE_CACHED); scoped like memalloc_nofs_save.
// Differs: of the thread, so that a call can be tried whole, whatever it goes through.
// Thread safety: of its thread. Not nested.
// Invariants: (1) whoever refuses says so by refuse_to_wait(), so that an EAGAIN of the scope is
// told from one of a server; (2) where it is asked nothing has been changed yet.
// Asked by: the walk before it asks for names, getattr, opening at the server, a connection before
// it sends a call that is waited for.
#pragma once

#include "sdk/base/errno.h"

namespace myfs {

class NoWaitScope {
 public:
  NoWaitScope() { t_state = kActive; }
  ~NoWaitScope() { t_state = kOff; }
  NoWaitScope(const NoWaitScope&) = delete;
  NoWaitScope& operator=(const NoWaitScope&) = delete;

  // Whether something would have waited.
  bool refused() const { return t_state == kRefused; }

 private:
  friend bool must_not_wait();
  friend Errno refuse_to_wait();
  enum State : unsigned char { kOff, kActive, kRefused };
  static inline constinit thread_local State t_state = kOff;
};

inline bool must_not_wait() { return NoWaitScope::t_state != NoWaitScope::kOff; }
inline Errno refuse_to_wait() {
  NoWaitScope::t_state = NoWaitScope::kRefused;
  return Errno(EAGAIN);
}

}  // namespace myfs
