// Ranges of a file: space, advice, direct and flagged I/O, holes; attributes by descriptor.

#include <linux/falloc.h>
#include <sys/xattr.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/posix/api_test.h"

namespace myfs::test {
namespace {

constexpr off_t kMax = (off_t{1} << 54) - 1;

class Ranges : public ApiTest {
 protected:
  off_t size(int fd) {
    struct stat st {};
    EXPECT_EQ(0, myfs_fstat(task_, fd, &st));
    return st.st_size;
  }
  uint64_t bytes_sent() {
    myfs_stats stats{};
    stats.size = sizeof stats;
    EXPECT_EQ(0, myfs_get_stats(task_, &stats));
    return stats.bytes_sent;
  }
  // Pages that fn() had to wait for, because nobody had asked for them before.
  template <typename Fn>
  uint64_t misses(Fn&& fn) {
    const uint64_t before = page_misses();
    fn();
    return page_misses() - before;
  }
  uint64_t page_misses() {
    myfs_stats stats{};
    stats.size = sizeof stats;
    EXPECT_EQ(0, myfs_get_stats(task_, &stats));
    return stats.page_misses;
  }
  uint64_t server_operations() {
    uint64_t count = 0;
    EXPECT_EQ(0, myfs_server_operations(task_, "/", &count));
    return count;
  }
};

TEST_F(Ranges, fallocate_EBADF) {
  make_file("f");
  EXPECT_EQ(-EBADF, myfs_fallocate(task_, 77, 0, 0, 1));
  EXPECT_EQ(-EBADF, myfs_fallocate(task_, open("f", O_RDONLY), 0, 0, 1));
  EXPECT_EQ(-EBADF, myfs_fallocate(task_, open(".", O_RDONLY), 0, 0, 1));
}
TEST_F(Ranges, fallocate_EINVAL) {
  int fd = open("f");
  EXPECT_EQ(-EINVAL, myfs_fallocate(task_, fd, 0, -1, 1));
  EXPECT_EQ(-EINVAL, myfs_fallocate(task_, fd, 0, 0, 0));
  EXPECT_EQ(-EINVAL, myfs_fallocate(task_, fd, 0, 0, -1));
}
TEST_F(Ranges, fallocate_EOPNOTSUPP) {
  int fd = open("f");
  for (int mode : {FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_PUNCH_HOLE,
                   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE, 0x4000}) {
    EXPECT_EQ(-EOPNOTSUPP, myfs_fallocate(task_, fd, mode, 0, 4096)) << mode;
  }
}
TEST_F(Ranges, fallocate_EFBIG) {
  int fd = open("f");
  EXPECT_EQ(-EFBIG, myfs_fallocate(task_, fd, 0, kMax, 1));
  EXPECT_EQ(-EFBIG, myfs_fallocate(task_, fd, 0, INT64_MAX, 1));
  EXPECT_EQ(0, size(fd));
}
TEST_F(Ranges, fallocate_grows_keeps_and_punches) {
  int fd = open("f");
  write(fd, "0123456789");
  EXPECT_EQ(0, myfs_fallocate(task_, fd, FALLOC_FL_KEEP_SIZE, 0, 100000)) << last_message();
  EXPECT_EQ(10, size(fd));
  EXPECT_EQ(0, myfs_fallocate(task_, fd, 0, 8, 12));
  EXPECT_EQ(20, size(fd));
  EXPECT_EQ("0123456789" + std::string(10, '\0'), pread(fd, 99, 0));
  EXPECT_EQ(0, myfs_fallocate(task_, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2, 3));
  EXPECT_EQ(std::string("01\0\0\0"
                        "56789",
                        10),
            pread(fd, 10, 0));
  EXPECT_EQ(20, size(fd));
}
TEST_F(Ranges, fallocate_zeroes) {
  int fd = open("f");
  write(fd, "0123456789" + std::string(10, '\0'));
  EXPECT_EQ(0, myfs_fallocate(task_, fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 8, 100));
  EXPECT_EQ(20, size(fd));
  EXPECT_EQ(std::string("567\0\0", 5), pread(fd, 5, 5));
  // Over the end: zeroed before it, grown behind it.
  EXPECT_EQ(0, myfs_fallocate(task_, fd, FALLOC_FL_ZERO_RANGE, 6, 94)) << last_message();
  EXPECT_EQ(100, size(fd));
  EXPECT_EQ(std::string("5\0", 2), pread(fd, 2, 5));
}

TEST_F(Ranges, lseek_ENXIO) {
  int fd = open("f");
  write(fd, "data");
  EXPECT_EQ(-ENXIO, myfs_lseek(task_, fd, 4, SEEK_DATA));
  EXPECT_EQ(-ENXIO, myfs_lseek(task_, fd, 4, SEEK_HOLE));
  EXPECT_EQ(-ENXIO, myfs_lseek(task_, fd, -1, SEEK_DATA));
  EXPECT_EQ(4, myfs_lseek(task_, fd, 0, SEEK_CUR));
}
TEST_F(Ranges, lseek_finds_data_and_holes) {
  int fd = open("f");
  pwrite(fd, std::string(4096, 'a'), 1 << 20);
  ASSERT_EQ(0, myfs_ftruncate(task_, fd, 3 << 20));
  EXPECT_EQ(0, myfs_lseek(task_, fd, 0, SEEK_HOLE));
  EXPECT_EQ(1 << 20, myfs_lseek(task_, fd, 0, SEEK_DATA));
  EXPECT_EQ((1 << 20) + 4096, myfs_lseek(task_, fd, 1 << 20, SEEK_HOLE));
  EXPECT_EQ(-ENXIO, myfs_lseek(task_, fd, 2 << 20, SEEK_DATA));
}

// What LTP's lseek11 expects.
TEST_F(Ranges, lseek_finds_a_hole_of_st_blksize_before_data) {
  make_file("f", "");
  const int fd = open("f", O_RDWR);
  const off_t block = stat("f").st_blksize;
  ASSERT_EQ(1, myfs_pwrite(task_, fd, "x", 1, 2 * block));
  EXPECT_EQ(2 * block, myfs_lseek(task_, fd, 0, SEEK_DATA));
  EXPECT_EQ(0, myfs_lseek(task_, fd, 0, SEEK_HOLE));
  ASSERT_EQ(1, myfs_pwrite(task_, fd, "x", 1, 0));
  EXPECT_EQ(0, myfs_lseek(task_, fd, 0, SEEK_DATA));
  const off_t hole = myfs_lseek(task_, fd, 0, SEEK_HOLE);
  EXPECT_TRUE(hole > 0 && hole <= block) << hole;
  EXPECT_EQ(0, myfs_close(task_, fd));
}

TEST_F(Ranges, posix_fadvise_EBADF) { EXPECT_EQ(-EBADF, myfs_posix_fadvise(task_, 77, 0, 0, 0)); }
TEST_F(Ranges, posix_fadvise_EINVAL) {
  int fd = open("f");
  EXPECT_EQ(-EINVAL, myfs_posix_fadvise(task_, fd, 0, 0, 6));
  EXPECT_EQ(-EINVAL, myfs_posix_fadvise(task_, fd, 0, 0, -1));
  EXPECT_EQ(-EINVAL, myfs_posix_fadvise(task_, fd, 0, -1, POSIX_FADV_NORMAL));
}
TEST_F(Ranges, posix_fadvise_DONTNEED_and_WILLNEED_empty_and_fill_the_cache) {
  const std::string text(1 << 20, 'x');
  // By a client that is gone: what this one gave back after writing would take pages along.
  myfs_task* writer = nullptr;
  ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), nullptr, &writer));
  std::swap(task_, writer);
  make_file((home() + "/f").c_str(), text);
  std::swap(task_, writer);
  ASSERT_EQ(0, myfs_task_destroy(writer));
  int fd = open("f", O_RDONLY);
  auto read_all = [&] { EXPECT_EQ(text, pread(fd, text.size(), 0)); };
  auto read_page = [&] { EXPECT_EQ(text.substr(0, 4096), pread(fd, 4096, 0)); };
  read_all();
  EXPECT_EQ(0u, misses(read_all));
  EXPECT_EQ(0, myfs_posix_fadvise(task_, fd, 0, 0, POSIX_FADV_DONTNEED));
  EXPECT_LT(0u, misses(read_all));
  EXPECT_EQ(0, myfs_posix_fadvise(task_, fd, 0, 0, POSIX_FADV_DONTNEED));
  EXPECT_EQ(0, myfs_posix_fadvise(task_, fd, 0, 4096, POSIX_FADV_WILLNEED));
  EXPECT_EQ(0u, misses(read_page));
  // A page of which a part is needed stays; the others go.
  read_all();
  EXPECT_EQ(0, myfs_posix_fadvise(task_, fd, 1, 8191, POSIX_FADV_DONTNEED));
  EXPECT_EQ(0u, misses(read_page));
  EXPECT_LT(0u, misses(read_all));
}
TEST_F(Ranges, posix_fadvise_RANDOM_reads_what_is_asked_for) {
  make_file("f", std::string(1 << 20, 'x'));
  myfs_stats before{}, after{};
  before.size = after.size = sizeof before;
  myfs_task* cold = nullptr;
  ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), nullptr, &cold));
  int fd = myfs_open(cold, (home() + "/f").c_str(), O_RDONLY, 0);
  EXPECT_EQ(0, myfs_posix_fadvise(cold, fd, 0, 0, POSIX_FADV_RANDOM));
  char byte;
  ASSERT_EQ(0, myfs_get_stats(cold, &before));
  EXPECT_EQ(1, myfs_pread(cold, fd, &byte, 1, 0));
  ASSERT_EQ(0, myfs_get_stats(cold, &after));
  EXPECT_GT(32u << 10, after.bytes_received - before.bytes_received);
  EXPECT_EQ(0, myfs_task_destroy(cold));
}
TEST_F(Ranges, posix_fadvise_loses_nothing_that_is_dirty) {
  int fd = open("f");
  const std::string text(300'000, 'd');
  write(fd, text);
  EXPECT_EQ(0, myfs_posix_fadvise(task_, fd, 0, 0, POSIX_FADV_DONTNEED));
  EXPECT_EQ(text, pread(fd, 1 << 20, 0));
  for (int advice = POSIX_FADV_NORMAL; advice <= POSIX_FADV_NOREUSE; ++advice) {
    EXPECT_EQ(0, myfs_posix_fadvise(task_, fd, 100, 5000, advice)) << advice;
    EXPECT_EQ(text, pread(fd, 1 << 20, 0));
  }
  EXPECT_EQ(0, myfs_posix_fadvise(task_, open(".", O_RDONLY), 0, 0, POSIX_FADV_WILLNEED));
}

TEST_F(Ranges, sync_file_range_EINVAL) {
  int fd = open("f");
  EXPECT_EQ(-EINVAL, myfs_sync_file_range(task_, fd, 0, 0, 8));
  EXPECT_EQ(-EINVAL, myfs_sync_file_range(task_, fd, -1, 0, 2));
  EXPECT_EQ(-EINVAL, myfs_sync_file_range(task_, fd, 0, -1, 2));
  EXPECT_EQ(-EINVAL, myfs_sync_file_range(task_, fd, INT64_MAX, 1, 2));
  EXPECT_EQ(-EBADF, myfs_sync_file_range(task_, 77, 0, 0, 2));
}
TEST_F(Ranges, sync_file_range_sends_what_is_dirty) {
  int fd = open("f");
  write(fd, std::string(100'000, 'd'));
  const uint64_t before = bytes_sent();
  EXPECT_EQ(0, myfs_sync_file_range(task_, fd, 0, 0, 0));
  EXPECT_GT(before + 4096, bytes_sent());
  EXPECT_EQ(0, myfs_sync_file_range(task_, fd, 0, 0, 7)) << last_message();
  EXPECT_LT(before + 100'000, bytes_sent());
}
TEST_F(Ranges, syncfs_EBADF) {
  EXPECT_EQ(-EBADF, myfs_syncfs(task_, 77));
  int fd = open("f");
  write(fd, "x");
  EXPECT_EQ(0, myfs_syncfs(task_, fd));
}

class Flags : public Ranges {
 protected:
  ssize_t preadv2(int fd, char* to, size_t size, off_t offset, int flags) {
    iovec part{to, size};
    return myfs_preadv2(task_, fd, &part, 1, offset, flags);
  }
  ssize_t pwritev2(int fd, std::string text, off_t offset, int flags) {
    iovec part{text.data(), text.size()};
    return myfs_pwritev2(task_, fd, &part, 1, offset, flags);
  }
};

TEST_F(Flags, preadv2_EOPNOTSUPP) {
  char byte;
  EXPECT_EQ(-EOPNOTSUPP, preadv2(open("f"), &byte, 1, 0, 0x1000));
}
TEST_F(Flags, preadv2_EAGAIN) {
  make_file("f");
  myfs_task* cold = nullptr;
  ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), nullptr, &cold));
  int fd = myfs_open(cold, (home() + "/f").c_str(), O_RDONLY, 0);
  char text[8] = {};
  iovec part{text, 7};
  EXPECT_EQ(-EAGAIN, myfs_preadv2(cold, fd, &part, 1, 0, RWF_NOWAIT));
  EXPECT_EQ(-EAGAIN, myfs_preadv2(cold, fd, &part, 1, -1, RWF_NOWAIT));
  EXPECT_EQ(7, myfs_preadv2(cold, fd, &part, 1, 0, RWF_HIPRI));
  EXPECT_EQ(7, myfs_preadv2(cold, fd, &part, 1, 0, RWF_NOWAIT));
  EXPECT_EQ(7, myfs_preadv2(cold, fd, &part, 1, -1, RWF_NOWAIT));
  EXPECT_EQ(0, myfs_preadv2(cold, fd, &part, 1, -1, RWF_NOWAIT));
  EXPECT_EQ(0, myfs_task_destroy(cold));
}
TEST_F(Flags, preadv2_EINVAL_OfOffsetsButMinusOne) {
  make_file("f");
  const int fd = open("f", O_RDONLY);
  char text[8] = {};
  iovec part{text, 7};
  EXPECT_EQ(-EINVAL, myfs_preadv2(task_, fd, &part, 1, -2, 0));
  EXPECT_EQ(7, myfs_preadv2(task_, fd, &part, 1, -1, 0));
  EXPECT_EQ(0, myfs_preadv2(task_, fd, &part, 1, -1, RWF_HIPRI));
  EXPECT_EQ(7, myfs_preadv2(task_, fd, &part, 1, 0, RWF_HIPRI));
}
TEST_F(Flags, pwritev2_EOPNOTSUPP) {
  int fd = open("f");
  EXPECT_EQ(-EOPNOTSUPP, pwritev2(fd, "x", 0, 0x1000));
  EXPECT_EQ(-EOPNOTSUPP, pwritev2(fd, "x", 0, RWF_NOWAIT));
  EXPECT_EQ(0, size(fd));
}
TEST_F(Flags, pwritev2_EAGAIN) {
  int fd = open("f", O_RDWR | O_CREAT | O_DIRECT);
  EXPECT_EQ(-EAGAIN, pwritev2(fd, std::string(512, 'x'), 0, RWF_NOWAIT));
}
TEST_F(Flags, pwritev2_appends_and_makes_durable) {
  int fd = open("f");
  write(fd, "first ");
  EXPECT_EQ(6, pwritev2(fd, "second", 0, RWF_APPEND));
  EXPECT_EQ("first second", pread(fd, 99, 0));
  EXPECT_EQ(3, pwritev2(fd, "...", -1, 0));
  EXPECT_EQ("first ...ond", pread(fd, 99, 0));
  EXPECT_EQ(2, pwritev2(fd, "!!", -1, RWF_APPEND));
  EXPECT_EQ(14, myfs_lseek(task_, fd, 0, SEEK_CUR));
  EXPECT_EQ(7, pwritev2(fd, "durable", 0, RWF_DSYNC));
  EXPECT_EQ(7, pwritev2(fd, "DURABLE", 0, RWF_SYNC));
  restart_server();
  EXPECT_EQ("DURABLE", content("f").substr(0, 7));
}

class Direct : public Ranges {};

TEST_F(Direct, read_EINVAL) {
  make_file("f", std::string(1000, 'x'));
  int fd = open("f", O_RDONLY | O_DIRECT);
  std::string text(1024, '?');
  EXPECT_EQ(-EINVAL, myfs_pread(task_, fd, text.data(), 100, 0));
  EXPECT_EQ(-EINVAL, myfs_pread(task_, fd, text.data(), 512, 100));
  fd = open("f", O_WRONLY | O_DIRECT);
  EXPECT_EQ(-EINVAL, myfs_pwrite(task_, fd, text.data(), 100, 0));
  EXPECT_EQ(-EINVAL, myfs_pwrite(task_, fd, text.data(), 512, 1));
  EXPECT_EQ(1000, size(fd));
}
TEST_F(Direct, reads_end_with_the_file) {
  make_file("f", std::string(1000, 'x'));
  const int fd = open("f", O_RDONLY | O_DIRECT);
  std::string text(1024, '?');
  EXPECT_EQ(512, myfs_read(task_, fd, text.data(), 512));
  EXPECT_EQ(488, myfs_read(task_, fd, text.data(), 512));
  EXPECT_EQ(0, myfs_read(task_, fd, text.data(), 512));
}
TEST_F(Direct, and_cached_io_see_each_other) {
  int cached = open("f"), direct = open("f", O_RDWR | O_DIRECT);
  pwrite(cached, std::string(2048, 'c'), 0);
  EXPECT_EQ(std::string(2048, 'c'), pread(direct, 4096, 0));
  pwrite(direct, std::string(512, 'd'), 512);
  EXPECT_EQ(std::string(512, 'c') + std::string(512, 'd') + std::string(1024, 'c'),
            pread(cached, 4096, 0));
  pwrite(cached, std::string(512, 'e'), 512);
  pwrite(direct, std::string(512, 'f'), 2048);
  EXPECT_EQ(2560, size(cached));
  EXPECT_EQ(std::string(512, 'e') + std::string(1024, 'c') + std::string(512, 'f'),
            pread(cached, 4096, 512));
  EXPECT_EQ(pread(direct, 4096, 0), pread(cached, 4096, 0));
}
TEST_F(Direct, another_client_sees_it_and_is_seen) {
  myfs_task* other = nullptr;
  ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), nullptr, &other));
  int direct = open("f", O_RDWR | O_CREAT | O_DIRECT);
  int cached = myfs_open(other, (home() + "/f").c_str(), O_RDWR, 0);
  ASSERT_GE(cached, 0);
  std::string text(1024, '?');
  for (char c = 'a'; c < 'k'; ++c) {
    const std::string theirs(1024, c), ours(512, static_cast<char>(c - 'a' + 'A'));
    ASSERT_EQ(1024, myfs_pwrite(other, cached, theirs.data(), theirs.size(), 0));
    EXPECT_EQ(theirs, pread(direct, 1024, 0));
    pwrite(direct, ours, 0);
    ASSERT_EQ(1024, myfs_pread(other, cached, text.data(), text.size(), 0));
    EXPECT_EQ(ours + theirs.substr(512), text);
  }
  EXPECT_EQ(0, myfs_task_destroy(other));
}
TEST_F(Direct, reads_are_asked_for_each_time) {
  constexpr uint64_t kReads = 50;  // and what the client does in the background is far less
  make_file("f", std::string(512, 'x'));
  int fd = open("f", O_RDONLY);
  auto asked = [&] {
    const uint64_t before = server_operations();
    for (uint64_t i = 0; i < kReads; ++i) EXPECT_EQ(std::string(512, 'x'), pread(fd, 512, 0));
    return server_operations() - before;
  };
  EXPECT_GT(kReads, asked());
  ASSERT_EQ(0, myfs_fcntl(task_, fd, F_SETFL, O_DIRECT));
  EXPECT_LE(kReads, asked());
  ASSERT_EQ(0, myfs_fcntl(task_, fd, F_SETFL, 0));
  EXPECT_GT(kReads, asked());
}
TEST_F(Direct, appends_at_the_end) {
  int fd = open("f", O_RDWR | O_CREAT | O_DIRECT | O_APPEND);
  write(fd, std::string(512, 'a'));
  write(fd, std::string(1024, 'b'));
  EXPECT_EQ(std::string(512, 'a') + std::string(1024, 'b'), pread(fd, 4096, 0));
}

class Fxattr : public Ranges {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    fd_ = open("f");
    EXPECT_EQ(0, myfs_fsetxattr(task_, fd_, "user.a", "value", 5, 0)) << last_message();
  }
  int fd_ = -1;
  char buffer_[64] = {};
};

TEST_F(Fxattr, fgetxattr_EBADF_fsetxattr_EBADF_flistxattr_EBADF_fremovexattr_EBADF) {
  for (int fd : {77, -1, open("f", O_PATH)}) {
    EXPECT_EQ(-EBADF, myfs_fgetxattr(task_, fd, "user.a", buffer_, 9));
    EXPECT_EQ(-EBADF, myfs_fsetxattr(task_, fd, "user.a", "v", 1, 0));
    EXPECT_EQ(-EBADF, myfs_flistxattr(task_, fd, buffer_, 9));
    EXPECT_EQ(-EBADF, myfs_fremovexattr(task_, fd, "user.a"));
  }
}
TEST_F(Fxattr, fgetxattr_EBADF_OfTheWorkingDirectory) {
  EXPECT_EQ(-EBADF, myfs_fgetxattr(task_, AT_FDCWD, "user.a", buffer_, 9));
  EXPECT_EQ(-EBADF, myfs_fsetxattr(task_, AT_FDCWD, "user.a", "v", 1, 0));
  EXPECT_EQ(-EBADF, myfs_flistxattr(task_, AT_FDCWD, buffer_, 9));
  EXPECT_EQ(-EBADF, myfs_fremovexattr(task_, AT_FDCWD, "user.a"));
}
TEST_F(Fxattr, fgetxattr_ERANGE_flistxattr_ERANGE) {
  EXPECT_EQ(-ERANGE, myfs_fgetxattr(task_, fd_, "user.a", buffer_, 4));
  EXPECT_EQ(-ERANGE, myfs_flistxattr(task_, fd_, buffer_, 6));
  EXPECT_EQ(5, myfs_fgetxattr(task_, fd_, "user.a", nullptr, 0));
}
TEST_F(Fxattr, fgetxattr_ENODATA_fsetxattr_ENODATA_fremovexattr_ENODATA) {
  EXPECT_EQ(-ENODATA, myfs_fgetxattr(task_, fd_, "user.b", buffer_, 9));
  EXPECT_EQ(-ENODATA, myfs_fsetxattr(task_, fd_, "user.b", "v", 1, XATTR_REPLACE));
  EXPECT_EQ(-ENODATA, myfs_fremovexattr(task_, fd_, "user.b"));
}
TEST_F(Fxattr, fsetxattr_EEXIST) {
  EXPECT_EQ(-EEXIST, myfs_fsetxattr(task_, fd_, "user.a", "v", 1, XATTR_CREATE));
}
TEST_F(Fxattr, fsetxattr_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_fsetxattr(task_, fd_, "user.a", "v", 1, 4));
  EXPECT_EQ(-EINVAL, myfs_fsetxattr(task_, fd_, nullptr, "v", 1, 0));
}
TEST_F(Fxattr, descriptors_and_paths_name_the_same) {
  EXPECT_EQ(5, myfs_getxattr(task_, "f", "user.a", buffer_, 9, 0));
  EXPECT_EQ(7, myfs_flistxattr(task_, fd_, buffer_, 9));
  EXPECT_STREQ("user.a", buffer_);
  // By a file that has lost its name, too.
  ASSERT_EQ(0, myfs_unlink(task_, "f"));
  EXPECT_EQ(5, myfs_fgetxattr(task_, fd_, "user.a", buffer_, 9));
  EXPECT_EQ(0, myfs_fremovexattr(task_, fd_, "user.a"));
  EXPECT_EQ(0, myfs_flistxattr(task_, fd_, buffer_, 9));
}
TEST_F(Fxattr, the_l_forms_are_about_the_link) {
  ASSERT_EQ(0, myfs_symlink(task_, "f", "l"));
  EXPECT_EQ(-EPERM, myfs_lsetxattr(task_, "l", "user.b", "v", 1, 0));
  EXPECT_EQ(-ENODATA, myfs_lgetxattr(task_, "l", "user.a", buffer_, 9));
  EXPECT_EQ(0, myfs_llistxattr(task_, "l", buffer_, 9));
  EXPECT_EQ(-EPERM, myfs_lremovexattr(task_, "l", "user.a"));
  EXPECT_EQ(5, myfs_lgetxattr(task_, "f", "user.a", buffer_, 9));
}

TEST_F(Ranges, statvfs_and_statfs_tell_the_same) {
  struct statfs a;
  struct statvfs b;
  ASSERT_EQ(0, myfs_statfs(task_, ".", &a));
  ASSERT_EQ(0, myfs_statvfs(task_, ".", &b));
  EXPECT_EQ(static_cast<unsigned long>(a.f_bsize), b.f_frsize);
  EXPECT_EQ(a.f_blocks, b.f_blocks);
  EXPECT_EQ(static_cast<unsigned long>(a.f_namelen), b.f_namemax);
  EXPECT_EQ(0u, b.f_flag & ST_RDONLY);
  ASSERT_EQ(0, myfs_fstatvfs(task_, open("f"), &b));
  EXPECT_EQ(a.f_files, b.f_files);
  EXPECT_EQ(-EBADF, myfs_fstatvfs(task_, 77, &b));
  EXPECT_EQ(-EINVAL, myfs_statvfs(task_, ".", nullptr));
}

}  // namespace
}  // namespace myfs::test
