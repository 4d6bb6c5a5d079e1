// KeptNames: names that the kernel may keep are known, and go when it may not any more.

#include "bindings/fuse/kept_names.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace bridge {
namespace {

using std::chrono::milliseconds;
using Names = KeptNames::Names;

class KeptNamesTest : public testing::Test {
 protected:
  bool add(fuse_ino_t dir, const std::string& name, int at_ms) {
    return names_.add(dir, name.c_str(), start_ + milliseconds(at_ms));
  }
  const KeptNames::Clock::time_point start_{std::chrono::hours(1)};
  KeptNames names_{milliseconds(1000), 4};
};

TEST_F(KeptNamesTest, names_of_a_directory_are_taken_once) {
  EXPECT_TRUE(add(2, "a", 0));
  EXPECT_TRUE(add(2, "b", 0));
  EXPECT_TRUE(add(3, "c", 0));
  EXPECT_EQ((Names{"a", "b"}), names_.take(2));
  EXPECT_EQ(Names{}, names_.take(2));
  EXPECT_EQ(Names{"c"}, names_.take(3));
}

TEST_F(KeptNamesTest, a_name_is_known_for_its_life_and_after_it_makes_room) {
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(add(2, "old" + std::to_string(i), 0));
  EXPECT_TRUE(add(2, "last", 1000));
  EXPECT_FALSE(add(2, "more", 1500));
  EXPECT_FALSE(add(2, "more", 1999));
  EXPECT_TRUE(add(2, "more", 3100));
  EXPECT_EQ(Names{"more"}, names_.take(2));
}

TEST_F(KeptNamesTest, a_name_is_known_whenever_it_came) {
  for (int at = 0; at <= 1000; at += 50) {
    names_ = KeptNames(milliseconds(1000), 4);
    EXPECT_TRUE(add(3, "first", 0));
    EXPECT_TRUE(add(2, "a", at));
    EXPECT_TRUE(add(3, "next", 1001));
    EXPECT_TRUE(add(3, "last", at + 1000));
    EXPECT_EQ(Names{"a"}, names_.take(2)) << at;
  }
}

}  // namespace
}  // namespace bridge
