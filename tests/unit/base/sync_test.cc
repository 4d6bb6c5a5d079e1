#include "sdk/base/sync.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "sdk/base/clock.h"

namespace myfs {
namespace {

constexpr LockRank kRank = LockRank::kUnranked;

TEST(MutexTest, excludes) {
  Mutex mutex(kRank);
  int64_t count = 0;
  {
    std::vector<Thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back("adder", [&] {
        for (int n = 0; n < 20'000; ++n) {
          MutexLock lock(mutex);
          ++count;
        }
      });
    }
  }
  EXPECT_EQ(count, 80'000);
}

// Whether it is free, from the calling thread.
bool can_lock(Mutex& mutex) {
  if (!mutex.try_lock()) return false;
  mutex.unlock();
  return true;
}
bool can_lock(SharedMutex& mutex) {
  if (!mutex.try_lock()) return false;
  mutex.unlock();
  return true;
}
bool can_lock_shared(SharedMutex& mutex) {
  if (!mutex.try_lock_shared()) return false;
  mutex.unlock_shared();
  return true;
}

TEST(MutexTest, try_lock_fails_while_held) {
  Mutex mutex(kRank);
  mutex.lock();
  Thread("other", [&] { EXPECT_FALSE(can_lock(mutex)); }).join();
  mutex.unlock();
  EXPECT_TRUE(can_lock(mutex));
}

TEST(SharedMutexTest, readers_share_and_writers_exclude) {
  SharedMutex mutex(kRank);
  mutex.lock_shared();
  Thread("other", [&] {
    EXPECT_TRUE(can_lock_shared(mutex));
    EXPECT_FALSE(can_lock(mutex));
  }).join();
  mutex.unlock_shared();
  mutex.lock();
  Thread("other", [&] { EXPECT_FALSE(can_lock_shared(mutex)); }).join();
  mutex.unlock();
  EXPECT_TRUE(can_lock(mutex));
}

TEST(SharedMutexTest, keeps_data_whole) {
  SharedMutex mutex(kRank);
  int a = 0, b = 0;
  std::atomic<int> torn{0};
  {
    std::vector<Thread> threads;
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back("writer", [&] {
        for (int n = 0; n < 5'000; ++n) {
          WriteLock lock(mutex);
          ++a;
          ++b;
        }
      });
      threads.emplace_back("reader", [&] {
        for (int n = 0; n < 5'000; ++n) {
          ReadLock lock(mutex);
          if (a != b) ++torn;
        }
      });
    }
  }
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(a, 10'000);
}

TEST(CondVarTest, hands_values_over) {
  Mutex mutex(kRank);
  CondVar changed;
  int turn = 0;
  Thread other("other", [&] {
    for (int n = 0; n < 1'000; ++n) {
      MutexLock lock(mutex);
      while (turn != 1) changed.wait(mutex);
      turn = 0;
      changed.notify_one();
    }
  });
  for (int n = 0; n < 1'000; ++n) {
    MutexLock lock(mutex);
    while (turn != 0) changed.wait(mutex);
    turn = 1;
    changed.notify_one();
  }
  other.join();
  EXPECT_EQ(turn, 0);
}

TEST(CondVarTest, notify_all_wakes_everybody) {
  Mutex mutex(kRank);
  CondVar changed;
  int waiting = 0, woken = 0;
  bool go = false;
  std::vector<Thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back("waiter", [&] {
      MutexLock lock(mutex);
      ++waiting;
      changed.notify_all();
      while (!go) changed.wait(mutex);
      ++woken;
    });
  }
  {
    MutexLock lock(mutex);
    while (waiting != 4) changed.wait(mutex);
    go = true;
    changed.notify_all();
  }
  threads.clear();
  EXPECT_EQ(woken, 4);
}

TEST(CondVarTest, a_wait_ends_at_its_deadline) {
  Mutex mutex(kRank);
  CondVar never;
  MutexLock lock(mutex);
  int64_t deadline_ns = deadline_after_ns(5 * kNsPerMs);
  while (never.wait_until(mutex, deadline_ns)) {
  }
  EXPECT_GE(boottime_ns(), deadline_ns);
  EXPECT_FALSE(never.wait_until(mutex, 0)) << "a deadline in the past does not wait";
}

// Until the thread sleeps in futex(2), as the kernel says.
void await_sleep(const std::atomic<pid_t>& tid) {
  while (tid == 0) std::this_thread::yield();
  const std::string path = "/proc/self/task/" + std::to_string(tid) + "/syscall";
  for (std::string call; call != std::to_string(SYS_futex);) {
    std::this_thread::yield();
    std::ifstream(path) >> call;
  }
}

TEST(EventTest, wakes_every_waiter_and_stays_set) {
  Event event;
  EXPECT_FALSE(event.is_set());
  std::atomic<int> woken{0};
  std::array<std::atomic<pid_t>, 4> tids{};
  {
    std::vector<Thread> threads;
    for (auto& tid : tids) {
      threads.emplace_back("waiter", [&] {
        tid = ::gettid();
        event.wait();
        ++woken;
      });
    }
    for (auto& tid : tids) await_sleep(tid);
    event.set();
  }
  EXPECT_EQ(woken, 4);
  EXPECT_TRUE(event.is_set());
  event.wait();
  event.reset();
  EXPECT_FALSE(event.is_set());
  EXPECT_FALSE(event.wait_until(boottime_ns() + kNsPerMs));
}

TEST(EventTest, a_wait_ends_at_its_deadline) {
  Event event;
  int64_t deadline_ns = deadline_after_ns(5 * kNsPerMs);
  EXPECT_FALSE(event.wait_until(deadline_ns));
  EXPECT_GE(boottime_ns(), deadline_ns);
  EXPECT_FALSE(event.wait_until(0));
  event.set();
  EXPECT_TRUE(event.wait_until(0)) << "what has happened beats the deadline";
}

TEST(EventTest, the_waiter_may_destroy_it_at_once) {
  for (int n = 0; n < 2'000; ++n) {
    auto event = std::make_unique<Event>();
    Event* raw = event.get();
    Thread setter("setter", [raw] { raw->set(); });
    event->wait();
    event.reset();
  }
}

TEST(ThreadTest, one_that_cannot_be_had_leaves_the_signals_of_its_maker_alone) {
  const int before = Thread::live_count();
  pthread_attr_t old, huge;
  pthread_getattr_default_np(&old);
  pthread_attr_init(&huge);
  pthread_attr_setstacksize(&huge, size_t{1} << 50);  // more than there are addresses
  pthread_setattr_default_np(&huge);
  EXPECT_THROW(Thread("none", [] {}), std::system_error);
  pthread_setattr_default_np(&old);
  pthread_attr_destroy(&huge);
  pthread_attr_destroy(&old);
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  EXPECT_EQ(0, sigismember(&mask, SIGTERM));
  EXPECT_EQ(before, Thread::live_count());
}

TEST(ThreadTest, blocks_all_signals_and_has_its_name) {
  std::string name;
  bool blocked = false;
  Thread thread("a-name-that-is-too-long", [&] {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    blocked = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGALRM) == 1;
  });
  char buffer[32] = {};
  Event ready;
  Thread named("short", [&] {
    ready.wait();
    pthread_getname_np(pthread_self(), buffer, sizeof buffer);
  });
  ready.set();
  named.join();
  thread.join();
  EXPECT_TRUE(blocked);
  EXPECT_STREQ(buffer, "short");
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  EXPECT_EQ(sigismember(&mask, SIGTERM), 0) << "the caller's mask is as before";
}

TEST(ThreadTest, is_joined_by_its_destructor) {
  std::atomic<bool> ran{false};
  {
    Thread thread("t", [&] { ran = true; });
  }
  EXPECT_TRUE(ran);
  Thread none;
  EXPECT_FALSE(none.joinable());
}

}  // namespace
}  // namespace myfs
