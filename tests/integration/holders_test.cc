// Clients that hold leases and do not answer: stopped, killed, or gone without a word.

#include <signal.h>

#include <chrono>

#include "tests/integration/two_clients.h"

namespace myfs::test {
namespace {

using Clock = std::chrono::steady_clock;

// A short lease term: what a silent client holds ends soon.
class Holders : public TwoClients {
 protected:
  Holders() : TwoClients({"--lease-term", "1"}) {}
  // A change that must wait for leases of others takes at most this.
  static constexpr auto kLimit = std::chrono::seconds(25);
};
MYFS_ON_BOTH_TRANSPORTS(Holders);

// While it is stopped its leases run out; when it goes on it must not believe its cache.
TEST_P(Holders, AStoppedReaderSeesTheNewStateWhenItGoesOn) {
  ASSERT_EQ(0, a().put("/f", "old"));
  ASSERT_EQ(0, myfs_mkdir(a(), "/d", 0777));
  Peer peer(url());
  ASSERT_EQ("0", peer.mounted());
  ASSERT_EQ("old", peer("get /f"));
  ASSERT_EQ("<ENOENT>", peer("exists /d/new"));
  ASSERT_EQ("", peer("list /d"));
  peer.program().kill(SIGSTOP);
  auto begin = Clock::now();
  EXPECT_EQ(0, a().put("/f", "newer"));
  EXPECT_EQ(0, a().put("/d/new", "x"));
  EXPECT_LT(Clock::now() - begin, kLimit);
  peer.program().kill(SIGCONT);
  EXPECT_EQ("newer", peer("get /f"));
  EXPECT_EQ("5", peer("size /f"));
  EXPECT_EQ("0", peer("exists /d/new"));
  EXPECT_EQ("new ", peer("list /d"));
}

TEST_P(Holders, AKilledReaderHoldsNobodyUpForLong) {
  ASSERT_EQ(0, a().put("/f", "old"));
  Peer peer(url());
  ASSERT_EQ("old", peer("get /f"));
  peer.program().kill(SIGKILL);
  auto begin = Clock::now();
  EXPECT_EQ(0, a().put("/f", "new"));
  EXPECT_LT(Clock::now() - begin, kLimit);
  EXPECT_EQ("new", b().get("/f"));
}

// What it had not written is lost with it; what it had made durable is there.
TEST_P(Holders, AKilledWriterLosesOnlyWhatItHadNotSynced) {
  Peer peer(url());
  ASSERT_EQ("0", peer.mounted());
  std::string fd = peer("open /f " + std::to_string(O_RDWR | O_CREAT));
  ASSERT_EQ("4", peer("write " + fd + " kept"));
  ASSERT_EQ("0", peer("fsync " + fd));
  ASSERT_EQ("4", peer("write " + fd + " lost"));
  peer.program().kill(SIGKILL);
  auto begin = Clock::now();
  std::string text = a().get("/f");
  EXPECT_LT(Clock::now() - begin, kLimit);
  EXPECT_TRUE(text == "kept" || text == std::string("kept\0\0\0\0", 8) || text == "keptlost")
      << text;
  EXPECT_EQ(0, a().put("/f", "free again"));
}

// What has come to the server stays there: its client may have closed the file in good faith.
TEST_P(Holders, WhatAKilledWriterHadSentIsKept) {
  const std::string sends_at_once = url().find('?') == std::string::npos ? "?" : "&";
  Peer peer(url() + sends_at_once + "write_policy=sync");
  ASSERT_EQ("0", peer.mounted());
  std::string fd = peer("open /f " + std::to_string(O_RDWR | O_CREAT));
  ASSERT_EQ("4", peer("write " + fd + " sent"));
  peer.program().kill(SIGKILL);
  EXPECT_EQ("sent", a().get("/f"));
}

// A writer that was stopped for longer than its lease: somebody else has written meanwhile, so its
// data may not overwrite that; it is told so, once.
TEST_P(Holders, AStoppedWriterIsFencedOff) {
  Peer peer(url());
  ASSERT_EQ("0", peer.mounted());
  std::string fd = peer("open /f " + std::to_string(O_RDWR | O_CREAT));
  ASSERT_EQ("4", peer("write " + fd + " late"));
  peer.program().kill(SIGSTOP);
  auto begin = Clock::now();
  ASSERT_EQ(0, a().put("/f", "by another"));
  EXPECT_LT(Clock::now() - begin, kLimit);
  peer.program().kill(SIGCONT);
  EXPECT_EQ("<EIO>", peer("fsync " + fd));
  EXPECT_EQ("0", peer("fsync " + fd));
  EXPECT_EQ("by another", a().get("/f"));
  EXPECT_EQ("by another", b().get("/f"));
  EXPECT_EQ("by another", peer("get /f"));
}

// With nobody to conflict with, a client that was away for long keeps everything (courtesy).
TEST_P(Holders, AStoppedWriterWithoutConflictLosesNothing) {
  Peer peer(url()), fenced(url());
  ASSERT_EQ("0", peer.mounted());
  ASSERT_EQ("0", fenced.mounted());
  std::string fd = peer("open /f " + std::to_string(O_RDWR | O_CREAT));
  ASSERT_EQ("4", peer("write " + fd + " late"));
  ASSERT_EQ("4",
            fenced("write " + fenced("open /g " + std::to_string(O_RDWR | O_CREAT)) + " gone"));
  peer.program().kill(SIGSTOP);
  fenced.program().kill(SIGSTOP);
  // This one's term began later. When somebody gets its file, both terms are over.
  ASSERT_EQ(0, a().put("/g", "taken"));
  peer.program().kill(SIGCONT);
  EXPECT_EQ("0", peer("fsync " + fd));
  EXPECT_EQ("late", a().get("/f"));
}

TEST_P(Holders, AClientThatEndsGivesEverythingBack) {
  ASSERT_EQ(0, a().put("/f", "old"));
  for (int i = 0; i < 20; ++i) {
    Peer peer(url());
    ASSERT_EQ("0", peer.mounted());
    std::string text = "by peer " + std::to_string(i);
    text[2] = text[7] = '-';
    ASSERT_EQ("0", peer("put /f " + text));
    ASSERT_EQ(0, peer.end());
    auto begin = Clock::now();
    ASSERT_EQ(text, a().get("/f"));
    ASSERT_EQ(0, a().put("/f", "mine"));
    ASSERT_LT(Clock::now() - begin, std::chrono::seconds(1)) << "it waits for somebody's lease";
  }
}

// The orderly unlink of a file that a killed process had open: its pin goes with its session.
TEST_P(Holders, TheOpensOfAKilledProcessEnd) {
  Peer peer(url());
  ASSERT_EQ("0", peer.mounted());
  ASSERT_EQ("0", peer("put /f text"));
  std::string fd = peer("open /f 2");
  ASSERT_EQ("0", peer("unlink /f"));
  ASSERT_EQ("text", peer("read " + fd));
  peer.program().kill(SIGKILL);
  EXPECT_EQ(0, a().put("/f", "another"));
  EXPECT_EQ("another", b().get("/f"));
}

// What a client changes by a name that it knows nothing of, and does not wait for.
class GivenUp : public TwoClients {
 protected:
  void SetUp() override {
    TwoClients::SetUp();
    ASSERT_EQ(0, a().put("/f", "old"));
    ASSERT_EQ(0, a().put("/other", "other"));
    fd_ = a().open("/f", O_RDONLY);
    ASSERT_EQ(0, myfs_link(b(), "/f", "/g"));
    ASSERT_EQ("old", a().get(fd_));
    ASSERT_EQ(2u, links());
    peer_ = std::make_unique<Peer>(url());
    ASSERT_EQ("0", peer_->mounted());
    ASSERT_EQ("f g other ", (*peer_)("list /"));
    ASSERT_EQ("old", (*peer_)("get /f"));
  }
  void TearDown() override {
    peer_.reset();
    myfs_close(a(), fd_);
    TwoClients::TearDown();
  }
  nlink_t links() {
    struct stat st {};
    EXPECT_EQ(0, myfs_fstat(a(), fd_, &st));
    return st.st_nlink;
  }
  // `change` waits for a client that has stopped, is given up and made all the same.
  template <typename Change, typename Made>
  void give_up(Change change, Made made) {
    peer_->program().kill(SIGSTOP);
    myfs_call call{};
    call.size = sizeof call;
    call.deadline_ms = 100;
    EXPECT_EQ(-ETIMEDOUT, change(&call));
    peer_->program().kill(SIGCONT);
    while (!made()) {
    }
  }

  std::unique_ptr<Peer> peer_;
  int fd_ = -1;
};
MYFS_ON_BOTH_TRANSPORTS(GivenUp);

TEST_P(GivenUp, AnUnlinkIsSeenThroughAnotherName) {
  give_up([&](const myfs_call* call) { return myfs_unlink_x(a(), call, "/g"); },
          [&] { return b().find("/g") == -ENOENT; });
  EXPECT_EQ(1u, links());
}

TEST_P(GivenUp, ARenameIsSeenThroughAnotherNameOfWhatItReplaces) {
  give_up([&](const myfs_call* call) { return myfs_rename_x(a(), call, "/other", "/g"); },
          [&] { return b().find("/other") == -ENOENT; });
  EXPECT_EQ(1u, links());
}

TEST_P(GivenUp, ATruncationByOpenIsSeenThroughAnotherName) {
  give_up(
      [&](const myfs_call* call) {
        return myfs_open_x(a(), call, "/g", O_WRONLY | O_CREAT | O_TRUNC, 0644);
      },
      [&] { return b().stat("/f").st_size == 0; });
  EXPECT_EQ("", a().get(fd_));
}

}  // namespace
}  // namespace myfs::test
