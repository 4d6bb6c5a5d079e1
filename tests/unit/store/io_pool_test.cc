#include "server/io_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <memory>
#include <vector>

namespace myfs::server {
namespace {

// A loop of one queue; turn() waits for a function and runs it.
class TestLoop {
 public:
  PostFn post_fn() {
    return [this](Job job) {
      MutexLock lock(mutex_);
      queue_.push_back(std::move(job));
      wake_.notify_all();
    };
  }
  void turn() {
    Job job;
    {
      MutexLock lock(mutex_);
      while (queue_.empty()) wake_.wait(mutex_);
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    job();
  }

 private:
  Mutex mutex_{LockRank::kUnranked};
  CondVar wake_;
  std::deque<Job> queue_ ABSL_GUARDED_BY(mutex_);
};

TEST(ThreadIoPool, work_runs_elsewhere_and_done_on_the_loop) {
  TestLoop loop;
  ThreadIoPool pool(3, loop.post_fn());
  std::atomic<int> worked{0};
  int done = 0;
  for (int i = 0; i < 100; ++i) {
    pool.run([&] { ++worked; }, [&] { ++done; });
  }
  while (done < 100) loop.turn();
  EXPECT_EQ(worked, 100);
}

TEST(ThreadIoPool, stop_drops_what_waits) {
  TestLoop loop;
  ThreadIoPool pool(1, loop.post_fn());
  Event started, release;
  pool.run(
      [&] {
        started.set();
        release.wait();
      },
      [] {});
  started.wait();
  // The one worker is busy until what waits behind it has been destroyed.
  std::shared_ptr<int> owned(new int(1), [&release](int* number) {
    delete number;
    release.set();
  });
  pool.run([owned] { FAIL(); }, [owned] { FAIL(); });
  owned.reset();
  pool.stop();
  pool.run([] { FAIL(); }, [] { FAIL(); });
}

TEST(ManualIoPool, runs_one_job_at_a_time_in_any_order) {
  ManualIoPool pool;
  std::vector<int> order;
  for (int i = 0; i < 3; ++i) {
    pool.run([] {}, [&order, i] { order.push_back(i); });
  }
  EXPECT_TRUE(pool.step(2));
  pool.run_all();
  EXPECT_EQ(order, (std::vector<int>{2, 0, 1}));
  EXPECT_FALSE(pool.step());
}

}  // namespace
}  // namespace myfs::server
