// Mounts that give the server's ids other numbers: two containers on one server.
#include <fcntl.h>

#include "sdk/base/posix_acl.h"
#include "tests/integration/two_clients.h"

namespace myfs::test {
namespace {

constexpr uid_t kNobody = 65534;

// A caller.
struct As {
  explicit As(uint32_t id) : cred{sizeof(myfs_cred), id, id, nullptr, 0} {}
  operator const myfs_call*() const { return &call; }
  const myfs_cred cred;
  const myfs_call call{sizeof(myfs_call), &cred, 0, nullptr};
};

class Idmap : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(server_.start()) << server_.output();
    plain_ = std::make_unique<Client>(server_.tcp_url());
    ASSERT_EQ(0, myfs_mkdir_x(*plain_, root_, "/pub", 0755)) << last_message();
    ASSERT_EQ(0, myfs_chmod_x(*plain_, root_, "/pub", 0777));
    a_ = std::make_unique<Client>(server_.tcp_url() + "&idmap=b:100000:0:1000");
    b_ = std::make_unique<Client>(server_.tcp_url() + "&idmap=u:200000:0:1000+g:200000:0:1000");
  }
  void make(Client& client, const As& who, const char* path, mode_t mode = 0644) {
    const int fd = myfs_open_x(client, who, path, O_CREAT | O_EXCL | O_RDWR, mode);
    ASSERT_GE(fd, 0) << last_message();
    EXPECT_EQ(0, myfs_close_x(client, who, fd)) << last_message();
  }
  static std::pair<uid_t, gid_t> owner(Client& client, const char* path) {
    struct stat st {};
    EXPECT_EQ(0, myfs_stat(client, path, &st)) << path << ": " << last_message();
    return {st.st_uid, st.st_gid};
  }
  using Owner = std::pair<uid_t, gid_t>;

  TempDir dir_;
  MyfsdProcess server_{dir_ / "data", {"--listen", "tcp:127.0.0.1:0"}};
  std::unique_ptr<Client> plain_, a_, b_;
  const As root_{0}, user_{5}, stranger_{5000};
};

TEST_F(Idmap, OwnersAreThoseOfTheMount) {
  make(*a_, user_, "/pub/of-a");
  make(*b_, user_, "/pub/of-b");
  EXPECT_EQ(Owner(5, 5), owner(*a_, "/pub/of-a"));
  EXPECT_EQ(Owner(kNobody, kNobody), owner(*a_, "/pub/of-b"));
  EXPECT_EQ(Owner(5, 5), owner(*b_, "/pub/of-b"));
  EXPECT_EQ(Owner(100005, 100005), owner(*plain_, "/pub/of-a"));
  EXPECT_EQ(Owner(200005, 200005), owner(*plain_, "/pub/of-b"));
  // Again, from the cache and by descriptor.
  EXPECT_EQ(Owner(5, 5), owner(*a_, "/pub/of-a"));
  const int fd = myfs_open_x(*a_, user_, "/pub/of-a", O_RDONLY, 0);
  struct stat st {};
  ASSERT_EQ(0, myfs_fstat(*a_, fd, &st));
  EXPECT_EQ(5u, st.st_uid);
  EXPECT_EQ(0, myfs_close(*a_, fd));
}

TEST_F(Idmap, RightsAreThoseOfTheServersIds) {
  make(*a_, user_, "/pub/private", 0600);
  EXPECT_EQ(0, myfs_access_x(*a_, user_, "/pub/private", R_OK | W_OK)) << last_message();
  EXPECT_EQ(-EACCES, myfs_access_x(*b_, user_, "/pub/private", R_OK));
  EXPECT_EQ(-EACCES, myfs_open_x(*b_, user_, "/pub/private", O_RDONLY, 0));
  EXPECT_EQ(-EPERM, myfs_chmod_x(*b_, user_, "/pub/private", 0666));
  // Root of a container is a user like others.
  EXPECT_EQ(-EACCES, myfs_open_x(*a_, root_, "/pub/private", O_RDONLY, 0));
  EXPECT_EQ(0, myfs_chmod_x(*a_, user_, "/pub/private", 0640)) << last_message();
}

TEST_F(Idmap, chown_EOVERFLOW) {
  make(*plain_, root_, "/pub/f");
  EXPECT_EQ(-EOVERFLOW, myfs_chown_x(*a_, root_, "/pub/f", 5000, 0));
  EXPECT_EQ(-EOVERFLOW, myfs_chown_x(*a_, root_, "/pub/f", 0, 5000));
  make(*a_, user_, "/pub/mine");
  EXPECT_EQ(0, myfs_chown_x(*a_, user_, "/pub/mine", static_cast<uid_t>(-1), 5)) << last_message();
  EXPECT_EQ(0, myfs_chown_x(*a_, user_, "/pub/mine", 5, static_cast<gid_t>(-1))) << last_message();
  EXPECT_EQ(Owner(100005, 100005), owner(*plain_, "/pub/mine"));
}

// The server's root sets what a mount whose map has its own root could set.
TEST_F(Idmap, ChownTakesTheMountsIds) {
  make(*plain_, root_, "/pub/f");
  Client shifted(server_.tcp_url() + "&idmap=b:0:0:1+b:100001:1:999");
  ASSERT_EQ(0, myfs_chown_x(shifted, root_, "/pub/f", 7, 8)) << last_message();
  EXPECT_EQ(Owner(100007, 100008), owner(*plain_, "/pub/f"));
  EXPECT_EQ(Owner(7, 8), owner(shifted, "/pub/f"));
}

TEST_F(Idmap, WhoHasNoIdMakesNothing) {
  EXPECT_EQ(-EOVERFLOW, myfs_mkdir_x(*a_, stranger_, "/pub/d", 0755));
  EXPECT_EQ(-EOVERFLOW, myfs_open_x(*a_, stranger_, "/pub/f", O_CREAT | O_RDWR, 0644));
  EXPECT_EQ(-EOVERFLOW, myfs_open_x(*a_, stranger_, "/pub", O_TMPFILE | O_RDWR, 0644));
  EXPECT_EQ(-EOVERFLOW, myfs_symlink_x(*a_, stranger_, "t", "/pub/l"));
  make(*a_, user_, "/pub/f", 0666);
  const int fd = myfs_open_x(*a_, stranger_, "/pub/f", O_CREAT | O_RDONLY, 0644);
  EXPECT_GE(fd, 0) << last_message();
  EXPECT_EQ(0, myfs_close(*a_, fd));
}

TEST_F(Idmap, ListsAreMapped) {
  make(*a_, user_, "/pub/f", 0640);
  PosixAcl acl({{AclTag::kUserObj, 6},
                {AclTag::kUser, 4, 7},
                {AclTag::kGroupObj, 4},
                {AclTag::kMask, 4},
                {AclTag::kOther, 0}});
  const std::string name(kXattrAclAccess);
  const std::string value = acl.to_xattr();
  ASSERT_EQ(0,
            myfs_setxattr_x(*a_, user_, "/pub/f", name.c_str(), value.data(), value.size(), 0, 0))
      << last_message();
  const auto get = [&](Client& client) {
    std::string text(1000, '\0');
    const ssize_t size = myfs_getxattr(client, "/pub/f", name.c_str(), text.data(), text.size(), 0);
    EXPECT_GT(size, 0) << last_message();
    text.resize(size > 0 ? static_cast<size_t>(size) : 0);
    return (*PosixAcl::from_xattr(text)).entries()[1].id;
  };
  EXPECT_EQ(7u, get(*a_));
  EXPECT_EQ(100007u, get(*plain_));
  EXPECT_EQ(kNobody, get(*b_));
  EXPECT_EQ(0, myfs_access_x(*a_, As(7), "/pub/f", R_OK)) << last_message();
  EXPECT_EQ(-EACCES, myfs_access_x(*b_, As(7), "/pub/f", R_OK));
  acl.entries()[1].id = 5000;
  const std::string unmapped = acl.to_xattr();
  EXPECT_EQ(-EINVAL, myfs_setxattr_x(*a_, user_, "/pub/f", name.c_str(), unmapped.data(),
                                     unmapped.size(), 0, 0));
}

// What is written in one mount's name goes to the server as its opener.
TEST_F(Idmap, WriteBackIsTheOpeners) {
  const int fd = myfs_open_x(*a_, user_, "/pub/f", O_CREAT | O_RDWR, 0600);
  ASSERT_GE(fd, 0) << last_message();
  const std::string text = pattern(300'000, 1);
  ASSERT_EQ(static_cast<ssize_t>(text.size()),
            myfs_write_x(*a_, user_, fd, text.data(), text.size()));
  ASSERT_EQ(0, myfs_close_x(*a_, user_, fd)) << last_message();
  const As owner(100005);
  Client as_owner(server_.tcp_url());
  const int back = myfs_open_x(as_owner, owner, "/pub/f", O_RDONLY, 0);
  ASSERT_GE(back, 0) << last_message();
  std::string read(text.size(), '\0');
  EXPECT_EQ(static_cast<ssize_t>(text.size()),
            myfs_pread_x(as_owner, owner, back, read.data(), read.size(), 0));
  EXPECT_EQ(text, read);
  EXPECT_EQ(0, myfs_close(as_owner, back));
}

TEST_F(Idmap, AWrongMapIsNamed) {
  myfs_task* task = nullptr;
  EXPECT_EQ(-EINVAL, myfs_open_url((server_.tcp_url() + "&idmap=u:1:2").c_str(), nullptr, &task));
  EXPECT_NE(std::string::npos, last_message().find("u:FS:HOST:COUNT")) << last_message();
}

}  // namespace
}  // namespace myfs::test
