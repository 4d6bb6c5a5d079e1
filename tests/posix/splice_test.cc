// splice between files of a task and descriptors of the process: errnos, both directions, offsets,
// short counts.

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <myfs/myfs.hpp>
#include <thread>

#include "tests/posix/api_test.h"

namespace myfs::test {
namespace {

std::string text_of(size_t size, uint32_t seed) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i)
    text[i] = static_cast<char>('a' + (i * 31 + i / 999 + seed) % 26);
  return text;
}

// A descriptor of the process.
class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  ~Fd() { close(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  void reset(int fd) {
    close();
    fd_ = fd;
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  operator int() const { return fd_; }

 private:
  int fd_;
};

struct Pipe {
  explicit Pipe(int flags = 0) {
    int fds[2];
    EXPECT_EQ(0, ::pipe2(fds, O_CLOEXEC | flags));
    out.reset(fds[0]);
    in.reset(fds[1]);
  }
  Fd out, in;
};

struct SocketPair {
  SocketPair() {
    int fds[2];
    EXPECT_EQ(0, ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
    one.reset(fds[0]);
    two.reset(fds[1]);
  }
  Fd one, two;
};

// All that comes until the end, or until so much is there.
std::string read_all(int fd, size_t size = SIZE_MAX) {
  std::string text;
  char buffer[64 << 10];
  while (text.size() < size) {
    const ssize_t n = ::read(fd, buffer, std::min(sizeof buffer, size - text.size()));
    if (n <= 0) break;
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

class Splice : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    make_file("f", "0123456789");
    fd_ = open("f", O_RDWR);
  }
  ssize_t out(int kernel_fd, size_t size, off_t* offset = nullptr, off_t* kernel_offset = nullptr,
              unsigned flags = 0) {
    return myfs_splice(task_, fd_, offset, kernel_fd, kernel_offset, size, flags);
  }
  ssize_t in(int kernel_fd, size_t size, off_t* offset = nullptr, off_t* kernel_offset = nullptr,
             unsigned flags = 0) {
    return myfs_splice(task_, fd_, offset, kernel_fd, kernel_offset, size, flags | MYFS_SPLICE_IN);
  }
  Fd local(int flags = O_RDWR) {
    return Fd(::open((*dir_ / "local").c_str(), flags | O_CREAT | O_CLOEXEC, 0600));
  }
  int fd_ = -1;
};

TEST_F(Splice, splice_EBADF) {
  Pipe pipe;
  EXPECT_EQ(-EBADF, out(-1, 1));
  EXPECT_EQ(-EBADF, out(pipe.out, 1)) << "the end for reading";
  EXPECT_EQ(-EBADF, in(pipe.in, 1));
  EXPECT_EQ(-EBADF, myfs_splice(task_, 99, nullptr, pipe.in, nullptr, 1, 0));
  const int write_only = open("f", O_WRONLY), read_only = open("f", O_RDONLY);
  EXPECT_EQ(-EBADF, myfs_splice(task_, write_only, nullptr, pipe.in, nullptr, 1, 0));
  EXPECT_EQ(-EBADF, myfs_splice(task_, read_only, nullptr, pipe.out, nullptr, 1, MYFS_SPLICE_IN));
  EXPECT_EQ(-EBADF, myfs_splice(task_, open("f", O_PATH), nullptr, pipe.in, nullptr, 1, 0));
}

TEST_F(Splice, splice_EINVAL) {
  Pipe pipe;
  Fd file = local(), append = local(O_WRONLY | O_APPEND), dir(::open("/", O_RDONLY));
  off_t negative = -1, zero = 0;
  EXPECT_EQ(-EINVAL, out(pipe.in, 1, nullptr, nullptr, 0x200));
  EXPECT_EQ(-EINVAL, out(pipe.in, 1, &negative));
  EXPECT_EQ(-EINVAL, out(file, 1, nullptr, &negative));
  EXPECT_EQ(-EINVAL, out(append, 1, nullptr, &zero));
  EXPECT_EQ(-EINVAL, in(dir, 1));
  make_dir("d");
  EXPECT_EQ(-EINVAL, myfs_splice(task_, open("d", O_RDONLY), nullptr, pipe.in, nullptr, 1, 0));
}

TEST_F(Splice, splice_ESPIPE) {
  Pipe pipe;
  SocketPair pair;
  off_t zero = 0;
  EXPECT_EQ(-ESPIPE, out(pipe.in, 1, nullptr, &zero));
  EXPECT_EQ(-ESPIPE, in(pipe.out, 1, nullptr, &zero));
  EXPECT_EQ(-ESPIPE, out(pair.one, 1, nullptr, &zero));
}

TEST_F(Splice, splice_EAGAIN) {
  Pipe waits, never(O_NONBLOCK);
  EXPECT_EQ(-EAGAIN, in(never.out, 1));
  EXPECT_EQ(-EAGAIN, in(waits.out, 1, nullptr, nullptr, SPLICE_F_NONBLOCK));
  SocketPair pair;
  EXPECT_EQ(-EAGAIN, in(pair.one, 1, nullptr, nullptr, SPLICE_F_NONBLOCK));
  // A full pipe: first what fits, then nothing; the position stays behind what was moved.
  make_file("big", text_of(1 << 20, 1));
  fd_ = open("big", O_RDONLY);
  const ssize_t fits = out(never.in, 1 << 20);
  EXPECT_GT(fits, 0);
  EXPECT_LT(fits, 1 << 20);
  EXPECT_EQ(fits, myfs_lseek(task_, fd_, 0, SEEK_CUR));
  EXPECT_EQ(-EAGAIN, out(never.in, 1 << 20));
  EXPECT_EQ(fits, myfs_lseek(task_, fd_, 0, SEEK_CUR));
  EXPECT_EQ(text_of(1 << 20, 1).substr(0, static_cast<size_t>(fits)),
            read_all(never.out, static_cast<size_t>(fits)));
}

std::atomic<int> sigpipes{0};

TEST_F(Splice, splice_EPIPE) {
  struct sigaction counts {
  }, before;
  counts.sa_handler = [](int) { ++sigpipes; };
  ASSERT_EQ(0, ::sigaction(SIGPIPE, &counts, &before));
  Pipe pipe;
  pipe.out.close();
  EXPECT_EQ(-EPIPE, out(pipe.in, 10));
  SocketPair pair;
  pair.two.close();
  EXPECT_EQ(-EPIPE, out(pair.one, 10));
  EXPECT_EQ(0, sigpipes) << "the process was signalled";
  sigset_t pending, blocked;
  ::sigpending(&pending);
  ::pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  EXPECT_EQ(0, sigismember(&pending, SIGPIPE));
  EXPECT_EQ(0, sigismember(&blocked, SIGPIPE));
  EXPECT_EQ(0, myfs_lseek(task_, fd_, 0, SEEK_CUR));
  ASSERT_EQ(0, ::sigaction(SIGPIPE, &before, nullptr));
}

TEST_F(Splice, WaitsEndWithTheCall) {
  Pipe pipe;
  const myfs_call soon{sizeof(myfs_call), nullptr, 20, nullptr};
  EXPECT_EQ(-ETIMEDOUT,
            myfs_splice_x(task_, &soon, fd_, nullptr, pipe.out, nullptr, 1, MYFS_SPLICE_IN));
  myfs_cancel* cancel = myfs_cancel_create();
  const myfs_call cancelled{sizeof(myfs_call), nullptr, 0, cancel};
  std::thread canceller([&] { myfs_cancel_fire(cancel); });
  EXPECT_EQ(-ECANCELED,
            myfs_splice_x(task_, &cancelled, fd_, nullptr, pipe.out, nullptr, 1, MYFS_SPLICE_IN));
  canceller.join();
  myfs_cancel_destroy(cancel);
}

TEST_F(Splice, MovesPositionsAndOffsets) {
  Fd file = local();
  EXPECT_EQ(4, out(file, 4));
  EXPECT_EQ(4, myfs_lseek(task_, fd_, 0, SEEK_CUR));
  off_t from = 8, to = 6;
  EXPECT_EQ(2, out(file, 100, &from, &to)) << "as far as the file goes";
  EXPECT_EQ(10, from);
  EXPECT_EQ(8, to);
  EXPECT_EQ(4, ::lseek(file, 0, SEEK_CUR));
  EXPECT_EQ(0, out(file, 100, &from, &to));
  ::lseek(file, 0, SEEK_SET);
  EXPECT_EQ(std::string("0123\0\0", 6) + "89", read_all(file));
  // And back.
  off_t local_from = 6, remote_to = 1;
  EXPECT_EQ(2, in(file, 100, &remote_to, &local_from));
  EXPECT_EQ(3, remote_to);
  EXPECT_EQ(8, local_from);
  EXPECT_EQ("0893456789", content("f"));
  ::lseek(file, 0, SEEK_SET);
  EXPECT_EQ(3, in(file, 3));
  EXPECT_EQ(7, myfs_lseek(task_, fd_, 0, SEEK_CUR));
  EXPECT_EQ("0893012789", content("f"));
  EXPECT_EQ(0, out(file, 0));
}

// As splice(2) and sendfile(2): nothing is taken from the pipe.
TEST_F(Splice, splice_EINVAL_OfAFileThatIsAppendedTo) {
  Pipe pipe;
  ASSERT_EQ(3, ::write(pipe.in, "end", 3));
  const int append = open("f", O_RDWR | O_APPEND);
  off_t zero = 0;
  EXPECT_EQ(-EINVAL, myfs_splice(task_, append, nullptr, pipe.out, nullptr, 100, MYFS_SPLICE_IN));
  EXPECT_EQ(-EINVAL, myfs_splice(task_, append, &zero, pipe.out, nullptr, 100, MYFS_SPLICE_IN));
  EXPECT_EQ(0, zero);
  EXPECT_EQ("0123456789", content("f"));
  char buffer[4];
  EXPECT_EQ(3, ::read(pipe.out, buffer, sizeof buffer));
  // It can be read from.
  EXPECT_EQ(4, myfs_splice(task_, append, &zero, pipe.in, nullptr, 4, 0));
}

TEST_F(Splice, splice_EINVAL_OfWhatIsAppendedToInTheKernel) {
  Fd append = local(O_WRONLY | O_APPEND | O_TRUNC);
  off_t zero = 0;
  EXPECT_EQ(-EINVAL, out(append, 4, &zero));
  EXPECT_EQ(0, zero);
  EXPECT_EQ(0, ::lseek(append, 0, SEEK_END));
  SocketPair sockets;
  ASSERT_EQ(0, ::fcntl(sockets.one, F_SETFL, O_APPEND));
  EXPECT_EQ(-EINVAL, out(sockets.one, 4, &zero));
  Pipe pipe;
  ASSERT_EQ(0, ::fcntl(pipe.in, F_SETFL, O_APPEND));
  EXPECT_EQ(4, out(pipe.in, 4, &zero));
  EXPECT_EQ("0123", read_all(pipe.out, 4));
}

TEST_F(Splice, GoesThroughAPipeWhole) {
  const std::string text = text_of((1 << 20) + 12345, 7);
  make_file("big", text);
  fd_ = open("big", O_RDONLY);
  Pipe pipe;
  std::string got;
  std::thread reader([&] { got = read_all(pipe.out); });
  EXPECT_EQ(static_cast<ssize_t>(text.size()), out(pipe.in, SSIZE_MAX));
  pipe.in.close();
  reader.join();
  EXPECT_EQ(text, got);
}

TEST_F(Splice, GoesThroughASocketWhole) {
  const std::string text = text_of((1 << 20) + 54321, 9);
  SocketPair pair;
  std::thread writer([&] {
    size_t done = 0;
    while (done < text.size()) {
      const ssize_t n = ::write(pair.one, text.data() + done, text.size() - done);
      ASSERT_GT(n, 0);
      done += static_cast<size_t>(n);
    }
    pair.one.close();
  });
  const int to = open("copy", O_RDWR | O_CREAT);
  size_t sum = 0;
  ssize_t n;
  while ((n = myfs_splice(task_, to, nullptr, pair.two, nullptr, 1 << 20, MYFS_SPLICE_IN)) > 0) {
    sum += static_cast<size_t>(n);
  }
  writer.join();
  EXPECT_EQ(0, n) << last_message();
  EXPECT_EQ(text.size(), sum);
  close(to);
  EXPECT_EQ(text, Client(server_->url()).get(home() + "/copy"));
}

TEST_F(Splice, FailsWhereTheFileEnds) {
  Fd file = local();
  ASSERT_EQ(4, ::write(file, "data", 4));
  off_t from = 0, behind = (off_t{1} << 54) - 3;
  EXPECT_EQ(2, in(file, 4, &behind, &from)) << "as much as fits";
  EXPECT_EQ(2, from) << "the rest was not taken";
  EXPECT_EQ(-EFBIG, in(file, 4, &behind, &from));
  EXPECT_EQ(2, from);
}

TEST_F(Splice, WorksInCxx) {
  auto task = myfs::Task::open(server_->url());
  ASSERT_TRUE(task) << task.error().message();
  auto file = task->open_file(home() + "/f", O_RDWR);
  ASSERT_TRUE(file);
  Pipe pipe;
  auto moved = file->splice_to(pipe.in, 4, 2);
  ASSERT_TRUE(moved) << moved.error().message();
  EXPECT_EQ(4u, *moved);
  moved = file->splice_from(pipe.out, 100);
  ASSERT_TRUE(moved) << moved.error().message();
  EXPECT_EQ(4u, *moved);
  EXPECT_EQ("2345456789", content("f"));
}

}  // namespace
}  // namespace myfs::test
