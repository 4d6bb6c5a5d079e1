#include "sdk/base/rcu.h"

#include <atomic>
#include <vector>

#include "gtest/gtest.h"
#include "sdk/base/clock.h"
#include "sdk/base/sync.h"

namespace myfs {
namespace {

std::atomic<int> g_freed{0};
void count_free(void*) { ++g_freed; }

class RcuTest : public testing::Test {
 protected:
  RcuTest() {
    rcu_barrier();
    g_freed = 0;
  }
};

TEST_F(RcuTest, barrier_frees_everything) {
  for (int i = 0; i < 500; ++i) call_rcu(nullptr, count_free);
  rcu_barrier();
  EXPECT_EQ(g_freed, 500);
}

TEST_F(RcuTest, an_open_section_holds_the_object) {
  Event inside, leave;
  Thread reader("reader", [&] {
    RcuReadGuard outer;
    {
      RcuReadGuard nested;  // leaving it does not leave the outer one
    }
    inside.set();
    leave.wait();
  });
  inside.wait();
  call_rcu(nullptr, count_free);
  // These push the queue along; none of them may free what the reader can still see.
  for (int i = 0; i < 200; ++i) call_rcu(nullptr, count_free);
  EXPECT_EQ(g_freed, 0);
  leave.set();
  reader.join();
  rcu_barrier();
  EXPECT_EQ(g_freed, 201);
}

// A thread inside a read section from its start until it is told to leave.
class Section {
 public:
  Section() { inside_.wait(); }
  void leave() {
    leave_.set();
    thread_.join();
  }

 private:
  Event inside_, leave_;
  Thread thread_{"reader", [this] {
                   RcuReadGuard guard;
                   inside_.set();
                   leave_.wait();
                 }};
};

TEST_F(RcuTest, a_later_section_holds_nothing_back) {
  constexpr int kBatch = 64;
  Section earlier;
  for (int i = 0; i < kBatch; ++i) call_rcu(nullptr, count_free);
  EXPECT_EQ(g_freed, 0);
  Section later;
  earlier.leave();
  for (int i = 0; i < kBatch; ++i) call_rcu(nullptr, count_free);
  EXPECT_EQ(g_freed, kBatch) << "retired before the section that is still open began";
  later.leave();
}

TEST_F(RcuTest, a_barrier_frees_what_other_threads_retired) {
  Thread("retirer", [] { call_rcu(nullptr, count_free); }).join();
  Event retired, leave;
  Thread living("retirer", [&] {
    call_rcu(nullptr, count_free);
    retired.set();
    leave.wait();
  });
  retired.wait();
  rcu_barrier();
  EXPECT_EQ(g_freed, 2);
  leave.set();
}

TEST_F(RcuTest, a_free_function_may_retire) {
  for (int i = 0; i < 1'000; ++i) {
    call_rcu(nullptr, [](void*) { call_rcu(nullptr, count_free); });
  }
  rcu_barrier();
  rcu_barrier();
  EXPECT_EQ(g_freed, 1'000);
}

TEST_F(RcuTest, frees_without_a_barrier_as_it_goes) {
  for (int i = 0; i < 10'000; ++i) call_rcu(nullptr, count_free);
  EXPECT_GT(g_freed, 9'000);
  rcu_barrier();
}

TEST_F(RcuTest, records_of_ended_threads_are_reused) {
  for (int i = 0; i < 200; ++i) {
    Thread("reader", [] { RcuReadGuard guard; }).join();
  }
  call_rcu(nullptr, count_free);
  rcu_barrier();
  EXPECT_EQ(g_freed, 1);
}

struct Box {
  explicit Box(int value) : a(value), b(value) {}
  ~Box() { a = b = -1; }
  int a, b;
};

TEST_F(RcuTest, readers_never_see_a_freed_object) {
  std::atomic<Box*> current{new Box(0)};
  std::atomic<bool> stop{false};
  std::atomic<int> bad{0};
  {
    std::vector<Thread> readers;
    for (int i = 0; i < 2; ++i) {
      readers.emplace_back("reader", [&] {
        while (!stop.load(std::memory_order_relaxed)) {
          RcuReadGuard guard;
          const Box* box = current.load(std::memory_order_acquire);
          int a = box->a, b = box->b;
          if (a != b || a < 0) ++bad;
        }
      });
    }
    for (int i = 1; i < 20'000; ++i) rcu_delete(current.exchange(new Box(i)));
    stop = true;
  }
  rcu_delete(current.exchange(nullptr));
  rcu_barrier();
  EXPECT_EQ(bad, 0);
}

}  // namespace
}  // namespace myfs
