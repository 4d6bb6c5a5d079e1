// Shell: myfs-shell as people and scripts run it, on a server of the suite's own.
// Thread safety: one test at a time.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "tests/support/myfsd/process.h"
#include "tests/support/myfsd/program.h"
#include "tests/support/myfsd/temp_dir.h"

namespace myfs::test {

// A server, and a directory of each test's own in it.
class Shell : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    suite_dir_ = std::make_unique<TempDir>();
    server_ = std::make_unique<MyfsdProcess>(*suite_dir_ / "data");
    ASSERT_TRUE(server_->start()) << server_->output();
  }
  static void TearDownTestSuite() {
    server_.reset();
    suite_dir_.reset();
  }
  void SetUp() override {
    home_ = std::string("/") + testing::UnitTest::GetInstance()->current_test_info()->name();
    ::setenv("HOME", dir_.path().c_str(), 1);
    ::unsetenv("XDG_DATA_HOME");
    ::unsetenv("MYFS_URL");
    ASSERT_EQ(0, run("mkdir " + home_).status);
  }

  // Runs commands by -c, in this test's directory unless it is made just now.
  ProgramResult run(const std::string& commands, const std::string& input = {}) {
    std::string text = commands;
    if (commands != "mkdir " + home_) text = "cd " + home_ + "; " + commands;
    return run_program({bin("myfs-shell"), "-m", server_->url(), "-c", text}, input);
  }
  // Its stdout, which must be all that it says.
  std::string out(const std::string& commands) {
    ProgramResult result = run(commands);
    EXPECT_EQ(0, result.status) << commands << ": " << result.err;
    EXPECT_EQ("", result.err) << commands;
    return result.out;
  }
  std::string local(const std::string& name, const std::string& content) {
    std::string path = dir_ / name;
    std::ofstream(path) << content;
    return path;
  }
  static std::string slurp(const std::string& path) {
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }

  static inline std::unique_ptr<TempDir> suite_dir_;
  static inline std::unique_ptr<MyfsdProcess> server_;
  TempDir dir_;
  std::string home_;
};

}  // namespace myfs::test
