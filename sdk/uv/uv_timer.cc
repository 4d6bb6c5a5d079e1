#include "sdk/uv/uv_timer.h"

#include "sdk/base/clock.h"

namespace myfs::uv_io {

Timer::Timer(EventPort& port, std::function<void()> fn) : port_(port), fn_(std::move(fn)) {}

void Timer::arm_at(int64_t deadline_ns) {
  disarm();
  if (deadline_ns == kNoDeadline) return;
  armed_ = true;
  pending_ = port_.timer()
                 .atTime(kj_time(deadline_ns))
                 .then([this] {
                   // A promise must not be destroyed by its own continuation: fn_ may arm again.
                   fired_ = kj::mv(pending_);
                   pending_ = nullptr;
                   armed_ = false;
                   fn_();
                 })
                 .eagerlyEvaluate(nullptr);
}

void Timer::arm_after(int64_t delay_ns) { arm_at(deadline_after_ns(delay_ns)); }

void Timer::disarm() {
  armed_ = false;
  pending_ = nullptr;
}

}  // namespace myfs::uv_io
