#include <gtest/gtest.h>
#include <linux/falloc.h>

#include "tests/unit/server/rig.h"

namespace myfs::server {
namespace {

class Data : public testing::Test {
 protected:
  ChangedReply fallocate(uint32_t mode, uint64_t off, uint64_t len) {
    FallocateArgs args{.node = file, .opener = {}, .mode = mode, .off = off, .len = len};
    args.opener.cred = a.cred;
    Op op = a.next_op();
    auto content = std::make_shared<ContentChange>();
    return rig.finish(rig.start<ChangedReply>(a, &op, [args, content](Turn& t, ChangedReply& r) {
      return server::fallocate(t, args, content, r);
    }));
  }
  void crash() {
    rig.halt(true);
    rig.boot();
    a = rig.login();
    file = rig.lookup(a, a.root.handle, {"f"}).nodes[0].handle;
  }

  Rig rig;
  Client a = rig.login();
  Handle file = rig.create(a, a.root.handle, "f").node.handle;
};

TEST_F(Data, what_is_written_is_read) {
  WriteAnswer wrote = rig.write(a, file, 3, "hello");
  EXPECT_EQ(wrote.error, 0);
  EXPECT_EQ(wrote.count, 5u);
  EXPECT_TRUE(wrote.stable);
  EXPECT_EQ(wrote.node.attr.size, 8u);
  EXPECT_EQ(rig.content(a, file), std::string("\0\0\0hello", 8));
  ReadAnswer part = rig.read(a, file, 4, 2);
  EXPECT_FALSE(part.eof);
  EXPECT_EQ(part.size, 8u);
  EXPECT_TRUE(rig.read(a, file, 6, 2).eof);
  EXPECT_TRUE(rig.read(a, file, 100, 2).eof);
}

TEST_F(Data, a_write_without_W_is_durable_when_answered) {
  rig.write(a, file, 0, "hello");
  crash();
  EXPECT_EQ(rig.content(a, file), "hello");
}

TEST_F(Data, write_back_is_unstable_until_committed) {
  rig.getattr(a, file, kPartW, true);
  WriteAnswer wrote = rig.write(a, file, 0, "hello", kWriteWriteback);
  EXPECT_FALSE(wrote.stable);
  EXPECT_EQ(rig.shard->committed_inode(file.ino)->size, 0u);
  WriteAnswer committed = rig.commit(a, file);
  EXPECT_EQ(committed.verifier, wrote.verifier);
  EXPECT_EQ(committed.node.attr.size, 5u);
  crash();
  EXPECT_EQ(rig.content(a, file), "hello");
}

TEST(Relaxed, nothing_but_a_commit_is_called_durable) {
  Rig rig(false);
  rig.options.relaxed = true;
  rig.boot();
  Client a = rig.login();
  Handle file = rig.create(a, a.root.handle, "f").node.handle;
  EXPECT_FALSE(rig.write(a, file, 0, "hello").stable);
  rig.getattr(a, file, kPartW, true);
  EXPECT_FALSE(rig.write(a, file, 0, "hello", kWriteWriteback | kWriteStable).stable);
  EXPECT_EQ(rig.commit(a, file).error, 0);
}

class RelaxedCrash : public testing::Test {
 protected:
  void SetUp() override {
    rig.options.relaxed = true;
    rig.boot();
    a = rig.login();
    file = rig.create(a, a.root.handle, "f").node.handle;
    ASSERT_EQ(rig.write(a, file, 0, old).error, 0);
    ASSERT_EQ(rig.commit(a, file).error, 0);
  }
  // What of it is there after a power cut; empty: it has gone.
  std::string after_crash() {
    rig.halt(true);
    rig.boot();
    a = rig.login();
    NodeReply found = rig.lookup(a, a.root.handle, {"f"}).nodes[0];
    return found.error != 0 ? "" : rig.content(a, found.handle);
  }

  Rig rig{false};
  Client a;
  Handle file;
  const std::string old = std::string(200'000, 'o');
};

TEST_F(RelaxedCrash, slots_are_not_written_again_before_their_loss_is_on_the_disk) {
  for (char c : {'p', 'q', 'r'})
    ASSERT_EQ(rig.write(a, file, 0, std::string(old.size(), c)).error, 0);
  std::string content = after_crash();
  ASSERT_EQ(content.size(), old.size());
  EXPECT_EQ(content, std::string(old.size(), content[0]));
}

TEST_F(RelaxedCrash, content_is_not_removed_before_its_file) {
  ASSERT_EQ(rig.unlink(a, a.root.handle, "f").error, 0);
  rig.shard->release(*a.session, {Grant{.ino = file.ino, .parts = 0xffff, .seq = UINT64_MAX}}, {});
  rig.settle();
  ASSERT_TRUE(rig.blocks.list()->empty());
  EXPECT_EQ(after_crash(), "");
}

TEST_F(RelaxedCrash, a_truncation_is_on_the_disk_before_it_takes_anything) {
  ASSERT_EQ(rig.setattr(a, file, kSetSize, size_of(0)).error, 0);
  rig.settle();
  EXPECT_EQ(after_crash(), "");
}

// The rest stays as quick as it was.
TEST_F(RelaxedCrash, what_gives_up_nothing_does_not_wait_for_the_disk) {
  ASSERT_EQ(rig.create(a, a.root.handle, "g").error, 0);
  Handle h = rig.create(a, a.root.handle, "h").node.handle;
  ASSERT_EQ(rig.write(a, h, 0, "inline").error, 0);
  ASSERT_EQ(rig.write(a, h, 0, old).error, 0);
  ASSERT_EQ(rig.unlink(a, a.root.handle, "g").error, 0);
  EXPECT_EQ(after_crash(), old);
  EXPECT_EQ(rig.lookup(a, a.root.handle, {"h"}).nodes[0].error, ENOENT);
}

// W comes back while bytes that were written under it are in no commit yet.
class Unwritten : public Data {
 protected:
  void SetUp() override {
    file_b = rig.lookup(b, b.root.handle, {"f"}).nodes[0].handle;
    rig.getattr(a, file, kPartW, true);
    ASSERT_FALSE(rig.write(a, file, 0, "hello", kWriteWriteback).stable);
    a.peer->silent();
    rig.hold_commits = true;
  }
  // Nobody sees the old content with a right to keep it, and W goes once the new one is there.
  void expect_goes_after_commit() {
    rig.settle();
    EXPECT_EQ(rig.held(a, file.ino) & kPartW, kPartW);
    EXPECT_EQ(rig.shard->leases().grantable(b.session->id, file.ino, kPartR), 0);
    rig.hold_commits = false;
    rig.settle();
    EXPECT_EQ(rig.held(a, file.ino) & kPartW, 0);
    NodeOnlyReply got = rig.getattr(b, file_b, kPartR);
    EXPECT_EQ(got.node.grant.parts & kPartR, kPartR);
    EXPECT_EQ(got.node.attr.size, 5u);
    EXPECT_FALSE(rig.shard->data().has_pending(file.ino));
  }
  Client b = rig.login();
  Handle file_b;
};

TEST_F(Unwritten, is_committed_before_a_release) {
  rig.shard->release(*a.session, {Grant{.ino = file.ino, .parts = 0xffff, .seq = UINT64_MAX}}, {});
  expect_goes_after_commit();
}

TEST_F(Unwritten, is_committed_before_an_acknowledgement_counts) {
  auto reading = rig.start_getattr(b, file_b, kPartR, true);
  rig.settle();
  ASSERT_EQ(a.peer->recalls.size(), 1u);
  EXPECT_EQ(rig.ack(a, a.peer->recalls[0]), 0);
  EXPECT_FALSE(reading->has_value());
  rig.shard->renew(*a.session, a.session->epoch);
  rig.now_ns += kRecallTimeout_ns + 1;
  rig.shard->tick();
  EXPECT_TRUE(a.peer->evictions.empty()) << "it has answered";
  expect_goes_after_commit();
  ASSERT_TRUE(reading->has_value());
  EXPECT_EQ((*reading)->node.attr.size, 5u);
}

TEST_F(Unwritten, is_committed_when_a_client_that_is_back_does_not_know_of_W) {
  BindArgs args;
  args.peer.is_unix = true;
  args.client = a.session->client;
  args.secret = a.session->secret;
  args.session_id = a.session->id;
  args.epoch = a.session->epoch;
  args.callback = a.peer;
  rig.shard->bind(args, [](SessionReply reply) { EXPECT_EQ(reply.error, 0); });
  expect_goes_after_commit();
}

TEST_F(Unwritten, what_is_granted_before_the_release_counts_stays) {
  rig.shard->release(*a.session, {Grant{.ino = file.ino, .parts = 0xffff, .seq = UINT64_MAX}}, {});
  a.slot = 5;
  auto again = rig.start_getattr(a, file, kPartA | kPartW);
  rig.hold_commits = false;
  rig.settle();
  ASSERT_TRUE(again->has_value());
  EXPECT_EQ((*again)->node.grant.parts & kPartW, rig.held(a, file.ino) & kPartW);
  EXPECT_EQ(rig.held(a, file.ino) & kPartW, kPartW);
}

// Whoever asks again after a reconnection must not take for durable what is not.
TEST_F(Data, a_replayed_write_is_as_durable_as_it_was) {
  auto again = [&] {
    return rig.finish(rig.start<WriteAnswer>(a, &a.op, [](Turn&, WriteAnswer&) {
      ADD_FAILURE() << "executed twice";
      return Errno(EIO);
    }));
  };
  rig.getattr(a, file, kPartW, true);
  WriteAnswer first = rig.write(a, file, 0, "hello", kWriteWriteback);
  WriteAnswer replayed = again();
  EXPECT_TRUE(replayed.replayed);
  EXPECT_FALSE(replayed.stable);
  EXPECT_EQ(replayed.verifier, first.verifier);
  EXPECT_EQ(replayed.count, 5u);
  EXPECT_TRUE(rig.write(a, file, 0, "hello", kWriteWriteback | kWriteStable).stable);
  EXPECT_TRUE(again().stable);
}

// The answer of a COMMIT under which bytes were lost is itself lost: its retry must not say that
// they are durable.
TEST_F(Data, a_replayed_commit_tells_the_verifier_of_its_execution) {
  WriteAnswer first = rig.commit(a, file);
  EXPECT_EQ(first.verifier, rig.shard->verifier());
  WriteAnswer replayed = rig.finish(rig.start<WriteAnswer>(a, &a.op, [](Turn&, WriteAnswer&) {
    ADD_FAILURE() << "executed twice";
    return Errno(EIO);
  }));
  EXPECT_TRUE(replayed.replayed);
  EXPECT_EQ(replayed.verifier, first.verifier);
}

TEST_F(Data, an_uncommitted_write_is_lost_with_the_verifier) {
  rig.getattr(a, file, kPartW, true);
  WriteAnswer wrote = rig.write(a, file, 0, "hello", kWriteWriteback);
  crash();
  EXPECT_EQ(rig.content(a, file), "");
  EXPECT_NE(rig.commit(a, file).verifier, wrote.verifier);
}

TEST_F(Data, write_back_stamps_with_the_holders_clock) {
  rig.getattr(a, file, kPartW, true);
  rig.wall_ns += kNsPerSec;
  Time stamp = Time::from_ns(rig.wall_ns);
  rig.write(a, file, 0, "hello", kWriteWriteback);
  rig.wall_ns += kNsPerSec;
  EXPECT_EQ(rig.commit(a, file).node.attr.mtime, stamp);
}

// What comes while a commit runs is the next one's, and nobody is told or shown otherwise.
TEST_F(Data, a_write_during_a_commit_is_not_claimed_by_it) {
  rig.getattr(a, file, kPartW, true);
  const Time early = Time::from_ns(rig.wall_ns);
  EXPECT_FALSE(rig.write(a, file, 0, std::string(100'000, 'x'), kWriteWriteback).stable);
  auto committing = rig.start_commit(a, file);  // on its way to the disk
  rig.wall_ns += kNsPerSec;
  const Time late = Time::from_ns(rig.wall_ns);
  a.slot = 4;
  auto writing = rig.start_write(a, file, 100'000, "tail", kWriteWriteback);
  while (!writing->has_value() && !committing->has_value()) ASSERT_TRUE(rig.step());
  ASSERT_FALSE(committing->has_value());
  ASSERT_EQ((*writing)->error, 0);
  rig.wall_ns += kNsPerSec;
  WriteAnswer first = rig.finish(committing);
  EXPECT_EQ(first.node.attr.size, 100'000u);
  EXPECT_EQ(first.node.attr.mtime, early);
  EXPECT_EQ(first.node.attr.ctime, early);
  EXPECT_EQ(rig.shard->data().pending_end(file.ino), 100'004u);
  WriteAnswer second = rig.commit(a, file);
  EXPECT_EQ(second.node.attr.size, 100'004u);
  EXPECT_EQ(second.node.attr.mtime, late);
  EXPECT_EQ(second.node.attr.ctime, late);
  EXPECT_GT(second.node.attr.change, first.node.attr.change);
  crash();
  EXPECT_TRUE(rig.content(a, file) == std::string(100'000, 'x') + "tail");
}

// Nor does a truncation forget it.
TEST_F(Data, a_write_during_a_truncation_keeps_its_time_and_its_end) {
  rig.getattr(a, file, kPartW, true);
  EXPECT_FALSE(rig.write(a, file, 0, std::string(100'000, 'x'), kWriteWriteback).stable);
  auto cutting = rig.start_setattr(a, file, kSetSize, size_of(70'000));
  a.slot = 4;
  rig.wall_ns += kNsPerSec;
  const Time late = Time::from_ns(rig.wall_ns);
  auto writing = rig.start_write(a, file, 80'000, "tail", kWriteWriteback);
  while (!writing->has_value() && !cutting->has_value()) ASSERT_TRUE(rig.step());
  ASSERT_FALSE(cutting->has_value());
  ASSERT_EQ((*writing)->error, 0);
  EXPECT_EQ(rig.finish(cutting).node.attr.size, 70'000u);
  EXPECT_EQ(rig.shard->data().pending_end(file.ino), 80'004u);
  WriteAnswer committed = rig.commit(a, file);
  EXPECT_EQ(committed.node.attr.size, 80'004u);
  EXPECT_EQ(committed.node.attr.mtime, late);
}

TEST_F(Data, what_a_failed_commit_has_lost_leaves_no_end_behind) {
  rig.getattr(a, file, kPartW, true);
  rig.write(a, file, 1000, "lost", kWriteWriteback);
  EXPECT_EQ(rig.shard->data().pending_end(file.ino), 1004u);
  rig.hold_commits = true;
  auto committing = rig.start_commit(a, file);
  a.slot = 4;
  auto writing = rig.start_write(a, file, 2000, "lost with it", kWriteWriteback);
  rig.settle();
  EXPECT_EQ(rig.shard->data().pending_end(file.ino), 2012u);
  rig.commits->fail(Errno(EIO));
  rig.hold_commits = false;
  EXPECT_EQ(rig.finish(committing).error, EIO);
  EXPECT_EQ(rig.finish(writing).error, EIO);
  EXPECT_EQ(rig.shard->data().pending_end(file.ino), 0u);
}

// Refused when the file has been cut off already, it would cost everybody his unstable writes.
TEST_F(Data, an_open_that_is_refused_has_truncated_nothing) {
  rig.write(a, file, 0, "hello");
  Handle other = rig.create(a, a.root.handle, "g").node.handle;
  rig.getattr(a, other, kPartW, true);
  WriteAnswer unstable = rig.write(a, other, 0, "unstable", kWriteWriteback);
  Opener taken = opener(5, kAccessWrite);
  ASSERT_EQ(rig.open(a, other, taken).error, 0);
  EXPECT_EQ(rig.open(a, file, taken, 0, kCreateTrunc).error, EINVAL);
  EXPECT_EQ(
      rig.create(a, a.root.handle, "f", S_IFREG | 0644, kCreateTrunc | kCreateOpen, 0, taken).error,
      EINVAL);
  EXPECT_EQ(rig.content(a, file), "hello");
  EXPECT_EQ(rig.commit(a, other).verifier, unstable.verifier);
}

TEST_F(Data, a_truncation_that_fails_leaves_no_open_behind) {
  rig.write(a, file, 0, std::string(100'000, 'x'));
  Txn txn;
  txn.put(chunk_key(file.ino, 0), "damaged");
  const Txn* batch[] = {&txn};
  ASSERT_TRUE(rig.meta.commit_batch(batch, Durability::kDurable).ok());
  rig.halt();
  rig.boot();
  a = rig.login();
  file = rig.lookup(a, a.root.handle, {"f"}).nodes[0].handle;
  Opener open = opener(5, kAccessWrite);
  EXPECT_EQ(rig.open(a, file, open, 0, kCreateTrunc).error, EUCLEAN);
  EXPECT_EQ(
      rig.create(a, a.root.handle, "f", S_IFREG | 0644, kCreateTrunc | kCreateOpen, 0, open).error,
      EUCLEAN);
  EXPECT_FALSE(rig.shard->opens().any(file.ino));
  // Not one that was there before.
  ASSERT_EQ(rig.open(a, file, open).error, 0);
  EXPECT_EQ(rig.open(a, file, open, 0, kCreateTrunc).error, EUCLEAN);
  EXPECT_TRUE(rig.shard->opens().any(file.ino));
}

TEST_F(Data, what_is_cut_off_does_not_count_for_the_end) {
  rig.getattr(a, file, kPartW, true);
  rig.setattr(a, file, kSetSize, size_of(10));
  WriteAnswer wrote =
      rig.finish(rig.start_write(a, file, 0, std::string(100, 'b'), kWriteWriteback, {}, false, 0));
  EXPECT_EQ(wrote.count, 100u);
  EXPECT_EQ(rig.shard->data().pending_end(file.ino), 10u);
}

TEST_F(Data, write_back_needs_W) {
  EXPECT_EQ(rig.write(a, file, 0, "x", kWriteWriteback).error, ESTALE);
}

TEST_F(Data, write_back_is_cut_where_the_file_was_truncated) {
  rig.getattr(a, file, kPartW, true);
  rig.write(a, file, 0, std::string(100, 'a'), kWriteWriteback | kWriteStable);
  rig.setattr(a, file, kSetSize, size_of(10));
  rig.setattr(a, file, kSetSize, size_of(50));
  WriteAnswer wrote = rig.finish(rig.start_write(a, file, 0, std::string(100, 'b'),
                                                 kWriteWriteback | kWriteStable, {}, false, 0));
  EXPECT_EQ(wrote.count, 100u);
  EXPECT_EQ(rig.content(a, file), std::string(10, 'b') + std::string(40, '\0'));
  rig.finish(rig.start_write(a, file, 0, std::string(60, 'c'), kWriteWriteback | kWriteStable, {},
                             false, 2));
  EXPECT_EQ(rig.content(a, file), std::string(60, 'c'));
}

TEST_F(Data, a_read_takes_W_from_others_and_sees_what_they_wrote) {
  Client b = rig.login();
  Handle file_b = rig.lookup(b, b.root.handle, {"f"}).nodes[0].handle;
  rig.getattr(b, file_b, kPartW, true);
  b.peer->recalls.clear();
  b.peer->silent();
  auto pending = rig.start_read(a, file, 0, 100);
  rig.settle();
  EXPECT_FALSE(pending->has_value());
  ASSERT_EQ(b.peer->recalls.size(), 1u);
  // The holder's own write-back does not wait for its recall.
  EXPECT_EQ(rig.write(b, file_b, 0, "dirty", kWriteWriteback).error, 0);
  rig.commit(b, file_b);
  rig.ack(b, b.peer->recalls[0], kPartR);
  ASSERT_TRUE(pending->has_value());
  EXPECT_EQ((*pending)->size, 5u);
}

TEST_F(Data, a_write_without_W_takes_R_and_W_from_others) {
  Client b = rig.login();
  Handle file_b = rig.lookup(b, b.root.handle, {"f"}).nodes[0].handle;
  rig.getattr(b, file_b, kPartR, true);
  b.peer->recalls.clear();
  b.peer->silent();
  auto pending = rig.start_write(a, file, 0, "x");
  rig.settle();
  EXPECT_FALSE(pending->has_value());
  ASSERT_EQ(b.peer->recalls.size(), 1u);
  EXPECT_EQ(b.peer->recalls[0].parts, kPartR);
  rig.ack(b, b.peer->recalls[0]);
  EXPECT_TRUE(pending->has_value());
}

TEST_F(Data, nobody_is_granted_R_while_a_write_without_W_runs) {
  Client b = rig.login();
  Handle file_b = rig.lookup(b, b.root.handle, {"f"}).nodes[0].handle;
  rig.shard->release(*b.session, {Grant{.ino = file.ino, .parts = 0xff, .seq = UINT64_MAX}}, {});
  auto writing = rig.start_write(a, file, 0, "x");
  auto wants = rig.start_getattr(b, file_b, kPartR);
  ASSERT_TRUE(wants->has_value());
  EXPECT_EQ((*wants)->node.grant.parts & kPartR, 0);
  auto must = rig.start_getattr(b, file_b, kPartR, true);
  EXPECT_FALSE(must->has_value());
  rig.settle();
  EXPECT_TRUE(writing->has_value());
  ASSERT_TRUE(must->has_value());
  EXPECT_EQ((*must)->node.attr.size, 1u);
}

// The holder's dirty bytes come first, or the end of the file would be where they will land.
TEST_F(Data, an_append_waits_for_what_its_own_session_holds_back) {
  rig.getattr(a, file, kPartW, true);
  a.peer->silent();
  auto appended = rig.start_write(a, file, 0, "tail", kWriteStable, {}, true);
  rig.settle();
  EXPECT_FALSE(appended->has_value());
  ASSERT_EQ(a.peer->recalls.size(), 1u);
  EXPECT_EQ(a.peer->recalls[0].parts, kPartW);
  a.slot = 0;
  EXPECT_EQ(rig.write(a, file, 0, "dirty", kWriteWriteback).error, 0);
  rig.commit(a, file);
  rig.ack(a, a.peer->recalls[0], kPartR);
  ASSERT_TRUE(appended->has_value());
  EXPECT_EQ((*appended)->off, 5u);
  EXPECT_EQ(rig.content(a, file), "dirtytail");
}

TEST_F(Data, appends_do_not_overlap) {
  std::vector<Pending<WriteAnswer>> pending;
  for (int i = 0; i < 5; ++i) {
    Client c = rig.login();
    Handle handle = rig.lookup(c, c.root.handle, {"f"}).nodes[0].handle;
    pending.push_back(rig.start_write(c, handle, 0, std::string(10, static_cast<char>('a' + i)),
                                      kWriteStable, {}, true));
  }
  rig.settle();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(pending[i]->has_value());
    EXPECT_EQ((*pending[i])->off, 10u * i);
  }
  EXPECT_EQ(rig.content(a, file).size(), 50u);
}

TEST_F(Data, truncate_shrinks_grows_and_counts) {
  rig.write(a, file, 0, "hello world");
  ChangedReply cut = rig.setattr(a, file, kSetSize, size_of(5));
  EXPECT_EQ(cut.node.attr.size, 5u);
  EXPECT_EQ(cut.node.attr.trunc_gen, 1u);
  EXPECT_EQ(cut.node.attr.trunc_size, 5u);
  rig.setattr(a, file, kSetSize, size_of(8));
  EXPECT_EQ(rig.content(a, file), std::string("hello\0\0\0", 8));
  EXPECT_EQ(rig.setattr(a, file, kSetSize, size_of(kFileSizeMax_bytes + 1)).error, EFBIG);
  EXPECT_EQ(rig.write(a, file, kFileSizeMax_bytes, "xx").error, EFBIG);
  EXPECT_EQ(rig.setattr(a, a.root.handle, kSetSize, size_of(0)).error, EISDIR);
}

// Better sent once more than cut off on a guess, or kept where it was cut off.
TEST_F(Data, write_back_from_before_more_truncations_than_are_known_comes_again) {
  const uint64_t seq = rig.getattr(a, file, kPartW, true).node.grant.seq;
  const auto grown = static_cast<uint32_t>(kTruncationsMax);
  for (uint32_t i = 0; i <= grown; ++i) rig.setattr(a, file, kSetSize, size_of(i));
  const std::string text = "hello world";
  for (uint32_t gen : {0u, 1u, grown, grown + 1}) {
    WriteArgs args{.node = file, .lease_seq = seq, .trunc_gen = gen, .has_trunc_gen = true};
    args.flags = kWriteWriteback;
    args.data = {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
    EXPECT_EQ(rig.finish(rig.start_write(a, args)).error, gen == 0 ? EAGAIN : 0) << gen;
    EXPECT_EQ(rig.commit(a, file).error, 0);
    if (gen == 1) {
      EXPECT_EQ(rig.content(a, file), std::string("h\0\0\0\0\0\0\0", grown));
    }
  }
  EXPECT_EQ(rig.content(a, file), text);
}

TEST_F(Data, open_and_create_truncate) {
  rig.write(a, file, 0, "hello");
  Opener open = opener(1, kAccessRead | kAccessWrite);
  EXPECT_EQ(rig.open(a, file, open, 0, kCreateTrunc).node.attr.size, 0u);
  rig.write(a, file, 0, "again");
  ChangedReply made = rig.create(a, a.root.handle, "f", S_IFREG | 0644, kCreateTrunc | kCreateOpen,
                                 kPartA, opener(2, kAccessWrite));
  EXPECT_EQ(made.error, 0);
  EXPECT_EQ(made.node.attr.size, 0u);
  EXPECT_EQ(rig.content(a, file), "");
}

TEST_F(Data, fallocate_grows_punches_and_refuses) {
  rig.write(a, file, 0, "hello");
  EXPECT_EQ(fallocate(0, 0, 10).node.attr.size, 10u);
  EXPECT_EQ(fallocate(FALLOC_FL_KEEP_SIZE, 0, 100).node.attr.size, 10u);
  EXPECT_EQ(fallocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1, 3).error, 0);
  EXPECT_EQ(rig.content(a, file), std::string("h\0\0\0o\0\0\0\0\0", 10));
  EXPECT_EQ(fallocate(0, 0, 0).error, EINVAL);
  EXPECT_EQ(fallocate(FALLOC_FL_COLLAPSE_RANGE, 0, 4096).error, EOPNOTSUPP);
  EXPECT_EQ(fallocate(0, kFileSizeMax_bytes, 2).error, EFBIG);
}

// As the kernel: file_modified() before anything else.
TEST_F(Data, fallocate_that_changes_no_content_is_a_change_all_the_same) {
  rig.write(a, file, 0, "hello");
  rig.setattr(a, file, kSetMode, mode_of(06777));
  const Kstat before = rig.getattr(a, file).node.attr;
  rig.wall_ns += 1'000'000'000;
  a.cred = user(7);
  ChangedReply done = fallocate(FALLOC_FL_KEEP_SIZE, 0, 3);
  EXPECT_EQ(done.error, 0);
  EXPECT_EQ(done.node.attr.mode & 07777, 0777u);
  EXPECT_GT(done.node.attr.mtime, before.mtime);
  EXPECT_GT(done.node.attr.ctime, before.ctime);
}

TEST_F(Data, seek_finds_data_and_holes) {
  rig.write(a, file, 1 << 20, std::string(70000, 'x'));
  auto seek = [&](uint64_t off, bool hole) {
    SeekArgs args{.node = file, .opener = {}, .off = off, .hole = hole};
    return rig.finish(rig.start<SeekReply>(
        a, nullptr, [args, state = std::make_shared<WalkState>()](Turn& t, SeekReply& r) {
          return server::seek(t, args, state, r);
        }));
  };
  EXPECT_EQ(seek(0, false).off, uint64_t{1 << 20});
  EXPECT_EQ(seek(0, true).off, 0u);
  EXPECT_EQ(seek(uint64_t{1} << 40, false).error, ENXIO);
}

TEST_F(Data, writing_takes_privileges_away) {
  rig.setattr(a, file, kSetMode, mode_of(06777));
  Client bob = rig.login(user(1000));
  Handle handle = rig.lookup(bob, bob.root.handle, {"f"}).nodes[0].handle;
  EXPECT_EQ(rig.write(bob, handle, 0, "x").node.attr.mode & 07777, 0777u);
  rig.setattr(a, file, kSetMode, mode_of(06777));
  EXPECT_EQ(rig.write(a, file, 0, "x").node.attr.mode & 07777, 06777u);
}

TEST_F(Data, small_files_come_with_the_lookup) {
  rig.write(a, file, 0, "hello");
  LookupReply found = rig.lookup(a, a.root.handle, {"f"}, kPartA | kPartR, 4096);
  EXPECT_EQ(found.nodes[0].data, "hello");
  EXPECT_EQ(rig.lookup(a, a.root.handle, {"f"}, kPartA | kPartR, 4).nodes[0].data, "");
}

TEST_F(Data, read_many_brings_whole_files) {
  rig.write(a, file, 0, "hello");
  Handle other = rig.create(a, a.root.handle, "g").node.handle;
  rig.write(a, other, 0, std::string(100000, 'z'));
  auto state = std::make_shared<ReadManyState>();
  std::vector<Handle> nodes = {file, other, a.root.handle};
  NodesReply reply =
      rig.finish(rig.start<NodesReply>(a, nullptr, [nodes, state](Turn& t, NodesReply& r) {
        return read_many(t, nodes, 1 << 20, state, r);
      }));
  ASSERT_EQ(reply.nodes.size(), 3u);
  EXPECT_EQ(reply.nodes[0].data, "hello");
  EXPECT_EQ(reply.nodes[1].data.size(), 100000u);
  EXPECT_EQ(reply.nodes[2].data, "");
}

TEST_F(Data, sync_makes_everything_durable) {
  rig.getattr(a, file, kPartW, true);
  rig.write(a, file, 0, "hello", kWriteWriteback);
  Op op = a.next_op();
  auto error = std::make_shared<Errno>();
  SyncReply reply = rig.finish(
      rig.start<SyncReply>(a, &op, [error](Turn& t, SyncReply&) { return sync_all(t, error); }));
  EXPECT_EQ(reply.error, 0);
  crash();
  EXPECT_EQ(rig.content(a, file), "hello");
}

// Its client has closed the file, perhaps, and is not there any more to write it again.
TEST_F(Data, what_a_dead_session_was_answered_is_kept) {
  Client b = rig.login();
  Handle file_b = rig.lookup(b, b.root.handle, {"f"}).nodes[0].handle;
  rig.getattr(b, file_b, kPartW, true);
  EXPECT_FALSE(rig.write(b, file_b, 0, "kept", kWriteWriteback).stable);
  auto seen = rig.start_read(a, file, 0, 100);
  rig.shard->evict(b.session, "test");
  rig.settle();
  ASSERT_TRUE(seen->has_value());
  EXPECT_EQ((*seen)->size, 4u) << "others see it at once";
  crash();
  EXPECT_EQ(rig.content(a, file), "kept");
}

TEST_F(Data, a_commit_of_a_session_that_dies_meanwhile_loses_nothing) {
  const std::string text(100'000, 'x');
  rig.getattr(a, file, kPartW, true);
  EXPECT_FALSE(rig.write(a, file, 0, text, kWriteWriteback).stable);
  auto committing = rig.start_commit(a, file);  // on its way to the disk
  rig.shard->evict(a.session, "test");
  rig.settle();
  Client b = rig.login();
  EXPECT_TRUE(rig.content(b, rig.lookup(b, b.root.handle, {"f"}).nodes[0].handle) == text);
  EXPECT_EQ(rig.shard->data().verifier_count(), 0u);
}

// Its turn has come, others have waited for it: it ends before theirs.
TEST_F(Data, a_write_of_a_session_that_dies_meanwhile_is_ended) {
  const std::string text(100'000, 'x');
  auto writing = rig.start_write(a, file, 0, text);
  rig.shard->evict(a.session, "test");
  EXPECT_EQ(rig.shard->sessions().size(), 1u);
  rig.settle();
  EXPECT_EQ(rig.shard->sessions().size(), 0u);
  ASSERT_TRUE(writing->has_value());
  EXPECT_EQ((*writing)->error, 0);
  Client b = rig.login();
  EXPECT_TRUE(rig.content(b, rig.lookup(b, b.root.handle, {"f"}).nodes[0].handle) == text);
}

TEST_F(Data, a_write_that_comes_too_late_does_not_land) {
  rig.getattr(a, file, kPartW, true);
  rig.hold_commits = true;
  rig.shard->evict(a.session, "test");
  EXPECT_EQ(rig.write(a, file, 0, "late", kWriteWriteback).error, ESTALE);
  rig.hold_commits = false;
  Client b = rig.login();
  EXPECT_EQ(rig.content(b, rig.lookup(b, b.root.handle, {"f"}).nodes[0].handle), "");
}

}  // namespace
}  // namespace myfs::server
