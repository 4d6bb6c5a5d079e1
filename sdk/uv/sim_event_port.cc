#include "sdk/uv/sim_event_port.h"

#include <algorithm>

#include "sdk/base/clock.h"

namespace myfs::uv_io {

void SimEventPort::remove_source(Source& source) {
  // In place: take_in() of one source may remove another.
  std::replace(sources_.begin(), sources_.end(), &source, static_cast<Source*>(nullptr));
}

int64_t SimEventPort::next_timer_ns() {
  int64_t next = EventPort::next_timer_ns();
  for (Source* source : sources_) {
    if (source != nullptr) next = std::min(next, source->next_ns());
  }
  return next;
}

bool SimEventPort::look() {
  drain();
  run_flush_hooks();
  int64_t now = boottime_ns();
  for (size_t i = 0; i < sources_.size(); ++i) {
    if (sources_[i] != nullptr) sources_[i]->take_in(now);
  }
  std::erase(sources_, nullptr);
  advance_timers();
  return woken_.exchange(false, std::memory_order_acquire);
}

bool SimEventPort::poll() { return look(); }

bool SimEventPort::wait() {
  arm_kick();
  if (look()) return true;
  if (kj_loop().isRunnable()) return false;
  sleep();
  return look();
}

void SimEventPort::sleep() {
  const int64_t wake_ns = next_timer_ns();
  if (kicked_.load(std::memory_order_relaxed)) return;
  if (SimHooks* hooks = sim_hooks(); hooks != nullptr) hooks->wait(this, wake_ns);
}

void SimEventPort::wake() const {
  woken_.store(true, std::memory_order_release);
  kick();
}

void SimEventPort::kick() const {
  kicked_.store(true, std::memory_order_relaxed);
  if (SimHooks* hooks = g_sim_hooks.load(std::memory_order_relaxed); hooks != nullptr) {
    hooks->wake_all(this);
  }
}

}  // namespace myfs::uv_io
