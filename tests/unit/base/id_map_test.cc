#include "sdk/base/id_map.h"

#include <gtest/gtest.h>

#include "sdk/base/principal.h"

namespace myfs {
namespace {

TEST(IdMap, what_is_wrong_is_refused) {
  for (const char* text :
       {"", "u", "u:1:2", "u:1:2:3:4", "x:1:2:3", "u:1:2:0", "u:-1:2:3", "u:1:2:3+",
        "u:1:2:3++g:1:2:3", "u:4294967295:0:1", "u:0:4294967290:10", "u:0:0:10+u:20:5:10",
        "u:0:0:10+u:5:20:10", "b:0:0:10+g:0:100:1", "u:1:2:x"}) {
    EXPECT_EQ(IdMap::parse(text).error(), Errno(EINVAL)) << text;
  }
}

TEST(IdMap, maps_both_ways) {
  const IdMap map = *IdMap::parse("u:100000:0:1000 u:5:5000:1+g:200000:0:10");
  EXPECT_EQ(map.text(), "u:100000:0:1000+u:5:5000:1+g:200000:0:10");
  EXPECT_EQ(map.uid_in(0), 100000u);
  EXPECT_EQ(map.uid_in(999), 100999u);
  EXPECT_EQ(map.uid_in(1000), std::nullopt);
  EXPECT_EQ(map.uid_in(5000), 5u);
  EXPECT_EQ(map.uid_out(100999), 999u);
  EXPECT_EQ(map.uid_out(5), 5000u);
  EXPECT_EQ(map.uid_out(0), kNobodyId);
  EXPECT_EQ(map.gid_in(3), 200003u);
  EXPECT_EQ(map.gid_out(200003), 3u);
  EXPECT_EQ(map.gid_in(10), std::nullopt);
}

TEST(IdMap, a_kind_that_is_not_named_stays) {
  const IdMap map = *IdMap::parse("u:100:0:10");
  EXPECT_EQ(map.gid_in(7), 7u);
  EXPECT_EQ(map.gid_out(7), 7u);
  const IdMap both = *IdMap::parse("b:100:0:10");
  EXPECT_EQ(both.gid_in(7), 107u);
  EXPECT_EQ(both.uid_in(7), 107u);
}

TEST(IdMap, a_caller_without_an_id_is_nobody) {
  const IdMap map = *IdMap::parse("b:100:0:10");
  const Cred mapped = map.cred_in(Cred{.uid = 50, .gid = 1, .groups = {2, 60, 3}});
  EXPECT_EQ(mapped, (Cred{.uid = kNobodyId, .gid = 101, .groups = {102, 103}}));
  EXPECT_FALSE(map.has(Cred{.uid = 50, .gid = 1, .groups = {}}));
  EXPECT_TRUE(map.has(Cred{.uid = 5, .gid = 1, .groups = {60}}));
}

}  // namespace
}  // namespace myfs
