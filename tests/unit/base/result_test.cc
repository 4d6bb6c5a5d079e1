#include "sdk/base/result.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace myfs {
namespace {

struct Counted {
  explicit Counted(int* alive) : alive(alive) { ++*alive; }
  Counted(const Counted& other) : alive(other.alive) { ++*alive; }
  Counted(Counted&& other) noexcept : alive(other.alive) { ++*alive; }
  ~Counted() { --*alive; }
  int* alive;
};

Result<int> half(int n) {
  if (n % 2 != 0) return Errno(EINVAL);
  return n / 2;
}

Result<int> quarter(int n) {
  MYFS_ASSIGN(int h, half(n));
  return half(h);
}

Result<void> even(int n) {
  MYFS_TRY(half(n));
  return {};
}

TEST(ResultTest, holds_a_value_or_an_error) {
  Result<int> value = half(8);
  ASSERT_TRUE(value.ok());
  EXPECT_TRUE(static_cast<bool>(value));
  EXPECT_EQ(*value, 4);
  EXPECT_EQ(value.error(), Errno());
  Result<int> error = half(7);
  ASSERT_FALSE(error.ok());
  EXPECT_EQ(error.error(), Errno(EINVAL));
  EXPECT_EQ(error.value_or(-1), -1);
  EXPECT_EQ(value.value_or(-1), 4);
}

TEST(ResultTest, assign_hands_the_error_on) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).error(), Errno(EINVAL));
  EXPECT_EQ(quarter(3).error(), Errno(EINVAL));
}

TEST(ResultTest, try_hands_the_error_on) {
  EXPECT_TRUE(even(2).ok());
  EXPECT_EQ(even(1).error(), Errno(EINVAL));
}

TEST(ResultTest, void_result_converts_from_errno) {
  Result<void> fine = Errno(0);
  Result<void> bad = Errno(EIO);
  EXPECT_TRUE(fine.ok());
  EXPECT_FALSE(bad.ok());
  EXPECT_TRUE(ok_result().ok());
}

TEST(ResultTest, moves_what_cannot_be_copied) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(3);
  Result<std::unique_ptr<int>> moved = std::move(result);
  std::unique_ptr<int> inner = std::move(moved).value();
  EXPECT_EQ(*inner, 3);
}

TEST(ResultTest, destroys_each_value_once) {
  int alive = 0;
  {
    Result<Counted> first = Counted(&alive);
    Result<Counted> copy = first;
    Result<Counted> moved = std::move(first);
    EXPECT_EQ(alive, 3);
    copy = Result<Counted>(Errno(EIO));
    EXPECT_EQ(alive, 2);
    copy = std::move(moved);
    EXPECT_TRUE(copy.ok());
    Result<Counted> error = Errno(ENOENT);
    EXPECT_EQ(alive, 3);
  }
  EXPECT_EQ(alive, 0);
}

TEST(ResultTest, converts_the_value) {
  Result<std::string> text = "abc";
  EXPECT_EQ(text->size(), 3u);
}

}  // namespace
}  // namespace myfs
