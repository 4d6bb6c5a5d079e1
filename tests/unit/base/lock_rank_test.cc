#include "sdk/base/lock_rank.h"

#include "gtest/gtest.h"

namespace myfs {
namespace {

const int a = 0, b = 0, c = 0;  // their addresses stand for locks

TEST(LockRankTest, rising_ranks_are_fine) {
  lock_rank_acquire(LockRank::kFilePos, false, &a);
  lock_rank_acquire(LockRank::kInodeRwsem, false, &b);
  lock_rank_assert_may_sleep();
  lock_rank_acquire(LockRank::kInode, false, &c);
  lock_rank_release(LockRank::kFilePos, &a);
  lock_rank_release(LockRank::kInode, &c);
  lock_rank_release(LockRank::kInodeRwsem, &b);
}

TEST(LockRankTest, a_released_rank_no_longer_counts) {
  lock_rank_acquire(LockRank::kInode, false, &a);
  lock_rank_release(LockRank::kInode, &a);
  lock_rank_acquire(LockRank::kRename, false, &b);
  lock_rank_release(LockRank::kRename, &b);
}

TEST(LockRankTest, the_same_rank_twice_only_when_nested) {
  lock_rank_acquire(LockRank::kInodeRwsem, false, &a);
  lock_rank_acquire(LockRank::kInodeRwsem, true, &b);
  lock_rank_release(LockRank::kInodeRwsem, &b);
  EXPECT_DEATH(lock_rank_acquire(LockRank::kInodeRwsem, false, &b), "rank inversion.*40.*40");
  lock_rank_release(LockRank::kInodeRwsem, &a);
}

TEST(LockRankTest, an_inversion_aborts) {
  lock_rank_acquire(LockRank::kInode, false, &a);
  EXPECT_DEATH(lock_rank_acquire(LockRank::kInodeRwsem, false, &b), "rank inversion.*80.*40");
  EXPECT_DEATH(lock_rank_acquire(LockRank::kInodeRwsem, true, &b), "rank inversion");
  lock_rank_release(LockRank::kInode, &a);
}

TEST(LockRankTest, one_lock_twice_aborts) {
  lock_rank_acquire(LockRank::kInode, false, &a);
  EXPECT_DEATH(lock_rank_acquire(LockRank::kInode, true, &a), "locked twice");
  lock_rank_release(LockRank::kInode, &a);
}

TEST(LockRankTest, a_release_of_what_is_not_held_aborts) {
  EXPECT_DEATH(lock_rank_release(LockRank::kInode, &a), "does not hold");
}

TEST(LockRankTest, sleeping_under_a_leaf_lock_aborts) {
  lock_rank_acquire(LockRank::kLease, false, &a);
  EXPECT_DEATH(lock_rank_assert_may_sleep(), "sleeps under a leaf");
  lock_rank_release(LockRank::kLease, &a);
  lock_rank_assert_may_sleep();
}

TEST(LockRankTest, unranked_locks_are_free) {
  lock_rank_acquire(LockRank::kLog, false, &a);
  lock_rank_acquire(LockRank::kUnranked, false, &b);
  lock_rank_release(LockRank::kUnranked, &b);
  lock_rank_release(LockRank::kLog, &a);
}

}  // namespace
}  // namespace myfs
