// The threads that wait for locks: how many there are, and what happens when there is none.
#include "bindings/fuse/waits.h"

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <latch>

namespace bridge {
namespace {

TEST(Waits, NoMoreThanTheLimitRun) {
  Waits waits(2);
  std::latch inside(2), go_on(1);
  auto body = [&] {
    inside.count_down();
    go_on.wait();
  };
  EXPECT_TRUE(waits.start(body));
  EXPECT_TRUE(waits.start(body));
  inside.wait();
  EXPECT_FALSE(waits.start([] { FAIL() << "one too many"; }));
  go_on.count_down();
  waits.stop();
}

TEST(Waits, NoneIsStartedAfterTheEnd) {
  Waits waits;
  waits.stop();
  EXPECT_FALSE(waits.start([] { FAIL() << "the mount has ended"; }));
}

// Whoever wants to wait is told so; the bridge goes on.
TEST(Waits, AThreadThatIsNotToBeHadIsNoException) {
  pthread_attr_t usual, huge;
  ASSERT_EQ(0, pthread_getattr_default_np(&usual));
  ASSERT_EQ(0, pthread_attr_init(&huge));
  ASSERT_EQ(0, pthread_attr_setstacksize(&huge, size_t{1} << 47));
  ASSERT_EQ(0, pthread_setattr_default_np(&huge));
  Waits waits;
  EXPECT_FALSE(waits.start([] { FAIL() << "with such a stack?"; }));
  ASSERT_EQ(0, pthread_setattr_default_np(&usual));
  std::atomic<bool> ran{false};
  EXPECT_TRUE(waits.start([&] { ran = true; }));
  waits.stop();
  EXPECT_TRUE(ran);
  pthread_attr_destroy(&usual);
  pthread_attr_destroy(&huge);
}

}  // namespace
}  // namespace bridge
