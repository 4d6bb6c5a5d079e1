#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "sdk/netfs/lease.h"

namespace myfs::netfs {
namespace {

using fs::kLeaseA;
using fs::kLeaseD;
using fs::kLeaseP;
using fs::kLeaseR;
using fs::kLeaseW;

class LeaseRecordTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kIno = 12;

  LeaseRecordTest() { table.add(kIno, record); }

  bool grant(LeaseParts parts, LeaseSeq seq, uint16_t generation = 0) {
    MutexLock lock(record.mu);
    const uint16_t now = validity.generation.load();
    if (!record.accept_locked({.ino = kIno, .parts = parts, .seq = seq},
                              generation == 0 ? now : generation)) {
      return false;
    }
    record.publish_locked(0);
    return true;
  }
  std::optional<rpc::AckArgs> recall(uint64_t id, LeaseParts parts, LeaseSeq seq) {
    std::optional<rpc::AckArgs> ack;
    table.with_record(kIno, seq, [&](LeaseRecord& found) {
      found.mu.assert_held();
      ack = found.begin_recall_locked({.recall_id = id, .ino = kIno, .seq = seq, .parts = parts},
                                      session());
    });
    return ack;
  }
  // The third login, whatever the generation.
  SessionMark session() const { return {.incarnation = 3, .generation = validity.generation}; }
  std::vector<rpc::AckArgs> finish(LeaseParts parts) {
    MutexLock lock(record.mu);
    record.drop_locked(parts);
    return record.finish_locked();
  }

  fs::Validity validity;
  fs::LeaseWord word;
  LeaseTable table{validity};
  LeaseRecord record{word, validity, nullptr};
  const CredRef cred = std::make_shared<const Cred>();
};

TEST_F(LeaseRecordTest, AGrantCountsOnlyIfItsSeqIsAboveAllSeen) {
  EXPECT_TRUE(grant(kLeaseA, 5));
  EXPECT_TRUE(record.covers(kLeaseA));
  EXPECT_FALSE(grant(kLeaseA | kLeaseD, 5));
  EXPECT_FALSE(grant(kLeaseA | kLeaseD, 4));
  EXPECT_FALSE(record.covers(kLeaseD));
  EXPECT_TRUE(grant(kLeaseA | kLeaseD, 6));
  EXPECT_TRUE(record.covers(kLeaseD));
}

TEST_F(LeaseRecordTest, AGrantThatARecallOvertookIsDropped) {
  // The recall arrives while the reply with grant 5 is on its way.
  std::optional<rpc::AckArgs> ack = recall(1, kLeaseA, 6);
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(0, ack->kept);
  EXPECT_FALSE(grant(kLeaseA, 5));
  EXPECT_FALSE(record.covers(kLeaseA));
}

TEST_F(LeaseRecordTest, AGrantToAnOlderSessionIsDropped) {
  const uint16_t old = validity.generation.load();
  validity.generation.store(old + 1);
  EXPECT_FALSE(grant(kLeaseA, 5, old));
  EXPECT_TRUE(grant(kLeaseA, 1));  // seqs of a new session begin anew
}

TEST_F(LeaseRecordTest, ANewGenerationEndsEverythingHeld) {
  EXPECT_TRUE(grant(kLeaseA | kLeaseW, 50));
  validity.generation.store(2);
  EXPECT_FALSE(record.covers(kLeaseA));
  EXPECT_FALSE(record.begin_write(kNoDeadline));
  MutexLock lock(record.mu);
  EXPECT_EQ(0, record.held_locked());
  EXPECT_EQ(0u, record.seq_seen_locked());
}

TEST_F(LeaseRecordTest, RecallOfAAndDIsAcknowledgedAtOnce) {
  grant(kLeaseA | kLeaseD | kLeaseP, 5);
  const uint32_t version = word.version();
  std::optional<rpc::AckArgs> ack = recall(9, kLeaseD, 6);
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(9u, ack->recall_id);
  EXPECT_EQ(6u, ack->seq);
  EXPECT_EQ(kIno, ack->ino);
  EXPECT_EQ(kLeaseA | kLeaseP, ack->kept);
  EXPECT_FALSE(record.covers(kLeaseD));
  EXPECT_TRUE(record.covers(kLeaseA));
  EXPECT_NE(version, word.version());
}

TEST_F(LeaseRecordTest, RecallOfRStopsReadersAtOnceAndIsAcknowledgedByTheWorker) {
  grant(kLeaseA | kLeaseR, 5);
  EXPECT_FALSE(recall(9, kLeaseR, 6).has_value());
  EXPECT_FALSE(record.covers(kLeaseR));
  std::vector<rpc::AckArgs> acks = finish(kLeaseR);
  ASSERT_EQ(1u, acks.size());
  EXPECT_EQ(kLeaseA, acks[0].kept);
  EXPECT_FALSE(acks[0].have_size);
}

TEST_F(LeaseRecordTest, RecallOfWRefusesNewWritersAndKeepsRReadable) {
  grant(kLeaseA | kLeaseW, 5);
  EXPECT_TRUE(record.covers(kLeaseR));  // implied
  ASSERT_TRUE(record.begin_write(kNoDeadline));
  EXPECT_FALSE(recall(9, kLeaseW, 6).has_value());
  EXPECT_FALSE(record.begin_write(kNoDeadline));
  EXPECT_TRUE(record.covers(kLeaseR));
  record.end_write();
  std::vector<rpc::AckArgs> acks = finish(kLeaseW);
  ASSERT_EQ(1u, acks.size());
  EXPECT_EQ(kLeaseA | kLeaseR, acks[0].kept);
  EXPECT_TRUE(acks[0].have_size);
  EXPECT_TRUE(record.covers(kLeaseR));
  EXPECT_FALSE(record.begin_write(kNoDeadline));
}

// Its pages are being dropped: what a new writer made dirty meanwhile would go with them.
TEST_F(LeaseRecordTest, WhatIsOnItsWayBackIsNotTakenAgainBeforeItIsBack) {
  EXPECT_TRUE(grant(kLeaseR | kLeaseW, 1));
  EXPECT_FALSE(recall(7, kLeaseR | kLeaseW, 2).has_value());
  {
    MutexLock lock(record.mu);
    record.drop_locked(kLeaseR | kLeaseW);
  }
  EXPECT_TRUE(grant(kLeaseA | kLeaseR | kLeaseW, 3));
  EXPECT_TRUE(record.covers(kLeaseA));
  EXPECT_FALSE(record.covers(kLeaseR));
  EXPECT_FALSE(record.begin_write(kNoDeadline));
  EXPECT_EQ(finish(0).size(), 1u);
  EXPECT_TRUE(grant(kLeaseR | kLeaseW, 4));
  EXPECT_TRUE(record.covers(kLeaseR | kLeaseW));
}

TEST_F(LeaseRecordTest, WhatIsForgottenIsNotTakenAgainBeforeItIsBack) {
  EXPECT_TRUE(grant(kLeaseA | kLeaseR, 1));
  {
    MutexLock lock(record.mu);
    record.begin_forget_locked();
    record.drop_locked(kLeaseR);
  }
  EXPECT_TRUE(grant(kLeaseA | kLeaseR, 2));
  EXPECT_FALSE(record.covers(kLeaseR));
  {
    MutexLock lock(record.mu);
    uint16_t generation = 0;
    EXPECT_EQ(record.take_given_back_locked(&generation).parts, kLeaseR);
  }
  EXPECT_TRUE(grant(kLeaseA | kLeaseR, 3));
  EXPECT_TRUE(record.covers(kLeaseA | kLeaseR));
}

TEST_F(LeaseRecordTest, TheWorkerWaitsForWriters) {
  grant(kLeaseW, 5);
  ASSERT_TRUE(record.begin_write(kNoDeadline));
  recall(9, kLeaseR | kLeaseW, 6);
  std::atomic<bool> waited{false};
  std::thread worker([&] {
    MutexLock lock(record.mu);
    record.wait_no_writers_locked();
    EXPECT_TRUE(waited.load());
  });
  waited.store(true);
  record.end_write();
  worker.join();
  std::vector<rpc::AckArgs> acks = finish(kLeaseR | kLeaseW);
  ASSERT_EQ(1u, acks.size());
  EXPECT_EQ(0, acks[0].kept);
}

TEST_F(LeaseRecordTest, TwoRecallsOfOneInodeAreAcknowledgedEachOnItsOwn) {
  grant(kLeaseA | kLeaseW, 5);
  EXPECT_FALSE(recall(1, kLeaseW, 6).has_value());
  std::optional<rpc::AckArgs> quick = recall(2, kLeaseA, 7);
  ASSERT_TRUE(quick.has_value());
  EXPECT_EQ(kLeaseR | kLeaseW, quick->kept);
  EXPECT_FALSE(recall(3, kLeaseR, 8).has_value());
  std::vector<rpc::AckArgs> first = finish(kLeaseW);
  ASSERT_EQ(1u, first.size());
  EXPECT_EQ(1u, first[0].recall_id);
  std::vector<rpc::AckArgs> second = finish(kLeaseR);
  ASSERT_EQ(1u, second.size());
  EXPECT_EQ(3u, second[0].recall_id);
}

TEST_F(LeaseRecordTest, NoNewDirtyDataAfterTheDirtyDeadline) {
  grant(kLeaseW, 5);
  EXPECT_FALSE(record.begin_write(boottime_ns() - 1));
  EXPECT_TRUE(record.begin_write(deadline_after_ns(kNsPerSec)));
  record.end_write();
}

TEST_F(LeaseRecordTest, AnAcknowledgementListsEachLocalOpenOnce) {
  grant(kLeaseA | kLeaseR, 5);
  LeaseRecord::Open local{.open_id = 31, .cred = cred, .access = rpc::kAccessRead};
  LeaseRecord::Open known{.open_id = 32, .cred = cred, .access = rpc::kAccessWrite};
  EXPECT_TRUE(record.add_open_if_covered(local));
  record.add_open(known, 1);
  std::optional<rpc::AckArgs> ack = recall(1, kLeaseA, 6);
  ASSERT_TRUE(ack.has_value());
  ASSERT_EQ(1u, ack->opens.size());
  EXPECT_EQ(31u, ack->opens[0].open_id);
  EXPECT_EQ(rpc::kAccessRead, ack->opens[0].access);
  grant(kLeaseA | kLeaseR, 7);
  ack = recall(2, kLeaseA, 8);
  EXPECT_TRUE(ack->opens.empty());
  EXPECT_TRUE(record.remove_open(local));  // the server knows it now
  EXPECT_TRUE(record.remove_open(known));
}

TEST_F(LeaseRecordTest, ALocalOpenNeedsAAndData) {
  LeaseRecord::Open open{.open_id = 31, .cred = cred, .access = rpc::kAccessRead};
  EXPECT_FALSE(record.add_open_if_covered(open));
  grant(kLeaseA, 5);
  EXPECT_FALSE(record.add_open_if_covered(open));
  grant(kLeaseA | kLeaseR, 6);
  EXPECT_TRUE(record.add_open_if_covered(open));
  EXPECT_EQ(1u, record.opens());
  EXPECT_FALSE(record.remove_open(open));  // nobody else knows it
  EXPECT_EQ(0u, record.opens());
}

TEST_F(LeaseRecordTest, AnOpenForNoIoNeedsPAndIsNoReader) {
  LeaseRecord::Open place{.open_id = 31, .cred = cred, .access = 0};
  grant(kLeaseA | kLeaseR, 5);
  EXPECT_FALSE(record.add_open_if_pinned(place));
  grant(kLeaseA | kLeaseP, 6);
  EXPECT_TRUE(record.add_open_if_pinned(place));
  EXPECT_EQ(0u, record.opens());
  EXPECT_EQ(nullptr, record.any_reader().cred);
  std::optional<rpc::AckArgs> ack = recall(1, kLeaseA, 7);
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(kLeaseP, ack->kept);
  ASSERT_EQ(1u, ack->opens.size());
  EXPECT_EQ(0, ack->opens[0].access);
  EXPECT_TRUE(record.remove_open(place));  // the server knows it now
  validity.generation.store(2);
  EXPECT_FALSE(record.add_open_if_pinned(place));
}

TEST_F(LeaseRecordTest, OpensOfALostSessionAreUnknownToTheNewOne) {
  LeaseRecord::Open open{.open_id = 32, .cred = cred, .access = rpc::kAccessWrite};
  record.add_open(open, 1);
  validity.generation.store(2);
  EXPECT_EQ(0, record.remove_open(open));
}

TEST_F(LeaseRecordTest, AnOpenWhoseSessionEndedBeforeItWasNotedIsUnknownToTheNewOne) {
  validity.generation.store(2);
  LeaseRecord::Open open{.open_id = 32, .cred = cred, .access = rpc::kAccessWrite};
  record.add_open(open, 1);
  grant(kLeaseA | kLeaseR, 5);
  std::optional<rpc::AckArgs> ack = recall(1, kLeaseA, 6);
  ASSERT_TRUE(ack.has_value());
  ASSERT_EQ(1u, ack->opens.size());
  EXPECT_EQ(32u, ack->opens[0].open_id);
  EXPECT_EQ(2, record.remove_open(open));
}

TEST_F(LeaseRecordTest, AcknowledgementsNameTheSessionOfTheirRecall) {
  grant(kLeaseA | kLeaseW, 5);
  std::optional<rpc::AckArgs> at_once = recall(1, kLeaseA, 6);
  ASSERT_TRUE(at_once.has_value());
  EXPECT_EQ(3u, at_once->incarnation);
  EXPECT_FALSE(recall(2, kLeaseR | kLeaseW, 7).has_value());
  std::vector<rpc::AckArgs> later = finish(kLeaseR | kLeaseW);
  ASSERT_EQ(1u, later.size());
  EXPECT_EQ(3u, later[0].incarnation);
}

TEST_F(LeaseRecordTest, ARecallOfAnEndedSessionTakesNothingFromTheNextOne) {
  const SessionMark ended = session();
  validity.generation.store(2);
  grant(kLeaseA | kLeaseR, 5);
  MutexLock lock(record.mu);
  std::optional<rpc::AckArgs> ack = record.begin_recall_locked(
      {.recall_id = 1, .ino = kIno, .seq = 90, .parts = kLeaseA | kLeaseR}, ended);
  ASSERT_TRUE(ack.has_value());
  EXPECT_EQ(3u, ack->incarnation);
  EXPECT_TRUE(record.covers(kLeaseA | kLeaseR));
  EXPECT_EQ(5u, record.seq_seen_locked());
}

TEST_F(LeaseRecordTest, PagesAreFilledThroughAnOpenForReadingIfThereIsOne) {
  EXPECT_EQ(nullptr, record.any_reader().cred);
  LeaseRecord::Open reader{.open_id = 1, .cred = cred, .access = rpc::kAccessRead};
  LeaseRecord::Open writer{.open_id = 2, .cred = cred, .access = rpc::kAccessWrite};
  record.add_open(reader, 1);
  record.add_open(writer, 1);
  EXPECT_EQ(1u, record.any_reader().open_id);
  record.remove_open(reader);
  // The server would refuse an open for writing; it decides by the credentials.
  EXPECT_EQ(0u, record.any_reader().open_id);
  EXPECT_EQ(cred, record.any_reader().cred);
  record.remove_open(writer);
}

}  // namespace
}  // namespace myfs::netfs
