#include "sdk/fs/read_write.h"

#include <gtest/gtest.h>
#include <limits.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/unit/fs/fs_fixture.h"

namespace myfs::fs {
namespace {

class ReadWriteTest : public FsFixture {
 protected:
  ReadWriteTest() { fd = open("/f", O_CREAT | O_RDWR); }
  Result<size_t> pwrite(int file, std::string_view data, int64_t offset) {
    return vfs_pwrite(root, task, file, data.data(), data.size(), offset);
  }
  uint64_t size() {
    Kstat found;
    EXPECT_EQ(errno_of(vfs_fstat(root, task, fd, &found)), 0);
    return found.size;
  }
  int fd = -1;
};

TEST_F(ReadWriteTest, data_comes_back) {
  EXPECT_EQ(write(fd, "hello "), 6);
  EXPECT_EQ(write(fd, "world"), 5);
  EXPECT_EQ(size(), 11u);
  EXPECT_EQ(pread(fd, 100, 0), "hello world");
  EXPECT_EQ(pread(fd, 3, 4), "o w");
  EXPECT_EQ(*pwrite(fd, "J", 0), 1u);
  EXPECT_EQ(*vfs_lseek(root, task, fd, 0, SEEK_SET), 0);
  char buffer[8];
  EXPECT_EQ(*vfs_read(root, task, fd, buffer, 5), 5u);
  EXPECT_EQ(std::string(buffer, 5), "Jello");
  EXPECT_EQ(*vfs_read(root, task, fd, buffer, 8), 6u);
  EXPECT_EQ(*vfs_read(root, task, fd, buffer, 8), 0u);
}

TEST_F(ReadWriteTest, holes_read_as_zeros) {
  ASSERT_EQ(*pwrite(fd, "end", 100'000), 3u);
  EXPECT_EQ(size(), 100'003u);
  EXPECT_EQ(pread(fd, 3, 50'000), std::string(3, '\0'));
  EXPECT_EQ(pread(fd, 9, 99'998), std::string("\0\0end", 5));
}

TEST_F(ReadWriteTest, append_goes_to_the_end_and_moves_the_position) {
  int other = open("/f", O_WRONLY | O_APPEND);
  ASSERT_EQ(write(fd, "0123"), 4);
  ASSERT_EQ(write(other, "45"), 2);
  EXPECT_EQ(*vfs_lseek(root, task, other, 0, SEEK_CUR), 6);
  ASSERT_EQ(*pwrite(other, "67", 0), 2u);  // as on Linux: O_APPEND wins over the offset
  EXPECT_EQ(pread(fd, 100, 0), "01234567");
}

TEST_F(ReadWriteTest, vectors) {
  char a[3] = {'a', 'b', 'c'}, b[2] = {'d', 'e'};
  const iovec from[] = {{a, 3}, {nullptr, 0}, {b, 2}};
  EXPECT_EQ(*vfs_writev(root, task, fd, from, -1), 5u);
  EXPECT_EQ(*vfs_writev(root, task, fd, from, 10), 5u);
  char x[4], y[8];
  const iovec to[] = {{x, 4}, {y, 8}};
  EXPECT_EQ(*vfs_readv(root, task, fd, to, 1), 12u);
  EXPECT_EQ(std::string(x, 4), "bcde");
  EXPECT_EQ(std::string(y + 5, 3), "abc");
  std::vector<iovec> many(kIovMax + 1, iovec{x, 0});
  EXPECT_EQ(errno_of(vfs_readv(root, task, fd, many, 0)), EINVAL);
  const iovec huge[] = {{x, SSIZE_MAX}, {y, 1}};
  EXPECT_EQ(errno_of(vfs_writev(root, task, fd, huge, 0)), EINVAL);
}

TEST_F(ReadWriteTest, errors) {
  int readable = open("/f", O_RDONLY), writable = open("/f", O_WRONLY);
  int dir = open("/", O_RDONLY);
  EXPECT_EQ(write(readable, "x"), -EBADF);
  EXPECT_EQ(pread(writable, 1, 0), "errno 9");
  EXPECT_EQ(pread(dir, 1, 0), "errno 21");
  EXPECT_EQ(write(dir, "x"), -EBADF);
  EXPECT_EQ(pread(77, 1, 0), "errno 9");
  EXPECT_EQ(pread(fd, 1, -1), "errno 22");
  EXPECT_EQ(errno_of(pwrite(fd, "x", -1)), EINVAL);
  EXPECT_EQ(errno_of(vfs_pread(root, task, fd, nullptr, size_t{SSIZE_MAX} + 1, 0)), EINVAL);
  EXPECT_EQ(errno_of(vfs_fsync(root, task, 77, false)), EBADF);
  EXPECT_EQ(errno_of(vfs_fallocate(root, task, fd, 0, -1, 1)), EINVAL);
  EXPECT_EQ(errno_of(vfs_fallocate(root, task, fd, 0, 0, 0)), EINVAL);
  EXPECT_EQ(errno_of(vfs_fallocate(root, task, readable, 0, 0, 1)), EBADF);
  EXPECT_EQ(errno_of(vfs_fallocate(root, task, fd, 0, INT64_MAX, 1)), EFBIG);
  EXPECT_EQ(errno_of(vfs_fallocate(root, task, fd, 0, 0, 1)), EOPNOTSUPP);
}

TEST_F(ReadWriteTest, the_largest_file) {
  constexpr auto kMax = static_cast<int64_t>(kFileSizeMax_bytes);
  EXPECT_EQ(errno_of(pwrite(fd, "x", kMax)), EFBIG);
  EXPECT_EQ(errno_of(pwrite(fd, "x", INT64_MAX - 1)), EFBIG);
  EXPECT_EQ(errno_of(pwrite(fd, "x", INT64_MAX)), EINVAL) << "ends where no offset can";
  EXPECT_EQ(*pwrite(fd, "xyz", kMax - 2), 2u) << "the part that fits";
  EXPECT_EQ(size(), kFileSizeMax_bytes);
  EXPECT_EQ(errno_of(vfs_ftruncate(root, task, fd, kMax + 1)), EFBIG);
  EXPECT_EQ(errno_of(vfs_lseek(root, task, fd, kMax + 1, SEEK_SET)), EINVAL);
}

TEST_F(ReadWriteTest, lseek) {
  ASSERT_EQ(write(fd, "0123456789"), 10);
  EXPECT_EQ(*vfs_lseek(root, task, fd, -3, SEEK_END), 7);
  EXPECT_EQ(*vfs_lseek(root, task, fd, 2, SEEK_CUR), 9);
  EXPECT_EQ(*vfs_lseek(root, task, fd, 100, SEEK_SET), 100);
  EXPECT_EQ(errno_of(vfs_lseek(root, task, fd, -11, SEEK_END)), EINVAL);
  EXPECT_EQ(errno_of(vfs_lseek(root, task, fd, INT64_MAX, SEEK_CUR)), EOVERFLOW);
  EXPECT_EQ(errno_of(vfs_lseek(root, task, fd, 0, 77)), EINVAL);
  EXPECT_EQ(*vfs_lseek(root, task, fd, 3, SEEK_DATA), 3);
  EXPECT_EQ(*vfs_lseek(root, task, fd, 3, SEEK_HOLE), 10);
  EXPECT_EQ(errno_of(vfs_lseek(root, task, fd, 10, SEEK_DATA)), ENXIO);
  EXPECT_EQ(errno_of(vfs_lseek(root, task, fd, -1, SEEK_HOLE)), ENXIO);
  EXPECT_EQ(errno_of(vfs_lseek(root, task, 77, 0, SEEK_SET)), EBADF);
}

TEST_F(ReadWriteTest, truncate) {
  ASSERT_EQ(write(fd, "0123456789"), 10);
  ASSERT_EQ(errno_of(vfs_ftruncate(root, task, fd, 4)), 0);
  EXPECT_EQ(pread(fd, 100, 0), "0123");
  ASSERT_EQ(errno_of(vfs_truncate(root, task, {AT_FDCWD, "/f"}, 8)), 0);
  EXPECT_EQ(pread(fd, 100, 0), std::string("0123\0\0\0\0", 8));
  EXPECT_EQ(size(), 8u);
  ASSERT_EQ(mkdir("/d"), 0);
  EXPECT_EQ(errno_of(vfs_truncate(root, task, {AT_FDCWD, "/d"}, 0)), EISDIR);
  EXPECT_EQ(errno_of(vfs_truncate(root, task, {AT_FDCWD, "/f"}, -1)), EINVAL);
  EXPECT_EQ(errno_of(vfs_truncate(user, task, {AT_FDCWD, "/f"}, 0)), EACCES);
  EXPECT_EQ(errno_of(vfs_truncate(root, task, {AT_FDCWD, "/nope"}, 0)), ENOENT);
  int readable = open("/f", O_RDONLY);
  EXPECT_EQ(errno_of(vfs_ftruncate(root, task, readable, 0)), EINVAL);
}

TEST_F(ReadWriteTest, fsync_and_O_SYNC_reach_the_file_system) {
  int before = ramfs->calls.fsync;
  EXPECT_EQ(errno_of(vfs_fsync(root, task, fd, true)), 0);
  EXPECT_EQ(ramfs->calls.fsync, before + 1);
  int sync = open("/f", O_WRONLY | O_SYNC);
  EXPECT_EQ(write(sync, "x"), 1);
  EXPECT_EQ(ramfs->calls.fsync, before + 2);
  EXPECT_EQ(errno_of(vfs_sync(root, task)), 0);
  EXPECT_EQ(errno_of(vfs_syncfs(root, task, fd)), 0);
}

TEST_F(ReadWriteTest, a_write_is_seen_whole_or_not_at_all) {
  constexpr size_t kSize = 3 * kPageSize_bytes + 100;
  ASSERT_EQ(*pwrite(fd, std::string(kSize, 'a'), 0), kSize);
  std::atomic<bool> stop{false};
  std::atomic<int> torn{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 2; ++i) {
    readers.emplace_back([&] {
      std::string data(kSize, '?');
      while (!stop) {
        Result<size_t> got = vfs_pread(root, task, fd, data.data(), kSize, 0);
        if (!got.ok() || *got != kSize || data != std::string(kSize, data[0])) ++torn;
      }
    });
  }
  for (int i = 0; i < 500; ++i) {
    EXPECT_EQ(*pwrite(fd, std::string(kSize, static_cast<char>('a' + i % 26)), 0), kSize);
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(torn, 0);
}

}  // namespace
}  // namespace myfs::fs
