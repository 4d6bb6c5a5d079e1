// What B has cached changes at once when A's call has returned.
#include <fcntl.h>

#include "tests/integration/two_clients.h"

namespace myfs::test {
namespace {

using Names = std::vector<std::string>;
using Coherence = TwoClients;

TEST_F(Coherence, StatChangesAfterChmod) {
  ASSERT_EQ(0, a().put("/f", "one"));
  EXPECT_EQ(0644u, b().stat("/f").st_mode & 07777);
  for (mode_t mode = 0600; mode < 0620; ++mode) {
    ASSERT_EQ(0, myfs_chmod(a(), "/f", mode));
    ASSERT_EQ(mode, b().stat("/f").st_mode & 07777);
  }
}

TEST_F(Coherence, StatChangesAfterWrite) {
  ASSERT_EQ(0, a().put("/f", "one"));
  EXPECT_EQ(3, b().stat("/f").st_size);
  ASSERT_EQ(0, a().put("/f", "three"));
  EXPECT_EQ(5, b().stat("/f").st_size);
}

TEST_F(Coherence, SizeAndTimeOfAFileThatIsBeingWritten) {
  int fd = a().open("/f", O_RDWR | O_CREAT);
  ASSERT_GE(fd, 0);
  for (int i = 1; i <= 20; ++i) {
    ASSERT_EQ(4, myfs_write(a(), fd, "1234", 4));
    struct stat mine {};
    ASSERT_EQ(0, myfs_fstat(a(), fd, &mine));
    struct stat other = b().stat("/f");
    ASSERT_EQ(4 * i, mine.st_size);
    ASSERT_EQ(4 * i, other.st_size);
    ASSERT_EQ(mine.st_mtim.tv_sec, other.st_mtim.tv_sec);
    ASSERT_EQ(mine.st_mtim.tv_nsec, other.st_mtim.tv_nsec);
  }
  EXPECT_EQ(0, myfs_close(a(), fd));
}

TEST_F(Coherence, ListingChanges) {
  ASSERT_EQ(0, myfs_mkdir(a(), "/d", 0777));
  EXPECT_EQ(Names(), b().list("/d"));
  ASSERT_EQ(0, a().put("/d/x", "1"));
  EXPECT_EQ(Names({"x"}), b().list("/d"));
  ASSERT_EQ(0, myfs_mkdir(a(), "/d/y", 0777));
  ASSERT_EQ(0, myfs_symlink(a(), "x", "/d/z"));
  EXPECT_EQ(Names({"x", "y", "z"}), b().list("/d"));
  ASSERT_EQ(0, myfs_rename(a(), "/d/x", "/d/a"));
  EXPECT_EQ(Names({"a", "y", "z"}), b().list("/d"));
  ASSERT_EQ(0, myfs_unlink(a(), "/d/a"));
  ASSERT_EQ(0, myfs_rmdir(a(), "/d/y"));
  EXPECT_EQ(Names({"z"}), b().list("/d"));
}

TEST_F(Coherence, NegativeLookUpChanges) {
  for (int i = 0; i < 20; ++i) {
    std::string path = "/n" + std::to_string(i);
    ASSERT_EQ(-ENOENT, b().find(path));
    ASSERT_EQ(-ENOENT, b().find(path));
    ASSERT_EQ(0, a().put(path, "x"));
    ASSERT_EQ(0, b().find(path));
    ASSERT_EQ(0, myfs_unlink(a(), path.c_str()));
    ASSERT_EQ(-ENOENT, b().find(path));
  }
}

TEST_F(Coherence, NegativeLookUpInAListedDirectoryChanges) {
  ASSERT_EQ(0, myfs_mkdir(a(), "/d", 0777));
  ASSERT_EQ(0, a().put("/d/x", "1"));
  ASSERT_EQ(Names({"x"}), b().list("/d"));
  ASSERT_EQ(-ENOENT, b().find("/d/y"));  // known from the listing
  ASSERT_EQ(0, a().put("/d/y", "1"));
  EXPECT_EQ(0, b().find("/d/y"));
}

TEST_F(Coherence, ContentChanges) {
  for (int i = 0; i < 20; ++i) {
    std::string text = pattern(10'000 + 997 * i, i);
    ASSERT_EQ(0, a().put("/f", text));
    ASSERT_EQ(text, b().get("/f"));
    text = pattern(5'000 + 1500 * i, 100 + i);
    ASSERT_EQ(0, b().put("/f", text));
    ASSERT_EQ(text, a().get("/f"));
  }
}

TEST_F(Coherence, ContentOfOpenFilesChangesWithoutCloseOrSync) {
  int wa = a().open("/f", O_RDWR | O_CREAT);
  ASSERT_GE(wa, 0);
  int rb = b().open("/f", O_RDONLY);
  ASSERT_GE(rb, 0);
  char buffer[16] = {};
  for (int i = 0; i < 50; ++i) {
    std::string text = pattern(16, i);
    ASSERT_EQ(16, myfs_pwrite(a(), wa, text.data(), 16, 8 * i));
    ASSERT_EQ(16, myfs_pread(b(), rb, buffer, 16, 8 * i));
    ASSERT_EQ(text, std::string(buffer, 16));
  }
  EXPECT_EQ(0, myfs_close(a(), wa));
  EXPECT_EQ(0, myfs_close(b(), rb));
}

TEST_F(Coherence, PathsChangeWhenADirectoryAboveMoves) {
  ASSERT_EQ(0, myfs_mkdir(a(), "/p", 0777));
  ASSERT_EQ(0, myfs_mkdir(a(), "/p/q", 0777));
  ASSERT_EQ(0, a().put("/p/q/f", "deep"));
  EXPECT_EQ("deep", b().get("/p/q/f"));
  ASSERT_EQ(0, myfs_rename(a(), "/p", "/r"));
  EXPECT_EQ(-ENOENT, b().find("/p/q/f"));
  EXPECT_EQ("deep", b().get("/r/q/f"));
  ASSERT_EQ(0, myfs_rename(a(), "/r/q", "/q"));
  EXPECT_EQ(-ENOENT, b().find("/r/q"));
  EXPECT_EQ("deep", b().get("/q/f"));
}

TEST_F(Coherence, DotDotFollowsADirectoryThatMoved) {
  ASSERT_EQ(0, myfs_mkdir(a(), "/p", 0777));
  ASSERT_EQ(0, myfs_mkdir(a(), "/q", 0777));
  ASSERT_EQ(0, myfs_mkdir(a(), "/p/d", 0777));
  ASSERT_EQ(0, a().put("/q/here", "x"));
  ASSERT_EQ(0, myfs_chdir(b(), "/p/d"));
  EXPECT_EQ(-ENOENT, b().find("../here"));
  ASSERT_EQ(0, myfs_rename(a(), "/p/d", "/q/d"));
  EXPECT_EQ(0, b().find("../here"));
}

TEST_F(Coherence, PermissionChanges) {
  ASSERT_EQ(0, myfs_mkdir(a(), "/d", 0755));
  ASSERT_EQ(0, a().put("/d/f", "x"));
  gid_t group = 4242;
  myfs_cred cred{};
  cred.size = sizeof cred;
  cred.uid = 4242;
  cred.gid = group;
  myfs_call call{};
  call.size = sizeof call;
  call.cred = &cred;
  struct stat st;
  ASSERT_EQ(0, myfs_stat_x(b(), &call, "/d/f", &st));
  ASSERT_EQ(0, myfs_chmod(a(), "/d", 0700));
  EXPECT_EQ(-EACCES, myfs_stat_x(b(), &call, "/d/f", &st));
  ASSERT_EQ(0, myfs_chmod(a(), "/d", 0755));
  EXPECT_EQ(0, myfs_stat_x(b(), &call, "/d/f", &st));
}

TEST_F(Coherence, LinkCountAndTargetOfANameChange) {
  ASSERT_EQ(0, a().put("/f", "x"));
  EXPECT_EQ(1u, b().stat("/f").st_nlink);
  ASSERT_EQ(0, myfs_link(a(), "/f", "/g"));
  EXPECT_EQ(2u, b().stat("/f").st_nlink);
  EXPECT_EQ(b().stat("/f").st_ino, b().stat("/g").st_ino);
  ASSERT_EQ(0, a().put("/h", "other"));
  ASSERT_EQ(0, myfs_rename(a(), "/h", "/g"));
  EXPECT_EQ(1u, b().stat("/f").st_nlink);
  EXPECT_EQ("other", b().get("/g"));
}

TEST_F(Coherence, TimesChange) {
  ASSERT_EQ(0, a().put("/f", "x"));
  b().stat("/f");
  timespec times[2] = {{100, 1}, {200, 2}};
  ASSERT_EQ(0, myfs_utimens(a(), "/f", times, 0));
  struct stat st = b().stat("/f");
  EXPECT_EQ(200, st.st_mtim.tv_sec);
  EXPECT_EQ(2, st.st_mtim.tv_nsec);
}

}  // namespace
}  // namespace myfs::test
