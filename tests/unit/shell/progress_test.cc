#include "cli/shell/run/progress.h"

#include <gtest/gtest.h>

namespace shell {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

TEST(Progress, BytesWithARateAndTheTimeLeft) {
  Progress progress("put", 100 * kSecond);
  progress.expect(2, 4 << 20);
  progress.begin("dir/file");
  EXPECT_EQ("put dir/file   0% [>                   ] 0/4.0M", progress.line(100 * kSecond, 80));
  progress.advance(1 << 20);
  EXPECT_EQ("put dir/file  25% [=====>              ] 1.0M/4.0M 512K/s 0:06",
            progress.line(102 * kSecond, 80));
  progress.advance(3 << 20);
  progress.item_done();
  progress.item_done();
  EXPECT_EQ("put dir/file 100% [====================] 4.0M/4.0M 1.0M/s 0:00",
            progress.line(104 * kSecond, 80));
  EXPECT_EQ("put: 2 files, 4.0M in 0:04, 1.0M/s", progress.summary(104 * kSecond));
}

TEST(Progress, MoreThanExpectedIsAll) {
  Progress progress("get", 0);
  progress.expect(1, 10);
  progress.begin("f");
  progress.advance(20);
  EXPECT_EQ("get f 100% [====================] 20/20 20/s 0:00", progress.line(kSecond, 80));
}

TEST(Progress, ItemsWithoutBytes) {
  Progress progress("rm", 0);
  progress.begin("a/b");
  progress.item_done();
  EXPECT_EQ("rm a/b 1", progress.line(kSecond, 80));
  progress.expect(7, 0);
  EXPECT_EQ("rm a/b 1/7", progress.line(kSecond, 80));
}

TEST(Progress, ALongNameGivesWay) {
  Progress progress("rm", 0);
  progress.begin(std::string(50, 'x') + "/the-end");
  progress.item_done();
  std::string line = progress.line(0, 30);
  EXPECT_EQ(30u, line.size()) << line;
  EXPECT_EQ("rm ...", line.substr(0, 6));
  EXPECT_NE(std::string::npos, line.find("/the-end 1")) << line;
  EXPECT_EQ(5u, progress.line(0, 5).size()) << "never wider than the terminal";
}

TEST(Progress, NamesCannotMoveTheCursor) {
  Progress progress("rm", 0);
  progress.begin("a\nb\x1b[2J");
  EXPECT_EQ("rm a?b?[2J 0", progress.line(0, 80));
}

TEST(Progress, LongTimes) {
  Progress progress("put", 0);
  progress.expect(1, 1 << 20);
  progress.begin("f");
  progress.advance(1024);
  std::string line = progress.line(10 * kSecond, 80);
  EXPECT_NE(std::string::npos, line.find(" 102/s 2:50:")) << line;
}

}  // namespace
}  // namespace shell
