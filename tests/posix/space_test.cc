// A full disk under the server: the caller hears ENOSPC, the store stays sound. The disk is a small
// tmpfs in a mount name space of this process's own, so this needs root.

#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

#include <fstream>

#include "tests/posix/api_test.h"

namespace myfs::test {
namespace {

constexpr char kDiskSize[] = "size=192m";

class Space : public testing::Test {
 protected:
  void SetUp() override {
    // Once for the process: the server and fsck are its children and see the same disk.
    // The root of a chroot need not be a mount (EINVAL): others may see the disk until it goes.
    static const bool apart =
        ::unshare(CLONE_NEWNS) == 0 &&
        (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 || errno == EINVAL);
    ASSERT_TRUE(apart) << "this test needs root: " << std::strerror(errno);
    ASSERT_EQ(0, ::mount("myfs-test", dir_.path().c_str(), "tmpfs", 0, kDiskSize));
    mounted_ = true;
    server_ = std::make_unique<MyfsdProcess>(dir_ / "data");
    ASSERT_TRUE(server_->start()) << server_->output();
  }
  void TearDown() override {
    server_.reset();
    if (mounted_) ::umount2(dir_.path().c_str(), MNT_DETACH);
  }

  // Leaves about `rest` bytes of the disk.
  void fill(uint64_t rest) {
    struct statvfs st;
    ASSERT_EQ(0, ::statvfs(dir_.path().c_str(), &st));
    uint64_t available = st.f_bavail * st.f_frsize;
    ASSERT_GT(available, rest);
    std::ofstream filler(dir_ / "filler", std::ios::app);
    std::string block(64 << 10, 'f');
    for (uint64_t left = available - rest; left > 0 && filler;) {
      uint64_t piece = std::min<uint64_t>(left, block.size());
      filler.write(block.data(), static_cast<std::streamsize>(piece));
      left -= piece;
    }
    filler.flush();
  }
  void empty() { ASSERT_EQ(0, ::unlink((dir_ / "filler").c_str())); }

  // The server goes on, its data are intact, fsck finds nothing.
  void expect_sound(Client& client) {
    EXPECT_EQ(kept_, client.get("/kept"));
    empty();
    // The store resumes by itself some seconds after it finds space again.
    int result = -ENOSPC;
    const int64_t deadline_ns = now_ns() + kResume_ns;
    while (result == -ENOSPC && now_ns() < deadline_ns) {
      result = client.put("/after", "space again");
    }
    EXPECT_EQ(0, result) << last_message();
    EXPECT_EQ("space again", client.get("/after"));
    client.end();
    EXPECT_EQ(0, server_->terminate()) << server_->output();
    ProgramResult fsck = server_->fsck();
    EXPECT_EQ(0, fsck.status) << fsck.out << fsck.err;
    ASSERT_TRUE(server_->start()) << server_->output();
    Client again(server_->url());
    EXPECT_EQ(kept_, again.get("/kept"));
    EXPECT_EQ("space again", again.get("/after"));
  }

  static constexpr int64_t kResume_ns = 30'000'000'000;
  static int64_t now_ns() {
    timespec now;
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
  }

  TempDir dir_;
  std::unique_ptr<MyfsdProcess> server_;
  const std::string kept_ = std::string(3 << 20, 'k');
  bool mounted_ = false;
};

TEST_F(Space, write_ENOSPC) {
  Client client(server_->url(), "write_policy=sync");
  ASSERT_EQ(0, client.put("/kept", kept_));
  fill(48 << 20);
  int fd = client.open("/f", O_WRONLY | O_CREAT);
  ASSERT_GE(fd, 0) << last_message();
  std::string block(1 << 20, 'x');
  ssize_t n = 0;
  int blocks = 0;
  for (; blocks < 512; ++blocks) {
    n = myfs_write(client, fd, block.data(), block.size());
    if (n < 0) break;
  }
  EXPECT_EQ(-ENOSPC, n) << "after " << blocks << " MiB: " << last_message();
  EXPECT_EQ(-ENOSPC, myfs_write(client, fd, block.data(), block.size()));
  myfs_close(client, fd);
  EXPECT_EQ(0, myfs_unlink(client, "/f")) << "removing needs no space: " << last_message();
  expect_sound(client);
}

// Accepted into the cache while there was room; the disk fills up before it is written back.
TEST_F(Space, fsync_ENOSPC) {
  Client client(server_->url());
  ASSERT_EQ(0, client.put("/kept", kept_));
  int fd = client.open("/f", O_WRONLY | O_CREAT);
  ASSERT_GE(fd, 0);
  std::string block(4 << 20, 'x');
  ASSERT_EQ(static_cast<ssize_t>(block.size()), myfs_write(client, fd, block.data(), block.size()));
  fill(0);
  EXPECT_EQ(-ENOSPC, myfs_fsync(client, fd)) << last_message();
  myfs_close(client, fd);
  // What is durable is what another client sees.
  EXPECT_NE(block, Client(server_->url()).get("/f"));
  expect_sound(client);
}

TEST_F(Space, close_ENOSPC) {
  Client client(server_->url());
  ASSERT_EQ(0, client.put("/kept", kept_));
  int fd = client.open("/f", O_WRONLY | O_CREAT);
  ASSERT_GE(fd, 0);
  std::string block(4 << 20, 'x');
  ASSERT_EQ(static_cast<ssize_t>(block.size()), myfs_write(client, fd, block.data(), block.size()));
  fill(0);
  EXPECT_EQ(-ENOSPC, myfs_close(client, fd)) << last_message();
  EXPECT_EQ(-EBADF, myfs_close(client, fd));
  expect_sound(client);
}

TEST_F(Space, change_ENOSPC) {
  Client client(server_->url());
  ASSERT_EQ(0, client.put("/kept", kept_));
  ASSERT_EQ(0, myfs_mkdir(client, "/dir", 0755));
  fill(0);
  int result = 0, made = 0;
  std::string value(60'000, 'v');
  for (; result == 0 && made < 3000; ++made) {
    std::string path = "/dir/" + std::to_string(made);
    result = myfs_mkdir(client, path.c_str(), 0755);
    if (result == 0) {
      result = myfs_setxattr(client, path.c_str(), "user.big", value.data(), value.size(), 0, 0);
    }
  }
  EXPECT_EQ(-ENOSPC, result) << made << ": " << last_message();
  EXPECT_EQ(-ENOSPC, myfs_mkdir(client, "/one-more", 0755)) << last_message();
  struct stat st;
  EXPECT_EQ(0, myfs_stat(client, "/dir", &st)) << "reading goes on";
  EXPECT_EQ(-ENOENT, myfs_stat(client, "/one-more", &st));
  expect_sound(client);
}

// statfs tells of the disk under the server.
TEST_F(Space, StatfsShrinks) {
  Client client(server_->url());
  struct statfs before, after;
  ASSERT_EQ(0, myfs_statfs(client, "/", &before));
  fill(32 << 20);
  ASSERT_EQ(0, myfs_statfs(client, "/", &after));
  auto bytes = [](const struct statfs& st) {
    return static_cast<uint64_t>(st.f_bavail) * static_cast<uint64_t>(st.f_bsize);
  };
  EXPECT_LT(bytes(after), bytes(before));
  EXPECT_LE(bytes(after), uint64_t{33} << 20);
}

}  // namespace
}  // namespace myfs::test
