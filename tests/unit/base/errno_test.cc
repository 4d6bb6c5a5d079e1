#include "sdk/base/errno.h"

#include <thread>

#include "gtest/gtest.h"
#include "sdk/base/error_detail.h"

namespace myfs {
namespace {

TEST(ErrnoTest, knows_names_and_text) {
  EXPECT_EQ(Errno(ENOENT).name(), "ENOENT");
  EXPECT_EQ(Errno(EDQUOT).name(), "EDQUOT");
  EXPECT_EQ(Errno(ENOENT).text(), "No such file or directory");
  EXPECT_EQ(Errno(99999).name(), "E?");
  EXPECT_EQ(Errno(99999).text(), "unknown error");
  EXPECT_EQ(Errno().name(), "OK");
}

TEST(ErrnoTest, zero_is_no_error) {
  EXPECT_TRUE(Errno().ok());
  EXPECT_FALSE(Errno(EPERM).ok());
  EXPECT_EQ(Errno(EPERM).value(), EPERM);
  EXPECT_NE(Errno(EPERM), Errno(EACCES));
}

TEST(ErrorDetailTest, fail_records_and_returns) {
  clear_error_detail();
  EXPECT_EQ(fail(Errno(EINVAL), "rsize=3: must be a power of two"), Errno(EINVAL));
  EXPECT_EQ(thread_error_detail().error, Errno(EINVAL));
  EXPECT_EQ(thread_error_detail().message, "rsize=3: must be a power of two");
}

TEST(ErrorDetailTest, clear_leaves_nothing) {
  (void)fail(Errno(EIO), "disk");
  thread_error_detail().in_doubt = true;
  thread_error_detail().component = "a";
  clear_error_detail();
  EXPECT_TRUE(thread_error_detail().error.ok());
  EXPECT_FALSE(thread_error_detail().in_doubt);
  EXPECT_TRUE(thread_error_detail().message.empty());
  EXPECT_TRUE(thread_error_detail().component.empty());
}

TEST(ErrorDetailTest, each_thread_has_its_own) {
  (void)fail(Errno(EIO), "mine");
  std::thread([] {
    EXPECT_TRUE(thread_error_detail().error.ok());
    (void)fail(Errno(EPERM), "other");
  }).join();
  EXPECT_EQ(thread_error_detail().message, "mine");
}

}  // namespace
}  // namespace myfs
