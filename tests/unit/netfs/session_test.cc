// A mount whose server forgets its session, also while it is being found again.
#include "tests/unit/rpc/client_fixture.h"

#include "sdk/base/log.h"
#include "sdk/mm/filemap.h"
#include "sdk/mm/readahead.h"
#include "sdk/netfs/super.h"

namespace myfs::netfs {
namespace {

class NetSession : public rpc_test::ClientFixture {
 protected:
  void SetUp() override {
    MountOptions options;
    options.client = options_;
    auto mounted = Super::mount(*loop_, options, patient());
    ASSERT_TRUE(mounted.ok()) << mounted.error().name();
    sb_ = std::move(*mounted);
    CallScope scope(super().leases());
    auto found = super().client().lookup(
        patient(), {.dir = super().client().session().root.handle, .names = {"a"}});
    ASSERT_TRUE(found.ok()) << found.error().name();
    auto inode = super().learn(found->nodes[0], scope.ticket(), nullptr);
    ASSERT_TRUE(inode.ok()) << inode.error().name();
    inode_ = std::move(*inode);
  }
  void TearDown() override {
    inode_ = nullptr;
    if (sb_) sb_->kill(patient(), false);
    sb_ = nullptr;
  }
  Super& super() { return static_cast<Super&>(sb_->s_op()); }
  Errno getattr() {
    return super()
        .call(patient(), *inode_,
              [&](const rpc::Handle& handle, const Ticket&) {
                return super().client().getattr(patient(), {.node = handle});
              })
        .error();
  }
  void end_session() {
    server_.script([](rpc_test::Script& s) { s.bind_errno = ESTALE; });
    server_.break_connections();
  }

  void grant_data() {
    MutexLock lock(inode_->lease.mu);
    const uint16_t generation = super().validity().generation.load();
    EXPECT_TRUE(inode_->lease.accept_locked(
        {.ino = inode_->i_ino, .parts = fs::kLeaseR | fs::kLeaseW, .seq = 1}, generation));
    inode_->lease.pages_generation = generation;
    inode_->lease.publish_locked(0);
  }
  // The server answers nothing any more. Whether the super block ends all the same.
  bool ends_within(int64_t limit_ns) {
    inode_ = nullptr;
    std::atomic<bool> ended{false};
    Thread umount("umount", [&] {
      sb_->kill(within(limit_ns), false);
      ended.store(true);
    });
    const bool in_time = eventually([&] { return ended.load(); });
    server_.release_held();
    return in_time;
  }

  RefPtr<fs::SuperBlock> sb_;
  RefPtr<NetInode> inode_;
};

// Its data is lost, and named.
TEST_F(NetSession, AnUnmountEndsWhileAWriteIsUnderWay) {
  std::string logged;
  set_log_sink([&](LogLevel, std::string_view line) { logged.append(line).append("\n"); });
  grant_data();
  const std::string text(1 << 20, 'x');
  const iovec from{const_cast<char*>(text.data()), text.size()};
  ASSERT_TRUE(inode_->begin_write());
  auto written = mm::filemap_write(patient(), *inode_->mapping(), 0, {&from, 1});
  inode_->end_write();
  ASSERT_TRUE(written.ok()) << written.error().name();
  server_.script([](rpc_test::Script& s) { s.hold = true; });
  EXPECT_TRUE(ends_within(200 * kNsPerMs));
  set_log_sink(nullptr);
  EXPECT_EQ(super().counters().lost_bytes.value(), 1 << 20);
  EXPECT_NE(logged.find("bytes 0+1048576"), logged.npos) << logged;
}

TEST_F(NetSession, AnUnmountEndsWhileAReadIsUnderWay) {
  grant_data();
  inode_->mapping()->i_size.store(1 << 20);
  server_.script([](rpc_test::Script& s) { s.hold = true; });
  std::string text(4096, '\0');
  const iovec to{text.data(), text.size()};
  mm::FileRaState readahead;
  auto read = mm::filemap_read(within(50 * kNsPerMs), *inode_->mapping(), readahead, 0, {&to, 1});
  EXPECT_EQ(read.error(), Errno(ETIMEDOUT));
  EXPECT_TRUE(ends_within(200 * kNsPerMs));
}

TEST_F(NetSession, AnInodeIsFoundAgainByTheHandleOfTheSessionThatHasEnded) {
  ASSERT_TRUE(getattr().ok());
  end_session();
  EXPECT_EQ(getattr(), Errno());
  EXPECT_EQ(server_.last_past_session, 1u);
  end_session();
  EXPECT_EQ(getattr(), Errno());
  EXPECT_EQ(server_.last_past_session, 2u);
}

// The answer has reached the client, its caller has not looked at it yet: the bind does not name
// what it grants, so the server has forgotten that and gives it to others without asking.
TEST_F(NetSession, AGrantThatIsTakenInAfterTheBindIsVoid) {
  server_.script([](rpc_test::Script& s) { s.grants = true; });
  const rpc::GetattrArgs ask{.node = inode_->last_handle(), .want = fs::kLeaseA | fs::kLeaseR};
  {
    CallScope scope(super().leases());
    auto node = super().client().getattr(patient(), ask);
    ASSERT_TRUE(node.ok()) << node.error().name();
    ASSERT_NE(node->grant.seq, 0u);
    server_.break_connections();
    ASSERT_TRUE(eventually([&] { return super().client().stats().reconnects == 1; }));
    EXPECT_EQ(server_.held_grants, 0u);
    EXPECT_EQ(inode_->learn(*node, scope.ticket()).ino, inode_->i_ino);
    EXPECT_FALSE(inode_->lease.covers(fs::kLeaseA));
    EXPECT_FALSE(inode_->lease.covers(fs::kLeaseR));
  }
  EXPECT_TRUE(eventually([&] { return server_.releases.load() == 1; }));
  CallScope scope(super().leases());
  auto again = super().client().getattr(patient(), ask);
  ASSERT_TRUE(again.ok()) << again.error().name();
  inode_->learn(*again, scope.ticket());
  EXPECT_TRUE(inode_->lease.covers(fs::kLeaseA | fs::kLeaseR));
}

TEST_F(NetSession, ACallOutlivesAnyNumberOfSessions) {
  server_.script([](rpc_test::Script& s) { s.hold = true; });
  Errno error(EIO);
  {
    Thread caller("caller", [&] { error = getattr(); });
    for (int sessions = 1, seen = 0; sessions <= 8; ++sessions) {
      ASSERT_TRUE(eventually([&] { return server_.held.load() > seen; })) << sessions;
      seen = server_.held.load();
      end_session();
    }
    server_.release_held();
  }
  EXPECT_EQ(error, Errno());
}

}  // namespace
}  // namespace myfs::netfs
