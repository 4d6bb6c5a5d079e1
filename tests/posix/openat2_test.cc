// openat2: paths that stay where they are told to; and the root of a task.

#include <linux/openat2.h>
#include <sys/mount.h>

#include <string>

#include "tests/posix/api_test.h"

namespace myfs::test {
namespace {

class Openat2 : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    make_dir("root");
    make_dir("root/sub");
    make_file("root/f", "in");
    make_file("f", "out");
    ASSERT_EQ(0, myfs_symlink(task_, "f", "root/rel"));
    ASSERT_EQ(0, myfs_symlink(task_, "/f", "root/abs"));
    ASSERT_EQ(0, myfs_symlink(task_, "../../f", "root/sub/up"));
    ASSERT_EQ(0, myfs_symlink(task_, "../f", "root/sub/up1"));
    ASSERT_EQ(0, myfs_symlink(task_, ".", "root/self"));
    root_ = open("root", O_PATH | O_DIRECTORY);
  }
  int open2(int dirfd, const char* path, uint64_t resolve, uint64_t flags = O_RDONLY,
            uint64_t mode = 0) {
    myfs_open_how how{sizeof how, flags, mode, resolve};
    return myfs_openat2(task_, dirfd, path, &how);
  }
  std::string content2(const char* path, uint64_t resolve) {
    int fd = open2(root_, path, resolve);
    if (fd < 0) return error_text(fd);
    std::string text = pread(fd, 100, 0);
    close(fd);
    return text;
  }

  int root_ = -1;
};

// What another client has made is in no cache of ours until it has been looked at.
TEST_F(Openat2, openat2_EAGAIN) {
  Client other(server_->url());
  ASSERT_EQ(0, other.put(home() + "/root/sub/far", "far"));
  Client fresh(server_->url());
  const std::string path = home() + "/root/sub/far";
  myfs_open_how how{sizeof how, O_RDONLY, 0, RESOLVE_CACHED};
  EXPECT_EQ(-EAGAIN, myfs_openat2(fresh, AT_FDCWD, path.c_str(), &how));
  EXPECT_EQ("far", fresh.get(path));
  const int fd = myfs_openat2(fresh, AT_FDCWD, path.c_str(), &how);
  EXPECT_GE(fd, 0) << last_message();
  EXPECT_EQ(0, myfs_close(fresh, fd));
  // What makes or cuts is not even tried.
  EXPECT_EQ(-EAGAIN, open2(root_, "f", RESOLVE_CACHED, O_RDWR | O_CREAT, 0644));
  EXPECT_EQ(-EAGAIN, open2(root_, "f", RESOLVE_CACHED, O_RDWR | O_TRUNC));
  EXPECT_EQ("in", content2("f", RESOLVE_CACHED | RESOLVE_BENEATH));
}

TEST_F(Openat2, openat2_EINVAL) {
  EXPECT_EQ(-EINVAL, open2(root_, "f", 1 << 10));
  EXPECT_EQ(-EINVAL, open2(root_, "f", RESOLVE_BENEATH | RESOLVE_IN_ROOT));
  EXPECT_EQ(-EINVAL, open2(root_, "f", 0, uint64_t{1} << 40));
  EXPECT_EQ(-EINVAL, open2(root_, "f", 0, O_RDONLY, 0644));
  EXPECT_EQ(-EINVAL, open2(root_, "n", 0, O_RDWR | O_CREAT, 010000));
  EXPECT_EQ(-EINVAL, open2(root_, "n", 0, O_RDONLY | O_CREAT | O_DIRECTORY, 0644));
  EXPECT_EQ(-EINVAL, open2(root_, "f", 0, O_PATH | O_RDWR));
  EXPECT_EQ(-EINVAL, myfs_openat2(task_, root_, "f", nullptr));
  myfs_open_how small{sizeof small - 1, O_RDONLY, 0, 0};
  EXPECT_EQ(-EINVAL, myfs_openat2(task_, root_, "f", &small));
  // The older calls do not look so closely.
  close(myfs_openat(task_, root_, "f", O_PATH | O_RDWR | O_CREAT, 0644));
}

TEST_F(Openat2, openat2_E2BIG) {
  struct {
    myfs_open_how how;
    uint64_t later;
  } larger{{sizeof larger, O_RDONLY, 0, 0}, 0};
  int fd = myfs_openat2(task_, root_, "f", &larger.how);
  ASSERT_GE(fd, 0) << last_message();
  close(fd);
  larger.later = 1;
  EXPECT_EQ(-E2BIG, myfs_openat2(task_, root_, "f", &larger.how));
}

TEST_F(Openat2, openat2_EXDEV) {
  EXPECT_EQ(-EXDEV, open2(root_, "../f", RESOLVE_BENEATH));
  EXPECT_EQ(-EXDEV, open2(root_, "..", RESOLVE_BENEATH));
  EXPECT_EQ(-EXDEV, open2(root_, "sub/../..", RESOLVE_BENEATH));
  EXPECT_EQ(-EXDEV, open2(root_, "/f", RESOLVE_BENEATH));
  EXPECT_EQ(-EXDEV, open2(root_, "abs", RESOLVE_BENEATH));
  EXPECT_EQ(-EXDEV, open2(root_, "sub/up", RESOLVE_BENEATH));
  EXPECT_EQ(-EXDEV, open2(root_, "../n", RESOLVE_BENEATH, O_RDWR | O_CREAT, 0644));
  EXPECT_EQ(-EXDEV, open2(root_, "abs", RESOLVE_BENEATH, O_RDWR | O_CREAT, 0644));
  EXPECT_EQ("in", content2("f", RESOLVE_BENEATH));
  EXPECT_EQ("in", content2("sub/../f", RESOLVE_BENEATH));
  EXPECT_EQ("in", content2("rel", RESOLVE_BENEATH));
  EXPECT_EQ("in", content2("sub/up1", RESOLVE_BENEATH));
  EXPECT_EQ("in", content2("self/self/sub/../f", RESOLVE_BENEATH));
}

TEST_F(Openat2, openat2_ELOOP) {
  EXPECT_EQ(-ELOOP, open2(root_, "rel", RESOLVE_NO_SYMLINKS));
  EXPECT_EQ(-ELOOP, open2(root_, "self/f", RESOLVE_NO_SYMLINKS));
  EXPECT_EQ(-ELOOP, open2(root_, "rel", RESOLVE_NO_SYMLINKS, O_RDWR | O_CREAT, 0644));
  EXPECT_EQ("in", content2("f", RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS));
  EXPECT_EQ("in", content2("rel", RESOLVE_NO_MAGICLINKS));
  int link = open2(root_, "rel", RESOLVE_NO_SYMLINKS, O_PATH | O_NOFOLLOW);
  EXPECT_GE(link, 0) << last_message();
}

// The same answers when nothing is known and every name is asked for.
TEST_F(Openat2, a_cold_walk_stays_as_a_warm_one_does) {
  const std::string below = home() + "/root";
  const char* const paths[] = {"../f", "abs", "sub/up", "sub/../.."};
  for (const char* path : paths) {
    myfs_task* cold = nullptr;
    ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), nullptr, &cold));
    int root = myfs_open(cold, below.c_str(), O_PATH, 0);
    myfs_open_how how{sizeof how, O_RDONLY, 0, RESOLVE_BENEATH};
    EXPECT_EQ(-EXDEV, myfs_openat2(cold, root, path, &how)) << path;
    EXPECT_EQ(0, myfs_task_destroy(cold));
    ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), nullptr, &cold));
    root = myfs_open(cold, below.c_str(), O_PATH, 0);
    how.resolve = RESOLVE_IN_ROOT;
    int fd = myfs_openat2(cold, root, path, &how);
    EXPECT_GE(fd, 0) << path << ": " << last_message();
    EXPECT_EQ(0, myfs_task_destroy(cold));
  }
  myfs_task* cold = nullptr;
  ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), nullptr, &cold));
  int root = myfs_open(cold, below.c_str(), O_PATH, 0);
  myfs_open_how how{sizeof how, O_RDONLY, 0, RESOLVE_NO_SYMLINKS};
  EXPECT_EQ(-ELOOP, myfs_openat2(cold, root, "self/sub", &how));
  EXPECT_EQ(0, myfs_task_destroy(cold));
}

TEST_F(Openat2, RESOLVE_IN_ROOT_stays_below_the_directory) {
  for (const char* path : {"f", "/f", "../f", "../../../f", "abs", "rel", "sub/up", "/self/../f"}) {
    EXPECT_EQ("in", content2(path, RESOLVE_IN_ROOT)) << path;
  }
  int fd = open2(root_, "/../new", RESOLVE_IN_ROOT, O_RDWR | O_CREAT | O_EXCL, 0600);
  EXPECT_GE(fd, 0) << last_message();
  EXPECT_EQ(0600u, mode("root/new"));
  ASSERT_EQ(0, myfs_symlink(task_, "/made", "root/dangling"));
  fd = open2(root_, "dangling", RESOLVE_IN_ROOT, O_RDWR | O_CREAT, 0600);
  EXPECT_GE(fd, 0) << last_message();
  EXPECT_EQ(0600u, mode("root/made"));
  EXPECT_EQ(-EEXIST, open2(root_, "/", RESOLVE_IN_ROOT, O_RDWR | O_CREAT | O_EXCL, 0600));
  EXPECT_EQ(-EISDIR, open2(root_, "..", RESOLVE_IN_ROOT, O_RDWR | O_CREAT, 0600));
  EXPECT_EQ(-ENOTDIR, open2(open("f", O_RDONLY), "f", RESOLVE_IN_ROOT));
  EXPECT_EQ(-EBADF, open2(77, "/f", RESOLVE_IN_ROOT));
}

TEST_F(Openat2, RESOLVE_NO_XDEV_stays_in_the_mount) {
  make_dir("root/mnt");
  ASSERT_EQ(0, myfs_mount(task_, server_->url().c_str(), "root/mnt", nullptr));
  const std::string inside = "mnt" + home() + "/f";
  EXPECT_EQ("out", content2(inside.c_str(), 0));
  EXPECT_EQ(-EXDEV, open2(root_, inside.c_str(), RESOLVE_NO_XDEV));
  EXPECT_EQ(-EXDEV, open2(root_, "mnt", RESOLVE_NO_XDEV, O_PATH));
  EXPECT_EQ(-EXDEV, open2(root_, "mnt", RESOLVE_NO_XDEV, O_RDWR | O_CREAT, 0644));
  EXPECT_EQ("in", content2("f", RESOLVE_NO_XDEV));
  int mounted = open("root/mnt", O_PATH);
  EXPECT_EQ(-EXDEV, open2(mounted, "..", RESOLVE_NO_XDEV));
  EXPECT_EQ(-EXDEV, open2(mounted, (home().substr(1) + "/root/abs").c_str(), RESOLVE_NO_XDEV));
  EXPECT_GE(open2(mounted, "..", 0, O_PATH), 0);
  EXPECT_EQ(0, myfs_umount(task_, "root/mnt", MNT_DETACH));
}

TEST_F(Openat2, chroot_makes_a_directory_the_root) {
  ASSERT_EQ(0, myfs_chroot(task_, "root")) << last_message();
  EXPECT_EQ("in", content("/f"));
  EXPECT_EQ("in", content("/../../f"));
  EXPECT_EQ("in", content("/abs"));
  // The working directory stays where it was, outside.
  EXPECT_EQ("out", content("f"));
  char buffer[64];
  EXPECT_EQ(-ENOENT, myfs_getcwd(task_, buffer, sizeof buffer));
  ASSERT_EQ(0, myfs_chdir(task_, "/sub"));
  EXPECT_EQ(5, myfs_getcwd(task_, buffer, sizeof buffer));
  EXPECT_STREQ("/sub", buffer);
  EXPECT_EQ(-ENOENT, myfs_open(task_, home().c_str(), O_RDONLY, 0));
}

}  // namespace
}  // namespace myfs::test
