// What an export makes of its callers holds for what the client answers from its cache, too.
#include <fcntl.h>
#include <myfs/lowlevel.h>

#include "tests/integration/two_clients.h"

namespace myfs::test {
namespace {

class Exported : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(server_.start()) << server_.output();
    all_ = std::make_unique<Client>(server_.tcp_url());
    ASSERT_EQ(0, myfs_mkdir(*all_, "/pub", 0755)) << last_message();
    ASSERT_EQ(0, myfs_chmod(*all_, "/pub", 0777));
    ASSERT_EQ(0, myfs_mkdir(*all_, "/pub/shut", 0700));
    ASSERT_EQ(0, all_->put("/pub/shut/f", "text"));
    ASSERT_EQ(0, myfs_mkdir(*all_, "/ro", 0755));
    ASSERT_EQ(0, all_->put("/ro/f", "text"));
    for (const char* path : {"/pub/shut", "/pub/shut/f"}) {
      ASSERT_EQ(0, myfs_chown_x(*all_, &root_, path, 1000, 1000)) << last_message();
    }
  }
  void TearDown() override {
    all_.reset();
    if (!server_.running()) return;
    EXPECT_EQ(0, server_.terminate()) << server_.output();
    ProgramResult fsck = server_.fsck();
    EXPECT_EQ(0, fsck.status) << fsck.out << fsck.err;
  }

  TempDir dir_;
  MyfsdProcess server_{dir_ / "data",
                       {"--listen", "tcp:127.0.0.1:0", "--export", "/", "--export",
                        "/pub:root_squash,anonuid=7,anongid=8", "--export", "/ro:ro"}};
  std::unique_ptr<Client> all_;
  const myfs_cred root_cred_{sizeof(myfs_cred), 0, 0, nullptr, 0};
  const myfs_cred user_cred_{sizeof(myfs_cred), 1000, 1000, nullptr, 0};
  const myfs_call root_{sizeof(myfs_call), &root_cred_, 0, nullptr};
  const myfs_call user_{sizeof(myfs_call), &user_cred_, 0, nullptr};
};

TEST_F(Exported, ACacheDoesNotTakeASquashedRootForRoot) {
  Client pub(server_.tcp_url("pub"));
  // The owner fills the cache.
  struct stat st;
  ASSERT_EQ(0, myfs_stat_x(pub, &user_, "/shut/f", &st)) << last_message();
  ASSERT_EQ(0, myfs_access_x(pub, &user_, "/shut/f", R_OK | W_OK));
  EXPECT_EQ(-EACCES, myfs_stat_x(pub, &root_, "/shut/f", &st));
  EXPECT_EQ(-EACCES, myfs_access_x(pub, &root_, "/shut", R_OK));
  EXPECT_EQ(-EACCES, myfs_open_x(pub, &root_, "/shut/f", O_RDONLY, 0));
  EXPECT_EQ(-EPERM, myfs_chmod_x(pub, &root_, "/shut", 0777));
  EXPECT_EQ(-EPERM, myfs_setxattr_x(pub, &root_, "/shut", "trusted.a", "1", 1, 0, 0));
  EXPECT_EQ(-EPERM, myfs_mknod_x(pub, &root_, "/dev", S_IFCHR | 0600, 1));
}

// Privileges that the client itself checks are those that the server grants.
TEST_F(Exported, ASquashedRootHasNoPrivilegesInTheClient) {
  Client pub(server_.tcp_url("pub"));
  ASSERT_EQ(0, myfs_chmod_x(*all_, &root_, "/pub/shut", 0777));
  ASSERT_EQ(0, myfs_chmod_x(*all_, &root_, "/pub/shut/f", 0666));
  const int fd = myfs_open_x(pub, &user_, "/shut/f", O_RDONLY, 0);
  ASSERT_GE(fd, 0) << last_message();
  EXPECT_EQ(-ENOENT, myfs_linkat_x(pub, &root_, fd, "", AT_FDCWD, "/linked", AT_EMPTY_PATH));
  EXPECT_EQ(0, myfs_linkat_x(pub, &user_, fd, "", AT_FDCWD, "/linked", AT_EMPTY_PATH))
      << last_message();
  EXPECT_EQ(-EPERM, myfs_open_x(pub, &root_, "/shut/f", O_RDONLY | O_NOATIME, 0));
  EXPECT_EQ(-EPERM, myfs_open_x(pub, &root_, "/shut/f", O_RDWR | O_CREAT | O_NOATIME, 0600));
  EXPECT_EQ("text", all_->get("/pub/shut/f"));
  const int its = myfs_open_x(pub, &root_, "/shut/f", O_RDONLY, 0);
  ASSERT_GE(its, 0) << last_message();
  EXPECT_EQ(-EPERM, myfs_fcntl(pub, its, F_SETFL, O_NOATIME));
  EXPECT_EQ(0, myfs_close(pub, its));
  EXPECT_EQ(0, myfs_close(pub, fd));
  myfs_entry dir{};
  dir.size = sizeof dir;
  ASSERT_EQ(0, myfs_ll_open_path(pub, &root_, "/", &dir)) << last_message();
  myfs_entry made{};
  made.size = sizeof made;
  EXPECT_EQ(-EPERM, myfs_ll_mknod(dir.inode, &root_, "dev", S_IFCHR | 0600, 0, 1, &made));
  EXPECT_EQ(0, myfs_ll_forget(dir.inode, 1));
}

TEST_F(Exported, ASquashedRootOwnsWhatItMakesAsNobody) {
  Client pub(server_.tcp_url("pub"));
  int fd = myfs_open_x(pub, &root_, "/f", O_RDWR | O_CREAT, 0600);
  ASSERT_GE(fd, 0) << last_message();
  const std::string text = pattern(300'000, 1);
  ASSERT_EQ(static_cast<ssize_t>(text.size()), myfs_write(pub, fd, text.data(), text.size()));
  ASSERT_EQ(0, myfs_close_x(pub, &root_, fd)) << last_message();
  EXPECT_EQ(7u, all_->stat("/pub/f").st_uid);
  EXPECT_EQ(8u, all_->stat("/pub/f").st_gid);
  EXPECT_EQ(text, all_->get("/pub/f"));
  EXPECT_EQ(0, myfs_chmod_x(pub, &root_, "/f", 0640));
}

TEST_F(Exported, TruncationByPathIsTheCallersOwn) {
  Client pub(server_.tcp_url("pub"));
  ASSERT_EQ(0, myfs_chmod_x(*all_, &user_, "/pub/shut", 0755)) << last_message();
  ASSERT_EQ(0, myfs_chmod_x(*all_, &user_, "/pub/shut/f", 0600)) << last_message();
  EXPECT_EQ(0, myfs_truncate_x(pub, &user_, "/shut/f", 2)) << last_message();
  EXPECT_EQ(2, all_->stat("/pub/shut/f").st_size);
  EXPECT_EQ(-EACCES, myfs_truncate_x(pub, &root_, "/shut/f", 1));
  EXPECT_EQ(2, all_->stat("/pub/shut/f").st_size);
}

TEST_F(Exported, AReadOnlyExportIsAReadOnlyMount) {
  Client ro(server_.tcp_url("ro"));
  EXPECT_EQ("text", ro.get("/f"));
  EXPECT_EQ(-EROFS, ro.put("/g", "text"));
  EXPECT_EQ(-EROFS, myfs_access_x(ro, &root_, "/f", W_OK));
  EXPECT_EQ(-EROFS, myfs_unlink(ro, "/f"));
}

TEST(ExportOption, AWrongOneIsNamed) {
  TempDir dir;
  MyfsdProcess server(dir / "data", {"--export", "/a:nonsense"});
  EXPECT_FALSE(server.start());
  EXPECT_EQ(2, server.start_status());
  EXPECT_NE(std::string::npos, server.output().find("option nonsense")) << server.output();
}

}  // namespace
}  // namespace myfs::test
