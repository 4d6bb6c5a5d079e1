#include "sdk/async/queue.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cassert>
#include <system_error>
#include <utility>

namespace myfs::async {
namespace {

// Whose callbacks the thread is in: a callback may serve another queue.
struct Callback {
  const Queue* queue;
  const Callback* outer;
};
constinit thread_local const Callback* t_callback = nullptr;

}  // namespace

Queue::Queue(std::shared_ptr<Executor> executor, Mode mode, unsigned workers)
    : executor_(std::move(executor)), mode_(mode), workers_(workers) {
  executor_->add_bound(workers_);
}

Result<std::unique_ptr<Queue>> Queue::create(std::shared_ptr<Executor> executor, Mode mode,
                                             unsigned workers) {
  std::unique_ptr<Queue> made(new Queue(std::move(executor), mode, workers));
  if (mode == Mode::kServed) {
    made->event_fd_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (made->event_fd_ < 0) return Errno(errno);
    return made;
  }
  try {
    made->thread_ = Thread("myfs-callback", [queue = made.get()] { queue->run_callbacks(); });
  } catch (const std::system_error&) {
    return Errno(EAGAIN);
  }
  return made;
}

Queue::~Queue() {
  close();
  drain();
  executor_->remove_bound(workers_);
  if (event_fd_ >= 0) ::close(event_fd_);
}

// --- submissions

Errno Queue::enter() {
  active_.fetch_add(1, std::memory_order_seq_cst);
  const bool closed = closed_.load(std::memory_order_seq_cst);
  if (!closed && held_.load(std::memory_order_relaxed) < kOpsMax) return Errno();
  leave();
  return Errno(closed ? ESTALE : EAGAIN);
}

void Queue::leave() {
  if (active_.fetch_sub(1, std::memory_order_seq_cst) != 1) return;
  // Who closes waits for this.
  MutexLock lock(mutex_);
  idle_now_ = true;
  idle_.notify_all();
}

void Queue::start(std::unique_ptr<Op> owned) {
  Op& op = *owned.release();
  held_.fetch_add(1, std::memory_order_relaxed);
  active_.fetch_add(1, std::memory_order_relaxed);
  {
    MutexLock lock(mutex_);
    op.flight_next_ = flight_;
    if (flight_ != nullptr) flight_->flight_prev_ = &op;
    flight_ = &op;
    // Who closes has not seen it.
    if (closed_.load(std::memory_order_seq_cst)) op.token_.cancel();
  }
  executor_->start(op);
}

void Queue::completed(std::unique_ptr<Op> op) {
  held_.fetch_add(1, std::memory_order_relaxed);
  push(*op.release(), false);
}

void Queue::ended(Op& op) {
  push(op, true);
  leave();
}

// --- completions

void Queue::push(Op& op, bool in_flight) {
  MutexLock lock(mutex_);
  if (in_flight) {
    (op.flight_prev_ != nullptr ? op.flight_prev_->flight_next_ : flight_) = op.flight_next_;
    if (op.flight_next_ != nullptr) op.flight_next_->flight_prev_ = op.flight_prev_;
  }
  completions_.push_back(&op);
  if (completions_.size() > 1) return;
  if (mode_ == Mode::kThread) {
    arrived_.notify_one();
  } else {
    const uint64_t one = 1;
    (void)!::write(event_fd_, &one, sizeof one);
  }
}

Op* Queue::pop() {
  MutexLock lock(mutex_);
  if (completions_.empty()) return nullptr;
  Op* op = completions_.front();
  completions_.pop_front();
  if (completions_.empty() && mode_ == Mode::kServed) {
    uint64_t count;
    (void)!::read(event_fd_, &count, sizeof count);
  }
  return op;
}

bool Queue::in_callback() const {
  const Callback* inner = t_callback;
  while (inner != nullptr && inner->queue != this) inner = inner->outer;
  return inner != nullptr;
}

void Queue::deliver(Op* op) {
  const Callback callback{this, t_callback};
  t_callback = &callback;
  op->deliver();
  t_callback = callback.outer;
  delete op;
  held_.fetch_sub(1, std::memory_order_relaxed);
}

Result<int> Queue::serve(int max) {
  if (in_callback()) return Errno(EDEADLK);
  int served = 0;
  for (Op* op; served < max && (op = pop()) != nullptr; ++served) deliver(op);
  return served;
}

void Queue::run_callbacks() {
  mutex_.lock();
  while (true) {
    if (completions_.empty()) {
      if (stopping_) break;
      arrived_.wait(mutex_);
      continue;
    }
    Op* op = completions_.front();
    completions_.pop_front();
    mutex_.unlock();
    deliver(op);
    mutex_.lock();
  }
  mutex_.unlock();
}

// --- the end

void Queue::close() {
  const bool first = !closed_.exchange(true, std::memory_order_seq_cst);
  {
    MutexLock lock(mutex_);
    for (Op* op = flight_; op != nullptr; op = op->flight_next_) op->cancel();
  }
  if (first) leave();
  MutexLock lock(mutex_);
  while (!idle_now_) idle_.wait(mutex_);
}

void Queue::drain() {
  assert(!in_callback());
  if (mode_ == Mode::kServed) {
    while (Op* op = pop()) deliver(op);
    return;
  }
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    arrived_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
}

}  // namespace myfs::async
