// Loop::Impl::Lead: the state of a thread while it drives a loop.
// Kernel counterpart: local_bh_disable.
// Thread safety: lives on the stack of the driving thread, which holds lead_.
// Invariants: (1) signals are blocked and cancellation is disabled for its whole life.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <optional>

#include "sdk/uv/loop_impl.h"

namespace myfs::uv_io {

extern thread_local const void* t_inside_loop;

class Loop::Impl::Lead {
 public:
  explicit Lead(Impl& impl) {
    impl.led_.store(true, std::memory_order_relaxed);
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &signals_);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state_);
    try {
      scope_.emplace(impl.port_->kj_loop());
      t_inside_loop = &impl;
    } catch (const kj::Exception&) {
      // The thread runs a KJ loop of its own.
    }
  }
  ~Lead() {
    if (scope_.has_value()) t_inside_loop = nullptr;
    scope_.reset();
    pthread_setcancelstate(cancel_state_, nullptr);
    pthread_sigmask(SIG_SETMASK, &signals_, nullptr);
  }
  Lead(const Lead&) = delete;
  Lead& operator=(const Lead&) = delete;

  // False: the thread runs a KJ loop of its own and cannot drive this one.
  bool entered() const { return scope_.has_value(); }

 private:
  std::optional<kj::WaitScope> scope_;
  sigset_t signals_;
  int cancel_state_ = 0;
};

}  // namespace myfs::uv_io
