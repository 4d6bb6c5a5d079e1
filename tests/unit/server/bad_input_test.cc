// Clients that break the rules: each is told so by the error that the protocol names for it, and
// another client, who keeps them, is served as if they were not there.
#include <gtest/gtest.h>

#include "tests/unit/server/rig.h"

namespace myfs::server {
namespace {

class BadInput : public testing::Test {
 protected:
  void SetUp() override {
    bad.peer->on_glimpse = [this](uint64_t id, uint64_t ino) {
      rig.shard->glimpsed(*bad.session, id, ino, Glimpsed{.valid = false});
    };
  }
  void TearDown() override {
    // The other one's session, file and lease are what they were.
    EXPECT_EQ(rig.shard->renew(*other.session, other.session->epoch).value(), 0);
    EXPECT_TRUE(other.peer->evictions.empty());
    EXPECT_EQ(rig.content(other, others_file), "theirs");
    EXPECT_EQ(rig.write(other, others_file, 0, "theirs").error, 0);
  }
  Handle file_of(Client& c) { return rig.lookup(c, c.root.handle, {"f"}).nodes[0].handle; }
  uint64_t acquire(Client& c, Parts parts) {
    NodeOnlyReply got = rig.getattr(c, file_of(c), parts, true);
    EXPECT_EQ(got.error, 0);
    return got.node.grant.seq;
  }
  // A mkdir under any Op.
  Pending<ChangedReply> start_mkdir(const Op& op, const std::string& name, uint64_t hash) {
    CreateArgs args{.dir = bad.root.handle, .name = name, .mode = S_IFDIR | 0755};
    auto content = std::make_shared<ContentChange>();
    return rig.start<ChangedReply>(
        bad, &op,
        [args, content](Turn& t, ChangedReply& r) { return server::create(t, args, content, r); },
        hash);
  }
  int mkdir(const Op& op, const std::string& name, uint64_t hash = 7) {
    return rig.finish(start_mkdir(op, name, hash)).error;
  }
  WriteAnswer write_back(Client& c, uint64_t lease_seq, const std::string& text) {
    auto owner = std::make_shared<const std::string>(text);
    WriteArgs args;
    args.node = file_of(c);
    args.opener.cred = c.cred;
    args.data = {reinterpret_cast<const uint8_t*>(owner->data()), owner->size()};
    args.owner = owner;
    args.lease_seq = lease_seq;
    args.flags = kWriteWriteback;
    return rig.finish(rig.start_write(c, args));
  }

  // The other one reads, and `bad` says to the recall that he has written `size` bytes.
  auto read_and_acknowledge(uint64_t size, int expected) {
    bad.peer->silent();
    bad.peer->recalls.clear();
    auto pending = rig.start_read(other, file_of(other), 0, 100);
    rig.settle();
    EXPECT_EQ(bad.peer->recalls.size(), 1u);
    AckArgs ack;
    if (!bad.peer->recalls.empty()) {
      ack.recall_id = bad.peer->recalls[0].recall_id;
      ack.ino = bad.peer->recalls[0].ino;
    }
    ack.have_size = true;
    ack.size = size;
    EXPECT_EQ(rig.shard->acknowledge(*bad.session, ack).value(), expected);
    rig.settle();
    return pending;
  }

  Rig rig;
  Client other = rig.login();
  Client bad = rig.login();
  Handle others_file = [this] {
    Handle made = rig.create(other, other.root.handle, "theirs", S_IFREG | 0600).node.handle;
    (void)rig.write(other, made, 0, "theirs");
    (void)rig.create(other, other.root.handle, "f", S_IFREG | 0600);
    return made;
  }();
};

TEST_F(BadInput, who_never_answers_a_recall_is_ended_with_a_reason) {
  acquire(bad, kPartA);
  bad.peer->silent();
  auto pending = rig.start_setattr(other, file_of(other), kSetMode, mode_of(0600));
  rig.settle();
  EXPECT_FALSE(pending->has_value());
  for (int64_t waited_ns = 0; waited_ns <= kRecallTimeout_ns; waited_ns += kNsPerSec) {
    (void)rig.shard->renew(*bad.session, bad.session->epoch);
    (void)rig.shard->renew(*other.session, other.session->epoch);
    rig.pass(kNsPerSec);
  }
  ASSERT_TRUE(pending->has_value());
  EXPECT_EQ((*pending)->error, 0);
  ASSERT_EQ(bad.peer->evictions.size(), 1u);
  EXPECT_FALSE(bad.peer->evictions[0].empty());
  EXPECT_EQ(rig.shard->renew(*bad.session, bad.session->epoch).value(), ESTALE);
  EXPECT_EQ(rig.create(bad, bad.root.handle, "late").error, ESTALE);
}

TEST_F(BadInput, who_acknowledges_before_he_has_written_is_told_EPROTO) {
  const uint64_t lease = acquire(bad, kPartW);
  EXPECT_EQ(write_back(bad, lease, "half").error, 0);
  auto pending = read_and_acknowledge(8, EPROTO);
  // The other one reads what has come, and it stays so.
  ASSERT_TRUE(pending->has_value());
  EXPECT_EQ((*pending)->size, 4u);
  EXPECT_EQ(write_back(bad, lease, "half way").error, ESTALE);
  EXPECT_EQ(rig.content(other, file_of(other)), "half");
}

TEST_F(BadInput, who_acknowledges_what_he_has_written_is_told_nothing) {
  const uint64_t lease = acquire(bad, kPartW);
  EXPECT_EQ(write_back(bad, lease, "all").error, 0);
  auto pending = read_and_acknowledge(3, 0);
  EXPECT_TRUE(pending->has_value());
}

TEST_F(BadInput, a_slot_that_there_is_not_is_EPROTO) {
  Op op{.epoch = bad.session->epoch, .slot = kSlotsPerSession, .slot_seq = 1};
  EXPECT_EQ(mkdir(op, "d"), EPROTO);
  op.slot = UINT16_MAX;
  EXPECT_EQ(mkdir(op, "d"), EPROTO);
  EXPECT_EQ(rig.names(other, other.root.handle), (std::vector<std::string>{"f", "theirs"}));
}

TEST_F(BadInput, a_slot_that_is_in_use_is_EPROTO) {
  rig.hold_commits = true;
  Op op{.epoch = bad.session->epoch, .slot = 5, .slot_seq = 1};
  auto first = start_mkdir(op, "d", 7);
  rig.settle();
  ASSERT_FALSE(first->has_value());
  op.slot_seq = 2;
  auto second = start_mkdir(op, "e", 8);
  rig.settle();
  ASSERT_TRUE(second->has_value());
  EXPECT_EQ((*second)->error, EPROTO);
  rig.hold_commits = false;
  EXPECT_EQ(rig.finish(first).error, 0);
  EXPECT_EQ(rig.names(other, other.root.handle), (std::vector<std::string>{"d", "f", "theirs"}));
}

TEST_F(BadInput, other_content_under_a_number_in_use_is_EPROTO) {
  Op op{.epoch = bad.session->epoch, .slot = 5, .slot_seq = 1};
  rig.hold_commits = true;
  auto first = start_mkdir(op, "d", 7);
  auto other_content = start_mkdir(op, "e", 8);
  rig.settle();
  ASSERT_TRUE(other_content->has_value());
  EXPECT_EQ((*other_content)->error, EPROTO);
  rig.hold_commits = false;
  EXPECT_EQ(rig.finish(first).error, 0);
  EXPECT_EQ(mkdir(op, "e", 8), EPROTO);  // also when it is done
  EXPECT_EQ(rig.names(other, other.root.handle), (std::vector<std::string>{"d", "f", "theirs"}));
}

// Each that waits holds its message.
TEST_F(BadInput, a_flood_of_retries_does_not_pile_up) {
  Op op{.epoch = bad.session->epoch, .slot = 5, .slot_seq = 1};
  rig.hold_commits = true;
  std::vector<Pending<ChangedReply>> retries;
  for (int i = 0; i < 100; ++i) retries.push_back(start_mkdir(op, "d", 7));
  rig.settle();
  size_t answered = 0;
  for (auto& retry : retries) {
    if (!retry->has_value()) continue;
    ++answered;
    EXPECT_EQ((*retry)->error, EALREADY);
  }
  EXPECT_EQ(answered, 95u) << "but for the call itself and four that wait";
  EXPECT_FALSE(retries.front()->has_value()) << "the call itself";
  EXPECT_FALSE(retries.back()->has_value()) << "the newest";
  rig.hold_commits = false;
  EXPECT_EQ(rig.finish(retries.front()).error, 0);
  EXPECT_TRUE(rig.finish(retries.back()).replayed);
}

TEST_F(BadInput, numbers_of_before_are_EALREADY) {
  Op op{.epoch = bad.session->epoch, .slot = 5, .slot_seq = 3};
  EXPECT_EQ(mkdir(op, "d"), 0);
  op.slot_seq = 2;
  EXPECT_EQ(mkdir(op, "e"), EALREADY);
  op.slot_seq = 0;
  EXPECT_EQ(mkdir(op, "e"), EALREADY);
  EXPECT_EQ(rig.names(other, other.root.handle), (std::vector<std::string>{"d", "f", "theirs"}));
}

TEST_F(BadInput, another_epoch_is_ESTALE) {
  Op op = bad.next_op();
  op.epoch += 1;
  EXPECT_EQ(mkdir(op, "d"), ESTALE);
  EXPECT_EQ(rig.shard->renew(*bad.session, bad.session->epoch + 1).value(), ESTALE);
  EXPECT_EQ(rig.names(other, other.root.handle), (std::vector<std::string>{"f", "theirs"}));
}

TEST_F(BadInput, anothers_session_cannot_be_bound) {
  auto bind = [&](uint64_t session, uint64_t epoch, const std::string& secret) {
    BindArgs args;
    args.peer.is_unix = true;
    args.client = bad.session->client;
    args.session_id = session;
    args.epoch = epoch;
    args.secret = secret;
    args.callback = bad.peer;
    std::optional<SessionReply> reply;
    rig.shard->bind(std::move(args), [&](SessionReply r) { reply = std::move(r); });
    rig.settle();
    EXPECT_TRUE(reply.has_value());
    return reply.has_value() ? reply->error : -1;
  };
  EXPECT_EQ(bind(other.session->id, other.session->epoch, bad.session->secret), EACCES);
  // Not even with its secret: it is of another client.
  EXPECT_EQ(bind(other.session->id, other.session->epoch, other.session->secret), EACCES);
  EXPECT_EQ(bind(other.session->id, other.session->epoch + 1, other.session->secret), ESTALE);
  EXPECT_EQ(bind(12'345, 1, bad.session->secret), ESTALE);
  EXPECT_EQ(rig.shard->attach_data({}, other.session->id, bad.token), nullptr);
}

TEST_F(BadInput, anothers_handle_is_EACCES) {
  EXPECT_EQ(rig.getattr(bad, others_file).error, EACCES);
  EXPECT_EQ(rig.write(bad, others_file, 0, "mine").error, EACCES);
  Handle forged = file_of(bad);
  forged.ino = others_file.ino;
  EXPECT_EQ(rig.getattr(bad, forged).error, EACCES);
}

TEST_F(BadInput, anothers_recall_lease_and_open_are_not_ones_own) {
  acquire(other, kPartA | kPartR);
  ASSERT_EQ(rig.open(other, file_of(other), opener(9, 3)).error, 0);
  other.peer->silent();
  other.peer->recalls.clear();
  auto pending = rig.start_setattr(bad, file_of(bad), kSetMode, mode_of(0400));
  rig.settle();
  ASSERT_EQ(other.peer->recalls.size(), 1u);
  // It says in the other's place that he has given up.
  EXPECT_EQ(rig.ack(bad, other.peer->recalls[0]), 0);
  rig.shard->release(*bad.session,
                     {Grant{.ino = file_of(bad).ino, .parts = 0xff, .seq = UINT64_MAX}}, {9});
  rig.settle();
  EXPECT_FALSE(pending->has_value());
  EXPECT_NE(rig.held(other, file_of(other).ino) & kPartA, 0);
  EXPECT_EQ(rig.read(other, file_of(other), 0, 10, opener(9, 1)).error, 0);
  EXPECT_EQ(rig.read(bad, file_of(bad), 0, 10, opener(9, 1, user(1))).error, EACCES);
  rig.answer(other);
  EXPECT_EQ(rig.ack(other, other.peer->recalls[0]), 0);
  EXPECT_TRUE(pending->has_value());
}

TEST_F(BadInput, what_comes_twice_counts_once) {
  acquire(bad, kPartA | kPartR);
  bad.peer->silent();
  bad.peer->recalls.clear();
  auto pending = rig.start_setattr(other, file_of(other), kSetMode, mode_of(0600));
  rig.settle();
  ASSERT_EQ(bad.peer->recalls.size(), 1u);
  const RecallItem recall = bad.peer->recalls[0];
  EXPECT_EQ(rig.ack(bad, recall), 0);
  EXPECT_TRUE(pending->has_value());
  // Granted again, it is not given up by the old word.
  acquire(bad, kPartA | kPartR);
  EXPECT_EQ(rig.ack(bad, recall), 0);
  EXPECT_EQ(rig.held(bad, file_of(bad).ino) & (kPartA | kPartR), kPartA | kPartR);
  rig.answer(bad);
}

}  // namespace
}  // namespace myfs::server
