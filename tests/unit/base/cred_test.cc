#include "sdk/base/cred.h"

#include "gtest/gtest.h"

namespace myfs {
namespace {

TEST(CredTest, groups_are_the_primary_and_the_supplementary) {
  Cred cred{.uid = 1000, .gid = 100, .groups = {4, 24}};
  EXPECT_TRUE(cred.in_group(100));
  EXPECT_TRUE(cred.in_group(24));
  EXPECT_FALSE(cred.in_group(1000));
  EXPECT_FALSE(cred.in_group(0));
  EXPECT_FALSE(cred.is_root());
  EXPECT_TRUE(Cred{}.is_root());
}

}  // namespace
}  // namespace myfs
