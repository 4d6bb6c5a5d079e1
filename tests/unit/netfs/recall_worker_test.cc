#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <vector>

#include "sdk/base/clock.h"
#include "sdk/netfs/recall.h"

namespace myfs::netfs {
namespace {

TEST(RecallWorker, WorkThatBlocksDoesNotHoldUpOtherWork) {
  RecallWorker worker;
  Event gate, done;
  std::atomic<int> started{0};
  Event all_started;
  for (int i = 0; i < 5; ++i) {
    worker.post([&] {
      if (started.fetch_add(1) == 4) all_started.set();
      gate.wait();
    });
  }
  worker.post([&] { done.set(); });
  EXPECT_TRUE(done.wait_until(deadline_after_ns(10 * kNsPerSec)));
  EXPECT_TRUE(all_started.wait_until(deadline_after_ns(10 * kNsPerSec)));
  gate.set();
  worker.stop();
}

TEST(RecallWorker, DrainWaitsForWorkUnderWay) {
  RecallWorker worker;
  std::atomic<int> ran{0};
  for (int i = 0; i < 100; ++i) worker.post([&] { ran.fetch_add(1); });
  EXPECT_TRUE(worker.drain(deadline_after_ns(10 * kNsPerSec)));
  EXPECT_EQ(100, ran.load());
}

TEST(RecallWorker, LaterWorkRunsInTheOrderOfItsTimes) {
  RecallWorker worker;
  Event done;
  std::vector<int> order;
  const int64_t now = boottime_ns();
  worker.post_at(now + 20 * kNsPerMs, [&] {
    order.push_back(2);
    done.set();
  });
  worker.post_at(now + 5 * kNsPerMs, [&] { order.push_back(1); });
  EXPECT_TRUE(done.wait_until(deadline_after_ns(10 * kNsPerSec)));
  worker.stop();
  EXPECT_EQ((std::vector<int>{1, 2}), order);
}

TEST(RecallWorker, AfterStopNothingRunsAndWhatWorkOwnsIsFreed) {
  RecallWorker worker;
  worker.stop();
  auto owned = std::make_shared<int>(1);
  bool ran = false;
  worker.post([&ran, owned] { ran = true; });
  worker.post_at(0, [&ran, owned] { ran = true; });
  EXPECT_EQ(1, owned.use_count());
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace myfs::netfs
