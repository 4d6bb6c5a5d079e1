// Opening, reading, writing, positions and sizes of files.

#include <sys/stat.h>

#include <thread>
#include <vector>

#include "tests/posix/api_test.h"

namespace myfs::test {
namespace {

constexpr off_t kSizeMax = (off_t{1} << 54) - 1;

std::string pattern(size_t size, unsigned seed = 1) {
  std::string text(size, '\0');
  uint32_t x = seed * 2654435761u + 1;
  for (char& c : text) {
    x = x * 1664525u + 1013904223u;
    c = static_cast<char>(x >> 24);
  }
  return text;
}

using Open = ApiTest;

TEST_F(Open, TakesTheLowestFreeDescriptor) {
  make_file("f");
  EXPECT_EQ(0, open("f"));
  EXPECT_EQ(1, open("f"));
  EXPECT_EQ(2, open("f"));
  close(1);
  EXPECT_EQ(1, open("f"));
  EXPECT_EQ(3, myfs_dup(task_, 0));
  EXPECT_EQ(10, myfs_dup2(task_, 0, 10));
  EXPECT_EQ(4, open("f"));
}

TEST_F(Open, CreateTakesModeAndUmask) {
  EXPECT_EQ(022u, myfs_umask(task_, 027));
  close(open("a", O_WRONLY | O_CREAT, 0777));
  EXPECT_EQ(0750u, mode("a"));
  EXPECT_EQ(027u, myfs_umask(task_, 0));
  close(open("b", O_WRONLY | O_CREAT, 04777));
  EXPECT_EQ(04777u, mode("b"));
  close(myfs_creat(task_, "c", 0));
  EXPECT_EQ(0u, mode("c"));
  // The mode counts for others only: this descriptor may write.
  int fd = open("d", O_WRONLY | O_CREAT | O_EXCL, 0444);
  write(fd, "written");
  close(fd);
  EXPECT_EQ("written", content("d"));
}

TEST_F(Open, ModeOfAnExistingFileStays) {
  make_file("f");
  ASSERT_EQ(0, myfs_chmod(task_, "f", 0604));
  close(open("f", O_RDWR | O_CREAT | O_TRUNC, 0777));
  EXPECT_EQ(0604u, mode("f"));
}

TEST_F(Open, Truncates) {
  make_file("f");
  close(open("f", O_RDWR));
  EXPECT_EQ("content", content("f"));
  struct stat before = stat("f");
  close(open("f", O_WRONLY | O_TRUNC));
  EXPECT_EQ(0, stat("f").st_size);
  EXPECT_EQ(before.st_ino, stat("f").st_ino);
  // Also an open file, which its holder notices.
  int fd = open("f", O_RDWR);
  write(fd, "12345");
  close(open("f", O_WRONLY | O_TRUNC));
  EXPECT_EQ("", pread(fd, 10, 0));
  write(fd, "6");
  EXPECT_EQ(std::string(5, '\0') + "6", content("f"));
  close(fd);
}

TEST_F(Open, AppendsWhereverThePositionIs) {
  make_file("f", "one");
  int fd = open("f", O_RDWR | O_APPEND);
  EXPECT_EQ(0, myfs_lseek(task_, fd, 0, SEEK_CUR));
  write(fd, " two");
  EXPECT_EQ(7, myfs_lseek(task_, fd, 0, SEEK_CUR));
  ASSERT_EQ(0, myfs_lseek(task_, fd, 0, SEEK_SET));
  EXPECT_EQ("one", read(fd, 3));
  write(fd, " three");
  // As Linux does: pwrite appends too.
  pwrite(fd, " four", 0);
  EXPECT_EQ("one two three four", content("f"));
  close(fd);
}

TEST_F(Open, AppendsOfTwoDescriptorsDoNotOverwrite) {
  int a = open("f", O_WRONLY | O_CREAT | O_APPEND), b = open("f", O_WRONLY | O_APPEND);
  std::string expected;
  for (int i = 0; i < 50; ++i) {
    std::string text = std::to_string(i) + ";";
    write(i % 2 == 0 ? a : b, text);
    expected += text;
  }
  close(a);
  close(b);
  EXPECT_EQ(expected, content("f"));
}

TEST_F(Open, FollowsLinksToWhatIsMissing) {
  ASSERT_EQ(0, myfs_symlink(task_, "target", "l"));
  close(open("l", O_WRONLY | O_CREAT));
  EXPECT_TRUE(S_ISREG(stat("target").st_mode));
  EXPECT_EQ(-ELOOP, myfs_open(task_, "l", O_RDONLY | O_NOFOLLOW, 0));
  EXPECT_EQ(-ELOOP, myfs_open(task_, "l", O_RDONLY | O_NOFOLLOW | O_CREAT, 0644));
}

// Access mode 3: may do both, and does neither.
TEST_F(Open, ForNeitherReadingNorWriting) {
  make_file("f", "content");
  const int fd = open("f", O_ACCMODE);
  ASSERT_GE(fd, 0);
  char byte = 'x';
  EXPECT_EQ(-EBADF, myfs_read(task_, fd, &byte, 1));
  EXPECT_EQ(-EBADF, myfs_write(task_, fd, &byte, 1));
  EXPECT_EQ(-EINVAL, myfs_ftruncate(task_, fd, 0));
  EXPECT_EQ(O_ACCMODE, myfs_fcntl(task_, fd, F_GETFL, 0) & O_ACCMODE);
  close(fd);
  EXPECT_EQ("content", content("f"));
  make_dir("d");
  EXPECT_EQ(-EISDIR, myfs_open(task_, "d", O_ACCMODE, 0));
}

TEST_F(Open, OfADirectory) {
  make_dir("d");
  int fd = open("d", O_RDONLY | O_DIRECTORY);
  struct stat st;
  ASSERT_EQ(0, myfs_fstat(task_, fd, &st));
  EXPECT_EQ(stat("d").st_ino, st.st_ino);
  ASSERT_EQ(0, myfs_fchdir(task_, fd));
  close(open("inside"));
  ASSERT_EQ(0, myfs_chdir(task_, home().c_str()));
  EXPECT_EQ("", content("d/inside"));
  EXPECT_EQ(0, myfs_fsync(task_, fd));
  close(fd);
}

TEST_F(Open, LivesOnWithoutAName) {
  int fd = open("f");
  write(fd, "before");
  ASSERT_EQ(0, myfs_unlink(task_, "f"));
  EXPECT_EQ("<ENOENT>", content("f"));
  write(fd, " and after");
  EXPECT_EQ("before and after", pread(fd, 100, 0));
  struct stat st;
  ASSERT_EQ(0, myfs_fstat(task_, fd, &st));
  EXPECT_EQ(0u, st.st_nlink);
  EXPECT_EQ(16, st.st_size);
  // A new file of the name is another.
  make_file("f", "other");
  EXPECT_EQ("before and after", pread(fd, 100, 0));
  EXPECT_EQ(0, myfs_fchmod(task_, fd, 0600));
  EXPECT_EQ(0, myfs_ftruncate(task_, fd, 3));
  EXPECT_EQ("bef", pread(fd, 100, 0));
  close(fd);
  EXPECT_EQ("other", content("f"));
}

using ReadWrite = ApiTest;

TEST_F(ReadWrite, PositionsMove) {
  int fd = open("f");
  write(fd, "0123456789");
  EXPECT_EQ("", read(fd, 5));
  EXPECT_EQ(3, myfs_lseek(task_, fd, 3, SEEK_SET));
  EXPECT_EQ("345", read(fd, 3));
  EXPECT_EQ(8, myfs_lseek(task_, fd, 2, SEEK_CUR));
  EXPECT_EQ("89", read(fd, 5));
  EXPECT_EQ(9, myfs_lseek(task_, fd, -1, SEEK_END));
  write(fd, "AB");
  EXPECT_EQ("012345678AB", content("f"));
  // Positions of their own leave the shared one alone.
  EXPECT_EQ("01", pread(fd, 2, 0));
  pwrite(fd, "x", 0);
  EXPECT_EQ(11, myfs_lseek(task_, fd, 0, SEEK_CUR));
  close(fd);
}

TEST_F(ReadWrite, DupSharesThePosition) {
  make_file("f", "0123456789");
  int fd = open("f", O_RDWR), other = open("f", O_RDWR);
  int copy = myfs_dup(task_, fd);
  EXPECT_EQ("012", read(fd, 3));
  EXPECT_EQ("345", read(copy, 3));
  EXPECT_EQ("012", read(other, 3));
  ASSERT_EQ(9, myfs_lseek(task_, copy, 9, SEEK_SET));
  EXPECT_EQ("9", read(fd, 3));
  close(fd);
  ASSERT_EQ(0, myfs_lseek(task_, copy, 0, SEEK_SET));
  EXPECT_EQ("0", read(copy, 1));
  // dup2 over an open descriptor closes that one.
  EXPECT_EQ(other, myfs_dup2(task_, copy, other));
  EXPECT_EQ("1", read(other, 1));
  EXPECT_EQ("2", read(copy, 1));
  // Onto itself it does nothing.
  EXPECT_EQ(copy, myfs_dup2(task_, copy, copy));
  EXPECT_EQ("3", read(copy, 1));
}

TEST_F(ReadWrite, Vectors) {
  int fd = open("f");
  std::string a = "ab", b, c = "cdefg";
  iovec out[] = {{a.data(), a.size()}, {b.data(), 0}, {c.data(), c.size()}};
  EXPECT_EQ(7, myfs_writev(task_, fd, out, 3));
  EXPECT_EQ(7, myfs_lseek(task_, fd, 0, SEEK_CUR));
  EXPECT_EQ(7, myfs_pwritev(task_, fd, out, 3, 3));
  EXPECT_EQ("abcabcdefg", content("f"));
  std::string x(4, '?'), y(10, '?');
  iovec in[] = {{x.data(), 4}, {y.data(), 10}};
  EXPECT_EQ(9, myfs_preadv(task_, fd, in, 2, 1));
  EXPECT_EQ("bcab", x);
  EXPECT_EQ("cdefg?????", y);
  EXPECT_EQ(3, myfs_readv(task_, fd, in, 2));
  EXPECT_EQ("efgb", x);
  close(fd);
}

TEST_F(ReadWrite, SparseFilesReadAsZeros) {
  int fd = open("f");
  pwrite(fd, "end", 10 << 20);
  EXPECT_EQ((10 << 20) + 3, stat("f").st_size);
  EXPECT_EQ(std::string(4096, '\0'), pread(fd, 4096, 0));
  EXPECT_EQ(std::string(100, '\0') + "end", pread(fd, 4096, (10 << 20) - 100));
  ASSERT_EQ(0, myfs_fsync(task_, fd));
  EXPECT_LT(stat("f").st_blocks * 512, 1 << 20) << "holes take no space";
  pwrite(fd, "begin", 0);
  EXPECT_EQ("begin" + std::string(5, '\0'), pread(fd, 10, 0));
  close(fd);
  EXPECT_EQ("begin" + std::string(5, '\0'), content("f").substr(0, 10));
}

// The server answers, which does not know of data before they are sent.
TEST_F(ReadWrite, FreshDataAreNoHole) {
  const int fd = open("f");
  write(fd, std::string(64 << 10, 'x'));
  EXPECT_EQ(0, myfs_lseek(task_, fd, 0, SEEK_DATA));
  EXPECT_EQ(64 << 10, myfs_lseek(task_, fd, 0, SEEK_HOLE));
  close(fd);
}

TEST_F(ReadWrite, AtTheLimitOfOffsets) {
  int fd = open("f");
  for (off_t at : {off_t{1} << 31, off_t{1} << 32, off_t{1} << 40, kSizeMax - 4}) {
    pwrite(fd, "mark", at);
    EXPECT_EQ("mark", pread(fd, 10, at)) << at;
    EXPECT_EQ(std::string(4, '\0') + "mark", pread(fd, 8, at - 4)) << at;
    EXPECT_EQ(at + 4, stat("f").st_size);
  }
  close(fd);
  fd = open("f");
  EXPECT_EQ("mark", pread(fd, 10, kSizeMax - 4));
  EXPECT_EQ(kSizeMax, myfs_lseek(task_, fd, 0, SEEK_END));
  EXPECT_EQ("", read(fd, 1));
  close(fd);
}

TEST_F(ReadWrite, PiecesOfAllSizesAroundPageBounds) {
  std::string image = pattern(5 * 4096 + 100);
  int fd = open("f");
  pwrite(fd, image, 0);
  unsigned seed = 2;
  for (size_t size : {1u, 511u, 4095u, 4096u, 4097u, 9000u}) {
    for (size_t at : {0u, 1u, 4095u, 4096u, 4097u, 8191u, 11000u}) {
      std::string piece = pattern(size, seed++);
      pwrite(fd, piece, static_cast<off_t>(at));
      if (image.size() < at + size) image.resize(at + size);
      image.replace(at, size, piece);
      ASSERT_EQ(image, pread(fd, image.size() + 1, 0)) << size << " at " << at;
    }
  }
  ASSERT_EQ(0, myfs_fsync(task_, fd));
  close(fd);
  Client other(server_->url());
  EXPECT_EQ(image, other.get(home() + "/f"));
}

// More than one request of rsize and wsize, more than what a file keeps inline, several chunks.
TEST_F(ReadWrite, LargeFilesComeBackIntact) {
  std::string image = pattern(9 << 20);
  int fd = open("f");
  for (size_t at = 0; at < image.size();) {
    ssize_t n = myfs_write(task_, fd, image.data() + at, image.size() - at);
    ASSERT_GT(n, 0) << last_message();
    at += static_cast<size_t>(n);
  }
  close(fd);
  Client other(server_->url(), "rsize=64K");
  EXPECT_TRUE(image == other.get(home() + "/f"));
  EXPECT_GE(stat("f").st_blocks * 512, 9 << 20);
}

TEST_F(ReadWrite, TruncateCutsAndExtends) {
  std::string image = pattern(10000);
  make_file("f", image);
  int fd = open("f", O_RDWR);
  ASSERT_EQ(0, myfs_ftruncate(task_, fd, 5000));
  EXPECT_EQ(image.substr(0, 5000), pread(fd, 20000, 0));
  ASSERT_EQ(0, myfs_ftruncate(task_, fd, 9000));
  EXPECT_EQ(image.substr(0, 5000) + std::string(4000, '\0'), pread(fd, 20000, 0));
  ASSERT_EQ(0, myfs_truncate(task_, "f", 3));
  ASSERT_EQ(0, myfs_truncate(task_, "f", 6));
  EXPECT_EQ(image.substr(0, 3) + std::string(3, '\0'), pread(fd, 20000, 0));
  close(fd);
  Client other(server_->url());
  EXPECT_EQ(image.substr(0, 3) + std::string(3, '\0'), other.get(home() + "/f"));
}

TEST_F(ReadWrite, TruncateOfUnwrittenData) {
  int fd = open("f");
  pwrite(fd, pattern(100'000), 0);
  ASSERT_EQ(0, myfs_ftruncate(task_, fd, 10));
  pwrite(fd, "tail", 50'000);
  close(fd);
  std::string expected = pattern(100'000).substr(0, 10);
  expected.resize(50'000);
  EXPECT_EQ(expected + "tail", content("f"));
}

TEST_F(ReadWrite, EveryThreadItsOwnPiece) {
  constexpr int kThreads = 4;
  constexpr size_t kPiece = 300'000;
  int fd = open("f");
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::string piece = pattern(kPiece, static_cast<unsigned>(t) + 10);
      for (size_t at = 0; at < kPiece; at += 7001) {
        pwrite(fd, piece.substr(at, 7001),
               static_cast<off_t>(static_cast<size_t>(t) * kPiece + at));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < kThreads; ++t) {
    EXPECT_TRUE(pattern(kPiece, static_cast<unsigned>(t) + 10) ==
                pread(fd, kPiece, static_cast<off_t>(static_cast<size_t>(t) * kPiece)));
  }
  close(fd);
}

// Threads of one descriptor share its position: nothing is written twice or left out.
TEST_F(ReadWrite, ThreadsThatShareAPositionLoseNothing) {
  constexpr int kThreads = 4, kWrites = 250;
  int fd = open("f");
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kWrites; ++i) write(fd, std::string(8, static_cast<char>('a' + t)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  close(fd);
  std::string text = content("f");
  ASSERT_EQ(size_t{8} * kThreads * kWrites, text.size());
  for (int t = 0; t < kThreads; ++t) {
    EXPECT_EQ(8 * kWrites, std::count(text.begin(), text.end(), static_cast<char>('a' + t)));
  }
}

TEST_F(ReadWrite, SyncMakesDurable) {
  int fd = open("f");
  write(fd, "by fsync");
  ASSERT_EQ(0, myfs_fsync(task_, fd));
  int data = open("g");
  write(data, "by fdatasync");
  ASSERT_EQ(0, myfs_fdatasync(task_, data));
  int all = open("h");
  write(all, "by sync");
  ASSERT_EQ(0, myfs_sync(task_));
  int o_sync = open("i", O_WRONLY | O_CREAT | O_SYNC);
  write(o_sync, "by O_SYNC");
  int o_dsync = open("j", O_WRONLY | O_CREAT | O_DSYNC);
  write(o_dsync, "by O_DSYNC");
  restart_server();
  Client other(server_->url());
  EXPECT_EQ("by fsync", other.get(home() + "/f"));
  EXPECT_EQ("by fdatasync", other.get(home() + "/g"));
  EXPECT_EQ("by sync", other.get(home() + "/h"));
  EXPECT_EQ("by O_SYNC", other.get(home() + "/i"));
  EXPECT_EQ("by O_DSYNC", other.get(home() + "/j"));
}

TEST_F(ReadWrite, WritePolicySyncSendsWithTheWrite) {
  Client writer(server_->url(), "write_policy=sync"), lazy(server_->url());
  const std::string text(100'000, 's');
  int fd = writer.open(home() + "/f", O_WRONLY | O_CREAT);
  int lazy_fd = lazy.open(home() + "/lazy", O_WRONLY | O_CREAT);
  uint64_t sent = writer.stats().bytes_sent, lazily = lazy.stats().bytes_sent;
  ASSERT_EQ(static_cast<ssize_t>(text.size()), myfs_write(writer, fd, text.data(), text.size()));
  EXPECT_GE(writer.stats().bytes_sent, sent + text.size());
  ASSERT_EQ(static_cast<ssize_t>(text.size()), myfs_write(lazy, lazy_fd, text.data(), text.size()));
  EXPECT_LT(lazy.stats().bytes_sent, lazily + text.size());
  EXPECT_EQ(0, myfs_close(lazy, lazy_fd));
  int over = writer.open(home() + "/f", O_WRONLY);
  ASSERT_EQ(9, myfs_write(writer, over, "at server", 9));
  EXPECT_EQ(0, myfs_close(writer, over));
  EXPECT_EQ("at server", content("f").substr(0, 9));
  EXPECT_EQ(0, myfs_close(writer, fd));
}

TEST_F(ReadWrite, Statfs) {
  struct statfs st;
  ASSERT_EQ(0, myfs_statfs(task_, ".", &st));
  EXPECT_EQ(255, st.f_namelen);
  EXPECT_GT(st.f_blocks, 0u);
  EXPECT_GE(st.f_blocks, st.f_bfree);
  EXPECT_GE(st.f_bfree, st.f_bavail);
  EXPECT_GE(st.f_bsize, 512);
  struct statfs same;
  int fd = open("f");
  ASSERT_EQ(0, myfs_fstatfs(task_, fd, &same));
  EXPECT_EQ(st.f_bsize, same.f_bsize);
  EXPECT_EQ(st.f_blocks, same.f_blocks);
  close(fd);
}

}  // namespace
}  // namespace myfs::test
