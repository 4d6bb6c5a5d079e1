// Files that change under a client that has them open or cached.
#include <fcntl.h>

#include "tests/integration/two_clients.h"

namespace myfs::test {
namespace {

class Files : public TwoClients {};
MYFS_ON_BOTH_TRANSPORTS(Files);

TEST_P(Files, AnUnlinkedFileLivesUntilItsLastClose) {
  const std::string text = pattern(50'000, 3);
  ASSERT_EQ(0, a().put("/f", text));
  int fd = b().open("/f", O_RDWR);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(0, myfs_unlink(a(), "/f"));
  EXPECT_EQ(-ENOENT, b().find("/f"));
  EXPECT_EQ(text, b().get(fd));
  struct stat st {};
  EXPECT_EQ(0, myfs_fstat(b(), fd, &st));
  EXPECT_EQ(0u, st.st_nlink);
  EXPECT_EQ(3, myfs_pwrite(b(), fd, "new", 3, 0));
  EXPECT_EQ(0, myfs_fsync(b(), fd));
  EXPECT_EQ("new" + text.substr(3), b().get(fd));
  EXPECT_EQ(0, myfs_close(b(), fd));
}

TEST_P(Files, AFileUnlinkedByItsOwnClientStaysOpen) {
  ASSERT_EQ(0, a().put("/f", "text"));
  int fd = a().open("/f", O_RDWR);
  ASSERT_EQ(0, myfs_unlink(a(), "/f"));
  ASSERT_EQ(0, a().put("/f", "another"));
  EXPECT_EQ("text", a().get(fd));
  EXPECT_EQ("another", b().get("/f"));
  EXPECT_EQ(0, myfs_close(a(), fd));
}

TEST_P(Files, AnOpenFileFollowsItsRename) {
  ASSERT_EQ(0, a().put("/f", "text"));
  int fd = b().open("/f", O_RDWR);
  ASSERT_EQ(0, myfs_rename(a(), "/f", "/g"));
  EXPECT_EQ(4, myfs_pwrite(b(), fd, "TEXT", 4, 0));
  EXPECT_EQ("TEXT", a().get("/g"));
  EXPECT_EQ(0, myfs_close(b(), fd));
}

TEST_P(Files, AReplacedFileLivesUntilItsLastClose) {
  ASSERT_EQ(0, a().put("/old", "old"));
  ASSERT_EQ(0, a().put("/new", "new"));
  int fd = b().open("/old", O_RDONLY);
  ASSERT_EQ(0, myfs_rename(a(), "/new", "/old"));
  EXPECT_EQ("old", b().get(fd));
  EXPECT_EQ("new", b().get("/old"));
  EXPECT_EQ(0, myfs_close(b(), fd));
}

TEST_P(Files, AnOpenOutlivesThePermissionUnderWhichItWasMade) {
  ASSERT_EQ(0, a().put("/f", "text"));
  ASSERT_EQ(0, myfs_chmod(a(), "/f", 0666));
  myfs_cred cred{};
  cred.size = sizeof cred;
  cred.uid = cred.gid = 4242;
  myfs_call call{};
  call.size = sizeof call;
  call.cred = &cred;
  // The first fills the cache, the second needs no call, so only the recall tells the server of it.
  int first = myfs_open_x(b(), &call, "/f", O_RDWR, 0);
  ASSERT_GE(first, 0);
  EXPECT_EQ("text", b().get(first));
  int fd = myfs_open_x(b(), &call, "/f", O_RDWR, 0);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(0, myfs_close(b(), first));
  ASSERT_EQ(0, myfs_chmod(a(), "/f", 0600));
  EXPECT_EQ(-EACCES, myfs_open_x(b(), &call, "/f", O_RDWR, 0));
  ASSERT_EQ(0, a().put("/f", "other", 0));
  char buffer[8] = {};
  EXPECT_EQ(5, myfs_pread_x(b(), &call, fd, buffer, 8, 0));
  EXPECT_EQ(5, myfs_pwrite_x(b(), &call, fd, "still", 5, 0));
  EXPECT_EQ(0, myfs_close(b(), fd));
  EXPECT_EQ("still", a().get("/f"));
}

TEST_P(Files, TruncationReachesCachedPages) {
  const std::string text = pattern(40'000, 5);
  ASSERT_EQ(0, a().put("/f", text));
  ASSERT_EQ(text, b().get("/f"));
  ASSERT_EQ(0, myfs_truncate(a(), "/f", 10'001));
  EXPECT_EQ(text.substr(0, 10'001), b().get("/f"));
  ASSERT_EQ(0, myfs_truncate(b(), "/f", 30'000));
  const std::string expected = text.substr(0, 10'001) + std::string(30'000 - 10'001, '\0');
  EXPECT_EQ(expected, b().get("/f"));
  EXPECT_EQ(expected, a().get("/f"));
}

TEST_P(Files, TruncationReachesPagesThatAreStillDirty) {
  const std::string text = pattern(40'000, 6);
  int fd = a().open("/f", O_RDWR | O_CREAT);
  ASSERT_EQ(static_cast<ssize_t>(text.size()), myfs_write(a(), fd, text.data(), text.size()));
  ASSERT_EQ(0, myfs_truncate(b(), "/f", 100));
  EXPECT_EQ(text.substr(0, 100), a().get(fd));
  ASSERT_EQ(2, myfs_pwrite(a(), fd, "zz", 2, 5'000));
  const std::string expected = text.substr(0, 100) + std::string(4'900, '\0') + "zz";
  EXPECT_EQ(expected, b().get("/f"));
  EXPECT_EQ(expected, a().get(fd));
  EXPECT_EQ(0, myfs_close(a(), fd));
}

TEST_P(Files, TruncationByOneDescriptorOfADirtyFile) {
  int fd = a().open("/f", O_RDWR | O_CREAT);
  std::string expected;
  for (int i = 0; i < 40; ++i) {
    const std::string text = pattern(3'000, i);
    ASSERT_EQ(3'000, myfs_pwrite(a(), fd, text.data(), 3'000, static_cast<off_t>(expected.size())));
    expected += text;
    const size_t size = expected.size() - static_cast<size_t>(i) * 17 % 2'500;
    ASSERT_EQ(0, myfs_ftruncate(a(), fd, static_cast<off_t>(size)));
    expected.resize(size);
    ASSERT_EQ(expected, a().get(fd)) << i;
  }
  EXPECT_EQ(expected, b().get("/f"));
  EXPECT_EQ(0, myfs_close(a(), fd));
}

TEST_P(Files, OpenWithTruncEmptiesTheFileForAll) {
  ASSERT_EQ(0, a().put("/f", pattern(20'000, 1)));
  EXPECT_EQ(20'000u, b().get("/f").size());
  int fd = a().open("/f", O_WRONLY | O_TRUNC);
  ASSERT_GE(fd, 0);
  EXPECT_EQ("", b().get("/f"));
  EXPECT_EQ(0, b().stat("/f").st_size);
  EXPECT_EQ(0, myfs_close(a(), fd));
}

TEST_P(Files, CloseReturnsAfterTheDataReachedTheServer) {
  int fd = a().open("/f", O_WRONLY | O_CREAT);
  const std::string text = pattern(300'000, 9);
  const uint64_t sent = a().stats().bytes_sent;
  ASSERT_EQ(static_cast<ssize_t>(text.size()), myfs_write(a(), fd, text.data(), text.size()));
  ASSERT_EQ(0, myfs_close(a(), fd));
  EXPECT_LE(sent + text.size(), a().stats().bytes_sent);
  EXPECT_EQ(text, b().get("/f"));
}

TEST_P(Files, HolesReadAsZeros) {
  int fd = a().open("/f", O_RDWR | O_CREAT);
  ASSERT_EQ(3, myfs_pwrite(a(), fd, "end", 3, 1'000'000));
  const std::string expected = std::string(1'000'000, '\0') + "end";
  EXPECT_EQ(expected, a().get(fd));
  EXPECT_EQ(expected, b().get("/f"));
  EXPECT_EQ(0, myfs_close(a(), fd));
}

TEST_P(Files, ARemovedDirectoryIsEmptyAndDead) {
  ASSERT_EQ(0, myfs_mkdir(a(), "/d", 0777));
  ASSERT_EQ(0, myfs_chdir(b(), "/d"));
  ASSERT_EQ(0, myfs_rmdir(a(), "/d"));
  EXPECT_EQ(-ENOENT, b().put("new", "x"));
  EXPECT_EQ(-ENOENT, b().find("/d"));
  ASSERT_EQ(0, myfs_chdir(b(), "/"));
}

TEST_P(Files, MkdirRenameRmdirOfManyNamesKeepTheLinkCount) {
  ASSERT_EQ(0, myfs_mkdir(a(), "/d", 0777));
  for (int i = 0; i < 20; ++i) {
    const std::string path = "/d/s" + std::to_string(i);
    ASSERT_EQ(0, myfs_mkdir(i % 2 == 0 ? a() : b(), path.c_str(), 0777));
    EXPECT_EQ(3u + i, a().stat("/d").st_nlink);
    EXPECT_EQ(3u + i, b().stat("/d").st_nlink);
  }
}

}  // namespace
}  // namespace myfs::test
