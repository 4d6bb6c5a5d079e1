// What is cached and unchanged is answered without a single byte to the server: proved by the
// server's own counter of operations and by the bytes on the client's sockets.
#include <fcntl.h>

#include <chrono>
#include <functional>
#include <thread>

#include "tests/integration/two_clients.h"

namespace myfs::test {
namespace {

class NoTraffic : public TwoClients {
 protected:
  // Runs `fn` on B again and again until all that it needs is cached, which must come to an end,
  // and expects that then nothing at all is sent. (A renewal may come at any moment.)
  void expect_silent(const std::function<void()>& fn) {
    std::string seen;
    for (int round = 0; round < 10; ++round) {
      const uint64_t operations = a().server_operations();
      const myfs_stats before = b().stats();
      for (int i = 0; i < 200; ++i) fn();
      const myfs_stats after = b().stats();
      const uint64_t calls = after.rpcs - before.rpcs, renewals = after.renewals - before.renewals;
      const uint64_t bytes =
          after.bytes_sent - before.bytes_sent + after.bytes_received - before.bytes_received;
      if (a().server_operations() == operations && calls == 0 && bytes == 0) return;
      seen += " " + std::to_string(calls) + "(" + std::to_string(renewals) + ")";
    }
    FAIL() << "calls (and of them renewals) of each round:" << seen;
  }
  void SetUp() override {
    TwoClients::SetUp();
    ASSERT_EQ(0, myfs_mkdir(a(), "/d", 0777));
    ASSERT_EQ(0, myfs_mkdir(a(), "/d/e", 0777));
    ASSERT_EQ(0, a().put("/d/e/f", pattern(100'000, 1)));
    ASSERT_EQ(0, myfs_symlink(a(), "e/f", "/d/link"));
  }
};
MYFS_ON_BOTH_TRANSPORTS(NoTraffic);

TEST_P(NoTraffic, Stat) {
  expect_silent([&] { EXPECT_EQ(100'000, b().stat("/d/e/f").st_size); });
}

TEST_P(NoTraffic, StatOfADirectory) {
  expect_silent([&] { EXPECT_TRUE(S_ISDIR(b().stat("/d/e").st_mode)); });
}

TEST_P(NoTraffic, StatThroughASymbolicLink) {
  expect_silent([&] {
    struct stat st;
    EXPECT_EQ(0, myfs_stat(b(), "/d/link", &st));
  });
}

TEST_P(NoTraffic, Enoent) {
  expect_silent([&] {
    EXPECT_EQ(-ENOENT, b().find("/d/e/absent"));
    EXPECT_EQ(-ENOENT, b().find("/absent/way/down"));
  });
}

TEST_P(NoTraffic, OpenReadClose) {
  const std::string text = pattern(100'000, 1);
  expect_silent([&] { EXPECT_EQ(text, b().get("/d/e/f")); });
}

TEST_P(NoTraffic, OpenForWritingAndClose) {
  expect_silent([&] {
    int fd = b().open("/d/e/f", O_RDWR);
    ASSERT_GE(fd, 0);
    EXPECT_EQ(0, myfs_close(b(), fd));
  });
}

TEST_P(NoTraffic, Readdir) {
  expect_silent([&] { EXPECT_EQ(2u, b().list("/d").size()); });
}

TEST_P(NoTraffic, StatOfWhatAListingBrought) {
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(0, myfs_mknod(a(), ("/d/n" + std::to_string(i)).c_str(), S_IFREG | 0644, 0));
  }
  EXPECT_EQ(52u, b().list("/d").size());
  const myfs_stats before = b().stats();
  for (int i = 0; i < 50; ++i) EXPECT_EQ(0, b().stat("/d/n" + std::to_string(i)).st_size);
  EXPECT_EQ(-ENOENT, b().find("/d/n50"));
  const myfs_stats after = b().stats();
  EXPECT_EQ(before.rpcs - before.renewals, after.rpcs - after.renewals);
}

TEST_P(NoTraffic, LsOfFilesThatAnotherClientWrote) {
  for (int i = 0; i < 50; ++i) ASSERT_EQ(0, a().put("/d/n" + std::to_string(i), "x"));
  expect_silent([&] {
    EXPECT_EQ(52u, b().list("/d").size());
    for (int i = 0; i < 50; ++i) EXPECT_EQ(1, b().stat("/d/n" + std::to_string(i)).st_size);
  });
}

// The upper bound of an option: attributes older than it are asked for again even under a lease.
TEST_P(NoTraffic, ButForWhatCacheTimeoutSays) {
  auto calls = [](Client& client) {
    const myfs_stats stats = client.stats();
    return stats.rpcs - stats.renewals;
  };
  auto asked = [&](Client& client) {
    EXPECT_EQ(100'000, client.stat("/d/e/f").st_size);
    const uint64_t before = calls(client);
    EXPECT_EQ(100'000, client.stat("/d/e/f").st_size);
    return calls(client) - before;
  };
  Client never(url(), "cache_timeout=0"), briefly(url(), "cache_timeout=50ms"),
      long_enough(url(), "cache_timeout=1h");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(1u, asked(never));
  EXPECT_EQ(0u, asked(long_enough));
  // Time itself is the event here.
  EXPECT_EQ(100'000, briefly.stat("/d/e/f").st_size);
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  const uint64_t before = calls(briefly);
  EXPECT_EQ(100'000, briefly.stat("/d/e/f").st_size);
  EXPECT_EQ(1u, calls(briefly) - before);
  int fd = never.open("/d/e/f", O_RDWR);
  ASSERT_GE(fd, 0);
  struct stat st;
  for (uint64_t size = 100'001; size < 100'010; ++size) {
    ASSERT_EQ(1, myfs_pwrite(never, fd, "x", 1, static_cast<off_t>(size) - 1));
    ASSERT_EQ(0, myfs_fstat(never, fd, &st));
    EXPECT_EQ(size, static_cast<uint64_t>(st.st_size));
  }
  EXPECT_EQ(0, myfs_close(never, fd));
}

TEST_P(NoTraffic, WritesGoOutOnlyWithTheClose) {
  int fd = a().open("/d/w", O_RDWR | O_CREAT);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(1, myfs_write(a(), fd, "x", 1));
  const myfs_stats before = a().stats();
  for (int i = 0; i < 100; ++i) ASSERT_EQ(4, myfs_write(a(), fd, "abcd", 4));
  const myfs_stats after = a().stats();
  EXPECT_GE(3u, after.rpcs - before.rpcs - (after.renewals - before.renewals));
  EXPECT_EQ(0, myfs_close(a(), fd));
  EXPECT_EQ(401u, b().get("/d/w").size());
}

}  // namespace
}  // namespace myfs::test
