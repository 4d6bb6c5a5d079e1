#include "sdk/uv/uv_event_port.h"

#include <kj/debug.h>
#include <unistd.h>

#include <algorithm>
#include <climits>

#include "sdk/base/clock.h"
#include "sdk/uv/sim_event_port.h"

namespace myfs::uv_io {
namespace {

constexpr int64_t kLongestSleep_ms = 60'000;
constexpr int kTurnsMax = 4;

}  // namespace

std::unique_ptr<EventPort> make_event_port(int* error) {
  if (sim_hooks() != nullptr) return std::make_unique<SimEventPort>();
  return UvEventPort::create(error);
}

std::unique_ptr<UvEventPort> UvEventPort::create(int* error) {
  std::unique_ptr<UvEventPort> port(new UvEventPort);
  int status = uv_loop_init(&port->loop_);
  if (status == 0) {
    status = uv_async_init(&port->loop_, &port->async_, [](uv_async_t*) {});
    if (status != 0) uv_loop_close(&port->loop_);
  }
  if (status != 0) {
    *error = -status;
    return nullptr;
  }
  uv_timer_init(&port->loop_, &port->timer_);
  port->open_ = true;
  return port;
}

UvEventPort::~UvEventPort() noexcept(false) {
  if (!open_) return;
  uv_close(reinterpret_cast<uv_handle_t*>(&async_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), nullptr);
  // Runs close callbacks, and waits for name look-ups that were abandoned.
  while (uv_loop_close(&loop_) == UV_EBUSY) uv_run(&loop_, UV_RUN_ONCE);
}

void UvEventPort::remove_descriptor(int fd) {
  auto found = std::find(descriptors_.begin(), descriptors_.end(), fd);
  if (found == descriptors_.end()) return;
  *found = descriptors_.back();
  descriptors_.pop_back();
}

void UvEventPort::abandon_in_child() {
  for (int fd : descriptors_) ::close(fd);
  ::close(uv_backend_fd(&loop_));
  if (loop_.async_io_watcher.fd >= 0) ::close(loop_.async_io_watcher.fd);
}

void UvEventPort::wake() const {
  woken_.store(true, std::memory_order_release);
  uv_async_send(const_cast<uv_async_t*>(&async_));
}

void UvEventPort::kick() const {
  if (sleeping_.load(std::memory_order_seq_cst)) uv_async_send(const_cast<uv_async_t*>(&async_));
}

void UvEventPort::turn() {
  // Again when a callback changed a watcher, so that the kernel knows it before anybody sleeps.
  for (int i = 0; i < kTurnsMax; ++i) {
    watcher_changed_ = false;
    uv_run(&loop_, UV_RUN_NOWAIT);
    if (!watcher_changed_) break;
  }
}

bool UvEventPort::finish_look() {
  advance_timers();
  return woken_.load(std::memory_order_relaxed) &&
         woken_.exchange(false, std::memory_order_acquire);
}

bool UvEventPort::poll() {
  // What was taken in is run first: what it sends goes out in one piece, and one look at the kernel
  // is spared.
  if (!drained_ && drain() && kj_loop().isRunnable()) {
    drained_ = true;
    return false;
  }
  drained_ = false;
  run_flush_hooks();
  turn();
  return finish_look();
}

bool UvEventPort::spin(int64_t idle_since_ns) {
  const int64_t until_ns = std::min(idle_since_ns + spin_ns(), next_timer_ns());
  int64_t looked_ns = idle_since_ns;
  unsigned looks = 0;
  while (true) {
    turn();
    if (kj_loop().isRunnable() || drain()) return true;
    int64_t now_ns = boottime_ns();
    if (now_ns - looked_ns > kContended_ns) {
      policy_.contended();
      return false;
    }
    if (now_ns >= until_ns) return false;
    looked_ns = now_ns;
    yield_now_and_then(++looks);
  }
}

void UvEventPort::sleep() {
  sleeping_.store(true, std::memory_order_seq_cst);
  if (!drain()) {
    int64_t next_ns = next_timer_ns();
    bool due = false;
    if (next_ns != kNoDeadline) {
      int64_t left_ms = (next_ns - boottime_ns() + kNsPerMs - 1) / kNsPerMs;
      due = left_ms <= 0;
      uv_update_time(&loop_);
      // uv_run() runs due timers and then blocks: the callback has to stop it.
      uv_timer_start(
          &timer_, [](uv_timer_t* timer) { uv_stop(timer->loop); },
          static_cast<uint64_t>(std::clamp<int64_t>(left_ms, 0, kLongestSleep_ms)), 0);
    }
    uv_run(&loop_, due ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    if (next_ns != kNoDeadline) uv_timer_stop(&timer_);
  }
  sleeping_.store(false, std::memory_order_relaxed);
  drain();
}

bool UvEventPort::wait() {
  if (!drained_ && drain()) {
    drained_ = true;
    return false;
  }
  drained_ = false;
  run_flush_hooks();
  // What was flushed may be what a promise waits for.
  if (kj_loop().isRunnable()) return finish_look();
  int64_t idle_since_ns = boottime_ns();
  if (policy_.worth_it(spin_ns()) && spin(idle_since_ns)) {
    policy_.observed(boottime_ns() - idle_since_ns, false);
    return finish_look();
  }
  sleep();
  policy_.observed(boottime_ns() - idle_since_ns, true);
  return finish_look();
}

FdWatcher::FdWatcher(UvEventPort& port, int fd, Client& client)
    : port_(port), fd_(fd), client_(client), handle_(new uv_poll_t) {
  int status = uv_poll_init(port.uv(), handle_, fd);
  KJ_ASSERT(status == 0, "uv_poll_init", uv_strerror(status));
  handle_->data = this;
  port_.add_descriptor(fd);
}

FdWatcher::~FdWatcher() {
  port_.remove_descriptor(fd_);
  port_.note_watcher_change();
  uv_poll_stop(handle_);
  uv_close(reinterpret_cast<uv_handle_t*>(handle_),
           [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
}

void FdWatcher::arm(int events) {
  if (events == armed_) return;
  armed_ = events;
  port_.note_watcher_change();
  if (events == 0) {
    uv_poll_stop(handle_);
    return;
  }
  uv_poll_start(handle_, events, [](uv_poll_t* handle, int status, int ready) {
    auto* self = static_cast<FdWatcher*>(handle->data);
    if (status < 0) {
      // libuv has stopped the handle; the system calls will tell what is wrong.
      self->armed_ = 0;
      ready = UV_READABLE | UV_WRITABLE;
    }
    self->client_.on_ready((ready & (UV_READABLE | UV_DISCONNECT)) != 0,
                           (ready & UV_WRITABLE) != 0);
  });
}

}  // namespace myfs::uv_io
