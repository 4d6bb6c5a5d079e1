#include "sdk/rpc/admitter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <vector>

#include "sdk/base/clock.h"
#include "sdk/base/limits.h"

namespace myfs::rpc {
namespace {

constexpr uint32_t kIo = 1 << 20;
constexpr AdmitArgs kSmallChange{0, true, Urgency::kNormal};

class AdmitterTest : public ::testing::Test {
 protected:
  AdmitterTest() { admitter_->open(1, 4, 4 * kIo, kIo); }

  Admission must(const AdmitArgs& args) {
    Result<Admission> admission = admitter_->try_admit(args);
    EXPECT_TRUE(admission.ok()) << admission.error().name();
    return admission.ok() ? std::move(admission).value() : Admission();
  }
  Errno refused(const AdmitArgs& args) { return admitter_->try_admit(args).error(); }
  void wait_for_waiters(size_t count) {
    while (admitter_->usage().waiting != count) std::this_thread::yield();
  }

  const std::shared_ptr<Admitter> admitter_ = std::make_shared<Admitter>();
};

TEST_F(AdmitterTest, NormalCallsNeverTakeTheReservedSlots) {
  Admission first = must(kSmallChange);
  Admission second = must(kSmallChange);
  EXPECT_GE(first.slot(), kReservedSlots);
  EXPECT_GE(second.slot(), kReservedSlots);
  EXPECT_NE(first.slot(), second.slot());
  EXPECT_EQ(refused(kSmallChange), Errno(EAGAIN));
  Admission recall = must({0, true, Urgency::kRecall});
  EXPECT_LT(recall.slot(), kReservedSlots);
  EXPECT_EQ(admitter_->usage().slots, 3u);
}

TEST_F(AdmitterTest, BytesAreBoundedAndRecallsHaveTheirOwn) {
  Admission all = must({4 * kIo, false, Urgency::kNormal});
  EXPECT_EQ(refused({1, false, Urgency::kNormal}), Errno(EAGAIN));
  Admission recall = must({2 * kIo, true, Urgency::kRecall});
  EXPECT_EQ(refused({kIo, true, Urgency::kRecall}), Errno(EAGAIN));
  all = Admission();
  Admission again = must({1, false, Urgency::kNormal});
  EXPECT_EQ(admitter_->usage().bytes, 2u * kIo + 1);
}

TEST_F(AdmitterTest, WhatIsLargerThanTheCreditGoesAlone) {
  Admission large = must({10 * kIo, false, Urgency::kNormal});
  EXPECT_EQ(refused({1, false, Urgency::kNormal}), Errno(EAGAIN));
}

TEST_F(AdmitterTest, OperationsAreBounded) {
  std::vector<Admission> taken;
  for (uint32_t i = 0; i < kOperationsMax; ++i) {
    taken.push_back(must({0, false, Urgency::kNormal}));
  }
  EXPECT_EQ(refused({0, false, Urgency::kNormal}), Errno(EAGAIN));
  taken.pop_back();
  EXPECT_TRUE(must({0, false, Urgency::kNormal}).valid());
}

TEST_F(AdmitterTest, WaiterIsServedWhenASlotComesBack) {
  Admission first = must(kSmallChange);
  Admission second = must(kSmallChange);
  Admission got;
  {
    Thread waiter("waiter", [&] {
      Result<Admission> admission = admitter_->admit(CallContext{}, kSmallChange, kNoDeadline);
      if (admission.ok()) got = std::move(admission).value();
    });
    wait_for_waiters(1);
    first = Admission();
  }
  EXPECT_TRUE(got.valid());
  EXPECT_NE(got.slot(), second.slot());
}

TEST_F(AdmitterTest, QueriesPassThoseWhoLackOnlyASlot) {
  Admission first = must(kSmallChange);
  Admission second = must(kSmallChange);
  Thread waiter("waiter",
                [&] { (void)admitter_->admit(CallContext{}, kSmallChange, kNoDeadline); });
  wait_for_waiters(1);
  Result<Admission> query =
      admitter_->admit(CallContext{}, {0, false, Urgency::kNormal}, boottime_ns() + kNsPerSec);
  EXPECT_TRUE(query.ok());
  first = Admission();
}

TEST_F(AdmitterTest, SmallOnesDoNotStarveALargeOne) {
  Admission most = must({3 * kIo, false, Urgency::kNormal});
  std::atomic<bool> large_served{false};
  Thread large("large", [&] {
    auto admission =
        admitter_->admit(CallContext{}, {2 * kIo, false, Urgency::kNormal}, kNoDeadline);
    large_served = admission.ok();
  });
  wait_for_waiters(1);
  // There would be room for it, but somebody waits for more.
  EXPECT_EQ(refused({kIo, false, Urgency::kNormal}), Errno(EAGAIN));
  most = Admission();
  large.join();
  EXPECT_TRUE(large_served);
}

TEST_F(AdmitterTest, DeadlineAndCancel) {
  Admission first = must(kSmallChange);
  Admission second = must(kSmallChange);
  EXPECT_EQ(admitter_->admit(CallContext{}, kSmallChange, boottime_ns() + kNsPerMs).error(),
            Errno(ETIMEDOUT));
  CancelToken token;
  CallContext ctx;
  ctx.cancel = &token;
  Errno error;
  {
    Thread waiter("waiter",
                  [&] { error = admitter_->admit(ctx, kSmallChange, kNoDeadline).error(); });
    wait_for_waiters(1);
    token.cancel();
  }
  EXPECT_EQ(error, Errno(EINTR));
  EXPECT_EQ(admitter_->usage().waiting, 0u);
}

TEST_F(AdmitterTest, ShutDownEndsWaiting) {
  Admission first = must(kSmallChange);
  Admission second = must(kSmallChange);
  Errno error;
  {
    Thread waiter("waiter", [&] {
      error = admitter_->admit(CallContext{}, kSmallChange, kNoDeadline).error();
    });
    wait_for_waiters(1);
    admitter_->shut_down();
  }
  EXPECT_EQ(error, Errno(ESHUTDOWN));
  EXPECT_EQ(refused(kSmallChange), Errno(ESHUTDOWN));
}

TEST_F(AdmitterTest, SlotNumbersRiseByOnePerCallSent) {
  Admission first = must(kSmallChange);
  uint16_t slot = first.slot();
  EXPECT_EQ(admitter_->take_slot_seq(first), 1u);
  first = Admission();
  Admission unused = must(kSmallChange);
  ASSERT_EQ(unused.slot(), slot);
  unused = Admission();  // never sent: no number is spent
  Admission second = must(kSmallChange);
  EXPECT_EQ(admitter_->take_slot_seq(second), 2u);
  admitter_->untake_slot_seq(second);
  EXPECT_EQ(admitter_->take_slot_seq(second), 2u);
}

TEST_F(AdmitterTest, ANewSessionForgetsTheOldOne) {
  Admission old = must({kIo, true, Urgency::kNormal});
  (void)admitter_->take_slot_seq(old);
  admitter_->open(2, 4, 4 * kIo, kIo);
  EXPECT_EQ(admitter_->take_slot_seq(old), 0u);
  Admission fresh = must(kSmallChange);
  EXPECT_EQ(admitter_->take_slot_seq(fresh), 1u);
  old = Admission();  // must not give back what the new session never gave
  EXPECT_EQ(admitter_->usage().operations, 1u);
  EXPECT_EQ(admitter_->usage().slots, 1u);
}

TEST_F(AdmitterTest, IdleSlotsAdoptTheServersNumbers) {
  Admission busy = must(kSmallChange);
  (void)admitter_->take_slot_seq(busy);
  std::vector<uint64_t> seqs(4, 9);
  admitter_->adopt_slot_seqs(seqs);
  Admission other = must(kSmallChange);
  EXPECT_EQ(admitter_->take_slot_seq(other), 10u);
  EXPECT_EQ(admitter_->take_slot_seq(busy), 2u);
}

struct CountingWaker final : Waker {
  void wake() override { ++woken; }
  std::atomic<int> woken{0};
};

TEST_F(AdmitterTest, WhoQueuesWithoutAThreadIsServedInHisTurn) {
  constexpr AdmitArgs kAll{4 * kIo, false, Urgency::kNormal};
  Admission all = must(kAll);
  CountingWaker first_waker, second_waker;
  auto first = admitter_->queue(kAll, first_waker);
  auto second = admitter_->queue(kAll, second_waker);
  EXPECT_EQ(Errno(EAGAIN), first->take().error());
  EXPECT_EQ(Errno(EAGAIN), refused({1, false, Urgency::kNormal}));  // they were first
  all = Admission();
  EXPECT_EQ(1, first_waker.woken.load());
  EXPECT_EQ(0, second_waker.woken.load());
  Result<Admission> taken = first->take();
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(Errno(EAGAIN), second->take().error());
  all = std::move(taken).value();
  all = Admission();
  EXPECT_EQ(1, second_waker.woken.load());
  EXPECT_TRUE(second->take().ok());
  EXPECT_EQ(0u, admitter_->usage().operations);
}

TEST_F(AdmitterTest, WhoQueuesWhenThereIsRoomHasItWithoutBeingTold) {
  CountingWaker waker;
  auto queued = admitter_->queue({1, false, Urgency::kNormal}, waker);
  EXPECT_TRUE(queued->take().ok());
  EXPECT_EQ(0, waker.woken.load());
}

TEST_F(AdmitterTest, WhoLeavesTheQueueGivesBackWhatHeWasGranted) {
  constexpr AdmitArgs kAll{4 * kIo, false, Urgency::kNormal};
  Admission all = must(kAll);
  CountingWaker waker, other_waker;
  auto queued = admitter_->queue(kAll, waker);
  auto other = admitter_->queue(kAll, other_waker);
  all = Admission();
  EXPECT_EQ(1, waker.woken.load());
  queued.reset();  // granted, not taken
  EXPECT_EQ(1, other_waker.woken.load());
  other.reset();
  EXPECT_EQ(0u, admitter_->usage().operations);
  EXPECT_EQ(0u, admitter_->usage().waiting);
}

TEST_F(AdmitterTest, TheEndIsToldToWhoQueues) {
  Admission all = must({4 * kIo, false, Urgency::kNormal});
  CountingWaker waker;
  auto queued = admitter_->queue({kIo, false, Urgency::kNormal}, waker);
  admitter_->shut_down();
  EXPECT_EQ(1, waker.woken.load());
  EXPECT_EQ(Errno(ESHUTDOWN), queued->take().error());
}

}  // namespace
}  // namespace myfs::rpc
