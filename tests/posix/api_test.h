// ApiTest: a server process for a suite, a task on it for each test, and a directory of the test's
// own as its cwd.
#pragma once

#include <gtest/gtest.h>
#include <myfs/myfs.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "tests/support/myfsd/client.h"
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
    ASSERT_EQ(0, myfs_mkdir(task_, home().c_str(), 0755)) << last_message();
    ASSERT_EQ(0, myfs_chdir(task_, home().c_str()));
  }
  void TearDown() override {
    if (task_ == nullptr) return;
    EXPECT_EQ(0, myfs_task_destroy(task_)) << last_message();
  }

  // The directory of this test.
  static std::string home() {
    return std::string("/") + testing::UnitTest::GetInstance()->current_test_info()->name();
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
  // -1: the test failed.
  int open(const char* path, int flags = O_RDWR | O_CREAT, mode_t mode = 0644) {
    int fd = myfs_open(task_, path, flags, mode);
    EXPECT_GE(fd, 0) << path << ": " << last_message();
    return fd;
  }
  void close(int fd) { EXPECT_EQ(0, myfs_close(task_, fd)) << last_message(); }
  void write(int fd, const std::string& text) {
    EXPECT_EQ(static_cast<ssize_t>(text.size()), myfs_write(task_, fd, text.data(), text.size()))
        << last_message();
  }
  void pwrite(int fd, const std::string& text, off_t offset) {
    EXPECT_EQ(static_cast<ssize_t>(text.size()),
              myfs_pwrite(task_, fd, text.data(), text.size(), offset))
        << last_message();
  }
  std::string pread(int fd, size_t size, off_t offset) {
    std::string text(size, '?');
    ssize_t n = myfs_pread(task_, fd, text.data(), size, offset);
    if (n < 0) return error_text(n);
    text.resize(static_cast<size_t>(n));
    return text;
  }
  std::string read(int fd, size_t size) {
    std::string text(size, '?');
    ssize_t n = myfs_read(task_, fd, text.data(), size);
    if (n < 0) return error_text(n);
    text.resize(static_cast<size_t>(n));
    return text;
  }
  std::string content(const char* path) {
    int fd = myfs_open(task_, path, O_RDONLY, 0);
    if (fd < 0) return error_text(fd);
    std::string text = pread(fd, 1 << 20, 0);
    close(fd);
    return text;
  }
  struct stat stat(const char* path) {
    struct stat st {};
    EXPECT_EQ(0, myfs_lstat(task_, path, &st)) << path << ": " << last_message();
    return st;
  }
  mode_t mode(const char* path) { return stat(path).st_mode & 07777; }
  // kill -9, and a new process on the same data, where the clients' sessions have ended: what is
  // there was durable, and no client has written it again.
  void restart_server() {
    server_->kill9();
    ASSERT_TRUE(server_->start(kForgetSessions)) << server_->output();
  }

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
