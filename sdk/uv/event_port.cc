#include "sdk/uv/event_port.h"

#include "sdk/base/clock.h"

namespace myfs::uv_io {

EventPort::EventPort() : timers_(kj_time(boottime_ns())) {
  kj_loop_ = std::make_unique<kj::EventLoop>(*this);
}

EventPort::~EventPort() noexcept(false) {}

void EventPort::flush_soon(FlushHook& hook) {
  if (hook.flush_queued_) return;
  hook.flush_queued_ = true;
  flush_queue_.push_back(&hook);
}

void EventPort::forget(FlushHook& hook) {
  if (!hook.flush_queued_) return;
  hook.flush_queued_ = false;
  for (FlushHook*& slot : flush_queue_) {
    if (slot == &hook) slot = nullptr;
  }
  for (FlushHook*& slot : flushing_) {
    if (slot == &hook) slot = nullptr;
  }
}

void EventPort::run_flush_hooks() {
  if (flush_queue_.empty()) return;
  flushing_.swap(flush_queue_);
  // By index: a hook may destroy another one, which then nulls its slot.
  for (size_t i = 0; i < flushing_.size(); ++i) {
    FlushHook* hook = flushing_[i];
    if (hook == nullptr) continue;
    flushing_[i] = nullptr;
    hook->flush_queued_ = false;
    hook->flush();
  }
  flushing_.clear();
}

void EventPort::advance_timers() { timers_.advanceTo(kj_time(boottime_ns())); }

int64_t EventPort::next_timer_ns() {
  KJ_IF_MAYBE (when, timers_.nextEvent()) {
    return (*when - kj::origin<kj::TimePoint>()) / kj::NANOSECONDS;
  }
  return kNoDeadline;
}

}  // namespace myfs::uv_io
