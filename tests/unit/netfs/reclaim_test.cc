// What a mount tells a server that was begun anew, and what becomes of that which it does not keep.
#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>

#include "sdk/fs/locks.h"
#include "tests/unit/netfs/mount_fixture.h"

namespace myfs::netfs {
namespace {

using Log = std::vector<std::string>;

class NetReclaim : public MountFixture {
 protected:
  void SetUp() override {
    mount();
    fd_ = open("/f");
    ASSERT_GE(fd_, 0);
  }
  void restart(std::function<void(rpc_test::Script&)> more = [](rpc_test::Script&) {}) {
    const uint64_t before = super().client().stats().sessions_reclaimed;
    server_.script([&](rpc_test::Script& s) {
      ++s.boot_verifier;
      more(s);
    });
    server_.break_connections();
    ASSERT_TRUE(eventually([&] { return super().client().stats().sessions_reclaimed > before; }));
  }
  // As the loop does.
  rpc::ReclaimPart claims() {
    super().leases().begin_reclaim();
    rpc::ReclaimPart all, part;
    while (super().leases().next_claims(&part)) {
      all.leases.insert(all.leases.end(), part.leases.begin(), part.leases.end());
      all.opens.insert(all.opens.end(), part.opens.begin(), part.opens.end());
      part = {};
    }
    return all;
  }
  static rpc::Grant kept(uint64_t ino, LeaseParts parts) {
    return {.ino = ino, .parts = parts, .seq = uint64_t{1} << 40};
  }
  // Of what was given back since the last time.
  std::vector<rpc::Grant> returned(uint64_t ino) {
    std::vector<rpc::Grant> grants = super().leases().take_returns().grants;
    std::erase_if(grants, [&](const rpc::Grant& grant) { return grant.ino != ino; });
    return grants;
  }
  LeaseParts held(NetInode& inode) {
    MutexLock lock(inode.lease.mu);
    return inode.lease.held_locked();
  }
  std::string number(int fd) { return std::to_string(ino(fd)); }
  static size_t count(const Log& log, const std::string& what) {
    return static_cast<size_t>(std::count(log.begin(), log.end(), what));
  }

  int fd_ = -1;
};

TEST_F(NetReclaim, WhatIsDirtyIsWrittenUnderTheLeaseOfBefore) {
  ASSERT_TRUE(write(fd_, "dirty").ok());
  ASSERT_EQ(held(inode(fd_)) & fs::kLeaseW, fs::kLeaseW);
  restart();
  const Log told = server_.claims();
  EXPECT_EQ(count(told, "open " + number(fd_)), 1u) << "create had registered it";
  EXPECT_TRUE(std::any_of(told.begin(), told.end(), [&](const std::string& line) {
    return line.starts_with("lease " + number(fd_) + " A") && line.find("W") != line.npos &&
           !line.ends_with(" since 0");
  }));
  EXPECT_EQ(held(inode(fd_)) & fs::kLeaseW, fs::kLeaseW);
  EXPECT_EQ(read(fd_, 5), "dirty");
  EXPECT_TRUE(fsync(fd_).ok());
  EXPECT_EQ(server_.content(), "dirty");
  EXPECT_EQ(super().counters().lost_bytes.value(), 0);
  EXPECT_EQ(super().counters().sessions_lost.value(), 0);
  EXPECT_EQ(super().counters().sessions_reclaimed.value(), 1);
  EXPECT_GT(super().counters().leases_kept.value(), 0);
  EXPECT_TRUE(close(fd_).ok());
  EXPECT_TRUE(eventually([&] { return server_.closed_opens.load() == 1; }));
}

TEST_F(NetReclaim, WhatWasWrittenAndNotMadeDurableIsWrittenAgain) {
  server_.script([](rpc_test::Script& s) { s.relaxed = true; });  // no WRITE is stable
  ASSERT_TRUE(write(fd_, "dirty").ok());
  ASSERT_TRUE(fs::vfs_sync_file_range(patient(), *task_, fd_, 0, 0,
                                      SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER)
                  .ok());
  ASSERT_EQ(server_.content(), "dirty");
  server_.set_content("");
  restart();
  EXPECT_EQ(read(fd_, 5), "dirty");
  EXPECT_TRUE(fsync(fd_).ok());
  EXPECT_EQ(server_.content(), "dirty");
}

TEST_F(NetReclaim, WhatIsNotKeptIsLostAndTold) {
  ASSERT_TRUE(write(fd_, "dirty").ok());
  restart([](rpc_test::Script& s) { s.reclaim_keeps = false; });
  ASSERT_TRUE(eventually([&] { return super().counters().lost_bytes.value() != 0; }));
  EXPECT_EQ(fsync(fd_), Errno(EIO));
  EXPECT_TRUE(fsync(fd_).ok());
  EXPECT_GT(super().counters().leases_dropped.value(), 0);
}

// No recall will ask for it, so the server would never hear of it.
TEST_F(NetReclaim, ALocalOpenOfWhatIsNotKeptIsTold) {
  const int local = open("a", O_RDONLY);
  ASSERT_GE(local, 0);
  ASSERT_EQ(super().counters().local_opens.value(), 1);
  restart();
  EXPECT_EQ(count(server_.claims(), "open " + number(local)), 0u) << "a recall will tell it";
  restart([](rpc_test::Script& s) { s.reclaim_keeps = false; });
  EXPECT_EQ(count(server_.claims(), "open " + number(local)), 1u);
  EXPECT_TRUE(close(local).ok());
  EXPECT_TRUE(eventually([&] { return server_.closed_opens.load() == 1; }));
}

TEST_F(NetReclaim, WhatIsEvictedAfterItsClaimIsGivenBackUnderTheNewGrant) {
  const uint64_t number = ino(fd_);
  const rpc::ReclaimPart part = claims();
  ASSERT_FALSE(part.leases.empty());
  ASSERT_TRUE(close(fd_).ok());
  super().sb().s_dcache.shrink(100);
  super().sb().s_inodes.shrink(100);
  ASSERT_FALSE(super().sb().s_inodes.ilookup(number));
  (void)returned(number);
  super().leases().keep_reclaimed(part.leases, {kept(number, fs::kLeaseA | fs::kLeaseP)});
  const std::vector<rpc::Grant> back = returned(number);
  ASSERT_EQ(back.size(), 1u);
  EXPECT_EQ(back[0].seq, uint64_t{1} << 40);
  EXPECT_EQ(back[0].parts, fs::kLeaseA | fs::kLeaseP);
}

// The old server's number means nothing to the new one: what it wanted goes back unasked.
TEST_F(NetReclaim, ARecallOfTheOldServerBecomesAReturn) {
  ASSERT_TRUE(write(fd_, "dirty").ok());
  NetInode& node = inode(fd_);
  const SessionMark session{super().client().incarnation(), super().validity().generation.load()};
  {
    MutexLock lock(node.lease.mu);
    ASSERT_FALSE(
        node.lease
            .begin_recall_locked(
                {.recall_id = 7, .ino = node.i_ino, .seq = 1000, .parts = fs::kLeaseW}, session)
            .has_value());
  }
  const rpc::ReclaimPart part = claims();
  const auto claim = std::find_if(part.leases.begin(), part.leases.end(),
                                  [&](const auto& it) { return it.node.ino == node.i_ino; });
  ASSERT_NE(claim, part.leases.end());
  EXPECT_EQ(claim->parts & fs::kLeaseW, fs::kLeaseW) << "its pages are still dirty";
  super().leases().keep_reclaimed(part.leases, {kept(node.i_ino, claim->parts)});
  const int acks = server_.acks;
  (void)returned(node.i_ino);
  node.honour_recall();
  EXPECT_EQ(server_.content(), "dirty");
  EXPECT_EQ(held(node) & fs::kLeaseW, 0);
  super().send_returns();
  EXPECT_TRUE(eventually([&] { return server_.releases.load() > 0; }));
  EXPECT_EQ(server_.acks, acks);
}

// Granted by the old server, taken in by a slow thread: the new one does not know of it.
TEST_F(NetReclaim, AGrantFromBeforeIsNotTakenInAfterwards) {
  NetInode& node = inode(fd_);
  {
    CallScope before(super().leases());
    (void)claims();
    super().leases().keep_reclaimed({{.node = node.last_handle(), .parts = kAllParts}}, {});
    rpc::Node late{.handle = node.last_handle(), .attr = node.i_attr(), .has_attr = true};
    late.grant = {.ino = node.i_ino, .parts = fs::kLeaseA | fs::kLeaseR, .seq = 1 << 20};
    node.learn(late, before.ticket());
    EXPECT_EQ(held(node), 0);
    LeaseRecord::Open open;
    EXPECT_FALSE(node.lease.add_open(open, before.ticket(), super().leases()));
    EXPECT_EQ(node.lease.remove_open(open), 0) << "the new one does not know that either";
  }
  CallScope after(super().leases());
  rpc::Node fresh{.handle = node.last_handle(), .attr = node.i_attr(), .has_attr = true};
  fresh.grant = {.ino = node.i_ino, .parts = fs::kLeaseA, .seq = 1 << 21};
  node.learn(fresh, after.ticket());
  EXPECT_EQ(held(node), fs::kLeaseA);
}

class NetReclaimLocks : public NetReclaim {
 protected:
  Errno lock(int cmd, int type, off_t start = 0, off_t length = 10) {
    struct flock lock {};
    lock.l_type = static_cast<short>(type);
    lock.l_start = start;
    lock.l_len = length;
    return fs::vfs_fcntl_lock(patient(), *task_, fd_, cmd, &lock).error();
  }
  bool asked(const std::string& what) {
    return eventually([&] {
      for (std::string& line : server_.lock_log()) log_.push_back(std::move(line));
      return std::find(log_.begin(), log_.end(), what) != log_.end();
    });
  }
  Log log_;
};

TEST_F(NetReclaimLocks, LocksAndWaitsAreTold) {
  ASSERT_TRUE(lock(F_SETLK, F_WRLCK).ok());
  server_.script([](rpc_test::Script& s) { s.lock_queues = true; });
  Errno waited(EIO);
  {
    Thread waiter("waiter", [&] { waited = lock(F_SETLKW, F_RDLCK, 100); });
    ASSERT_TRUE(asked("R 100+10"));
    // Its answer has been heard when a later one has.
    ASSERT_TRUE(super().client().ping(patient()).ok());
    restart();
    const Log told = server_.claims();
    EXPECT_EQ(count(told, "lock " + number(fd_) + " W 0+10"), 1u);
    EXPECT_EQ(count(told, "wait " + number(fd_) + " R 100+10 #1"), 1u);
    server_.grant_lock(1);
  }
  EXPECT_TRUE(waited.ok()) << waited.name();
  EXPECT_TRUE(write(fd_, "x").ok());
}

TEST_F(NetReclaimLocks, ALockThatIsRefusedIsLost) {
  ASSERT_TRUE(lock(F_SETLK, F_WRLCK).ok());
  restart([](rpc_test::Script& s) { s.lock_errno = EAGAIN; });
  EXPECT_EQ(write(fd_, "x"), Errno(EIO));
  server_.script([](rpc_test::Script& s) { s.lock_errno = 0; });
  ASSERT_TRUE(lock(F_SETLK, F_UNLCK).ok());
  EXPECT_TRUE(write(fd_, "x").ok());
}

// The old server may have done it, and given the lock to somebody else.
TEST_F(NetReclaimLocks, WhatIsBeingUnlockedIsNotClaimed) {
  ASSERT_TRUE(lock(F_SETLK, F_WRLCK, 0, 30).ok());
  server_.script([](rpc_test::Script& s) { s.unlock_silent = true; });
  Errno unlocked(EIO);
  {
    Thread unlocker("unlocker", [&] { unlocked = lock(F_SETLK, F_UNLCK, 10, 10); });
    ASSERT_TRUE(asked("U 10+10"));
    restart([](rpc_test::Script& s) { s.unlock_silent = false; });
  }
  EXPECT_TRUE(unlocked.ok()) << unlocked.name();
  const Log told = server_.claims();
  EXPECT_EQ(count(told, "lock " + number(fd_) + " W 0+10"), 1u);
  EXPECT_EQ(count(told, "lock " + number(fd_) + " W 20+10"), 1u);
  EXPECT_EQ(std::count_if(told.begin(), told.end(),
                          [](const std::string& line) { return line.starts_with("lock "); }),
            2);
}

TEST_F(NetReclaimLocks, WhatIsBeingMadeWeakerIsClaimedSo) {
  ASSERT_TRUE(lock(F_SETLK, F_WRLCK).ok());
  server_.script([](rpc_test::Script& s) { s.lock_silent = true; });
  {
    Thread weaker("weaker", [&] { (void)lock(F_SETLK, F_RDLCK); });
    ASSERT_TRUE(asked("R 0+10"));
    restart([](rpc_test::Script& s) { s.lock_silent = false; });
  }
  EXPECT_EQ(count(server_.claims(), "lock " + number(fd_) + " R 0+10"), 1u);
}

}  // namespace
}  // namespace myfs::netfs
