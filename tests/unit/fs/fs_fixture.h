// FsFixture: a task with a ramfs at "/", root's and a user's contexts, and short names for the
// calls.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/fs/attr.h"
#include "sdk/fs/namei_ops.h"
#include "sdk/fs/open.h"
#include "sdk/fs/read_write.h"
#include "sdk/fs/readdir.h"
#include "sdk/fs/stat.h"
#include "sdk/fs/task.h"
#include "sdk/fs/xattr.h"
#include "tests/support/ramfs/ramfs.h"

namespace myfs::fs {

// The error's number; 0 for success.
template <typename T>
int errno_of(const Result<T>& result) {
  return result.error().value();
}

class FsFixture : public ::testing::Test {
 protected:
  explicit FsFixture(Ramfs::Options options = {}) : task(make_cred(0)) {
    Ref<SuperBlock> sb = Ramfs::create(options, &ramfs);
    root.cred = make_cred(0);
    user.cred = make_cred(1000);
    Result<Ref<Mount>> mounted = task.mount(root, std::move(sb), "/", false);
    EXPECT_TRUE(mounted.ok());
  }

  static CredRef make_cred(uint32_t id) {
    return std::make_shared<const Cred>(Cred{.uid = id, .gid = id, .groups = {}});
  }

  int mkdir(std::string_view path, uint32_t mode = 0755) {
    return errno_of(vfs_mkdir(root, task, {AT_FDCWD, path}, mode));
  }
  int symlink(std::string_view target, std::string_view path) {
    return errno_of(vfs_symlink(root, task, target, {AT_FDCWD, path}));
  }
  int link(std::string_view from, std::string_view to) {
    return errno_of(vfs_link(root, task, {AT_FDCWD, from}, {AT_FDCWD, to}, 0));
  }
  int unlink(std::string_view path) { return errno_of(vfs_unlink(root, task, {AT_FDCWD, path})); }
  int rmdir(std::string_view path) { return errno_of(vfs_rmdir(root, task, {AT_FDCWD, path})); }
  int rename(std::string_view from, std::string_view to, uint32_t flags = 0) {
    return errno_of(vfs_rename(root, task, {AT_FDCWD, from}, {AT_FDCWD, to}, flags));
  }
  int chdir(std::string_view path) { return errno_of(vfs_chdir(root, task, {AT_FDCWD, path})); }
  // The descriptor, or -errno.
  int open(std::string_view path, uint32_t flags, uint32_t mode = 0644) {
    return open_as(root, path, flags, mode);
  }
  int open_as(const CallContext& ctx, std::string_view path, uint32_t flags, uint32_t mode = 0644) {
    Result<int> fd = vfs_open(ctx, task, {AT_FDCWD, path}, flags, mode);
    return fd.ok() ? *fd : -errno_of(fd);
  }
  int close(int fd) { return errno_of(vfs_close(root, task, fd)); }
  int create(std::string_view path, uint32_t mode = 0644) {
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, mode);
    return fd < 0 ? -fd : close(fd);
  }
  int stat(std::string_view path, Kstat* to = nullptr, int at_flags = 0) {
    return stat_as(root, path, to, at_flags);
  }
  int lstat(std::string_view path, Kstat* to = nullptr) {
    return stat(path, to, AT_SYMLINK_NOFOLLOW);
  }
  int stat_as(const CallContext& ctx, std::string_view path, Kstat* to = nullptr,
              int at_flags = 0) {
    Kstat unused;
    return errno_of(vfs_stat(ctx, task, {AT_FDCWD, path}, at_flags, to != nullptr ? to : &unused));
  }
  uint64_t ino(std::string_view path) {
    Kstat stat;
    return this->stat(path, &stat) == 0 ? stat.ino : 0;
  }
  // -errno or the count.
  int64_t write(int fd, std::string_view data) {
    Result<size_t> count = vfs_write(root, task, fd, data.data(), data.size());
    return count.ok() ? static_cast<int64_t>(*count) : -errno_of(count);
  }
  std::string pread(int fd, size_t count, int64_t offset) {
    std::string data(count, '?');
    Result<size_t> got = vfs_pread(root, task, fd, data.data(), count, offset);
    if (!got.ok()) return "errno " + std::to_string(errno_of(got));
    data.resize(*got);
    return data;
  }
  // All names from the position on, '.' and '..' too, as many calls as it takes; `batch` a call.
  std::vector<std::string> readdir(int fd, size_t batch = SIZE_MAX) {
    std::vector<std::string> names;
    while (true) {
      size_t left = batch;
      Result<size_t> taken = vfs_readdir(root, task, fd, [&](const DirEntry& entry) {
        if (left == 0) return false;
        --left;
        names.emplace_back(entry.name);
        return true;
      });
      if (!taken.ok()) {
        names.push_back("errno " + std::to_string(errno_of(taken)));
        return names;
      }
      if (*taken == 0) return names;
    }
  }
  std::vector<std::string> list(std::string_view path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) return {"errno " + std::to_string(-fd)};
    std::vector<std::string> names = readdir(fd);
    close(fd);
    return names;
  }
  std::string getcwd() {
    Result<std::string> path = vfs_getcwd(root, task);
    return path.ok() ? *path : "errno " + std::to_string(errno_of(path));
  }

  Ramfs* ramfs = nullptr;
  TaskStruct task;
  CallContext root;
  CallContext user;
};

}  // namespace myfs::fs
