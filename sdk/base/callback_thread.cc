#include "sdk/base/callback_thread.h"

#include <utility>
#include <vector>

namespace myfs {

namespace {

thread_local const void* t_inside = nullptr;  // the State of the thread, if it is one of these

// Threads that were stopped by what they called, to be joined by who comes next.
struct SelfStopped {
  Mutex mutex{LockRank::kSession};
  std::vector<std::unique_ptr<Thread>> threads ABSL_GUARDED_BY(mutex);
};
SelfStopped& self_stopped() {
  static auto* const all = new SelfStopped;
  return *all;
}

}  // namespace

struct CallbackThread::State {
  Mutex mutex{LockRank::kSession};
  CondVar wake, ran;
  std::deque<Work> queue ABSL_GUARDED_BY(mutex);
  uint64_t posted ABSL_GUARDED_BY(mutex) = 0, done ABSL_GUARDED_BY(mutex) = 0;
  bool stopping ABSL_GUARDED_BY(mutex) = false;
  std::unique_ptr<Thread> thread ABSL_GUARDED_BY(mutex);
};

CallbackThread::CallbackThread() : state_(std::make_shared<State>()) {}

bool CallbackThread::inside() { return t_inside != nullptr; }

bool CallbackThread::is_current() const { return t_inside == state_.get(); }

void CallbackThread::post(Work work) {
  State& state = *state_;
  MutexLock lock(state.mutex);
  if (state.stopping) return;
  state.queue.push_back(std::move(work));
  ++state.posted;
  if (state.thread == nullptr) {
    state.thread = std::make_unique<Thread>("myfs-callback", [keep = state_] { run(keep); });
  }
  state.wake.notify_one();
}

void CallbackThread::run(const std::shared_ptr<State>& keep) {
  State& state = *keep;
  t_inside = &state;
  MutexLock lock(state.mutex);
  while (true) {
    while (state.queue.empty() && !state.stopping) state.wake.wait(state.mutex);
    if (state.queue.empty()) return;
    Work work = std::move(state.queue.front());
    state.queue.pop_front();
    state.mutex.unlock();
    work();
    work = nullptr;  // what it holds goes without the lock
    state.mutex.lock();
    ++state.done;
    state.ran.notify_all();
  }
}

void CallbackThread::drain() {
  if (inside()) return;
  State& state = *state_;
  MutexLock lock(state.mutex);
  for (const uint64_t last = state.posted; state.done < last;) state.ran.wait(state.mutex);
}

void CallbackThread::stop() {
  State& state = *state_;
  std::unique_ptr<Thread> thread;
  {
    MutexLock lock(state.mutex);
    state.stopping = true;
    state.wake.notify_all();
    thread = std::move(state.thread);
  }
  SelfStopped& others = self_stopped();
  std::vector<std::unique_ptr<Thread>> ended;  // joined on the way out
  MutexLock lock(others.mutex);
  if (inside()) {
    if (thread != nullptr) others.threads.push_back(std::move(thread));
    return;
  }
  ended.swap(others.threads);
  ended.push_back(std::move(thread));
}

}  // namespace myfs
