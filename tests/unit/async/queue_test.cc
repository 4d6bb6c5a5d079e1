#include "sdk/async/queue.h"

#include <poll.h>
#include <pthread.h>

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "sdk/base/clock.h"

namespace myfs::async {
namespace {

// What became of one operation.
struct Fate {
  std::atomic<int> told{0};
  std::atomic<int> ended{0};  // by step, run or end
  std::atomic<int> unhooked{0};
  std::atomic<int> error{0};
  std::atomic<bool> ran{false};
};

// Does what the test says.
class FakeOp : public Op {
 public:
  FakeOp(Queue& queue, Fate& fate, int64_t deadline_ns = kNoDeadline)
      : Op(queue, token_, deadline_ns), fate_(fate) {}

  std::function<Progress(FakeOp&)> on_step = [](FakeOp&) { return Progress::kBlocked; };
  std::function<void(FakeOp&)> on_run = [](FakeOp&) {};
  std::function<void()> on_told = [] {};
  bool slow = false;
  CancelToken& own_token() { return token_; }

 private:
  Progress step() override {
    EXPECT_EQ(0, fate_.unhooked.load());
    const Progress progress = on_step(*this);
    if (progress == Progress::kDone) ++fate_.ended;
    return progress;
  }
  void run() override {
    fate_.ran.store(true);
    on_run(*this);
    ++fate_.ended;
  }
  void end(Errno error) override {
    fate_.error.store(error.value());
    ++fate_.ended;
  }
  void unhook() override { ++fate_.unhooked; }
  bool try_unhook() override {
    if (!slow) unhook();
    return !slow;
  }
  void deliver() override {
    on_told();
    ++fate_.told;
  }

  CancelToken token_;
  Fate& fate_;
};

class QueueTest : public testing::TestWithParam<Queue::Mode> {
 protected:
  void SetUp() override {
    executor_ = std::move(Executor::create()).value();
    make_queue(1);
  }
  void make_queue(unsigned workers) {
    queue_ = std::move(Queue::create(executor_, GetParam(), workers)).value();
  }
  FakeOp* start(std::unique_ptr<FakeOp> op) {
    FakeOp* raw = op.get();
    EXPECT_TRUE(queue_->enter().ok());
    queue_->start(std::move(op));
    queue_->leave();
    return raw;
  }
  void serve_until(const std::function<bool()>& done) {
    while (!done()) {
      if (GetParam() == Queue::Mode::kThread) {
        std::this_thread::yield();
        continue;
      }
      pollfd fd{queue_->fd(), POLLIN, 0};
      ASSERT_EQ(1, ::poll(&fd, 1, 60'000));
      ASSERT_GT(*queue_->serve(10), 0);
    }
  }
  void expect_told(Fate& fate) {
    serve_until([&] { return fate.told.load() > 0; });
    EXPECT_EQ(1, fate.told.load());
    EXPECT_EQ(1, fate.ended.load());
    EXPECT_EQ(1, fate.unhooked.load());
  }

  std::shared_ptr<Executor> executor_;
  std::unique_ptr<Queue> queue_;
};

INSTANTIATE_TEST_SUITE_P(Callbacks, QueueTest,
                         testing::Values(Queue::Mode::kServed, Queue::Mode::kThread),
                         [](const auto& info) {
                           return info.param == Queue::Mode::kServed ? "Served" : "Thread";
                         });

TEST_P(QueueTest, WhatIsDoneAtOnceNeedsNoWorker) {
  Fate fate;
  auto op = std::make_unique<FakeOp>(*queue_, fate);
  op->on_step = [](FakeOp&) { return Op::Progress::kDone; };
  start(std::move(op));
  expect_told(fate);
  EXPECT_FALSE(fate.ran.load());
  EXPECT_EQ(0u, executor_->workers());
}

TEST_P(QueueTest, WhatWaitsRunsOnAWorker) {
  Fate fate;
  start(std::make_unique<FakeOp>(*queue_, fate));
  expect_told(fate);
  EXPECT_TRUE(fate.ran.load());
  EXPECT_EQ(1u, executor_->workers());
}

TEST_P(QueueTest, WhatIsParkedGoesOnWhenItIsWoken) {
  Fate fate;
  std::atomic<int> steps{0};
  auto op = std::make_unique<FakeOp>(*queue_, fate);
  op->on_step = [&steps](FakeOp&) {
    return ++steps < 3 ? Op::Progress::kParked : Op::Progress::kDone;
  };
  FakeOp* parked = start(std::move(op));
  EXPECT_EQ(1, steps.load());
  parked->wake();
  while (steps.load() < 2) std::this_thread::yield();
  EXPECT_EQ(0, fate.ended.load());
  parked->wake();  // the last one: nobody else keeps it from going
  expect_told(fate);
}

TEST_P(QueueTest, AWakeDuringAStepIsNotLost) {
  Fate fate;
  int steps = 0;
  auto op = std::make_unique<FakeOp>(*queue_, fate);
  op->on_step = [&steps](FakeOp& self) {
    self.wake();
    self.wake();
    return ++steps < 5 ? Op::Progress::kParked : Op::Progress::kDone;
  };
  start(std::move(op));
  EXPECT_EQ(5, steps);
  expect_told(fate);
}

TEST_P(QueueTest, CancelEndsWhatIsParkedQueuedOrRunning) {
  Fate parked, running, queued;
  // Whoever cancels keeps the operation from ending before he is done: there is no hook here.
  Event began, may_end;
  auto op = std::make_unique<FakeOp>(*queue_, parked);
  op->on_step = [](FakeOp&) { return Op::Progress::kParked; };
  FakeOp* first = start(std::move(op));
  op = std::make_unique<FakeOp>(*queue_, running);
  op->on_run = [&](FakeOp& self) {
    Event cancelled;
    CancelToken::Listener listener(&self.own_token(), [&] { cancelled.set(); });
    began.set();
    cancelled.wait();
    may_end.wait();
  };
  FakeOp* second = start(std::move(op));
  began.wait();
  FakeOp* third = start(std::make_unique<FakeOp>(*queue_, queued));
  EXPECT_EQ(0, parked.ended.load() + running.ended.load() + queued.ended.load());
  third->cancel();
  expect_told(queued);
  EXPECT_EQ(ECANCELED, queued.error.load());
  EXPECT_FALSE(queued.ran.load());
  first->cancel();
  expect_told(parked);
  EXPECT_EQ(ECANCELED, parked.error.load());
  second->cancel();
  may_end.set();
  expect_told(running);
  EXPECT_EQ(0, running.error.load());
}

TEST_P(QueueTest, ADeadlineEndsWhatIsParkedOrQueued) {
  Fate parked, running, queued;
  Event began, go;
  auto op = std::make_unique<FakeOp>(*queue_, running);
  op->on_run = [&](FakeOp&) {
    began.set();
    go.wait();
  };
  start(std::move(op));
  began.wait();
  const int64_t soon_ns = boottime_ns() + 5 * kNsPerMs;
  op = std::make_unique<FakeOp>(*queue_, parked, soon_ns);
  op->on_step = [](FakeOp&) { return Op::Progress::kParked; };
  start(std::move(op));
  start(std::make_unique<FakeOp>(*queue_, queued, soon_ns));
  expect_told(parked);
  expect_told(queued);
  EXPECT_EQ(ETIMEDOUT, parked.error.load());
  EXPECT_EQ(ETIMEDOUT, queued.error.load());
  EXPECT_FALSE(queued.ran.load());
  EXPECT_EQ(0, running.told.load());
  go.set();
  expect_told(running);
}

TEST_P(QueueTest, ADeadlineThatHasPassedEndsItBeforeItsFirstStep) {
  Fate fate;
  auto op = std::make_unique<FakeOp>(*queue_, fate, boottime_ns());
  op->on_step = [](FakeOp&) -> Op::Progress {
    ADD_FAILURE();
    return Op::Progress::kDone;
  };
  start(std::move(op));
  expect_told(fate);
  EXPECT_EQ(ETIMEDOUT, fate.error.load());
}

TEST_P(QueueTest, WhatIsSlowToLetGoOfDoesSoOnAWorker) {
  Fate fate;
  auto op = std::make_unique<FakeOp>(*queue_, fate);
  op->on_step = [](FakeOp&) { return Op::Progress::kDone; };
  op->slow = true;
  start(std::move(op));
  expect_told(fate);
  EXPECT_FALSE(fate.ran.load());
  EXPECT_EQ(1u, executor_->workers());
}

TEST_P(QueueTest, WorkersAreBoundedByTheLargestThatIsAskedFor) {
  constexpr int kOps = 20;
  std::unique_ptr<Queue> more = std::move(Queue::create(executor_, GetParam(), 3)).value();
  std::deque<Fate> fates(kOps);
  std::atomic<int> at_once{0}, most{0};
  for (Fate& fate : fates) {
    auto op = std::make_unique<FakeOp>(*queue_, fate);
    op->on_run = [&](FakeOp&) {
      const int now = ++at_once;
      for (int seen = most.load(); seen < now && !most.compare_exchange_weak(seen, now);) {
      }
      std::this_thread::yield();
      --at_once;
    };
    start(std::move(op));
  }
  for (Fate& fate : fates) expect_told(fate);
  EXPECT_LE(most.load(), 3);
  EXPECT_LE(executor_->workers(), 3u);
}

TEST_P(QueueTest, CloseEndsEverythingAndDrainTellsIt) {
  std::deque<Fate> fates(60);
  size_t i = 0;
  for (Fate& fate : fates) {
    auto op = std::make_unique<FakeOp>(*queue_, fate);
    if (i % 3 == 0) op->on_step = [](FakeOp&) { return Op::Progress::kParked; };
    if (i % 3 == 1) op->on_step = [](FakeOp&) { return Op::Progress::kDone; };
    op->on_run = [](FakeOp& self) {
      while (!self.cancelled()) std::this_thread::yield();
    };
    ++i;
    start(std::move(op));
  }
  queue_->close();
  EXPECT_EQ(Errno(ESTALE), queue_->enter());
  for (Fate& fate : fates) EXPECT_EQ(1, fate.ended.load());
  queue_->close();  // again
  queue_->drain();
  for (Fate& fate : fates) {
    EXPECT_EQ(1, fate.told.load());
    EXPECT_EQ(1, fate.unhooked.load());
  }
}

TEST_P(QueueTest, WhatIsSubmittedWhileItClosesIsToldOrRefused) {
  for (int round = 0; round < 100; ++round) {
    std::deque<Fate> fates(20);
    std::atomic<size_t> accepted{0};
    std::thread submitter([&] {
      for (Fate& fate : fates) {
        if (!queue_->enter().ok()) return;
        auto op = std::make_unique<FakeOp>(*queue_, fate);
        op->on_step = [](FakeOp&) { return Op::Progress::kParked; };
        queue_->start(std::move(op));
        queue_->leave();
        ++accepted;
      }
    });
    queue_->close();
    submitter.join();
    queue_->drain();
    size_t told = 0;
    for (Fate& fate : fates) told += static_cast<size_t>(fate.told.load());
    EXPECT_EQ(accepted.load(), told);
    make_queue(1);
  }
}

TEST_P(QueueTest, ManyThreadsWakeCancelAndServe) {
  constexpr int kOps = 2000;
  make_queue(4);
  std::deque<Fate> fates(kOps);
  std::deque<std::atomic<FakeOp*>> live(kOps);
  std::atomic<bool> stop{false};
  Mutex mutex{LockRank::kUnranked};  // against the end of an operation that is woken
  auto disturb = [&](bool cancel) {
    uint64_t x = cancel ? 88172645463325252u : 2463534242u;
    while (!stop.load()) {
      x ^= x << 13, x ^= x >> 7, x ^= x << 17;
      MutexLock lock(mutex);
      FakeOp* op = live[x % kOps].load();
      if (op == nullptr) continue;
      if (cancel) {
        op->cancel();
      } else {
        op->wake();
      }
    }
  };
  std::thread waker(disturb, false), canceller(disturb, true);
  for (size_t i = 0; i < kOps; ++i) {
    auto op = std::make_unique<FakeOp>(*queue_, fates[i],
                                       i % 5 == 0 ? boottime_ns() + kNsPerMs : kNoDeadline);
    auto steps = std::make_shared<int>(0);
    op->on_step = [steps, i](FakeOp&) {
      if (i % 3 == 0) return Op::Progress::kBlocked;
      return ++*steps < 3 ? Op::Progress::kParked : Op::Progress::kDone;
    };
    op->on_told = [&, i] {
      MutexLock lock(mutex);
      live[i].store(nullptr);
    };
    live[i].store(op.get());
    ASSERT_TRUE(queue_->enter().ok());
    queue_->start(std::move(op));
    queue_->leave();
  }
  size_t told = 0;
  serve_until([&] {
    while (told < fates.size() && fates[told].told.load() != 0) ++told;
    return told == fates.size();
  });
  stop.store(true);
  waker.join();
  canceller.join();
  for (Fate& fate : fates) {
    EXPECT_EQ(1, fate.ended.load());
    EXPECT_EQ(1, fate.unhooked.load());
  }
}

TEST_P(QueueTest, WorkersBeyondTheBoundLeave) {
  constexpr unsigned kMore = 5;
  std::unique_ptr<Queue> more = std::move(Queue::create(executor_, GetParam(), kMore)).value();
  std::deque<Fate> fates(kMore);
  std::atomic<unsigned> running{0};
  Event go;
  for (Fate& fate : fates) {
    auto op = std::make_unique<FakeOp>(*queue_, fate);
    op->on_run = [&](FakeOp&) {
      ++running;
      go.wait();
    };
    start(std::move(op));
  }
  while (running.load() < kMore) std::this_thread::yield();
  EXPECT_EQ(kMore, executor_->workers());
  // Those that wait leave at once, those that are busy afterwards.
  more.reset();
  go.set();
  for (Fate& fate : fates) expect_told(fate);
  const int64_t until_ns = boottime_ns() + 60'000 * kNsPerMs;
  while (executor_->workers() > 1 && boottime_ns() < until_ns) std::this_thread::yield();
  EXPECT_EQ(1u, executor_->workers());
  Fate last;
  start(std::make_unique<FakeOp>(*queue_, last));
  expect_told(last);
  EXPECT_TRUE(last.ran.load());
}

// Threads whose stack is larger than the address space cannot be had.
class NoThreads {
 public:
  NoThreads() {
    pthread_getattr_default_np(&old_);
    pthread_attr_t huge;
    pthread_attr_init(&huge);
    pthread_attr_setstacksize(&huge, size_t{1} << 50);
    pthread_setattr_default_np(&huge);
    pthread_attr_destroy(&huge);
  }
  ~NoThreads() {
    pthread_setattr_default_np(&old_);
    pthread_attr_destroy(&old_);
  }

 private:
  pthread_attr_t old_;
};

TEST_P(QueueTest, WithoutAThreadToBeHadEachIsToldAllTheSame) {
  constexpr int kThreads = 4, kEach = 2000;
  std::deque<Fate> fates(kThreads * kEach);
  std::vector<Thread> threads;
  Event go;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back("submitter", [&, t] {
      go.wait();
      for (int i = 0; i < kEach; ++i) {
        start(std::make_unique<FakeOp>(*queue_, fates[static_cast<size_t>(t * kEach + i)]));
      }
    });
  }
  {
    const NoThreads none;
    go.set();
    for (Thread& thread : threads) thread.join();
  }
  for (Fate& fate : fates) ASSERT_EQ(1, fate.unhooked.load());
  EXPECT_EQ(0u, executor_->workers());
  for (Fate& fate : fates) expect_told(fate);
}

using ServedQueue = QueueTest;
INSTANTIATE_TEST_SUITE_P(Only, ServedQueue, testing::Values(Queue::Mode::kServed));

TEST_P(ServedQueue, ServingFromACallbackIsRefused) {
  Fate fate;
  auto op = std::make_unique<FakeOp>(*queue_, fate);
  Errno error;
  op->on_told = [&] {
    if (GetParam() == Queue::Mode::kServed) error = queue_->serve(1).error();
    EXPECT_TRUE(queue_->in_callback());
  };
  start(std::move(op));
  expect_told(fate);
  EXPECT_EQ(Errno(EDEADLK), error);
  EXPECT_FALSE(queue_->in_callback());
}

TEST_P(ServedQueue, ServingFromACallbackThroughAnotherQueueIsRefused) {
  std::unique_ptr<Queue> inner = std::move(Queue::create(executor_, GetParam(), 1)).value();
  Fate outer_fate, inner_fate;
  auto outer_op = std::make_unique<FakeOp>(*queue_, outer_fate);
  auto inner_op = std::make_unique<FakeOp>(*inner, inner_fate);
  for (FakeOp* op : {outer_op.get(), inner_op.get()}) {
    op->on_step = [](FakeOp&) { return Op::Progress::kDone; };
  }
  Errno error;
  outer_op->on_told = [&] { EXPECT_EQ(1, *inner->serve(1)); };
  inner_op->on_told = [&] {
    error = queue_->serve(1).error();
    EXPECT_TRUE(queue_->in_callback());
    EXPECT_TRUE(inner->in_callback());
  };
  ASSERT_TRUE(inner->enter().ok());
  inner->start(std::move(inner_op));
  inner->leave();
  start(std::move(outer_op));
  expect_told(outer_fate);
  EXPECT_EQ(1, inner_fate.told.load());
  EXPECT_EQ(Errno(EDEADLK), error);
  EXPECT_FALSE(queue_->in_callback());
}

}  // namespace
}  // namespace myfs::async
