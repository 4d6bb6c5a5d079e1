#include <gtest/gtest.h>

#include "server/lock_table.h"
#include "server/open_table.h"
#include "tests/unit/server/rig.h"

namespace myfs::server {
namespace {

LockRange range(LockType type, uint64_t first, uint64_t last, uint64_t owner, SessionId session = 1,
                LockKind kind = LockKind::kPosix) {
  return LockRange{.owner = {.session = session, .kind = kind, .number = owner},
                   .type = type,
                   .first = first,
                   .last = last};
}

TEST(Locks, readers_share_and_writers_exclude) {
  LockTable table;
  EXPECT_TRUE(table.set(1, range(LockType::kRead, 0, 9, 1), false).error.ok());
  EXPECT_TRUE(table.set(1, range(LockType::kRead, 5, 20, 2), false).error.ok());
  EXPECT_EQ(table.set(1, range(LockType::kWrite, 8, 8, 3), false).error, Errno(EAGAIN));
  EXPECT_TRUE(table.set(1, range(LockType::kWrite, 21, 30, 3), false).error.ok());
  EXPECT_TRUE(table.set(2, range(LockType::kWrite, 0, 9, 3), false).error.ok());
  EXPECT_EQ(table.set(1, range(LockType::kWrite, 0, 0, 9, 1, LockKind::kOfd), false).error,
            Errno(EAGAIN));
  EXPECT_TRUE(table.set(1, range(LockType::kWrite, 0, UINT64_MAX, 9, 1, LockKind::kFlock), false)
                  .error.ok());
}

TEST(Locks, an_owners_ranges_split_and_merge) {
  LockTable table;
  table.set(1, range(LockType::kWrite, 0, 99, 1), false);
  table.set(1, range(LockType::kUnlock, 40, 59, 1), false);
  EXPECT_FALSE(table.conflict(1, range(LockType::kWrite, 40, 59, 2)));
  EXPECT_EQ(table.conflict(1, range(LockType::kWrite, 0, 99, 2))->last, 39u);
  table.set(1, range(LockType::kWrite, 40, 59, 1), false);
  EXPECT_EQ(table.conflict(1, range(LockType::kWrite, 0, 99, 2))->last, 99u);
  table.set(1, range(LockType::kRead, 0, 9, 1), false);
  EXPECT_FALSE(table.conflict(1, range(LockType::kRead, 0, 9, 2)));
  table.set(1, range(LockType::kUnlock, 0, UINT64_MAX, 1), false);
  EXPECT_EQ(table.size(), 0u);
}

TEST(Locks, waiters_are_granted_in_order) {
  LockTable table;
  table.set(1, range(LockType::kWrite, 0, 9, 1), false);
  auto second = table.set(1, range(LockType::kWrite, 0, 9, 2, 2), true);
  auto third = table.set(1, range(LockType::kRead, 0, 9, 3, 3), true);
  EXPECT_TRUE(second.queued && third.queued);
  EXPECT_TRUE(table.take_granted().empty());
  table.set(1, range(LockType::kUnlock, 0, 9, 1), false);
  auto granted = table.take_granted();
  ASSERT_EQ(granted.size(), 1u);
  EXPECT_EQ(granted[0].ticket, second.ticket);
  EXPECT_TRUE(*table.cancel(2, second.ticket));  // too late: it has it
  EXPECT_FALSE(table.acknowledge(2, second.ticket));
  EXPECT_FALSE(*table.cancel(3, third.ticket));
  EXPECT_EQ(table.cancel(3, third.ticket).error(), Errno(ENOENT));
  table.remove_session(2);
  EXPECT_EQ(table.size(), 0u);
}

// Else two who wait could be made to wait for one another by a third.
TEST(Locks, who_waits_holds_up_no_newcomer) {
  LockTable table;
  table.set(1, range(LockType::kRead, 0, 9, 1), false);
  auto writer = table.set(1, range(LockType::kWrite, 0, 9, 2, 2), true);
  ASSERT_TRUE(writer.queued);
  EXPECT_TRUE(table.set(1, range(LockType::kRead, 0, 9, 3, 3), false).error.ok());
  EXPECT_TRUE(table.set(1, range(LockType::kRead, 0, 19, 1), false).error.ok());
  table.set(1, range(LockType::kUnlock, 0, 19, 1), false);
  EXPECT_TRUE(table.take_granted().empty());
  table.set(1, range(LockType::kUnlock, 0, 9, 3, 3), false);
  EXPECT_EQ(table.take_granted().size(), 1u);
}

// The reader came first; the second one's grant makes weaker what keeps him out.
TEST(Locks, a_grant_that_weakens_a_lock_lets_in_who_came_earlier) {
  LockTable table;
  table.set(1, range(LockType::kWrite, 0, 9, 1), false);
  table.set(1, range(LockType::kWrite, 10, 19, 2), false);
  auto reader = table.set(1, range(LockType::kRead, 0, 9, 3), true);
  auto weaker = table.set(1, range(LockType::kRead, 0, 19, 1), true);
  ASSERT_TRUE(reader.queued && weaker.queued);
  table.set(1, range(LockType::kUnlock, 10, 19, 2), false);
  auto granted = table.take_granted();
  ASSERT_EQ(granted.size(), 2u);
  EXPECT_EQ(granted[0].ticket, weaker.ticket);
  EXPECT_EQ(granted[1].ticket, reader.ticket);
}

LockRange flock_of(LockType type, uint64_t owner, SessionId session = 1) {
  return range(type, 0, UINT64_MAX, owner, session, LockKind::kFlock);
}

// Not atomic, as in the kernel: two who share and both want to write do not wait for one another.
TEST(Locks, a_flock_that_changes_its_type_is_given_up_first) {
  LockTable table;
  table.set(1, flock_of(LockType::kRead, 1), false);
  table.set(1, flock_of(LockType::kRead, 2, 2), false);
  auto refused = table.set(1, flock_of(LockType::kWrite, 1), false);
  EXPECT_EQ(refused.error, Errno(EAGAIN));
  EXPECT_NE(refused.seq, 0u) << "the one that it had is gone";
  EXPECT_TRUE(table.set(1, flock_of(LockType::kWrite, 2, 2), false).error.ok());
  table.set(1, flock_of(LockType::kRead, 2, 2), false);
  table.set(1, flock_of(LockType::kRead, 1), false);
  EXPECT_TRUE(table.set(1, flock_of(LockType::kWrite, 1), true).queued);
  EXPECT_TRUE(table.take_granted().empty());
  auto second = table.set(1, flock_of(LockType::kWrite, 2, 2), true);
  EXPECT_TRUE(second.error.ok() && !second.queued) << "the first one has let go of its own";
  table.set(1, flock_of(LockType::kUnlock, 2, 2), false);
  auto granted = table.take_granted();
  ASSERT_EQ(granted.size(), 1u);
  EXPECT_EQ(granted[0].session, 1u);
}

TEST(Locks, the_same_flock_again_changes_nothing) {
  LockTable table;
  table.set(1, flock_of(LockType::kRead, 1), false);
  table.set(1, flock_of(LockType::kWrite, 2, 2), true);
  EXPECT_TRUE(table.set(1, flock_of(LockType::kRead, 1), false).error.ok());
  EXPECT_TRUE(table.take_granted().empty());
}

// By them a client puts together what it holds, in whatever order it hears of it.
TEST(Locks, whatever_changes_has_a_number_in_order) {
  LockTable table;
  uint64_t first = table.set(1, range(LockType::kWrite, 0, 9, 1), false).seq;
  auto waits = table.set(1, range(LockType::kWrite, 0, 9, 2, 2), true);
  EXPECT_EQ(waits.seq, 0u);
  uint64_t unlocked = table.set(1, range(LockType::kUnlock, 0, 9, 1), false).seq;
  auto granted = table.take_granted();
  ASSERT_EQ(granted.size(), 1u);
  EXPECT_LT(0u, first);
  EXPECT_LT(first, unlocked);
  EXPECT_LT(unlocked, granted[0].seq);
  EXPECT_EQ(*table.cancel(2, waits.ticket), granted[0].seq);
}

// F_GETLK tells the first one; whoever looks on goes on behind it.
TEST(Locks, the_conflict_told_is_the_one_that_begins_first) {
  LockTable table;
  table.set(1, range(LockType::kWrite, 50, 59, 1), false);
  table.set(1, range(LockType::kWrite, 0, 9, 1), false);
  table.set(1, range(LockType::kRead, 20, 29, 1), false);
  EXPECT_EQ(table.conflict(1, range(LockType::kWrite, 0, 99, 2))->first, 0u);
  EXPECT_EQ(table.conflict(1, range(LockType::kWrite, 10, 99, 2))->first, 20u);
}

// A message may be lost with its connection: it is told again until it is known to have come.
TEST(Locks, a_grant_is_remembered_until_it_is_acknowledged) {
  LockTable table;
  table.set(1, range(LockType::kWrite, 0, 9, 1), false);
  auto waits = table.set(1, range(LockType::kWrite, 0, 9, 2, 2), true);
  auto other = table.set(1, range(LockType::kWrite, 0, 9, 3, 2), true);
  table.set(1, range(LockType::kUnlock, 0, 9, 1), false);
  ASSERT_EQ(table.unacknowledged(2).size(), 1u);
  EXPECT_EQ(table.unacknowledged(2)[0].ticket, waits.ticket);
  EXPECT_TRUE(table.unacknowledged(1).empty());
  EXPECT_TRUE(table.acknowledge(2, waits.ticket));
  EXPECT_TRUE(table.unacknowledged(2).empty());
  table.release_owner(1, LockOwner{.session = 2, .number = 2});
  ASSERT_EQ(table.unacknowledged(2).size(), 1u);
  EXPECT_EQ(table.unacknowledged(2)[0].ticket, other.ticket);
  table.release_owner(1, LockOwner{.session = 2, .number = 3});
  EXPECT_TRUE(table.unacknowledged(2).empty()) << "the lock is not held any more";
}

// The kernel's rule: nobody knows who would unlock an open file description.
TEST(Locks, a_circle_through_an_open_file_description_is_waited_in) {
  LockTable table;
  table.set(1, range(LockType::kWrite, 0, 0, 1), false);
  table.set(1, range(LockType::kWrite, 1, 1, 2, 1, LockKind::kOfd), false);
  EXPECT_TRUE(table.set(1, range(LockType::kWrite, 0, 0, 2, 1, LockKind::kOfd), true).queued);
  EXPECT_TRUE(table.set(1, range(LockType::kWrite, 1, 1, 1), true).queued);
}

TEST(Locks, each_session_may_have_so_many) {
  LockTable table;
  for (uint64_t i = 0; i < kSessionLocksMax; ++i)
    ASSERT_TRUE(
        table.set(i % 1000, range(LockType::kRead, 2 * (i / 1000), 2 * (i / 1000), 1), false)
            .error.ok());
  EXPECT_EQ(table.set(1, range(LockType::kRead, 500'000, 500'000, 1), false).error, Errno(ENOLCK));
  EXPECT_TRUE(table.set(1, range(LockType::kRead, 500'000, 500'000, 1, 2), false).error.ok());
  table.set(7, range(LockType::kUnlock, 0, UINT64_MAX, 1), false);
  EXPECT_TRUE(table.set(1, range(LockType::kRead, 500'000, 500'000, 1), false).error.ok());
}

// In the middle of what is held it makes two of one.
TEST(Locks, an_unlock_that_would_make_too_many_is_refused) {
  LockTable table;
  for (uint64_t i = 0; i < kSessionLocksMax; ++i)
    ASSERT_TRUE(table.set(i, range(LockType::kRead, 0, 9, 1), false).error.ok());
  EXPECT_EQ(table.set(5, range(LockType::kUnlock, 4, 4, 1), false).error, Errno(ENOLCK));
  EXPECT_EQ(table.conflict(5, range(LockType::kWrite, 4, 4, 2))->last, 9u);
  EXPECT_TRUE(table.set(5, range(LockType::kUnlock, 5, 9, 1), false).error.ok());
  EXPECT_TRUE(table.set(6, range(LockType::kWrite, 0, 9, 1), false).error.ok());
  table.set(7, range(LockType::kUnlock, 0, UINT64_MAX, 1), false);
  EXPECT_TRUE(table.set(8, range(LockType::kUnlock, 4, 4, 1), false).error.ok());
  EXPECT_EQ(table.set(9, range(LockType::kWrite, 4, 4, 1), false).error, Errno(ENOLCK));
}

// Who never says that he has heard of his grants makes the server remember them.
TEST(Locks, grants_that_nobody_acknowledges_count) {
  LockTable table;
  Errno error;
  uint64_t rounds = 0;
  for (; error.ok() && rounds <= kSessionLocksMax; ++rounds) {
    table.set(1, range(LockType::kWrite, 0, 9, 1), false);
    error = table.set(1, range(LockType::kWrite, 0, 9, 2, 2), true).error;
    table.set(1, range(LockType::kUnlock, 0, 9, 1), false);
    table.set(1, range(LockType::kUnlock, 0, 9, 2, 2), false);
  }
  EXPECT_EQ(error, Errno(ENOLCK));
  EXPECT_LE(table.unacknowledged(2).size(), kSessionLocksMax);
  for (const LockTable::Granted& granted : table.unacknowledged(2))
    ASSERT_TRUE(table.acknowledge(2, granted.ticket));
  EXPECT_TRUE(table.set(1, range(LockType::kWrite, 0, 9, 2, 2), false).error.ok());
}

// Each change of the inode's locks looks at all of them.
TEST(Locks, so_many_may_wait_for_one_inode) {
  LockTable table;
  table.set(1, range(LockType::kWrite, 0, 9, 1), false);
  for (uint64_t i = 0; i < kInodeWaitersMax; ++i)
    ASSERT_TRUE(table.set(1, range(LockType::kWrite, 0, 9, 2 + i, 2), true).queued);
  EXPECT_EQ(table.set(1, range(LockType::kWrite, 0, 9, 1, 3), true).error, Errno(ENOLCK));
  table.set(2, range(LockType::kWrite, 0, 9, 1), false);
  EXPECT_TRUE(table.set(2, range(LockType::kWrite, 0, 9, 1, 3), true).queued);
  EXPECT_EQ(table.set(1, range(LockType::kWrite, 0, 9, 1, 3), false).error, Errno(EAGAIN));
  table.set(1, range(LockType::kUnlock, 0, 9, 1), false);
  EXPECT_TRUE(table.set(1, range(LockType::kWrite, 0, 9, 1, 3), true).queued);
}

// As in the kernel the search for a circle has an end.
TEST(Locks, a_circle_is_looked_for_with_bounded_work) {
  constexpr uint64_t kOthers = 10'000, kChain = kDeadlockLooksMax / kOthers + 2;
  LockTable table;
  auto at = [](uint64_t i) { return 3 * kOthers + i; };
  for (uint64_t i = 0; i < kOthers; ++i)
    table.set(1, range(LockType::kWrite, 2 * i, 2 * i, 1'000'000, 9), false);
  for (uint64_t i = 0; i < kChain; ++i)
    ASSERT_TRUE(table.set(1, range(LockType::kWrite, at(i), at(i), i), false).error.ok());
  for (uint64_t i = kChain - 1; i > 0; --i)
    ASSERT_TRUE(table.set(1, range(LockType::kWrite, at(i - 1), at(i - 1), i), true).queued);
  const uint64_t far = kChain - 1, near = 2;
  EXPECT_TRUE(table.set(1, range(LockType::kWrite, at(far), at(far), 0), true).queued);
  EXPECT_EQ(table.set(1, range(LockType::kWrite, at(near), at(near), 0), true).error,
            Errno(EDEADLK));
}

TEST(Locks, the_death_of_a_session_lets_others_in) {
  LockTable table;
  table.set(1, range(LockType::kWrite, 0, 9, 1, 1), false);
  auto waits = table.set(1, range(LockType::kWrite, 0, 9, 1, 2), true);
  table.remove_session(1);
  ASSERT_EQ(table.take_granted().size(), 1u);
  EXPECT_TRUE(table.acknowledge(2, waits.ticket));
}

TEST(Locks, a_circle_of_waits_is_refused) {
  LockTable table;
  table.set(1, range(LockType::kWrite, 0, 0, 1), false);
  table.set(1, range(LockType::kWrite, 1, 1, 2), false);
  EXPECT_TRUE(table.set(1, range(LockType::kWrite, 1, 1, 1), true).queued);
  EXPECT_EQ(table.set(1, range(LockType::kWrite, 0, 0, 2), true).error, Errno(EDEADLK));
}

// Each owner is waited for by both of the layer before: 2^60 ways lead through.
TEST(Locks, many_ways_to_wait_for_one_another_are_searched_once) {
  constexpr uint64_t kLayers = 60;
  LockTable table;
  for (uint64_t layer = 0; layer < kLayers; ++layer) {
    for (uint64_t owner : {2 * layer, 2 * layer + 1})
      ASSERT_TRUE(table.set(layer, range(LockType::kRead, 0, 9, owner), false).error.ok());
  }
  for (uint64_t layer = 1; layer < kLayers; ++layer) {
    for (uint64_t owner : {2 * layer - 2, 2 * layer - 1})
      ASSERT_TRUE(table.set(layer, range(LockType::kWrite, 0, 9, owner), true).queued);
  }
  EXPECT_TRUE(table.set(0, range(LockType::kWrite, 0, 9, 2 * kLayers), true).queued);
  EXPECT_EQ(table.set(0, range(LockType::kWrite, 0, 9, 2 * kLayers - 1), true).error,
            Errno(EDEADLK));
}

// However long the chain is.
TEST(Locks, a_long_chain_of_waits_is_no_circle) {
  constexpr uint64_t kOwners = 200;
  LockTable table;
  for (uint64_t i = 0; i < kOwners; ++i)
    ASSERT_TRUE(table.set(i, range(LockType::kWrite, 0, 9, i), false).error.ok());
  for (uint64_t i = kOwners - 1; i > 0; --i)
    ASSERT_TRUE(table.set(i, range(LockType::kWrite, 0, 9, i - 1), true).queued) << i;
  EXPECT_EQ(table.set(0, range(LockType::kWrite, 0, 9, kOwners - 1), true).error, Errno(EDEADLK));
}

TEST(Opens, are_found_by_session_inode_and_number) {
  OpenTable table;
  EXPECT_TRUE(table.add(1, 10, opener(5, kAccessRead)).ok());
  EXPECT_TRUE(table.add(1, 10, opener(5, kAccessRead)).ok());
  EXPECT_EQ(table.add(1, 11, opener(5, kAccessRead)), Errno(EINVAL));
  EXPECT_NE(table.find(1, 10, 5), nullptr);
  EXPECT_EQ(table.find(1, 11, 5), nullptr);
  EXPECT_EQ(table.find(2, 10, 5), nullptr);
  EXPECT_EQ(table.sessions_of(10), std::vector<SessionId>{1});
  EXPECT_EQ(table.remove(1, 5), 10u);
  EXPECT_EQ(table.remove(1, 5), 0u);
  EXPECT_FALSE(table.any(10));
  table.add(1, 12, opener(6, kAccessRead));
  EXPECT_EQ(table.remove_session(1), std::vector<uint64_t>{12});
}

TEST(Leases, limits_and_conflicts) {
  LeaseTable table;
  table.add_session(1);
  table.add_session(2);
  EXPECT_EQ(table.grantable(1, 5, kPartAX | kPartDX | kPartA), kPartA);
  table.grant(1, 5, kPartA | kPartW);
  EXPECT_EQ(table.grantable(2, 5, kPartA | kPartR | kPartW | kPartP), kPartA | kPartP);
  EXPECT_EQ(table.writer(5, 2), 1u);
  EXPECT_EQ(table.writer(5, 1), 0u);
  EXPECT_EQ(table.held_by_others(2, 5, kPartR), kPartR);
  EXPECT_TRUE(table.release(1, 5, kPartW | kPartR, table.seq(1, 5)));
  EXPECT_EQ(table.held(1, 5), kPartA);
  EXPECT_EQ(table.remove_session(1), std::vector<uint64_t>{5});
  EXPECT_EQ(table.size(), 0u);
}

TEST(Leases, blocks_respect_the_order_of_arrival) {
  LeaseTable table;
  table.add_session(1);
  table.add_session(2);
  table.block(5, 10, 1, kPartR);
  EXPECT_EQ(table.grantable(2, 5, kPartR), 0);
  EXPECT_EQ(table.grantable(1, 5, kPartR), kPartR);
  EXPECT_EQ(table.grantable(2, 5, kPartR, 9), kPartR);
  EXPECT_TRUE(table.blocked(2, 5, kPartR, 11));
  table.block(5, 10, 1, kPartR, true);
  EXPECT_EQ(table.grantable(2, 5, kPartR, 9), 0);
  table.unblock(5, 10);
  EXPECT_EQ(table.grantable(2, 5, kPartR), kPartR);
}

TEST(Handles, macs_differ_by_session_export_and_key) {
  SipKey key{1, 2}, other{1, 3};
  Handle sealed = HandleMac(key, 7, 1).seal(42, 3);
  EXPECT_TRUE(HandleMac(key, 7, 1).valid(sealed));
  EXPECT_FALSE(HandleMac(key, 8, 1).valid(sealed));
  EXPECT_FALSE(HandleMac(key, 7, 2).valid(sealed));
  EXPECT_FALSE(HandleMac(other, 7, 1).valid(sealed));
}

TEST(Handles, siphash_is_the_one_of_its_paper) {
  SipKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  std::string message;
  for (char c = 0; c < 15; ++c) message.push_back(c);
  EXPECT_EQ(siphash(key, message), 0xa129ca6149be45e5u);
}

}  // namespace
}  // namespace myfs::server
