// UvEventPort: the event port over a libuv loop.
// Kernel counterpart: epoll_wait with busy polling (net.core.busy_poll).
// Thread safety: kick() and wake() any thread; backend_fd() any thread; the rest only the driver.
// Owns / is owned by: owned by Loop; owns the uv loop. Every handle on it is closed before it.
// Invariants: (1) wait() spins only as SpinPolicy says and never longer than spin_ns(); (2)
// `sleeping_` is set before
// the last look at the submissions, so a kick is never lost.
#pragma once

#include <uv.h>

#include <atomic>
#include <vector>

#include "sdk/uv/event_port.h"
#include "sdk/uv/spin_policy.h"
#include "sdk/uv/word_pool.h"

namespace myfs::uv_io {

class UvEventPort final : public EventPort {
 public:
  // Null with *error set to an errno when the kernel refuses descriptors.
  static std::unique_ptr<UvEventPort> create(int* error);
  ~UvEventPort() noexcept(false) override;

  // kj::EventPort
  bool wait() override;
  bool poll() override;
  void wake() const override;
  void setRunnable(bool) override {}

  // EventPort
  void kick() const override;
  uv_loop_t* uv() override { return &loop_; }
  int backend_fd() const override { return uv_backend_fd(&loop_); }
  void abandon_in_child() override;

  // Descriptors that a forked child has to close.
  void add_descriptor(int fd) { descriptors_.push_back(fd); }
  void remove_descriptor(int fd);
  // Memory of large messages that the streams of this port receive.
  WordPool& words() { return *words_; }
  // A uv_poll_t was started, changed or stopped: libuv tells the kernel in its next turn only.
  void note_watcher_change() { watcher_changed_ = true; }

 private:
  UvEventPort() = default;
  bool spin(int64_t idle_since_ns);
  void sleep();
  void turn();
  bool finish_look();

  bool open_ = false;
  uv_loop_t loop_;
  uv_async_t async_;
  uv_timer_t timer_;
  std::vector<int> descriptors_;
  kj::Own<WordPool> words_ = kj::refcounted<WordPool>();
  SpinPolicy policy_;
  bool watcher_changed_ = false;
  bool drained_ = false;  // submissions were taken in since the last look: they do not starve it
  std::atomic<bool> sleeping_{false};
  mutable std::atomic<bool> woken_{false};
};

// Watches one descriptor on a UvEventPort; readiness goes to `on_ready(readable, writable)`.
class FdWatcher {
 public:
  class Client {
   public:
    virtual void on_ready(bool readable, bool writable) = 0;

   protected:
    ~Client() = default;
  };
  // Takes no ownership of the descriptor, but tells the port of it. Sets it non-blocking.
  FdWatcher(UvEventPort& port, int fd, Client& client);
  ~FdWatcher();
  FdWatcher(const FdWatcher&) = delete;
  FdWatcher& operator=(const FdWatcher&) = delete;

  // events: UV_READABLE | UV_WRITABLE
  void arm(int events);
  int armed() const { return armed_; }

 private:
  UvEventPort& port_;
  const int fd_;
  Client& client_;
  uv_poll_t* const handle_;  // freed by its close callback
  int armed_ = 0;
};

}  // namespace myfs::uv_io
