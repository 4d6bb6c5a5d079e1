#include "sdk/uv/loop.h"

#include <kj/debug.h>

#include <utility>

#include "sdk/base/clock.h"
#include "sdk/base/log.h"
#include "sdk/uv/fork_guard.h"
#include "sdk/uv/loop_impl.h"

namespace myfs::uv_io {

Result<std::unique_ptr<Loop>> Loop::create(Options options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  MYFS_TRY(impl->start());
  return std::unique_ptr<Loop>(new Loop(std::move(impl)));
}

Loop::Loop(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Loop::~Loop() {
  if (!impl_->same_process()) {
    impl_->abandon_in_child();
    (void)impl_.release();
    return;
  }
  (void)stop();
}

void Loop::post(Fn fn) { impl_->post(std::move(fn), nullptr); }
void Loop::submit(Fn fn) { impl_->submit(std::move(fn)); }

bool Loop::call(Fn fn, Event& done, int64_t deadline_ns) {
  impl_->enqueue(std::move(fn), &done);
  return impl_->wait_for(done, deadline_ns);
}

bool Loop::wait_for(Event& done, int64_t deadline_ns) { return impl_->wait_for(done, deadline_ns); }

void Loop::expect(int replies) { impl_->expect(replies); }

bool Loop::run_sync(Fn fn) {
  if (in_loop()) {
    fn();
    return true;
  }
  struct State {
    Event done;
    bool ran = false;
  } state;
  Fn wrapped = [&state, &fn] {
    fn();
    state.ran = true;
    state.done.set();
  };
  impl_->enqueue(std::move(wrapped), &state.done);
  (void)impl_->wait_for(state.done, kNoDeadline);
  return state.ran;
}

Errno Loop::stop() { return impl_->stop(); }
bool Loop::stopped() const { return impl_->stopped(); }
bool Loop::in_loop() const { return impl_->in_loop(); }
EventPort& Loop::port() { return impl_->port(); }
kj::TaskSet& Loop::tasks() { return impl_->tasks(); }
Loop::Stats Loop::stats() const { return impl_->stats(); }

}  // namespace myfs::uv_io
