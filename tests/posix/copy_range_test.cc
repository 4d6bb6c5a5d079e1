// copy_file_range: errnos and effects, here and by the kernel.

#include <climits>

#include "tests/posix/copy_fixture.h"

namespace myfs::test {
namespace {

using CopyRange = CopyFixture;

TEST_F(CopyRange, copy_file_range_EBADF) {
  EXPECT_EQ(-EBADF, myfs_copy_file_range(task_, 99, nullptr, out_, nullptr, 1, 0));
  EXPECT_EQ(-EBADF, myfs_copy_file_range(task_, in_, nullptr, 99, nullptr, 1, 0));
  int write_only = open("in", O_WRONLY), read_only = open("out", O_RDONLY);
  EXPECT_EQ(-EBADF, myfs_copy_file_range(task_, write_only, nullptr, out_, nullptr, 1, 0));
  EXPECT_EQ(-EBADF, myfs_copy_file_range(task_, in_, nullptr, read_only, nullptr, 1, 0));
  int append = open("out", O_WRONLY | O_APPEND);
  EXPECT_EQ(-EBADF, myfs_copy_file_range(task_, in_, nullptr, append, nullptr, 1, 0));
}

TEST_F(CopyRange, copy_file_range_EISDIR) {
  make_dir("d");
  int dir = open("d", O_RDONLY);
  EXPECT_EQ(-EISDIR, myfs_copy_file_range(task_, dir, nullptr, out_, nullptr, 1, 0));
  EXPECT_EQ(-EISDIR, myfs_copy_file_range(task_, in_, nullptr, dir, nullptr, 1, 0));
}

// What the copy itself adds behind it is not copied on.
TEST_F(CopyRange, WithinOneFileEndsWhereItsEndWas) {
  off_t from = 6, to = 20;
  EXPECT_EQ(4, myfs_copy_file_range(task_, in_, &from, in_, &to, 12, 0));
  EXPECT_EQ(10, from);
  EXPECT_EQ("0123456789" + std::string(10, '\0') + "6789", content("in"));
}

TEST_F(CopyRange, copy_file_range_EINVAL) {
  EXPECT_EQ(-EINVAL, copy(0, 0, 1, 1));
  EXPECT_EQ(-EINVAL, copy(-10, 0, 1));
  EXPECT_EQ(-EINVAL, copy(0, -10, 1));
  off_t from = 0, to = 4;
  EXPECT_EQ(-EINVAL, myfs_copy_file_range(task_, in_, &from, in_, &to, 5, 0));
  EXPECT_EQ(4, myfs_copy_file_range(task_, in_, &from, in_, &to, 4, 0));
  EXPECT_EQ("0123012389", content("in"));
}

TEST_F(CopyRange, copy_file_range_EXDEV) {
  ASSERT_EQ(0, myfs_mkdir(task_, "m", 0755));
  ASSERT_EQ(0, myfs_mount(task_, server_->url().c_str(), "m", nullptr)) << last_message();
  int far = open(("m" + home() + "/out").c_str(), O_RDWR);
  EXPECT_EQ(-EXDEV, myfs_copy_file_range(task_, in_, nullptr, far, nullptr, 1, 0));
  close(far);
}

TEST_F(CopyRange, copy_file_range_EFBIG) {
  EXPECT_EQ(-EFBIG, copy(0, kSizeMax, 1));
  EXPECT_EQ(5, copy(0, kSizeMax - 5, 10)) << "as much as fits";
}

TEST_F(CopyRange, copy_file_range_EOVERFLOW) {
  EXPECT_EQ(-EOVERFLOW, copy(-1, 0, 1));
  EXPECT_EQ(-EOVERFLOW, copy(0, -1, 1));
  EXPECT_EQ(-EOVERFLOW, copy(2, 0, SIZE_MAX));
}

TEST_F(CopyRange, OfAnyLengthEndsWithTheSource) {
  EXPECT_EQ(0, copy(LONG_MAX - 1, 0, 10));
  EXPECT_EQ(8, copy(2, 0, size_t{SSIZE_MAX} + 1));
  EXPECT_EQ("23456789", content("out"));
}

TEST_F(CopyRange, offsets_and_positions_move_on) {
  off_t from = 2;
  EXPECT_EQ(3, myfs_copy_file_range(task_, in_, &from, out_, nullptr, 3, 0));
  EXPECT_EQ(5, from);
  EXPECT_EQ(3, myfs_lseek(task_, out_, 0, SEEK_CUR));
  EXPECT_EQ(0, myfs_lseek(task_, in_, 0, SEEK_CUR));
  EXPECT_EQ(10, myfs_copy_file_range(task_, in_, nullptr, out_, nullptr, 100, 0));
  EXPECT_EQ(10, myfs_lseek(task_, in_, 0, SEEK_CUR));
  EXPECT_EQ(0, myfs_copy_file_range(task_, in_, nullptr, out_, nullptr, 100, 0));
  EXPECT_EQ("2340123456789", content("out"));
}

}  // namespace
}  // namespace myfs::test
