// Loop::Impl::Lead: the state of a thread while it drives a loop.
// Kernel counterpart: local_bh_disable.
// Thread safety: lives on the stack of the driving thread, which holds lead_.
// Invariants: (1) signals are blocked and cancellation is disabled for its whole life.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <new>

#include "sdk/uv/loop_impl.h"

namespace myfs::uv_io {

extern thread_local const void* t_inside_loop;

class Loop::Impl::Lead {
 public:
  // own_thread: a thread of the loop, whose signals are blocked for good.
  Lead(Impl& impl, bool own_thread) : own_thread_(own_thread) {
    impl.led_.store(true, std::memory_order_relaxed);
    if (!own_thread_) {
      sigset_t all;
      sigfillset(&all);
      pthread_sigmask(SIG_SETMASK, &all, &signals_);
      pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state_);
    }
    try {
      scope_ = new (storage_) kj::WaitScope(impl.port_->kj_loop());
      t_inside_loop = &impl;
    } catch (const kj::Exception&) {
      // The thread runs a KJ loop of its own.
    }
  }
  ~Lead() {
    if (scope_ != nullptr) {
      t_inside_loop = nullptr;
      scope_->~WaitScope();
    }
    if (own_thread_) return;
    pthread_setcancelstate(cancel_state_, nullptr);
    pthread_sigmask(SIG_SETMASK, &signals_, nullptr);
  }
  Lead(const Lead&) = delete;
  Lead& operator=(const Lead&) = delete;

  // False: the thread runs a KJ loop of its own and cannot drive this one.
  bool entered() const { return scope_ != nullptr; }

 private:
  const bool own_thread_;
  alignas(kj::WaitScope) unsigned char storage_[sizeof(kj::WaitScope)];
  kj::WaitScope* scope_ = nullptr;
  sigset_t signals_;
  int cancel_state_ = 0;
};

}  // namespace myfs::uv_io
