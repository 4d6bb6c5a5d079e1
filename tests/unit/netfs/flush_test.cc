// Write-back, recalls and errors of a mount of a scripted server.
#include "tests/unit/netfs/mount_fixture.h"

namespace myfs::netfs {
namespace {

using fs::kLeaseR;
using fs::kLeaseW;

using FlushTest = MountFixture;

TEST_F(FlushTest, StuckFlushesDoNotKeepTheSessionFromBeingRenewed) {
  constexpr uint32_t kTerm_ms = 600;
  server_.script([](rpc_test::Script& s) { s.term_ms = kTerm_ms; });
  mount();
  std::vector<uint64_t> inodes;
  for (size_t i = 0; i < kRecallThreadsMax + 2; ++i) {
    int fd = open("/f" + std::to_string(i));
    ASSERT_GE(fd, 0);
    ASSERT_TRUE(write(fd, "text").ok());
    inodes.push_back(ino(fd));
  }
  server_.script([](rpc_test::Script& s) { s.hold = true; });
  for (uint64_t ino : inodes) server_.recall(ino, kLeaseR | kLeaseW);
  ASSERT_TRUE(eventually([&] { return server_.held.load() > 0; }));
  const int64_t first_ns = super().validity().deadline_ns;
  const int64_t enough_ns = first_ns + 2 * kTerm_ms * kNsPerMs;
  ASSERT_TRUE(eventually([&] { return super().validity().deadline_ns >= enough_ns; }));
  EXPECT_EQ(server_.acks, 0);
  server_.release_held();
  const int all = static_cast<int>(inodes.size());
  EXPECT_TRUE(eventually([&] { return server_.acks == all; }));
}

}  // namespace
}  // namespace myfs::netfs
