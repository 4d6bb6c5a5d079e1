// Locks between clients: who waits, who dies, whose connection breaks, and what the next holder
// sees.

#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>

#include <atomic>
#include <future>
#include <thread>

#include "tests/integration/two_clients.h"
#include "tests/support/flock.h"

namespace myfs::test {
namespace {

// A short lease term: what a dead client holds ends soon.
class Locks : public TwoClients {
 protected:
  Locks() : TwoClients({"--lease-term", "1"}) {}
  void SetUp() override {
    TwoClients::SetUp();
    ASSERT_EQ(0, a().put("/f", "0"));
    fd_a_ = a().open("/f", O_RDWR);
    fd_b_ = b().open("/f", O_RDWR);
    ASSERT_GE(fd_a_, 0);
    ASSERT_GE(fd_b_, 0);
  }
  static int set(Client& client, int fd, struct flock lock, int cmd = F_SETLK) {
    return myfs_lock(client, fd, cmd, &lock);
  }
  static int wait(Client& client, int fd, struct flock lock, myfs_cancel* cancel = nullptr,
                  int64_t limit_ms = 60'000) {
    const myfs_call call{sizeof call, nullptr, limit_ms, cancel};
    return myfs_lock_x(client, &call, fd, F_SETLKW, &lock);
  }
  // Until the server has executed another call of anybody's.
  static void after_next_call(Client& client, uint64_t before) {
    while (client.server_operations() <= before) std::this_thread::yield();
  }
  std::future<int> start_wait(Client& client, int fd, struct flock lock) {
    return std::async(std::launch::async, [&client, fd, lock] { return wait(client, fd, lock); });
  }

  // All connections of this process to the server, as if the network had.
  void cut_connections() {
    int cut = 0;
    for (int fd = 0; fd < 1024; ++fd) {
      sockaddr_storage peer{};
      socklen_t size = sizeof peer;
      if (getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &size) != 0) continue;
      const bool named = peer.ss_family != AF_UNIX || size > sizeof(sa_family_t);
      if (named && shutdown(fd, SHUT_RDWR) == 0) ++cut;
    }
    ASSERT_LE(2, cut);
  }

  int fd_a_ = -1, fd_b_ = -1;
};
MYFS_ON_BOTH_TRANSPORTS(Locks);

TEST_P(Locks, TheNextHolderSeesWhatTheLastOneWrote) {
  constexpr int kRounds = 200;
  auto add = [](Client& client, int fd) {
    for (int i = 0; i < kRounds; ++i) {
      ASSERT_EQ(0, wait(client, fd, flock_range(F_WRLCK))) << last_message();
      char text[16] = {};
      ASSERT_LT(0, myfs_pread(client, fd, text, sizeof text - 1, 0));
      const std::string next = std::to_string(std::stoi(text) + 1);
      ASSERT_EQ(static_cast<ssize_t>(next.size()),
                myfs_pwrite(client, fd, next.data(), next.size(), 0));
      ASSERT_EQ(0, set(client, fd, flock_range(F_UNLCK)));
    }
  };
  std::thread other([&] { add(b(), fd_b_); });
  add(a(), fd_a_);
  other.join();
  EXPECT_EQ(std::to_string(2 * kRounds), a().get("/f"));
  EXPECT_EQ(std::to_string(2 * kRounds), b().get("/f"));
}

TEST_P(Locks, AFlockHandsOnWhatWasAppended) {
  constexpr int kRounds = 100;
  auto add = [](Client& client) {
    for (int i = 0; i < kRounds; ++i) {
      int fd = client.open("/log", O_RDWR | O_CREAT);
      ASSERT_GE(fd, 0);
      ASSERT_EQ(0, myfs_flock(client, fd, LOCK_EX)) << last_message();
      const off_t end = myfs_lseek(client, fd, 0, SEEK_END);
      ASSERT_EQ(2, myfs_pwrite(client, fd, "x\n", 2, end));
      ASSERT_EQ(0, myfs_close(client, fd));  // gives it up
    }
  };
  std::thread other([&] { add(b()); });
  add(a());
  other.join();
  std::string expected;
  for (int i = 0; i < 2 * kRounds; ++i) expected += "x\n";
  EXPECT_EQ(expected, a().get("/log"));
}

TEST_P(Locks, ManyWhoWaitGetItOneAfterTheOther) {
  constexpr int kThreads = 6, kRounds = 30;
  std::atomic<int> inside{0}, done{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      Client& client = i % 2 == 0 ? a() : b();
      const int fd = client.open("/f", O_RDWR);  // an owner of its own, by F_OFD
      for (int round = 0; round < kRounds; ++round) {
        ASSERT_EQ(0, set(client, fd, flock_range(F_WRLCK), F_OFD_SETLKW)) << last_message();
        EXPECT_EQ(0, inside.fetch_add(1));
        inside.fetch_sub(1);
        ASSERT_EQ(0, set(client, fd, flock_range(F_UNLCK), F_OFD_SETLK));
      }
      done.fetch_add(1);
      EXPECT_EQ(0, myfs_close(client, fd));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(kThreads, done.load());
}

TEST_P(Locks, ACircleOverTwoClientsIsRefused) {
  ASSERT_EQ(0, set(a(), fd_a_, flock_range(F_WRLCK, 0, 1)));
  ASSERT_EQ(0, set(b(), fd_b_, flock_range(F_WRLCK, 1, 1)));
  auto first = std::async(std::launch::async, [&] {
    int result = wait(a(), fd_a_, flock_range(F_WRLCK, 1, 1));
    if (result == -EDEADLK) set(a(), fd_a_, flock_range(F_UNLCK));
    return result;
  });
  const int second = wait(b(), fd_b_, flock_range(F_WRLCK, 0, 1));
  if (second == -EDEADLK) {
    EXPECT_EQ(0, set(b(), fd_b_, flock_range(F_UNLCK)));
  }
  EXPECT_EQ(-EDEADLK, first.get() + second);
}

TEST_P(Locks, TheDeathOfAHolderFreesItsLock) {
  Peer peer(url());
  ASSERT_EQ("0", peer.mounted());
  const std::string fd = peer("open /f " + std::to_string(O_RDWR));
  ASSERT_EQ("0", peer("lock " + fd));
  EXPECT_EQ(-EAGAIN, set(a(), fd_a_, flock_range(F_RDLCK)));
  auto waits = start_wait(b(), fd_b_, flock_range(F_WRLCK));
  peer.program().kill(SIGKILL);
  EXPECT_EQ(0, waits.get());
  EXPECT_EQ(-EAGAIN, set(a(), fd_a_, flock_range(F_RDLCK)));
}

// He was away for longer than his lease, and somebody else has got what he had locked.
TEST_P(Locks, AStoppedHolderLearnsThatItsLockIsLost) {
  Peer peer(url());
  ASSERT_EQ("0", peer.mounted());
  const std::string fd = peer("open /f " + std::to_string(O_RDWR));
  ASSERT_EQ("0", peer("lock " + fd));
  peer.program().kill(SIGSTOP);
  EXPECT_EQ(0, wait(a(), fd_a_, flock_range(F_WRLCK)));
  ASSERT_EQ(1, myfs_pwrite(a(), fd_a_, "1", 1, 0));
  peer.program().kill(SIGCONT);
  EXPECT_EQ("<EIO>", peer("write " + fd + " late"));
  EXPECT_EQ("<EIO>", peer("read " + fd));
  EXPECT_EQ("0", peer("unlock " + fd));
  EXPECT_EQ("1", peer("read " + fd));
  EXPECT_EQ("<EAGAIN>", peer("lock " + fd));
}

TEST_P(Locks, ACancelledWaitGetsNothing) {
  ASSERT_EQ(0, set(a(), fd_a_, flock_range(F_WRLCK)));
  myfs_cancel* cancel = myfs_cancel_create();
  const uint64_t before = a().server_operations();
  auto waits = std::async(std::launch::async,
                          [&] { return wait(b(), fd_b_, flock_range(F_WRLCK), cancel); });
  after_next_call(a(), before);
  myfs_cancel_fire(cancel);
  EXPECT_EQ(-ECANCELED, waits.get());
  myfs_cancel_destroy(cancel);
  ASSERT_EQ(0, set(a(), fd_a_, flock_range(F_UNLCK)));
  Client c(url());
  const int fd = c.open("/f", O_RDWR);
  EXPECT_EQ(0, set(c, fd, flock_range(F_WRLCK))) << "nobody has got it";
}

TEST_P(Locks, AWaitGoesOnOverACutConnection) {
  for (int round = 0; round < 5; ++round) {
    ASSERT_EQ(0, set(a(), fd_a_, flock_range(F_WRLCK)));
    const uint64_t before = a().server_operations();
    auto waits = start_wait(b(), fd_b_, flock_range(F_WRLCK));
    after_next_call(a(), before);
    cut_connections();
    EXPECT_EQ(0, set(a(), fd_a_, flock_range(F_UNLCK)));
    EXPECT_EQ(0, waits.get());
    EXPECT_EQ(-EAGAIN, set(a(), fd_a_, flock_range(F_WRLCK)));
    EXPECT_EQ(0, set(b(), fd_b_, flock_range(F_UNLCK)));
  }
  EXPECT_EQ(0u, a().stats().sessions_lost + b().stats().sessions_lost);
}

TEST_P(Locks, AWaitEndsAtItsDeadline) {
  ASSERT_EQ(0, set(a(), fd_a_, flock_range(F_WRLCK)));
  EXPECT_EQ(-ETIMEDOUT, wait(b(), fd_b_, flock_range(F_WRLCK), nullptr, 50));
  ASSERT_EQ(0, set(a(), fd_a_, flock_range(F_UNLCK)));
  EXPECT_EQ(0, set(a(), fd_a_, flock_range(F_WRLCK)));
  EXPECT_EQ(0, set(a(), fd_a_, flock_range(F_UNLCK)));
  EXPECT_EQ(0, set(b(), fd_b_, flock_range(F_WRLCK)));
}

}  // namespace
}  // namespace myfs::test
