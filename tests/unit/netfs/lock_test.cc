// Locks at a server that does what the test says: what is asked, what is given back, and when.
#include <sys/file.h>

#include <algorithm>

#include "sdk/base/rcu.h"
#include "sdk/fs/attr.h"
#include "sdk/fs/copy_range.h"
#include "sdk/fs/locks.h"
#include "tests/unit/netfs/mount_fixture.h"

namespace myfs::netfs {
namespace {

using Log = std::vector<std::string>;

class NetLock : public MountFixture {
 protected:
  void SetUp() override {
    mount();
    fd_ = open("/f");
    ASSERT_GE(fd_, 0);
  }
  Errno lock(const CallContext& ctx, int cmd, int type, off_t start = 0, off_t length = 10) {
    struct flock lock {};
    lock.l_type = static_cast<short>(type);
    lock.l_start = start;
    lock.l_len = length;
    return fs::vfs_fcntl_lock(ctx, *task_, fd_, cmd, &lock).error();
  }
  Errno lock(int cmd, int type, off_t start = 0, off_t length = 10) {
    return lock(patient(), cmd, type, start, length);
  }
  void script(std::function<void(rpc_test::Script&)> change) { server_.script(std::move(change)); }
  // Until the server has been asked for it.
  bool asked(const std::string& what) {
    return eventually([&] {
      for (std::string& line : server_.lock_log()) log_.push_back(std::move(line));
      return std::find(log_.begin(), log_.end(), what) != log_.end();
    });
  }
  // Everything since the last time.
  Log log() {
    for (std::string& line : server_.lock_log()) log_.push_back(std::move(line));
    return std::exchange(log_, {});
  }
  Errno flock(const CallContext& ctx, int operation) {
    return fs::vfs_flock(ctx, *task_, fd_, operation).error();
  }
  bool settled() {
    return eventually([&] { return super().locks().unsettled() == 0; });
  }
  void end_session() {
    script([](rpc_test::Script& s) { s.bind_errno = ESTALE; });
    const int logins = server_.logins.load();
    server_.break_connections();
    ASSERT_TRUE(eventually([&] { return server_.logins.load() > logins; }));
    script([](rpc_test::Script& s) { s.bind_errno = 0; });
    ASSERT_TRUE(eventually([&] { return super().validity().alive(); }));
  }

  int fd_ = -1;
  Log log_;
};

TEST_F(NetLock, TheServerIsAskedOnlyForWhatItMustKnow) {
  EXPECT_TRUE(lock(F_SETLK, F_UNLCK).ok());
  EXPECT_EQ(log(), Log{});
  EXPECT_TRUE(lock(F_SETLK, F_WRLCK).ok());
  EXPECT_TRUE(lock(F_SETLK, F_UNLCK, 20, 5).ok());
  EXPECT_EQ(log(), Log{"W 0+10"});
  EXPECT_TRUE(lock(F_SETLK, F_UNLCK, 5, 0).ok());
  EXPECT_EQ(log(), Log{"U 5+"});
  EXPECT_TRUE(close(fd_).ok());
  EXPECT_EQ(log(), Log{"U 0+"}) << "the rest of it";
}

TEST_F(NetLock, AFileWithoutLocksIsClosedWithoutAsking) {
  EXPECT_TRUE(lock(F_SETLK, F_WRLCK).ok());
  EXPECT_TRUE(lock(F_SETLK, F_UNLCK).ok());
  EXPECT_TRUE(fs::vfs_flock(patient(), *task_, fd_, LOCK_EX).ok());
  EXPECT_TRUE(fs::vfs_flock(patient(), *task_, fd_, LOCK_UN).ok());
  (void)log();
  EXPECT_TRUE(close(fd_).ok());
  EXPECT_EQ(log(), Log{});
}

TEST_F(NetLock, TheLastCloseGivesUpAFlock) {
  EXPECT_TRUE(fs::vfs_flock(patient(), *task_, fd_, LOCK_SH).ok());
  EXPECT_TRUE(close(fd_).ok());
  EXPECT_EQ(log(), (Log{"R 0+", "U 0+"}));
}

TEST_F(NetLock, WhatIsRefusedIsNotHeld) {
  script([](rpc_test::Script& s) { s.lock_errno = EAGAIN; });
  EXPECT_EQ(lock(F_SETLK, F_WRLCK), Errno(EAGAIN));
  script([](rpc_test::Script& s) { s.lock_errno = EDEADLK; });
  EXPECT_EQ(lock(F_SETLKW, F_WRLCK), Errno(EDEADLK));
  (void)log();
  EXPECT_TRUE(close(fd_).ok());
  EXPECT_EQ(log(), Log{});
}

class NetLockWait : public NetLock {
 protected:
  void SetUp() override {
    NetLock::SetUp();
    script([](rpc_test::Script& s) { s.lock_queues = true; });
  }
  // Waits on a thread of its own until the test has done with it.
  void start(const CallContext& ctx) {
    waiter_ =
        Thread("waiter", [this, ctx] { result_.store(lock(ctx, F_SETLKW, F_WRLCK).value()); });
  }
  int result() {
    waiter_.join();
    return result_.load();
  }
  std::atomic<int> result_{-1};
  Thread waiter_;
};

TEST_F(NetLockWait, EndsWithTheGrant) {
  start(patient());
  ASSERT_TRUE(asked("W 0+10"));
  server_.grant_lock(1);
  EXPECT_EQ(result(), 0);
  EXPECT_TRUE(asked("ack 1"));
  EXPECT_TRUE(close(fd_).ok());
  EXPECT_TRUE(asked("U 0+"));
}

TEST_F(NetLockWait, TheGrantMayOvertakeTheAnswer) {
  script([](rpc_test::Script& s) { s.hold = true; });
  start(patient());
  ASSERT_TRUE(asked("W 0+10"));
  server_.grant_lock(1);
  server_.release_held();
  EXPECT_EQ(result(), 0);
  EXPECT_TRUE(asked("ack 1"));
}

// An answer that does not come must not make the client remember what it has used.
TEST_F(NetLockWait, AGrantThatOvertookIsForgottenOnceItIsUsed) {
  script([](rpc_test::Script& s) { s.lock_queues = false, s.lock_silent = true; });
  Errno silent;
  Thread other("silent", [&] { silent = flock(patient(), LOCK_SH); });
  ASSERT_TRUE(asked("R 0+"));
  script([](rpc_test::Script& s) { s.lock_silent = false, s.lock_queues = s.hold = true; });
  start(patient());
  ASSERT_TRUE(asked("W 0+10"));
  server_.grant_lock(1);
  ASSERT_TRUE(eventually([&] { return super().locks().early_grants() == 1; }));
  server_.release_held();
  EXPECT_EQ(result(), 0);
  EXPECT_EQ(super().locks().early_grants(), 0u);
  EXPECT_TRUE(asked("ack 1"));
  (void)log();
  // Told again, while it might be that of the silent one.
  server_.grant_lock(1);
  ASSERT_TRUE(eventually([&] { return super().locks().early_grants() == 1; }));
  script([](rpc_test::Script& s) { s.lock_silent = s.lock_queues = s.hold = false; });
  server_.break_connections();
  other.join();
  EXPECT_TRUE(silent.ok());
  EXPECT_TRUE(asked("ack 1"));
}

TEST_F(NetLockWait, AGrantThatIsToldTwiceIsOne) {
  start(patient());
  ASSERT_TRUE(asked("W 0+10"));
  server_.grant_lock(1);
  EXPECT_EQ(result(), 0);
  EXPECT_TRUE(asked("ack 1"));
  (void)log();
  server_.grant_lock(1);
  EXPECT_TRUE(asked("ack 1"));
}

TEST_F(NetLockWait, ACancelledOneIsWithdrawnBeforeItReturns) {
  CancelToken token;
  CallContext ctx = patient();
  ctx.cancel = &token;
  start(ctx);
  ASSERT_TRUE(asked("W 0+10"));
  token.cancel();
  EXPECT_EQ(result(), EINTR);
  EXPECT_EQ(log(), (Log{"W 0+10", "cancel 1"}));
  EXPECT_TRUE(close(fd_).ok());
  EXPECT_EQ(log(), Log{});
}

TEST_F(NetLockWait, ALateOneIsWithdrawnBeforeItReturns) {
  EXPECT_EQ(lock(within(kNsPerMs), F_SETLKW, F_WRLCK), Errno(ETIMEDOUT));
  EXPECT_EQ(log(), (Log{"W 0+10", "cancel 1"}));
}

// The server's word decides: the lock is there, so the call has succeeded.
TEST_F(NetLockWait, AGrantBeforeTheCancelCounts) {
  script([](rpc_test::Script& s) { s.cancel_too_late = true; });
  EXPECT_TRUE(lock(within(kNsPerMs), F_SETLKW, F_WRLCK).ok());
  EXPECT_EQ(log(), (Log{"W 0+10", "cancel 1"}));
  EXPECT_TRUE(close(fd_).ok());
  EXPECT_EQ(log(), Log{"U 0+"});
}

TEST_F(NetLockWait, WhatComesAfterTheCallerHasLeftIsGivenBackOnce) {
  script([](rpc_test::Script& s) { s.cancel_silent = s.cancel_too_late = true; });
  EXPECT_EQ(lock(within(kNsPerMs), F_SETLKW, F_WRLCK), Errno(ETIMEDOUT));
  EXPECT_TRUE(thread_error_detail().in_doubt);
  EXPECT_EQ(super().locks().unsettled(), 1u);
  EXPECT_EQ(log(), (Log{"W 0+10", "cancel 1"}));
  script([](rpc_test::Script& s) { s.cancel_silent = false; });
  server_.break_connections();
  EXPECT_TRUE(settled());
  EXPECT_EQ(log(), Log{"U 0+10"});
  EXPECT_TRUE(close(fd_).ok());
  EXPECT_EQ(log(), Log{});
}

TEST_F(NetLockWait, WhatWasHeldBeforeIsHeldAfterwards) {
  script([](rpc_test::Script& s) { s.lock_queues = false; });
  EXPECT_TRUE(lock(F_SETLK, F_RDLCK, 2, 3).ok());
  (void)log();
  script([](rpc_test::Script& s) { s.lock_queues = s.cancel_silent = s.cancel_too_late = true; });
  EXPECT_EQ(lock(within(kNsPerMs), F_SETLKW, F_WRLCK), Errno(ETIMEDOUT));
  (void)log();
  script([](rpc_test::Script& s) { s.cancel_silent = s.lock_queues = false; });
  server_.break_connections();
  EXPECT_TRUE(settled());
  EXPECT_EQ(log(), (Log{"U 0+2", "R 2+3", "U 5+5"}));
}

// The answer to the lock itself is missing.
TEST_F(NetLockWait, WhatWasGrantedToOneWhoHasLeftIsGivenBack) {
  script([](rpc_test::Script& s) { s.lock_silent = true, s.lock_queues = false; });
  EXPECT_EQ(lock(within(kNsPerMs), F_SETLK, F_WRLCK), Errno(ETIMEDOUT));
  EXPECT_EQ(log(), Log{"W 0+10"});
  script([](rpc_test::Script& s) { s.lock_silent = false; });
  server_.break_connections();
  EXPECT_TRUE(settled());
  EXPECT_EQ(log(), Log{"U 0+10"});
}

TEST_F(NetLockWait, GoesOnOverABrokenConnection) {
  start(patient());
  ASSERT_TRUE(asked("W 0+10"));
  const int binds = server_.binds.load();
  server_.break_connections();
  ASSERT_TRUE(eventually([&] { return server_.binds.load() > binds; }));
  server_.grant_lock(1);
  EXPECT_EQ(result(), 0);
}

TEST_F(NetLockWait, IsAskedForAgainInTheNextSession) {
  start(patient());
  ASSERT_TRUE(asked("W 0+10"));
  (void)log();
  script([](rpc_test::Script& s) { s.lock_queues = false; });
  end_session();
  EXPECT_EQ(result(), 0);
  EXPECT_EQ(log(), Log{"W 0+10"});
}

// One after the other is given back; at the end of the mount nothing is, and nothing is kept.
TEST_F(NetLockWait, WhatIsToBeGivenBackGoesWithTheMount) {
  script([](rpc_test::Script& s) { s.lock_silent = true, s.lock_queues = false; });
  Errno silent;
  Thread other("silent", [&] { silent = flock(within(kNsPerMs), LOCK_SH); });
  EXPECT_EQ(lock(within(kNsPerMs), F_SETLK, F_WRLCK), Errno(ETIMEDOUT));
  other.join();
  EXPECT_EQ(silent, Errno(ETIMEDOUT));
  EXPECT_EQ(super().locks().unsettled(), 2u);
  super().shutdown(within(kNsPerMs));
  EXPECT_TRUE(settled());
}

TEST_F(NetLockWait, EndsWithTheMount) {
  start(patient());
  ASSERT_TRUE(asked("W 0+10"));
  super().shutdown(within(kNsPerMs));
  EXPECT_EQ(result(), ESHUTDOWN);
}

TEST_F(NetLock, WhatIsLostWithItsSessionEndsTheIoUntilItIsUnlocked) {
  EXPECT_TRUE(lock(F_SETLK, F_WRLCK).ok());
  EXPECT_TRUE(write(fd_, "x").ok());
  EXPECT_TRUE(fsync(fd_).ok());
  end_session();
  EXPECT_EQ(read(fd_, 1), "EIO");
  EXPECT_EQ(write(fd_, "y"), Errno(EIO));
  EXPECT_EQ(lock(F_SETLK, F_WRLCK, 100, 1), Errno(EIO));
  (void)log();
  EXPECT_TRUE(lock(F_SETLK, F_UNLCK, 0, 0).ok());
  EXPECT_EQ(log(), Log{}) << "the server does not know of it";
  EXPECT_EQ(read(fd_, 1), "x");
  EXPECT_TRUE(lock(F_SETLK, F_WRLCK).ok());
}

TEST_F(NetLock, AnUnlockThatEndsWithItsSessionLeavesNothing) {
  EXPECT_TRUE(lock(F_SETLK, F_WRLCK).ok());
  script([](rpc_test::Script& s) { s.unlock_silent = true; });
  EXPECT_EQ(lock(within(kNsPerMs), F_SETLK, F_UNLCK), Errno(ETIMEDOUT));
  end_session();
  script([](rpc_test::Script& s) { s.unlock_silent = false; });
  EXPECT_TRUE(settled());
  EXPECT_TRUE(write(fd_, "x").ok());
  EXPECT_TRUE(lock(F_SETLK, F_WRLCK).ok());
}

// Its memory is soon that of another one.
TEST_F(NetLock, WhatWasLostThroughAFileIsNoAffairOfLaterOnes) {
  fs::File* const gone = task_->files.fget(fd_).get();
  const fs::Path path = gone->f_path();
  struct flock all {};
  all.l_type = F_WRLCK;
  constexpr uint64_t kStranger = 77;
  EXPECT_TRUE(fs::fcntl_lock_file(patient(), *gone, F_SETLK, kStranger, 1, &all).ok());
  end_session();
  EXPECT_TRUE(fs::locks_lost_slow(*gone, task_->lock_owner));
  (void)close(fd_);
  rcu_barrier();
  std::vector<Ref<fs::File>> later;
  bool again = false;
  for (int i = 0; i < 1000 && !again; ++i) {
    later.push_back(*fs::dentry_open(patient(), path, O_RDWR));
    again = later.back().get() == gone;
    EXPECT_FALSE(fs::locks_lost_slow(*later.back(), task_->lock_owner)) << i;
  }
  RecordProperty("address_came_again", again);
}

// The lock's answer is late, that to its unlock is there; another owner's comes in between.
TEST_F(NetLock, AnUnlockIsRememberedWhateverOthersDo) {
  script([](rpc_test::Script& s) { s.lock_silent = true; });
  Errno silent;
  Thread waiter("silent", [&] { silent = lock(patient(), F_SETLK, F_WRLCK); });
  ASSERT_TRUE(asked("W 0+10"));
  EXPECT_TRUE(lock(F_SETLK, F_UNLCK, 0, 0).ok());
  script([](rpc_test::Script& s) { s.lock_silent = false; });
  EXPECT_TRUE(flock(patient(), LOCK_SH).ok());
  EXPECT_TRUE(flock(patient(), LOCK_UN).ok());
  server_.break_connections();
  waiter.join();
  EXPECT_TRUE(silent.ok());
  (void)log();
  EXPECT_TRUE(close(fd_).ok());
  EXPECT_EQ(log(), Log{}) << "nothing is held";
}

// One slot for calls: whoever has it keeps the others from the server.
class NetLockOneSlot : public NetLock {
 protected:
  void SetUp() override {
    script([](rpc_test::Script& s) { s.slots = 3; });
    NetLock::SetUp();
  }
  // Takes the slot until free_slot().
  void take_slot() {
    script([](rpc_test::Script& s) { s.lock_silent = true; });
    silent_ = Thread("silent", [this] { (void)flock(ctx_, LOCK_SH); });
    ASSERT_TRUE(asked("R 0+"));
    script([](rpc_test::Script& s) { s.lock_silent = false; });
  }
  void free_slot() {
    server_.break_connections();
    silent_.join();
    (void)log();
  }
  Thread silent_;
};

TEST_F(NetLockOneSlot, ALateUnlockTakesNothingThatWasGrantedAfterIt) {
  EXPECT_TRUE(lock(F_SETLK, F_WRLCK).ok());
  Event go_on;
  std::atomic<size_t> busy{0};
  for (size_t i = 0; i < kRecallThreadsMax; ++i) {
    super().worker().post([&] {
      ++busy;
      go_on.wait();
      --busy;
    });
  }
  ASSERT_TRUE(eventually([&] { return busy == kRecallThreadsMax; }));
  take_slot();
  EXPECT_EQ(lock(within(50 * kNsPerMs), F_SETLK, F_UNLCK), Errno(ETIMEDOUT));
  free_slot();
  EXPECT_EQ(lock(within(100 * kNsPerMs), F_SETLK, F_RDLCK), Errno(ETIMEDOUT));
  go_on.set();
  EXPECT_TRUE(eventually([&] { return busy == 0; }));
  EXPECT_TRUE(settled());
  EXPECT_TRUE(lock(F_SETLK, F_RDLCK).ok());
  EXPECT_EQ(log(), (Log{"U 0+10", "R 0+10"}));
  EXPECT_TRUE(close(fd_).ok());
}

class NetLockSoft : public NetLockOneSlot {
 protected:
  void SetUp() override {
    options_.soft = true;
    options_.timeout_ns = 100 * kNsPerMs;
    NetLockOneSlot::SetUp();
  }
};

// The caller is told soon; what he might have got is given back whenever the server can be asked.
TEST_F(NetLockSoft, AWaitIsWithdrawnHoweverLateThatIs) {
  CancelToken token;
  CallContext ctx = ctx_;
  ctx.cancel = &token;
  script([](rpc_test::Script& s) { s.lock_queues = true; });
  Errno waited;
  Thread waiter("waiter", [&] { waited = lock(ctx, F_SETLKW, F_WRLCK); });
  ASSERT_TRUE(asked("W 0+10"));
  script([](rpc_test::Script& s) { s.lock_queues = false; });
  take_slot();
  token.cancel();
  waiter.join();
  EXPECT_EQ(waited, Errno(EINTR));
  silent_.join();
  EXPECT_EQ(super().locks().unsettled(), 2u);
  server_.break_connections();
  EXPECT_TRUE(settled());
  EXPECT_TRUE(asked("cancel 1"));
}

TEST_F(NetLockSoft, OthersAreKeptBackUntilItIsGivenBackButNotForEver) {
  script([](rpc_test::Script& s) { s.lock_silent = true; });
  EXPECT_EQ(lock(ctx_, F_SETLK, F_WRLCK), Errno(ETIMEDOUT));
  script([](rpc_test::Script& s) { s.lock_silent = false, s.unlock_silent = true; });
  (void)log();
  server_.break_connections();
  ASSERT_TRUE(asked("U 0+10"));
  for (int i = 0; i < 5; ++i) {
    CancelToken token;
    CallContext ctx = ctx_;
    ctx.cancel = &token;
    std::atomic<int> result{-1};
    Thread waiter("waiter", [&] { result = lock(ctx, F_SETLK, F_RDLCK).value(); });
    EXPECT_TRUE(eventually([&] { return result != -1; }));
    token.cancel();
    waiter.join();
    EXPECT_EQ(result, ETIMEDOUT);
  }
  EXPECT_EQ(log(), Log{"U 0+10"});
  script([](rpc_test::Script& s) { s.unlock_silent = false; });
  server_.break_connections();
  EXPECT_TRUE(settled());
  EXPECT_TRUE(lock(F_SETLK, F_RDLCK).ok());
}

TEST_F(NetLock, WhatIsLostEndsWithTheClose) {
  EXPECT_TRUE(fs::vfs_flock(patient(), *task_, fd_, LOCK_EX).ok());
  end_session();
  EXPECT_EQ(read(fd_, 1), "EIO");
  RefPtr<fs::Inode> kept = RefPtr<fs::Inode>::try_from(&inode(fd_));
  (void)close(fd_);
  EXPECT_EQ(kept->i_flags.load() & fs::Inode::kLostLocks, 0u);
}

// Calls that begin while the server is out of reach, and find another session when it is back.
class NetLockLostMeanwhile : public NetLock {
 protected:
  using Call = std::function<Errno(const CallContext&)>;
  void SetUp() override {
    options_.connector = [this] { return reachable_ ? server_.connect() : Errno(ECONNREFUSED); };
    NetLock::SetUp();
    ASSERT_TRUE(write(fd_, "text").ok());
    ASSERT_TRUE(fsync(fd_).ok());
    ASSERT_TRUE(lock(F_SETLK, F_WRLCK).ok());
  }
  // What `call`, a change of the file, comes to.
  Errno over_the_end_of_the_session(Call call) {
    reachable_ = false;
    server_.break_connections();
    // What is sent before the break is noticed is in doubt, and EIO for that.
    EXPECT_TRUE(eventually([&] { return !connected(); }));
    Errno result;
    {
      Thread caller("caller", [&] { result = call(patient()); });
      EXPECT_TRUE(eventually([&] { return inode(fd_).i_changing.load() != 0; }));
      script([](rpc_test::Script& s) { s.bind_errno = ESTALE; });
      reachable_ = true;
    }
    EXPECT_TRUE(eventually([&] { return server_.logins.load() == 2; }));
    return result;
  }
  bool connected() {
    const std::vector<rpc::ConnectionStats> all = super().client().stats().connections;
    return std::any_of(all.begin(), all.end(), [](const rpc::ConnectionStats& connection) {
      return connection.state == rpc::ConnectionState::kUp;
    });
  }
  std::atomic<bool> reachable_{true};
};

TEST_F(NetLockLostMeanwhile, ATruncationIsNotMade) {
  EXPECT_EQ(over_the_end_of_the_session([&](const CallContext& ctx) {
              return fs::vfs_ftruncate(ctx, *task_, fd_, 1).error();
            }),
            Errno(EIO));
  EXPECT_EQ(server_.content(), "text");
}

TEST_F(NetLockLostMeanwhile, NorAnAllocation) {
  EXPECT_EQ(over_the_end_of_the_session([&](const CallContext& ctx) {
              return fs::vfs_fallocate(ctx, *task_, fd_, 0, 0, 100).error();
            }),
            Errno(EIO));
}

TEST_F(NetLockLostMeanwhile, NorACopy) {
  const int other = open("/g");
  ASSERT_GE(other, 0);
  EXPECT_EQ(over_the_end_of_the_session([&](const CallContext& ctx) {
              int64_t from = 0, to = 0;
              return fs::vfs_copy_file_range(ctx, *task_, other, &from, fd_, &to, 4).error();
            }),
            Errno(EIO));
}

TEST_F(NetLock, ACopyByOpenFilesEndsWithALostLock) {
  const int other = open("/g");
  ASSERT_GE(other, 0);
  ASSERT_TRUE(fs::vfs_flock(patient(), *task_, fd_, LOCK_EX).ok());
  end_session();
  RefPtr<fs::File> locked = task_->files.fget(fd_), free = task_->files.fget(other);
  EXPECT_EQ(fs::vfs_copy_file_range(patient(), *locked, 0, *free, 0, 4).error(), Errno(EIO));
  EXPECT_EQ(fs::vfs_copy_file_range(patient(), *free, 0, *locked, 0, 4).error(), Errno(EIO));
}

}  // namespace
}  // namespace myfs::netfs
