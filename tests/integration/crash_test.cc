// kill -9 of the server under load: what fsync or the reply to a change of names acknowledged is
// there after the restart, and the store is sound.
#include <fcntl.h>

#include <map>
#include <thread>

#include "tests/integration/two_clients.h"

namespace myfs::test {
namespace {

constexpr int kCrashes = 20;

// What the load acknowledged of one name.
struct Acknowledged {
  char last = 0;
  int number = 0;
};

// Reads the reports of a load until its process or the server is killed.
void collect(Program& program, int lines_max, std::map<std::string, Acknowledged>* manifest) {
  std::string line;
  for (int i = 0; i < lines_max && program.receive(&line); ++i) {
    char verb = 0, name[64] = {};
    int number = 0;
    ASSERT_EQ(3, std::sscanf(line.c_str(), "%c %63s %d", &verb, name, &number)) << line;
    (*manifest)[name] = {verb, number};
  }
}

void verify(Client& client, Program& oracle, const std::string& dir,
            const std::map<std::string, Acknowledged>& manifest) {
  for (const auto& [name, entry] : manifest) {
    const std::string path = dir + "/" + name;
    const std::string renamed = dir + "/r" + std::to_string(entry.number);
    const std::string content = oracle.ask("content " + name + " " + std::to_string(entry.number));
    switch (entry.last) {
      case 'F':
        // The next step, not acknowledged, may have happened.
        if (client.find(path) == 0) {
          EXPECT_EQ(content, client.get(path)) << path;
        } else if (entry.number % 3 == 0) {
          EXPECT_EQ(content, client.get(renamed)) << renamed;
        } else {
          EXPECT_EQ(0, entry.number % 5) << path << " is gone";
        }
        break;
      case 'R':
        EXPECT_EQ(-ENOENT, client.find(path)) << path;
        EXPECT_EQ(content, client.get(renamed)) << renamed;
        break;
      case 'U':
        EXPECT_EQ(-ENOENT, client.find(path)) << path;
        break;
      case 'D':
        EXPECT_EQ(0, client.find(path)) << path;
        break;
      default:
        ADD_FAILURE() << name;
    }
  }
}

TEST(Crash, WhatWasAcknowledgedSurvivesKill9OfTheServer) {
  TempDir dir;
  MyfsdProcess server(dir.path());
  std::map<std::string, std::map<std::string, Acknowledged>> manifests;
  size_t acknowledged = 0;
  for (int round = 0; round < kCrashes; ++round) {
    ASSERT_TRUE(server.start()) << server.output();
    const std::string load_dir = "/round" + std::to_string(round);
    {
      Client client(server.url());
      ASSERT_EQ(0, myfs_mkdir(client, load_dir.c_str(), 0777));
      ASSERT_EQ(0, client.end());
    }
    Program load;
    std::string line;
    ASSERT_TRUE(load.start({bin("integration_peer"), server.url()}));
    ASSERT_TRUE(load.receive(&line) && line == "ready");
    ASSERT_TRUE(load.send("load " + load_dir));
    // The moment differs from round to round; what is still in the pipe counts as acknowledged.
    collect(load, 5 + 13 * round, &manifests[load_dir]);
    server.kill9();
    load.kill(SIGKILL);
    collect(load, 1'000'000, &manifests[load_dir]);
    load.wait();
    ProgramResult fsck = server.fsck();
    ASSERT_EQ(0, fsck.status) << round << ": " << fsck.out << fsck.err;
    ASSERT_TRUE(server.start()) << server.output();
    {
      Client client(server.url());
      Program oracle;
      ASSERT_TRUE(oracle.start({bin("integration_peer"), server.url()}));
      ASSERT_TRUE(oracle.receive(&line) && line == "ready");
      for (const auto& [each, manifest] : manifests) {
        if (each == load_dir || round == kCrashes - 1) verify(client, oracle, each, manifest);
      }
      oracle.close_input();
      EXPECT_EQ(0, oracle.wait());
      ASSERT_EQ(0, client.end());
    }
    acknowledged += manifests[load_dir].size();
    server.kill9();
    if (HasFailure()) return;
  }
  EXPECT_LT(500u, acknowledged);
  ProgramResult fsck = server.fsck();
  EXPECT_EQ(0, fsck.status) << fsck.out << fsck.err;
}

// The client lives on: everything that it did not have to call lost is there, and it works with
// the restarted server.
TEST(Crash, AClientGoesOnAfterARestart) {
  TempDir dir;
  MyfsdProcess server(dir.path());
  ASSERT_TRUE(server.start()) << server.output();
  Client client(server.url());
  int open_fd = client.open("/open", O_RDWR | O_CREAT);
  ASSERT_GE(open_fd, 0);
  ASSERT_EQ(5, myfs_write(client, open_fd, "first", 5));
  ASSERT_EQ(0, myfs_fsync(client, open_fd));
  for (int round = 0; round < 3; ++round) {
    const std::string name = "/f" + std::to_string(round);
    ASSERT_EQ(0, client.put(name, "before"));
    ASSERT_EQ("before", client.get(name));
    server.kill9();
    ASSERT_TRUE(server.start()) << server.output();
    EXPECT_EQ("before", client.get(name));
    EXPECT_EQ("first", client.get(open_fd));
    ASSERT_EQ(0, client.put(name, "after"));
    EXPECT_EQ("after", client.get(name));
  }
  EXPECT_EQ(6, myfs_pwrite(client, open_fd, "second", 6, 0));
  EXPECT_EQ(0, myfs_close(client, open_fd));
  EXPECT_EQ("second", client.get("/open"));
  EXPECT_EQ(0, client.end());
  EXPECT_EQ(0, server.terminate());
  ProgramResult fsck = server.fsck();
  EXPECT_EQ(0, fsck.status) << fsck.out << fsck.err;
}

// Dirty data of a session that ended is reported once per open file and never written later.
TEST(Crash, UnwrittenDataOfALostSessionGivesEioOnce) {
  TempDir dir;
  MyfsdProcess server(dir.path());
  ASSERT_TRUE(server.start()) << server.output();
  Client client(server.url());
  ASSERT_EQ(0, client.put("/f", "stable"));
  int fd = client.open("/f", O_RDWR);
  ASSERT_EQ(5, myfs_pwrite(client, fd, "dirty", 5, 0));
  const uint64_t lost = client.stats().sessions_lost;
  server.kill9();
  // Another life of the data directory: nobody knows the old session.
  ASSERT_TRUE(server.start()) << server.output();
  const int first = myfs_fsync(client, fd);
  if (client.stats().sessions_lost == lost) {
    // The session outlived the restart: then nothing is lost at all.
    EXPECT_EQ(0, first);
    EXPECT_EQ("dirtye", client.get("/f"));
  } else {
    EXPECT_EQ(-EIO, first);
    EXPECT_EQ(0, myfs_fsync(client, fd));
    EXPECT_EQ("stable", client.get("/f"));
  }
  EXPECT_EQ(0, myfs_close(client, fd));
}

}  // namespace
}  // namespace myfs::test
