// COPY: ranges that go from file to file at the server.
#include <gtest/gtest.h>

#include "server/copy_handlers.h"
#include "tests/unit/server/rig.h"

namespace myfs::server {
namespace {

constexpr uint64_t kMiB = 1 << 20;

std::string text_of(size_t size, uint32_t seed) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (i * 31 + seed) % 26);
  return text;
}

class Copy : public testing::Test {
 protected:
  Pending<CopyAnswer> start_copy(Client& c, CopyArgs args) {
    Op op = c.next_op();
    auto state = std::make_shared<CopyState>();
    if (args.from_opener.open_id == 0) args.from_opener.cred = c.cred;
    if (args.to_opener.open_id == 0) args.to_opener.cred = c.cred;
    return rig.start<CopyAnswer>(c, &op, [args, state](Turn& t, CopyAnswer& r) {
      return args.clone ? server::clone(t, args, state, r) : server::copy(t, args, state, r);
    });
  }
  CopyAnswer copy(Client& c, CopyArgs args) { return rig.finish(start_copy(c, std::move(args))); }
  CopyArgs whole() const { return {.from = from, .to = to, .len = UINT32_MAX}; }
  void boot_again() {
    rig.halt(true);
    rig.boot();
    a = rig.login();
    from = rig.lookup(a, a.root.handle, {"from"}).nodes[0].handle;
    to = rig.lookup(a, a.root.handle, {"to"}).nodes[0].handle;
  }

  Rig rig;
  Client a = rig.login();
  Handle from = rig.create(a, a.root.handle, "from").node.handle;
  Handle to = rig.create(a, a.root.handle, "to").node.handle;
};

TEST_F(Copy, content_is_durable_when_it_is_answered) {
  const std::string text = text_of(300'000, 1);
  rig.write(a, from, 0, text);
  CopyAnswer answer = copy(a, whole());
  EXPECT_EQ(answer.error, 0);
  EXPECT_EQ(answer.count, text.size());
  EXPECT_EQ(answer.node.attr.size, text.size());
  boot_again();
  EXPECT_EQ(rig.content(a, to), text);
  EXPECT_EQ(rig.content(a, from), text);
}

TEST_F(Copy, ranges_are_cut_to_the_source_and_leave_the_rest_alone) {
  rig.write(a, from, 0, "0123456789");
  rig.write(a, to, 0, "abcdefghij");
  EXPECT_EQ(copy(a, {.from = from, .to = to, .from_off = 7, .to_off = 2, .len = 100}).count, 3u);
  EXPECT_EQ(rig.content(a, to), "ab789fghij");
  EXPECT_EQ(copy(a, {.from = from, .to = to, .from_off = 10, .to_off = 2, .len = 100}).count, 0u);
  EXPECT_EQ(copy(a, {.from = from, .to = from, .from_off = 0, .to_off = 10, .len = 10}).count, 10u);
  EXPECT_EQ(rig.content(a, from), "01234567890123456789");
}

TEST_F(Copy, refuses_what_the_kernel_refuses) {
  rig.write(a, from, 0, text_of(100, 1));
  auto error = [&](CopyArgs args) { return copy(a, std::move(args)).error; };
  EXPECT_EQ(error({.from = from, .to = from, .from_off = 0, .to_off = 50, .len = 51}), EINVAL);
  EXPECT_EQ(error({.from = from, .to = from, .from_off = 50, .to_off = 0, .len = 60}), 0);
  EXPECT_EQ(error({.from = from, .to = to, .to_off = kFileSizeMax_bytes, .len = 1}), EFBIG);
  EXPECT_EQ(error({.from = from, .to = to, .from_off = UINT64_MAX, .len = 2}), EOVERFLOW);
  Handle dir = rig.mkdir(a, a.root.handle, "d").node.handle;
  EXPECT_EQ(error({.from = dir, .to = to, .len = 1}), EISDIR);
  EXPECT_EQ(error({.from = from, .to = dir, .len = 1}), EISDIR);
  Handle fifo = rig.create(a, a.root.handle, "p", S_IFIFO | 0644).node.handle;
  EXPECT_EQ(error({.from = fifo, .to = to, .len = 1}), EINVAL);
  EXPECT_EQ(rig.content(a, to), "");
}

TEST_F(Copy, is_permitted_by_opens_or_modes) {
  rig.write(a, from, 0, "text");
  Client b = rig.login(user(1000), false, "", true);
  Handle from_b = rig.lookup(b, b.root.handle, {"from"}).nodes[0].handle;
  Handle to_b = rig.lookup(b, b.root.handle, {"to"}).nodes[0].handle;
  EXPECT_EQ(copy(b, {.from = from_b, .to = to_b, .len = 4}).error, EACCES);
  rig.setattr(a, to, kSetMode, mode_of(0666));
  EXPECT_EQ(copy(b, {.from = from_b, .to = to_b, .len = 4}).error, 0);
  rig.open(a, from, opener(9, kAccessWrite));
  CopyArgs args{.from = from, .to = to, .from_opener = opener(9, kAccessWrite), .len = 4};
  EXPECT_EQ(copy(a, args).error, EBADF);
}

TEST_F(Copy, a_read_only_session_may_copy_from_but_not_to) {
  Client b = rig.login({}, true);
  Handle from_b = rig.lookup(b, b.root.handle, {"from"}).nodes[0].handle;
  Handle to_b = rig.lookup(b, b.root.handle, {"to"}).nodes[0].handle;
  EXPECT_EQ(copy(b, {.from = from_b, .to = to_b, .len = 4}).error, EROFS);
}

// What another client has written under W, and what we have, comes first; nobody's cache is old.
class CopyOrClone : public Copy, public testing::WithParamInterface<bool> {
 protected:
  CopyArgs all() const {
    return {.from = from, .to = to, .len = GetParam() ? 0 : UINT32_MAX, .clone = GetParam()};
  }
};
INSTANTIATE_TEST_SUITE_P(, CopyOrClone, testing::Bool(),
                         [](const auto& info) { return info.param ? "clone" : "copy"; });

TEST_P(CopyOrClone, recalls_the_writers_of_the_source_and_all_of_the_target) {
  Client b = rig.login();
  Handle from_b = rig.lookup(b, b.root.handle, {"from"}).nodes[0].handle;
  Handle to_b = rig.lookup(b, b.root.handle, {"to"}).nodes[0].handle;
  rig.getattr(b, from_b, kPartW, true);
  rig.write(b, from_b, 0, "dirty", kWriteWriteback);
  rig.getattr(b, to_b, kPartA | kPartR, true);
  b.peer->silent();
  auto copying = start_copy(a, all());
  rig.settle();
  EXPECT_FALSE(copying->has_value());
  ASSERT_EQ(b.peer->recalls.size(), 2u);
  for (const RecallItem& item : std::vector(b.peer->recalls)) {
    EXPECT_EQ(item.parts & (kPartR | kPartW), item.ino == from.ino ? kPartW : kPartR);
    rig.ack(b, item, item.ino == from.ino ? kPartR : 0);
  }
  EXPECT_EQ(rig.finish(copying).count, 5u);
  EXPECT_EQ(rig.content(a, to), "dirty");
  EXPECT_EQ(rig.held(b, from.ino) & kPartR, kPartR) << "readers of the source stay";
}

TEST_P(CopyOrClone, nobody_gets_W_on_the_source_meanwhile) {
  rig.write(a, from, 0, text_of(kMiB, 1));
  Client b = rig.login();
  Handle from_b = rig.lookup(b, b.root.handle, {"from"}).nodes[0].handle;
  auto copying = start_copy(a, all());
  auto asking = rig.start_getattr(b, from_b, kPartW);
  ASSERT_FALSE(copying->has_value());
  ASSERT_TRUE(asking->has_value());
  EXPECT_EQ((*asking)->node.grant.parts & kPartW, 0);
  EXPECT_EQ(rig.finish(copying).error, 0);
}

TEST_P(CopyOrClone, what_is_sent_again_is_not_done_again) {
  const std::string text = text_of(2 * kBlockSize_bytes, 1);
  rig.write(a, from, 0, text);
  a.slot = 5;
  EXPECT_EQ(copy(a, all()).count, text.size());
  const Op op = a.op;
  a.slot = 6;
  rig.write(a, to, 0, "newer");
  auto state = std::make_shared<CopyState>();
  CopyAnswer again =
      rig.finish(rig.start<CopyAnswer>(a, &op, [args = all(), state](Turn& t, CopyAnswer& r) {
        return args.clone ? server::clone(t, args, state, r) : server::copy(t, args, state, r);
      }));
  EXPECT_EQ(again.error, 0);
  EXPECT_TRUE(again.replayed);
  EXPECT_EQ(again.count, text.size());
  EXPECT_EQ(rig.content(a, to), "newer" + text.substr(5));
}

TEST_P(CopyOrClone, a_failed_commit_leaves_both_files_as_they_were) {
  const std::string text = text_of(2 * kBlockSize_bytes, 1);
  rig.write(a, from, 0, text);
  rig.write(a, to, 0, "old");
  rig.hold_commits = true;
  auto copying = start_copy(a, all());
  rig.settle();
  ASSERT_FALSE(copying->has_value());
  rig.commits->fail(Errno(EIO));
  rig.hold_commits = false;
  EXPECT_EQ(rig.finish(copying).error, EIO);
  EXPECT_EQ(rig.content(a, to), "old");
  a.slot = 7;
  EXPECT_EQ(copy(a, all()).count, text.size()) << "and it can be done still";
  rig.write(a, from, 0, "source");
  rig.setattr(a, from, kSetSize, size_of(0));
  rig.settle();
  EXPECT_EQ(rig.content(a, to), text) << "counted once too few";
}

TEST_F(Copy, the_own_W_of_both_files_comes_back_first) {
  rig.getattr(a, from, kPartW, true);
  rig.getattr(a, to, kPartW, true);
  rig.write(a, from, 0, "source", kWriteWriteback);
  rig.write(a, to, 0, "target and tail", kWriteWriteback);
  a.slot = 4;
  EXPECT_EQ(copy(a, whole()).count, 6u);
  EXPECT_EQ(rig.content(a, to), "source and tail");
  EXPECT_EQ(rig.held(a, to.ino) & kPartW, 0);
}

TEST_F(Copy, a_replay_tells_the_count) {
  rig.write(a, from, 0, "text");
  EXPECT_EQ(copy(a, whole()).count, 4u);
  auto again = rig.finish(rig.start<CopyAnswer>(a, &a.op, [](Turn&, CopyAnswer&) {
    ADD_FAILURE() << "executed twice";
    return Errno(EIO);
  }));
  EXPECT_TRUE(again.replayed);
  EXPECT_EQ(again.count, 4u);
}

TEST_F(Copy, takes_privileges_away_and_stamps) {
  Client b = rig.login(user(1000), false, "", true);
  rig.write(a, from, 0, "text");
  rig.setattr(a, from, kSetMode, mode_of(0644));
  rig.setattr(a, to, kSetMode, mode_of(06777));
  Handle from_b = rig.lookup(b, b.root.handle, {"from"}).nodes[0].handle;
  Handle to_b = rig.lookup(b, b.root.handle, {"to"}).nodes[0].handle;
  rig.wall_ns += kNsPerSec;
  CopyAnswer answer = copy(b, {.from = from_b, .to = to_b, .len = 4});
  EXPECT_EQ(answer.node.attr.mode & 07777, 0777u);
  EXPECT_EQ(answer.node.attr.mtime, Time::from_ns(rig.wall_ns));
  EXPECT_EQ(answer.node.attr.ctime, Time::from_ns(rig.wall_ns));
}

TEST_F(Copy, a_clone_shares_and_each_file_goes_its_own_way) {
  const std::string text = text_of(300'000, 1);
  rig.write(a, from, 0, text);
  const uint64_t before = rig.blocks.list()->size();
  CopyAnswer answer = copy(a, {.from = from, .to = to, .clone = true});
  EXPECT_EQ(answer.error, 0);
  EXPECT_EQ(answer.count, text.size());
  EXPECT_EQ(answer.node.attr.size, text.size());
  EXPECT_EQ(rig.blocks.list()->size(), before);
  rig.write(a, to, 5, "target");
  rig.write(a, from, 70'000, "source");
  boot_again();
  std::string theirs = text, ours = text;
  theirs.replace(5, 6, "target");
  ours.replace(70'000, 6, "source");
  EXPECT_EQ(rig.content(a, to), theirs);
  EXPECT_EQ(rig.content(a, from), ours);
}

TEST_F(Copy, a_clone_is_of_whole_blocks_but_at_the_ends) {
  constexpr uint64_t kBlock = kBlockSize_bytes;
  rig.write(a, from, 0, text_of(2 * kBlock + 100, 1));
  rig.write(a, to, 0, text_of(3 * kBlock, 2));
  auto error = [&](CopyArgs args) {
    args.clone = true;
    return copy(a, std::move(args)).error;
  };
  EXPECT_EQ(error({.from = from, .to = to, .from_off = 1, .len = kBlock}), EINVAL);
  EXPECT_EQ(error({.from = from, .to = to, .to_off = 4096, .len = kBlock}), EINVAL);
  EXPECT_EQ(error({.from = from, .to = to, .len = kBlock + 1}), EINVAL);
  EXPECT_EQ(error({.from = from, .to = to, .len = 3 * kBlock}), EINVAL) << "beyond the source";
  EXPECT_EQ(error({.from = from, .to = to}), EINVAL) << "the target goes on";
  EXPECT_EQ(error({.from = from, .to = from, .to_off = kBlock, .len = 2 * kBlock}), EINVAL);
  EXPECT_EQ(error({.from = from, .to = to, .to_off = kBlock}), 0);
  EXPECT_EQ(rig.content(a, to),
            text_of(3 * kBlock, 2).substr(0, kBlock) + text_of(2 * kBlock + 100, 1));
}

TEST_F(Copy, a_clone_has_what_others_have_written_under_W) {
  Client b = rig.login();
  Handle from_b = rig.lookup(b, b.root.handle, {"from"}).nodes[0].handle;
  rig.getattr(b, from_b, kPartW, true);
  rig.write(b, from_b, 0, text_of(100'000, 3), kWriteWriteback);
  EXPECT_EQ(copy(a, {.from = from, .to = to, .clone = true}).count, 100'000u);
  EXPECT_EQ(rig.content(a, to), text_of(100'000, 3));
}

// A file of many chunks is cut, and cloned, in many turns.
TEST_F(Copy, others_are_answered_while_a_long_file_is_cloned_and_cut) {
  constexpr int kChunks = 200;
  for (int i = 0; i < kChunks; ++i) rig.write(a, from, i * kChunkSize_bytes, "x");
  Client b = rig.login();
  auto answered_until = [&](auto pending) {
    int answered = 0;
    while (!pending->has_value()) {
      answered += rig.start_getattr(b, b.root.handle)->has_value();
      EXPECT_TRUE(rig.step());
    }
    EXPECT_EQ((*pending)->error, 0);
    return answered;
  };
  EXPECT_GE(answered_until(start_copy(a, {.from = from, .to = to, .clone = true})), 6);
  EXPECT_GE(answered_until(rig.start_setattr(a, from, kSetSize, size_of(0))), 6);
  ReadAnswer end = rig.read(a, to, (kChunks - 1) * kChunkSize_bytes, 10);
  EXPECT_EQ(end.size, (kChunks - 1) * kChunkSize_bytes + 1);
  EXPECT_EQ(end.data.size(), 1u);
}

// What lies between takes no time.
TEST_F(Copy, a_clone_of_a_sparse_file_is_about_what_is_there) {
  rig.setattr(a, from, kSetSize, size_of(2 * kCloneCallMax_bytes));
  rig.write(a, from, 100 * kMiB, "from");
  rig.write(a, from, kCloneCallMax_bytes, "behind");
  rig.setattr(a, to, kSetSize, size_of(2 * kCloneCallMax_bytes));
  rig.write(a, to, 200 * kMiB, "to");
  rig.write(a, to, 300 * kMiB, "to");
  auto pending = start_copy(a, {.from = from, .to = to, .to_off = 3 * kMiB, .clone = true});
  int steps = 0;
  while (!pending->has_value() && ++steps < 100) ASSERT_TRUE(rig.step());
  EXPECT_LT(steps, 30);
  ASSERT_TRUE(pending->has_value());
  EXPECT_EQ((*pending)->error, 0);
  EXPECT_EQ((*pending)->count, kCloneCallMax_bytes);
  auto text = [&](uint64_t at, uint32_t size) {
    ReadAnswer answer = rig.read(a, to, at, size);
    return std::string(reinterpret_cast<const char*>(answer.data.data()), answer.data.size());
  };
  EXPECT_EQ(text(103 * kMiB, 4), "from");
  EXPECT_EQ(text(200 * kMiB, 2), std::string(2, '\0'));
  EXPECT_EQ(text(300 * kMiB, 2), std::string(2, '\0'));
  EXPECT_EQ(text(kCloneCallMax_bytes + 3 * kMiB, 6), std::string(6, '\0'));
}

// What can be is shared, and only a rest is copied.
TEST_F(Copy, a_copy_of_whole_blocks_shares) {
  constexpr uint64_t kBlock = kBlockSize_bytes;
  const std::string text = text_of(3 * kBlock + 100, 1);
  rig.write(a, from, 0, text);
  const size_t files = rig.blocks.list()->size();
  EXPECT_EQ(copy(a, whole()).count, text.size()) << "it ends with both";
  EXPECT_EQ(rig.content(a, to), text);
  EXPECT_EQ(copy(a, {.from = from, .to = to, .to_off = kBlock, .len = 2 * kBlock + 7}).count,
            2 * kBlock);
  EXPECT_EQ(rig.blocks.list()->size(), files);
  EXPECT_EQ(
      copy(a, {.from = from, .to = to, .from_off = 2 * kBlock, .to_off = 3 * kBlock, .len = 7})
          .count,
      7u);
  std::string expected = text;
  expected.replace(kBlock, 2 * kBlock, text, 0, 2 * kBlock);
  expected.replace(3 * kBlock, 7, text, 2 * kBlock, 7);
  EXPECT_EQ(rig.content(a, to), expected);
  EXPECT_EQ(rig.content(a, from), text);
  EXPECT_EQ(copy(a, {.from = from, .to = to, .to_off = 1, .len = 2 * kBlock}).count, 2 * kBlock);
  EXPECT_EQ(rig.content(a, to).substr(1, 2 * kBlock), text.substr(0, 2 * kBlock));
}

// Records take room, too, and data that is written already needs some for its own.
TEST_F(Copy, shares_nothing_where_there_is_no_room_for_records) {
  rig.write(a, from, 0, text_of(kBlockSize_bytes, 1));
  rig.meta.set_free_bytes(0);
  rig.pass(kNsPerSec);
  EXPECT_EQ(copy(a, whole()).error, ENOSPC);
  CopyArgs clone = whole();
  clone.clone = true;
  clone.len = 0;
  EXPECT_EQ(copy(a, clone).error, ENOSPC);
  rig.meta.set_free_bytes(uint64_t{1} << 40);
  rig.pass(kNsPerSec);
  EXPECT_EQ(copy(a, whole()).count, kBlockSize_bytes);
}

// One call does not hold a file for longer than some pieces take.
TEST_F(Copy, more_than_one_call_may_do_is_short) {
  Kstat size;
  size.size = kCopyCallMax_bytes + kMiB;
  rig.setattr(a, from, kSetSize, size);
  CopyArgs args = whole();
  args.to_off = 1;  // nothing can be shared
  EXPECT_EQ(copy(a, args).count, kCopyCallMax_bytes);
  args.from_off = kCopyCallMax_bytes;
  args.to_off = kCopyCallMax_bytes + 1;
  EXPECT_EQ(copy(a, args).count, kMiB);
}

// Between two pieces the loop is free.
TEST_F(Copy, others_are_answered_between_the_pieces) {
  Kstat size;
  size.size = 4 * kCopyPiece_bytes;
  rig.setattr(a, from, kSetSize, size);
  Client b = rig.login();
  CopyArgs args = whole();
  args.to_off = 1;
  auto copying = start_copy(a, args);
  int answered = 0;
  while (!copying->has_value()) {
    auto null_call = rig.start_getattr(b, b.root.handle);
    answered += null_call->has_value();
    ASSERT_TRUE(rig.step());
  }
  EXPECT_GE(answered, 4);
}

// Where content lies: in turns, and true of one moment.
class Walks : public Copy {
 protected:
  void SetUp() override {
    for (int i = 0; i < kChunks; ++i) rig.write(a, from, i * kChunkSize_bytes, kBlockOfText);
  }
  Pending<ExtentsReply> start_extents(Client& c, const Handle& node, uint32_t max = 1000) {
    ExtentsArgs args{.node = node, .opener = {}, .off = 0, .len = UINT64_MAX, .max = max};
    args.opener.cred = c.cred;
    auto state = std::make_shared<WalkState>();
    return rig.start<ExtentsReply>(c, nullptr, [args, state](Turn& t, ExtentsReply& r) {
      return server::extents(t, args, state, r);
    });
  }
  SeekReply seek(Client& c, const Handle& node, uint64_t off, bool hole) {
    SeekArgs args{.node = node, .opener = {}, .off = off, .hole = hole};
    args.opener.cred = c.cred;
    auto state = std::make_shared<WalkState>();
    return rig.finish(rig.start<SeekReply>(c, nullptr, [args, state](Turn& t, SeekReply& r) {
      return server::seek(t, args, state, r);
    }));
  }
  static constexpr int kChunks = 200;
  const std::string kBlockOfText = text_of(kBlockSize_bytes, 1);
};

TEST_F(Walks, others_are_answered_while_extents_are_looked_for) {
  Client b = rig.login();
  auto pending = start_extents(a, from);
  int answered = 0;
  while (!pending->has_value()) {
    answered += rig.start_getattr(b, b.root.handle)->has_value();
    ASSERT_TRUE(rig.step());
  }
  EXPECT_GE(answered, 6);
  ExtentsReply found = rig.finish(pending);
  EXPECT_EQ(found.error, 0);
  EXPECT_TRUE(found.last);
  ASSERT_EQ(found.extents.size(), static_cast<size_t>(kChunks));
  EXPECT_EQ(found.extents[kChunks - 1].offset, (kChunks - 1) * kChunkSize_bytes);
  EXPECT_EQ(found.extents[kChunks - 1].length, kBlockSize_bytes);
  found = rig.finish(start_extents(a, from, 7));
  EXPECT_EQ(found.extents.size(), 7u);
  EXPECT_FALSE(found.last);
}

TEST_F(Walks, extents_are_those_of_one_moment) {
  Client b = rig.login();
  Handle theirs = rig.lookup(b, b.root.handle, {"from"}).nodes[0].handle;
  auto pending = start_extents(a, from);
  ASSERT_TRUE(rig.step());
  ASSERT_FALSE(pending->has_value());
  // The walk has not come there yet, and this would be over long before it does.
  auto cutting = rig.start_setattr(b, theirs, kSetSize, size_of((kChunks - 1) * kChunkSize_bytes));
  while (!pending->has_value()) {
    ASSERT_TRUE(rig.step());
    while (rig.pool->step() || rig.commits->step()) {
    }
  }
  EXPECT_FALSE(cutting->has_value());
  EXPECT_EQ((*pending)->extents.size(), static_cast<size_t>(kChunks));
  EXPECT_EQ(rig.finish(cutting).error, 0);
  EXPECT_EQ(rig.finish(start_extents(a, from)).extents.size(), static_cast<size_t>(kChunks - 1));
}

TEST_F(Walks, seek_finds_the_next_data_or_hole_however_far) {
  EXPECT_EQ(seek(a, from, 0, false).off, 0u);
  EXPECT_EQ(seek(a, from, 0, true).off, kBlockSize_bytes);
  EXPECT_EQ(seek(a, from, 5, false).off, 5u);
  EXPECT_EQ(seek(a, from, kBlockSize_bytes, false).off, kChunkSize_bytes);
  EXPECT_EQ(seek(a, from, kBlockSize_bytes, true).off, kBlockSize_bytes);
  const uint64_t end = (kChunks - 1) * kChunkSize_bytes + kBlockSize_bytes;
  EXPECT_EQ(seek(a, from, end, false).error, ENXIO);
  EXPECT_EQ(seek(a, from, UINT64_MAX, true).error, ENXIO);
  rig.setattr(a, from, kSetSize, size_of(end + 1));
  EXPECT_EQ(seek(a, from, end, false).error, ENXIO) << "nothing but a hole";
  EXPECT_EQ(seek(a, from, end, true).off, end);
  for (uint64_t at = 0; at < 40 * kChunkSize_bytes; at += kMiB)
    rig.write(a, to, at, text_of(kMiB, 2));
  EXPECT_EQ(seek(a, to, 1, true).off, 40 * kChunkSize_bytes) << "in several turns";
}

TEST_F(Walks, extents_tell_what_is_shared) {
  for (const DataExtent& extent : rig.finish(start_extents(a, from)).extents) {
    ASSERT_FALSE(extent.shared);
  }
  CopyArgs args = whole();
  args.len = 10 * kChunkSize_bytes;
  ASSERT_EQ(copy(a, args).count, args.len);
  const std::vector<DataExtent> ours = rig.finish(start_extents(a, from)).extents;
  for (int i = 0; i < kChunks; ++i) ASSERT_EQ(ours[i].shared, i < 10) << i;
  for (const DataExtent& extent : rig.finish(start_extents(a, to)).extents) {
    ASSERT_TRUE(extent.shared);
  }
  rig.setattr(a, from, kSetSize, size_of(0));
  for (const DataExtent& extent : rig.finish(start_extents(a, to)).extents) {
    ASSERT_FALSE(extent.shared);
  }
}

}  // namespace
}  // namespace myfs::server
