#include <gtest/gtest.h>

#include "sdk/base/clock.h"
#include "server/store/faulty_store.h"
#include "tests/unit/server/rig.h"

namespace myfs::server {
namespace {

class Commits : public testing::Test {
 protected:
  Rig rig;
  Client a = rig.login();
  Client b = rig.login();
  Handle top_a = a.root.handle, top_b = b.root.handle;
};

TEST_F(Commits, an_answer_waits_until_its_change_is_durable) {
  rig.hold_commits = true;
  auto made = rig.start_create(a, {.dir = top_a, .name = "f", .mode = S_IFREG | 0644});
  rig.settle();
  EXPECT_FALSE(made->has_value());
  ASSERT_TRUE(rig.commits->step());
  EXPECT_TRUE(made->has_value());
}

TEST_F(Commits, whoever_sees_an_uncommitted_change_waits_for_it) {
  rig.create(a, top_a, "old");
  rig.hold_commits = true;
  auto made = rig.start_create(a, {.dir = top_a, .name = "f", .mode = S_IFREG | 0644});
  auto found = rig.start_lookup(b, top_b, {"f"});
  auto missing = rig.start_lookup(b, top_b, {"none"});
  auto listed = rig.start_readdir(b, top_b);
  auto stat = rig.start_getattr(b, top_b);
  rig.settle();
  EXPECT_FALSE(found->has_value() || missing->has_value() || listed->has_value() ||
               stat->has_value());
  rig.commits->step();
  rig.settle();
  ASSERT_TRUE(found->has_value() && missing->has_value() && listed->has_value() &&
              stat->has_value());
  EXPECT_EQ((*found)->nodes[0].error, 0);
  EXPECT_EQ((*listed)->entries.size(), 2u);
}

TEST_F(Commits, what_is_not_concerned_does_not_wait) {
  Handle dir = rig.mkdir(a, top_a, "d").node.handle;
  Handle other = rig.mkdir(a, top_a, "e").node.handle;
  rig.hold_commits = true;
  auto made = rig.start_create(a, {.dir = dir, .name = "f", .mode = S_IFREG | 0644});
  auto listed = rig.start_readdir(a, other);
  rig.settle();
  EXPECT_FALSE(made->has_value());
  EXPECT_TRUE(listed->has_value());
}

TEST_F(Commits, a_failed_commit_undoes_all_that_was_built_on_it) {
  rig.create(a, top_a, "old");
  rig.hold_commits = true;
  auto made = rig.start_create(a, {.dir = top_a, .name = "f", .mode = S_IFREG | 0644});
  a.op.slot = 9;
  auto found = rig.start_lookup(b, top_b, {"f"});
  auto moved = rig.start_rename(b, top_b, "f", top_b, "g");
  rig.settle();
  rig.commits->fail(Errno(EIO));
  rig.settle();
  ASSERT_TRUE(made->has_value() && found->has_value() && moved->has_value());
  EXPECT_EQ((*made)->error, EIO);
  EXPECT_EQ((*found)->error, EIO);
  EXPECT_EQ((*moved)->error, EIO);
  rig.hold_commits = false;
  EXPECT_EQ(rig.names(b, top_b), std::vector<std::string>{"old"});
  EXPECT_EQ(rig.create(b, top_b, "f").error, 0);
}

TEST_F(Commits, a_full_store_says_so) {
  rig.hold_commits = true;
  auto made = rig.start_create(a, {.dir = top_a, .name = "f", .mode = S_IFREG | 0644});
  rig.settle();
  rig.commits->fail(Errno(ENOSPC));
  rig.settle();
  ASSERT_TRUE(made->has_value());
  EXPECT_EQ((*made)->error, ENOSPC);
}

TEST_F(Commits, inode_numbers_of_a_failed_block_are_not_lost_track_of) {
  rig.hold_commits = true;
  auto made = rig.start_create(a, {.dir = top_a, .name = "f", .mode = S_IFREG | 0644});
  rig.settle();
  rig.commits->fail(Errno(EIO));
  rig.hold_commits = false;
  ChangedReply again = rig.create(a, top_a, "g");
  ASSERT_EQ(again.error, 0);
  rig.halt(true);
  rig.boot();
  Client c = rig.login();
  EXPECT_GT(rig.create(c, c.root.handle, "h").node.attr.ino, again.node.attr.ino);
}

TEST_F(Commits, a_failed_write_keeps_the_old_content) {
  Handle file = rig.create(a, top_a, "f").node.handle;
  rig.write(a, file, 0, "old");
  uint64_t verifier = rig.shard->verifier();
  rig.hold_commits = true;
  auto wrote = rig.start_write(a, file, 0, "new");
  rig.settle();
  rig.commits->fail(Errno(EIO));
  rig.settle();
  ASSERT_TRUE(wrote->has_value());
  EXPECT_EQ((*wrote)->error, EIO);
  EXPECT_NE(rig.shard->verifier(), verifier);
  rig.hold_commits = false;
  EXPECT_EQ(rig.content(a, file), "old");
}

TEST_F(Commits, a_read_sees_the_committed_content_only) {
  Handle file = rig.create(a, top_a, "f").node.handle;
  rig.write(a, file, 0, "old");
  rig.hold_commits = true;
  auto wrote = rig.start_write(a, file, 0, "newer");
  rig.settle();
  auto read = rig.start_read(a, file, 0, 100);
  rig.settle();
  if (read->has_value()) {
    EXPECT_EQ((*read)->size, 3u);
  }
  rig.hold_commits = false;
  rig.settle();
  ASSERT_TRUE(read->has_value());
  EXPECT_EQ((*read)->size, 3u);
  EXPECT_EQ(rig.content(a, file), "newer");
}

// ---- replies

TEST_F(Commits, a_call_that_arrives_twice_is_executed_once) {
  rig.hold_commits = true;
  Op op = a.next_op();
  CreateArgs args{.dir = top_a, .name = "f", .mode = S_IFREG | 0644, .flags = kCreateExcl};
  auto body = [args](Turn& t, ChangedReply& r) {
    return server::create(t, args, std::make_shared<ContentChange>(), r);
  };
  auto first = rig.start<ChangedReply>(a, &op, body);
  auto retry = rig.start<ChangedReply>(a, &op, body);  // while it executes
  rig.settle();
  EXPECT_FALSE(first->has_value() || retry->has_value());
  rig.hold_commits = false;
  rig.settle();
  auto late = rig.start<ChangedReply>(a, &op, body);  // when it is done
  ASSERT_TRUE(first->has_value() && retry->has_value() && late->has_value());
  EXPECT_FALSE((*first)->replayed);
  for (const auto& replayed : {retry, late}) {
    EXPECT_EQ((*replayed)->error, 0);
    EXPECT_TRUE((*replayed)->replayed);
    EXPECT_EQ((*replayed)->node.handle.ino, (*first)->node.handle.ino);
    EXPECT_EQ((*replayed)->node.handle.mac, (*first)->node.handle.mac);
    EXPECT_FALSE((*replayed)->node.has_attr);
    EXPECT_EQ((*replayed)->node.grant.seq, 0u);
  }
}

TEST_F(Commits, errors_are_replayed_as_well) {
  rig.create(a, top_a, "f");
  Op op = a.next_op();
  CreateArgs args{.dir = top_a, .name = "f", .mode = S_IFREG | 0644, .flags = kCreateExcl};
  auto body = [args](Turn& t, ChangedReply& r) {
    return server::create(t, args, std::make_shared<ContentChange>(), r);
  };
  EXPECT_EQ(rig.finish(rig.start<ChangedReply>(a, &op, body)).error, EEXIST);
  rig.unlink(b, top_b, "f");
  EXPECT_EQ(rig.finish(rig.start<ChangedReply>(a, &op, body)).error, EEXIST);
}

TEST_F(Commits, the_record_of_a_reply_is_in_the_transaction_of_its_change) {
  rig.hold_commits = true;
  auto made = rig.start_create(a, {.dir = top_a, .name = "f", .mode = S_IFREG | 0644});
  rig.settle();
  EXPECT_EQ(rig.commits->waiting(), 1u);
  rig.commits->step();
  auto value = rig.meta.get(reply_key(a.session->id, a.op.slot));
  ASSERT_TRUE(value.ok() && value->has_value());
  ReplyRecord record = *ReplyRecord::decode(**value);
  EXPECT_EQ(record.slot_seq, a.op.slot_seq);
  EXPECT_EQ(record.ino, (*made)->node.handle.ino);
}

TEST_F(Commits, slots_are_checked) {
  auto body = [](Turn&, ChangedReply&) { return Errno(); };
  Op op = a.next_op();
  rig.finish(rig.start<ChangedReply>(a, &op, body, 1));
  EXPECT_EQ(rig.finish(rig.start<ChangedReply>(a, &op, body, 2)).error, EPROTO);
  Op old = op;
  op = a.next_op();
  rig.finish(rig.start<ChangedReply>(a, &op, body, 1));
  EXPECT_EQ(rig.finish(rig.start<ChangedReply>(a, &old, body, 1)).error, EALREADY);
  op.slot = kSlotsPerSession;
  EXPECT_EQ(rig.finish(rig.start<ChangedReply>(a, &op, body, 1)).error, EPROTO);
  op.slot = 3;
  op.epoch = 77;
  EXPECT_EQ(rig.finish(rig.start<ChangedReply>(a, &op, body, 1)).error, ESTALE);
}

TEST_F(Commits, an_append_is_replayed_with_its_offset) {
  Handle file = rig.create(a, top_a, "f").node.handle;
  rig.write(a, file, 0, "12345");
  WriteAnswer first = rig.finish(rig.start_write(a, file, 0, "678", kWriteStable, {}, true));
  EXPECT_EQ(first.off, 5u);
  Op op = a.op;
  auto again = rig.start<WriteAnswer>(a, &op, [](Turn&, WriteAnswer&) { return Errno(EIO); });
  ASSERT_TRUE(again->has_value());
  EXPECT_TRUE((*again)->replayed);
  EXPECT_EQ((*again)->off, 5u);
  EXPECT_EQ((*again)->count, 3u);
}

// ---- the queue itself

class Queue : public testing::Test {
 protected:
  Commit put(uint64_t seq, std::string key, uint64_t generation = 1) {
    Commit commit;
    commit.txn.put(key, "v");
    commit.seq = seq;
    commit.generation = generation;
    return commit;
  }
  MemoryMetaStore store;
};

TEST_F(Queue, commits_in_order_and_reports_the_last) {
  Event done;
  uint64_t reported = 0;
  {
    ThreadCommitQueue queue(store, Durability::kDurable, [](Job job) { job(); });
    queue.start([&](uint64_t seq, Errno error) {
      EXPECT_TRUE(error.ok());
      EXPECT_GT(seq, reported);
      reported = seq;
      if (seq == 1000) done.set();
    });
    for (uint64_t seq = 1; seq <= 1000; ++seq) queue.submit(put(seq, std::to_string(seq)));
    EXPECT_TRUE(done.wait_until(deadline_after_ns(20 * kNsPerSec)));
  }
  EXPECT_EQ(store.size(), 1000u);
  store.crash();
  EXPECT_EQ(store.size(), 1000u);
}

TEST_F(Queue, relaxed_commits_are_durable_soon) {
  Event done;
  ThreadCommitQueue queue(store, Durability::kRelaxed, [](Job job) { job(); });
  queue.start([&](uint64_t, Errno) { done.set(); });
  queue.submit(put(1, "a"));
  EXPECT_TRUE(done.wait_until(deadline_after_ns(20 * kNsPerSec)));
  queue.stop();  // what is left is synced
  store.crash();
  EXPECT_EQ(store.size(), 1u);
}

}  // namespace
}  // namespace myfs::server
