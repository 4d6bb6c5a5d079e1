// The simulator's side of sync: whatever would wait goes to SimHooks, whatever releases wakes
// there.
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "sdk/base/clock.h"
#include "sdk/base/random.h"
#include "sdk/base/sync.h"

namespace myfs {
namespace {

constexpr LockRank kRank = LockRank::kUnranked;

// One simulated thread, the test's own: wait() runs what another thread would do meanwhile.
class FakeSim final : public SimHooks {
 public:
  FakeSim() { g_sim_hooks.store(this); }
  ~FakeSim() override { g_sim_hooks.store(nullptr); }

  bool wait(const void* channel, int64_t deadline_ns) override {
    waited.push_back(channel);
    deadlines.push_back(deadline_ns);
    if (meanwhile) std::exchange(meanwhile, nullptr)();
    return in_time;
  }
  void wake_all(const void* channel) override {
    std::lock_guard<std::mutex> lock(woken_mutex);
    woken.push_back(channel);
  }
  void yield_point(const char* where) override { yields.emplace_back(where); }
  std::thread spawn(std::string name, std::function<void()>) override {
    spawned.push_back(std::move(name));
    return std::thread([] {});
  }
  void join(std::thread& thread) override {
    ++joins;
    thread.join();
  }
  int64_t boottime_ns() override { return 11; }
  int64_t realtime_ns() override { return 22; }
  uint64_t random_u64() override { return 0x0807060504030201; }
  bool owns_this_thread() override { return owner == std::this_thread::get_id(); }

  const std::thread::id owner = std::this_thread::get_id();
  std::vector<const void*> waited;
  std::mutex woken_mutex;  // wakes come from any thread
  std::vector<const void*> woken;
  std::vector<int64_t> deadlines;
  std::vector<std::string> yields, spawned;
  std::function<void()> meanwhile;
  bool in_time = true;
  int joins = 0;
};

TEST(SimTest, event_waits_and_wakes_on_one_channel) {
  FakeSim sim;
  Event event;
  sim.meanwhile = [&] { event.set(); };
  EXPECT_TRUE(event.wait_until(500));
  ASSERT_EQ(sim.waited.size(), 1u);
  ASSERT_EQ(sim.woken.size(), 1u);
  EXPECT_EQ(sim.waited[0], sim.woken[0]);
  EXPECT_EQ(sim.deadlines[0], 500);
}

TEST(SimTest, event_times_out_when_the_simulator_says_so) {
  FakeSim sim;
  sim.in_time = false;
  Event event;
  EXPECT_FALSE(event.wait_until(500));
}

TEST(SimTest, mutex_waits_only_when_contended) {
  FakeSim sim;
  Mutex mutex(kRank);
  mutex.lock();
  EXPECT_TRUE(sim.waited.empty());
  mutex.unlock();
  ASSERT_EQ(sim.woken.size(), 1u) << "a release is seen by the simulator";
  // Somebody else holds it; he lets go while we wait.
  Event locked, release;
  std::thread other([&] {
    mutex.lock();
    locked.set();
    release.wait();
    mutex.unlock();
  });
  while (!locked.is_set()) std::this_thread::yield();
  sim.meanwhile = [&] {
    release.set();
    other.join();
  };
  mutex.lock();
  mutex.unlock();
  EXPECT_EQ(sim.waited.size(), 1u);
  EXPECT_EQ(sim.waited[0], sim.woken.back());
}

TEST(SimTest, condvar_lets_go_of_the_mutex_while_it_waits) {
  FakeSim sim;
  Mutex mutex(kRank);
  CondVar changed;
  bool free_meanwhile = false;
  sim.meanwhile = [&] {
    if (mutex.try_lock()) {
      free_meanwhile = true;
      mutex.unlock();
    }
    changed.notify_all();
  };
  MutexLock lock(mutex);
  EXPECT_TRUE(changed.wait_until(mutex, 77));
  EXPECT_TRUE(free_meanwhile);
  ASSERT_EQ(sim.waited.size(), 1u);
  EXPECT_EQ(sim.deadlines[0], 77);
  EXPECT_NE(std::find(sim.woken.begin(), sim.woken.end(), sim.waited[0]), sim.woken.end());
}

TEST(SimTest, shared_mutex_release_wakes) {
  FakeSim sim;
  SharedMutex mutex(kRank);
  mutex.lock_shared();
  mutex.unlock_shared();
  mutex.lock();
  mutex.unlock();
  EXPECT_EQ(sim.woken.size(), 2u);
  EXPECT_TRUE(sim.waited.empty());
}

TEST(SimTest, threads_clock_and_random_come_from_the_simulator) {
  FakeSim sim;
  {
    Thread thread("worker", [] { FAIL() << "only the simulator starts it"; });
  }
  EXPECT_EQ(sim.spawned, std::vector<std::string>{"worker"});
  EXPECT_EQ(sim.joins, 1);
  EXPECT_EQ(boottime_ns(), 11);
  EXPECT_EQ(realtime_ns(), 22);
  EXPECT_EQ(deadline_after_ns(5), 16);
  EXPECT_EQ(random_u64(), 0x0807060504030201u);
  unsigned char bytes[10];
  random_bytes(bytes, sizeof bytes);
  EXPECT_EQ(bytes[0], 1);
  EXPECT_EQ(bytes[7], 8);
  EXPECT_EQ(bytes[9], 2);
  sim_yield_point("here");
  EXPECT_EQ(sim.yields, std::vector<std::string>{"here"});
}

TEST(SimTest, other_threads_are_not_simulated) {
  FakeSim sim;
  std::thread([] {
    EXPECT_NE(boottime_ns(), 11);
    EXPECT_EQ(sim_hooks(), nullptr);
  }).join();
}

}  // namespace
}  // namespace myfs
