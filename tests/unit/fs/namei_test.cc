#include "sdk/fs/namei.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/unit/fs/fs_fixture.h"

namespace myfs::fs {
namespace {

class NameiTest : public FsFixture {
 protected:
  explicit NameiTest(Ramfs::Options options = {}) : FsFixture(options) {
    EXPECT_EQ(mkdir("/a"), 0);
    EXPECT_EQ(mkdir("/a/b"), 0);
    EXPECT_EQ(mkdir("/a/b/c"), 0);
    EXPECT_EQ(mkdir("/closed", 0700), 0);
    EXPECT_EQ(create("/closed/f"), 0);
    EXPECT_EQ(create("/a/file"), 0);
    EXPECT_EQ(symlink("file", "/a/rel"), 0);
    EXPECT_EQ(symlink("/a/file", "/a/abs"), 0);
    EXPECT_EQ(symlink("b/c/", "/a/dirslash"), 0);
    EXPECT_EQ(symlink("nowhere", "/a/dangling"), 0);
    EXPECT_EQ(symlink("loop2", "/a/loop1"), 0);
    EXPECT_EQ(symlink("loop1", "/a/loop2"), 0);
    EXPECT_EQ(symlink("../b/../file", "/a/b/up"), 0);
    EXPECT_EQ(symlink(".", "/a/self"), 0);
  }

  struct Case {
    std::string path;
    int error;
    std::string same_as;  // of a success: the inode
  };
  std::vector<Case> table() {
    const std::string long_name(256, 'n'), longest_name(255, 'n');
    const std::string long_path(4096, '/');
    const std::string longest_path = std::string(4090, '/') + "a/b";
    return {
        {"/", 0, "/"},
        {"//", 0, "/"},
        {"/.", 0, "/"},
        {"/..", 0, "/"},
        {"/../../a", 0, "/a"},
        {"/a", 0, "/a"},
        {"/a/", 0, "/a"},
        {"/a//b///c", 0, "/a/b/c"},
        {"/a/b/c/../..", 0, "/a"},
        {"/a/./b/./", 0, "/a/b"},
        {"a/b", 0, "/a/b"},
        {longest_path, 0, "/a/b"},
        {"/a/rel", 0, "/a/file"},
        {"/a/abs", 0, "/a/file"},
        {"/a/b/up", 0, "/a/file"},
        {"/a/dirslash", 0, "/a/b/c"},
        {"/a/dirslash/..", 0, "/a/b"},
        {"/a/dirslash/../up", 0, "/a/file"},
        {"/a/self/self/self/file", 0, "/a/file"},
        {"", ENOENT, ""},
        {"/nope", ENOENT, ""},
        {"/nope/x", ENOENT, ""},
        {"/a/nope/../file", ENOENT, ""},
        {"/a/dangling", ENOENT, ""},
        {"/a/file/", ENOTDIR, ""},
        {"/a/file/x", ENOTDIR, ""},
        {"/a/file/.", ENOTDIR, ""},
        {"/a/file/..", ENOTDIR, ""},
        {"/a/rel/", ENOTDIR, ""},
        {"/a/rel/x", ENOTDIR, ""},
        {"/a/loop1", ELOOP, ""},
        {"/a/loop1/x", ELOOP, ""},
        {"/a/" + long_name, ENAMETOOLONG, ""},
        {"/a/" + long_name + "/x", ENAMETOOLONG, ""},
        {"/a/" + longest_name, ENOENT, ""},
        {long_path, ENAMETOOLONG, ""},
    };
  }
  void check_table(const char* state) {
    for (const Case& c : table()) {
      SCOPED_TRACE(std::string(state) + ": " + c.path.substr(0, 60));
      Kstat found;
      EXPECT_EQ(stat(c.path, &found), c.error);
      if (c.error == 0) {
        EXPECT_EQ(found.ino, ramfs->ino_of(c.same_as));
      }
    }
  }
};

class NameiOneNameTest : public NameiTest {
 protected:
  NameiOneNameTest() : NameiTest({.super = {}, .whole_paths = false}) {}
};

TEST_F(NameiTest, table_cold_and_warm) {
  ramfs->revoke_everything();
  check_table("cold");
  check_table("warm");
}

TEST_F(NameiOneNameTest, table_when_each_name_is_asked_for_alone) {
  ramfs->revoke_everything();
  check_table("cold");
  check_table("warm");
}

TEST_F(NameiTest, table_when_no_answer_brings_a_lease) {
  ramfs->grants = false;
  ramfs->revoke_everything();
  check_table("never leased");
  check_table("still not");
}

TEST_F(NameiTest, table_when_the_session_has_expired) {
  check_table("alive");
  task.fs.root().dentry->d_sb().s_validity.deadline_ns = 1;
  check_table("expired");
}

TEST_F(NameiTest, table_when_leases_go_after_every_answer) {
  ramfs->revoke_everything();
  ramfs->after_answer = [this] { ramfs->revoke_everything(); };
  check_table("lost at once");
}

TEST_F(NameiTest, lstat_sees_the_link_unless_a_slash_follows) {
  Kstat link, target;
  ASSERT_EQ(lstat("/a/dirslash", &link), 0);
  EXPECT_TRUE(link.is_symlink());
  ASSERT_EQ(lstat("/a/dirslash/", &target), 0);
  EXPECT_EQ(target.ino, ino("/a/b/c"));
  EXPECT_EQ(lstat("/a/loop1"), 0);
  EXPECT_EQ(lstat("/a/loop1/"), ELOOP);
}

TEST_F(NameiTest, forty_links_are_followed_and_not_one_more) {
  ASSERT_EQ(create("/l0"), 0);
  for (int i = 1; i <= 41; ++i) {
    ASSERT_EQ(symlink("l" + std::to_string(i - 1), "/l" + std::to_string(i)), 0);
  }
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(stat("/l40"), 0) << round;
    EXPECT_EQ(stat("/l41"), ELOOP) << round;
    ramfs->revoke_everything();
  }
}

TEST_F(NameiTest, search_permission_is_needed_on_every_directory_of_the_way) {
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(stat_as(user, "/closed"), 0);
    EXPECT_EQ(stat_as(user, "/closed/f"), EACCES);
    EXPECT_EQ(stat_as(user, "/closed/nope"), EACCES);
    EXPECT_EQ(stat_as(user, "/closed/."), EACCES);
    EXPECT_EQ(stat_as(user, "/closed/.."), EACCES);
    EXPECT_EQ(stat_as(user, "/closed/../a/file"), EACCES);
    EXPECT_EQ(stat_as(root, "/closed/f"), 0);
    ramfs->revoke_everything();
  }
}

TEST_F(NameiTest, group_bits_count_for_members_and_owner_bits_for_the_owner_alone) {
  ASSERT_EQ(mkdir("/g"), 0);
  ASSERT_EQ(create("/g/f"), 0);
  ASSERT_EQ(errno_of(vfs_chown(root, task, {AT_FDCWD, "/g"}, 1000, 77, 0)), 0);
  ASSERT_EQ(errno_of(vfs_chmod(root, task, {AT_FDCWD, "/g"}, 0010, 0)), 0);
  CallContext member = user;
  member.cred = std::make_shared<const Cred>(Cred{.uid = 5, .gid = 5, .groups = {77}});
  CallContext stranger = user;
  stranger.cred = make_cred(6);
  EXPECT_EQ(stat_as(member, "/g/f"), 0);
  EXPECT_EQ(stat_as(stranger, "/g/f"), EACCES);
  EXPECT_EQ(stat_as(user, "/g/f"), EACCES);
}

TEST_F(NameiTest, at_variants_start_at_the_descriptor) {
  int dir = open("/a/b", O_RDONLY | O_DIRECTORY);
  int file = open("/a/file", O_RDONLY);
  ASSERT_GE(dir, 0);
  ASSERT_GE(file, 0);
  Kstat found;
  EXPECT_EQ(errno_of(vfs_stat(root, task, {dir, "c"}, 0, &found)), 0);
  EXPECT_EQ(found.ino, ino("/a/b/c"));
  EXPECT_EQ(errno_of(vfs_stat(root, task, {dir, "../file"}, 0, &found)), 0);
  EXPECT_EQ(found.ino, ino("/a/file"));
  EXPECT_EQ(errno_of(vfs_stat(root, task, {dir, "/a"}, 0, &found)), 0);
  EXPECT_EQ(errno_of(vfs_stat(root, task, {99, "/a"}, 0, &found)), 0);
  EXPECT_EQ(errno_of(vfs_stat(root, task, {99, "a"}, 0, &found)), EBADF);
  EXPECT_EQ(errno_of(vfs_stat(root, task, {-5, "a"}, 0, &found)), EBADF);
  EXPECT_EQ(errno_of(vfs_stat(root, task, {file, "a"}, 0, &found)), ENOTDIR);
  EXPECT_EQ(errno_of(vfs_stat(root, task, {file, ""}, 0, &found)), ENOENT);
  EXPECT_EQ(errno_of(vfs_stat(root, task, {file, ""}, AT_EMPTY_PATH, &found)), 0);
  EXPECT_EQ(found.ino, ino("/a/file"));
  EXPECT_EQ(errno_of(vfs_stat(root, task, {file, ""}, 0x8000, &found)), EINVAL);
}

TEST_F(NameiTest, one_question_resolves_the_whole_rest_of_a_path) {
  ramfs->revoke_everything();
  int before = ramfs->calls.total();
  EXPECT_EQ(stat("/a/b/c"), 0);
  EXPECT_EQ(ramfs->calls.total() - before, 1);
  EXPECT_EQ(stat("/a/b/c"), 0);
  EXPECT_EQ(ramfs->calls.total() - before, 1);
}

TEST_F(NameiTest, an_answer_is_used_even_if_its_leases_are_lost_meanwhile) {
  ramfs->revoke_everything();
  ramfs->after_answer = [this] { ramfs->revoke_everything(); };
  int before = ramfs->calls.total();
  Kstat found;
  EXPECT_EQ(stat("/a/b/c", &found), 0);
  EXPECT_EQ(found.ino, ramfs->ino_of("/a/b/c"));
  EXPECT_EQ(ramfs->calls.total() - before, 1);
}

TEST_F(NameiTest, cwd_and_getcwd) {
  EXPECT_EQ(getcwd(), "/");
  ASSERT_EQ(chdir("a/b"), 0);
  EXPECT_EQ(getcwd(), "/a/b");
  EXPECT_EQ(stat("c"), 0);
  EXPECT_EQ(stat("../file"), 0);
  ASSERT_EQ(chdir("c"), 0);
  EXPECT_EQ(getcwd(), "/a/b/c");
  EXPECT_EQ(chdir("/a/file"), ENOTDIR);
  EXPECT_EQ(chdir("/nope"), ENOENT);
  EXPECT_EQ(errno_of(vfs_chdir(user, task, {AT_FDCWD, "/closed"})), EACCES);
  EXPECT_EQ(getcwd(), "/a/b/c");
}

TEST_F(NameiTest, a_removed_cwd_answers_ENOENT) {
  ASSERT_EQ(chdir("/a/b/c"), 0);
  ASSERT_EQ(rmdir("/a/b/c"), 0);
  EXPECT_EQ(getcwd(), "errno 2");
  EXPECT_EQ(stat("x"), ENOENT);
  EXPECT_EQ(mkdir("x"), ENOENT);
  EXPECT_EQ(open("x", O_CREAT | O_WRONLY), -ENOENT);
  EXPECT_EQ(stat("."), 0);
  EXPECT_EQ(ino(".."), ramfs->ino_of("/a/b"));
}

TEST_F(NameiTest, a_cwd_that_another_client_removed_answers_ENOENT) {
  ASSERT_EQ(chdir("/a/b/c"), 0);
  ramfs->remote_unlink("/a/b/c");
  EXPECT_EQ(getcwd(), "errno 2");
  EXPECT_EQ(stat("x"), ENOENT);
}

TEST_F(NameiTest, dotdot_and_getcwd_follow_a_directory_that_another_client_moved) {
  ASSERT_EQ(mkdir("/other"), 0);
  ASSERT_EQ(chdir("/a/b/c"), 0);
  ramfs->remote_rename("/a/b", "/other/bb");
  EXPECT_EQ(getcwd(), "/other/bb/c");
  EXPECT_EQ(ino("../.."), ramfs->ino_of("/other"));
  EXPECT_EQ(stat("/a/b"), ENOENT);
}

TEST_F(NameiTest, getcwd_follows_our_own_rename) {
  ASSERT_EQ(chdir("/a/b/c"), 0);
  ASSERT_EQ(rename("/a/b", "/moved"), 0);
  EXPECT_EQ(getcwd(), "/moved/c");
  EXPECT_EQ(ino("../.."), ramfs->ino_of("/"));
}

TEST_F(NameiTest, chroot_is_a_root) {
  ASSERT_EQ(errno_of(vfs_chroot(user, task, {AT_FDCWD, "/a"})), EPERM);
  ASSERT_EQ(chdir("/a/b"), 0);
  ASSERT_EQ(errno_of(vfs_chroot(root, task, {AT_FDCWD, "/a"})), 0);
  EXPECT_EQ(getcwd(), "/b");
  EXPECT_EQ(ino("/.."), ramfs->ino_of("/a"));
  EXPECT_EQ(stat("/file"), 0);
  EXPECT_EQ(stat("/abs"), ENOENT);  // its target /a/file lies outside now
}

TEST_F(NameiTest, readlink) {
  EXPECT_EQ(*vfs_readlink(root, task, {AT_FDCWD, "/a/abs"}), "/a/file");
  EXPECT_EQ(*vfs_readlink(root, task, {AT_FDCWD, "/a/dangling"}), "nowhere");
  EXPECT_EQ(errno_of(vfs_readlink(root, task, {AT_FDCWD, "/a/file"})), EINVAL);
  EXPECT_EQ(errno_of(vfs_readlink(root, task, {AT_FDCWD, "/a"})), EINVAL);
  EXPECT_EQ(errno_of(vfs_readlink(root, task, {AT_FDCWD, "/a/nope"})), ENOENT);
}

}  // namespace
}  // namespace myfs::fs
