// What the cache may answer, and what it must not.
#include <gtest/gtest.h>

#include <string>

#include "tests/unit/fs/fs_fixture.h"

namespace myfs::fs {
namespace {

class LeaseTest : public FsFixture {
 protected:
  LeaseTest() {
    EXPECT_EQ(mkdir("/a"), 0);
    EXPECT_EQ(mkdir("/a/b"), 0);
    EXPECT_EQ(create("/a/b/f"), 0);
    EXPECT_EQ(symlink("b", "/a/l"), 0);
    fd = open("/a/b/f", O_RDWR);
    EXPECT_EQ(write(fd, "0123456789"), 10);
    EXPECT_EQ(stat("/a/b/nope"), ENOENT);
    EXPECT_EQ(stat("/a/l/f"), 0);
  }
  // How many calls of the file system `fn` makes.
  template <typename Fn>
  int asked(Fn fn) {
    int before = ramfs->calls.total();
    fn();
    return ramfs->calls.total() - before;
  }
  Validity& validity() { return ramfs->sb().s_validity; }
  int fd = -1;
};

TEST_F(LeaseTest, warm_calls_ask_nobody) {
  EXPECT_EQ(asked([&] {
              Kstat found;
              EXPECT_EQ(stat("/a/b/f", &found), 0);
              EXPECT_EQ(found.size, 10u);
              EXPECT_EQ(stat("/a/l/f"), 0);
              EXPECT_EQ(stat("/a/b/../b/./f"), 0);
              EXPECT_EQ(stat("/a/b/nope"), ENOENT);
              EXPECT_EQ(stat("/a/b/nope/x"), ENOENT);
              EXPECT_EQ(stat("/a/b/f/x"), ENOTDIR);
              EXPECT_EQ(errno_of(vfs_fstat(root, task, fd, &found)), 0);
              EXPECT_EQ(pread(fd, 4, 3), "3456");
              EXPECT_EQ(pread(fd, 4, 10), "");
              int again = open("/a/b/f", O_RDONLY);
              EXPECT_EQ(pread(again, 3, 0), "012");
              EXPECT_EQ(close(again), 0);
              EXPECT_EQ(getcwd(), "/");
            }),
            0);
}

TEST_F(LeaseTest, attributes_are_not_used_longer_than_their_timeout) {
  Kstat found;
  validity().attr_timeout_ns = 3600 * kNsPerSec;
  EXPECT_EQ(stat("/a/b/f"), 0);  // none was noted with its time before
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/f"), 0); }), 0);
  validity().attr_timeout_ns = 0;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/f", &found), 0); }), 1);
    EXPECT_EQ(found.size, 10u);
    EXPECT_EQ(asked([&] { EXPECT_EQ(errno_of(vfs_fstat(root, task, fd, &found)), 0); }), 1);
  }
  EXPECT_EQ(asked([&] { EXPECT_EQ(errno_of(vfs_chdir(root, task, {AT_FDCWD, "/a/b"})), 0); }), 1);
  // Neither names nor data are attributes.
  EXPECT_EQ(asked([&] {
              EXPECT_EQ(stat("/a/b/nope"), ENOENT);
              EXPECT_EQ(pread(fd, 4, 3), "3456");
            }),
            0);
}

TEST_F(LeaseTest, names_of_a_directory_are_asked_for_again_after_its_D_is_lost) {
  ramfs->revoke(ramfs->ino_of("/a/b"), kLeaseD);
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/f"), 0); }), 1);
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/f"), 0); }), 0);
  // The negative one was of the old version too.
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/nope"), ENOENT); }), 1);
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/nope"), ENOENT); }), 0);
}

TEST_F(LeaseTest, old_names_do_not_come_back_with_a_new_lease) {
  uint64_t dir = ramfs->ino_of("/a/b");
  ramfs->remote_create("/a/b/nope", S_IFREG | 0644);
  ramfs->remote_unlink("/a/b/f");
  ramfs->grant(dir, kLeaseD);
  EXPECT_EQ(stat("/a/b/nope"), 0);
  EXPECT_EQ(stat("/a/b/f"), ENOENT);
}

TEST_F(LeaseTest, what_another_client_changes_is_seen_at_once) {
  ramfs->remote_create("/a/b/nope", S_IFREG | 0640);
  Kstat found;
  EXPECT_EQ(stat("/a/b/nope", &found), 0);
  EXPECT_EQ(found.mode, S_IFREG | 0640u);
  ramfs->remote_chmod("/a/b/f", 0600);
  EXPECT_EQ(stat("/a/b/f", &found), 0);
  EXPECT_EQ(found.mode, S_IFREG | 0600u);
  ramfs->remote_chmod("/a", 0700);
  EXPECT_EQ(stat_as(user, "/a/b/f"), EACCES);
  ramfs->remote_unlink("/a/b/nope");
  EXPECT_EQ(stat("/a/b/nope"), ENOENT);
  ramfs->remote_rename("/a/b/f", "/a/g");
  EXPECT_EQ(stat("/a/b/f"), ENOENT);
  EXPECT_EQ(stat("/a/g"), 0);
}

TEST_F(LeaseTest, attributes_need_A_and_the_lease_of_the_content) {
  uint64_t file = ramfs->ino_of("/a/b/f"), dir = ramfs->ino_of("/a/b");
  Kstat found;
  ramfs->grants = false;
  ramfs->revoke(file, kLeaseR | kLeaseW);
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/f", &found), 0); }), 1);
  ramfs->grant(file, kLeaseR);
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/f", &found), 0); }), 0);
  ramfs->revoke(file, kLeaseA);
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/f", &found), 0); }), 1);
  ramfs->revoke(dir, kLeaseD);
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b", &found), 0); }), 1);
  // The directory's own name hangs on its parent, whose lease is there.
  ramfs->grant(dir, kLeaseD);
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b", &found), 0); }), 0);
}

TEST_F(LeaseTest, reads_ask_after_R_is_lost) {
  uint64_t file = ramfs->ino_of("/a/b/f");
  ramfs->revoke(file, kLeaseR | kLeaseW);
  ramfs->grants = false;
  EXPECT_EQ(asked([&] { EXPECT_EQ(pread(fd, 4, 3), "3456"); }), 1);
  EXPECT_EQ(asked([&] { EXPECT_EQ(pread(fd, 4, 3), "3456"); }), 1);
  ramfs->grant(file, kLeaseR);
  EXPECT_EQ(asked([&] { EXPECT_EQ(pread(fd, 4, 3), "3456"); }), 0);
  ramfs->grant(file, kLeaseU);
  EXPECT_EQ(asked([&] { EXPECT_EQ(pread(fd, 4, 3), "3456"); }), 1);
}

TEST_F(LeaseTest, nothing_is_answered_after_the_deadline) {
  validity().deadline_ns = boottime_ns() - 1;
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/f"), 0); }), 1);
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/nope"), ENOENT); }), 1);
  EXPECT_EQ(asked([&] { EXPECT_EQ(pread(fd, 2, 0), "01"); }), 1);
  Kstat found;
  EXPECT_EQ(asked([&] { EXPECT_EQ(errno_of(vfs_fstat(root, task, fd, &found)), 0); }), 1);
  EXPECT_EQ(asked([&] { EXPECT_EQ(list("/a/b").size(), 3u); }), 2);
  validity().deadline_ns = boottime_ns() + 3600 * kNsPerSec;
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/f"), 0); }), 0);
  EXPECT_EQ(asked([&] { EXPECT_EQ(pread(fd, 2, 0), "01"); }), 0);
}

TEST_F(LeaseTest, a_new_session_begins_with_nothing) {
  ++validity().generation;
  EXPECT_EQ(asked([&] { EXPECT_EQ(pread(fd, 2, 0), "01"); }), 1);
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/nope"), ENOENT); }), 1);
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/nope"), ENOENT); }), 0);
}

TEST_F(LeaseTest, an_older_answer_changes_nothing) {
  Path dir = vfs_chdir(root, task, {AT_FDCWD, "/a/b"}).ok() ? task.fs.pwd() : Path();
  ASSERT_TRUE(dir);
  Inode& inode = dir.inode();
  DirVersion old{inode.i_lease.sample(), inode.i_attr().change};
  ASSERT_EQ(create("/a/b/new"), 0);
  Ref<Dentry> late = ramfs->sb().s_dcache.d_learn(*dir.dentry, "new", nullptr, old);
  EXPECT_TRUE(late->is_negative());
  EXPECT_FALSE(late->is_hashed());
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/new"), 0); }), 0);
  Kstat stale = inode.i_attr();
  stale.change = old.change;
  stale.mode = S_IFDIR | 0111;
  EXPECT_FALSE(inode.learn_attr(stale));
  Kstat found;
  EXPECT_EQ(stat("/a/b", &found), 0);
  EXPECT_EQ(found.mode, S_IFDIR | 0755u);
}

TEST_F(LeaseTest, nothing_is_learned_while_a_change_of_ours_is_under_way) {
  ASSERT_EQ(chdir("/a/b"), 0);
  Path dir = task.fs.pwd();
  DirVersion version{dir.inode().i_lease.sample(), dir.inode().i_attr().change};
  ChangeInFlight change({{dir.dentry.get(), "f"}});
  Ref<Dentry> during = ramfs->sb().s_dcache.d_learn(*dir.dentry, "x", nullptr, version);
  EXPECT_FALSE(during->is_hashed());
  Ref<Dentry> own = ramfs->sb().s_dcache.d_add(*dir.dentry, "f", nullptr, version);
  EXPECT_TRUE(own->is_hashed());
}

TEST_F(LeaseTest, an_own_change_under_a_lost_lease_leaves_nothing_behind) {
  ASSERT_EQ(chdir("/a/b"), 0);
  Path dir = task.fs.pwd();
  DirVersion version{dir.inode().i_lease.sample(), dir.inode().i_attr().change};
  ramfs->revoke(dir.inode().i_ino, kLeaseD);
  ramfs->grant(dir.inode().i_ino, kLeaseD);
  Ref<Dentry> own = ramfs->sb().s_dcache.d_add(*dir.dentry, "f", nullptr, version);
  EXPECT_FALSE(own->is_hashed());
  EXPECT_EQ(ramfs->sb().s_dcache.d_lookup(dir.inode(), "f").get(), nullptr);
}

TEST_F(LeaseTest, a_complete_directory_knows_what_it_has_not) {
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/unheard"), ENOENT); }), 1);
  EXPECT_EQ(list("/a/b").size(), 3u);
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/unheard_of"), ENOENT); }), 0);
  ASSERT_EQ(create("/a/b/own"), 0);
  EXPECT_EQ(asked([&] {
              EXPECT_EQ(stat("/a/b/own"), 0);
              EXPECT_EQ(stat("/a/b/something_else"), ENOENT);
            }),
            0);
  ASSERT_EQ(unlink("/a/b/own"), 0);
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/own"), ENOENT); }), 0);
  ramfs->remote_create("/a/b/unheard_of", S_IFREG | 0644);
  EXPECT_EQ(stat("/a/b/unheard_of"), 0);
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/third"), ENOENT); }), 1);
}

TEST_F(LeaseTest, a_complete_directory_that_forgot_a_name_is_complete_no_more) {
  ASSERT_EQ(list("/a/b").size(), 3u);
  close(fd);
  ASSERT_EQ(chdir("/a/b"), 0);
  Dcache& dcache = ramfs->sb().s_dcache;
  while (dcache.d_lookup(task.fs.pwd().inode(), "f")) ASSERT_GT(dcache.shrink(1), 0u);
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("f"), 0); }), 1);
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("unheard_of"), ENOENT); }), 1);
}

TEST_F(LeaseTest, complete_is_refused_if_a_name_was_forgotten_during_the_listing) {
  for (char c = 'p'; c < 'x'; ++c) ASSERT_EQ(create(std::string("/a/b/") + c), 0);
  ramfs->after_answer = [this] { ramfs->sb().s_dcache.shrink(1000); };
  ASSERT_EQ(list("/a/b").size(), 11u);
  ramfs->after_answer = nullptr;
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/unheard_of"), ENOENT); }), 1);
}

TEST_F(LeaseTest, complete_is_refused_if_the_lease_broke_during_the_listing) {
  for (char c = 'p'; c < 'x'; ++c) ASSERT_EQ(create(std::string("/a/b/") + c), 0);
  const uint64_t dir = ramfs->ino_of("/a/b");
  ramfs->after_answer = [this, dir] { ramfs->revoke(dir, kLeaseD); };
  ASSERT_EQ(list("/a/b").size(), 11u);
  ramfs->after_answer = nullptr;
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/b/unheard_of"), ENOENT); }), 1);
  EXPECT_GT(asked([&] { list("/a/b"); }), 0);
}

TEST_F(LeaseTest, symlink_targets_are_kept) {
  ramfs->revoke(ramfs->ino_of("/a/l"), kLeaseA);
  EXPECT_EQ(asked([&] { EXPECT_EQ(stat("/a/l/f"), 0); }), 0);
}

}  // namespace
}  // namespace myfs::fs
