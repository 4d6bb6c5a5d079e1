// ApiTest: a server process for a suite, a task on it for each test, and a directory of the test's
// own as its cwd.
#pragma once

#include <gtest/gtest.h>
#include <myfs/myfs.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "tests/support/myfsd/process.h"
#include "tests/support/myfsd/temp_dir.h"

namespace myfs::test {

class ApiTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = std::make_unique<TempDir>();
    server_ = std::make_unique<MyfsdProcess>(*dir_ / "data");
    ASSERT_TRUE(server_->start()) << server_->output();
  }
  static void TearDownTestSuite() {
    server_.reset();
    dir_.reset();
  }

  void SetUp() override {
    ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), nullptr, &task_)) << last_message();
    std::string home =
        std::string("/") + testing::UnitTest::GetInstance()->current_test_info()->name();
    ASSERT_EQ(0, myfs_mkdir(task_, home.c_str(), 0755)) << last_message();
    ASSERT_EQ(0, myfs_chdir(task_, home.c_str()));
  }
  void TearDown() override { EXPECT_EQ(0, myfs_task_destroy(task_)) << last_message(); }

  static std::string last_message() {
    myfs_error error{};
    error.size = sizeof error;
    myfs_last_error(&error);
    return std::string(error.operation) + ": " + error.message + " (" + error.cause + ")";
  }

  // An unprivileged caller: another user if we are root, else ourselves.
  const myfs_call* user() const { return &user_call_; }

  void make_file(const char* path, const std::string& content = "content") {
    int fd = myfs_open(task_, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ASSERT_GE(fd, 0) << path << ": " << last_message();
    ASSERT_EQ(static_cast<ssize_t>(content.size()),
              myfs_write(task_, fd, content.data(), content.size()));
    ASSERT_EQ(0, myfs_close(task_, fd)) << last_message();
  }
  void make_dir(const char* path, mode_t mode = 0755) {
    ASSERT_EQ(0, myfs_mkdir(task_, path, mode)) << path << ": " << last_message();
    ASSERT_EQ(0, myfs_chmod(task_, path, mode));
  }
  // A directory in which `user()` may not do what `mode` lacks, whoever we are.
  void make_foreign_dir(const char* path, mode_t mode) { make_dir(path, mode); }

  static std::unique_ptr<TempDir> dir_;
  static std::unique_ptr<MyfsdProcess> server_;
  myfs_task* task_ = nullptr;

 private:
  const uid_t user_id_ = ::geteuid() == 0 ? 1000 : ::geteuid();
  const myfs_cred user_{sizeof(myfs_cred), user_id_, ::geteuid() == 0 ? gid_t{1000} : ::getegid(),
                        nullptr, 0};
  const myfs_call user_call_{sizeof(myfs_call), &user_, 0, nullptr};
};

inline std::unique_ptr<TempDir> ApiTest::dir_;
inline std::unique_ptr<MyfsdProcess> ApiTest::server_;

}  // namespace myfs::test
