// Sessions outlive their server: what was dirty, open, locked, waited for or under way when it was
// killed or stopped is there when the next one has come up, and nothing is in doubt.

#include <gmock/gmock.h>
#include <signal.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <memory>
#include <mutex>
#include <thread>

#include "tests/integration/two_clients.h"
#include "tests/support/flock.h"

namespace myfs::test {
namespace {

using testing::IsEmpty;

enum class End { kKilled, kStopped };

class Reclaim : public testing::TestWithParam<End> {
 protected:
  void end_server(MyfsdProcess& server) {
    if (GetParam() == End::kKilled) {
      server.kill9();
    } else {
      EXPECT_EQ(0, server.terminate()) << server.output();
    }
  }
  void restart(MyfsdProcess& server) {
    end_server(server);
    ASSERT_TRUE(server.start()) << server.output();
  }
  static int lock(Client& client, int fd, int type, int cmd = F_SETLK) {
    struct flock range = flock_range(type);
    return myfs_lock(client, fd, cmd, &range);
  }
  static uint64_t number(const std::string& json, const std::string& name) {
    const size_t at = json.find("\"" + name + "\":");
    return at == json.npos ? UINT64_MAX : std::stoull(json.substr(at + name.size() + 3));
  }
  static std::string stats_json(Client& client) {
    std::string text(1 << 20, '\0');
    const ssize_t size = myfs_stats_json(client, text.data(), text.size());
    EXPECT_GT(size, 0);
    text.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
    return text;
  }

  TempDir dir_;
};
INSTANTIATE_TEST_SUITE_P(Server, Reclaim, testing::Values(End::kKilled, End::kStopped),
                         [](const testing::TestParamInfo<End>& info) {
                           return info.param == End::kKilled ? "Killed" : "Stopped";
                         });

TEST_P(Reclaim, WhatIsDirtyOpenAndLockedIsThereAfterwards) {
  MyfsdProcess server(dir_ / "data");
  ASSERT_TRUE(server.start()) << server.output();
  Client a(server.url()), b(server.url());
  const std::string text = pattern(3 << 20, 7);
  const int dirty = a.open("/dirty", O_RDWR | O_CREAT);
  ASSERT_EQ(static_cast<ssize_t>(text.size()), myfs_write(a, dirty, text.data(), text.size()));
  // Some of it has reached the server, and is not durable.
  ASSERT_EQ(0, myfs_sync_file_range(a, dirty, 0, 1 << 20,
                                    SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
  const int nameless = a.open("/nameless", O_RDWR | O_CREAT);
  ASSERT_EQ(10, myfs_write(a, nameless, "still here", 10));
  ASSERT_EQ(0, myfs_unlink(a, "/nameless"));
  ASSERT_EQ(0, a.put("/lock", "x"));
  const int locked = a.open("/lock", O_RDWR), waits = b.open("/lock", O_RDWR);
  ASSERT_EQ(0, lock(a, locked, F_WRLCK));
  std::atomic<bool> granted{false};
  std::future<int> waiting = std::async(std::launch::async, [&] {
    const int result = lock(b, waits, F_WRLCK, F_SETLKW);
    granted = true;
    return result;
  });
  for (int round = 0; round < 3; ++round) {
    restart(server);
    EXPECT_EQ("still here", a.get(nameless)) << last_message();
    EXPECT_EQ(1, myfs_pwrite(a, nameless, "S", 1, 0)) << last_message();
    EXPECT_EQ(1, myfs_pwrite(a, nameless, "s", 1, 0)) << last_message();
    EXPECT_FALSE(granted);
    struct flock who = flock_range(F_WRLCK);
    Client c(server.url());
    const int fd = c.open("/lock", O_RDWR);
    EXPECT_EQ(0, myfs_lock(c, fd, F_GETLK, &who)) << last_message();
    EXPECT_EQ(F_WRLCK, who.l_type);
    EXPECT_EQ(0, myfs_close(c, fd));
  }
  EXPECT_EQ(0, myfs_fsync(a, dirty)) << last_message();
  EXPECT_TRUE(b.get("/dirty") == text);
  EXPECT_EQ(0, lock(a, locked, F_UNLCK)) << last_message();
  EXPECT_EQ(0, waiting.get()) << last_message();
  EXPECT_EQ(-EAGAIN, lock(a, locked, F_WRLCK));
  for (int fd : {dirty, nameless, locked}) EXPECT_EQ(0, myfs_close(a, fd)) << last_message();
  EXPECT_EQ(0, myfs_close(b, waits));
  EXPECT_EQ(0u, a.stats().sessions_lost + b.stats().sessions_lost);
  EXPECT_EQ(3u, a.stats().sessions_reclaimed);
  EXPECT_EQ(0, a.end());
  EXPECT_EQ(0, b.end());
  EXPECT_EQ(0, server.terminate()) << server.output();
  expect_clean(server);
}

// Each is made once, and its caller knows it.
TEST_P(Reclaim, ChangesUnderWayAreMadeOnce) {
  MyfsdProcess server(dir_ / "data");
  ASSERT_TRUE(server.start()) << server.output();
  Client a(server.url()), b(server.url());
  ASSERT_EQ(0, myfs_mkdir(a, "/dir", 0755));
  std::atomic<bool> stop{false};
  std::atomic<int> made{0};
  std::mutex mutex;
  std::vector<std::string> wrong;
  auto work = [&](Client& client, const std::string& tag) {
    auto check = [&](const std::string& what, int64_t result, int64_t expected = 0) {
      if (result == expected) return;
      std::lock_guard guard(mutex);
      wrong.push_back(what + " " + error_text(result) + " " + last_message());
    };
    for (int i = 0; !stop; ++i) {
      const std::string name = "/dir/" + tag + std::to_string(i);
      const int fd = client.open(name, O_WRONLY | O_CREAT | O_EXCL);
      check("open " + name, std::min(fd, 0));
      if (fd < 0) continue;
      check("write " + name, myfs_write(client, fd, name.data(), name.size()),
            static_cast<int64_t>(name.size()));
      check("rename " + name, myfs_rename(client, name.c_str(), (name + "-").c_str()));
      check("link " + name, myfs_link(client, (name + "-").c_str(), (name + "+").c_str()));
      check("unlink " + name, myfs_unlink(client, (name + "-").c_str()));
      check("close " + name, myfs_close(client, fd));
      ++made;
    }
  };
  std::vector<std::thread> threads;
  for (const char* tag : {"a", "A"}) threads.emplace_back([&, tag] { work(a, tag); });
  threads.emplace_back([&] { work(b, "b"); });
  for (int round = 0; round < 5; ++round) {
    const int before = made;
    while (made < before + 20) std::this_thread::yield();
    restart(server);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, IsEmpty());
  Client fresh(server.url());
  const std::vector<std::string> names = fresh.list("/dir");
  EXPECT_EQ(static_cast<size_t>(made), names.size());
  for (const std::string& name : names)
    EXPECT_EQ("/dir/" + name.substr(0, name.size() - 1), fresh.get("/dir/" + name));
  EXPECT_EQ(0u, a.stats().sessions_lost + b.stats().sessions_lost);
}

// More than one message of claims; what is kept is used without a word.
TEST_P(Reclaim, WhatIsCachedStaysInUse) {
  constexpr int kFiles = 2500;
  MyfsdProcess server(dir_ / "data");
  ASSERT_TRUE(server.start()) << server.output();
  Client a(server.url());
  for (int i = 0; i < kFiles; ++i)
    ASSERT_EQ(0, myfs_mkdir(a, ("/d" + std::to_string(i)).c_str(), 0755));
  EXPECT_EQ(static_cast<size_t>(kFiles), a.list("/").size());
  for (int i = 0; i < kFiles; ++i) a.stat("/d" + std::to_string(i));
  restart(server);
  if (GetParam() == End::kStopped) return;  // all went back in order
  ASSERT_EQ(0, myfs_mkdir(a, "/d0/x", 0755)) << last_message();
  EXPECT_LE(static_cast<uint64_t>(kFiles), number(stats_json(a), "leases_kept"));
  const uint64_t before = a.server_operations();
  for (int i = 1; i < kFiles; ++i) a.stat("/d" + std::to_string(i));
  // But for connections of file content, which come up again when they can.
  EXPECT_GT(before + 10, a.server_operations());
}

// The old one is still waited for when the next one dies.
TEST_P(Reclaim, AServerThatDiesAgainAndAgainLosesNothing) {
  MyfsdProcess server(dir_ / "data");
  ASSERT_TRUE(server.start()) << server.output();
  Client a(server.url());
  Peer away(server.url());
  ASSERT_EQ("0", away.mounted());
  ASSERT_EQ("0", away("open /theirs " + std::to_string(O_RDWR | O_CREAT)));
  ASSERT_EQ("5", away("write 0 dirty"));
  const int fd = a.open("/mine", O_RDWR | O_CREAT);
  ASSERT_EQ(5, myfs_write(a, fd, "dirty", 5));
  end_server(server);
  away.program().kill(SIGSTOP);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(server.start()) << server.output();
    EXPECT_EQ(0, myfs_fsync(a, fd)) << last_message();
    server.kill9();
  }
  away.program().kill(SIGCONT);
  ASSERT_TRUE(server.start()) << server.output();
  EXPECT_EQ("0", away("fsync 0"));
  EXPECT_EQ("dirty", a.get("/theirs"));
  EXPECT_EQ("dirty", away("get /mine"));
  EXPECT_EQ("0", away("close 0"));
  EXPECT_EQ(0, myfs_close(a, fd));
  EXPECT_EQ(0u, a.stats().sessions_lost);
}

// Who does not come back is ended, and with him go his locks, his dirty data and what only he had
// open.
TEST(ReclaimOnce, WhoNeverComesBackIsEndedAndOthersGoOn) {
  TempDir dir;
  MyfsdProcess server(dir / "data", {"--lease-term", "1"});
  ASSERT_TRUE(server.start()) << server.output();
  Client a(server.url());
  ASSERT_EQ(0, a.put("/f", "committed", O_TRUNC | O_SYNC));
  const int fd = a.open("/f", O_RDWR);
  ASSERT_GE(fd, 0);
  Peer away(server.url());
  ASSERT_EQ("0", away.mounted());
  ASSERT_EQ("0", away("open /f " + std::to_string(O_RDWR)));
  ASSERT_EQ("0", away("lock 0"));
  ASSERT_EQ("1", away("open /nameless " + std::to_string(O_RDWR | O_CREAT)));
  ASSERT_EQ("4", away("write 1 text"));
  ASSERT_EQ("0", away("fsync 1"));
  ASSERT_EQ("0", away("unlink /nameless"));
  ASSERT_EQ("5", away("write 0 dirty"));
  away.program().kill(SIGSTOP);
  server.kill9();
  ASSERT_TRUE(server.start()) << server.output();
  EXPECT_EQ("committed", a.get(fd)) << last_message();
  struct flock range = flock_range(F_WRLCK);
  EXPECT_EQ(0, myfs_lock(a, fd, F_SETLK, &range)) << last_message();
  EXPECT_EQ(5, myfs_pwrite(a, fd, "after", 5, 0));
  EXPECT_EQ(0, myfs_fsync(a, fd));
  EXPECT_EQ(0u, a.stats().sessions_lost);
  away.program().kill(SIGCONT);
  EXPECT_EQ("<EIO>", away("fsync 0"));
  EXPECT_EQ("aftertted", a.get("/f"));
  EXPECT_EQ(0, away.end());
  EXPECT_EQ(0, myfs_close(a, fd));
  EXPECT_EQ(0, a.end());
  server.kill9();
  ProgramResult fsck = server.fsck();
  EXPECT_EQ(0, fsck.status) << fsck.out << fsck.err;
  EXPECT_EQ(std::string::npos, fsck.out.find("orphan")) << fsck.out;
}

// There is no grace: a client that is away holds up nobody (its lease would last for 20 s), and
// its session lives on.
TEST(ReclaimOnce, AfterAnOrderlyStopOthersGoOnAtOnce) {
  TempDir dir;
  MyfsdProcess server(dir / "data");
  ASSERT_TRUE(server.start()) << server.output();
  Peer away(server.url());
  ASSERT_EQ("0", away.mounted());
  ASSERT_EQ("0", away("open /f " + std::to_string(O_RDWR | O_CREAT)));
  ASSERT_EQ("4", away("write 0 text"));
  ASSERT_EQ(0, server.terminate()) << server.output();
  away.program().kill(SIGSTOP);
  ASSERT_TRUE(server.start()) << server.output();
  const myfs_call soon{sizeof soon, nullptr, 10'000, nullptr};
  Client a(server.url());
  struct stat st;
  EXPECT_EQ(0, myfs_lstat_x(a, &soon, "/f", &st)) << last_message();
  EXPECT_EQ(4, st.st_size);
  EXPECT_EQ(0, myfs_mkdir_x(a, &soon, "/dir", 0755)) << last_message();
  EXPECT_EQ(0, myfs_unlink_x(a, &soon, "/f")) << last_message();
  away.program().kill(SIGCONT);
  EXPECT_EQ("text", away("read 0")) << "it had it open";
  EXPECT_EQ("0", away("close 0"));
}

}  // namespace
}  // namespace myfs::test
