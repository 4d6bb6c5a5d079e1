#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/unit/server/rig.h"

namespace myfs::server {
namespace {

class Namespace : public testing::Test {
 protected:
  Rig rig;
  Client root = rig.login();
  Handle top = root.root.handle;

  ChangedReply file(const std::string& name) { return rig.create(root, top, name); }
  ChangedReply dir(const std::string& name) { return rig.mkdir(root, top, name); }
  Pending<NodeOnlyReply> start_parent_of(Client& client, const Handle& dir) {
    auto search = std::make_shared<ParentSearch>();
    return rig.start<NodeOnlyReply>(client, nullptr, [dir, search](Turn& t, NodeOnlyReply& r) {
      return parent_of(t, dir, search, r);
    });
  }
  NodeOnlyReply parent_of_dir(Client& client, const Handle& dir) {
    return rig.finish(start_parent_of(client, dir));
  }
};

TEST_F(Namespace, created_file_is_found_with_its_attributes) {
  ChangedReply made = file("a");
  ASSERT_EQ(made.error, 0);
  LookupReply found = rig.lookup(root, top, {"a"});
  ASSERT_EQ(found.error, 0);
  ASSERT_EQ(found.nodes.size(), 1u);
  EXPECT_EQ(found.nodes[0].attr.ino, made.node.attr.ino);
  EXPECT_EQ(found.nodes[0].attr.mode, S_IFREG | 0644u);
  EXPECT_EQ(found.nodes[0].attr.nlink, 1u);
  EXPECT_EQ(found.nodes[0].attr.mtime, Time::from_ns(rig.wall_ns));
}

TEST_F(Namespace, lookup_walks_many_names_and_stops_at_the_first_error) {
  ChangedReply a = dir("a");
  ChangedReply b = rig.mkdir(root, a.node.handle, "b");
  rig.create(root, b.node.handle, "f");
  LookupReply found = rig.lookup(root, top, {"a", "b", "f"});
  ASSERT_EQ(found.nodes.size(), 3u);
  EXPECT_TRUE(S_ISREG(found.nodes[2].attr.mode));
  found = rig.lookup(root, top, {"a", "x", "f"});
  ASSERT_EQ(found.nodes.size(), 2u);
  EXPECT_EQ(found.nodes[1].error, ENOENT);
  found = rig.lookup(root, top, {"a", "b", "f", "g"});
  EXPECT_EQ(found.nodes.size(), 3u);
}

TEST_F(Namespace, names_are_checked) {
  EXPECT_EQ(file(std::string(256, 'n')).error, ENAMETOOLONG);
  EXPECT_EQ(file(std::string(255, 'n')).error, 0);
  for (std::string bad : {"", ".", "..", "a/b"}) EXPECT_EQ(file(bad).error, EINVAL) << bad;
  EXPECT_EQ(file(std::string("a\0b", 3)).error, EINVAL);
}

TEST_F(Namespace, create_exclusive_refuses_what_is_there) {
  file("a");
  EXPECT_EQ(file("a").error, EEXIST);
  EXPECT_EQ(dir("a").error, EEXIST);
  ChangedReply found = rig.create(root, top, "a", S_IFREG | 0600, 0);
  EXPECT_EQ(found.error, 0);
  EXPECT_EQ(found.node.attr.mode, S_IFREG | 0644u);
  dir("d");
  EXPECT_EQ(rig.create(root, top, "d", S_IFREG | 0600, 0).error, EISDIR);
}

TEST_F(Namespace, mkdir_counts_links_of_the_parent) {
  ChangedReply a = dir("a");
  EXPECT_EQ(a.node.attr.nlink, 2u);
  EXPECT_EQ(a.dir.attr.nlink, 3u);
  EXPECT_EQ(rig.rmdir(root, top, "a").dir.attr.nlink, 2u);
}

TEST_F(Namespace, every_type_can_be_made) {
  for (uint32_t type : {S_IFREG, S_IFDIR, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK}) {
    ChangedReply made = rig.create(root, top, "t" + std::to_string(type), type | 0600);
    ASSERT_EQ(made.error, 0) << type;
    EXPECT_EQ(made.node.attr.mode & S_IFMT, type);
  }
  CreateArgs link{.dir = top, .name = "l", .mode = S_IFLNK | 0777};
  link.target = "a/b";
  link.flags = kCreateExcl;
  ChangedReply made = rig.finish(rig.start_create(root, link));
  EXPECT_EQ(made.node.target, "a/b");
  EXPECT_EQ(made.node.attr.size, 3u);
  link.name = "m";
  link.target = std::string(4096, 't');
  EXPECT_EQ(rig.finish(rig.start_create(root, link)).error, ENAMETOOLONG);
  link.target = "";
  EXPECT_EQ(rig.finish(rig.start_create(root, link)).error, ENOENT);
}

TEST_F(Namespace, unlink_removes_name_and_inode) {
  ChangedReply a = file("a");
  ChangedReply gone = rig.unlink(root, top, "a");
  EXPECT_EQ(gone.error, 0);
  EXPECT_EQ(gone.victim.attr.nlink, 0u);
  EXPECT_EQ(rig.lookup(root, top, {"a"}).nodes[0].error, ENOENT);
  EXPECT_EQ(rig.getattr(root, a.node.handle).error, ESTALE);
  EXPECT_EQ(rig.unlink(root, top, "a").error, ENOENT);
  EXPECT_EQ(rig.records('I'), 1u);
}

TEST_F(Namespace, unlink_and_rmdir_know_their_kind) {
  file("f");
  ChangedReply d = dir("d");
  EXPECT_EQ(rig.unlink(root, top, "d").error, EISDIR);
  EXPECT_EQ(rig.rmdir(root, top, "f").error, ENOTDIR);
  rig.create(root, d.node.handle, "x");
  EXPECT_EQ(rig.rmdir(root, top, "d").error, ENOTEMPTY);
  rig.unlink(root, d.node.handle, "x");
  EXPECT_EQ(rig.rmdir(root, top, "d").error, 0);
}

TEST_F(Namespace, nothing_is_made_in_a_removed_directory) {
  ChangedReply d = dir("d");
  Handle handle = d.node.handle;
  rig.getattr(root, handle, kPartA | kPartD | kPartP);
  root.peer->silent();
  auto removing = rig.start_unlink(root, top, "d", kUnlinkDirectory);
  rig.settle();
  ASSERT_EQ(root.peer->recalls.size(), 1u);
  EXPECT_EQ(rig.ack(root, root.peer->recalls[0], kPartP), 0);
  ASSERT_TRUE(removing->has_value());
  EXPECT_EQ(rig.create(root, handle, "x").error, ENOENT);
  EXPECT_TRUE(rig.readdir(root, handle).entries.empty());
}

TEST_F(Namespace, hard_links_share_an_inode) {
  ChangedReply a = file("a");
  ChangedReply b = rig.link(root, a.node.handle, top, "b");
  EXPECT_EQ(b.node.attr.nlink, 2u);
  EXPECT_EQ(rig.records('P'), 1u);
  EXPECT_EQ(rig.unlink(root, top, "a").victim.attr.nlink, 1u);
  EXPECT_EQ(rig.lookup(root, top, {"b"}).nodes[0].attr.ino, a.node.attr.ino);
  rig.unlink(root, top, "b");
  EXPECT_EQ(rig.records('P'), 0u);
  ChangedReply d = dir("d");
  EXPECT_EQ(rig.link(root, d.node.handle, top, "e").error, EPERM);
  ChangedReply c = file("c");
  EXPECT_EQ(rig.link(root, c.node.handle, top, "c").error, EEXIST);
}

TEST_F(Namespace, link_EMLINK_links_are_limited) {
  ChangedReply a = file("a");
  auto body = [ino = a.node.attr.ino](Turn& turn, NodeOnlyReply&) {
    turn.edit(ino).nlink = kLinkMax;
    return Errno();
  };
  rig.finish(rig.start<NodeOnlyReply>(root, nullptr, body));
  EXPECT_EQ(rig.link(root, a.node.handle, top, "b").error, EMLINK);
}

TEST_F(Namespace, rename_moves_and_replaces) {
  ChangedReply a = file("a");
  ChangedReply b = file("b");
  ChangedReply moved = rig.rename(root, top, "a", top, "b");
  EXPECT_EQ(moved.error, 0);
  EXPECT_EQ(moved.victim.attr.ino, b.node.attr.ino);
  EXPECT_EQ(moved.victim.attr.nlink, 0u);
  EXPECT_EQ(rig.names(root, top), std::vector<std::string>{"b"});
  EXPECT_EQ(rig.lookup(root, top, {"b"}).nodes[0].attr.ino, a.node.attr.ino);
}

TEST_F(Namespace, rename_between_directories_moves_links) {
  ChangedReply a = dir("a");
  ChangedReply b = dir("b");
  rig.mkdir(root, a.node.handle, "x");
  ChangedReply moved = rig.rename(root, a.node.handle, "x", b.node.handle, "y");
  EXPECT_EQ(moved.dir.attr.nlink, 2u);
  EXPECT_EQ(moved.other_dir.attr.nlink, 3u);
  NodeOnlyReply parent = parent_of_dir(root, moved.node.handle);
  EXPECT_EQ(parent.node.attr.ino, b.node.attr.ino);
  EXPECT_EQ(parent.name, "y");
}

TEST_F(Namespace, rename_into_a_descendant_is_refused_however_deep) {
  ChangedReply at = dir("a");
  Handle deep = at.node.handle;
  for (int i = 0; i < 5; ++i) deep = rig.mkdir(root, deep, "s").node.handle;
  EXPECT_EQ(rig.rename(root, top, "a", deep, "x").error, EINVAL);
  EXPECT_EQ(rig.rename(root, top, "a", at.node.handle, "x").error, EINVAL);
  LookupReply found = rig.lookup(root, top, {"a", "s", "s", "s"});
  EXPECT_EQ(rig.rename(root, found.nodes[2].handle, "s", top, "a").error, ENOTEMPTY);
}

TEST_F(Namespace, rename_checks_types) {
  file("f");
  ChangedReply d = dir("d");
  dir("e");
  EXPECT_EQ(rig.rename(root, top, "f", top, "d").error, EISDIR);
  EXPECT_EQ(rig.rename(root, top, "d", top, "f").error, ENOTDIR);
  rig.create(root, d.node.handle, "x");
  EXPECT_EQ(rig.rename(root, top, "e", top, "d").error, ENOTEMPTY);
  EXPECT_EQ(rig.rename(root, top, "d", top, "e").error, 0);
  EXPECT_EQ(rig.rename(root, top, "none", top, "e").error, ENOENT);
}

TEST_F(Namespace, rename_flags) {
  ChangedReply a = file("a");
  ChangedReply d = dir("d");
  EXPECT_EQ(rig.rename(root, top, "a", top, "d", kRenameNoreplace).error, EEXIST);
  EXPECT_EQ(rig.rename(root, top, "a", top, "c", kRenameExchange).error, ENOENT);
  EXPECT_EQ(rig.rename(root, top, "a", top, "c", kRenameExchange | kRenameNoreplace).error, EINVAL);
  ChangedReply in = rig.create(root, d.node.handle, "i");
  EXPECT_EQ(rig.rename(root, top, "a", d.node.handle, "i", kRenameExchange).error, 0);
  EXPECT_EQ(rig.lookup(root, top, {"a"}).nodes[0].attr.ino, in.node.attr.ino);
  EXPECT_EQ(rig.lookup(root, top, {"d", "i"}).nodes[1].attr.ino, a.node.attr.ino);
  ChangedReply e = dir("e");
  rig.mkdir(root, d.node.handle, "sub");
  EXPECT_EQ(rig.rename(root, top, "e", d.node.handle, "i", kRenameExchange).error, 0);
  EXPECT_EQ(rig.getattr(root, d.node.handle).node.attr.nlink, 4u);
  EXPECT_EQ(rig.getattr(root, top).node.attr.nlink, 3u);
}

TEST_F(Namespace, rename_to_the_same_inode_does_nothing) {
  ChangedReply a = file("a");
  rig.link(root, a.node.handle, top, "b");
  EXPECT_EQ(rig.rename(root, top, "a", top, "b").error, 0);
  EXPECT_EQ(rig.names(root, top), (std::vector<std::string>{"a", "b"}));
}

TEST_F(Namespace, rename_moves_the_record_of_a_further_name) {
  ChangedReply a = file("a");
  rig.link(root, a.node.handle, top, "b");
  rig.rename(root, top, "b", top, "c");
  EXPECT_TRUE(rig.meta.get(parent_key(a.node.attr.ino, kRootIno, "c"))->has_value());
  EXPECT_FALSE(rig.meta.get(parent_key(a.node.attr.ino, kRootIno, "b"))->has_value());
}

TEST_F(Namespace, readdir_pages_give_each_entry_once) {
  std::set<std::string> expected, seen;
  for (int i = 0; i < 300; ++i) {
    std::string name = "file" + std::to_string(i);
    file(name);
    expected.insert(name);
  }
  uint64_t cookie = 0;
  int pages = 0;
  for (bool eof = false; !eof; ++pages) {
    ReaddirReply page = rig.readdir(root, top, cookie, 2000);
    ASSERT_EQ(page.error, 0);
    for (const EntryReply& entry : page.entries) {
      EXPECT_TRUE(seen.insert(entry.name).second) << entry.name;
      EXPECT_GT(entry.cookie, cookie);
      cookie = entry.cookie;
    }
    eof = page.eof;
  }
  EXPECT_GT(pages, 5);
  EXPECT_EQ(seen, expected);
}

TEST_F(Namespace, readdir_survives_changes_meanwhile) {
  for (int i = 0; i < 100; ++i) file("s" + std::to_string(i));
  std::multiset<std::string> seen;
  uint64_t cookie = 0;
  for (int round = 0;; ++round) {
    ReaddirReply page = rig.readdir(root, top, cookie, 500);
    for (const EntryReply& entry : page.entries) {
      seen.insert(entry.name);
      cookie = entry.cookie;
    }
    file("new" + std::to_string(round));
    if (round % 2 == 1) rig.unlink(root, top, "new" + std::to_string(round));
    if (page.eof || round > 200) break;
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(seen.count("s" + std::to_string(i)), 1u) << i;
}

TEST_F(Namespace, readdir_plus_shows_nodes) {
  file("a");
  ReaddirReply page = rig.readdir(root, top, 0, 0, true, kPartA | kPartR);
  ASSERT_EQ(page.entries.size(), 1u);
  ASSERT_TRUE(page.entries[0].has_node);
  EXPECT_EQ(page.entries[0].node.grant.parts & (kPartA | kPartR), kPartA | kPartR);
  EXPECT_EQ(page.dir.grant.parts & kPartD, kPartD);
}

TEST_F(Namespace, extended_attributes) {
  ChangedReply a = file("a");
  XattrArgs args{.node = a.node.handle, .name = "user.k", .value = "v"};
  args.flags = kXattrReplace;
  EXPECT_EQ(rig.setxattr(root, args).error, ENODATA);
  args.flags = kXattrCreate;
  EXPECT_EQ(rig.setxattr(root, args).error, 0);
  EXPECT_EQ(rig.setxattr(root, args).error, EEXIST);
  EXPECT_EQ(rig.getxattr(root, a.node.handle, "user.k").value, "v");
  EXPECT_EQ(rig.getxattr(root, a.node.handle, "user.none").error, ENODATA);
  args.flags = 0;
  args.value = std::string(kXattrValueMax_bytes + 1, 'x');
  EXPECT_EQ(rig.setxattr(root, args).error, E2BIG);
  args.name = "bogus.k";
  args.value = "v";
  EXPECT_EQ(rig.setxattr(root, args).error, EOPNOTSUPP);
  args.name = "user.k";
  args.remove = true;
  EXPECT_EQ(rig.setxattr(root, args).error, 0);
  EXPECT_EQ(rig.setxattr(root, args).error, ENODATA);
}

TEST_F(Namespace, extended_attributes_of_an_inode_are_limited) {
  ChangedReply a = file("a");
  XattrArgs args{
      .node = a.node.handle, .name = "", .value = std::string(kXattrValueMax_bytes, 'x')};
  int error = 0, made = 0;
  for (; made < 20 && error == 0; ++made) {
    args.name = "user.k" + std::to_string(made);
    error = rig.setxattr(root, args).error;
  }
  EXPECT_EQ(error, ENOSPC);
  EXPECT_EQ(made, 16);
}

TEST_F(Namespace, change_counter_rises_and_carries_the_boot) {
  ChangedReply a = file("a");
  uint64_t first = a.node.attr.change;
  EXPECT_EQ(first >> 48, 1u);
  ChangedReply b = rig.setattr(root, a.node.handle, kSetMode, mode_of(0600));
  EXPECT_GT(b.node.attr.change, first);
  rig.halt();
  rig.boot();
  Client again = rig.login();
  LookupReply found = rig.lookup(again, again.root.handle, {"a"});
  EXPECT_EQ(found.nodes[0].attr.change, b.node.attr.change);
  ChangedReply c = rig.setattr(again, found.nodes[0].handle, kSetMode, mode_of(0640));
  EXPECT_EQ(c.node.attr.change >> 48, 2u);
}

TEST_F(Namespace, ctime_never_goes_back) {
  ChangedReply a = file("a");
  rig.wall_ns -= 1000 * kNsPerSec;
  ChangedReply b = rig.setattr(root, a.node.handle, kSetMode, mode_of(0600));
  EXPECT_EQ(b.node.attr.ctime, a.node.attr.ctime);
}

TEST_F(Namespace, inode_numbers_are_never_used_twice) {
  ChangedReply a = file("a");
  rig.unlink(root, top, "a");
  rig.halt(true);
  rig.boot();
  Client again = rig.login();
  ChangedReply b = rig.create(again, again.root.handle, "b");
  EXPECT_GT(b.node.attr.ino, a.node.attr.ino);
}

TEST_F(Namespace, export_below_the_root_is_a_root_of_its_own) {
  ChangedReply d = dir("d");
  ChangedReply e = rig.mkdir(root, d.node.handle, "e");
  Client sub = rig.login({}, false, "/d/e");
  EXPECT_EQ(sub.root.attr.ino, e.node.attr.ino);
  NodeOnlyReply parent = parent_of_dir(sub, sub.root.handle);
  EXPECT_EQ(parent.node.attr.ino, e.node.attr.ino);
  rig.login({}, false, "/d/none");
  EXPECT_EQ(rig.login_error, ENOENT);
  rig.login({}, false, "/d/../d");
  EXPECT_EQ(rig.login_error, EINVAL);
}

TEST_F(Namespace, the_name_of_a_directory_is_searched_in_turns) {
  std::map<std::string, Handle> dirs;
  for (int i = 0; i < 20; ++i) {
    const std::string name = "d" + std::to_string(i);
    dirs[name] = dir(name).node.handle;
  }
  for (int i = 0; i < 3'000; ++i) file("f" + std::to_string(i));
  std::string last;  // of the directories, in the order of the names
  for (uint64_t cookie = 0;;) {
    ReaddirReply page = rig.readdir(root, top, cookie);
    for (const EntryReply& entry : page.entries) {
      cookie = entry.cookie;
      if (dirs.contains(entry.name)) last = entry.name;
    }
    if (page.eof) break;
  }
  auto pending = start_parent_of(root, dirs[last]);
  EXPECT_FALSE(pending->has_value()) << "others have to wait";
  EXPECT_EQ(rig.finish(pending).name, last);
  // A rename may take the name to where the search has been.
  for (int i = 0; i < 20; ++i) {
    pending = start_parent_of(root, dirs[last]);
    const std::string next = "r" + std::to_string(i);
    ASSERT_EQ(rig.rename(root, top, last, top, next).error, 0);
    dirs[next] = dirs[last];
    last = next;
    NodeOnlyReply parent = rig.finish(pending);
    EXPECT_EQ(parent.error, 0);
    EXPECT_EQ(parent.node.attr.ino, root.root.attr.ino);
  }
}

TEST_F(Namespace, only_of_regular_files_an_open_is_registered) {
  ChangedReply pipe = rig.create(root, top, "pipe", S_IFIFO | 0644);
  ChangedReply found =
      rig.create(root, top, "pipe", S_IFREG | 0644, kCreateOpen, 0, opener(5, kAccessRead));
  EXPECT_EQ(found.error, 0);
  EXPECT_FALSE(rig.shard->opens().any(pipe.node.attr.ino));
  ChangedReply made =
      rig.create(root, top, "other", S_IFIFO | 0644, kCreateOpen, 0, opener(6, kAccessRead));
  EXPECT_FALSE(rig.shard->opens().any(made.node.attr.ino));
  file("f");
  found = rig.create(root, top, "f", S_IFREG | 0644, kCreateOpen, 0, opener(7, kAccessRead));
  EXPECT_TRUE(rig.shard->opens().any(found.node.attr.ino));
}

TEST_F(Namespace, handles_of_others_are_refused) {
  ChangedReply a = file("a");
  Client other = rig.login();
  EXPECT_EQ(rig.getattr(other, a.node.handle).error, EACCES);
  Handle forged = a.node.handle;
  ++forged.ino;
  EXPECT_EQ(rig.getattr(root, forged).error, EACCES);
  forged = a.node.handle;
  ++forged.gen;
  EXPECT_EQ(rig.getattr(root, forged).error, EACCES);
}

TEST_F(Namespace, persistent_handles_outlive_the_server) {
  ChangedReply a = file("a");
  auto kept = rig.finish(rig.start<PersistReply>(root, nullptr, [&](Turn& t, PersistReply& r) {
    return persist_handle(t, a.node.handle, r);
  }));
  ASSERT_EQ(kept.error, 0);
  rig.halt();
  rig.boot();
  Client again = rig.login(), seven = rig.login(user(7), false, "", true);
  auto resolve = [&](Client& client, std::string bytes) {
    return rig.finish(rig.start<NodeOnlyReply>(client, nullptr, [bytes](Turn& t, NodeOnlyReply& r) {
      return resolve_handle(t, {.persistent = bytes}, r);
    }));
  };
  EXPECT_EQ(resolve(again, kept.persistent).node.attr.ino, a.node.attr.ino);
  std::string forged = kept.persistent;
  forged[0] ^= 1;
  EXPECT_EQ(resolve(again, forged).error, EACCES);
  // It leads past directories that one may not search.
  EXPECT_EQ(resolve(seven, kept.persistent).error, EPERM);
  EXPECT_EQ(resolve(seven, "").error, EPERM);
}

// Whatever is called what meanwhile.
TEST_F(Namespace, handles_of_an_ended_session_lead_to_new_ones) {
  Client user_seven = rig.login(user(7), false, "", true);
  ChangedReply a = file("a");
  const Handle past = rig.lookup(user_seven, user_seven.root.handle, {"a"}).nodes[0].handle;
  const uint64_t past_session = user_seven.session->id;
  ASSERT_EQ(rig.rename(root, top, "a", top, "b").error, 0);
  rig.halt();
  rig.boot();
  Client again = rig.login(user(7), false, "", true);
  auto resolve = [&](Client& client, const Handle& handle, uint64_t session) {
    return rig.finish(rig.start<NodeOnlyReply>(client, nullptr, [&](Turn& t, NodeOnlyReply& r) {
      return resolve_handle(t, {.past = handle, .past_session = session}, r);
    }));
  };
  NodeOnlyReply found = resolve(again, past, past_session);
  ASSERT_EQ(found.error, 0);
  EXPECT_EQ(found.node.attr.ino, a.node.attr.ino);
  EXPECT_EQ(rig.getattr(again, found.node.handle).error, 0);
  EXPECT_EQ(resolve(again, past, past_session + 1).error, EACCES);
  EXPECT_EQ(resolve(again, past, 0).error, EACCES);
  Handle forged = past;
  ++forged.gen;
  EXPECT_EQ(resolve(again, forged, past_session).error, EACCES);
  // Who is shown a part of the tree finds no more than that.
  root = rig.login();
  ASSERT_EQ(rig.mkdir(root, root.root.handle, "part").error, 0);
  Client of_part = rig.login(Cred(), false, "part");
  EXPECT_EQ(resolve(of_part, past, past_session).error, EACCES);
  ASSERT_EQ(rig.unlink(root, root.root.handle, "b").error, 0);
  EXPECT_EQ(resolve(again, past, past_session).error, ESTALE);
}

}  // namespace
}  // namespace myfs::server
