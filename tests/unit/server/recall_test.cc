#include <gtest/gtest.h>

#include "tests/unit/server/rig.h"

namespace myfs::server {
namespace {

class Recall : public testing::Test {
 protected:
  void SetUp() override {
    ChangedReply d = rig.mkdir(a, top_a, "d");
    dir_a = d.node.handle;
    ChangedReply f = rig.create(a, dir_a, "f");
    file_a = f.node.handle;
    dir_b = rig.lookup(b, top_b, {"d"}).nodes[0].handle;
    file_b = rig.lookup(b, top_b, {"d", "f"}).nodes[1].handle;
    drop(a);
    drop(b);
  }
  // The client gives everything back.
  void drop(Client& c) {
    std::vector<Grant> all;
    for (uint64_t ino : rig.shard->leases().inodes_of(c.session->id))
      all.push_back(Grant{.ino = ino, .parts = 0xffff, .seq = UINT64_MAX});
    rig.shard->release(*c.session, all, {});
    rig.settle();
    for (const Grant& grant : all) ASSERT_EQ(rig.held(c, grant.ino), 0);
    c.peer->recalls.clear();
    c.peer->silent();
  }
  // B holds all it can of a node.
  void b_holds(const Handle& node, Parts parts) {
    NodeOnlyReply got = rig.getattr(b, node, parts, true);
    ASSERT_EQ(got.error, 0);
    ASSERT_EQ(rig.held(b, node.ino) & parts, parts);
  }
  BindArgs binding_of(const Client& c, std::shared_ptr<FakePeer> peer) {
    BindArgs args;
    args.peer.is_unix = true;
    args.client = c.session->client;
    args.secret = c.session->secret;
    args.session_id = c.session->id;
    args.epoch = c.session->epoch;
    args.callback = std::move(peer);
    return args;
  }
  // What B is asked to give up of an inode.
  Parts asked(uint64_t ino) {
    Parts parts = 0;
    for (const RecallItem& item : b.peer->recalls) {
      if (item.ino == ino) parts |= item.parts;
    }
    return parts;
  }
  void ack_all(Parts kept = 0) {
    while (!b.peer->recalls.empty()) {
      RecallItem item = b.peer->recalls.front();
      b.peer->recalls.erase(b.peer->recalls.begin());
      EXPECT_EQ(rig.ack(b, item, kept), 0);
    }
  }
  void ack_first(Parts kept, std::vector<Opener> opens = {}) {
    rig.settle();
    ASSERT_FALSE(b.peer->recalls.empty());
    const RecallItem item = b.peer->recalls.front();
    b.peer->recalls.clear();
    EXPECT_EQ(rig.ack(b, item, kept, std::move(opens)), 0);
  }
  // The operation waits until B has given up exactly `parts` of `ino`.
  template <typename Reply>
  void expect_recall(Pending<Reply> pending, uint64_t ino, Parts parts) {
    rig.settle();
    EXPECT_FALSE(pending->has_value()) << "did not wait";
    EXPECT_EQ(asked(ino), parts);
    ack_all();
    ASSERT_TRUE(pending->has_value()) << "waits for ever";
    EXPECT_EQ((*pending)->error, 0);
  }

  Rig rig;
  Client a = rig.login();
  Client b = rig.login();
  Handle top_a = a.root.handle, top_b = b.root.handle;
  Handle dir_a, file_a, dir_b, file_b;
};

TEST_F(Recall, create_recalls_D_of_the_parent) {
  b_holds(dir_b, kPartA | kPartD);
  CreateArgs args{.dir = dir_a, .name = "new", .mode = S_IFREG | 0644};
  expect_recall(rig.start_create(a, args), dir_a.ino, kPartD);
  EXPECT_EQ(rig.held(b, dir_b.ino), 0);
}

TEST_F(Recall, acknowledgement_keeps_what_was_not_recalled) {
  b_holds(dir_b, kPartA | kPartD);
  auto pending = rig.start_create(a, {.dir = dir_a, .name = "new", .mode = S_IFREG | 0644});
  ack_all(kPartA | kPartD);  // a liar keeps D; it is gone all the same
  EXPECT_TRUE(pending->has_value());
  EXPECT_EQ(rig.held(b, dir_b.ino), kPartA);
}

TEST_F(Recall, unlink_recalls_D_of_the_parent_and_A_of_the_victim) {
  b_holds(dir_b, kPartA | kPartD);
  b_holds(file_b, kPartA | kPartR);
  auto pending = rig.start_unlink(a, dir_a, "f");
  EXPECT_EQ(asked(file_b.ino), kPartA);
  expect_recall(pending, dir_b.ino, kPartD);
}

// What has lost its last name is kept for who has it open, not for who has merely looked at it.
TEST_F(Recall, unlink_takes_P_from_who_does_not_have_the_victim_open) {
  b_holds(file_b, kPartA | kPartR);
  ASSERT_EQ(rig.held(b, file_b.ino) & kPartP, kPartP);
  auto pending = rig.start_unlink(a, dir_a, "f");
  ack_first(kPartR | kPartP);
  ASSERT_TRUE(pending->has_value()) << "nobody waits for it";
  EXPECT_EQ(asked(file_b.ino), kPartP);
  EXPECT_EQ(rig.records('O'), 1u);
  ack_all(kPartR);
  EXPECT_EQ(rig.records('O'), 0u);
  EXPECT_EQ(rig.getattr(b, file_b).error, ESTALE);
}

TEST_F(Recall, unlink_leaves_what_another_has_open_until_he_closes_it) {
  b_holds(file_b, kPartA | kPartR);
  auto pending = rig.start_unlink(a, dir_a, "f");
  ack_first(kPartR | kPartP, {opener(5, kAccessRead)});
  ASSERT_TRUE(pending->has_value());
  ack_all(kPartR);
  EXPECT_EQ(rig.held(b, file_b.ino), kPartR);
  EXPECT_EQ(rig.getattr(b, file_b).node.attr.nlink, 0u);
  rig.shard->release(*b.session, {}, {5});
  rig.settle();
  EXPECT_EQ(rig.records('O'), 0u);
}

TEST_F(Recall, nobody_is_evicted_over_P) {
  b_holds(file_b, kPartA | kPartR);
  auto pending = rig.start_unlink(a, dir_a, "f");
  ack_first(kPartR | kPartP);
  ASSERT_TRUE(pending->has_value());
  rig.shard->renew(*b.session, b.session->epoch);
  rig.pass(kRecallTimeout_ns + 1);
  rig.pass(rig.shard->server_term_ns());
  EXPECT_TRUE(b.peer->evictions.empty());
  EXPECT_TRUE(b.session->live());
}

// The caller may give up before he hears what it was.
TEST_F(Recall, unlink_takes_A_also_from_who_asks_if_he_does_not_know_the_victim) {
  rig.getattr(a, file_a, kPartA | kPartR);
  auto pending = rig.start_unlink(a, dir_a, "f");
  rig.settle();
  EXPECT_FALSE(pending->has_value());
  ASSERT_EQ(a.peer->recalls.size(), 1u);
  EXPECT_EQ(a.peer->recalls[0].ino, file_a.ino);
  EXPECT_EQ(a.peer->recalls[0].parts, kPartA);
  EXPECT_EQ(rig.ack(a, a.peer->recalls[0], kPartR), 0);
  ASSERT_TRUE(pending->has_value());
  EXPECT_EQ((*pending)->error, 0);
}

TEST_F(Recall, unlink_takes_nothing_from_who_names_the_victim) {
  rig.getattr(a, file_a, kPartA | kPartR);
  UnlinkArgs args{.dir = dir_a, .name = "f", .known = file_a.ino};
  Op op = a.next_op();
  EXPECT_EQ(rig.finish(rig.start<ChangedReply>(
                           a, &op,
                           [args](Turn& t, ChangedReply& r) { return server::unlink(t, args, r); }))
                .error,
            0);
  EXPECT_TRUE(a.peer->recalls.empty());
}

TEST_F(Recall, rename_takes_A_from_who_asks_of_what_he_does_not_know) {
  Handle other = rig.create(a, dir_a, "g").node.handle;
  drop(a);
  rig.getattr(a, file_a, kPartA | kPartR);
  rig.getattr(a, other, kPartA | kPartR);
  RenameArgs args{.old_dir = dir_a,
                  .new_dir = dir_a,
                  .old_name = "f",
                  .new_name = "g",
                  .known_moved = file_a.ino,
                  .known_replaced = file_a.ino};
  Op op = a.next_op();
  auto pending = rig.start<ChangedReply>(
      a, &op, [args](Turn& t, ChangedReply& r) { return server::rename(t, args, r); });
  rig.settle();
  EXPECT_FALSE(pending->has_value());
  ASSERT_EQ(a.peer->recalls.size(), 1u);
  EXPECT_EQ(a.peer->recalls[0].ino, other.ino);
  EXPECT_EQ(a.peer->recalls[0].parts, kPartA);
  EXPECT_EQ(rig.ack(a, a.peer->recalls[0]), 0);
  EXPECT_TRUE(pending->has_value());
}

TEST_F(Recall, create_that_truncates_takes_R_and_W_from_who_asks) {
  rig.getattr(a, file_a, kPartA | kPartW, true);
  ASSERT_EQ(rig.held(a, file_a.ino) & kPartW, kPartW);
  CreateArgs args{.dir = dir_a, .name = "f", .mode = S_IFREG | 0644};
  args.flags = kCreateOpen | kCreateTrunc;
  args.opener = {.open_id = 1, .cred = a.cred, .access = kAccessWrite};
  auto pending = rig.start_create(a, args);
  rig.settle();
  EXPECT_FALSE(pending->has_value());
  ASSERT_EQ(a.peer->recalls.size(), 1u);
  EXPECT_EQ(a.peer->recalls[0].parts, kPartR | kPartW);
  EXPECT_EQ(rig.ack(a, a.peer->recalls[0], kPartA), 0);
  ASSERT_TRUE(pending->has_value());
  EXPECT_EQ((*pending)->error, 0);
}

TEST_F(Recall, rmdir_recalls_A_and_D_of_the_victim) {
  Handle sub_a = rig.mkdir(a, dir_a, "s").node.handle;
  Handle sub_b = rig.lookup(b, dir_b, {"s"}).nodes[0].handle;
  drop(a);
  drop(b);
  b_holds(sub_b, kPartA | kPartD);
  expect_recall(rig.start_unlink(a, dir_a, "s", kUnlinkDirectory), sub_a.ino, kPartA | kPartD);
}

TEST_F(Recall, link_recalls_D_and_A) {
  b_holds(top_b, kPartA | kPartD);
  b_holds(file_b, kPartA | kPartR);
  auto pending = rig.start_link(a, file_a, top_a, "g");
  EXPECT_EQ(asked(top_b.ino), kPartD);
  expect_recall(pending, file_b.ino, kPartA);
}

TEST_F(Recall, rename_recalls_both_parents_moved_and_replaced) {
  rig.answer(a);
  rig.answer(b);
  Handle other_a = rig.mkdir(a, top_a, "o").node.handle;
  Handle other_b = rig.lookup(b, top_b, {"o"}).nodes[0].handle;
  rig.create(a, other_a, "g");
  Handle replaced_b = rig.lookup(b, other_b, {"g"}).nodes[0].handle;
  drop(a);
  drop(b);
  b_holds(dir_b, kPartA | kPartD);
  b_holds(other_b, kPartA | kPartD);
  b_holds(file_b, kPartA | kPartR);
  b_holds(replaced_b, kPartA | kPartR);
  auto pending = rig.start_rename(a, dir_a, "f", other_a, "g");
  EXPECT_EQ(asked(dir_b.ino), kPartD);
  EXPECT_EQ(asked(other_b.ino), kPartD);
  EXPECT_EQ(asked(replaced_b.ino), kPartA);
  expect_recall(pending, file_b.ino, kPartA);
}

TEST_F(Recall, rename_of_a_directory_recalls_its_D) {
  b_holds(dir_b, kPartA | kPartD);
  expect_recall(rig.start_rename(a, top_a, "d", top_a, "e"), dir_b.ino, kPartA | kPartD);
}

TEST_F(Recall, setattr_of_mode_recalls_A) {
  b_holds(file_b, kPartA | kPartR);
  expect_recall(rig.start_setattr(a, file_a, kSetMode, mode_of(0600)), file_b.ino, kPartA);
}

TEST_F(Recall, setattr_of_size_recalls_R_and_W) {
  b_holds(file_b, kPartA | kPartR | kPartW);
  expect_recall(rig.start_setattr(a, file_a, kSetSize, size_of(10)), file_b.ino, kPartR | kPartW);
}

TEST_F(Recall, setattr_of_times_recalls_what_covers_them) {
  b_holds(file_b, kPartA | kPartR);
  expect_recall(rig.start_setattr(a, file_a, kSetMtime, Kstat()), file_b.ino, kPartR);
  b_holds(dir_b, kPartA | kPartD);
  expect_recall(rig.start_setattr(a, dir_a, kSetMtime, Kstat()), dir_b.ino, kPartD);
}

TEST_F(Recall, xattr_recalls_A) {
  b_holds(file_b, kPartA | kPartR);
  XattrArgs args{.node = file_a, .name = "user.k", .value = "v"};
  Op op = a.next_op();
  auto pending = rig.start<ChangedReply>(
      a, &op, [args](Turn& t, ChangedReply& r) { return server::setxattr(t, args, r); });
  expect_recall(pending, file_b.ino, kPartA);
}

TEST_F(Recall, a_read_lease_takes_W_and_a_write_lease_takes_R) {
  b_holds(file_b, kPartW);
  expect_recall(rig.start_getattr(a, file_a, kPartR, true), file_b.ino, kPartW);
  EXPECT_EQ(rig.held(a, file_a.ino) & kPartR, kPartR);
  drop(a);
  b_holds(file_b, kPartR);
  expect_recall(rig.start_getattr(a, file_a, kPartW, true), file_b.ino, kPartR);
  EXPECT_EQ(rig.held(a, file_a.ino) & kPartW, kPartW);
}

TEST_F(Recall, W_to_R_keeps_R) {
  b_holds(file_b, kPartW);
  auto pending = rig.start_getattr(a, file_a, kPartR, true);
  ack_all(kPartR);
  EXPECT_TRUE(pending->has_value());
  EXPECT_EQ(rig.held(b, file_b.ino), kPartR);
  EXPECT_EQ(rig.held(a, file_a.ino) & kPartR, kPartR);
}

TEST_F(Recall, conflicting_parts_are_not_granted_in_passing) {
  b_holds(file_b, kPartW);
  b.peer->on_glimpse = [&](uint64_t id, uint64_t ino) {
    rig.shard->glimpsed(*b.session, id, ino, Glimpsed{.valid = false});
  };
  NodeOnlyReply got = rig.getattr(a, file_a, kPartA | kPartR | kPartW);
  EXPECT_EQ(got.node.grant.parts & (kPartR | kPartW), 0);
  EXPECT_TRUE(b.peer->recalls.empty());
}

TEST_F(Recall, stat_asks_the_writer_without_taking_W) {
  b_holds(file_b, kPartW);
  auto pending = rig.start_getattr(a, file_a, kPartA | kPartR);
  rig.settle();
  EXPECT_FALSE(pending->has_value());
  ASSERT_EQ(b.peer->glimpses.size(), 1u);
  Glimpsed answer{.valid = true, .size = 777, .mtime = {1'600'000'000, 1}};
  rig.shard->glimpsed(*b.session, b.peer->glimpses[0].first, file_b.ino, answer);
  rig.settle();
  ASSERT_TRUE(pending->has_value());
  EXPECT_EQ((*pending)->node.attr.size, 777u);
  EXPECT_EQ((*pending)->node.attr.mtime.nsec, 1u);
  EXPECT_EQ((*pending)->node.grant.parts & kPartR, 0);
  EXPECT_EQ(rig.held(b, file_b.ino) & kPartW, kPartW);
}

TEST_F(Recall, each_stat_asks_anew) {
  b_holds(file_b, kPartW);
  auto first = rig.start_getattr(a, file_a);
  auto second = rig.start_getattr(a, file_a);
  rig.settle();
  ASSERT_EQ(b.peer->glimpses.size(), 2u);
  rig.shard->glimpsed(*b.session, b.peer->glimpses[0].first, file_b.ino,
                      Glimpsed{.valid = true, .size = 1, .mtime = {}});
  rig.settle();
  EXPECT_TRUE(first->has_value());
  EXPECT_FALSE(second->has_value());
}

TEST_F(Recall, a_glimpse_that_is_not_answered_becomes_a_recall) {
  b_holds(file_b, kPartW);
  auto pending = rig.start_getattr(a, file_a);
  rig.settle();
  rig.pass(kGlimpseTimeout_ns);
  EXPECT_EQ(asked(file_b.ino), kPartW);
  ack_all();
  EXPECT_TRUE(pending->has_value());
}

TEST_F(Recall, a_glimpse_is_not_believed_whatever_it_says) {
  b_holds(file_b, kPartW);
  auto tell = [&](uint64_t size, int64_t mtime_ns) {
    ASSERT_FALSE(b.peer->glimpses.empty());
    Glimpsed told{.valid = true, .size = size, .mtime = Time::from_ns(mtime_ns)};
    rig.shard->glimpsed(*b.session, b.peer->glimpses.back().first, file_b.ino, told);
    rig.settle();
  };
  auto early = rig.start_getattr(a, file_a, kPartA);
  rig.settle();
  tell(5, rig.wall_ns + kNsPerSec);
  ASSERT_TRUE(early->has_value());
  EXPECT_EQ((*early)->node.attr.size, 5u);
  EXPECT_EQ((*early)->node.attr.mtime, Time::from_ns(rig.wall_ns));
  EXPECT_TRUE(b.peer->recalls.empty());
  auto huge = rig.start_getattr(a, file_a, kPartA);
  rig.settle();
  tell(kFileSizeMax_bytes + 1, rig.wall_ns);
  EXPECT_FALSE(huge->has_value());
  EXPECT_EQ(asked(file_b.ino), kPartW);
  ack_all();
  ASSERT_TRUE(huge->has_value());
  EXPECT_EQ((*huge)->node.attr.size, 0u);
}

TEST_F(Recall, lookup_asks_the_writer_too) {
  b_holds(file_b, kPartW);
  auto pending = rig.start_lookup(a, dir_a, {"f"});
  rig.settle();
  EXPECT_FALSE(pending->has_value());
  ASSERT_EQ(b.peer->glimpses.size(), 1u);
}

TEST_F(Recall, no_new_grant_while_a_recall_is_out) {
  b_holds(file_b, kPartA | kPartR);
  auto pending = rig.start_setattr(a, file_a, kSetMode, mode_of(0600));
  rig.settle();
  EXPECT_EQ(rig.getattr(b, file_b, kPartA | kPartR).node.grant.seq, 0u);
  ack_all();
  EXPECT_TRUE(pending->has_value());
  EXPECT_NE(rig.getattr(b, file_b, kPartA | kPartR).node.grant.seq, 0u);
}

TEST_F(Recall, no_new_shared_grant_while_an_operation_waits) {
  Client c = rig.login();
  Handle dir_c = rig.lookup(c, c.root.handle, {"d"}).nodes[0].handle;
  rig.shard->release(*c.session, {Grant{.ino = dir_c.ino, .parts = kPartD, .seq = UINT64_MAX}}, {});
  b_holds(dir_b, kPartD);
  auto pending = rig.start_create(a, {.dir = dir_a, .name = "n", .mode = S_IFREG | 0644});
  rig.settle();
  EXPECT_EQ(rig.getattr(c, dir_c, kPartD).node.grant.parts & kPartD, 0);
  ack_all();
  EXPECT_TRUE(pending->has_value());
  EXPECT_EQ(rig.getattr(c, dir_c, kPartD).node.grant.parts & kPartD, kPartD);
}

TEST_F(Recall, grants_and_recalls_share_one_rising_seq) {
  b_holds(file_b, kPartA | kPartR);
  uint64_t granted = rig.shard->leases().seq(b.session->id, file_b.ino);
  auto pending = rig.start_setattr(a, file_a, kSetMode, mode_of(0600));
  rig.settle();
  ASSERT_EQ(b.peer->recalls.size(), 1u);
  uint64_t recalled = b.peer->recalls[0].seq;
  EXPECT_GT(recalled, granted);
  ack_all();
  EXPECT_GT(rig.getattr(b, file_b, kPartA).node.grant.seq, recalled);
}

TEST_F(Recall, an_old_release_is_ignored) {
  uint64_t old_seq = rig.getattr(b, file_b, kPartA).node.grant.seq;
  b_holds(file_b, kPartA);
  rig.shard->release(*b.session, {Grant{.ino = file_b.ino, .parts = kPartA, .seq = old_seq}}, {});
  EXPECT_EQ(rig.held(b, file_b.ino) & kPartA, kPartA);
}

TEST_F(Recall, a_release_lets_the_operation_go_on) {
  b_holds(dir_b, kPartD);
  auto pending = rig.start_create(a, {.dir = dir_a, .name = "n", .mode = S_IFREG | 0644});
  rig.settle();
  drop(b);
  EXPECT_FALSE(pending->has_value() && (*pending)->error != 0);
  rig.settle();
  EXPECT_TRUE(pending->has_value());
}

TEST_F(Recall, holders_are_asked_in_parallel) {
  Client c = rig.login();
  Handle file_c = rig.lookup(c, c.root.handle, {"d", "f"}).nodes[1].handle;
  b_holds(file_b, kPartA | kPartR);
  rig.getattr(c, file_c, kPartA | kPartR);
  c.peer->silent();
  auto pending = rig.start_setattr(a, file_a, kSetMode, mode_of(0600));
  rig.settle();
  ASSERT_EQ(b.peer->recalls.size(), 1u);
  ASSERT_EQ(c.peer->recalls.size(), 1u);
  ack_all();
  EXPECT_FALSE(pending->has_value());
  rig.ack(c, c.peer->recalls[0]);
  EXPECT_TRUE(pending->has_value());
}

TEST_F(Recall, names_are_resolved_again_after_the_wait) {
  b_holds(dir_b, kPartA | kPartD);
  auto first = rig.start_unlink(a, dir_a, "f");
  auto second = rig.start_unlink(a, dir_a, "f");
  a.op.slot = 4;
  rig.settle();
  ack_all();
  ASSERT_TRUE(first->has_value());
  EXPECT_EQ((*first)->error, 0);
}

TEST_F(Recall, the_operation_that_came_first_goes_first) {
  Client c = rig.login();
  Handle dir_c = rig.lookup(c, c.root.handle, {"d"}).nodes[0].handle;
  b_holds(dir_b, kPartD);
  auto first = rig.start_create(
      a, {.dir = dir_a, .name = "n", .mode = S_IFREG | 0600, .flags = kCreateExcl});
  auto second = rig.start_create(
      c, {.dir = dir_c, .name = "n", .mode = S_IFREG | 0600, .flags = kCreateExcl});
  rig.settle();
  ack_all();
  ASSERT_TRUE(first->has_value() && second->has_value());
  EXPECT_EQ((*first)->error, 0);
  EXPECT_EQ((*second)->error, EEXIST);
}

TEST_F(Recall, what_cannot_be_granted_recalls_nobody) {
  b_holds(file_b, kPartA | kPartR);
  b_holds(dir_b, kPartA | kPartD);
  constexpr Parts kUnknown = 0xff00 | kPartAX | kPartDX | kPartU;
  EXPECT_EQ(rig.getattr(a, file_a, kUnknown, true).error, 0);
  EXPECT_EQ(rig.getattr(a, dir_a, kUnknown | kPartW, true).error, 0);
  EXPECT_EQ(rig.open(a, file_a, opener(1, kAccessRead), kUnknown, kOpenMustGrant).error, 0);
  Handle fifo = rig.create(a, top_a, "fifo", S_IFIFO | 0644).node.handle;
  Handle fifo_b = rig.lookup(b, top_b, {"fifo"}).nodes[0].handle;
  b_holds(fifo_b, kPartA | kPartR);
  EXPECT_EQ(rig.getattr(a, fifo, kPartW, true).error, 0);
  EXPECT_TRUE(b.peer->recalls.empty());
}

TEST_F(Recall, two_who_want_W_both_get_it_in_turn) {
  b_holds(file_b, kPartW);
  auto wants_a = rig.start_getattr(a, file_a, kPartW, true);
  rig.settle();
  auto wants_b = rig.start_getattr(b, file_b, kPartW, true);  // while its recall is out
  rig.settle();
  EXPECT_FALSE(wants_a->has_value() || wants_b->has_value());
  ack_all();
  ASSERT_TRUE(wants_a->has_value());
  EXPECT_EQ((*wants_a)->node.grant.parts & kPartW, kPartW);
  ASSERT_EQ(a.peer->recalls.size(), 1u);
  rig.ack(a, a.peer->recalls[0]);
  ASSERT_TRUE(wants_b->has_value());
  EXPECT_EQ((*wants_b)->node.grant.parts & kPartW, kPartW);
}

TEST_F(Recall, a_silent_holder_that_renews_is_evicted) {
  b_holds(file_b, kPartA | kPartR);
  auto pending = rig.start_setattr(a, file_a, kSetMode, mode_of(0600));
  rig.settle();
  rig.pass(kRecallTimeout_ns / 2);
  EXPECT_EQ(rig.shard->renew(*b.session, b.session->epoch).value(), 0);
  EXPECT_FALSE(pending->has_value());
  rig.pass(kRecallTimeout_ns / 2 + 1);
  EXPECT_TRUE(pending->has_value());
  EXPECT_EQ(b.peer->evictions.size(), 1u);
  EXPECT_EQ(rig.getattr(b, file_b).error, ESTALE);
  EXPECT_EQ(rig.shard->renew(*b.session, b.session->epoch).value(), ESTALE);
}

TEST_F(Recall, a_silent_holder_that_does_not_renew_is_waited_for_until_it_expires) {
  b_holds(file_b, kPartA | kPartR);
  auto pending = rig.start_setattr(a, file_a, kSetMode, mode_of(0600));
  rig.settle();
  rig.pass(kRecallTimeout_ns + kNsPerSec);
  EXPECT_FALSE(pending->has_value());
  rig.pass(rig.shard->server_term_ns());
  EXPECT_TRUE(pending->has_value());
}

TEST_F(Recall, progress_puts_the_eviction_off_until_the_cap) {
  b_holds(file_b, kPartR | kPartW);
  auto pending = rig.start_getattr(a, file_a, kPartR, true);
  rig.settle();
  int64_t waited_ns = 0;
  for (; waited_ns < kRecallHardCap_ns && b.peer->evictions.empty();
       waited_ns += kRecallTimeout_ns / 2) {
    rig.pass(kRecallTimeout_ns / 2);
    rig.shard->renew(*b.session, b.session->epoch);
    if (b.peer->evictions.empty()) {
      EXPECT_EQ(rig.write(b, file_b, 0, "x", kWriteWriteback).error, 0);
    }
  }
  EXPECT_GT(waited_ns, kRecallHardCap_ns - kRecallTimeout_ns);
  EXPECT_TRUE(pending->has_value());
}

TEST_F(Recall, the_death_of_a_session_is_durable_before_the_grant) {
  b_holds(file_b, kPartW);
  rig.now_ns += rig.shard->server_term_ns() + 1;
  rig.shard->renew(*a.session, a.session->epoch);
  rig.hold_commits = true;
  auto pending = rig.start_getattr(a, file_a, kPartW, true);
  rig.settle();
  EXPECT_FALSE(pending->has_value());
  EXPECT_EQ(rig.commits->waiting(), 1u);
  EXPECT_EQ(rig.held(b, file_b.ino) & kPartW, kPartW);
  rig.commits->step();
  EXPECT_FALSE(rig.meta.get(session_key(b.session->id))->has_value());
  rig.hold_commits = false;
  rig.settle();
  ASSERT_TRUE(pending->has_value());
  EXPECT_EQ((*pending)->node.grant.parts & kPartW, kPartW);
}

TEST_F(Recall, opens_of_an_acknowledgement_count_as_registered) {
  b_holds(file_b, kPartA | kPartR);
  Cred bob = user(1000);
  auto pending = rig.start_setattr(a, file_a, kSetMode, mode_of(0));
  rig.settle();
  ASSERT_EQ(b.peer->recalls.size(), 1u);
  rig.ack(b, b.peer->recalls[0], kPartR | kPartP, {opener(9, kAccessRead, bob)});
  ASSERT_TRUE(pending->has_value());
  EXPECT_EQ(rig.read(b, file_b, 0, 10, opener(9, kAccessRead, bob)).error, 0);
  EXPECT_EQ(rig.read(b, file_b, 0, 10, opener(10, kAccessRead, bob)).error, EACCES);
  EXPECT_EQ(rig.write(b, file_b, 0, "x", kWriteUncached, opener(9, kAccessRead, bob)).error, EBADF);
}

TEST_F(Recall, opens_that_the_mode_never_permitted_are_not_believed) {
  rig.setattr(a, file_a, kSetMode, mode_of(0600));
  b_holds(file_b, kPartA | kPartR);
  auto pending = rig.start_setattr(a, file_a, kSetMode, mode_of(0));
  rig.settle();
  ASSERT_EQ(b.peer->recalls.size(), 1u);
  rig.ack(b, b.peer->recalls[0], kPartR, {opener(9, kAccessRead, user(1000))});
  EXPECT_TRUE(pending->has_value());
  EXPECT_EQ(rig.read(b, file_b, 0, 10, opener(9, kAccessRead, user(1000))).error, EACCES);
}

TEST_F(Recall, times_of_an_acknowledgement_count) {
  b_holds(file_b, kPartW);
  auto pending = rig.start_getattr(a, file_a, kPartR, true);
  rig.settle();
  rig.wall_ns += kNsPerSec;
  AckArgs args;
  args.recall_id = b.peer->recalls[0].recall_id;
  args.ino = file_b.ino;
  args.have_size = true;
  args.mtime = Time::from_ns(rig.wall_ns - 5);
  rig.shard->acknowledge(*b.session, args);
  rig.settle();
  ASSERT_TRUE(pending->has_value());
  EXPECT_EQ((*pending)->node.attr.mtime, args.mtime);
}

TEST_F(Recall, an_own_lease_is_not_recalled) {
  NodeOnlyReply got = rig.getattr(a, file_a, kPartA | kPartR | kPartW, true);
  ASSERT_EQ(got.node.grant.parts & kPartW, kPartW);
  EXPECT_EQ(rig.setattr(a, file_a, kSetMode, mode_of(0600)).error, 0);
  EXPECT_EQ(rig.setattr(a, file_a, kSetSize, size_of(5)).error, 0);
  EXPECT_TRUE(a.peer->recalls.empty());
}

TEST_F(Recall, a_lease_to_open_by_oneself_comes_with_a_pin) {
  NodeOnlyReply got = rig.getattr(a, file_a, kPartA | kPartR);
  EXPECT_EQ(got.node.grant.parts, kPartA | kPartR | kPartP);
}

TEST_F(Recall, granting_W_takes_privileges_away) {
  rig.answer(a);
  rig.setattr(a, file_a, kSetMode, mode_of(06777));
  Client bob = rig.login(user(1000));
  Handle file = rig.lookup(bob, bob.root.handle, {"d", "f"}).nodes[1].handle;
  EXPECT_EQ(rig.getattr(bob, file, kPartW).node.grant.parts & kPartW, 0);
  NodeOnlyReply got = rig.getattr(bob, file, kPartW, true);
  EXPECT_EQ(got.node.grant.parts & kPartW, kPartW);
  EXPECT_EQ(got.node.attr.mode & 07777, 0777u);
}

TEST_F(Recall, a_full_session_is_asked_to_give_back) {
  b_holds(file_b, kPartA);
  EXPECT_TRUE(b.peer->trims.empty());
}

TEST_F(Recall, bind_keeps_what_both_sides_hold_and_repeats_the_recalls) {
  b_holds(file_b, kPartA | kPartR);
  b_holds(dir_b, kPartA | kPartD);
  auto pending = rig.start_setattr(a, file_a, kSetMode, mode_of(0600));
  rig.settle();
  ASSERT_EQ(b.peer->recalls.size(), 1u);
  rig.shard->disconnected(b.session, b.binding);
  auto fresh = std::make_shared<FakePeer>();
  BindArgs args = binding_of(b, fresh);
  args.held = {Grant{.ino = file_b.ino, .parts = kPartA | kPartR},
               Grant{.ino = 999, .parts = kPartA}};
  std::optional<SessionReply> reply;
  rig.shard->bind(args, [&](SessionReply r) { reply = std::move(r); });
  rig.settle();
  ASSERT_TRUE(reply.has_value());
  ASSERT_EQ(reply->error, 0);
  ASSERT_EQ(reply->kept.size(), 1u);
  EXPECT_EQ(reply->kept[0].ino, file_b.ino);
  EXPECT_EQ(rig.held(b, dir_b.ino) & kPartD, 0);
  EXPECT_TRUE(fresh->recalls.empty());  // nothing before the answer
  rig.pass(20 * kNsPerMs);
  ASSERT_EQ(fresh->recalls.size(), 1u);
  rig.ack(b, fresh->recalls[0]);
  EXPECT_TRUE(pending->has_value());
  args.secret[0] ^= 1;
  rig.shard->bind(args, [&](SessionReply r) { reply = std::move(r); });
  EXPECT_EQ(reply->error, EACCES);
  args.secret[0] ^= 1;
  args.epoch = 99;
  rig.shard->bind(args, [&](SessionReply r) { reply = std::move(r); });
  EXPECT_EQ(reply->error, ESTALE);
}

TEST_F(Recall, who_was_away_has_his_time_from_when_he_is_back) {
  b_holds(file_b, kPartA | kPartR);
  auto pending = rig.start_setattr(a, file_a, kSetMode, mode_of(0600));
  rig.settle();
  rig.shard->disconnected(b.session, b.binding);
  auto renew_a = [&] { EXPECT_TRUE(rig.shard->renew(*a.session, a.session->epoch).ok()); };
  rig.pass(kRecallTimeout_ns + kNsPerSec);
  renew_a();
  auto fresh = std::make_shared<FakePeer>();
  BindArgs args = binding_of(b, fresh);
  args.held = {Grant{.ino = file_b.ino, .parts = kPartA | kPartR}};
  rig.shard->bind(args, [](SessionReply reply) { EXPECT_EQ(reply.error, 0); });
  rig.settle();
  rig.pass(kNsPerMs);  // before the recall is repeated
  EXPECT_TRUE(b.session->live());
  rig.pass(20 * kNsPerMs);
  ASSERT_EQ(fresh->recalls.size(), 1u);
  rig.pass(kRecallTimeout_ns - kNsPerSec);
  renew_a();
  EXPECT_TRUE(fresh->evictions.empty());
  rig.ack(b, fresh->recalls[0]);
  EXPECT_TRUE(pending->has_value());
}

TEST_F(Recall, who_binds_again_and_again_is_evicted_at_the_cap) {
  b_holds(file_b, kPartA | kPartR);
  auto pending = rig.start_setattr(a, file_a, kSetMode, mode_of(0600));
  rig.settle();
  BindArgs args = binding_of(b, std::make_shared<FakePeer>());
  args.held = {Grant{.ino = file_b.ino, .parts = kPartA | kPartR}};
  for (int64_t waited_ns = 0; waited_ns < kRecallHardCap_ns; waited_ns += 5 * kNsPerSec) {
    EXPECT_FALSE(pending->has_value());
    rig.pass(5 * kNsPerSec);
    EXPECT_TRUE(rig.shard->renew(*a.session, a.session->epoch).ok());
    rig.shard->bind(args, [](SessionReply) {});
    rig.settle();
  }
  EXPECT_TRUE(pending->has_value());
}

}  // namespace
}  // namespace myfs::server
