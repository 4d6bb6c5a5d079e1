// DIRSTATS: what a directory holds, or the tree below it.
#include <gtest/gtest.h>

#include "tests/unit/server/rig.h"

namespace myfs::server {
namespace {

class DirStats : public testing::Test {
 protected:
  Pending<DirStatsReply> start(Client& c, const Handle& dir, bool recursive = true) {
    auto walk = std::make_shared<DirStatsWalk>();
    return rig.start<DirStatsReply>(c, nullptr, [dir, recursive, walk](Turn& t, DirStatsReply& r) {
      return server::dir_stats(t, dir, recursive, walk, r);
    });
  }
  DirStatsReply stats(Client& c, const Handle& dir, bool recursive = true) {
    return rig.finish(start(c, dir, recursive));
  }
  Handle file(const Handle& dir, const std::string& name, const std::string& text = "") {
    Handle made = rig.create(a, dir, name).node.handle;
    if (!text.empty()) rig.write(a, made, 0, text);
    return made;
  }
  Handle mkdir(const Handle& dir, const std::string& name, uint32_t mode = 0755) {
    return rig.mkdir(a, dir, name, mode).node.handle;
  }
  static void expect(const DirStatsReply& got, uint64_t entries, uint64_t subdirs, uint64_t bytes) {
    EXPECT_EQ(got.error, 0);
    EXPECT_EQ(got.entries, entries);
    EXPECT_EQ(got.subdirs, subdirs);
    EXPECT_EQ(got.bytes, bytes);
  }
  // `b` has W, and so many bytes of the file in its cache.
  void writes(Client& b, const Handle& node, uint64_t size) {
    NodeOnlyReply got = rig.getattr(b, node, kPartA | kPartR | kPartW, true);
    ASSERT_EQ(got.node.grant.parts & kPartW, kPartW);
    b.peer->on_glimpse = [this, session = b.session.get(), size](uint64_t id, uint64_t ino) {
      rig.posted.push_back([this, session, id, ino, size] {
        rig.shard->glimpsed(*session, id, ino, Glimpsed{.valid = true, .size = size, .mtime = {}});
      });
    };
  }

  Rig rig;
  Client a = rig.login();
  Handle top = a.root.handle;
};

TEST_F(DirStats, of_one_directory_count_its_names_and_the_bytes_of_its_files) {
  file(top, "f", "12345");
  file(top, "g", std::string(70'000, 'x'));
  file(mkdir(top, "d"), "below", "678");
  rig.create(a, top, "p", S_IFIFO | 0644);
  expect(stats(a, top, false), 4, 1, 70'005);
  expect(stats(a, mkdir(top, "empty"), false), 0, 0, 0);
}

TEST_F(DirStats, of_a_tree_count_everything_below) {
  file(top, "f", "12345");
  Handle d = mkdir(top, "d"), e = mkdir(d, "e");
  mkdir(top, "empty");
  file(d, "g", "678");
  file(e, "h", "9");
  mkdir(mkdir(e, "e2"), "e3");
  expect(stats(a, top), 8, 5, 9);
  expect(stats(a, d), 5, 3, 4);
  expect(stats(a, e), 3, 2, 1);
}

TEST_F(DirStats, bytes_of_a_file_with_several_names_count_once) {
  Handle f = file(top, "f", "12345");
  rig.link(a, f, top, "g");
  rig.link(a, f, mkdir(top, "d"), "h");
  expect(stats(a, top), 4, 1, 5);
  expect(stats(a, top, false), 3, 1, 5);
}

// Those of all counts together are bounded; one that is over leaves its room to others.
TEST_F(DirStats, many_counts_remember_no_more_files_with_several_names_than_one_may_hold) {
  rig.link(a, file(top, "f", "12345"), top, "g");
  std::vector<std::shared_ptr<DirStatsWalk>> walks;
  auto count = [&] {
    walks.push_back(std::make_shared<DirStatsWalk>());
    return rig.finish(rig.start<DirStatsReply>(
        a, nullptr, [this, walk = walks.back()](Turn& t, DirStatsReply& r) {
          return server::dir_stats(t, top, true, walk, r);
        }));
  };
  for (int i = 0; i < 4; ++i) {
    expect(count(), 2, 0, 5);
    for (uint64_t ino = 0; ino < 1 << 20; ++ino) walks.back()->linked.insert(ino << 32);
  }
  EXPECT_EQ(count().error, ENOMEM);
  walks.clear();
  expect(count(), 2, 0, 5);
}

TEST_F(DirStats, refuses_what_may_not_be_read_or_is_no_directory) {
  Handle f = file(top, "f");
  Handle d = mkdir(top, "d"), shut = mkdir(d, "shut", 0711), dark = mkdir(top, "dark", 0744);
  Client b = rig.login(user(7));
  EXPECT_EQ(stats(a, f).error, ENOTDIR);
  EXPECT_EQ(stats(b, b.root.handle).error, EACCES);  // of one below
  expect(stats(b, b.root.handle, false), 3, 2, 0);
  auto mine = [&](std::vector<std::string> names) {
    return rig.lookup(b, b.root.handle, names).nodes.back().handle;
  };
  EXPECT_EQ(stats(b, mine({"d", "shut"}), false).error, EACCES);
  EXPECT_EQ(stats(b, mine({"dark"}), false).error, EACCES);
  EXPECT_EQ(stats(a, top).error, 0);
  EXPECT_EQ(stats(b, shut).error, EACCES);  // another session's handle
  rig.rmdir(a, top, "dark");
  EXPECT_EQ(stats(a, dark).error, ESTALE);
}

TEST_F(DirStats, writers_are_asked_the_own_one_too) {
  Client b = rig.login();
  Handle d = mkdir(top, "d");
  file(d, "still", "1");
  Handle mine = file(d, "mine", "1");
  file(d, "theirs", "1");
  writes(a, mine, 1'000);
  writes(b, rig.lookup(b, b.root.handle, {"d", "theirs"}).nodes[1].handle, 20'000);
  expect(stats(a, top), 4, 1, 21'001);
  expect(stats(b, b.root.handle), 4, 1, 21'001);
  EXPECT_EQ(a.peer->glimpses.size(), 2u);
  EXPECT_EQ(rig.held(a, mine.ino) & kPartW, kPartW);
}

TEST_F(DirStats, a_writer_that_does_not_answer_gives_W_back) {
  Handle f = file(top, "f", "12345");
  rig.getattr(a, f, kPartA | kPartR | kPartW, true);
  auto pending = start(a, top);
  rig.settle();
  EXPECT_FALSE(pending->has_value());
  rig.pass(kGlimpseTimeout_ns);
  expect(rig.finish(pending), 1, 0, 5);
  EXPECT_EQ(rig.held(a, f.ino) & kPartW, 0);
}

TEST_F(DirStats, many_writers_are_asked_in_turns) {
  Client b = rig.login();
  for (int i = 0; i < 600; ++i) {
    const std::string name = "f" + std::to_string(i);
    file(top, name);
    writes(b, rig.lookup(b, b.root.handle, {name}).nodes[0].handle, 2);
  }
  size_t most = 0, asked = 0;
  b.peer->on_glimpse = [&, answer = b.peer->on_glimpse](uint64_t id, uint64_t ino) {
    if (++asked == 1) rig.posted.push_back([&] { asked = 0; });
    most = std::max(most, asked);
    answer(id, ino);
  };
  expect(stats(a, top), 600, 0, 1'200);
  EXPECT_EQ(b.peer->glimpses.size(), 600u);
  EXPECT_LE(most, 256u);
}

TEST_F(DirStats, others_are_answered_while_many_names_are_counted) {
  Handle d = mkdir(mkdir(top, "d"), "e");
  for (int i = 0; i < 1'500; ++i) file(d, "f" + std::to_string(i));
  for (int i = 0; i < 500; ++i) mkdir(d, "d" + std::to_string(i));
  Client b = rig.login();
  auto counting = start(a, top);
  int answered = 0;
  while (!counting->has_value()) {
    auto other = rig.start_getattr(b, b.root.handle);
    answered += other->has_value();
    ASSERT_TRUE(rig.step());
  }
  EXPECT_GE(answered, 7);
  expect(rig.finish(counting), 2'002, 502, 0);
}

TEST_F(DirStats, what_goes_meanwhile_is_no_error) {
  for (int i = 0; i < 300; ++i) mkdir(top, "d" + std::to_string(i));
  auto counting = start(a, top);
  EXPECT_FALSE(counting->has_value());
  for (int i = 0; i < 300; ++i) {
    auto removing = rig.start_unlink(a, top, "d" + std::to_string(i), kUnlinkDirectory);
    rig.commits->step();
  }
  DirStatsReply got = rig.finish(counting);
  EXPECT_EQ(got.error, 0);
  EXPECT_EQ(got.entries, got.subdirs);
}

TEST_F(DirStats, are_told_when_all_that_was_counted_is_durable) {
  for (int i = 0; i < 600; ++i) file(mkdir(top, "d" + std::to_string(i)), "f");
  std::string first = rig.readdir(a, top).entries[0].name;  // counted in the first turn alone
  rig.hold_commits = true;
  auto removing = rig.start_unlink(a, rig.lookup(a, top, {first}).nodes[0].handle, "f");
  auto counting = start(a, top);
  rig.settle();
  EXPECT_FALSE(counting->has_value());
  rig.hold_commits = false;
  expect(rig.finish(counting), 1'199, 600, 0);
}

TEST_F(DirStats, what_is_undone_meanwhile_does_not_count) {
  for (int i = 0; i < 600; ++i) file(top, "f" + std::to_string(i));
  rig.hold_commits = true;
  for (int i = 0; i < 50; ++i) {
    a.slot = static_cast<uint16_t>(4 + i);
    rig.start_unlink(a, top, "f" + std::to_string(i));
  }
  auto counting = start(a, top);
  ASSERT_TRUE(rig.step());
  ASSERT_FALSE(counting->has_value());
  rig.commits->fail(Errno(EIO));
  rig.hold_commits = false;
  expect(rig.finish(counting), 600, 0, 0);
}

TEST_F(DirStats, a_count_ends_with_its_session) {
  for (int i = 0; i < 600; ++i) file(top, "f" + std::to_string(i));
  auto counting = start(a, top);
  EXPECT_FALSE(counting->has_value());
  rig.shard->evict(a.session, "test");
  EXPECT_EQ(rig.finish(counting).error, ESTALE);
}

}  // namespace
}  // namespace myfs::server
