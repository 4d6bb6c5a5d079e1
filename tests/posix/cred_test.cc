// Who may do what: root acting for others, others acting for themselves alone. Needs root.

#include <sys/sysmacros.h>

#include <filesystem>
#include <vector>

#include "tests/posix/api_test.h"
#include "tests/support/myfsd/peer.h"

namespace myfs::test {
namespace {

// A user with groups, and calls made for him.
struct As {
  As(uid_t uid, gid_t gid, std::vector<gid_t> more = {})
      : groups(std::move(more)), cred{sizeof cred, uid, gid, groups.data(), groups.size()} {}
  operator const myfs_call*() const { return &call; }
  std::vector<gid_t> groups;
  myfs_cred cred;
  myfs_call call{sizeof(myfs_call), &cred, 0, nullptr};
};

class Cred : public ApiTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(0u, ::geteuid()) << "this test needs root";
    // The sockets of other users' clients are reached through these.
    namespace fs = std::filesystem;
    for (const std::string& dir : {dir_->path(), server_->data_dir()}) {
      fs::permissions(dir, fs::perms::others_exec, fs::perm_options::add);
    }
    fs::permissions(server_->socket_path(), fs::perms::all, fs::perm_options::add);
    ApiTest::SetUp();
    make_dir("open", 0777);
  }

  int put_as(const myfs_call* who, const char* path, int flags = O_WRONLY | O_CREAT,
             mode_t mode = 0644) {
    int fd = myfs_open_x(task_, who, path, flags, mode);
    return fd < 0 ? fd : myfs_close(task_, fd);
  }
  const As alice_{1000, 1000}, bob_{1001, 1001};
};

TEST_F(Cred, WhatIsMadeBelongsToTheCaller) {
  ASSERT_EQ(0, put_as(alice_, "open/f"));
  ASSERT_EQ(0, myfs_mkdir_x(task_, bob_, "open/d", 0755));
  ASSERT_EQ(0, myfs_symlink_x(task_, bob_, "f", "open/l"));
  EXPECT_EQ(1000u, stat("open/f").st_uid);
  EXPECT_EQ(1000u, stat("open/f").st_gid);
  EXPECT_EQ(1001u, stat("open/d").st_uid);
  EXPECT_EQ(1001u, stat("open/l").st_uid);
}

TEST_F(Cred, OwnerGroupAndOthers) {
  As friend_of_alice(1002, 1002, {7, 1000}), stranger(1003, 1003);
  ASSERT_EQ(0, put_as(alice_, "open/f"));
  ASSERT_EQ(0, myfs_chmod_x(task_, alice_, "open/f", 0604));
  EXPECT_EQ(0, put_as(alice_, "open/f", O_RDWR));
  // The group's bits count for the group, also where others may more.
  EXPECT_EQ(-EACCES, put_as(friend_of_alice, "open/f", O_RDONLY));
  EXPECT_EQ(0, put_as(stranger, "open/f", O_RDONLY));
  EXPECT_EQ(-EACCES, put_as(stranger, "open/f", O_WRONLY));
  ASSERT_EQ(0, myfs_chmod_x(task_, alice_, "open/f", 0060));
  EXPECT_EQ(-EACCES, put_as(alice_, "open/f", O_RDONLY));
  EXPECT_EQ(0, put_as(friend_of_alice, "open/f", O_RDWR));
  EXPECT_EQ(0, put_as(nullptr, "open/f", O_RDWR));
  EXPECT_EQ(-EPERM, myfs_chmod_x(task_, friend_of_alice, "open/f", 0777));
}

TEST_F(Cred, AccessMode3NeedsBoth) {
  ASSERT_EQ(0, put_as(alice_, "open/f"));
  EXPECT_EQ(0, put_as(alice_, "open/f", O_ACCMODE));
  for (const mode_t mode : {0604, 0602}) {
    ASSERT_EQ(0, myfs_chmod_x(task_, alice_, "open/f", mode));
    EXPECT_EQ(-EACCES, put_as(bob_, "open/f", O_ACCMODE)) << std::oct << mode;
  }
  ASSERT_EQ(0, myfs_chmod_x(task_, alice_, "open/f", 0606));
  EXPECT_EQ(0, put_as(bob_, "open/f", O_ACCMODE));
}

TEST_F(Cred, DirectoriesNeedSearchAndWrite) {
  ASSERT_EQ(0, myfs_mkdir_x(task_, alice_, "open/d", 0755));
  ASSERT_EQ(0, put_as(alice_, "open/d/f"));
  struct stat st;
  EXPECT_EQ(0, myfs_stat_x(task_, bob_, "open/d/f", &st));
  ASSERT_EQ(0, myfs_chmod_x(task_, alice_, "open/d", 0744));
  EXPECT_EQ(-EACCES, myfs_stat_x(task_, bob_, "open/d/f", &st));
  myfs_dir* dir = nullptr;
  ASSERT_EQ(0, myfs_opendir_x(task_, bob_, "open/d", &dir));
  EXPECT_EQ(0, myfs_closedir(dir));
  ASSERT_EQ(0, myfs_chmod_x(task_, alice_, "open/d", 0711));
  EXPECT_EQ(0, myfs_stat_x(task_, bob_, "open/d/f", &st));
  EXPECT_EQ(-EACCES, myfs_opendir_x(task_, bob_, "open/d", &dir));
  EXPECT_EQ(-EACCES, myfs_unlink_x(task_, bob_, "open/d/f"));
  EXPECT_EQ(-EACCES, myfs_rename_x(task_, bob_, "open/d/f", "open/g"));
  EXPECT_EQ(-EACCES, put_as(bob_, "open/d/new"));
}

TEST_F(Cred, ALinkNeedsWriteToItsDirectory) {
  ASSERT_EQ(0, myfs_mkdir_x(task_, alice_, "open/d", 0711));
  ASSERT_EQ(0, put_as(alice_, "open/d/f"));
  EXPECT_EQ(-EACCES, myfs_link_x(task_, bob_, "open/d/f", "open/d/g"));
}

// As for files: who has opened it reads on, for whomever.
TEST_F(Cred, ADirectoryIsReadForWhoOpenedIt) {
  make_dir("shut", 0700);
  ASSERT_EQ(0, put_as(nullptr, "shut/f"));
  myfs_dir* dir = nullptr;
  ASSERT_EQ(0, myfs_opendir(task_, "shut", &dir)) << last_message();
  int entries = 0, got;
  myfs_dirent entry{};
  while ((got = myfs_readdir_x(dir, bob_, &entry)) == 1) ++entries;
  EXPECT_EQ(0, got) << last_message();
  EXPECT_EQ(3, entries);
  EXPECT_EQ(0, myfs_closedir(dir));
}

TEST_F(Cred, StickyDirectories) {
  make_dir("tmp", 01777);
  ASSERT_EQ(0, put_as(alice_, "tmp/a"));
  ASSERT_EQ(0, put_as(bob_, "tmp/b"));
  EXPECT_EQ(-EPERM, myfs_unlink_x(task_, bob_, "tmp/a"));
  EXPECT_EQ(-EPERM, myfs_rename_x(task_, bob_, "tmp/a", "tmp/c"));
  EXPECT_EQ(-EPERM, myfs_rename_x(task_, bob_, "tmp/b", "tmp/a"));
  ASSERT_EQ(0, myfs_mkdir_x(task_, alice_, "tmp/d", 0777));
  EXPECT_EQ(-EPERM, myfs_rmdir_x(task_, bob_, "tmp/d"));
  EXPECT_EQ(0, myfs_rename_x(task_, alice_, "tmp/a", "tmp/c"));
  EXPECT_EQ(0, myfs_unlink_x(task_, alice_, "tmp/c"));
  EXPECT_EQ(0, myfs_unlink(task_, "tmp/b"));
}

TEST_F(Cred, ChownIsForRoot) {
  As member(1000, 1000, {50});
  ASSERT_EQ(0, put_as(alice_, "open/f"));
  EXPECT_EQ(-EPERM, myfs_chown_x(task_, alice_, "open/f", 1001, static_cast<gid_t>(-1)));
  EXPECT_EQ(-EPERM, myfs_chown_x(task_, alice_, "open/f", static_cast<uid_t>(-1), 50));
  // To a group of his own the owner may.
  EXPECT_EQ(0, myfs_chown_x(task_, member, "open/f", static_cast<uid_t>(-1), 50));
  EXPECT_EQ(50u, stat("open/f").st_gid);
  EXPECT_EQ(-EPERM, myfs_chown_x(task_, bob_, "open/f", static_cast<uid_t>(-1), 1001));
  EXPECT_EQ(0, myfs_chown(task_, "open/f", 4'000'000'000u, 4'000'000'001u));
  EXPECT_EQ(4'000'000'000u, stat("open/f").st_uid);
  EXPECT_EQ(4'000'000'001u, stat("open/f").st_gid);
  ASSERT_EQ(0, myfs_symlink(task_, "open/f", "l"));
  EXPECT_EQ(0, myfs_lchown(task_, "l", 7, 8));
  EXPECT_EQ(7u, stat("l").st_uid);
  EXPECT_EQ(4'000'000'000u, stat("open/f").st_uid);
  int fd = open("open/f", O_RDWR);
  EXPECT_EQ(0, myfs_fchown(task_, fd, 9, static_cast<gid_t>(-1)));
  EXPECT_EQ(9u, stat("open/f").st_uid);
  EXPECT_EQ(4'000'000'001u, stat("open/f").st_gid);
  close(fd);
}

// setuid and setgid go when somebody else gets hold of the file's content or owner.
TEST_F(Cred, SetuidIsTakenAway) {
  ASSERT_EQ(0, put_as(alice_, "open/f"));
  ASSERT_EQ(0, myfs_chmod(task_, "open/f", 06777));
  int fd = myfs_open_x(task_, bob_, "open/f", O_WRONLY, 0);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(06777u, mode("open/f"));
  EXPECT_EQ(1, myfs_write_x(task_, bob_, fd, "x", 1));
  close(fd);
  EXPECT_EQ(0777u, mode("open/f"));
  ASSERT_EQ(0, myfs_chmod(task_, "open/f", 06777));
  ASSERT_EQ(0, myfs_chown(task_, "open/f", 1001, 1001));
  EXPECT_EQ(0777u, mode("open/f"));
  ASSERT_EQ(0, myfs_chmod(task_, "open/f", 06777));
  ASSERT_EQ(0, myfs_truncate_x(task_, bob_, "open/f", 0));
  EXPECT_EQ(0777u, mode("open/f"));
  // chmod by an owner who is not of the file's group does not give setgid.
  ASSERT_EQ(0, myfs_chown(task_, "open/f", 1000, 77));
  ASSERT_EQ(0, myfs_chmod_x(task_, alice_, "open/f", 02755));
  EXPECT_EQ(0755u, mode("open/f"));
}

TEST_F(Cred, SetgidDirectoriesHandDownTheirGroup) {
  make_dir("d");
  ASSERT_EQ(0, myfs_chown(task_, "d", 0, 77));
  ASSERT_EQ(0, myfs_chmod(task_, "d", 02777));
  ASSERT_EQ(0, put_as(alice_, "d/f", O_WRONLY | O_CREAT, 02755));
  EXPECT_EQ(77u, stat("d/f").st_gid);
  EXPECT_EQ(0755u, mode("d/f")) << "she is not of the group: no setgid for her file";
  ASSERT_EQ(0, myfs_mkdir_x(task_, alice_, "d/sub", 0755));
  EXPECT_EQ(77u, stat("d/sub").st_gid);
  EXPECT_EQ(02755u, mode("d/sub"));
}

TEST_F(Cred, TimesOfAForeignFile) {
  ASSERT_EQ(0, put_as(alice_, "open/f", O_WRONLY | O_CREAT, 0666));
  ASSERT_EQ(0, myfs_chmod(task_, "open/f", 0666));
  timespec times[2] = {{1, 0}, {1, 0}};
  EXPECT_EQ(-EPERM, myfs_utimens_x(task_, bob_, "open/f", times, 0));
  EXPECT_EQ(0, myfs_utimens_x(task_, bob_, "open/f", nullptr, 0)) << "now: who may write";
  ASSERT_EQ(0, myfs_chmod(task_, "open/f", 0644));
  EXPECT_EQ(-EACCES, myfs_utimens_x(task_, bob_, "open/f", nullptr, 0));
  EXPECT_EQ(0, myfs_utimens_x(task_, alice_, "open/f", times, 0));
}

TEST_F(Cred, RootNeedsOneExecuteBit) {
  make_file("f");
  ASSERT_EQ(0, myfs_chmod(task_, "f", 0));
  EXPECT_EQ(0, myfs_access(task_, "f", R_OK | W_OK));
  EXPECT_EQ(-EACCES, myfs_access(task_, "f", X_OK));
  ASSERT_EQ(0, myfs_chmod(task_, "f", 0001));
  EXPECT_EQ(0, myfs_access(task_, "f", X_OK));
}

TEST_F(Cred, DevicesAreForRoot) {
  ASSERT_EQ(0, myfs_mknod(task_, "null", S_IFCHR | 0666, makedev(1, 3)));
  ASSERT_EQ(0, myfs_mknod(task_, "disk", S_IFBLK | 0660, makedev(259, 70000)));
  EXPECT_EQ(makedev(1, 3), stat("null").st_rdev);
  EXPECT_EQ(makedev(259, 70000), stat("disk").st_rdev);
  EXPECT_TRUE(S_ISBLK(stat("disk").st_mode));
  EXPECT_EQ(-ENXIO, myfs_open(task_, "null", O_RDONLY, 0));
}

TEST_F(Cred, XattrsOfRootAlone) {
  ASSERT_EQ(0, put_as(alice_, "open/f"));
  EXPECT_EQ(-EPERM, myfs_setxattr_x(task_, alice_, "open/f", "trusted.a", "1", 1, 0, 0));
  EXPECT_EQ(0, myfs_setxattr(task_, "open/f", "trusted.a", "1", 1, 0, 0)) << last_message();
  char list[64];
  EXPECT_EQ(0, myfs_listxattr_x(task_, alice_, "open/f", list, sizeof list, 0));
  EXPECT_EQ(10, myfs_listxattr(task_, "open/f", list, sizeof list, 0));
  EXPECT_EQ(-EACCES, myfs_setxattr_x(task_, bob_, "open/f", "user.a", "1", 1, 0, 0));
}

// The task's own credentials, given when it is made.
TEST_F(Cred, OfTheTask) {
  myfs_task* task = nullptr;
  myfs_cred cred{sizeof cred, 1000, 1000, nullptr, 0};
  myfs_mount_options options{sizeof options, nullptr, &cred};
  ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), &options, &task)) << last_message();
  EXPECT_EQ(-EACCES, myfs_mkdir(task, "/no", 0755));
  ASSERT_EQ(0, myfs_mkdir(task, (home() + "/open/d").c_str(), 0755));
  EXPECT_EQ(1000u, stat("open/d").st_uid);
  EXPECT_EQ(0, myfs_task_destroy(task));
}

TEST_F(Cred, AProcessActsAsItself) {
  Peer alice(server_->url(), "1000:1000");
  ASSERT_EQ("0", alice.mounted());
  EXPECT_EQ("0", alice("mkdir " + home() + "/open/d"));
  EXPECT_EQ("<EACCES>", alice("mkdir /of-root"));
  EXPECT_EQ(1000u, stat("open/d").st_uid);
  EXPECT_EQ(1000u, stat("open/d").st_gid);
  EXPECT_EQ(0, alice.end());
}

// A process that is not root and claims to be root, or anybody else, acts as itself: in the task's
// credentials, in a call's, in the mount's options.
TEST_F(Cred, AProcessThatClaimsAnotherUidActsAsItself) {
  make_file("secret");
  ASSERT_EQ(0, myfs_chmod(task_, "secret", 0600));
  ASSERT_EQ(0, put_as(bob_, "open/bobs"));
  ASSERT_EQ(0, myfs_chmod(task_, "open/bobs", 0600));
  Peer alice(server_->url(), "1000:1000", "0:0");
  ASSERT_EQ("0", alice.mounted());
  EXPECT_EQ("<EACCES>", alice("get " + home() + "/secret"));
  EXPECT_EQ("<EACCES>", alice("mkdir /of-root"));
  for (const char* claim : {"as 0:0", "as 1001:1001"}) {
    alice(claim);
    EXPECT_EQ("<EACCES>", alice("get " + home() + "/secret")) << claim;
    EXPECT_EQ("<EACCES>", alice("get " + home() + "/open/bobs")) << claim;
    EXPECT_EQ("<EACCES>", alice("mkdir /of-root")) << claim;
  }
  EXPECT_EQ("0", alice("mkdir " + home() + "/open/d"));
  EXPECT_EQ("<EPERM>", alice("chown " + home() + "/open/d 1001 1001"));
  EXPECT_EQ(1000u, stat("open/d").st_uid);
  Peer by_option(server_->url() + "?uid=0&gid=0", "1000:1000");
  ASSERT_EQ("0", by_option.mounted());
  EXPECT_EQ("<EACCES>", by_option("mkdir /of-root"));
  EXPECT_EQ("<EACCES>", by_option("get " + home() + "/secret"));
}

// What another client of the same session would have cached does not help either: a stat that the
// client answers by itself checks the caller too.
TEST_F(Cred, CachedAnswersAreForThoseWhoMayHaveThem) {
  ASSERT_EQ(0, myfs_mkdir(task_, "closed", 0700));
  make_file("closed/f");
  struct stat st;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(0, myfs_stat(task_, "closed/f", &st));
    EXPECT_EQ(-EACCES, myfs_stat_x(task_, alice_, "closed/f", &st));
    EXPECT_EQ(-EACCES, put_as(alice_, "closed/f", O_RDONLY));
    EXPECT_EQ(-EACCES, myfs_stat_x(task_, alice_, "closed/missing", &st));
  }
}

TEST_F(Cred, GroupsOfAProcessAreTheKernels) {
  make_dir("shared", 0070);
  ASSERT_EQ(0, myfs_chown(task_, "shared", 0, 60));
  std::string dir = home() + "/shared/d";
  Peer stranger(server_->url(), "1000:1000");
  EXPECT_EQ("<EACCES>", stranger("mkdir " + dir));
  Peer member(server_->url(), "1000:1000:59,60");
  EXPECT_EQ("0", member("mkdir " + dir));
  // Claimed groups that the kernel does not know of do not count.
  Peer claimer(server_->url(), "1000:1000", "1000:1000:60");
  EXPECT_EQ("<EACCES>", claimer("rmdir " + dir));
  claimer("as 1000:60");
  EXPECT_EQ("<EACCES>", claimer("rmdir " + dir));
}

// Mount options uid and gid make everything that is done through the mount theirs.
TEST_F(Cred, MountOptionsUidAndGid) {
  Client squashed(server_->url() + "?uid=1234&gid=5678");
  ASSERT_EQ(0, myfs_mkdir(squashed, (home() + "/open/d").c_str(), 0755)) << last_message();
  EXPECT_EQ(1234u, stat("open/d").st_uid);
  EXPECT_EQ(5678u, stat("open/d").st_gid);
  EXPECT_EQ(-EACCES, myfs_mkdir(squashed, "/no", 0755));
}

}  // namespace
}  // namespace myfs::test
