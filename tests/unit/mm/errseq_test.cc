#include "sdk/mm/errseq.h"

#include <gtest/gtest.h>

namespace myfs::mm {
namespace {

TEST(ErrSeq, error_is_reported_once_to_each_open_file) {
  ErrSeq seq;
  ErrSeq::Sample a = seq.sample(), b = seq.sample();
  seq.set(Errno(ENOSPC));
  EXPECT_EQ(seq.check_and_advance(&a), Errno(ENOSPC));
  EXPECT_EQ(seq.check_and_advance(&a), Errno());
  EXPECT_EQ(seq.check_and_advance(&b), Errno(ENOSPC));
  EXPECT_EQ(seq.check_and_advance(&b), Errno());
}

TEST(ErrSeq, unseen_error_is_reported_to_a_new_opener_and_a_seen_one_is_not) {
  ErrSeq seq;
  seq.set(Errno(EIO));
  ErrSeq::Sample first = seq.sample();
  EXPECT_EQ(seq.check_and_advance(&first), Errno(EIO));
  ErrSeq::Sample second = seq.sample();
  EXPECT_EQ(seq.check_and_advance(&second), Errno());
}

TEST(ErrSeq, same_error_again_after_it_was_seen_is_news) {
  ErrSeq seq;
  ErrSeq::Sample a = seq.sample();
  seq.set(Errno(EIO));
  EXPECT_EQ(seq.check_and_advance(&a), Errno(EIO));
  seq.set(Errno(EIO));
  EXPECT_EQ(seq.check_and_advance(&a), Errno(EIO));
}

TEST(ErrSeq, check_looks_without_marking) {
  ErrSeq seq;
  ErrSeq::Sample now = seq.sample_now();
  EXPECT_EQ(seq.check(now), Errno());
  seq.set(Errno(EDQUOT));
  EXPECT_EQ(seq.check(now), Errno(EDQUOT));
  EXPECT_EQ(seq.check(now), Errno(EDQUOT));
  ErrSeq::Sample other = seq.sample();
  EXPECT_EQ(seq.check_and_advance(&other), Errno(EDQUOT));
  EXPECT_EQ(seq.check(seq.sample_now()), Errno());
}

TEST(ErrSeq, marking_as_seen_is_not_an_error) {
  ErrSeq seq;
  seq.set(Errno(EIO));
  ErrSeq::Sample before = seq.sample_now();
  ErrSeq::Sample file = seq.sample();
  EXPECT_EQ(seq.check_and_advance(&file), Errno(EIO));
  EXPECT_EQ(seq.check(before), Errno());
}

}  // namespace
}  // namespace myfs::mm
