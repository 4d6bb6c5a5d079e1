#include <gtest/gtest.h>

#include "sdk/netfs/lease.h"

namespace myfs::netfs {
namespace {

using fs::kLeaseA;
using fs::kLeaseR;
using fs::kLeaseW;

// An inode's share of it: a word and a record.
struct Cached {
  explicit Cached(const fs::Validity& validity) : record(word, validity, nullptr) {}
  fs::LeaseWord word;
  LeaseRecord record;

  bool grant(uint64_t ino, LeaseParts parts, LeaseSeq seq, uint16_t generation = 1) {
    MutexLock lock(record.mu);
    if (!record.accept_locked({.ino = ino, .parts = parts, .seq = seq}, generation)) return false;
    record.publish_locked(0);
    return true;
  }
};

class LeaseTableTest : public ::testing::Test {
 protected:
  fs::Validity validity;
  LeaseTable table{validity};
};

TEST_F(LeaseTableTest, ARecallOfAnInodeNotCachedVoidsTheGrantThatIsOnItsWay) {
  const Ticket ticket = table.begin_call();
  EXPECT_FALSE(table.with_record(7, 20, [](LeaseRecord&) { FAIL(); }));
  Cached inode(validity);
  table.add(7, inode.record);
  EXPECT_FALSE(inode.grant(7, kLeaseA, 19));
  EXPECT_TRUE(inode.grant(7, kLeaseA, 21));
  table.end_call(ticket);
  table.remove(7, inode.record);
}

TEST_F(LeaseTableTest, AnEvictedInodeIsNotResurrectedByALateReply) {
  Cached inode(validity);
  table.add(7, inode.record);
  ASSERT_TRUE(inode.grant(7, kLeaseA, 10));
  const Ticket ticket = table.begin_call();
  table.remove(7, inode.record);
  Cached again(validity);
  table.add(7, again.record);
  EXPECT_FALSE(again.grant(7, kLeaseA, 9));
  table.end_call(ticket);
  table.remove(7, again.record);
}

TEST_F(LeaseTableTest, EvictionReleasesWhatWasGranted) {
  Cached inode(validity), never_granted(validity);
  table.add(7, inode.record);
  table.add(8, never_granted.record);
  ASSERT_TRUE(inode.grant(7, kLeaseA | kLeaseR, 10));
  table.remove(7, inode.record);
  table.remove(8, never_granted.record);
  LeaseTable::Returns returns = table.take_returns();
  ASSERT_EQ(1u, returns.grants.size());
  EXPECT_EQ(7u, returns.grants[0].ino);
  EXPECT_EQ(10u, returns.grants[0].seq);
  EXPECT_EQ(kAllParts, returns.grants[0].parts);
  EXPECT_EQ(0u, inode.word.parts(inode.word.sample()));
  EXPECT_TRUE(table.take_returns().empty());
}

TEST_F(LeaseTableTest, ASuccessorKnowsTheSeqOfAnInodeThatIsStillLeaving) {
  Cached leaving(validity), fresh(validity);
  table.add(7, leaving.record);
  ASSERT_TRUE(leaving.grant(7, kLeaseA, 10));
  table.add(7, fresh.record);
  table.remove(7, leaving.record);
  EXPECT_TRUE(table.take_returns().empty());  // the successor answers for the inode
  EXPECT_FALSE(fresh.grant(7, kLeaseA, 10));
  table.remove(7, fresh.record);
  ASSERT_EQ(1u, table.take_returns().grants.size());
}

TEST_F(LeaseTableTest, TicketsOfAnOldSessionBringNoGrants) {
  const Ticket ticket = table.begin_call();
  EXPECT_TRUE(table.usable(ticket));
  validity.generation.store(2);
  EXPECT_FALSE(table.usable(ticket));
  table.end_call(ticket);
}

TEST_F(LeaseTableTest, OverflowOfRememberedSeqsVoidsTheTicket) {
  const Ticket ticket = table.begin_call();
  for (uint64_t ino = 1; ino <= kRememberedSeqsMax + 1; ++ino) {
    table.with_record(ino, 10, [](LeaseRecord&) {});
  }
  EXPECT_FALSE(table.usable(ticket));
  table.end_call(ticket);
}

TEST_F(LeaseTableTest, ReturnsAreBatched) {
  for (size_t i = 1; i < kReturnBatchMax; ++i) EXPECT_FALSE(table.closed(i, 1));
  EXPECT_TRUE(table.release({.ino = 7, .parts = kLeaseA, .seq = 3}, 1));
  LeaseTable::Returns returns = table.take_returns();
  EXPECT_EQ(kReturnBatchMax - 1, returns.closed.size());
  EXPECT_EQ(1u, returns.grants.size());
}

TEST_F(LeaseTableTest, WhatIsGivenBackNamesItsSessionAndEndsWithIt) {
  table.new_session(3);
  table.release({.ino = 7, .parts = kLeaseA, .seq = 90}, 1);
  EXPECT_EQ(3u, table.take_returns().incarnation);
  table.closed(31, 1);
  validity.generation.store(2);
  EXPECT_EQ(3u, table.take_returns().incarnation);  // the next session has not begun
  table.new_session(4);
  // A seq of the old session would be above all of the new one.
  table.release({.ino = 7, .parts = kLeaseA, .seq = 91}, 1);
  table.closed(32, 1);
  EXPECT_TRUE(table.take_returns().empty());
  table.release({.ino = 7, .parts = kLeaseA, .seq = 1}, 2);
  LeaseTable::Returns returns = table.take_returns();
  EXPECT_EQ(4u, returns.incarnation);
  EXPECT_EQ(1u, returns.grants.size());
}

TEST_F(LeaseTableTest, HeldGrantsAreNewestFirstAndLimited) {
  Cached a(validity), b(validity), c(validity);
  table.add(1, a.record);
  table.add(2, b.record);
  table.add(3, c.record);
  a.grant(1, kLeaseA, 30);
  b.grant(2, kLeaseA, 50);
  std::vector<uint64_t> lost;
  std::vector<rpc::Grant> held = table.held_grants(10, &lost);
  ASSERT_EQ(2u, held.size());
  EXPECT_EQ(2u, held[0].ino);
  EXPECT_EQ(1u, held[1].ino);
  EXPECT_EQ(1u, table.held_grants(1, &lost).size());
  EXPECT_TRUE(lost.empty()) << "no data";
}

// The server gives it to others before it answers the bind.
TEST_F(LeaseTableTest, WhatTheListForABindHasNoRoomForIsOutOfUseAtOnce) {
  Cached all[4] = {Cached(validity), Cached(validity), Cached(validity), Cached(validity)};
  for (uint64_t i = 0; i < 4; ++i) table.add(i + 1, all[i].record);
  all[0].grant(1, kLeaseA | kLeaseR | kLeaseW, 10);
  all[1].grant(2, kLeaseA | kLeaseR, 20);
  LeaseRecord::Open open;
  open.access = rpc::kAccessRead;
  all[1].record.add_open(open, 1);
  all[2].grant(3, kLeaseA | kLeaseR, 40);
  all[3].grant(4, kLeaseA, 30);
  std::vector<uint64_t> lost;
  std::vector<rpc::Grant> held = table.held_grants(2, &lost);
  ASSERT_EQ(2u, held.size());
  EXPECT_EQ(1u, held[0].ino) << "it has what the server may lack";
  EXPECT_EQ(2u, held[1].ino) << "it is open";
  EXPECT_TRUE(all[0].record.covers(kLeaseW));
  EXPECT_TRUE(all[1].record.covers(kLeaseR));
  EXPECT_FALSE(all[2].record.covers(kLeaseA) || all[2].record.covers(kLeaseR));
  EXPECT_FALSE(all[3].record.covers(kLeaseA));
  EXPECT_EQ(lost, (std::vector<uint64_t>{3}));
  EXPECT_TRUE(table.keep_only(held).empty());
  EXPECT_TRUE(all[1].record.covers(kLeaseR));
  all[1].record.remove_open(open);
  for (uint64_t i = 0; i < 4; ++i) table.remove(i + 1, all[i].record);
}

// It is not in the list, so the server forgets it.
TEST_F(LeaseTableTest, AGrantNotTakenInWhenTheListForABindIsMadeIsVoid) {
  const Ticket answered = table.begin_call();
  EXPECT_TRUE(table.usable(answered));
  std::vector<uint64_t> lost;
  EXPECT_TRUE(table.held_grants(10, &lost).empty());
  EXPECT_FALSE(table.usable(answered));
  const Ticket later = table.begin_call();  // sent after the bind
  EXPECT_TRUE(table.usable(later));
  table.end_call(answered);
  EXPECT_TRUE(table.usable(later));
  table.end_call(later);
}

// What the server is told to forget must not be taken from an older answer.
TEST_F(LeaseTableTest, WhatGoesBackUnheardVoidsOlderGrants) {
  Cached known(validity), unknown(validity);
  table.add(7, known.record);
  const Ticket ticket = table.begin_call();
  table.return_unheard({.ino = 7, .parts = kLeaseA, .seq = 10}, 1);
  table.return_unheard({.ino = 8, .parts = kLeaseA, .seq = 11}, 1);
  table.add(8, unknown.record);
  EXPECT_FALSE(known.grant(7, kLeaseA, 9));
  EXPECT_FALSE(unknown.grant(8, kLeaseA, 8));
  EXPECT_TRUE(known.grant(7, kLeaseA, 12));
  table.end_call(ticket);
  table.remove(7, known.record);
  table.remove(8, unknown.record);
}

TEST_F(LeaseTableTest, ARebindKeepsOnlyWhatTheServerKept) {
  Cached a(validity), b(validity);
  table.add(1, a.record);
  table.add(2, b.record);
  a.grant(1, kLeaseA | kLeaseW, 30);
  b.grant(2, kLeaseA | kLeaseR, 31);
  std::vector<uint64_t> lost = table.keep_only(
      {{.ino = 1, .parts = kLeaseA, .seq = 30}, {.ino = 2, .parts = kLeaseA | kLeaseR, .seq = 31}});
  EXPECT_EQ(std::vector<uint64_t>{1}, lost);
  EXPECT_TRUE(a.record.covers(kLeaseA));
  EXPECT_FALSE(a.record.covers(kLeaseR));
  EXPECT_TRUE(b.record.covers(kLeaseA | kLeaseR));
}

}  // namespace
}  // namespace myfs::netfs
