// The planted defects of test builds.

#include "sdk/base/fault.h"

#include <gtest/gtest.h>

namespace myfs {
namespace {

TEST(Fault, names_are_known) {
  EXPECT_EQ(Fault::kNone, fault_of_name(nullptr));
  EXPECT_EQ(Fault::kSetuidKeep, fault_of_name("setuid_keep"));
  EXPECT_EQ(Fault::kLosePage, fault_of_name("lose_page"));
  EXPECT_EQ(Fault::kFlockNoop, fault_of_name("flock_noop"));
  EXPECT_EQ(Fault::kFlipRead, fault_of_name("flip_read"));
}

TEST(Fault, an_unknown_name_ends_the_program_with_the_names_there_are) {
  EXPECT_EXIT(fault_of_name("setuid_kep"), testing::ExitedWithCode(2),
              "MYFS_FAULT=setuid_kep: no such fault; there are: setuid_keep lose_page flock_noop "
              "flip_read");
}

// The environment of this test plants lose_page.
TEST(Fault, only_the_planted_one_strikes_and_as_often_as_asked) {
  int struck = 0;
  for (int i = 0; i < 3000; ++i) {
    if (MYFS_FAULTY(kLosePage, 1000)) ++struck;
    EXPECT_FALSE(MYFS_FAULTY(kFlipRead, 1));
  }
  EXPECT_EQ(3, struck);
}

}  // namespace
}  // namespace myfs
