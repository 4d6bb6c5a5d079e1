// What a write must bring with it: the lease that it was made under, checksums of its bytes.
#include <gtest/gtest.h>

#include "server/crc32c.h"
#include "tests/unit/server/rig.h"

namespace myfs::server {
namespace {

class Writes : public testing::Test {
 protected:
  void SetUp() override {
    a.peer->on_glimpse = [this](uint64_t id, uint64_t ino) {
      rig.shard->glimpsed(*a.session, id, ino, Glimpsed{.valid = false});
    };
  }
  uint64_t acquire(Client& c, Parts parts) {
    NodeOnlyReply got = rig.getattr(c, file_of(c), parts, true);
    EXPECT_EQ(got.error, 0);
    EXPECT_EQ(got.node.grant.parts & parts, parts);
    return got.node.grant.seq;
  }
  Handle file_of(Client& c) { return rig.lookup(c, c.root.handle, {"f"}).nodes[0].handle; }
  void release(Parts parts, uint64_t seq) {
    rig.shard->release(*a.session, {Grant{.ino = file.ino, .parts = parts, .seq = seq}}, {});
    rig.settle();
  }
  WriteAnswer write(uint64_t lease_seq, const std::string& text,
                    const std::vector<uint32_t>& crcs = {}, uint32_t flags = kWriteWriteback) {
    auto owner = std::make_shared<const std::string>(text);
    WriteArgs args;
    args.node = file;
    args.opener.cred = a.cred;
    args.data = {reinterpret_cast<const uint8_t*>(owner->data()), owner->size()};
    args.owner = owner;
    args.lease_seq = lease_seq;
    args.crcs = crcs;
    args.flags = flags;
    return rig.finish(rig.start_write(a, args));
  }
  static uint32_t crc(const std::string& text) {
    return crc32c({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  }

  Rig rig;
  Client a = rig.login();
  Handle file = rig.create(a, a.root.handle, "f").node.handle;
};

TEST_F(Writes, write_back_under_a_lease_that_was_given_back_is_refused) {
  const uint64_t first = acquire(a, kPartW);
  EXPECT_EQ(write(first, "one").error, 0);
  release(kPartW, first);
  EXPECT_EQ(write(first, "late").error, ESTALE);
  Client b = rig.login();
  EXPECT_EQ(rig.write(b, file_of(b), 0, "another's").error, 0);
  const uint64_t second = acquire(a, kPartW);
  EXPECT_EQ(write(first, "late").error, ESTALE);
  EXPECT_EQ(write(0, "late").error, ESTALE);
  EXPECT_EQ(write(second + 1, "early").error, ESTALE);
  EXPECT_EQ(rig.commit(a, file).error, 0);
  EXPECT_EQ(rig.content(a, file), "another's");
  EXPECT_EQ(write(second, "two").error, 0);
}

TEST_F(Writes, write_back_under_a_lease_that_was_recalled_is_refused) {
  const uint64_t first = acquire(a, kPartW);
  Client b = rig.login();
  acquire(b, kPartR);  // A answers at once
  acquire(a, kPartW);
  EXPECT_EQ(write(first, "late").error, ESTALE);
}

TEST_F(Writes, any_grant_since_which_W_was_held_will_do) {
  const uint64_t before = acquire(a, kPartR);
  const uint64_t first = acquire(a, kPartW);
  const uint64_t second = acquire(a, kPartA | kPartR | kPartW);
  ASSERT_GT(second, first);
  EXPECT_EQ(write(first, "one").error, 0);
  EXPECT_EQ(write(second, "two").error, 0);
  EXPECT_EQ(write(before, "no").error, ESTALE);
  release(kPartA, second);
  EXPECT_EQ(write(first, "three").error, 0);
}

// What waits for others keeps its bytes in the server's memory: not for as many as a client likes.
TEST_F(Writes, a_session_that_has_much_waiting_is_told_to_come_again) {
  Client b = rig.login();
  acquire(b, kPartR);
  b.peer->recalls.clear();
  b.peer->silent();
  const std::string text(3 << 20, 'x');
  std::vector<Pending<WriteAnswer>> writing;
  for (uint16_t slot = 2; slot < 6; ++slot) {
    a.slot = slot;
    writing.push_back(rig.start_write(a, file, 0, text));
  }
  const Op refused = a.op;
  rig.settle();
  EXPECT_EQ(a.session->parked, 2u);
  EXPECT_EQ(a.session->parked_bytes, 2 * text.size());
  EXPECT_LE(a.session->parked_bytes, kSessionParkedMax_bytes);
  EXPECT_FALSE(writing[0]->has_value() || writing[1]->has_value());
  ASSERT_TRUE(writing[2]->has_value() && writing[3]->has_value());
  EXPECT_EQ((*writing[2])->error, kOverloaded);
  EXPECT_EQ((*writing[3])->error, kOverloaded);
  // What holds no bytes waits as before, and what is small too.
  a.slot = 6;
  auto small = rig.start_write(a, file, 0, "small");
  a.slot = 7;
  auto cut = rig.start_setattr(a, file, kSetSize, size_of(5));
  rig.settle();
  EXPECT_FALSE(small->has_value() || cut->has_value());
  EXPECT_EQ(b.peer->recalls.size(), 1u);
  rig.ack(b, b.peer->recalls[0]);
  ASSERT_TRUE(writing[0]->has_value() && writing[1]->has_value() && small->has_value() &&
              cut->has_value());
  EXPECT_EQ((*writing[1])->error, 0);
  EXPECT_EQ((*small)->error, 0);
  EXPECT_EQ((*cut)->node.attr.size, 5u);
  EXPECT_EQ(a.session->parked_bytes, 0u);
  // The same call in the same slot under the same number.
  auto again = rig.start<WriteAnswer>(a, &refused, [](Turn&, WriteAnswer& reply) {
    reply.count = 7;
    return Errno();
  });
  ASSERT_TRUE(again->has_value());
  EXPECT_EQ((*again)->error, 0);
  EXPECT_EQ((*again)->count, 7u);
  EXPECT_FALSE((*again)->replayed);
}

TEST_F(Writes, damaged_bytes_are_refused_and_counted) {
  uint64_t seq = acquire(a, kPartW);
  const std::string text = std::string(65'536, 'x') + std::string(1000, 'y');
  const std::vector<uint32_t> good = {crc(std::string(65'536, 'x')), crc(std::string(1000, 'y'))};
  EXPECT_EQ(write(seq, text, good).error, 0);
  EXPECT_EQ(rig.shard->stats().damaged_writes, 0u);
  std::vector<uint32_t> bad = good;
  bad[1] ^= 1;
  EXPECT_EQ(write(seq, text, bad).error, EBADMSG);
  EXPECT_EQ(write(seq, "z", {crc("x")}).error, EBADMSG);
  EXPECT_EQ(write(seq, "z", {crc("x")}, kWriteUncached).error, EBADMSG);
  EXPECT_EQ(rig.shard->stats().damaged_writes, 3u);
  seq = acquire(a, kPartW);
  EXPECT_EQ(write(seq, text, {good[0]}).error, EPROTO);
  EXPECT_EQ(write(seq, "z", {crc("z"), 0}).error, EPROTO);
  EXPECT_EQ(rig.commit(a, file).error, 0);
  EXPECT_TRUE(rig.content(a, file) == text);
  EXPECT_EQ(write(seq, "z", {crc("z")}, kWriteUncached).error, 0);
}

}  // namespace
}  // namespace myfs::server
