// Access control lists at the server: who may set them, what they decide, what inherits them.
#include <gtest/gtest.h>

#include "server/fsck.h"
#include "tests/unit/server/rig.h"

namespace myfs::server {
namespace {

using enum AclTag;

const std::string kAccess(kXattrAclAccess), kDefault(kXattrAclDefault);

AclEntry entry(AclTag tag, uint16_t perm, uint32_t id = kAclNoId) { return {tag, perm, id}; }
PosixAcl plain(uint16_t user, uint16_t group, uint16_t other) {
  return PosixAcl({entry(kUserObj, user), entry(kGroupObj, group), entry(kOther, other)});
}
// plain() and one user more; the mask is his and the group's.
PosixAcl for_user(uint32_t uid, uint16_t perm, uint16_t user = 6, uint16_t group = 0,
                  uint16_t other = 0) {
  return PosixAcl({entry(kUserObj, user), entry(kUser, perm, uid), entry(kGroupObj, group),
                   entry(kMask, perm | group), entry(kOther, other)});
}

class Acl : public testing::Test {
 protected:
  int set(Client& c, const Handle& node, const std::string& name, const std::string& value,
          uint32_t flags = 0) {
    return rig.setxattr(c, {.node = node, .name = name, .value = value, .flags = flags}).error;
  }
  int set(Client& c, const Handle& node, const PosixAcl& acl, const std::string& name = kAccess) {
    return set(c, node, name, acl.to_xattr());
  }
  int remove(Client& c, const Handle& node, const std::string& name) {
    return rig.setxattr(c, {.node = node, .name = name, .remove = true}).error;
  }
  PosixAcl get(Client& c, const Handle& node, const std::string& name = kAccess) {
    XattrReply reply = rig.getxattr(c, node, name);
    EXPECT_EQ(reply.error, 0);
    return *PosixAcl::from_xattr(reply.value);
  }
  int get_error(Client& c, const Handle& node, const std::string& name) {
    return rig.getxattr(c, node, name).error;
  }
  Handle find(Client& c, const std::string& name) {
    return rig.lookup(c, c.root.handle, {name}).nodes.at(0).handle;
  }
  Handle file(const std::string& name, Client& owner, uint32_t mode = 0644) {
    return rig.create(owner, owner.root.handle, name, S_IFREG | mode).node.handle;
  }
  Handle dir(const std::string& name, Client& owner, uint32_t mode = 0755) {
    return rig.mkdir(owner, owner.root.handle, name, mode).node.handle;
  }
  uint32_t mode(const Handle& node) { return rig.getattr(root, seen(node)).node.attr.mode & 07777; }
  // The same inode with a handle of root's.
  Handle seen(const Handle& node) { return root.session->mac.seal(node.ino, node.gen); }
  ChangedReply make(Client& c, const Handle& in, std::string name, uint32_t mode, uint32_t umask,
                    uint32_t flags = kCreateExcl) {
    CreateArgs args{.dir = in, .name = std::move(name), .mode = mode, .umask = umask};
    args.flags = flags;
    if (S_ISLNK(mode)) args.target = "t";
    if ((flags & kCreateTmpfile) != 0) args.opener = opener(9, kAccessWrite, c.cred);
    return rig.finish(rig.start_create(c, args));
  }
  std::string fsck() {
    rig.halt();
    std::ostringstream out;
    run_fsck(rig.meta, rig.blocks, out);
    return out.str();
  }

  Rig rig;
  Client root = rig.login();
  Client bob = rig.login(user(1000, 100));
  Client eve = rig.login(user(2000, 200));
  void SetUp() override { rig.setattr(root, root.root.handle, kSetMode, mode_of(0777)); }
};

TEST_F(Acl, a_named_user_may_what_the_list_says) {
  Handle f = file("f", bob, 0600);
  Handle eves = find(eve, "f");
  EXPECT_EQ(rig.open(eve, eves, opener(1, kAccessRead, eve.cred)).error, EACCES);
  ASSERT_EQ(set(bob, f, for_user(2000, 4)), 0);
  EXPECT_EQ(rig.open(eve, eves, opener(1, kAccessRead, eve.cred)).error, 0);
  EXPECT_EQ(rig.open(eve, eves, opener(2, kAccessWrite, eve.cred)).error, EACCES);
  EXPECT_EQ(mode(f), 0640u);
}

TEST_F(Acl, an_empty_mask_hides_the_list) {
  // As the kernel: without rights in the group bits it goes by the mode alone.
  Handle f = file("f", bob, 0600);
  ASSERT_EQ(set(bob, f, for_user(2000, 4, 6, 0, 4)), 0);
  ASSERT_EQ(rig.setattr(bob, f, kSetMode, mode_of(0604)).error, 0);
  EXPECT_EQ(get(bob, f).entries()[3], entry(kMask, 0));
  EXPECT_EQ(rig.open(eve, find(eve, "f"), opener(1, kAccessRead, eve.cred)).error, 0);
}

TEST_F(Acl, lists_of_directories_let_search_and_make_names) {
  Handle d = dir("d", bob, 0700);
  rig.create(bob, d, "f");
  EXPECT_EQ(rig.lookup(eve, eve.root.handle, {"d", "f"}).nodes.at(1).error, EACCES);
  ASSERT_EQ(set(bob, d, for_user(2000, 1, 7)), 0);
  EXPECT_EQ(rig.lookup(eve, eve.root.handle, {"d", "f"}).nodes.at(1).error, 0);
  EXPECT_EQ(rig.create(eve, find(eve, "d"), "g").error, EACCES);
  EXPECT_EQ(rig.readdir(eve, find(eve, "d")).error, EACCES);
  ASSERT_EQ(set(bob, d, for_user(2000, 7, 7)), 0);
  EXPECT_EQ(rig.create(eve, find(eve, "d"), "g").error, 0);
  EXPECT_EQ(rig.unlink(eve, find(eve, "d"), "f").error, 0);
}

TEST_F(Acl, chmod_sets_the_mask_and_leaves_the_group) {
  Handle f = file("f", bob, 0600);
  ASSERT_EQ(set(bob, f, for_user(2000, 6, 6, 4)), 0);
  ASSERT_EQ(rig.setattr(bob, f, kSetMode, mode_of(0741)).error, 0);
  EXPECT_EQ(get(bob, f), PosixAcl({entry(kUserObj, 7), entry(kUser, 6, 2000), entry(kGroupObj, 4),
                                   entry(kMask, 4), entry(kOther, 1)}));
  EXPECT_EQ(rig.open(eve, find(eve, "f"), opener(1, kAccessWrite, eve.cred)).error, EACCES);
}

TEST_F(Acl, a_list_that_is_but_mode_bits_is_dropped) {
  Handle f = file("f", bob, 0600);
  ASSERT_EQ(set(bob, f, for_user(2000, 4)), 0);
  ASSERT_EQ(set(bob, f, plain(7, 5, 1)), 0);
  EXPECT_EQ(mode(f), 0751u);
  EXPECT_EQ(get_error(bob, f, kAccess), ENODATA);
  ASSERT_EQ(set(bob, f, plain(7, 0, 0)), 0);
  EXPECT_EQ(mode(f), 0700u);
}

TEST_F(Acl, removal_leaves_the_mode) {
  Handle f = file("f", bob, 0600);
  ASSERT_EQ(set(bob, f, for_user(2000, 4)), 0);
  ASSERT_EQ(remove(bob, f, kAccess), 0);
  EXPECT_EQ(mode(f), 0640u);
  EXPECT_EQ(get_error(bob, f, kAccess), ENODATA);
  EXPECT_EQ(rig.open(eve, find(eve, "f"), opener(1, kAccessRead, eve.cred)).error, EACCES);
  EXPECT_EQ(remove(bob, f, kAccess), 0);  // of what is not there, too
  ASSERT_EQ(set(bob, f, for_user(2000, 4)), 0);
  ASSERT_EQ(set(bob, f, kAccess, std::string("\2\0\0\0", 4)), 0);
  EXPECT_EQ(get_error(bob, f, kAccess), ENODATA);
}

TEST_F(Acl, refusals_in_the_kernels_order) {
  Handle f = file("f", bob), d = dir("d", bob);
  Handle l = make(bob, bob.root.handle, "l", S_IFLNK | 0777, 0).node.handle;
  PosixAcl good = for_user(2000, 4);
  PosixAcl unordered({entry(kUserObj, 6), entry(kGroupObj, 4)});
  EXPECT_EQ(set(bob, l, good), EOPNOTSUPP);
  EXPECT_EQ(get_error(bob, l, kAccess), EOPNOTSUPP);
  EXPECT_EQ(remove(bob, l, kAccess), EOPNOTSUPP);
  EXPECT_EQ(set(bob, f, kAccess, "abc"), EINVAL);
  EXPECT_EQ(set(bob, f, kAccess, std::string("\3\0\0\0", 4)), EOPNOTSUPP);
  EXPECT_EQ(set(bob, f, unordered), EINVAL);
  EXPECT_EQ(set(bob, f, good, kDefault), EACCES);
  EXPECT_EQ(set(bob, f, kDefault, ""), 0);
  EXPECT_EQ(remove(bob, f, kDefault), 0);
  Handle eves = find(eve, "f");
  EXPECT_EQ(set(eve, eves, good), EPERM);
  EXPECT_EQ(set(eve, eves, unordered), EPERM);
  EXPECT_EQ(set(eve, eves, kAccess, "abc"), EINVAL);
  EXPECT_EQ(remove(eve, eves, kAccess), EPERM);
  EXPECT_EQ(set(eve, find(eve, "d"), good, kDefault), EPERM);
  EXPECT_EQ(set(root, find(root, "f"), good), 0);
  EXPECT_EQ(set(bob, f, kAccess, std::string(kXattrValueMax_bytes + 1, 'x')), E2BIG);
  EXPECT_EQ(set(bob, d, kAccess, good.to_xattr(), kXattrCreate | kXattrReplace), 0);
  Client reader = rig.login({}, true);
  EXPECT_EQ(set(reader, find(reader, "f"), good), EROFS);
}

TEST_F(Acl, a_list_that_is_too_long_does_not_fit) {
  std::vector<AclEntry> entries = {entry(kUserObj, 6)};
  for (uint32_t i = 0; i < kAclEntriesMax; ++i) entries.push_back(entry(kUser, 4, i));
  for (AclTag tag : {kGroupObj, kMask, kOther}) entries.push_back(entry(tag, 4));
  EXPECT_EQ(set(bob, file("f", bob), PosixAcl(entries)), ENOSPC);
}

TEST_F(Acl, who_is_not_of_the_group_loses_setgid) {
  Handle f = file("f", bob);
  Kstat group;
  group.gid = 555;
  ASSERT_EQ(rig.setattr(root, find(root, "f"), kSetGid, group).error, 0);
  ASSERT_EQ(rig.setattr(root, find(root, "f"), kSetMode, mode_of(02755)).error, 0);
  ASSERT_EQ(set(root, find(root, "f"), for_user(2000, 4)), 0);
  EXPECT_EQ(mode(f), 02640u);
  ASSERT_EQ(set(bob, f, for_user(2000, 4)), 0);
  EXPECT_EQ(mode(f), 0640u);
}

TEST_F(Acl, lists_are_shown) {
  Handle d = dir("d", bob);
  ASSERT_EQ(set(bob, d, for_user(2000, 4, 7)), 0);
  ASSERT_EQ(set(bob, d, plain(7, 5, 0), kDefault), 0);
  XattrReply list = rig.finish(rig.start<XattrReply>(
      eve, nullptr,
      [node = find(eve, "d")](Turn& t, XattrReply& r) { return listxattr(t, node, r); }));
  EXPECT_EQ(list.names, (std::vector<std::string>{kAccess, kDefault}));
  EXPECT_EQ(list.values, (std::vector{for_user(2000, 4, 7).to_xattr(), plain(7, 5, 0).to_xattr()}));
  NodeReply node = rig.getattr(eve, find(eve, "d")).node;
  EXPECT_EQ(node.acl, for_user(2000, 4, 7).to_xattr());
  EXPECT_TRUE(node.attr.has_default_acl);
}

TEST_F(Acl, what_is_new_inherits) {
  Handle d = dir("d", bob);
  const PosixAcl inherited = for_user(2000, 6, 7, 5, 5);
  ASSERT_EQ(set(bob, d, inherited, kDefault), 0);
  ChangedReply f = make(bob, d, "f", S_IFREG | 0666, 077);
  EXPECT_EQ(f.node.attr.mode & 07777, 0664u);  // the umask did not count
  EXPECT_EQ(get(bob, f.node.handle),
            PosixAcl({entry(kUserObj, 6), entry(kUser, 6, 2000), entry(kGroupObj, 5),
                      entry(kMask, 6), entry(kOther, 4)}));
  EXPECT_EQ(get_error(bob, f.node.handle, kDefault), ENODATA);
  ChangedReply s = make(bob, d, "s", S_IFDIR | 0750, 077);
  EXPECT_EQ(s.node.attr.mode & 07777, 0750u);
  EXPECT_EQ(get(bob, s.node.handle, kDefault), inherited);
  ChangedReply p = make(bob, d, "p", S_IFIFO | 0600, 0);
  EXPECT_EQ(get(bob, p.node.handle).entries()[3], entry(kMask, 0));
  ChangedReply t = make(bob, d, "", S_IFREG | 0644, 077, kCreateTmpfile | kCreateOpen);
  ASSERT_EQ(t.error, 0);
  EXPECT_EQ(t.node.attr.mode & 07777, 0644u);
  EXPECT_NE(t.node.acl, "");
  ChangedReply l = make(bob, d, "l", S_IFLNK | 0777, 077);
  EXPECT_EQ(l.node.attr.mode & 07777, 0777u);
  EXPECT_EQ(l.node.acl, "");
}

TEST_F(Acl, a_default_list_of_mode_bits_takes_the_umasks_place) {
  Handle d = dir("d", bob);
  ASSERT_EQ(set(bob, d, plain(7, 5, 0), kDefault), 0);
  ChangedReply f = make(bob, d, "f", S_IFREG | 0666, 077);
  EXPECT_EQ(f.node.attr.mode & 07777, 0640u);
  EXPECT_EQ(f.node.acl, "");
  ASSERT_EQ(remove(bob, d, kDefault), 0);
  EXPECT_EQ(make(bob, d, "g", S_IFREG | 0666, 027).node.attr.mode & 07777, 0640u);
}

TEST_F(Acl, setgid_is_judged_before_the_umask) {
  Handle d = dir("d", root, 0777);
  Kstat group;
  group.gid = 555;
  rig.setattr(root, d, kSetGid, group);
  rig.setattr(root, d, kSetMode, mode_of(02777));
  ChangedReply f = make(bob, find(bob, "d"), "f", S_IFREG | 02775, 010);
  EXPECT_EQ(f.node.attr.mode & 07777, 0765u);
}

TEST_F(Acl, a_change_recalls_the_attributes_of_others) {
  Handle f = file("f", bob);
  Handle eves = find(eve, "f");
  rig.getattr(eve, eves, kPartA);
  ASSERT_EQ(rig.held(eve, f.ino) & kPartA, kPartA);
  size_t before = eve.peer->recalls.size();
  ASSERT_EQ(set(bob, f, for_user(2000, 4)), 0);
  ASSERT_EQ(eve.peer->recalls.size(), before + 1);
  EXPECT_EQ(eve.peer->recalls.back().parts & kPartA, kPartA);
}

TEST_F(Acl, lists_survive_a_crash_and_fsck_finds_them_sound) {
  Handle d = dir("d", bob);
  ASSERT_EQ(set(bob, d, for_user(2000, 5, 7), kAccess), 0);
  ASSERT_EQ(set(bob, d, for_user(2000, 5, 7), kDefault), 0);
  rig.halt(true);
  rig.boot();
  bob = rig.login(user(1000, 100));
  EXPECT_EQ(get(bob, find(bob, "d")), for_user(2000, 5, 7));
  EXPECT_EQ(get(bob, find(bob, "d"), kDefault), for_user(2000, 5, 7));
  EXPECT_NE(fsck().find("clean"), std::string::npos);
}

TEST_F(Acl, fsck_finds_a_list_that_differs_from_the_mode) {
  Handle f = file("f", bob, 0600);
  ASSERT_EQ(set(bob, f, for_user(2000, 4)), 0);
  rig.halt();
  Result<InodeRecord> record = InodeRecord::decode(**rig.meta.get(inode_key(f.ino)));
  ASSERT_TRUE(record.ok());
  record->mode ^= 0070;
  Txn txn;
  txn.put(inode_key(f.ino), record->encode());
  const Txn* batch[] = {&txn};
  ASSERT_TRUE(rig.meta.commit_batch(batch, Durability::kDurable).ok());
  EXPECT_NE(fsck().find("/f: mode differs from the ACL"), std::string::npos);
}

TEST(AclRecord, is_read_back_and_damage_is_found) {
  InodeRecord record;
  record.mode = S_IFDIR | 0640;
  record.acl = for_user(7, 4);
  record.default_acl = plain(7, 5, 5);
  std::string bytes = record.encode();
  EXPECT_EQ(*InodeRecord::decode(bytes), record);
  for (size_t cut = 1; cut < 80; ++cut) {
    EXPECT_FALSE(InodeRecord::decode(bytes.substr(0, bytes.size() - cut)).ok()) << cut;
  }
  record.mode = S_IFREG | 0640;
  EXPECT_FALSE(InodeRecord::decode(record.encode()).ok());  // a default ACL of a file
  record.default_acl = PosixAcl();
  record.acl.entries().pop_back();
  EXPECT_FALSE(InodeRecord::decode(record.encode()).ok());
}

}  // namespace
}  // namespace myfs::server
