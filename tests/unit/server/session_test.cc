#include <gtest/gtest.h>

#include "tests/unit/server/rig.h"

namespace myfs::server {
namespace {

class Sessions : public testing::Test {
 protected:
  SessionReply login(LoginArgs args) {
    args.client = std::string(16, 'z');
    if (args.callback == nullptr) args.callback = std::make_shared<FakePeer>();
    std::optional<SessionReply> reply;
    rig.shard->login(std::move(args), [&](SessionReply r) { reply = std::move(r); });
    rig.settle();
    EXPECT_TRUE(reply.has_value());
    return reply ? std::move(*reply) : SessionReply();
  }
  int close(Client& c) {
    std::optional<int> error;
    rig.shard->close(c.session, [&](Errno e) { error = e.value(); });
    rig.settle();
    return error.value_or(-1);
  }

  Rig rig{false};
};

TEST_F(Sessions, a_session_is_recorded_before_it_is_answered) {
  rig.boot();
  rig.hold_commits = true;
  LoginArgs args;
  args.peer.is_unix = true;
  args.client = std::string(16, 'z');
  bool answered = false;
  rig.shard->login(args, [&](SessionReply) { answered = true; });
  rig.settle();
  EXPECT_FALSE(answered);
  rig.hold_commits = false;
  rig.settle();
  EXPECT_TRUE(answered);
  EXPECT_EQ(rig.records('S'), 1u);
}

TEST_F(Sessions, unix_peers_act_for_themselves_unless_they_are_root_or_the_server) {
  rig.options.auth.server_uid = 500;
  rig.boot();
  LoginArgs args;
  args.peer.is_unix = true;
  args.peer.uid = 1000;
  args.peer.gid = 100;
  args.peer.groups = {100, 7};
  args.cred = user(0);
  SessionReply forced = login(args);
  ASSERT_EQ(forced.error, 0);
  EXPECT_FALSE(forced.session->principal.anyone);
  EXPECT_EQ(forced.session->principal.acting_as(user(0)).uid, 1000u);
  EXPECT_TRUE(forced.session->principal.acting_as(user(0)).in_group(7));
  args.peer.uid = 500;
  EXPECT_TRUE(login(args).session->principal.anyone);
  args.peer.uid = 0;
  EXPECT_TRUE(login(args).session->principal.anyone);
}

TEST_F(Sessions, tcp_peers_prove_the_secret) {
  rig.options.auth.secret = "swordfish";
  rig.boot();
  LoginArgs args;
  args.challenge = "challenge";
  SessionReply refused = login(args);
  EXPECT_EQ(refused.error, EACCES);
  EXPECT_NE(refused.why.find("secret_file"), std::string::npos);
  args.proof = hmac_sha256("swordfish", "challenge" + std::string(16, 'z'));
  EXPECT_EQ(login(args).error, 0);
  args.proof[5] ^= 1;
  EXPECT_EQ(login(args).error, EACCES);
  args.proof = hmac_sha256("swordfish", "another" + std::string(16, 'z'));
  EXPECT_EQ(login(args).error, EACCES);
}

TEST_F(Sessions, tcp_without_a_secret_needs_the_insecure_option) {
  rig.boot();
  EXPECT_EQ(login({}).error, EACCES);
  rig.halt();
  rig.options.auth.insecure_tcp = true;
  rig.boot();
  EXPECT_EQ(login({}).error, 0);
}

TEST_F(Sessions, hmac_is_the_one_of_the_standard) {
  std::string mac = hmac_sha256(std::string(20, '\x0b'), "Hi There");  // RFC 4231, case 1
  EXPECT_EQ(static_cast<unsigned char>(mac[0]), 0xb0);
  EXPECT_EQ(static_cast<unsigned char>(mac[31]), 0xf7);
}

TEST_F(Sessions, users_who_are_not_root_have_a_limit) {
  rig.boot();
  Principal one{.anyone = false, .cred = user(1000)};
  SessionTable table;
  for (size_t i = 0; i < kSessionsPerUserMax; ++i) {
    auto session = std::make_shared<Session>();
    session->id = i + 1;
    session->principal = one;
    EXPECT_TRUE(table.admits(one).ok());
    table.add(session);
  }
  EXPECT_EQ(table.admits(one), Errno(EUSERS));
  EXPECT_TRUE(table.admits(Principal{.anyone = false, .cred = user(1001)}).ok());
}

TEST_F(Sessions, data_tokens_are_used_once) {
  rig.boot();
  Client a = rig.login();
  EXPECT_EQ(rig.shard->attach_data({}, a.session->id, std::string(16, 'x')), nullptr);
  EXPECT_EQ(rig.shard->attach_data({}, a.session->id + 1, a.token), nullptr);
  EXPECT_EQ(rig.shard->attach_data({}, a.session->id, a.token), a.session);
  EXPECT_EQ(rig.shard->attach_data({}, a.session->id, a.token), nullptr);
}

TEST_F(Sessions, close_returns_everything_durably) {
  rig.boot();
  Client a = rig.login();
  rig.create(a, a.root.handle, "f");
  EXPECT_GT(rig.shard->leases().leases_of(a.session->id), 0u);
  EXPECT_GT(rig.records('R'), 0u);
  EXPECT_EQ(close(a), 0);
  EXPECT_EQ(rig.records('S'), 0u);
  EXPECT_EQ(rig.records('R'), 0u);
  EXPECT_EQ(rig.shard->leases().size(), 0u);
  EXPECT_EQ(rig.getattr(a, a.root.handle).error, ESTALE);
  EXPECT_EQ(close(a), ESTALE);
}

// Its connection was given up long ago; the client has bound the session anew and been granted
// more.
TEST_F(Sessions, a_bind_that_comes_late_takes_nothing_over) {
  rig.boot();
  Client a = rig.login();
  const Handle file = rig.create(a, a.root.handle, "f").node.handle;
  ASSERT_EQ(rig.bind(a, 0, {}, 2).error, 0);
  ASSERT_NE(rig.getattr(a, file, kPartR, true).node.grant.seq, 0u);
  const uint64_t binding = a.session->binding;
  for (uint64_t late : {1, 2}) {
    SessionReply refused = rig.bind(a, 0, {}, late);
    EXPECT_EQ(refused.error, EAGAIN) << "not ESTALE: the session lives";
    EXPECT_EQ(refused.why, "the session was bound anew since");
  }
  EXPECT_EQ(a.session->binding, binding);
  EXPECT_EQ(rig.held(a, file.ino) & kPartR, kPartR);
  Client thief;
  thief.session = std::make_shared<Session>();
  thief.session->id = a.session->id;
  thief.session->epoch = a.session->epoch;
  thief.session->client = a.session->client;
  thief.session->principal = a.session->principal;
  thief.session->secret = std::string(kSecretSize_bytes, 'x');
  EXPECT_EQ(rig.bind(thief, 0, {}, 1).error, EACCES) << "nothing is told without the secret";
  EXPECT_EQ(rig.bind(thief, 0, {}, 9).error, EACCES);
  ASSERT_EQ(rig.bind(a, 0, {}, 3).error, 0);
  EXPECT_EQ(rig.held(a, file.ino) & kPartR, 0) << "what the newest one does not name is forgotten";
  EXPECT_EQ(rig.bind(a).error, 0) << "of a client that does not count them";
}

// Nor does it end the session that the client waits to bind, or begin one beside it.
TEST_F(Sessions, a_login_that_comes_late_is_refused) {
  rig.boot();
  rig.login_number = 2;
  Client a = rig.login();
  auto late = [&] {
    rig.clients = 0;  // as a
    rig.login_number = 1;
    rig.login();
    return rig.login_error;
  };
  EXPECT_EQ(late(), EAGAIN);
  EXPECT_EQ(rig.records('S'), 1u);
  rig.halt(true);
  rig.boot(false);
  EXPECT_EQ(late(), EAGAIN);
  SessionReply bound = rig.bind(a, 0, {}, 3);
  EXPECT_EQ(bound.error, 0) << bound.why;
  rig.clients = 1;
  Client other = rig.login();
  EXPECT_EQ(rig.login_error, 0) << "that of another client has numbers of its own";
}

TEST_F(Sessions, an_expired_session_lives_until_it_is_in_the_way) {
  rig.boot();
  Client a = rig.login();
  Client b = rig.login();
  Handle dir = rig.mkdir(a, a.root.handle, "d").node.handle;
  rig.getattr(a, dir, kPartA | kPartD);
  a.peer->silent();
  rig.shard->disconnected(a.session, a.binding);
  rig.pass(3600 * kNsPerSec);
  EXPECT_TRUE(a.session->live());
  rig.shard->renew(*b.session, 1);
  Handle dir_b = rig.lookup(b, b.root.handle, {"d"}).nodes[0].handle;
  EXPECT_EQ(rig.create(b, dir_b, "f").error, 0);
  EXPECT_FALSE(a.session->live());
}

TEST_F(Sessions, courtesy_ends_after_a_day) {
  rig.boot();
  Client a = rig.login();
  rig.shard->disconnected(a.session, a.binding);
  rig.pass(kCourtesy_ns);
  EXPECT_TRUE(a.session->live());
  rig.pass(3600 * kNsPerSec);
  EXPECT_FALSE(a.session->live());
}

TEST_F(Sessions, changes_wait_until_the_clients_of_the_last_run_are_back) {
  rig.boot();
  rig.login();
  rig.halt(true);
  rig.boot(false);
  Client other;
  {
    rig.clients = 1;  // not the one of before
    other = rig.login();
  }
  auto pending = rig.start_unlink(other, other.root.handle, "missing");
  other.slot = 4;
  auto made = rig.start_create(
      other, {.dir = other.root.handle, .name = "x", .mode = S_IFREG | 0644, .flags = kCreateExcl});
  rig.settle();
  EXPECT_FALSE(pending->has_value());
  EXPECT_FALSE(made->has_value());
  rig.clients = 0;
  rig.login();
  EXPECT_TRUE(made->has_value());
}

TEST_F(Sessions, changes_wait_no_longer_than_the_lease_term_of_a_dead_client) {
  rig.boot();
  rig.login();
  rig.halt(true);
  rig.boot(false);
  rig.clients = 1;
  Client other = rig.login();
  auto made = rig.start_create(
      other, {.dir = other.root.handle, .name = "x", .mode = S_IFREG | 0644, .flags = kCreateExcl});
  rig.pass(20'000'000'000);
  EXPECT_FALSE(made->has_value());
  rig.pass(2'000'000'000);
  EXPECT_TRUE(made->has_value());
  rig.halt(true);
  rig.boot(false);
  EXPECT_EQ(rig.records('S'), 1u);  // the client of this run, not that of the first
}

TEST_F(Sessions, the_end_of_the_grace_ends_who_has_not_come_back_and_reaps_orphans) {
  rig.boot();
  Client a = rig.login();
  ChangedReply made = rig.create(a, a.root.handle, "f", S_IFREG | 0644, kCreateExcl | kCreateOpen,
                                 kPartA | kPartR, opener(1, kAccessWrite));
  rig.write(a, made.node.handle, 0, std::string(200'000, 'x'));
  rig.unlink(a, a.root.handle, "f");
  EXPECT_EQ(rig.records('O'), 1u);
  EXPECT_EQ(rig.content(a, made.node.handle).size(), 200'000u);
  rig.halt(true);
  rig.boot();
  EXPECT_EQ(rig.records('S'), 0u);
  EXPECT_EQ(rig.records('R'), 0u);
  EXPECT_EQ(rig.records('O'), 0u);
  EXPECT_EQ(rig.records('I'), 1u);
  EXPECT_EQ(rig.records('C'), 0u);
}

TEST_F(Sessions, an_orphan_lives_as_long_as_somebody_pins_it) {
  rig.boot();
  Client a = rig.login();
  Client b = rig.login();
  ChangedReply made = rig.create(a, a.root.handle, "f");
  rig.write(a, made.node.handle, 0, "hello");
  Handle file_b = rig.lookup(b, b.root.handle, {"f"}).nodes[0].handle;
  rig.open(b, file_b, opener(5, kAccessRead));
  rig.unlink(a, a.root.handle, "f");
  EXPECT_EQ(rig.content(b, file_b), "hello");
  EXPECT_EQ(rig.getattr(b, file_b).node.attr.nlink, 0u);
  rig.shard->release(*b.session, {}, {5});
  rig.settle();
  for (uint64_t ino : {file_b.ino}) {
    for (Client* c : {&a, &b}) {
      rig.shard->release(*c->session, {Grant{.ino = ino, .parts = 0xffff, .seq = UINT64_MAX}}, {});
    }
  }
  rig.settle();
  EXPECT_EQ(rig.getattr(b, file_b).error, ESTALE);
  EXPECT_EQ(rig.records('O'), 0u);
  EXPECT_EQ(rig.records('I'), 1u);
}

TEST_F(Sessions, an_open_for_no_io_keeps_an_inode_of_any_kind) {
  rig.boot();
  Client a = rig.login();
  Client b = rig.login();
  ASSERT_EQ(rig.create(a, a.root.handle, "p", S_IFIFO | 0000).error, 0);
  CreateArgs link{.dir = a.root.handle, .name = "l", .mode = S_IFLNK | 0777};
  link.target = "target";
  link.flags = kCreateExcl;
  ASSERT_EQ(rig.finish(rig.start_create(a, link)).error, 0);
  uint64_t id = 5;
  for (const char* name : {"l", "p"}) {
    const Handle node = rig.lookup(b, b.root.handle, {name}).nodes[0].handle;
    const ChangedReply opened = rig.open(b, node, opener(id, 0));
    EXPECT_EQ(opened.error, 0) << name;
    rig.shard->release(*b.session, {Grant{.ino = node.ino, .parts = 0xffff, .seq = UINT64_MAX}},
                       {});
    rig.unlink(a, a.root.handle, name);
    rig.shard->release(*a.session, {Grant{.ino = node.ino, .parts = 0xffff, .seq = UINT64_MAX}},
                       {});
    rig.settle();
    EXPECT_EQ(rig.getattr(b, node).node.attr.nlink, 0u) << name;
    rig.shard->release(*b.session, {Grant{.ino = node.ino, .parts = 0xffff, .seq = UINT64_MAX}},
                       {id++});
    rig.settle();
    EXPECT_EQ(rig.getattr(b, node).error, ESTALE) << name;
  }
  const Handle again = rig.finish(rig.start_create(a, link)).node.handle;
  EXPECT_EQ(rig.open(a, again, opener(id, kAccessRead)).error, ELOOP);
}

TEST_F(Sessions, the_death_of_its_session_lets_an_orphan_go) {
  rig.boot();
  Client a = rig.login();
  Client b = rig.login();
  rig.create(a, a.root.handle, "f");
  Handle file_b = rig.lookup(b, b.root.handle, {"f"}).nodes[0].handle;
  rig.open(b, file_b, opener(5, kAccessRead));
  rig.unlink(a, a.root.handle, "f");
  rig.shard->release(*a.session, {Grant{.ino = file_b.ino, .parts = 0xffff, .seq = UINT64_MAX}},
                     {});
  rig.settle();
  EXPECT_EQ(rig.records('I'), 2u);
  rig.shard->evict(b.session, "test");
  rig.settle();
  EXPECT_EQ(rig.records('I'), 1u);
}

TEST_F(Sessions, a_temporary_file_may_be_given_a_name) {
  rig.boot();
  Client a = rig.login();
  ChangedReply made = rig.create(a, a.root.handle, "", S_IFREG | 0600, kCreateTmpfile, kPartA,
                                 opener(1, kAccessWrite));
  ASSERT_EQ(made.error, 0);
  EXPECT_EQ(made.node.attr.nlink, 0u);
  EXPECT_EQ(rig.link(a, made.node.handle, a.root.handle, "named").node.attr.nlink, 1u);
  EXPECT_EQ(rig.records('O'), 0u);
  rig.unlink(a, a.root.handle, "named");
  EXPECT_EQ(rig.link(a, made.node.handle, a.root.handle, "again").error, ENOENT);
}

TEST_F(Sessions, shutdown_recalls_waits_and_leaves_the_mark) {
  rig.boot();
  Client a = rig.login();
  ChangedReply made = rig.create(a, a.root.handle, "f");
  rig.getattr(a, made.node.handle, kPartW, true);
  a.peer->silent();
  rig.write(a, made.node.handle, 0, "dirty", kWriteWriteback);
  std::optional<int> done;
  rig.shard->shutdown(30 * kNsPerSec, [&](Errno e) { done = e.value(); });
  rig.settle();
  EXPECT_FALSE(done.has_value());
  EXPECT_EQ(rig.write(a, made.node.handle, 5, " more", kWriteWriteback).error, 0);
  EXPECT_FALSE(a.peer->recalls.empty());
  for (const RecallItem& item : std::vector<RecallItem>(a.peer->recalls)) rig.ack(a, item);
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(*done, 0);
  EXPECT_TRUE(rig.meta.get(meta_key(kMetaClean))->has_value());
  rig.halt(true);
  rig.boot();
  EXPECT_FALSE(rig.meta.get(meta_key(kMetaClean))->has_value());
  Client b = rig.login();
  EXPECT_EQ(rig.content(b, rig.lookup(b, b.root.handle, {"f"}).nodes[0].handle), "dirty more");
}

// What was answered is there, whatever became of its client.
TEST_F(Sessions, shutdown_keeps_what_has_come_from_a_client_that_does_not_answer) {
  rig.boot();
  Client a = rig.login();
  Handle file = rig.create(a, a.root.handle, "f").node.handle;
  rig.getattr(a, file, kPartW, true);
  a.peer->silent();
  const std::string text(100'000, 'x');
  EXPECT_FALSE(rig.write(a, file, 0, text, kWriteWriteback).stable);
  std::optional<int> done;
  rig.shard->shutdown(30 * kNsPerSec, [&](Errno e) { done = e.value(); });
  rig.settle();
  EXPECT_FALSE(done.has_value());
  rig.pass(22 * kNsPerSec);
  EXPECT_FALSE(a.session->live());
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(*done, 0);
  EXPECT_EQ(rig.records('S'), 0u);
  rig.halt(true);
  rig.boot(false);
  Client b = rig.login();
  EXPECT_TRUE(rig.content(b, rig.lookup(b, b.root.handle, {"f"}).nodes[0].handle) == text);
}

// Also what he had asked to be made durable, and what was under way when he was given up.
TEST_F(Sessions, shutdown_ends_the_commits_of_clients_that_it_gives_up) {
  rig.boot();
  Client a = rig.login();
  Handle file = rig.create(a, a.root.handle, "f").node.handle;
  rig.getattr(a, file, kPartW, true);
  a.peer->silent();
  const std::string text(100'000, 'x');
  EXPECT_FALSE(rig.write(a, file, 0, text, kWriteWriteback).stable);
  auto committing = rig.start_commit(a, file);  // on its way to the disk
  std::optional<int> done;
  rig.shard->shutdown(30 * kNsPerSec, [&](Errno e) { done = e.value(); });
  rig.pass(22 * kNsPerSec);
  EXPECT_FALSE(a.session->live());
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(*done, 0);
  rig.halt(true);
  rig.boot(false);
  Client b = rig.login();
  EXPECT_TRUE(rig.content(b, rig.lookup(b, b.root.handle, {"f"}).nodes[0].handle) == text);
}

// The mark speaks of the content; who may still use what he has cached is waited for as after a
// crash.
TEST_F(Sessions, shutdown_remembers_who_has_given_nothing_back) {
  rig.boot();
  Client silent = rig.login();
  Client other = rig.login();
  const std::string text(100'000, 'x');
  Handle file = rig.create(silent, silent.root.handle, "f").node.handle;
  rig.getattr(silent, file, kPartW, true);
  silent.peer->silent();
  std::optional<int> done;
  rig.shard->shutdown(kNsPerSec, [&](Errno e) { done = e.value(); });
  rig.settle();
  auto writing = rig.start_write(silent, file, 0, text, kWriteWriteback);
  rig.now_ns += 2 * kNsPerSec;
  rig.shard->tick();
  rig.settle();
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(*done, 0);
  ASSERT_TRUE(writing->has_value());
  EXPECT_EQ((*writing)->error, 0);
  EXPECT_TRUE(rig.meta.get(meta_key(kMetaClean))->has_value());
  EXPECT_EQ(rig.records('S'), 2u);
  rig.halt(true);
  rig.boot(false);
  rig.clients = 7;
  Client fresh = rig.login();
  auto made = rig.start_create(
      fresh, {.dir = fresh.root.handle, .name = "x", .mode = S_IFREG | 0644, .flags = 0});
  rig.settle();
  EXPECT_FALSE(made->has_value());
  rig.clients = 0;
  rig.login();
  EXPECT_TRUE(made->has_value());
  EXPECT_TRUE(rig.content(fresh, rig.lookup(fresh, fresh.root.handle, {"f"}).nodes[0].handle) ==
              text);
}

TEST_F(Sessions, shutdown_does_not_wait_for_ever) {
  rig.boot();
  Client a = rig.login();
  ChangedReply made = rig.create(a, a.root.handle, "f");
  rig.getattr(a, made.node.handle, kPartW, true);
  a.peer->silent();
  std::optional<int> done;
  rig.shard->shutdown(30 * kNsPerSec, [&](Errno e) { done = e.value(); });
  rig.settle();
  EXPECT_FALSE(done.has_value());
  rig.pass(31 * kNsPerSec);
  EXPECT_TRUE(done.has_value());
}

TEST_F(Sessions, a_crash_leaves_no_clean_mark) {
  rig.boot();
  Client a = rig.login();
  rig.create(a, a.root.handle, "f");
  rig.halt(true);
  EXPECT_FALSE(rig.meta.get(meta_key(kMetaClean))->has_value());
}

TEST_F(Sessions, operations_are_counted_but_not_renewals) {
  rig.boot();
  Client a = rig.login();
  uint64_t before = rig.shard->stats().operations;
  rig.shard->renew(*a.session, a.session->epoch);
  EXPECT_EQ(rig.shard->stats().operations, before);
  rig.getattr(a, a.root.handle);
  EXPECT_EQ(rig.shard->stats().operations, before + 1);
}

}  // namespace
}  // namespace myfs::server
