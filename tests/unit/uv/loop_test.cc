#include "sdk/uv/loop.h"

#include <sys/wait.h>

#include <chrono>
#include <thread>
#include <vector>

#include "sdk/base/clock.h"
#include "sdk/uv/fork_guard.h"
#include "sdk/uv/spin_policy.h"
#include "sdk/uv/uv_timer.h"
#include "tests/unit/uv/rig.h"

namespace myfs::uv_io {
namespace {

class LoopTest : public testing::TestWithParam<Loop::Mode> {
 protected:
  std::unique_ptr<Loop> make(int64_t spin_ns = kDefaultSpin_ns) {
    Loop::Options options;
    options.mode = GetParam();
    options.spin_ns = spin_ns;
    return std::move(Loop::create(options).value());
  }
};

INSTANTIATE_TEST_SUITE_P(Modes, LoopTest,
                         testing::Values(Loop::Mode::kOwnThread, Loop::Mode::kLeaderFollower),
                         [](const auto& info) {
                           return info.param == Loop::Mode::kOwnThread ? "OwnThread" : "Follow";
                         });

TEST_P(LoopTest, RunsPostedFunctionsInOrder) {
  auto loop = make();
  std::vector<int> seen;
  Event done;
  for (int i = 0; i < 100; ++i) loop->post([&seen, i] { seen.push_back(i); });
  loop->post([&done] { done.set(); });
  EXPECT_TRUE(loop->wait_for(done, deadline_after_ns(10 * kNsPerSec)));
  ASSERT_EQ(seen.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(seen[static_cast<size_t>(i)], i);
}

TEST_P(LoopTest, PostWithoutWaitingIsRunWhileNobodyDrives) {
  auto loop = make();
  for (int i = 0; i < 50; ++i) {
    Event done;
    loop->post([&done] { done.set(); });
    // Not wait_for(): this thread does not drive.
    ASSERT_TRUE(done.wait_until(deadline_after_ns(10 * kNsPerSec))) << i;
  }
}

TEST_P(LoopTest, SubmitRunsBeforeItReturnsOrSoonAfter) {
  auto loop = make();
  Event done;
  loop->submit([&done] { done.set(); });
  EXPECT_TRUE(done.wait_until(deadline_after_ns(10 * kNsPerSec)));
}

TEST_P(LoopTest, RunSyncRunsInsideAndNests) {
  auto loop = make();
  EXPECT_FALSE(loop->in_loop());
  bool inner = false;
  EXPECT_TRUE(loop->run_sync([&] {
    EXPECT_TRUE(loop->in_loop());
    EXPECT_TRUE(loop->run_sync([&] { inner = true; }));
  }));
  EXPECT_TRUE(inner);
  EXPECT_FALSE(loop->in_loop());
}

TEST_P(LoopTest, TimersFireInOrderWhileTheCallerSleeps) {
  auto loop = make();
  std::vector<int> seen;
  Event done;
  std::unique_ptr<Timer> first, second;
  int64_t start_ns = boottime_ns();
  loop->run_sync([&] {
    second = std::make_unique<Timer>(loop->port(), [&] {
      seen.push_back(2);
      done.set();
    });
    first = std::make_unique<Timer>(loop->port(), [&] { seen.push_back(1); });
    second->arm_after(30 * kNsPerMs);
    first->arm_after(10 * kNsPerMs);
  });
  EXPECT_TRUE(done.wait_until(deadline_after_ns(10 * kNsPerSec)));
  EXPECT_GE(boottime_ns() - start_ns, 30 * kNsPerMs);
  EXPECT_EQ(seen, (std::vector<int>{1, 2}));
  loop->run_sync([&] {
    first.reset();
    second.reset();
  });
}

TEST_P(LoopTest, ATimerMayArmItselfAndDisarmStopsIt) {
  auto loop = make();
  int fired = 0;
  Event done;
  std::unique_ptr<Timer> timer;
  loop->run_sync([&] {
    timer = std::make_unique<Timer>(loop->port(), [&] {
      if (++fired == 3) {
        done.set();
        return;
      }
      timer->arm_after(kNsPerMs);
      timer->arm_after(2 * kNsPerMs);
    });
    timer->arm_after(kNsPerMs);
  });
  EXPECT_TRUE(loop->wait_for(done, deadline_after_ns(10 * kNsPerSec)));
  loop->run_sync([&] {
    EXPECT_FALSE(timer->armed());
    timer->arm_after(0);
    timer->disarm();
  });
  loop->run_sync([&] { timer.reset(); });
  EXPECT_EQ(fired, 3);
}

TEST_P(LoopTest, WaitForEndsAtItsDeadline) {
  auto loop = make();
  Event never;
  int64_t start_ns = boottime_ns();
  EXPECT_FALSE(loop->wait_for(never, start_ns + 20 * kNsPerMs));
  EXPECT_GE(boottime_ns() - start_ns, 20 * kNsPerMs);
}

TEST_P(LoopTest, StopDropsWhatIsQueuedAndWakesWhoWaits) {
  auto loop = make();
  std::atomic<bool> ran_after_stop{false};
  loop->run_sync([&] { EXPECT_EQ(loop->stop(), Errno(EDEADLK)); });
  EXPECT_TRUE(loop->stop().ok());
  EXPECT_TRUE(loop->stopped());
  EXPECT_FALSE(loop->run_sync([&] { ran_after_stop = true; }));
  Event done;
  EXPECT_TRUE(loop->call([&] { ran_after_stop = true; }, done, kNoDeadline));
  EXPECT_FALSE(ran_after_stop);
}

TEST_P(LoopTest, StopCancelsTasks) {
  auto loop = make();
  auto guard = std::make_shared<int>(7);
  std::weak_ptr<int> alive = guard;
  loop->run_sync([&] {
    loop->tasks().add(kj::Promise<void>(kj::NEVER_DONE).attach(kj::heap(std::move(guard))));
  });
  EXPECT_FALSE(alive.expired());
  loop->stop();
  EXPECT_TRUE(alive.expired());
}

TEST_P(LoopTest, CrossThreadPostsFromManyThreads) {
  auto loop = make();
  constexpr int kThreads = 8, kPosts = 2000;
  int64_t sum = 0;  // touched inside the loop only
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kPosts; ++i) {
        if (t % 2 == 0) {
          loop->post([&sum] { ++sum; });
        } else {
          EXPECT_TRUE(loop->run_sync([&sum] { ++sum; }));
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  int64_t total = 0;
  loop->run_sync([&] { total = sum; });
  EXPECT_EQ(total, kThreads * kPosts);
}

TEST_P(LoopTest, EchoOverRpc) {
  Rig rig(GetParam());
  for (int i = 0; i < 200; ++i) ASSERT_EQ(rig.ping(static_cast<size_t>(i)), i);
  EXPECT_EQ(rig.echo->pings, 200);
}

TEST_P(LoopTest, EchoWithoutSpinning) {
  Rig rig(GetParam(), 0);
  for (int i = 0; i < 100; ++i) ASSERT_EQ(rig.ping(100), 100);
  EXPECT_EQ(rig.client_loop->stats().spins_won + rig.client_loop->stats().spins_lost, 0u);
}

TEST_P(LoopTest, ManyCallersShareOneLoop) {
  Rig rig(GetParam());
  constexpr int kThreads = 16, kCalls = 200;
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kCalls; ++i) {
        auto size = static_cast<size_t>(t * 100 + i);
        if (rig.ping(size) == static_cast<int64_t>(size)) ++right;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, kThreads * kCalls);
}

TEST_P(LoopTest, AThreadWithItsOwnKjLoopCanCall) {
  Rig rig(GetParam());
  std::thread foreign([&] {
    kj::EventLoop own;
    kj::WaitScope scope(own);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(rig.ping(64), 64);
  });
  foreign.join();
}

TEST_P(LoopTest, PeerDeathFailsTheCallInFlight) {
  Rig rig(GetParam());
  ASSERT_EQ(rig.ping(1), 1);
  auto failed = std::make_shared<Event>();
  auto type = std::make_shared<kj::Exception::Type>(kj::Exception::Type::FAILED);
  rig.client_loop->submit([&rig, failed, type] {
    rig.client_loop->tasks().add(rig.service_client->neverRequest().send().ignoreResult().then(
        [failed] { failed->set(); },
        [failed, type](kj::Exception&& exception) {
          *type = exception.getType();
          failed->set();
        }));
  });
  rig.server_loop->run_sync([&] { rig.server.reset(); });
  EXPECT_TRUE(rig.client_loop->wait_for(*failed, deadline_after_ns(10 * kNsPerSec)));
  EXPECT_EQ(*type, kj::Exception::Type::DISCONNECTED);
  EXPECT_EQ(rig.ping(1), -1);
}

TEST(Follow, ASignalHandlerFindsSignalsOpenWhileTheCallerSleeps) {
  Rig rig(Loop::Mode::kLeaderFollower);
  // The mask is as before after a call.
  sigset_t before, after;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  ASSERT_EQ(rig.ping(10), 10);
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int sig = 1; sig < 32; ++sig) {
    EXPECT_EQ(sigismember(&before, sig), sigismember(&after, sig)) << sig;
  }
}

TEST(Follow, WhatTheServerAsksIsAnsweredWhileNobodyCalls) {
  // The roles are turned round: the side in follower mode serves, and its threads do nothing.
  int fds[2];
  make_pair(fds);
  Loop::Options options;
  auto quiet = std::move(Loop::create(options).value());
  options.mode = Loop::Mode::kOwnThread;
  auto active = std::move(Loop::create(options).value());
  std::unique_ptr<RpcEnd> serving, calling;
  quiet->run_sync([&] {
    serving.reset(new RpcEnd(quiet->port(), fds[0], echo::Echo::Client(kj::heap<EchoService>())));
  });
  active->run_sync([&] { calling.reset(new RpcEnd(active->port(), fds[1])); });
  for (int i = 0; i < 20; ++i) {
    Event done;
    active->post([&] {
      active->tasks().add(
          calling->bootstrap().pingRequest().send().ignoreResult().then([&] { done.set(); }));
    });
    ASSERT_TRUE(done.wait_until(deadline_after_ns(10 * kNsPerSec)));
  }
  EXPECT_GT(quiet->stats().background_leads, 0u);
  active->run_sync([&] { calling.reset(); });
  quiet->run_sync([&] { serving.reset(); });
}

TEST(Follow, AnIdleLoopDoesNotWake) {
  auto loop = std::move(Loop::create(Loop::Options()).value());
  Event timer_fired;
  std::unique_ptr<Timer> timer;
  loop->run_sync([&] {
    timer = std::make_unique<Timer>(loop->port(), [&] { timer_fired.set(); });
    timer->arm_after(200 * kNsPerMs);
  });
  EXPECT_TRUE(timer_fired.wait_until(deadline_after_ns(10 * kNsPerSec)));
  // Start, a few ticks after run_sync, the timer: far from the 200 of a loop that ticks on.
  EXPECT_LT(loop->stats().background_leads, 20u);
  loop->run_sync([&] { timer.reset(); });
}

TEST(SpinPolicy, SpinsOnlyWhileEventsFollowCloselyUponEachOther) {
  SpinPolicy policy;
  constexpr int64_t kWindow_ns = 50'000;
  EXPECT_FALSE(policy.worth_it(kWindow_ns));
  policy.observed(10'000'000, true);
  EXPECT_FALSE(policy.worth_it(kWindow_ns));
  policy.observed(90'000, true);  // a sleep of that length is mostly the wake-up
  EXPECT_TRUE(policy.worth_it(kWindow_ns));
  EXPECT_FALSE(policy.worth_it(0));
  policy.observed(1'000'000, false);
  EXPECT_TRUE(policy.worth_it(kWindow_ns));
  policy.observed(1'000'000, true);
  EXPECT_FALSE(policy.worth_it(kWindow_ns));
}

TEST(ForkGuard, TellsTheChildFromTheParent) {
  ForkGuard guard;
  EXPECT_TRUE(guard.same_process());
  pid_t child = ::fork();
  if (child == 0) {
    bool right = !guard.same_process() && ForkGuard().same_process();
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(guard.same_process());
}

TEST(ForkGuard, AChildThatDropsALoopDoesNotDisturbTheParent) {
  Rig rig(Loop::Mode::kLeaderFollower);
  ASSERT_EQ(rig.ping(5), 5);
  pid_t child = ::fork();
  if (child == 0) {
    rig.client_loop.reset();
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  for (int i = 0; i < 50; ++i) ASSERT_EQ(rig.ping(5), 5);
}

}  // namespace
}  // namespace myfs::uv_io
