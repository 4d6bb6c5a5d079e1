// Locks as calls: who is told when, and what the death, the absence and the restart of others mean.
#include "server/lock_handlers.h"
#include "tests/unit/server/rig.h"

namespace myfs::server {
namespace {

class LockCalls : public testing::Test {
 protected:
  void SetUp() override {
    file = rig.create(a, a.root.handle, "f").node.handle;
    file_b = rig.lookup(b, b.root.handle, {"f"}).nodes[0].handle;
    a.slot = 20;
    b.slot = 20;
  }
  Pending<LockReply> start_lock(Client& c, const Handle& node, LockType type, bool wait = false,
                                uint64_t owner = 1) {
    LockArgs args{.node = node, .opener = opener(7, kAccessRead | kAccessWrite), .wait = wait};
    args.range.type = type;
    args.range.owner.number = owner;
    Op op = c.next_op();
    return rig.start<LockReply>(c, &op, [args](Turn& t, LockReply& r) { return lock(t, args, r); });
  }
  LockReply locked(Client& c, const Handle& node, LockType type, bool wait = false) {
    return rig.finish(start_lock(c, node, type, wait));
  }
  LockReply tested(Client& c, const Handle& node, uint64_t owner = 0) {
    LockArgs args{.node = node};
    args.range.type = LockType::kWrite;
    args.range.owner.number = owner;
    return rig.finish(rig.start<LockReply>(
        c, nullptr, [args](Turn& t, LockReply& r) { return lock_test(t, args, r); }));
  }
  void bind(Client& c, std::shared_ptr<FakePeer> peer) {
    BindArgs args;
    args.peer.is_unix = true;
    args.client = c.session->client;
    args.secret = c.session->secret;
    args.session_id = c.session->id;
    args.epoch = c.session->epoch;
    args.callback = std::move(peer);
    rig.shard->bind(args, [](SessionReply reply) { EXPECT_EQ(reply.error, 0); });
    rig.settle();
  }

  Rig rig;
  Client a = rig.login(), b = rig.login();
  Handle file, file_b;
};

TEST_F(LockCalls, a_wait_ends_with_a_callback) {
  ASSERT_EQ(locked(a, file, LockType::kWrite).error, 0);
  EXPECT_EQ(locked(b, file_b, LockType::kWrite).error, EAGAIN);
  LockReply waits = locked(b, file_b, LockType::kWrite, true);
  ASSERT_TRUE(waits.queued);
  EXPECT_TRUE(b.peer->locks.empty());
  ASSERT_EQ(locked(a, file, LockType::kUnlock).error, 0);
  ASSERT_EQ(b.peer->locks.size(), 1u);
  EXPECT_EQ(b.peer->locks[0], waits.lock_id);
}

// The order of answers on a connection is the order in which things came to be.
TEST_F(LockCalls, an_answer_waits_for_no_commit) {
  rig.hold_commits = true;
  Kstat mode = mode_of(0600);
  auto change = rig.start_setattr(a, file, kSetMode, mode);
  a.slot = 21;
  auto lock = start_lock(a, file, LockType::kWrite);
  rig.settle();
  EXPECT_FALSE(change->has_value());
  ASSERT_TRUE(lock->has_value());
  EXPECT_EQ((*lock)->error, 0);
  rig.hold_commits = false;
  rig.settle();
}

TEST_F(LockCalls, what_is_asked_twice_is_answered_alike) {
  ASSERT_EQ(locked(a, file, LockType::kWrite).error, 0);
  LockReply first = locked(b, file_b, LockType::kWrite, true);
  --b.slot_seqs[b.slot];
  LockReply again = locked(b, file_b, LockType::kWrite, true);
  EXPECT_TRUE(again.queued);
  EXPECT_EQ(again.lock_id, first.lock_id);
  --a.slot_seqs[a.slot];
  EXPECT_NE(locked(a, file, LockType::kWrite).seq, 0u);
}

TEST_F(LockCalls, a_grant_that_may_be_lost_is_told_again_after_a_bind) {
  ASSERT_EQ(locked(a, file, LockType::kWrite).error, 0);
  LockReply waits = locked(b, file_b, LockType::kWrite, true);
  rig.shard->disconnected(b.session, b.binding);
  ASSERT_EQ(locked(a, file, LockType::kUnlock).error, 0);
  auto fresh = std::make_shared<FakePeer>();
  bind(b, fresh);
  EXPECT_TRUE(fresh->locks.empty()) << "before the answer";
  rig.pass(20 * kNsPerMs);
  EXPECT_EQ(fresh->locks, std::vector<uint64_t>{waits.lock_id});
  ASSERT_TRUE(rig.shard->locks().acknowledge(b.session->id, waits.lock_id));
  auto third = std::make_shared<FakePeer>();
  bind(b, third);
  rig.pass(20 * kNsPerMs);
  EXPECT_TRUE(third->locks.empty());
}

TEST_F(LockCalls, a_grant_just_after_a_bind_comes_after_its_answer) {
  ASSERT_EQ(locked(a, file, LockType::kWrite).error, 0);
  LockReply waits = locked(b, file_b, LockType::kWrite, true);
  auto fresh = std::make_shared<FakePeer>();
  bind(b, fresh);
  ASSERT_EQ(locked(a, file, LockType::kUnlock).error, 0);
  EXPECT_TRUE(fresh->locks.empty());
  rig.pass(20 * kNsPerMs);
  EXPECT_EQ(fresh->locks, std::vector<uint64_t>{waits.lock_id});
}

// He may be dead for hours: nobody else would end his session.
TEST_F(LockCalls, a_holder_whose_time_is_over_is_ended_by_whoever_wants_the_lock) {
  ASSERT_EQ(locked(a, file, LockType::kWrite).error, 0);
  rig.pass(rig.shard->server_term_ns() / 2);
  rig.shard->renew(*b.session, b.session->epoch);
  EXPECT_EQ(locked(b, file_b, LockType::kWrite).error, EAGAIN);
  rig.pass(rig.shard->server_term_ns() / 2 + kNsPerSec);
  EXPECT_TRUE(a.session->live()) << "nobody wanted anything";
  EXPECT_FALSE(tested(b, file_b).conflicts);
  EXPECT_FALSE(a.session->live());
  EXPECT_EQ(locked(b, file_b, LockType::kWrite).error, 0);
}

TEST_F(LockCalls, one_try_is_enough_for_the_lock_of_a_dead_holder) {
  ASSERT_EQ(locked(a, file, LockType::kWrite).error, 0);
  rig.pass(rig.shard->server_term_ns() / 2);
  rig.shard->renew(*b.session, b.session->epoch);
  rig.pass(rig.shard->server_term_ns() / 2 + kNsPerSec);
  EXPECT_EQ(locked(b, file_b, LockType::kWrite).error, 0);
}

// The client slept for longer than its lease, and nobody wants anything of it.
TEST_F(LockCalls, who_asks_for_a_lock_of_his_own_session_does_not_end_it) {
  ASSERT_EQ(locked(a, file, LockType::kWrite).error, 0);
  rig.pass(rig.shard->server_term_ns() + kNsPerSec);
  LockReply refused = rig.finish(start_lock(a, file, LockType::kWrite, false, 2));
  EXPECT_EQ(refused.error, EAGAIN);
  EXPECT_TRUE(tested(a, file, 2).conflicts);
  EXPECT_TRUE(rig.finish(start_lock(a, file, LockType::kWrite, true, 2)).queued);
  EXPECT_TRUE(a.session->live());
  rig.shard->renew(*a.session, a.session->epoch);
  rig.shard->renew(*b.session, b.session->epoch);
  EXPECT_TRUE(tested(b, file_b).conflicts);
}

// However many calls come while somebody waits.
TEST_F(LockCalls, the_end_of_holders_is_looked_for_by_the_timer_alone) {
  ASSERT_EQ(locked(a, file, LockType::kWrite).error, 0);
  ASSERT_TRUE(locked(b, file_b, LockType::kWrite, true).queued);
  rig.armed_ns = 0;
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(rig.finish(start_lock(a, file, LockType::kWrite, false, 1)).error, 0);
  }
  EXPECT_EQ(rig.armed_ns, 0);
}

// Its lock came after the one that is waited for, and its time was over by then.
TEST_F(LockCalls, an_expired_session_that_comes_in_the_way_later_is_ended) {
  ASSERT_EQ(locked(a, file, LockType::kWrite).error, 0);
  Client c = rig.login();
  c.slot = 20;
  Handle file_c = rig.lookup(c, c.root.handle, {"f"}).nodes[0].handle;
  rig.pass(rig.shard->server_term_ns() + kNsPerSec);
  rig.shard->renew(*b.session, b.session->epoch);
  rig.shard->renew(*c.session, c.session->epoch);
  ASSERT_EQ(locked(a, file, LockType::kRead).error, 0);
  ASSERT_EQ(locked(c, file_c, LockType::kRead).error, 0);
  ASSERT_TRUE(a.session->live());
  ASSERT_TRUE(rig.shard->locks()
                  .set(file.ino,
                       {.owner = {.session = b.session->id, .number = 1}, .type = LockType::kWrite},
                       true)
                  .queued);
  rig.shard->tell_lock_grants();
  EXPECT_TRUE(a.session->live());
  rig.pass(kNsPerSec);
  EXPECT_FALSE(a.session->live());
  EXPECT_TRUE(c.session->live());
}

TEST_F(LockCalls, who_waits_outlives_the_holder) {
  ASSERT_EQ(locked(a, file, LockType::kWrite).error, 0);
  ASSERT_TRUE(locked(b, file_b, LockType::kWrite, true).queued);
  const int64_t expires_ns = a.session->deadline_ns;
  rig.pass(rig.shard->server_term_ns() / 2);
  rig.shard->renew(*b.session, b.session->epoch);
  EXPECT_TRUE(b.peer->locks.empty());
  rig.shard->tick();
  EXPECT_LE(rig.armed_ns, expires_ns + 1);
  rig.pass(rig.shard->server_term_ns() / 2 + kNsPerSec);
  EXPECT_EQ(b.peer->locks.size(), 1u);
}

TEST_F(LockCalls, the_end_of_a_session_frees_what_it_held) {
  ASSERT_EQ(locked(a, file, LockType::kWrite).error, 0);
  ASSERT_TRUE(locked(b, file_b, LockType::kWrite, true).queued);
  rig.shard->close(a.session, [](Errno error) { EXPECT_TRUE(error.ok()); });
  rig.settle();
  EXPECT_EQ(b.peer->locks.size(), 1u);
}

// A client of the last run may believe in its lock until it learns that its session is dead.
TEST_F(LockCalls, nothing_is_granted_in_the_grace) {
  ASSERT_EQ(locked(a, file, LockType::kWrite).error, 0);
  rig.halt(true);
  rig.boot(false);
  rig.clients = 1;
  Client c = rig.login();
  Handle again = c.session->mac.seal(file.ino, file.gen);
  c.slot = 20;
  auto lock = start_lock(c, again, LockType::kWrite);
  rig.settle();
  EXPECT_FALSE(lock->has_value());
  c.slot = 21;
  auto unlock = start_lock(c, again, LockType::kUnlock);
  rig.settle();
  EXPECT_FALSE(unlock->has_value());
  rig.pass(Rig::kAfterGrace_ns);
  ASSERT_TRUE(lock->has_value());
  EXPECT_EQ((*lock)->error, 0);
  ASSERT_TRUE(unlock->has_value());
  EXPECT_EQ((*unlock)->error, 0);
}

TEST_F(LockCalls, a_lock_needs_a_descriptor_that_could_do_what_it_guards) {
  LockArgs args{.node = file, .opener = opener(7, kAccessRead)};
  args.range.type = LockType::kWrite;
  Op op = a.next_op();
  EXPECT_EQ(rig.finish(rig.start<LockReply>(
                           a, &op, [args](Turn& t, LockReply& r) { return lock(t, args, r); }))
                .error,
            EBADF);
}

}  // namespace
}  // namespace myfs::server
