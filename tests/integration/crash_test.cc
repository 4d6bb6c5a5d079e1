// kill -9 of the server under load: what fsync or the reply to a change of names has acknowledged
// is there after the restart, byte for byte, the store is sound, and the same clients go on. Where
// a test is about what is durable the next server forgets the sessions: no client writes it again.

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <thread>

#include "tests/integration/load.h"
#include "tests/integration/two_clients.h"

namespace myfs::test {
namespace {

using testing::Contains;
using testing::IsEmpty;
using testing::Not;

int rounds() {
  const char* length = std::getenv("MYFS_LONG");
  return length != nullptr && std::string(length) == "1" ? 20 : 3;
}

// Of this process.
std::vector<std::string> thread_names() {
  std::vector<std::string> names;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream comm(thread.path() / "comm");
    std::getline(comm, names.emplace_back());
  }
  return names;
}

// Two clients copy in, one over each transport; the server dies again and again below them.
TEST(Crash, WhatWasAcknowledgedSurvivesKill9) {
  TempDir dir;
  MyfsdProcess server(dir / "data", kTcp);
  ASSERT_TRUE(server.start()) << server.output();
  Client one(server.url()), two(server.tcp_url());
  ASSERT_EQ(0, myfs_mkdir(one, "/one", 0755));
  ASSERT_EQ(0, myfs_mkdir(two, "/two", 0755));
  Load first(one, "/one", 0), second(two, "/two", 3);
  strike_again_and_again(rounds(), server, first, second, [&] { server.kill9(); });
  ASSERT_FALSE(HasFailure());
  first.stop();
  second.stop();
  EXPECT_THAT(first.errors(), IsEmpty());
  EXPECT_THAT(second.errors(), IsEmpty());
  RecordProperty("acknowledged", static_cast<int>(first.acknowledged() + second.acknowledged()));
  // The clients' own view, the other's, and that of one who comes after a last restart.
  EXPECT_THAT(first.verify(one), IsEmpty());
  EXPECT_THAT(first.verify(two), IsEmpty());
  EXPECT_THAT(second.verify(one), IsEmpty());
  server.kill9();
  expect_clean(server);
  ASSERT_TRUE(server.start(kForgetSessions)) << server.output();
  {
    Client fresh(server.url());
    EXPECT_THAT(first.verify(fresh), IsEmpty());
    EXPECT_THAT(second.verify(fresh), IsEmpty());
  }
  one.end();
  two.end();
  EXPECT_EQ(0, server.terminate()) << server.output();
  expect_clean(server);
}

// The manifest must be able to tell: a store that has lost or changed something is noticed.
TEST(Crash, TheManifestNoticesWhatIsWrong) {
  TempDir dir;
  MyfsdProcess server(dir / "data");
  ASSERT_TRUE(server.start()) << server.output();
  Client client(server.url());
  ASSERT_EQ(0, myfs_mkdir(client, "/dir", 0755));
  Load load(client, "/dir", 0);
  ASSERT_TRUE(load.wait_for(200));
  load.stop();
  EXPECT_THAT(load.errors(), IsEmpty());
  EXPECT_THAT(load.verify(client), IsEmpty());
  // f4 is a file that stays as it was written.
  std::string text = client.get("/dir/f4");
  ASSERT_GT(text.size(), 50u);
  ASSERT_EQ(0, myfs_unlink(client, "/dir/f4"));
  EXPECT_EQ(1u, load.verify(client).size());
  text[50] ^= 1;
  ASSERT_EQ(0, client.put("/dir/f4", text));
  EXPECT_EQ(1u, load.verify(client).size());
  text[50] ^= 1;
  ASSERT_EQ(0, client.put("/dir/f4", text));
  EXPECT_THAT(load.verify(client), IsEmpty());
}

// The reply alone counts: the server dies at once after each.
TEST(Crash, EveryReplyToAChangeOfNamesIsDurable) {
  TempDir dir;
  MyfsdProcess server(dir / "data");
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(server.start()) << server.output();
    std::string number = std::to_string(round);
    Client client(server.url());
    ASSERT_EQ(0, myfs_mkdir(client, ("/d" + number).c_str(), 0711));
    ASSERT_EQ(0, client.put("/f" + number, ""));
    ASSERT_EQ(0, myfs_symlink(client, "to", ("/s" + number).c_str()));
    ASSERT_EQ(0, myfs_link(client, ("/f" + number).c_str(), ("/h" + number).c_str()));
    if (round > 0) {
      std::string last = std::to_string(round - 1);
      ASSERT_EQ(0, myfs_rename(client, ("/d" + last).c_str(), ("/e" + last).c_str()));
      ASSERT_EQ(0, myfs_unlink(client, ("/f" + last).c_str()));
    }
    ASSERT_EQ(0, myfs_chmod(client, ("/f" + number).c_str(), 0604));
    server.kill9();
    expect_clean(server);
    ASSERT_TRUE(server.start(kForgetSessions)) << server.output();
    Client fresh(server.url());
    EXPECT_EQ(0711u, fresh.stat("/d" + number).st_mode & 07777);
    EXPECT_EQ(0604u, fresh.stat("/f" + number).st_mode & 07777);
    EXPECT_EQ(2u, fresh.stat("/f" + number).st_nlink);
    EXPECT_TRUE(S_ISLNK(fresh.stat("/s" + number).st_mode));
    if (round > 0) {
      std::string last = std::to_string(round - 1);
      EXPECT_EQ(-ENOENT, fresh.find("/d" + last));
      EXPECT_TRUE(S_ISDIR(fresh.stat("/e" + last).st_mode));
      EXPECT_EQ(-ENOENT, fresh.find("/f" + last));
      EXPECT_EQ(1u, fresh.stat("/h" + last).st_nlink);
    }
    fresh.end();
    client.end();
    server.kill9();
  }
}

// A loss after close could be told to nobody.
TEST(Crash, WhatWasClosedIsDurable) {
  TempDir dir;
  MyfsdProcess server(dir / "data");
  ASSERT_TRUE(server.start()) << server.output();
  const std::string small = pattern(5000, 1), large = pattern(3 << 20, 2);
  Client client(server.url());
  ASSERT_EQ(0, client.put("/small", small));
  ASSERT_EQ(0, client.put("/large", large));
  ASSERT_EQ(0, client.put("/both", large));
  ASSERT_EQ(0, client.put("/both", small, O_APPEND));
  server.kill9();
  expect_clean(server);
  ASSERT_TRUE(server.start(kForgetSessions)) << server.output();
  Client fresh(server.url());
  EXPECT_TRUE(fresh.get("/small") == small);
  EXPECT_TRUE(fresh.get("/large") == large);
  EXPECT_TRUE(fresh.get("/both") == large + small);
}

// The client lives on: what it had open stays open, and what others change is seen.
TEST(Crash, AClientGoesOnAfterARestart) {
  TempDir dir;
  MyfsdProcess server(dir / "data");
  ASSERT_TRUE(server.start()) << server.output();
  Client client(server.url());
  int open_fd = client.open("/open", O_RDWR | O_CREAT);
  ASSERT_GE(open_fd, 0);
  ASSERT_EQ(5, myfs_write(client, open_fd, "first", 5));
  ASSERT_EQ(0, myfs_fsync(client, open_fd));
  ASSERT_EQ(0, myfs_mkdir(client, "/dir", 0755));
  ASSERT_EQ(0, myfs_chdir(client, "/dir"));
  for (int round = 0; round < 3; ++round) {
    const std::string name = "/f" + std::to_string(round);
    ASSERT_EQ(0, client.put(name, "before"));
    ASSERT_EQ("before", client.get(name));
    server.kill9();
    ASSERT_TRUE(server.start()) << server.output();
    // Somebody else is faster.
    {
      Client other(server.url());
      ASSERT_EQ(0, other.put(name, "by another"));
    }
    EXPECT_EQ("by another", client.get(name));
    EXPECT_EQ("first", client.get(open_fd));
    ASSERT_EQ(0, client.put(name, "after"));
    EXPECT_EQ("after", client.get(name));
    ASSERT_EQ(0, client.put("inside" + std::to_string(round), "of the working directory"));
  }
  EXPECT_EQ(3u, client.list("/dir").size());
  EXPECT_EQ(6, myfs_pwrite(client, open_fd, "second", 6, 0));
  EXPECT_EQ(0, myfs_close(client, open_fd));
  EXPECT_EQ("second", client.get("/open"));
  EXPECT_EQ(0u, client.stats().sessions_lost);
  EXPECT_EQ(3u, client.stats().sessions_reclaimed);
  EXPECT_EQ(0, client.end());
  EXPECT_EQ(0, server.terminate());
  expect_clean(server);
}

// It is found again by what it is: the name may be another's by now, and so may the directory's.
TEST(Crash, WhatIsOpenIsFoundAgainWhateverItIsCalledMeanwhile) {
  TempDir dir;
  MyfsdProcess server(dir / "data");
  ASSERT_TRUE(server.start()) << server.output();
  Client client(server.url()), other(server.url());
  ASSERT_EQ(0, myfs_mkdir(client, "/dir", 0755));
  ASSERT_EQ(0, myfs_chdir(client, "/dir"));
  ASSERT_EQ(0, client.put("open", "first", O_TRUNC | O_SYNC));
  const int fd = client.open("open", O_RDWR);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(0, myfs_rename(other, "/dir/open", "/dir/moved"));
  ASSERT_EQ(0, other.put("/dir/open", "not this one", O_TRUNC | O_SYNC));
  ASSERT_EQ(0, myfs_rename(other, "/dir", "/elsewhere"));
  for (int round = 0; round < 2; ++round) {
    server.kill9();
    ASSERT_TRUE(server.start(kForgetSessions)) << server.output();
    ASSERT_EQ(0, client.put("/awake", "nothing cached is used any more")) << last_message();
    EXPECT_EQ("first", client.get(fd)) << last_message();
  }
  EXPECT_EQ(5, myfs_pwrite(client, fd, "later", 5, 0)) << last_message();
  EXPECT_EQ(0, myfs_close(client, fd)) << last_message();
  EXPECT_EQ("later", other.get("/elsewhere/moved"));
  EXPECT_EQ("not this one", client.get("open")) << "from the working directory";
}

// A session that ends while the next one is being set up is no reason to give a descriptor up.
TEST(Crash, AnOpenFileOutlivesRestartsInQuickSuccession) {
  TempDir dir;
  MyfsdProcess server(dir / "data");
  ASSERT_TRUE(server.start()) << server.output();
  Client client(server.url());
  ASSERT_EQ(0, client.put("/open", "first", O_TRUNC | O_SYNC));
  const int fd = client.open("/open");
  ASSERT_GE(fd, 0);
  std::atomic<bool> stop{false};
  std::atomic<int> reads{0};
  std::vector<std::string> wrong;
  std::thread reader([&] {
    while (!stop.load()) {
      std::string text = client.get(fd);
      if (text != "first") wrong.push_back(text + " " + last_message());
      ++reads;
    }
  });
  for (int round = 0; round < 10 * rounds(); ++round) {
    server.kill9();
    ASSERT_TRUE(server.start(round % 3 == 0 ? kForgetSessions : std::vector<std::string>()))
        << server.output();
    // Sometimes the client has come far, sometimes not.
    const int before = reads.load();
    for (int i = 0; i < 2000 * (round % 10) && reads.load() == before; ++i)
      std::this_thread::yield();
  }
  stop = true;
  reader.join();
  EXPECT_THAT(wrong, IsEmpty());
  EXPECT_LT(0, reads.load());
  EXPECT_EQ(0, myfs_close(client, fd));
}

// Dirty data of a session that ended is reported once per open file and never written later.
TEST(Crash, UnwrittenDataGivesEioOnceAndIsNamedInTheLog) {
  TempDir dir;
  MyfsdProcess server(dir / "data");
  ASSERT_TRUE(server.start()) << server.output();
  static std::mutex mutex;
  static std::string log;
  log.clear();
  myfs_set_log(
      [](void*, int, const char* line) {
        std::lock_guard lock(mutex);
        log.append(line).append("\n");
      },
      nullptr, 1);
  Client client(server.url());
  ASSERT_EQ(0, client.put("/some-file", "stable", O_TRUNC | O_SYNC));
  ASSERT_EQ(0, client.put("/other", "other", O_TRUNC | O_SYNC));
  int fd = client.open("/some-file", O_RDWR), other = client.open("/other", O_RDWR);
  ASSERT_EQ(5, myfs_pwrite(client, fd, "dirty", 5, 0));
  server.kill9();
  ASSERT_TRUE(server.start(kForgetSessions)) << server.output();
  EXPECT_EQ(-EIO, myfs_fsync(client, fd));
  EXPECT_EQ(0, myfs_fsync(client, fd));
  EXPECT_EQ(0, myfs_fsync(client, other));
  EXPECT_EQ("stable", client.get("/some-file"));
  // The descriptor is as good as new.
  EXPECT_EQ(3, myfs_pwrite(client, fd, "new", 3, 0));
  EXPECT_EQ(0, myfs_close(client, fd));
  EXPECT_EQ(0, myfs_close(client, other));
  Client fresh(server.url());
  EXPECT_EQ("newble", fresh.get("/some-file"));
  myfs_set_log(nullptr, nullptr, 1);
  std::lock_guard lock(mutex);
  EXPECT_NE(std::string::npos, log.find("some-file")) << log;
}

// The end of a task waits for its server for 30 s, and then for nothing more.
TEST(Crash, ATaskEndsThoughItsServerStaysAway) {
  TempDir dir;
  MyfsdProcess server(dir / "data");
  ASSERT_TRUE(server.start()) << server.output();
  static std::mutex mutex;
  static std::string log;
  myfs_set_log(
      [](void*, int, const char* line) {
        std::lock_guard lock(mutex);
        log.append(line).append("\n");
      },
      nullptr, 1);
  Client client(server.url());
  const std::string text = pattern(1 << 20, 1);
  const int fd = client.open("/some-file", O_WRONLY | O_CREAT);
  ASSERT_EQ(static_cast<ssize_t>(text.size()), myfs_write(client, fd, text.data(), text.size()));
  server.kill9();
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(-EIO, client.end()) << last_message();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(35));
  myfs_set_log(nullptr, nullptr, 1);
  std::lock_guard lock(mutex);
  EXPECT_NE(std::string::npos, log.find("/some-file")) << log;
  EXPECT_NE(std::string::npos, log.find("bytes 0+1048576")) << log;
  EXPECT_THAT(thread_names(), Not(Contains("myfs-recall")));
}

// A file that was unlinked while open is an orphan in the store, and goes with whoever has it open.
TEST(Crash, OrphansAreReaped) {
  TempDir dir;
  MyfsdProcess server(dir / "data");
  ASSERT_TRUE(server.start()) << server.output();
  struct statfs before;
  {
    Client client(server.url());
    ASSERT_EQ(0, client.put("/stays", "x"));
    ASSERT_EQ(0, myfs_statfs(client, "/", &before));
    for (int i = 0; i < 10; ++i) {
      std::string path = "/orphan" + std::to_string(i);
      int fd = client.open(path, O_RDWR | O_CREAT);
      std::string text(100'000, 'o');
      ASSERT_EQ(static_cast<ssize_t>(text.size()),
                myfs_write(client, fd, text.data(), text.size()));
      ASSERT_EQ(0, myfs_fsync(client, fd));
      ASSERT_EQ(0, myfs_unlink(client, path.c_str()));
    }
    server.kill9();
    expect_clean(server);
    ASSERT_TRUE(server.start()) << server.output();
    client.end();
  }
  Client fresh(server.url());
  EXPECT_EQ((std::vector<std::string>{"stays"}), fresh.list("/"));
  fresh.end();
  EXPECT_EQ(0, server.terminate());
  expect_clean(server);
}

}  // namespace
}  // namespace myfs::test
