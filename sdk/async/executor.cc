#include "sdk/async/executor.h"

#include <cassert>
#include <string>
#include <system_error>

#include "sdk/async/queue.h"
#include "sdk/base/clock.h"

namespace myfs::async {

void Op::wake() { queue_.executor().wake(*this); }

void Op::cancel() {
  token_.cancel();
  wake();
}

namespace {

// EAGAIN: the system has none to give.
Result<Thread> make_thread(std::string name, std::function<void()> body) {
  try {
    return Thread(std::move(name), std::move(body));
  } catch (const std::system_error& error) {
    return Errno(EAGAIN);
  }
}

}  // namespace

Result<std::unique_ptr<Executor>> Executor::create() {
  std::unique_ptr<Executor> made(new Executor);
  MYFS_ASSIGN(made->stepper_, make_thread("myfs-async", [e = made.get()] { e->run_steps(); }));
  return made;
}

Executor::~Executor() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    steps_.notify_all();
    work_.notify_all();
  }
  // First: it may be starting a worker.
  if (stepper_.joinable()) stepper_.join();
  std::list<Thread> workers;
  {
    MutexLock lock(mutex_);
    workers.swap(workers_);
    workers.splice(workers.end(), left_);
  }
  for (Thread& worker : workers) worker.join();
}

void Executor::add_bound(unsigned workers) {
  assert(workers >= 1 && workers <= kWorkersMax);
  MutexLock lock(mutex_);
  bounds_.insert(workers);
}

void Executor::remove_bound(unsigned workers) {
  {
    MutexLock lock(mutex_);
    bounds_.erase(bounds_.find(workers));
    if (too_many_locked()) work_.notify_all();
  }
  reap();
}

unsigned Executor::bound_locked() const { return bounds_.empty() ? 1 : *bounds_.rbegin(); }

bool Executor::too_many_locked() const { return running_ > bound_locked(); }

void Executor::reap() {
  std::list<Thread> left;
  {
    MutexLock lock(mutex_);
    left.swap(left_);
  }
  for (Thread& worker : left) worker.join();
}

unsigned Executor::workers() const {
  MutexLock lock(mutex_);
  return running_;
}

// --- an operation in the hands of this thread

void Executor::start(Op& op) {
  if (op.deadline_ns_ != kNoDeadline) {
    MutexLock lock(mutex_);
    deadlines_.emplace(op.deadline_ns_, &op);
    op.timed_ = true;
    if (stepper_sleeps_) steps_.notify_one();
  }
  advance(op);
}

bool Executor::give_up(Op& op) {
  if (op.cancelled()) {
    op.end(Errno(ECANCELED));
  } else if (op.deadline_ns_ != kNoDeadline && boottime_ns() >= op.deadline_ns_) {
    op.end(Errno(ETIMEDOUT));
  } else {
    return false;
  }
  return true;
}

void Executor::advance(Op& op) {
  do {
    if (!give_up(op)) {
      switch (op.step()) {
        case Op::Progress::kParked:
          continue;
        case Op::Progress::kBlocked:
          return queue_for_worker(op, false);
        case Op::Progress::kDone:
          break;
      }
    }
    if (!op.try_unhook()) return queue_for_worker(op, true);
    return finish(op);
  } while (!park(op));
}

bool Executor::park(Op& op) {
  MutexLock lock(mutex_);
  if (op.state_ == State::kWoken) {
    op.state_ = State::kStepping;
    return false;
  }
  op.state_ = State::kParked;
  return true;
}

void Executor::finish(Op& op) {
  {
    MutexLock lock(mutex_);
    forget_deadline_locked(op);
    op.state_ = State::kEnded;
  }
  op.queue_.ended(op);
}

void Executor::queue_for_worker(Op& op, bool finishes) {
  bool start = false;
  {
    MutexLock lock(mutex_);
    // Perhaps it was cancelled, or its time is up: nobody else would look.
    if (op.state_ == State::kWoken && !finishes) return ready_locked(op);
    op.finishes_ = finishes;
    op.state_ = State::kQueued;
    link_locked(op);
    // An idle one that was told of another operation may not come back from it.
    if (queued_ <= idle_) {
      work_.notify_one();
    } else if (running_ < bound_locked()) {
      ++running_;
      start = true;
    }
  }
  if (start) start_worker();
}

// --- waking

void Executor::wake(Op& op) {
  MutexLock lock(mutex_);
  switch (op.state_) {
    case State::kStepping:
      op.state_ = State::kWoken;
      break;
    case State::kParked:
      ready_locked(op);
      break;
    case State::kQueued:
      if (op.finishes_ || !op.cancelled()) break;
      unlink_locked(op);
      ready_locked(op);
      break;
    case State::kWoken:
    case State::kReady:
    case State::kRunning:
    case State::kEnded:
      break;
  }
}

void Executor::ready_locked(Op& op) {
  op.state_ = State::kReady;
  ready_.push_back(&op);
  if (stepper_sleeps_) steps_.notify_one();
}

void Executor::expire_locked() {
  if (deadlines_.empty()) return;
  const int64_t now_ns = boottime_ns();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now_ns) {
    Op& op = *deadlines_.begin()->second;
    forget_deadline_locked(op);
    if (op.state_ == State::kQueued && !op.finishes_) {
      unlink_locked(op);
      ready_locked(op);
    } else if (op.state_ == State::kParked) {
      ready_locked(op);
    } else if (op.state_ == State::kStepping) {
      op.state_ = State::kWoken;
    }
  }
}

void Executor::forget_deadline_locked(Op& op) {
  if (!op.timed_) return;
  deadlines_.erase({op.deadline_ns_, &op});
  op.timed_ = false;
}

void Executor::link_locked(Op& op) {
  op.prev_ = last_;
  op.next_ = nullptr;
  (last_ != nullptr ? last_->next_ : first_) = &op;
  last_ = &op;
  ++queued_;
}

void Executor::unlink_locked(Op& op) {
  (op.prev_ != nullptr ? op.prev_->next_ : first_) = op.next_;
  (op.next_ != nullptr ? op.next_->prev_ : last_) = op.prev_;
  op.prev_ = op.next_ = nullptr;
  --queued_;
}

// --- the threads

void Executor::run_steps() {
  mutex_.lock();
  while (true) {
    expire_locked();
    if (ready_.empty()) {
      if (stopping_) break;
      stepper_sleeps_ = true;
      (void)steps_.wait_until(mutex_, deadlines_.empty() ? kNoDeadline : deadlines_.begin()->first);
      stepper_sleeps_ = false;
      continue;
    }
    Op& op = *ready_.front();
    ready_.pop_front();
    op.state_ = State::kStepping;
    mutex_.unlock();
    advance(op);
    mutex_.lock();
  }
  mutex_.unlock();
}

Op* Executor::take_queued_locked() {
  Op* op = first_;
  if (op == nullptr) return nullptr;
  unlink_locked(*op);
  op->state_ = State::kRunning;
  forget_deadline_locked(*op);
  return op;
}

void Executor::work(Op& op) {
  if (!op.finishes_ && !give_up(op)) op.run();
  op.unhook();
  finish(op);
}

void Executor::run_worker(std::list<Thread>::iterator self) {
  mutex_.lock();
  while (stopping_ || !too_many_locked()) {
    Op* op = take_queued_locked();
    if (op == nullptr) {
      if (stopping_) break;
      ++idle_;
      work_.wait(mutex_);
      --idle_;
      continue;
    }
    mutex_.unlock();
    work(*op);
    mutex_.lock();
  }
  --running_;
  if (!stopping_) {
    // What it was told of is for another one.
    if (queued_ > 0) work_.notify_one();
    left_.splice(left_.end(), workers_, self);
  }
  mutex_.unlock();
}

// Without a thread to be had those that there are go on. If there is none, this one does all of it:
// who queued something meanwhile has relied on the one that did not come.
void Executor::start_worker() {
  reap();
  std::list<Thread> made(1);
  const auto self = made.begin();
  {
    MutexLock lock(mutex_);
    workers_.splice(workers_.end(), made);
  }
  // It does not leave before it is entered.
  const auto entered = std::make_shared<Event>();
  Result<Thread> thread = make_thread("myfs-worker", [this, self, entered] {
    entered->wait();
    run_worker(self);
  });
  mutex_.lock();
  if (thread.ok()) {
    *self = std::move(thread).value();
    mutex_.unlock();
    entered->set();
    return;
  }
  workers_.erase(self);
  --running_;
  while (running_ == 0) {
    Op* op = take_queued_locked();
    if (op == nullptr) break;
    mutex_.unlock();
    work(*op);
    mutex_.lock();
  }
  mutex_.unlock();
}

}  // namespace myfs::async
