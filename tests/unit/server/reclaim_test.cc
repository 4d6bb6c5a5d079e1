// Sessions that outlive a restart: what their clients get back, who waits meanwhile, and what is
// refused.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/lock_handlers.h"
#include "tests/unit/server/rig.h"

namespace myfs::server {
namespace {

constexpr Parts kAll = kPartA | kPartR | kPartW | kPartP;

Cred user(uint32_t uid) { return {.uid = uid, .gid = 100, .groups = {}}; }

Opener opener(uint64_t id, uint8_t access, Cred cred = {}) {
  return {.open_id = id, .cred = std::move(cred), .access = access};
}

class Reclaim : public testing::Test {
 protected:
  void SetUp() override {
    a = rig.login();
    b = rig.login();
    file = rig.create(a, a.root.handle, "f").node.handle;
  }
  // The server dies, and is begun anew.
  void restart() {
    rig.halt(true);
    rig.boot(false);
  }
  // In order; the leases come back.
  void stop() {
    std::optional<int> done;
    rig.shard->shutdown(30 * kNsPerSec, [&](Errno e) { done = e.value(); });
    rig.settle();
    EXPECT_EQ(done, 0);
    restart();
  }
  uint64_t change_of(Client& c, const Handle& node) {
    return rig.getattr(c, node).node.attr.change;
  }
  LeaseClaim claim(const Handle& node, Parts parts, uint64_t change, uint64_t write_since = 0) {
    return {.node = node, .parts = parts, .change = change, .write_since = write_since};
  }
  Parts kept(const ReclaimReply& reply, const Handle& node) {
    Parts parts = 0;
    for (const Grant& grant : reply.kept) {
      if (grant.ino == node.ino) parts |= LeaseTable::effective(grant.parts);
    }
    return parts;
  }
  void put(const std::string& key, const std::string& value) {
    Txn txn;
    txn.put(key, value);
    const Txn* batch = &txn;
    ASSERT_TRUE(rig.meta.commit_batch({&batch, 1}, Durability::kDurable).ok());
  }
  ReclaimReply nothing(Client& c) { return rig.reclaim(c, {.last = true}); }
  // Binds and tells that it holds nothing.
  void come_back(Client& c) {
    ASSERT_EQ(rig.bind(c).error, 0);
    ASSERT_EQ(nothing(c).error, 0);
  }
  LockRange range(LockType type, uint64_t owner) {
    LockRange range;
    range.type = type;
    range.owner.number = owner;
    return range;
  }
  Pending<LockReply> start_lock(Client& c, LockType type, uint64_t owner, bool waits) {
    LockArgs args{.node = file, .opener = opener(90 + owner, kAccessRead | kAccessWrite)};
    args.node = rig_handle(c);
    args.range = range(type, owner);
    args.wait = waits;
    Op op = c.next_op();
    return rig.start<LockReply>(c, &op, [args](Turn& t, LockReply& r) { return lock(t, args, r); });
  }
  LockReply locked(Client& c, LockType type, uint64_t owner, bool waits = false) {
    return rig.finish(start_lock(c, type, owner, waits));
  }
  // Of the file, as this session knows it.
  Handle rig_handle(Client& c) { return c.session->mac.seal(file.ino, file.gen); }

  Rig rig;
  Client a, b;
  Handle file;
};

TEST_F(Reclaim, a_session_goes_on_after_a_crash_with_what_is_dirty) {
  const Grant w = rig.getattr(a, file, kPartA | kPartW, true).node.grant;
  ASSERT_EQ(w.parts & kPartW, kPartW);
  ASSERT_FALSE(rig.write(a, file, 0, "lost", kWriteWriteback).stable);
  const uint64_t change = change_of(a, file), id = a.session->id, epoch = a.session->epoch;
  restart();
  SessionReply bound = rig.bind(a);
  ASSERT_EQ(bound.error, 0) << bound.why;
  EXPECT_TRUE(bound.reclaim);
  EXPECT_TRUE(bound.grace);
  EXPECT_EQ(a.session->id, id);
  EXPECT_EQ(a.session->epoch, epoch);
  ReclaimReply reply = rig.reclaim(a, {.leases = {claim(file, kAll, change, w.seq)}, .last = true});
  ASSERT_EQ(reply.error, 0) << reply.why;
  EXPECT_EQ(kept(reply, file), kAll);
  EXPECT_GT(reply.kept[0].seq, w.seq) << "above all of earlier boots";
  EXPECT_GT(reply.kept[0].space_bytes, 0u);
  // As it was sent before, under the grant of before.
  WriteArgs args{.node = file, .lease_seq = w.seq, .flags = kWriteWriteback};
  const std::string text = "there";
  args.data = {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
  EXPECT_EQ(rig.finish(rig.start_write(a, args)).error, 0);
  EXPECT_EQ(rig.commit(a, file).error, 0) << "also in the grace";
  EXPECT_EQ(rig.content(a, file), "there") << "by R";
  come_back(b);
  rig.pass(kNsPerSec);  // no recall follows a bind at once
  EXPECT_EQ(rig.content(b, rig_handle(b)), "there");
  EXPECT_EQ(rig.shard->stats().sessions_reclaimed, 2u);
  EXPECT_EQ(rig.shard->stats().leases_kept, 1u);
}

// Not even the size of a file is known while somebody may have it dirty.
TEST_F(Reclaim, everything_else_waits_until_all_have_come_back) {
  restart();
  come_back(a);
  Client c = rig.login();
  ASSERT_EQ(rig.login_error, 0);
  auto looked = rig.start_lookup(c, c.root.handle, {"f"});
  auto asked = rig.start_getattr(a, file);
  auto read = rig.start_read(a, file, 0, 10);
  auto made = rig.start_create(a, {.dir = a.root.handle, .name = "g", .mode = S_IFREG | 0644});
  rig.settle();
  EXPECT_FALSE(looked->has_value() || asked->has_value() || read->has_value() || made->has_value());
  EXPECT_EQ(rig.shard->renew(*a.session, a.session->epoch), Errno());
  ASSERT_EQ(rig.bind(b).error, 0);
  rig.settle();
  EXPECT_FALSE(looked->has_value()) << "bound is not enough";
  nothing(b);
  EXPECT_TRUE(looked->has_value() && asked->has_value() && read->has_value() && made->has_value());
}

TEST_F(Reclaim, nothing_is_done_for_a_session_before_it_has_told_all) {
  rig.getattr(a, file, kPartW, true);
  const uint64_t change = change_of(a, file),
                 seq = rig.shard->leases().seq(a.session->id, file.ino);
  restart();
  rig.bind(a);
  rig.reclaim(a, {.leases = {claim(file, kAll, change, seq)}});
  auto wrote = rig.start_write(a, file, 0, "early", kWriteWriteback);
  rig.settle();
  EXPECT_FALSE(wrote->has_value());
  nothing(a);
  ASSERT_TRUE(wrote->has_value());
  EXPECT_EQ((*wrote)->error, 0);
}

TEST_F(Reclaim, what_has_changed_since_is_not_kept) {
  const Handle dir = rig.mkdir(a, a.root.handle, "d").node.handle;
  rig.getattr(a, file, kPartA | kPartR, true);
  const uint64_t of_file = change_of(a, file), of_dir = change_of(a, dir);
  restart();
  rig.bind(a);
  ReclaimReply reply = rig.reclaim(a, {.leases = {claim(file, kPartA | kPartR | kPartP, of_file),
                                                  claim(dir, kPartA | kPartD | kPartP, of_dir - 1)},
                                       .last = true});
  EXPECT_EQ(kept(reply, file), kPartA | kPartR | kPartP);
  EXPECT_EQ(kept(reply, dir), kPartP);
  EXPECT_EQ(rig.shard->stats().leases_dropped, 1u);
}

// His own answer may have been lost: nobody else can have changed what W covers.
TEST_F(Reclaim, write_is_kept_though_the_inode_has_changed_but_not_over_an_older_store) {
  const Handle other = rig.create(a, a.root.handle, "g").node.handle;
  const uint64_t change = change_of(a, file), later = change_of(a, other) + 1;
  restart();
  rig.bind(a);
  ReclaimReply reply = rig.reclaim(
      a, {.leases = {claim(file, kAll, change - 1), claim(other, kAll, later)}, .last = true});
  EXPECT_EQ(kept(reply, file), kPartW | kPartR | kPartP);
  EXPECT_EQ(kept(reply, other), kPartP);
}

TEST_F(Reclaim, a_write_from_before_the_lease_comes_too_late) {
  const uint64_t change = change_of(a, file);
  restart();
  rig.bind(a);
  rig.reclaim(a, {.leases = {claim(file, kAll, change, 40)}, .last = true});
  for (const auto& [seq, error] : {std::pair{39u, ESTALE}, std::pair{40u, 0}}) {
    WriteArgs args{.node = file, .lease_seq = seq, .flags = kWriteWriteback};
    args.data = {reinterpret_cast<const uint8_t*>("x"), 1};
    EXPECT_EQ(rig.finish(rig.start_write(a, args)).error, error) << seq;
  }
}

TEST_F(Reclaim, who_claims_what_another_holds_is_ended_and_the_other_unharmed) {
  rig.getattr(a, file, kPartW, true);
  const uint64_t change = change_of(a, file);
  restart();
  rig.bind(a);
  rig.bind(b);
  ASSERT_EQ(kept(rig.reclaim(a, {.leases = {claim(file, kAll, change)}, .last = true}), file),
            kAll);
  ReclaimReply refused =
      rig.reclaim(b, {.leases = {claim(rig_handle(b), kPartR | kPartP, change)}});
  EXPECT_EQ(refused.error, EPROTO);
  EXPECT_EQ(refused.why, "another session holds what is claimed");
  EXPECT_TRUE(refused.kept.empty());
  EXPECT_EQ(b.peer->evictions.size(), 1u);
  EXPECT_FALSE(b.session->live());
  EXPECT_EQ(rig.held(a, file.ino) & kPartW, kPartW);
  EXPECT_EQ(rig.write(a, file, 0, "mine", kWriteWriteback).error, 0);
  EXPECT_EQ(rig.getattr(a, file).error, 0) << "nobody is waited for any more";
}

TEST_F(Reclaim, who_does_not_come_back_is_ended_durably_before_others_go_on) {
  restart();
  come_back(a);
  auto asked = rig.start_getattr(a, file, kPartW, true);
  rig.pass(20 * kNsPerSec);
  rig.shard->renew(*a.session, a.session->epoch);
  EXPECT_FALSE(asked->has_value());
  rig.hold_commits = true;
  rig.pass(2 * kNsPerSec);
  EXPECT_FALSE(asked->has_value()) << "a crash now would bring it back";
  EXPECT_EQ(rig.records('S'), 2u);
  EXPECT_EQ(rig.bind(b).error, ESTALE);
  rig.hold_commits = false;
  rig.settle();
  ASSERT_TRUE(asked->has_value());
  EXPECT_EQ((*asked)->error, 0);
  EXPECT_EQ(rig.records('S'), 1u);
  EXPECT_EQ(rig.bind(b).error, ESTALE);
}

TEST_F(Reclaim, the_end_of_who_does_not_come_back_is_durable_in_relaxed_mode_too) {
  rig.halt(true);
  rig.options.relaxed = true;
  rig.boot(false);
  come_back(a);
  auto asked = rig.start_getattr(a, file);
  rig.pass(30 * kNsPerSec);
  ASSERT_TRUE(asked->has_value());
  restart();
  EXPECT_EQ(rig.bind(b).error, ESTALE);
  EXPECT_EQ(rig.bind(a).error, 0);
}

TEST_F(Reclaim, who_is_telling_gets_one_more_term_at_most) {
  rig.options.term_ns = 20 * kNsPerSec;
  restart();
  come_back(b);
  rig.bind(a);
  const int64_t begin_ns = rig.now_ns;
  while (a.session->live() && rig.now_ns < begin_ns + 100 * kNsPerSec) {
    rig.pass(kNsPerSec);
    rig.reclaim(a, {.leases = {claim(file, kPartP, 0)}});
  }
  const int64_t lived_ns = rig.now_ns - begin_ns;
  EXPECT_GE(lived_ns, 2 * rig.shard->server_term_ns());
  EXPECT_LE(lived_ns, 2 * rig.shard->server_term_ns() + 2 * kNsPerSec);
}

TEST_F(Reclaim, who_stops_telling_gets_no_more_time) {
  restart();
  come_back(b);
  rig.bind(a);
  rig.reclaim(a, {.leases = {claim(file, kPartP, 0)}});
  rig.pass(rig.shard->server_term_ns() + kNsPerSec);
  EXPECT_FALSE(a.session->live());
}

TEST_F(Reclaim, a_change_without_an_answer_is_found_done) {
  CreateArgs args{.dir = a.root.handle, .name = "once", .mode = S_IFREG | 0644};
  args.flags = kCreateExcl;
  const uint64_t ino = rig.finish(rig.start_create(a, args)).node.handle.ino;
  const Op op = a.op;
  restart();
  SessionReply bound = rig.bind(a);
  ASSERT_LT(op.slot, bound.slot_seqs.size());
  EXPECT_EQ(bound.slot_seqs[op.slot], op.slot_seq);
  nothing(a);
  auto content = std::make_shared<ContentChange>();
  auto body = [args, content](Turn& t, ChangedReply& r) {
    return server::create(t, args, content, r);
  };
  ChangedReply again = rig.finish(rig.start<ChangedReply>(a, &op, body));
  EXPECT_EQ(again.error, 0);
  EXPECT_TRUE(again.replayed);
  EXPECT_EQ(again.node.handle.ino, ino);
  EXPECT_EQ(rig.finish(rig.start<ChangedReply>(a, &op, body, 8)).error, EPROTO);
}

// The answer to the truncation, and the writes sent before it, were lost with the server.
TEST_F(Reclaim, what_was_written_before_a_truncation_is_cut_to_its_size_and_no_more) {
  const Grant w = rig.getattr(a, file, kPartA | kPartW, true).node.grant;
  ASSERT_EQ(w.parts & kPartW, kPartW);
  rig.setattr(a, file, kSetSize, size_of(8));
  rig.setattr(a, file, kSetSize, size_of(5));
  const uint64_t change = rig.setattr(a, file, kSetSize, size_of(7)).node.attr.change;
  ASSERT_EQ(rig.held(a, file.ino) & kPartW, kPartW);
  restart();
  rig.bind(a);
  ReclaimReply reply = rig.reclaim(a, {.leases = {claim(file, kAll, change, w.seq)}, .last = true});
  ASSERT_EQ(kept(reply, file) & kPartW, kPartW);
  const std::string text = "hello world";
  auto write = [&](uint32_t gen) {
    WriteArgs args{.node = file, .lease_seq = w.seq, .trunc_gen = gen, .has_trunc_gen = true};
    args.flags = kWriteWriteback;
    args.data = {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
    WriteAnswer wrote = rig.finish(rig.start_write(a, args));
    EXPECT_EQ(wrote.error, 0);
    EXPECT_EQ(wrote.count, text.size());
    EXPECT_EQ(rig.commit(a, file).error, 0);
    return rig.content(a, file);
  };
  EXPECT_EQ(write(0), std::string("hello\0\0", 7));
  EXPECT_EQ(write(2), "hello w");
  EXPECT_EQ(write(3), text);
}

// Whatever the verifier of this boot: what it made durable stays so.
TEST_F(Reclaim, a_commit_without_an_answer_tells_the_verifier_of_then) {
  rig.getattr(a, file, kPartW, true);
  const uint64_t verifier = rig.write(a, file, 0, "dirty", kWriteWriteback).verifier;
  ASSERT_EQ(rig.commit(a, file).verifier, verifier);
  const Op op = a.op;
  restart();
  ASSERT_NE(rig.shard->verifier(), verifier);
  come_back(a);
  auto body = [](Turn&, WriteAnswer&) { return Errno(EIO); };
  WriteAnswer again = rig.finish(rig.start<WriteAnswer>(a, &op, body));
  EXPECT_EQ(again.error, 0);
  EXPECT_TRUE(again.replayed);
  EXPECT_EQ(again.verifier, verifier);
}

// A COMMIT of somebody else's that stands before its own in the file's lane must not bring the
// bytes without the record.
TEST_F(Reclaim, an_append_without_an_answer_is_found_done_or_not_made) {
  std::string content;
  for (int durable = 1; durable <= 3; ++durable) {
    rig.getattr(a, file, kPartW, true);
    ASSERT_FALSE(rig.write(a, file, content.size(), "-", kWriteWriteback).stable);
    rig.hold_commits = true;
    a.slot = 10;
    auto first = rig.start_commit(a, file);
    rig.settle();
    const std::string text = std::to_string(durable);
    WriteArgs args{.node = rig_handle(b), .append = true};
    args.data = {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
    auto append = rig.start_write(b, args);
    a.slot = 11;
    auto foreign = rig.start_commit(a, file);
    rig.settle();
    for (int i = 0; i < durable; ++i) {
      rig.commits->step();
      rig.settle();
    }
    rig.hold_commits = false;
    restart();
    come_back(a);
    come_back(b);
    auto state = std::make_shared<WriteState>();
    WriteAnswer again =
        rig.finish(rig.start<WriteAnswer>(b, &b.op, [args, state](Turn& t, WriteAnswer& r) {
          return server::write(t, args, state, r);
        }));
    EXPECT_EQ(again.error, 0);
    EXPECT_EQ(again.off, content.size() + 1);
    content += "-" + text;
    EXPECT_EQ(rig.content(a, file), content) << durable;
  }
}

// The open is the server's memory: the replay brings it back, and keeps the file until then.
TEST_F(Reclaim, what_a_change_without_an_answer_has_opened_stays) {
  CreateArgs args{.dir = a.root.handle, .mode = S_IFREG | 0600, .flags = kCreateTmpfile};
  args.opener = opener(5, kAccessRead | kAccessWrite);
  const Handle node = rig.finish(rig.start_create(a, args)).node.handle;
  const Op op = a.op;
  restart();
  come_back(a);
  come_back(b);
  EXPECT_EQ(rig.records('O'), 1u) << "the retry may be on its way";
  auto content = std::make_shared<ContentChange>();
  rig.finish(rig.start<ChangedReply>(
      a, &op,
      [args, content](Turn& t, ChangedReply& r) { return server::create(t, args, content, r); }, 7,
      {.opens = opened_by(args)}));
  EXPECT_NE(rig.shard->opens().find(a.session->id, node.ino, 5), nullptr);
  rig.pass(15 * kNsPerSec);
  rig.shard->renew(*a.session, a.session->epoch);
  rig.pass(15 * kNsPerSec);
  rig.shard->renew(*a.session, a.session->epoch);
  EXPECT_EQ(rig.link(a, node, a.root.handle, "named").error, 0) << "it never had a name";
}

TEST_F(Reclaim, what_was_opened_by_a_change_that_is_never_sent_again_goes) {
  CreateArgs args{.dir = a.root.handle, .mode = S_IFREG | 0600, .flags = kCreateTmpfile};
  args.opener = opener(5, kAccessRead | kAccessWrite);
  rig.finish(rig.start_create(a, args));
  restart();
  come_back(a);
  come_back(b);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(rig.records('O'), 1u);
    rig.pass(15 * kNsPerSec);
    rig.shard->renew(*a.session, a.session->epoch);
    rig.settle();
  }
  EXPECT_EQ(rig.records('O'), 0u);
}

TEST_F(Reclaim, what_is_open_without_a_name_lives_on_and_the_rest_is_reaped) {
  const Handle other = rig.create(a, a.root.handle, "g").node.handle;
  for (const Handle& node : {file, other}) {
    rig.open(a, node, opener(node.ino, kAccessRead));
    rig.write(a, node, 0, "still there");
  }
  rig.unlink(b, b.root.handle, "f");
  rig.unlink(b, b.root.handle, "g");
  // Later changes, so that no retry of those may come.
  rig.mkdir(a, a.root.handle, "x");
  rig.mkdir(b, b.root.handle, "y");
  ASSERT_EQ(rig.records('O'), 2u);
  restart();
  rig.bind(a);
  rig.reclaim(a,
              {.opens = {{.node = file, .opener = opener(file.ino, kAccessRead)}}, .last = true});
  EXPECT_EQ(rig.records('O'), 2u);
  come_back(b);
  EXPECT_EQ(rig.records('O'), 1u);
  EXPECT_EQ(rig.finish(rig.start_read(a, file, 0, 100, opener(file.ino, kAccessRead))).size, 11u);
  EXPECT_EQ(rig.getattr(a, other).error, ESTALE);
  rig.shard->release(*a.session, {}, {file.ino});
  rig.settle();
  EXPECT_EQ(rig.records('O'), 0u);
}

TEST_F(Reclaim, an_open_is_authorised_by_itself_of_those_who_are_trusted) {
  Client forced = rig.login(user(1000), false, "", true);
  ASSERT_FALSE(forced.session->principal.anyone);
  Kstat mode;
  mode.mode = 0600;
  ASSERT_EQ(rig.setattr(a, file, kSetMode, mode).error, 0);
  const Handle of_forced = rig_handle(forced);
  restart();
  for (Client* c : {&a, &b, &forced}) rig.bind(*c);
  const Opener open = opener(7, kAccessRead, user(1000));
  nothing(b);
  rig.reclaim(a, {.opens = {{.node = file, .opener = open}}, .last = true});
  rig.reclaim(forced, {.opens = {{.node = of_forced, .opener = open}}, .last = true});
  EXPECT_EQ(rig.read(a, file, 0, 1, open).error, 0);
  EXPECT_EQ(rig.read(forced, of_forced, 0, 1, open).error, EACCES);
}

TEST_F(Reclaim, who_is_not_trusted_gets_no_write_lease_past_privileges) {
  Client forced = rig.login(user(1000), false, "", true);
  Kstat mode;
  mode.mode = 04777;
  ASSERT_EQ(rig.setattr(a, file, kSetMode, mode).error, 0);
  const uint64_t change = change_of(a, file);
  restart();
  rig.bind(forced);
  EXPECT_EQ(kept(rig.reclaim(forced, {.leases = {claim(rig_handle(forced), kAll, change)}}), file) &
                kPartW,
            0);
}

TEST_F(Reclaim, locks_come_back_and_those_who_wait_go_on_waiting) {
  ASSERT_EQ(locked(a, LockType::kWrite, 1).error, 0);
  const uint64_t ticket = locked(b, LockType::kWrite, 2, true).lock_id;
  ASSERT_NE(ticket, 0u);
  restart();
  rig.bind(b);
  ReclaimReply waits = rig.reclaim(
      b, {.locks = {{.node = rig_handle(b), .range = range(LockType::kWrite, 2), .ticket = ticket}},
          .last = true});
  ASSERT_EQ(waits.locks.size(), 1u);
  EXPECT_EQ(waits.locks[0].error, 0);
  EXPECT_EQ(waits.locks[0].ticket, ticket);
  rig.pass(20 * kNsPerMs);  // a grant is told a little after the bind
  EXPECT_TRUE(b.peer->locks.empty()) << "who holds it has not said so";
  rig.bind(a);
  ReclaimReply holds = rig.reclaim(
      a, {.locks = {{.node = file, .range = range(LockType::kWrite, 1)}}, .last = true});
  rig.pass(20 * kNsPerMs);
  EXPECT_EQ(holds.locks[0].error, 0);
  EXPECT_TRUE(b.peer->locks.empty());
  const LockReply unlocked = locked(a, LockType::kUnlock, 1);
  EXPECT_EQ(unlocked.error, 0);
  EXPECT_EQ(b.peer->locks, (std::vector<uint64_t>{ticket}));
  EXPECT_GT(unlocked.seq >> 32, 0u) << "numbers of locks, too, are above those of earlier boots";
}

TEST_F(Reclaim, a_lock_that_another_has_told_of_is_refused) {
  restart();
  rig.bind(a);
  rig.bind(b);
  rig.reclaim(a, {.locks = {{.node = file, .range = range(LockType::kWrite, 1)}}, .last = true});
  ReclaimReply reply =
      rig.reclaim(b, {.locks = {{.node = rig_handle(b), .range = range(LockType::kRead, 2)},
                                {.node = rig_handle(b), .range = {}, .error = Errno(EINVAL)}}});
  EXPECT_EQ(reply.error, 0);
  ASSERT_EQ(reply.locks.size(), 2u);
  EXPECT_EQ(reply.locks[0].error, EAGAIN);
  EXPECT_EQ(reply.locks[1].error, EINVAL);
  EXPECT_TRUE(b.session->live());
}

// Nobody takes the number of another's ticket away from him.
TEST_F(Reclaim, a_ticket_whose_number_is_taken_gets_another_one) {
  ASSERT_EQ(locked(a, LockType::kWrite, 1).error, 0);
  const uint64_t ticket = locked(b, LockType::kWrite, 2, true).lock_id;
  restart();
  rig.bind(a);
  rig.bind(b);
  const LockClaim waits{.node = file, .range = range(LockType::kWrite, 9), .ticket = ticket};
  EXPECT_EQ(rig.reclaim(a, {.locks = {waits}, .last = true}).locks[0].ticket, ticket);
  ReclaimReply other = rig.reclaim(
      b, {.locks = {
              {.node = rig_handle(b), .range = range(LockType::kWrite, 2), .ticket = ticket},
              {.node = rig_handle(b), .range = range(LockType::kWrite, 3), .ticket = 1ull << 40}}});
  EXPECT_EQ(other.locks[0].error, 0);
  EXPECT_NE(other.locks[0].ticket, ticket);
  EXPECT_NE(other.locks[1].ticket, 1ull << 40) << "a number of the future";
}

TEST_F(Reclaim, what_no_honest_client_says_is_refused) {
  const uint64_t change = change_of(a, file);
  ReclaimReply early = rig.reclaim(a, {.leases = {claim(file, kAll, change)}});
  EXPECT_EQ(early.error, EPROTO) << "nothing was asked for";
  restart();
  ReclaimReply unbound = rig.shard->reclaim(rig.shard->sessions().find(a.session->id),
                                            {.leases = {claim(file, kAll, change)}});
  EXPECT_EQ(unbound.error, EPROTO);
  EXPECT_EQ(unbound.why, "the session has nothing to reclaim");
  rig.bind(a);
  ReclaimReply foreign = rig.reclaim(a, {.leases = {claim(rig_handle(b), kAll, change)}});
  EXPECT_EQ(foreign.error, EPROTO);
  EXPECT_EQ(rig.reclaim(a, {.opens = {{.node = rig_handle(b), .opener = opener(1, 1)}}}).error,
            EPROTO);
  EXPECT_EQ(rig.reclaim(a, {.locks = {{.node = rig_handle(b)}}}).error, EPROTO);
  std::vector<LeaseClaim> many(4097, claim(file, kPartP, change));
  EXPECT_EQ(rig.reclaim(a, {.leases = many}).error, EPROTO);
  many.pop_back();
  EXPECT_EQ(rig.reclaim(a, {.leases = many}).error, 0);
  const Handle nowhere = a.session->mac.seal(file.ino + 1000, 1);
  const Handle older = a.session->mac.seal(file.ino, file.gen + 1);
  ReclaimReply gone =
      rig.reclaim(a, {.leases = {claim(nowhere, kAll, change), claim(older, kAll, change)},
                      .opens = {{.node = nowhere, .opener = opener(1, 1)}},
                      .last = true});
  EXPECT_EQ(gone.error, 0);
  EXPECT_TRUE(gone.kept.empty());
  EXPECT_FALSE(rig.shard->opens().any(nowhere.ino));
  EXPECT_EQ(nothing(a).error, EPROTO) << "twice";
  EXPECT_TRUE(a.session->live());
  rig.bind(b);
  rig.pass(Rig::kAfterGrace_ns);
  EXPECT_EQ(rig.reclaim(b, {.leases = {claim(rig_handle(b), kAll, change)}}).error, ESTALE);
  EXPECT_EQ(rig.getattr(a, file).error, 0);
}

TEST_F(Reclaim, a_connection_that_breaks_in_the_middle_begins_anew) {
  const Handle other = rig.create(a, a.root.handle, "g").node.handle;
  const uint64_t change = change_of(a, file);
  restart();
  rig.bind(a);
  rig.reclaim(a, {.leases = {claim(file, kPartP, change), claim(other, kPartP, 0)},
                  .opens = {{.node = other, .opener = opener(3, kAccessRead)}},
                  .locks = {{.node = file, .range = range(LockType::kWrite, 1)}}});
  EXPECT_TRUE(rig.bind(a).reclaim);
  EXPECT_EQ(rig.held(a, file.ino), 0);
  EXPECT_FALSE(rig.shard->opens().any(other.ino));
  EXPECT_TRUE(rig.shard->locks().all_holders().empty());
  rig.reclaim(a, {.leases = {claim(file, kPartP, change)}, .last = true});
  EXPECT_EQ(rig.held(a, file.ino), kPartP);
  EXPECT_EQ(rig.held(a, other.ino), 0);
}

TEST_F(Reclaim, an_answer_that_was_lost_is_given_again) {
  const uint64_t verifier = rig.shard->verifier(), change = change_of(a, file);
  restart();
  EXPECT_TRUE(rig.bind(a, verifier).reclaim);
  rig.reclaim(a, {.leases = {claim(file, kPartA | kPartP, change)},
                  .locks = {{.node = file, .range = range(LockType::kWrite, 1)}},
                  .last = true});
  come_back(b);
  ASSERT_TRUE(rig.bind(a, verifier).reclaim) << "it does not know that it was heard";
  ReclaimReply again =
      rig.reclaim(a, {.leases = {claim(file, kPartA | kPartR | kPartP, change)},
                      .locks = {{.node = file, .range = range(LockType::kWrite, 1)}},
                      .last = true});
  EXPECT_EQ(again.error, 0);
  EXPECT_EQ(kept(again, file), kPartA | kPartP) << "no more than it was given";
  EXPECT_EQ(again.locks[0].error, 0);
  EXPECT_FALSE(rig.bind(a, rig.shard->verifier()).reclaim);
  EXPECT_EQ(rig.shard->stats().sessions_reclaimed, 2u);
}

TEST_F(Reclaim, a_server_that_dies_again_meanwhile_loses_nobody) {
  const uint64_t change = change_of(a, file);
  restart();
  rig.bind(a);
  rig.reclaim(a, {.leases = {claim(file, kAll, change)}, .last = true});
  restart();
  for (Client* c : {&a, &b}) {
    EXPECT_TRUE(rig.bind(*c).reclaim);
    nothing(*c);
  }
  EXPECT_EQ(rig.getattr(a, file).error, 0);
}

TEST_F(Reclaim, an_older_store_is_noticed_though_it_counts_its_boots_once_more) {
  restart();  // both boots are the second one of their store
  const uint64_t lost = rig.shard->verifier();
  Rig other;
  other.login();
  other.halt(true);
  other.boot(false);
  ASSERT_NE(other.shard->verifier() >> 32, lost >> 32);
  const uint64_t known = rig.shard->verifier();
  SessionReply refused = rig.bind(a, other.shard->verifier());
  EXPECT_EQ(refused.error, ESTALE);
  EXPECT_EQ(refused.why, "the server's store is older than what the client has seen");
  EXPECT_EQ(rig.bind(a, known).error, 0);
}

TEST_F(Reclaim, who_logs_in_anew_has_given_his_session_up) {
  restart();
  come_back(a);
  auto asked = rig.start_getattr(a, file);
  rig.clients = 1;
  Client again = rig.login();  // as b
  EXPECT_NE(again.session->id, b.session->id);
  ASSERT_TRUE(asked->has_value());
  EXPECT_EQ(rig.bind(b).error, ESTALE);
}

TEST_F(Reclaim, a_session_whose_export_has_other_terms_is_not_bound) {
  rig.halt(true);
  rig.options.exports = {{.path = "/", .read_only = true}};
  rig.boot(false);
  EXPECT_EQ(rig.bind(a).error, EACCES);
  a.session->secret.clear();
  EXPECT_EQ(rig.bind(a).error, EACCES) << "nor without a secret";
  Client c = rig.login();
  auto asked = rig.start_lookup(c, c.root.handle, {"f"});
  rig.settle();
  EXPECT_FALSE(asked->has_value()) << "its client may still use what it has";
  rig.pass(Rig::kAfterGrace_ns);
  EXPECT_TRUE(asked->has_value());
}

TEST_F(Reclaim, a_server_that_forgets_binds_nobody_and_waits_all_the_same) {
  rig.halt(true);
  rig.options.forget_sessions = true;
  rig.boot(false);
  EXPECT_EQ(rig.bind(a).error, EACCES);
  Client c = rig.login();
  auto asked = rig.start_lookup(c, c.root.handle, {"f"});
  rig.settle();
  EXPECT_FALSE(asked->has_value());
  rig.clients = 0;
  rig.login();  // as a
  rig.login();  // as b
  EXPECT_TRUE(asked->has_value());
}

// Everything came back: nobody waits but for locks, and what is open lives.
TEST_F(Reclaim, after_an_orderly_stop_there_is_no_grace) {
  rig.open(a, file, opener(5, kAccessRead));
  rig.unlink(b, b.root.handle, "f");
  ASSERT_EQ(locked(a, LockType::kWrite, 1).error, 0);
  const uint64_t change = change_of(a, file);
  rig.mkdir(a, a.root.handle, "x");
  rig.mkdir(b, b.root.handle, "y");
  stop();
  EXPECT_EQ(rig.records('S'), 2u);
  Client c = rig.login();
  EXPECT_EQ(rig.names(c, c.root.handle), (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(rig.mkdir(c, c.root.handle, "z").error, 0);
  c.slot = 10;
  auto waiting = start_lock(c, LockType::kWrite, 3, false);
  rig.settle();
  EXPECT_FALSE(waiting->has_value());
  come_back(b);
  rig.bind(a);
  ReclaimReply reply =
      rig.reclaim(a, {.leases = {claim(file, kAll, change)},
                      .opens = {{.node = file, .opener = opener(5, kAccessRead)}},
                      .locks = {{.node = file, .range = range(LockType::kWrite, 1)}},
                      .last = true});
  EXPECT_EQ(kept(reply, file) & kPartW, 0) << "that was given back";
  ASSERT_TRUE(waiting->has_value());
  EXPECT_EQ((*waiting)->error, EAGAIN);
  EXPECT_EQ(rig.read(a, file, 0, 1, opener(5, kAccessRead)).error, 0);
}

TEST_F(Reclaim, after_an_orderly_stop_who_had_no_locks_holds_up_nobody) {
  stop();
  Client c = rig.login();
  file = rig.lookup(c, c.root.handle, {"f"}).nodes[0].handle;
  EXPECT_EQ(locked(c, LockType::kWrite, 3).error, 0);
  // But what it gave back before the stop does not count for the next one.
  restart();
  auto asked = rig.start_getattr(c, file);
  rig.settle();
  EXPECT_FALSE(asked->has_value());
}

TEST_F(Reclaim, after_an_orderly_stop_a_name_may_go_that_somebody_has_open) {
  rig.open(a, file, opener(5, kAccessRead));
  stop();
  Client c = rig.login();
  ASSERT_EQ(rig.unlink(c, c.root.handle, "f").error, 0);
  EXPECT_EQ(rig.records('O'), 1u);
  come_back(b);
  rig.bind(a);
  rig.reclaim(a, {.opens = {{.node = file, .opener = opener(5, kAccessRead)}}, .last = true});
  EXPECT_EQ(rig.read(a, file, 0, 1, opener(5, kAccessRead)).error, 0);
  rig.shard->release(*a.session, {}, {5});
  for (Client* it : {&a, &c})
    rig.shard->release(*it->session, {Grant{.ino = file.ino, .parts = 0xffff, .seq = UINT64_MAX}},
                       {});
  rig.pass(30 * kNsPerSec);
  rig.shard->renew(*a.session, a.session->epoch);
  rig.shard->renew(*b.session, b.session->epoch);
  rig.settle();
  EXPECT_EQ(rig.records('O'), 0u);
}

TEST_F(Reclaim, a_session_of_a_process_that_has_ended_is_not_waited_for) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  LoginArgs args;
  args.peer.is_unix = true;
  args.peer.address = "unix:uid=0,pid=" + std::to_string(child);
  args.client = std::string(16, 'q');
  args.callback = std::make_shared<FakePeer>();
  rig.shard->login(std::move(args), [](SessionReply) {});
  rig.settle();
  ASSERT_EQ(rig.records('S'), 3u);
  restart();
  EXPECT_EQ(rig.records('S'), 2u);
  come_back(a);
  come_back(b);
  EXPECT_EQ(rig.getattr(a, file).error, 0);
}

TEST_F(Reclaim, a_process_that_is_not_there_tells_nothing_on_another_host) {
  const std::string key = session_key(b.session->id);
  SessionRecord record = SessionRecord::decode(**rig.meta.get(key)).value();
  record.address = "unix:uid=0,pid=2147483647";
  put(key, record.encode());
  put(meta_key(kMetaHost), "of another machine");
  restart();
  come_back(a);
  auto asked = rig.start_getattr(a, file);
  rig.settle();
  EXPECT_FALSE(asked->has_value());
  restart();
  come_back(a);
  EXPECT_EQ(rig.getattr(a, file).error, 0);
}

TEST_F(Reclaim, who_was_told_a_longer_term_is_waited_for_as_long) {
  auto answered_after = [&](int64_t ns) {
    restart();
    come_back(a);
    auto asked = rig.start_getattr(a, file);
    rig.pass(ns);
    return asked->has_value();
  };
  rig.options.term_ns = kNsPerSec;
  EXPECT_FALSE(answered_after(20 * kNsPerSec));
  EXPECT_FALSE(answered_after(20 * kNsPerSec)) << "the server died again";
  EXPECT_TRUE(answered_after(22 * kNsPerSec));
  b = rig.login();  // who is told the shorter one
  EXPECT_FALSE(answered_after(kNsPerSec));
  EXPECT_TRUE(answered_after(3 * kNsPerSec));
}

TEST_F(Reclaim, a_session_inside_the_servers_own_process_ends_with_it) {
  LoginArgs args;
  args.peer.is_unix = true;
  args.peer.pid = getpid();
  args.client = std::string(16, 'q');
  args.callback = std::make_shared<FakePeer>();
  rig.shard->login(std::move(args), [](SessionReply) {});
  rig.settle();
  restart();
  EXPECT_EQ(rig.records('S'), 2u);
}

// Its client may use what he has cached, whatever that is.
TEST_F(Reclaim, a_session_whose_record_is_damaged_is_waited_for_and_not_bound) {
  put(session_key(b.session->id), "nonsense");
  restart();
  come_back(a);
  EXPECT_EQ(rig.bind(b).error, ESTALE);
  auto asked = rig.start_getattr(a, file);
  rig.settle();
  EXPECT_FALSE(asked->has_value());
  rig.pass(Rig::kAfterGrace_ns);
  EXPECT_TRUE(asked->has_value());
  EXPECT_EQ(rig.records('S'), 1u);
}

TEST_F(Reclaim, a_damaged_reply_record_ends_its_session_and_no_other) {
  rig.create(a, a.root.handle, "g");
  put(reply_key(a.session->id, a.slot), "nonsense");
  restart();
  EXPECT_EQ(rig.bind(a).error, EACCES);
  EXPECT_EQ(rig.bind(b).error, 0);
}

TEST_F(Reclaim, requests_that_wait_for_the_grace_end_with_their_session) {
  restart();
  come_back(a);
  auto asked = rig.start_getattr(a, file);
  rig.settle();
  rig.shard->close(a.session, [](Errno) {});
  rig.settle();
  ASSERT_TRUE(asked->has_value());
  EXPECT_EQ((*asked)->error, ESTALE);
}

TEST_F(Reclaim, no_session_has_more_waiting_than_it_may) {
  restart();
  come_back(a);
  std::vector<Pending<NodeOnlyReply>> all;
  for (uint32_t i = 0; i <= kSessionParkedMax; ++i) all.push_back(rig.start_getattr(a, file));
  rig.settle();
  EXPECT_FALSE(all.front()->has_value());
  ASSERT_TRUE(all.back()->has_value());
  EXPECT_EQ((*all.back())->error, kOverloaded);
  come_back(b);
  for (uint32_t i = 0; i < kSessionParkedMax; ++i) {
    ASSERT_TRUE(all[i]->has_value());
    EXPECT_EQ((*all[i])->error, 0);
  }
}

}  // namespace
}  // namespace myfs::server
