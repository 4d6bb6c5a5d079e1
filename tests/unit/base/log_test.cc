#include "sdk/base/log.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace myfs {
namespace {

class LogTest : public testing::Test {
 protected:
  LogTest() {
    set_log_sink([this](LogLevel level, std::string_view line) {
      lines_.emplace_back(std::to_string(static_cast<int>(level)) + std::string(line));
    });
  }
  ~LogTest() override {
    set_log_sink(nullptr);
    set_log_level(LogLevel::kWarning);
  }
  std::vector<std::string> lines_;
};

TEST_F(LogTest, drops_what_is_above_the_level) {
  log(LogLevel::kError, "disk %d", 1);
  log(LogLevel::kWarning, "slow %s", "disk");
  log(LogLevel::kInfo, "mounted");
  EXPECT_EQ(lines_, (std::vector<std::string>{"0disk 1", "1slow disk"}));
  lines_.clear();
  set_log_level(LogLevel::kDebug);
  log(LogLevel::kDebug, "x");
  EXPECT_EQ(lines_, std::vector<std::string>{"3x"});
}

TEST_F(LogTest, without_a_sink_writes_lines_to_stderr) {
  set_log_sink(nullptr);
  testing::internal::CaptureStderr();
  log(LogLevel::kError, "disk %d", 1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "myfs: error: disk 1\n");
}

TEST_F(LogTest, parses_level_names) {
  LogLevel level = LogLevel::kError;
  EXPECT_TRUE(parse_log_level("debug", &level));
  EXPECT_EQ(level, LogLevel::kDebug);
  EXPECT_TRUE(parse_log_level("error", &level));
  EXPECT_EQ(level, LogLevel::kError);
  EXPECT_FALSE(parse_log_level("Debug", &level));
  EXPECT_FALSE(parse_log_level("", &level));
}

}  // namespace
}  // namespace myfs
