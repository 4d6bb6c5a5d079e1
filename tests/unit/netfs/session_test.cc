// A mount whose server forgets its session, also while it is being found again.
#include "tests/unit/rpc/client_fixture.h"

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

  RefPtr<fs::SuperBlock> sb_;
  RefPtr<NetInode> inode_;
};

TEST_F(NetSession, AnInodeIsFoundAgainByTheHandleOfTheSessionThatHasEnded) {
  ASSERT_TRUE(getattr().ok());
  end_session();
  EXPECT_EQ(getattr(), Errno());
  EXPECT_EQ(server_.last_past_session, 1u);
  end_session();
  EXPECT_EQ(getattr(), Errno());
  EXPECT_EQ(server_.last_past_session, 2u);
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
