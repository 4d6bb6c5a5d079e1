#include "sdk/base/call_context.h"

#include <optional>
#include <vector>

#include "gtest/gtest.h"

namespace myfs {
namespace {

TEST(CancelTokenTest, wakes_those_who_wait) {
  CancelToken token;
  int first = 0, second = 0;
  CancelToken::Listener a(&token, [&] { ++first; });
  CancelToken::Listener b(&token, [&] { ++second; });
  EXPECT_FALSE(token.cancelled());
  token.cancel();
  EXPECT_TRUE(token.cancelled());
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 1);
}

TEST(CancelTokenTest, a_late_listener_runs_at_once) {
  CancelToken token;
  token.cancel();
  int runs = 0;
  CancelToken::Listener late(&token, [&] { ++runs; });
  EXPECT_EQ(runs, 1);
}

TEST(CancelTokenTest, listeners_may_leave_in_any_order) {
  CancelToken token;
  std::vector<int> ran;
  std::optional<CancelToken::Listener> a, b, c;
  a.emplace(&token, [&] { ran.push_back(1); });
  b.emplace(&token, [&] { ran.push_back(2); });
  c.emplace(&token, [&] { ran.push_back(3); });
  b.reset();
  token.cancel();
  EXPECT_EQ(ran.size(), 2u);
  ran.clear();
  c.reset();
  token.cancel();
  EXPECT_EQ(ran, std::vector<int>{1});
  a.reset();
  token.cancel();
  EXPECT_EQ(ran.size(), 1u);
}

TEST(CancelTokenTest, no_token_is_fine) {
  CancelToken::Listener nothing(nullptr, [] { FAIL(); });
  CallContext context;
  EXPECT_FALSE(context.cancelled());
  EXPECT_EQ(context.deadline_ns, kNoDeadline);
}

TEST(CancelTokenTest, ends_the_wait_of_another_thread) {
  for (int n = 0; n < 500; ++n) {
    CancelToken token;
    Thread waiter("waiter", [&] {
      Event event;
      CancelToken::Listener listener(&token, [&] { event.set(); });
      event.wait();
      EXPECT_TRUE(token.cancelled());
    });
    token.cancel();
  }
}

}  // namespace
}  // namespace myfs
