#include "server/permission.h"

#include <gtest/gtest.h>

#include "tests/unit/server/rig.h"

namespace myfs::server {
namespace {

class Permission : public testing::Test {
 protected:
  Handle find(Client& c, std::vector<std::string> names) {
    LookupReply found = rig.lookup(c, c.root.handle, names);
    if (found.nodes.size() != names.size()) return {};
    return found.nodes.back().handle;
  }
  // A directory of root's with this mode, seen by bob.
  Handle dir(const std::string& name, uint32_t mode, uint32_t uid = 0, uint32_t gid = 0) {
    ChangedReply made = rig.mkdir(root, root.root.handle, name, 0755);
    own(made.node.handle, uid, gid);
    rig.setattr(root, made.node.handle, kSetMode, mode_of(mode));
    return find(bob, {name});
  }
  Handle file(const std::string& name, uint32_t mode, uint32_t uid = 0, uint32_t gid = 0) {
    ChangedReply made = rig.create(root, root.root.handle, name, S_IFREG | 0644);
    own(made.node.handle, uid, gid);
    rig.setattr(root, made.node.handle, kSetMode, mode_of(mode));
    return find(bob, {name});
  }
  void own(const Handle& node, uint32_t uid, uint32_t gid) {
    Kstat attr;
    attr.uid = uid;
    attr.gid = gid;
    ASSERT_EQ(rig.setattr(root, node, kSetUid | kSetGid, attr).error, 0);
  }
  int chown(Client& c, const Handle& node, uint32_t mask, uint32_t uid, uint32_t gid) {
    Kstat attr;
    attr.uid = uid;
    attr.gid = gid;
    return rig.setattr(c, node, mask, attr).error;
  }
  uint32_t mode(const Handle& node) { return rig.getattr(bob, node).node.attr.mode & 07777; }

  Rig rig;
  Client root = rig.login();
  Client bob = rig.login(user(1000, 100));
  Client eve = rig.login(user(2000, 200));
};

TEST_F(Permission, bits_are_those_of_the_first_class_that_fits) {
  Owner inode{.mode = S_IFREG | 0470, .uid = 1000, .gid = 100};
  EXPECT_TRUE(may(inode, user(1000, 100), kMayRead).ok());
  EXPECT_EQ(may(inode, user(1000, 100), kMayWrite), Errno(EACCES));
  EXPECT_TRUE(may(inode, user(5, 100), kMayRead | kMayWrite | kMayExec).ok());
  EXPECT_EQ(may(inode, user(5, 5), kMayRead), Errno(EACCES));
  Cred member{.uid = 5, .gid = 5, .groups = {7, 100}};
  EXPECT_TRUE(may(inode, member, kMayWrite).ok());
  EXPECT_TRUE(may(inode, user(0), kMayRead | kMayWrite).ok());
  inode.mode = S_IFREG | 0600;
  EXPECT_EQ(may(inode, user(0), kMayExec), Errno(EACCES));
  inode.mode = S_IFDIR;
  EXPECT_TRUE(may(inode, user(0), kMayExec).ok());
}

TEST_F(Permission, search_is_needed_on_every_component) {
  Handle closed = dir("d", 0600, 0);
  rig.create(root, find(root, {"d"}), "f");
  LookupReply found = rig.lookup(bob, bob.root.handle, {"d", "f"});
  ASSERT_EQ(found.nodes.size(), 2u);
  EXPECT_EQ(found.nodes[1].error, EACCES);
  EXPECT_EQ(rig.lookup(bob, closed, {"f"}).nodes[0].error, EACCES);
}

TEST_F(Permission, names_change_only_where_one_may_write) {
  Handle d = dir("d", 0755);
  EXPECT_EQ(rig.create(bob, d, "f").error, EACCES);
  EXPECT_EQ(rig.mkdir(bob, d, "s").error, EACCES);
  rig.create(root, find(root, {"d"}), "x");
  EXPECT_EQ(rig.unlink(bob, d, "x").error, EACCES);
  EXPECT_EQ(rig.rename(bob, d, "x", d, "y").error, EACCES);
  Handle open = dir("o", 0777);
  EXPECT_EQ(rig.create(bob, open, "f").error, 0);
  EXPECT_EQ(rig.rename(bob, d, "x", open, "y").error, EACCES);
  EXPECT_EQ(rig.link(bob, find(bob, {"d", "x"}), d, "l").error, EACCES);
}

TEST_F(Permission, readdir_needs_read) {
  Handle d = dir("d", 0711);
  EXPECT_EQ(rig.readdir(bob, d).error, EACCES);
  Handle listable = dir("l", 0744);
  rig.create(root, find(root, {"l"}), "f");
  ReaddirReply page = rig.readdir(bob, listable, 0, 0, true, kPartA);
  ASSERT_EQ(page.entries.size(), 1u);
  EXPECT_FALSE(page.entries[0].has_node);
}

// He may have opened it before it was shut.
TEST_F(Permission, the_owner_of_a_directory_goes_on_reading_it) {
  Handle d = dir("d", 0300, 1000);
  EXPECT_EQ(rig.readdir(bob, d).error, 0);
  EXPECT_EQ(rig.readdir(eve, find(eve, {"d"})).error, EACCES);
}

TEST_F(Permission, the_sticky_bit_protects_names_of_others) {
  Handle tmp = dir("tmp", 01777);
  rig.create(bob, tmp, "bobs");
  Handle eves_tmp = find(eve, {"tmp"});
  EXPECT_EQ(rig.unlink(eve, eves_tmp, "bobs").error, EPERM);
  EXPECT_EQ(rig.rename(eve, eves_tmp, "bobs", eves_tmp, "mine").error, EPERM);
  rig.create(eve, eves_tmp, "eves");
  EXPECT_EQ(rig.rename(eve, eves_tmp, "eves", eves_tmp, "bobs").error, EPERM);
  EXPECT_EQ(rig.unlink(bob, tmp, "bobs").error, 0);
  EXPECT_EQ(rig.unlink(root, find(root, {"tmp"}), "eves").error, 0);
}

TEST_F(Permission, new_inodes_belong_to_their_maker) {
  Handle d = dir("d", 0777);
  ChangedReply made = rig.create(bob, d, "f", S_IFREG | 0640);
  EXPECT_EQ(made.node.attr.uid, 1000u);
  EXPECT_EQ(made.node.attr.gid, 100u);
}

TEST_F(Permission, setgid_directories_hand_their_group_down) {
  Handle d = dir("d", 02777, 0, 555);
  ChangedReply made = rig.create(bob, d, "f", S_IFREG | 02770);
  EXPECT_EQ(made.node.attr.gid, 555u);
  EXPECT_EQ(made.node.attr.mode & 07777, 0770u);
  ChangedReply sub = rig.mkdir(bob, d, "s");
  EXPECT_EQ(sub.node.attr.gid, 555u);
  EXPECT_EQ(sub.node.attr.mode & 07777, 02755u);
}

TEST_F(Permission, chmod_is_the_owners) {
  Handle f = file("f", 0644, 1000, 100);
  EXPECT_EQ(rig.setattr(bob, f, kSetMode, mode_of(0600)).error, 0);
  EXPECT_EQ(rig.setattr(eve, find(eve, {"f"}), kSetMode, mode_of(0666)).error, EPERM);
  Handle g = file("g", 0644, 1000, 555);
  EXPECT_EQ(rig.setattr(bob, g, kSetMode, mode_of(02755)).error, 0);
  EXPECT_EQ(mode(g), 0755u);
  EXPECT_EQ(rig.setattr(root, find(root, {"g"}), kSetMode, mode_of(02755)).error, 0);
  EXPECT_EQ(mode(g), 02755u);
}

TEST_F(Permission, chown_is_roots_and_chgrp_the_owners_within_his_groups) {
  Handle f = file("f", 0644, 1000, 100);
  EXPECT_EQ(chown(bob, f, kSetUid, 2000, 0), EPERM);
  EXPECT_EQ(chown(bob, f, kSetUid, 1000, 0), 0);
  EXPECT_EQ(chown(bob, f, kSetGid, 0, 555), EPERM);
  bob.cred.groups = {555};
  EXPECT_EQ(chown(bob, f, kSetGid, 0, 555), 0);
  EXPECT_EQ(chown(eve, find(eve, {"f"}), kSetGid, 0, 200), EPERM);
  EXPECT_EQ(chown(root, find(root, {"f"}), kSetUid | kSetGid, 7, 8), 0);
}

TEST_F(Permission, chown_clears_privileges) {
  Handle f = file("f", 06755, 1000, 100);
  EXPECT_EQ(mode(f), 06755u);
  EXPECT_EQ(chown(root, find(root, {"f"}), kSetUid, 7, 0), 0);
  EXPECT_EQ(mode(f), 0755u);
  Handle d = dir("d", 02755, 1000, 100);
  EXPECT_EQ(chown(root, find(root, {"d"}), kSetUid, 7, 0), 0);
  EXPECT_EQ(mode(d), 02755u);
}

TEST_F(Permission, privileges_are_not_a_strangers_to_take_away) {
  Handle f = file("f", 04755, 0, 0);
  rig.getattr(eve, find(eve, {"f"}), kPartA);
  eve.peer->recalls.clear();
  EXPECT_EQ(chown(bob, f, kSetKillPrivileges, 0, 0), EPERM);
  EXPECT_EQ(mode(f), 04755u);
  EXPECT_TRUE(eve.peer->recalls.empty());
  // Whoever writes takes them away: by mode, or by what he has open.
  Handle g = file("g", 04777, 0, 0);
  Opener open = opener(1, kAccessWrite, bob.cred);
  ASSERT_EQ(rig.open(bob, g, open).error, 0);
  EXPECT_EQ(rig.setattr(root, find(root, {"g"}), kSetMode, mode_of(04755)).error, 0);
  EXPECT_EQ(chown(bob, g, kSetKillPrivileges, 0, 0), EPERM);
  EXPECT_EQ(rig.setattr(bob, g, kSetKillPrivileges, Kstat(), open).error, 0);
  EXPECT_EQ(mode(g), 0755u);
  Handle h = file("h", 04777, 0, 0);
  EXPECT_EQ(chown(bob, h, kSetKillPrivileges, 0, 0), 0);
  EXPECT_EQ(mode(h), 0777u);
}

TEST_F(Permission, a_setattr_of_nothing_changes_nothing) {
  Handle f = file("f", 0644, 0, 0);
  Kstat before = rig.getattr(bob, f).node.attr;
  rig.pass(1'000'000'000);
  EXPECT_EQ(rig.setattr(bob, f, 0, Kstat()).error, 0);
  EXPECT_EQ(rig.setattr(bob, f, kSetKillPrivileges, Kstat()).error, 0);
  EXPECT_EQ(rig.setattr(root, find(root, {"f"}), 0, Kstat()).error, 0);
  Kstat after = rig.getattr(bob, f).node.attr;
  EXPECT_EQ(after.change, before.change);
  EXPECT_TRUE(after.ctime == before.ctime);
  // What the kernel does for the owner.
  EXPECT_EQ(rig.setattr(root, find(root, {"f"}), kSetKillPrivileges, Kstat()).error, 0);
  EXPECT_TRUE(rig.getattr(bob, f).node.attr.ctime > before.ctime);
}

TEST_F(Permission, an_open_gets_no_lease_that_its_owner_may_not_use) {
  Handle f = file("f", 04755, 0, 0);
  rig.getattr(eve, find(eve, {"f"}), kPartA | kPartR, true);
  eve.peer->recalls.clear();
  EXPECT_EQ(rig.open(bob, f, opener(1, 0, bob.cred), kPartW, kOpenMustGrant).error, EACCES);
  EXPECT_EQ(rig.open(bob, f, opener(1, kAccessRead, bob.cred), kPartW, kOpenMustGrant).error,
            EACCES);
  EXPECT_EQ(rig.open(bob, f, opener(1, 0, bob.cred), kPartR, kOpenMustGrant).error, 0);
  EXPECT_TRUE(eve.peer->recalls.empty());
  EXPECT_EQ(mode(f), 04755u);
  Handle g = file("g", 0711, 0, 0);
  EXPECT_EQ(rig.open(bob, g, opener(2, 0, bob.cred), kPartR, kOpenMustGrant).error, EACCES);
  Handle h = file("h", 0722, 0, 0);
  EXPECT_EQ(rig.open(bob, h, opener(3, 0, bob.cred), kPartR | kPartW, kOpenMustGrant).error, 0);
  Client ro = rig.login({}, true);
  Handle of_ro = find(ro, {"f"});
  EXPECT_EQ(rig.open(ro, of_ro, opener(1, kAccessRead), kPartW, kOpenMustGrant).error, EROFS);
  EXPECT_EQ(mode(f), 04755u);
}

TEST_F(Permission, times_need_the_owner_or_for_now_write) {
  Handle f = file("f", 0666, 0, 0);
  EXPECT_EQ(rig.setattr(bob, f, kSetMtime, Kstat()).error, EPERM);
  EXPECT_EQ(rig.setattr(bob, f, kSetMtimeNow, Kstat()).error, EPERM);
  EXPECT_EQ(rig.setattr(bob, f, kSetAtimeNow | kSetMtimeNow, Kstat()).error, 0);
  Handle g = file("g", 0644, 0, 0);
  EXPECT_EQ(rig.setattr(bob, g, kSetAtimeNow | kSetMtimeNow, Kstat()).error, EACCES);
}

TEST_F(Permission, truncation_needs_write) {
  Handle f = file("f", 0444);
  EXPECT_EQ(rig.setattr(bob, f, kSetSize, size_of(1)).error, EACCES);
  EXPECT_EQ(rig.open(bob, f, opener(1, kAccessRead, bob.cred), 0, kCreateTrunc).error, EACCES);
}

TEST_F(Permission, a_size_without_an_open_is_the_callers_to_set) {
  Handle f = file("f", 0600, 1000, 100);
  EXPECT_EQ(rig.setattr(bob, f, kSetSize, size_of(1)).error, 0);
  Handle eves = find(eve, {"f"});
  EXPECT_EQ(rig.setattr(eve, eves, kSetSize, size_of(2)).error, EACCES);
  Handle rw = file("rw", 0644);
  EXPECT_EQ(rig.getattr(bob, rw, kPartW, true).error, EACCES);
}

// What another makes of the file between the two halves of a change is no reason to drop one.
TEST_F(Permission, a_size_and_a_mode_are_set_together) {
  file("f", 0600, 1000, 100);
  const Handle f = find(root, {"f"});
  Client other = root;  // of the same session, so that no lease is in the way
  other.slot = 4;
  root.cred = bob.cred;
  Kstat both = mode_of(0640);
  both.size = 5;
  auto pending = rig.start_setattr(root, f, kSetSize | kSetMode, both);
  Kstat taken;
  taken.uid = 2000;
  auto chown = rig.start_setattr(other, f, kSetUid, taken);
  EXPECT_EQ(rig.finish(pending).error, 0);
  EXPECT_EQ(rig.finish(chown).error, 0);
  const Kstat after = rig.getattr(other, f).node.attr;
  EXPECT_EQ(after.size, 5u);
  EXPECT_EQ(after.mode & 07777, 0640u);
  EXPECT_EQ(after.uid, 2000u);
}

TEST_F(Permission, content_is_read_and_written_by_permission) {
  Handle f = file("f", 0444);
  EXPECT_EQ(rig.read(bob, f, 0, 1).error, 0);
  EXPECT_EQ(rig.write(bob, f, 0, "x").error, EACCES);
  Handle g = file("g", 0222);
  EXPECT_EQ(rig.read(bob, g, 0, 1).error, EACCES);
  EXPECT_EQ(rig.write(bob, g, 0, "x").error, 0);
  EXPECT_EQ(rig.getattr(bob, f, kPartW, true).error, EACCES);
  EXPECT_EQ(rig.getattr(bob, f, kPartR | kPartW).node.grant.parts & kPartW, 0);
}

TEST_F(Permission, an_open_outlives_the_mode) {
  Handle f = file("f", 0666);
  Opener open = opener(1, kAccessRead | kAccessWrite, bob.cred);
  ASSERT_EQ(rig.open(bob, f, open).error, 0);
  rig.setattr(root, find(root, {"f"}), kSetMode, mode_of(0));
  EXPECT_EQ(rig.write(bob, f, 0, "x", kWriteUncached, open).error, 0);
  EXPECT_EQ(rig.read(bob, f, 0, 1, open).error, 0);
  EXPECT_EQ(rig.read(bob, f, 0, 1, opener(2, kAccessRead, bob.cred)).error, EACCES);
}

TEST_F(Permission, an_open_for_reading_does_not_write) {
  Handle f = file("f", 0666);
  Opener open = opener(1, kAccessRead, bob.cred);
  ASSERT_EQ(rig.open(bob, f, open).error, 0);
  EXPECT_EQ(rig.write(bob, f, 0, "x", kWriteUncached, open).error, EBADF);
}

TEST_F(Permission, an_append_only_open_appends_and_nothing_else) {
  Handle f = file("f", 0666);
  Opener open = opener(1, kAccessAppendOnly, bob.cred);
  ASSERT_EQ(rig.open(bob, f, open).error, 0);
  EXPECT_EQ(rig.write(bob, f, 0, "x", kWriteUncached, open).error, EBADF);
  EXPECT_EQ(rig.finish(rig.start_write(bob, f, 0, "x", kWriteStable, open, true)).error, 0);
}

TEST_F(Permission, moving_a_directory_needs_write_on_it) {
  Handle d = dir("d", 0777);
  Handle o = dir("o", 0777);
  rig.mkdir(root, find(root, {"d"}), "s", 0755);
  EXPECT_EQ(rig.rename(bob, d, "s", d, "t").error, 0);
  EXPECT_EQ(rig.rename(bob, d, "t", o, "t").error, EACCES);
}

TEST_F(Permission, devices_are_roots) {
  Handle d = dir("d", 0777);
  EXPECT_EQ(rig.create(bob, d, "c", S_IFCHR | 0600).error, EPERM);
  EXPECT_EQ(rig.create(bob, d, "p", S_IFIFO | 0600).error, 0);
}

TEST_F(Permission, extended_attributes_by_name_space) {
  Handle f = file("f", 0644, 1000, 100);
  XattrArgs args{.node = f, .name = "trusted.x", .value = "v"};
  EXPECT_EQ(rig.setxattr(bob, args).error, EPERM);
  EXPECT_EQ(rig.getxattr(bob, f, "trusted.x").error, ENODATA);
  args.name = "security.x";
  EXPECT_EQ(rig.setxattr(bob, args).error, EPERM);
  args.name = "user.x";
  EXPECT_EQ(rig.setxattr(bob, args).error, 0);
  args.node = find(eve, {"f"});
  EXPECT_EQ(rig.setxattr(eve, args).error, EACCES);
}

TEST_F(Permission, a_read_only_session_changes_nothing) {
  file("f", 0666);
  Client ro = rig.login({}, true);
  Handle top = ro.root.handle, f = find(ro, {"f"});
  EXPECT_EQ(rig.create(ro, top, "g").error, EROFS);
  EXPECT_EQ(rig.unlink(ro, top, "f").error, EROFS);
  EXPECT_EQ(rig.rename(ro, top, "f", top, "g").error, EROFS);
  EXPECT_EQ(rig.link(ro, f, top, "g").error, EROFS);
  EXPECT_EQ(rig.setattr(ro, f, kSetMode, mode_of(0600)).error, EROFS);
  EXPECT_EQ(rig.setattr(ro, f, kSetSize, size_of(0)).error, EROFS);
  EXPECT_EQ(rig.write(ro, f, 0, "x").error, EROFS);
  EXPECT_EQ(rig.open(ro, f, opener(1, kAccessWrite)).error, EROFS);
  EXPECT_EQ(rig.open(ro, f, opener(1, kAccessRead)).error, 0);
  XattrArgs args{.node = f, .name = "user.x", .value = "v"};
  EXPECT_EQ(rig.setxattr(ro, args).error, EROFS);
  EXPECT_EQ(rig.getattr(ro, f, kPartW).node.grant.parts & kPartW, 0);
}

TEST_F(Permission, a_forced_principal_cannot_claim_to_be_root) {
  file("f", 0600);
  Client mallory = rig.login(user(3000), false, "", true);
  mallory.cred = user(0);
  Handle f = find(mallory, {"f"});
  EXPECT_EQ(rig.read(mallory, f, 0, 1).error, EACCES);
  EXPECT_EQ(rig.open(mallory, f, opener(1, kAccessRead, user(0))).error, EACCES);
  EXPECT_EQ(rig.setattr(mallory, f, kSetMode, mode_of(0666)).error, EPERM);
}

}  // namespace
}  // namespace myfs::server
