#include "sdk/fs/open.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/unit/fs/fs_fixture.h"

namespace myfs::fs {
namespace {

class OpenTest : public FsFixture {
 protected:
  OpenTest() {
    EXPECT_EQ(mkdir("/d"), 0);
    EXPECT_EQ(create("/f"), 0);
    EXPECT_EQ(create("/secret", 0600), 0);
    EXPECT_EQ(create("/readable", 0644), 0);
    EXPECT_EQ(symlink("f", "/link"), 0);
    EXPECT_EQ(symlink("d/made", "/tomake"), 0);
    EXPECT_EQ(symlink("loop", "/loop"), 0);
  }
};

TEST_F(OpenTest, errors_warm_and_cold) {
  for (int round = 0; round < 2; ++round) {
    SCOPED_TRACE(round == 0 ? "warm" : "cold");
    EXPECT_EQ(open("/nope", O_RDONLY), -ENOENT);
    EXPECT_EQ(open("", O_RDONLY), -ENOENT);
    EXPECT_EQ(open("/f/x", O_RDONLY), -ENOTDIR);
    EXPECT_EQ(open("/f/", O_RDONLY), -ENOTDIR);
    EXPECT_EQ(open("/f", O_RDONLY | O_DIRECTORY), -ENOTDIR);
    EXPECT_EQ(open("/d", O_WRONLY), -EISDIR);
    EXPECT_EQ(open("/d", O_RDWR), -EISDIR);
    EXPECT_EQ(open("/d", O_RDONLY | O_TRUNC), -EISDIR);
    EXPECT_EQ(open("/d", O_CREAT | O_RDONLY), -EISDIR);
    EXPECT_EQ(open("/d/", O_CREAT | O_RDONLY), -EISDIR);
    EXPECT_EQ(open("/new/", O_CREAT | O_WRONLY), -EISDIR);
    EXPECT_EQ(open("/d/.", O_CREAT | O_RDONLY), -EISDIR);
    EXPECT_EQ(open("/", O_CREAT | O_RDONLY), -EISDIR);
    EXPECT_EQ(open("/f", O_CREAT | O_EXCL | O_RDONLY), -EEXIST);
    EXPECT_EQ(open("/link", O_CREAT | O_EXCL | O_RDONLY), -EEXIST);
    EXPECT_EQ(open("/tomake", O_CREAT | O_EXCL | O_RDONLY), -EEXIST);
    EXPECT_EQ(open("/link", O_RDONLY | O_NOFOLLOW), -ELOOP);
    EXPECT_EQ(open("/link", O_RDONLY | O_NOFOLLOW | O_CREAT), -ELOOP);
    EXPECT_EQ(open("/link", O_RDONLY | O_NOFOLLOW | O_DIRECTORY), -ENOTDIR);
    EXPECT_EQ(open("/loop", O_RDONLY), -ELOOP);
    EXPECT_EQ(open("/loop", O_CREAT | O_RDONLY), -ELOOP);
    EXPECT_EQ(open("/d/x", O_CREAT | O_DIRECTORY), -EINVAL);
    EXPECT_EQ(open("/d", O_TMPFILE | O_RDWR), -EOPNOTSUPP);
    EXPECT_EQ(open("/nope/x", O_CREAT | O_WRONLY), -ENOENT);
    EXPECT_EQ(open("/f/x", O_CREAT | O_WRONLY), -ENOTDIR);
    EXPECT_EQ(open("/" + std::string(256, 'n'), O_CREAT | O_WRONLY), -ENAMETOOLONG);
    EXPECT_EQ(open_as(user, "/secret", O_RDONLY), -EACCES);
    EXPECT_EQ(open_as(user, "/readable", O_WRONLY), -EACCES);
    EXPECT_EQ(open_as(user, "/readable", O_RDONLY | O_TRUNC), -EACCES);
    EXPECT_EQ(open_as(user, "/readable", O_RDONLY | O_NOATIME), -EPERM);
    EXPECT_EQ(open_as(user, "/d/x", O_CREAT | O_WRONLY), -EACCES);
    ramfs->revoke_everything();
  }
}

TEST_F(OpenTest, creates_with_mode_and_umask) {
  task.fs.set_umask(077);
  int fd = open("/d/new", O_CREAT | O_WRONLY, 0666);
  ASSERT_GE(fd, 0);
  Kstat made;
  ASSERT_EQ(errno_of(vfs_fstat(root, task, fd, &made)), 0);
  EXPECT_EQ(made.mode, S_IFREG | 0600u);
  EXPECT_EQ(made.size, 0u);
}

TEST_F(OpenTest, a_new_file_may_be_written_whatever_its_mode_says) {
  ASSERT_EQ(errno_of(vfs_chmod(root, task, {AT_FDCWD, "/d"}, 0777, 0)), 0);
  int fd = open_as(user, "/d/new", O_CREAT | O_WRONLY, 0400);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(write(fd, "x"), 1);
  EXPECT_EQ(open_as(user, "/d/new", O_WRONLY), -EACCES);
}

TEST_F(OpenTest, O_CREAT_opens_what_exists_and_follows_links) {
  int before = ramfs->calls.total();
  int fd = open("/f", O_CREAT | O_RDWR);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(ramfs->calls.total(), before) << "warm: known to exist, so nobody is asked";
  ramfs->revoke_everything();
  EXPECT_GE(open("/f", O_CREAT | O_RDWR), 0);
  EXPECT_GE(open("/link", O_CREAT | O_RDWR), 0);
  EXPECT_GE(open("/tomake", O_CREAT | O_RDWR), 0);
  EXPECT_EQ(stat("/d/made"), 0);
}

TEST_F(OpenTest, O_TRUNC_empties) {
  int fd = open("/f", O_RDWR);
  ASSERT_EQ(write(fd, "text"), 4);
  EXPECT_GE(open("/f", O_WRONLY | O_TRUNC), 0);
  Kstat found;
  ASSERT_EQ(stat("/f", &found), 0);
  EXPECT_EQ(found.size, 0u);
  EXPECT_EQ(pread(fd, 4, 0), "");
}

TEST_F(OpenTest, O_PATH_names_a_place_and_does_no_io) {
  int before = ramfs->calls.open;
  int fd = open("/link", O_PATH | O_NOFOLLOW);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(ramfs->calls.open, before);
  Kstat found;
  EXPECT_EQ(errno_of(vfs_fstat(root, task, fd, &found)), 0);
  EXPECT_TRUE(found.is_symlink());
  EXPECT_EQ(pread(fd, 1, 0), "errno 9");
  EXPECT_EQ(errno_of(vfs_fchmod(root, task, fd, 0600)), EBADF);
  EXPECT_EQ(*vfs_readlink(root, task, {fd, ""}), "f");
  EXPECT_EQ(close(fd), 0);
}

TEST_F(OpenTest, openat_uses_the_descriptor) {
  int dir = open("/d", O_RDONLY | O_DIRECTORY);
  Result<int> fd = vfs_open(root, task, {dir, "x"}, O_CREAT | O_WRONLY, 0644);
  ASSERT_TRUE(fd.ok());
  EXPECT_EQ(stat("/d/x"), 0);
  EXPECT_EQ(errno_of(vfs_open(root, task, {999, "x"}, O_RDONLY, 0)), EBADF);
}

TEST_F(OpenTest, release_comes_once_after_the_last_descriptor_and_flush_at_each_close) {
  int fd = open("/f", O_RDWR);
  Result<int> copy = vfs_dup(task, fd, 0);
  ASSERT_TRUE(copy.ok());
  int flushed = ramfs->calls.flush, released = ramfs->calls.release;
  ASSERT_EQ(close(fd), 0);
  EXPECT_EQ(ramfs->calls.flush, flushed + 1);
  EXPECT_EQ(ramfs->calls.release, released);
  ASSERT_EQ(close(*copy), 0);
  EXPECT_EQ(ramfs->calls.flush, flushed + 2);
  EXPECT_EQ(ramfs->calls.release, released + 1);
  EXPECT_EQ(close(fd), EBADF);
}

TEST_F(OpenTest, descriptors_are_the_lowest_free) {
  int a = open("/f", O_RDONLY), b = open("/f", O_RDONLY), c = open("/f", O_RDONLY);
  EXPECT_EQ(a, 0);
  EXPECT_EQ(b, 1);
  EXPECT_EQ(c, 2);
  EXPECT_EQ(close(b), 0);
  EXPECT_EQ(open("/f", O_RDONLY), b);
  EXPECT_EQ(*vfs_dup(task, a, 100), 100);
  EXPECT_EQ(*vfs_dup(task, a, 100), 101);
  EXPECT_EQ(*vfs_dup(task, a, 0), 3);
  EXPECT_EQ(errno_of(vfs_dup(task, a, kDescriptorsMax)), EINVAL);
  EXPECT_EQ(errno_of(vfs_dup(task, 50, 0)), EBADF);
}

TEST_F(OpenTest, dup2_replaces_and_shares_the_position) {
  int a = open("/f", O_RDWR), b = open("/readable", O_RDONLY);
  ASSERT_EQ(write(a, "0123456789"), 10);
  int released = ramfs->calls.release;
  EXPECT_EQ(*vfs_dup2(root, task, a, b), b);
  EXPECT_EQ(ramfs->calls.release, released + 1);
  EXPECT_EQ(*vfs_lseek(root, task, b, 4, SEEK_SET), 4);
  EXPECT_EQ(*vfs_lseek(root, task, a, 0, SEEK_CUR), 4);
  EXPECT_EQ(*vfs_dup2(root, task, a, a), a);
  EXPECT_EQ(*vfs_dup2(root, task, a, kDescriptorsMax - 1), kDescriptorsMax - 1);
  EXPECT_EQ(errno_of(vfs_dup2(root, task, a, kDescriptorsMax)), EBADF);
  EXPECT_EQ(errno_of(vfs_dup2(root, task, 77, a)), EBADF);
}

// Another client moves the directory in which a walk stands out of the tree that it may not leave.
TEST_F(OpenTest, a_walk_below_a_directory_does_not_escape_by_a_rename) {
  ASSERT_EQ(mkdir("/jail"), 0);
  ASSERT_EQ(mkdir("/jail/a"), 0);
  ASSERT_EQ(mkdir("/jail/a/b"), 0);
  ASSERT_EQ(create("/outside"), 0);
  const int jail = open("/jail", O_PATH);
  for (const uint64_t scope : {kResolveBeneath, kResolveInRoot}) {
    ramfs->revoke_everything();
    bool moved = false;
    ramfs->after_answer = [&] {
      if (std::exchange(moved, true)) return;
      ramfs->remote_rename("/jail/a/b", "/b");
    };
    const OpenHow how{.flags = O_RDONLY, .mode = 0, .resolve = scope};
    EXPECT_EQ(errno_of(vfs_openat2(root, task, {jail, "a/b/../outside"}, how)), EXDEV);
    EXPECT_TRUE(moved);
    ramfs->after_answer = nullptr;
    ramfs->remote_rename("/b", "/jail/a/b");
  }
}

TEST_F(OpenTest, EMFILE_at_the_limit) {
  int fd = open("/f", O_RDONLY);
  while (vfs_dup(task, fd, 0).ok()) {
  }
  EXPECT_EQ(task.files.size(), static_cast<size_t>(kDescriptorsMax));
  EXPECT_EQ(open("/f", O_RDONLY), -EMFILE);
  ASSERT_EQ(close(4711), 0);
  EXPECT_EQ(open("/f", O_RDONLY), 4711);
}

TEST_F(OpenTest, flags_can_be_read_and_some_changed) {
  int fd = open("/f", O_CREAT | O_RDWR | O_APPEND);
  EXPECT_EQ(*vfs_get_flags(task, fd) & (O_ACCMODE | O_APPEND | O_CREAT),
            uint32_t{O_RDWR | O_APPEND});
  EXPECT_EQ(errno_of(vfs_set_flags(root, task, fd, O_NONBLOCK | O_WRONLY)), 0);
  EXPECT_EQ(*vfs_get_flags(task, fd) & (O_ACCMODE | O_APPEND | O_NONBLOCK),
            uint32_t{O_RDWR | O_NONBLOCK});
}

TEST_F(OpenTest, threads_open_and_close_the_same_numbers) {
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        int fd = open("/f", O_RDONLY);
        if (fd < 0 || fd > 100) ++wrong;
        // Another thread's number, open or closed just now.
        Kstat stat;
        int error = errno_of(vfs_fstat(root, task, (fd + 1) % 4, &stat));
        if (error != 0 && error != EBADF) ++wrong;
        if (close(fd) != 0) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(task.files.size(), 0u);
  EXPECT_EQ(ramfs->calls.open, ramfs->calls.release);
}

TEST_F(OpenTest, openat2_EAGAIN_unless_the_whole_walk_is_cached) {
  const auto open2 = [&](std::string_view path, OpenHow how) {
    Result<int> fd = vfs_openat2(root, task, {AT_FDCWD, path}, how);
    return fd.ok() ? *fd : -errno_of(fd);
  };
  const OpenHow cached{.flags = O_RDONLY, .resolve = kResolveCached};
  ramfs->revoke_everything();
  const int asked = ramfs->calls.total();
  EXPECT_EQ(open2("/d/../f", cached), -EAGAIN);
  EXPECT_EQ(ramfs->calls.total(), asked);
  EXPECT_GE(open("/d/../f", O_RDONLY), 0) << "others may ask again";
  EXPECT_GE(open2("/d/../f", cached), 0);
  EXPECT_EQ(open2("/f", {.flags = O_RDWR | O_CREAT, .mode = 0600, .resolve = kResolveCached}),
            -EAGAIN);
  EXPECT_EQ(open2("/f", {.flags = O_RDWR | O_TRUNC, .resolve = kResolveCached}), -EAGAIN);
  EXPECT_EQ(open2("/d", {.flags = O_RDWR | O_TMPFILE, .mode = 0600, .resolve = kResolveCached}),
            -EAGAIN);
}

TEST_F(OpenTest, privileges_are_those_that_the_server_grants) {
  ramfs->sb().set_principal(Principal{.anyone = true, .squash = {.root = true}});
  const int fd = open_as(user, "/readable", O_RDONLY);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(errno_of(vfs_link(root, task, {fd, ""}, {AT_FDCWD, "/l"}, AT_EMPTY_PATH)), ENOENT);
  EXPECT_EQ(errno_of(vfs_set_flags(root, task, fd, O_NOATIME)), EPERM);
  EXPECT_EQ(open_as(root, "/readable", O_RDONLY | O_NOATIME), -EPERM);
  EXPECT_EQ(open_as(root, "/readable", O_RDONLY | O_CREAT | O_NOATIME), -EPERM);
  EXPECT_EQ(close(fd), 0);
}

}  // namespace
}  // namespace myfs::fs
