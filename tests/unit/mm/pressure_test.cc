// Who is told of pressure, where, and what is given back.

#include "sdk/mm/pressure.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "sdk/base/call_context.h"
#include "sdk/mm/runtime.h"

namespace myfs::mm {
namespace {

// A descriptor that has POLLPRI as a trigger of the kernel has it: a TCP connection with a byte out
// of band.
class Trigger {
 public:
  Trigger() {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(0, ::bind(listener, any, size));
    EXPECT_EQ(0, ::listen(listener, 1));
    EXPECT_EQ(0, ::getsockname(listener, any, &size));
    mine_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(0, ::connect(mine_, any, size));
    watched = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    ::close(listener);
  }
  ~Trigger() { hang_up(); }
  void fire() { EXPECT_EQ(1, ::send(mine_, "!", 1, MSG_OOB)); }
  // The byte is read: no pressure any more.
  void calm() {
    char byte;
    EXPECT_EQ(1, ::recv(watched, &byte, 1, MSG_OOB));
  }
  void hang_up() {
    if (mine_ >= 0) ::close(mine_);
    mine_ = -1;
  }
  int watched = -1;  // the watch's

 private:
  int mine_ = -1;
};

class Pressure : public testing::Test {
 protected:
  Pressure() {
    RuntimeOptions options;
    options.limit_bytes = 1 << 20;
    runtime_ = *Runtime::create(options);
    id_ = watch().add([this](PressureLevel level) {
      MutexLock lock(mutex_);
      levels_.push_back(level);
      thread_ = std::this_thread::get_id();
      came_.notify_all();
    });
  }
  PressureWatch& watch() { return runtime_->pressure(); }
  std::vector<PressureLevel> wait_for(size_t count) {
    MutexLock lock(mutex_);
    while (levels_.size() < count) came_.wait(mutex_);
    return levels_;
  }
  // Uses so much of the budget up that nothing of it can be had.
  void use_up() { ASSERT_TRUE(runtime_->budget().try_charge(MemClass::kMapped, 1 << 20)); }

  std::unique_ptr<Runtime> runtime_;
  Mutex mutex_{LockRank::kUnranked};
  CondVar came_;
  std::vector<PressureLevel> levels_;
  std::thread::id thread_;
  uint64_t id_ = 0;
};

TEST_F(Pressure, TheKernelsTriggerIsToldAndMemoryGivenBack) {
  Trigger some, full;
  Budget& budget = runtime_->budget();
  {
    std::vector<PageRef> pages;
    for (int i = 0; i < 64; ++i) pages.push_back(*runtime_->arena().try_alloc());
  }
  const size_t free_before = budget.used(MemClass::kArena);
  watch().watch({{some.watched, PressureLevel::kLow}, {full.watched, PressureLevel::kCritical}});
  some.fire();
  EXPECT_EQ(std::vector{PressureLevel::kLow}, wait_for(1));
  EXPECT_NE(std::this_thread::get_id(), thread_);
  some.calm();
  EXPECT_LT(budget.used(MemClass::kArena), free_before);
  full.fire();
  EXPECT_EQ(PressureLevel::kCritical, wait_for(2).back());
  EXPECT_EQ(PressureLevel::kCritical, watch().level());
  full.calm();
}

TEST_F(Pressure, ASourceThatGoesIsLeftAlone) {
  Trigger gone, stays;
  watch().watch({{gone.watched, PressureLevel::kLow}, {stays.watched, PressureLevel::kLow}});
  gone.hang_up();
  stays.fire();
  EXPECT_EQ(std::vector{PressureLevel::kLow}, wait_for(1));
  stays.calm();
}

TEST_F(Pressure, ABudgetWithoutRoomIsTold) {
  use_up();
  Result<void> charged = runtime_->budget().charge(CallContext{}, MemClass::kInodes, 4096);
  runtime_->budget().uncharge(MemClass::kMapped, 1 << 20);
  EXPECT_EQ(Errno(ENOMEM), charged.error());
  while (wait_for(1).back() != PressureLevel::kCritical) wait_for(levels_.size() + 1);
}

TEST_F(Pressure, WhoLeavesIsToldNoMore) {
  Trigger trigger;
  watch().watch({{trigger.watched, PressureLevel::kLow}});
  watch().remove(id_);
  std::vector<PressureLevel> others;
  const uint64_t other = watch().add([&](PressureLevel level) {
    MutexLock lock(mutex_);
    others.push_back(level);
    came_.notify_all();
  });
  trigger.fire();
  {
    MutexLock lock(mutex_);
    while (others.empty()) came_.wait(mutex_);
    EXPECT_TRUE(levels_.empty());
  }
  trigger.calm();
  watch().remove(other);
}

TEST_F(Pressure, NoFileIsNoSource) {
  EXPECT_TRUE(PressureWatch::psi_sources("").empty());
  EXPECT_TRUE(PressureWatch::psi_sources("/proc/self/no/such/file").empty());
  watch().watch({});
}

}  // namespace
}  // namespace myfs::mm
