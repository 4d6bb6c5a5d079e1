#include "sdk/netfs/call_window.h"

#include <gtest/gtest.h>

namespace myfs::netfs {
namespace {

TEST(CallWindow, RemembersASeqUntilEveryCallOfThatMomentIsAnswered) {
  CallWindow window;
  const uint64_t first = window.begin(), second = window.begin();
  window.remember(7, 40);
  const uint64_t later = window.begin();
  EXPECT_EQ(40u, window.newest_seq(7));
  window.end(first);
  EXPECT_EQ(40u, window.newest_seq(7));
  window.end(second);
  EXPECT_EQ(0u, window.newest_seq(7));  // `later` was sent afterwards
  window.end(later);
}

TEST(CallWindow, RemembersNothingWhenNoCallIsUnanswered) {
  CallWindow window;
  window.remember(7, 40);
  EXPECT_EQ(0u, window.newest_seq(7));
  window.end(window.begin());
  window.remember(7, 41);
  EXPECT_EQ(0u, window.remembered());
}

TEST(CallWindow, KeepsTheNewestSeqOfAnInode) {
  CallWindow window;
  const uint64_t call = window.begin();
  window.remember(7, 41);
  window.remember(7, 40);
  EXPECT_EQ(41u, window.newest_seq(7));
  window.end(call);
}

TEST(CallWindow, AnswersOutOfOrderForgetOnlyWithTheOldest) {
  CallWindow window;
  const uint64_t first = window.begin(), second = window.begin();
  window.remember(7, 40);
  window.end(second);
  EXPECT_EQ(40u, window.newest_seq(7));
  window.end(first);
  EXPECT_EQ(0u, window.newest_seq(7));
}

TEST(CallWindow, OverflowMakesTheGrantsOfUnansweredCallsVoid) {
  CallWindow window;
  const uint64_t call = window.begin();
  for (uint64_t ino = 1; ino <= kRememberedSeqsMax; ++ino) window.remember(ino, 10);
  EXPECT_FALSE(window.grants_void(call));
  window.remember(kRememberedSeqsMax, 11);  // known: no room needed
  EXPECT_FALSE(window.grants_void(call));
  window.remember(kRememberedSeqsMax + 1, 10);
  EXPECT_TRUE(window.grants_void(call));
  const uint64_t later = window.begin();
  EXPECT_FALSE(window.grants_void(later));
  window.end(call);
  window.end(later);
  EXPECT_EQ(0u, window.remembered());
}

TEST(CallWindow, CanMakeTheGrantsOfAllUnansweredCallsVoid) {
  CallWindow window;
  const uint64_t first = window.begin(), second = window.begin();
  window.end(first);
  window.make_grants_void();
  EXPECT_TRUE(window.grants_void(second));
  const uint64_t later = window.begin();
  EXPECT_FALSE(window.grants_void(later));
  window.end(second);
  window.end(later);
}

}  // namespace
}  // namespace myfs::netfs
