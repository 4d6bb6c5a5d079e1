#include "sdk/rpc/wire.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>

#include "sdk/base/limits.h"
#include "sdk/rpc/auth.h"
#include "sdk/rpc/payload.h"
#include "sdk/rpc/wire_calls.h"

namespace myfs::rpc {
namespace {

constexpr uint32_t kTag = 3;

Kstat some_attr() {
  Kstat attr;
  attr.ino = 77;
  attr.generation = 5;
  attr.mode = 0100640;
  attr.nlink = 2;
  attr.uid = 1000;
  attr.gid = 1001;
  attr.rdev = 0x0803;
  attr.size = 123'456'789'012;
  attr.blocks = 99;
  attr.blksize = 8192;
  attr.flags = 16;
  attr.atime = {-5, 1};
  attr.mtime = {1'700'000'000, 999'999'999};
  attr.ctime = {1'700'000'001, 3};
  attr.btime = {1, 4};
  attr.change = (uint64_t{2} << 48) | 17;
  attr.trunc_gen = 6;
  attr.trunc_size = 4096;
  return attr;
}

bool same(const Kstat& a, const Kstat& b) {
  return a.ino == b.ino && a.generation == b.generation && a.mode == b.mode && a.nlink == b.nlink &&
         a.uid == b.uid && a.gid == b.gid && a.rdev == b.rdev && a.size == b.size &&
         a.blocks == b.blocks && a.blksize == b.blksize && a.flags == b.flags &&
         a.atime == b.atime && a.mtime == b.mtime && a.ctime == b.ctime && a.btime == b.btime &&
         a.change == b.change && a.trunc_gen == b.trunc_gen && a.trunc_size == b.trunc_size;
}

Node some_node() {
  Node node;
  node.error = Errno(EACCES);
  node.handle = {77, 5, kTag, 0x1234567890abcdef};
  node.attr = some_attr();
  node.has_attr = true;
  node.grant = {77, 21, 9, 4096};
  node.target = "../somewhere";
  node.data = std::string("\0\xff data", 7);
  return node;
}

void expect_same(const Node& a, const Node& b) {
  EXPECT_EQ(a.error, b.error);
  EXPECT_EQ(a.handle, b.handle);
  EXPECT_EQ(a.has_attr, b.has_attr);
  EXPECT_TRUE(same(a.attr, b.attr));
  EXPECT_EQ(a.grant, b.grant);
  EXPECT_EQ(a.target, b.target);
  EXPECT_EQ(a.data, b.data);
}

template <typename Wire>
class Message {
 public:
  typename Wire::Builder builder() { return root_; }
  typename Wire::Reader reader() { return root_.asReader(); }

 private:
  capnp::MallocMessageBuilder message_;
  typename Wire::Builder root_ = message_.initRoot<Wire>();
};

TEST(Wire, SmallStructsRoundTrip) {
  Message<wire::Op> op;
  encode(Op{5, 7, 9}, op.builder());
  Op op_out;
  ASSERT_TRUE(decode(op.reader(), &op_out));
  EXPECT_EQ(op_out, (Op{5, 7, 9}));

  Cred cred{1000, 1001, {4, 24, 27}};
  Message<wire::Cred> wire_cred;
  encode(cred, wire_cred.builder());
  Cred cred_out;
  ASSERT_TRUE(decode(wire_cred.reader(), &cred_out));
  EXPECT_EQ(cred_out, cred);

  Message<wire::Grant> grant;
  encode(Grant{1, 2, 3, 4}, grant.builder());
  Grant grant_out;
  ASSERT_TRUE(decode(grant.reader(), &grant_out));
  EXPECT_EQ(grant_out, (Grant{1, 2, 3, 4}));

  LockRange range{LockType::kWrite, 10, 20, 30, LockKind::kOfd, -1};
  Message<wire::LockRange> lock;
  encode(range, lock.builder());
  LockRange range_out;
  ASSERT_TRUE(decode(lock.reader(), &range_out));
  EXPECT_EQ(range_out, range);

  RecallItem item{1, 2, 3, 4};
  Message<wire::RecallItem> recall;
  encode(item, recall.builder());
  RecallItem item_out;
  ASSERT_TRUE(decode(recall.reader(), &item_out));
  EXPECT_EQ(item_out, item);

  Message<wire::Extent> extent;
  encode(Extent{1, 2, 3, true, true}, extent.builder());
  Extent extent_out;
  ASSERT_TRUE(decode(extent.reader(), &extent_out));
  EXPECT_EQ(extent_out, (Extent{1, 2, 3, true, true}));
}

TEST(Wire, HandleKeepsTheTagOfItsSession) {
  Message<wire::Handle> handle;
  encode(Handle{9, 8, 1, 7}, handle.builder());
  Handle out;
  ASSERT_TRUE(decode(handle.reader(), kTag, &out));
  EXPECT_EQ(out, (Handle{9, 8, kTag, 7}));
}

TEST(Wire, OpenersRoundTrip) {
  Opener opener{42, std::make_shared<Cred>(Cred{5, 6, {7}}), kAccessRead | kAccessWrite};
  Message<wire::Opener> wire_opener;
  encode(opener, wire_opener.builder());
  Opener out;
  ASSERT_TRUE(decode(wire_opener.reader(), &out));
  EXPECT_EQ(out.open_id, 42u);
  EXPECT_EQ(out.access, kAccessRead | kAccessWrite);
  ASSERT_NE(out.cred, nullptr);
  EXPECT_EQ(*out.cred, *opener.cred);

  Message<wire::OpenRecord> record;
  encode(OpenRecord{43, nullptr, kAccessAppendOnly}, record.builder());
  OpenRecord record_out;
  ASSERT_TRUE(decode(record.reader(), &record_out));
  EXPECT_EQ(record_out.open_id, 43u);
  EXPECT_EQ(record_out.access, kAccessAppendOnly);
  EXPECT_EQ(record_out.cred, nullptr);
}

TEST(Wire, NodeAndEntryRoundTrip) {
  Message<wire::Node> node;
  encode(some_node(), node.builder());
  Node out;
  ASSERT_TRUE(decode(node.reader(), kTag, &out));
  expect_same(out, some_node());

  Entry entry{"name\xff", 5, 77, 8, some_node()};
  Message<wire::Entry> wire_entry;
  encode(entry, wire_entry.builder());
  Entry entry_out;
  ASSERT_TRUE(decode(wire_entry.reader(), kTag, &entry_out));
  EXPECT_EQ(entry_out.name, entry.name);
  EXPECT_EQ(entry_out.cookie, 5u);
  EXPECT_EQ(entry_out.ino, 77u);
  EXPECT_EQ(entry_out.type, 8);
  expect_same(entry_out.node, some_node());
}

TEST(Wire, ChangedRoundTrips) {
  Changed changed;
  changed.replayed = true;
  changed.node = changed.dir = changed.other_dir = changed.victim = some_node();
  changed.layout = Layout{3, {Extent{0, 100, 1, false}, Extent{100, 1, 0, true}}};
  Message<wire::Changed> message;
  encode(changed, Errno(), message.builder());
  Changed out;
  Errno error(EIO);
  ASSERT_TRUE(decode(message.reader(), kTag, &error, &out));
  EXPECT_TRUE(error.ok());
  EXPECT_TRUE(out.replayed);
  for (const Node* node : {&out.node, &out.dir, &out.other_dir, &out.victim}) {
    expect_same(*node, some_node());
  }
  EXPECT_EQ(out.layout.epoch, 3u);
  EXPECT_EQ(out.layout.stripes, changed.layout.stripes);

  Message<wire::Changed> refused;
  encode(Changed{}, Errno(EEXIST), refused.builder());
  ASSERT_TRUE(decode(refused.reader(), kTag, &error, &out));
  EXPECT_EQ(error, Errno(EEXIST));
}

SessionInfo some_info() {
  SessionInfo info;
  info.session_id = 1;
  info.epoch = 2;
  info.secret = "0123456789abcdef";
  info.term_ms = 20'000;
  info.slots = 64;
  info.data_token = "token";
  info.root = some_node();
  info.boot_verifier = 3;
  info.max_io_bytes = 1 << 20;
  info.credit_bytes = 32 << 20;
  info.max_leases = 1000;
  info.servers = {"tcp:a:1", "tcp:b:2"};
  info.shards = {ShardRange{0, 100, 1}};
  info.slot_seqs = {5, 6, 7};
  info.relaxed = true;
  return info;
}

TEST(Wire, AclsOfNodesRoundTripAndDamagedOnesAreRefused) {
  const std::vector<AclEntry> entries = {{AclTag::kUserObj, 6},
                                         {AclTag::kUser, 7, 1000},
                                         {AclTag::kGroupObj, 4},
                                         {AclTag::kMask, 6},
                                         {AclTag::kOther, 0}};
  Node node = some_node();
  node.acl = PosixAcl(entries);
  node.attr.has_acl = node.attr.has_default_acl = true;
  Message<wire::Node> message;
  encode(node, message.builder());
  Node out;
  ASSERT_TRUE(decode(message.reader(), kTag, &out));
  EXPECT_EQ(out.acl, node.acl);
  EXPECT_TRUE(out.attr.has_acl);
  EXPECT_TRUE(out.attr.has_default_acl);
  node.acl.entries().pop_back();
  Message<wire::Node> damaged;
  encode(node, damaged.builder());
  EXPECT_FALSE(decode(damaged.reader(), kTag, &out));
}

TEST(Wire, SessionInfoRoundTrips) {
  SessionInfo info = some_info();
  Message<wire::SessionInfo> message;
  encode(info, message.builder());
  SessionInfo out;
  ASSERT_TRUE(decode(message.reader(), kTag, &out));
  EXPECT_EQ(out.session_id, 1u);
  EXPECT_EQ(out.epoch, 2u);
  EXPECT_EQ(out.secret, info.secret);
  EXPECT_EQ(out.term_ms, 20'000u);
  EXPECT_EQ(out.slots, 64);
  EXPECT_EQ(out.data_token, "token");
  expect_same(out.root, info.root);
  EXPECT_EQ(out.boot_verifier, 3u);
  EXPECT_EQ(out.max_io_bytes, 1u << 20);
  EXPECT_EQ(out.credit_bytes, 32u << 20);
  EXPECT_EQ(out.max_leases, 1000u);
  EXPECT_EQ(out.servers, info.servers);
  ASSERT_EQ(out.shards.size(), 1u);
  EXPECT_EQ(out.shards[0].last, 100u);
  EXPECT_EQ(out.slot_seqs, info.slot_seqs);
  EXPECT_TRUE(out.relaxed);
}

TEST(Wire, RefusesBadSessionInfo) {
  for (int fault = 0; fault < 4; ++fault) {
    SessionInfo info = some_info();
    if (fault == 0) info.slots = kReservedSlots;
    if (fault == 1) info.term_ms = 0;
    if (fault == 2) info.max_io_bytes = 100;
    if (fault == 3) info.secret.assign(1000, 'x');
    Message<wire::SessionInfo> message;
    encode(info, message.builder());
    SessionInfo out;
    EXPECT_FALSE(decode(message.reader(), kTag, &out)) << fault;
  }
}

TEST(Wire, RefusesBadNames) {
  EXPECT_TRUE(is_component("a"));
  EXPECT_TRUE(is_component(std::string(255, 'n')));
  EXPECT_TRUE(is_component("..."));
  EXPECT_FALSE(is_component(""));
  EXPECT_FALSE(is_component("."));
  EXPECT_FALSE(is_component(".."));
  EXPECT_FALSE(is_component("a/b"));
  EXPECT_FALSE(is_component(std::string("a\0b", 3)));
  EXPECT_FALSE(is_component(std::string(256, 'n')));
}

TEST(Wire, RefusesBadNodes) {
  for (int fault = 0; fault < 5; ++fault) {
    Node node = some_node();
    if (fault == 0) node.attr.mtime.nsec = 1'000'000'000;
    if (fault == 1) node.attr.size = kFileSizeMax_bytes + 1;
    if (fault == 2) node.target.assign(kSymlinkMax_bytes + 1, 't');
    if (fault == 3) node.error = Errno(5000);
    if (fault == 4) node.target = std::string("a\0b", 3);
    Message<wire::Node> message;
    encode(node, message.builder());
    Node out;
    EXPECT_FALSE(decode(message.reader(), kTag, &out)) << fault;
  }
}

TEST(Wire, RefusesADirectoryThatDoesNotAdvance) {
  for (int fault = 0; fault < 3; ++fault) {
    Message<Meta::ReaddirResults> message;
    auto entries = message.builder().initEntries(fault == 2 ? 0 : 2);
    for (uint32_t i = 0; i < entries.size(); ++i) {
      entries[i].setName(to_data("n"));
      entries[i].setCookie(fault == 0 ? 11 + i : 11);
    }
    ReaddirReply reply;
    Errno error = decode_results(message.reader(), ReaddirArgs{.cookie = 10}, kTag, &reply);
    EXPECT_EQ(error, fault == 0 ? Errno() : Errno(EPROTO)) << fault;
  }
}

TEST(Wire, EncodingTwiceGivesTheSameBytes) {
  auto bytes = [] {
    capnp::MallocMessageBuilder message;
    CreateArgs args;
    args.dir = {1, 2, 3, 4};
    args.name = "file";
    args.mode = 0100644;
    args.opener = {9, std::make_shared<Cred>(Cred{1, 2, {3}}), 3};
    Cred cred{5, 6, {}};
    encode_params(args, Sender{&cred, Op{1, 2, 3}}, message.initRoot<Meta::CreateParams>());
    auto words = capnp::messageToFlatArray(message);
    return std::string(reinterpret_cast<const char*>(words.begin()), words.asBytes().size());
  };
  EXPECT_EQ(bytes(), bytes());
}

TEST(Wire, ReadScattersAndZeroesTheTail) {
  char first[4], second[8];
  std::memset(first, 'x', sizeof first);
  std::memset(second, 'x', sizeof second);
  ReadJob job;
  job.args.off = 10;
  job.args.len = 12;
  job.to = {iovec{first, 4}, iovec{second, 8}};
  Message<Data::ReadResults> message;
  message.builder().setData(to_data("abcdef"));
  message.builder().setSize(19);
  message.builder().setEof(true);
  ReadReply reply;
  ASSERT_TRUE(decode_results(message.reader(), job, kTag, &reply).ok());
  EXPECT_EQ(reply.count, 9u);
  EXPECT_TRUE(reply.eof);
  EXPECT_EQ(std::string(first, 4), "abcd");
  EXPECT_EQ(std::string(second, 8), std::string("ef\0\0\0xxx", 8));
}

TEST(Payload, BorrowsOnlyOneAlignedPiece) {
  alignas(8) static char memory[64 << 10];
  std::memset(memory, 'm', sizeof memory);
  iovec one{memory, 32 << 10}, next{memory + (32 << 10), 4096}, apart{memory + (48 << 10), 4096};
  iovec crooked{memory + 1, 32 << 10};
  iovec small{memory, 100};
  std::vector<iovec> contiguous{one, next}, scattered{one, apart};
  EXPECT_TRUE(Payload::borrow(contiguous).borrowed());
  EXPECT_EQ(Payload::borrow(contiguous).bytes().data(), memory);
  EXPECT_FALSE(Payload::borrow(scattered).borrowed());
  EXPECT_EQ(Payload::borrow(scattered).size(), size_t{36} << 10);
  EXPECT_FALSE(Payload::borrow(Buffers(&crooked, 1)).borrowed());
  EXPECT_FALSE(Payload::borrow(Buffers(&small, 1)).borrowed());
  Payload payload = Payload::borrow(contiguous);
  payload.own();
  EXPECT_FALSE(payload.borrowed());
  EXPECT_NE(payload.bytes().data(), memory);
  EXPECT_EQ(payload.bytes(), std::string(36 << 10, 'm'));
}

TEST(Auth, ProofIsHmacSha256) {
  // RFC 4231, test case 2.
  std::string proof = login_proof("Jefe", "what do ya want ", "for nothing?");
  std::string hex;
  for (unsigned char c : proof) {
    static const char* kDigits = "0123456789abcdef";
    hex += kDigits[c >> 4];
    hex += kDigits[c & 15];
  }
  EXPECT_EQ(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(login_proof("", "c", "d"), "");
}

}  // namespace
}  // namespace myfs::rpc
