#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "cli/shell/shell.h"
#include "cli/shell/tree/side.h"

namespace shell {
namespace {

int errno_unless(bool good) { return good ? 0 : errno; }
int minus_errno(ssize_t result) { return result < 0 ? -errno : static_cast<int>(result); }

class LocalSide final : public Side {
 public:
  int lstat(const std::string& path, struct stat* st) override {
    return errno_unless(::lstat(path.c_str(), st) == 0);
  }
  int stat(const std::string& path, struct stat* st) override {
    return errno_unless(::stat(path.c_str(), st) == 0);
  }
  int list(const std::string& path, std::vector<std::string>* names) override {
    std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
    if (dir == nullptr) return errno;
    errno = 0;
    while (const dirent* entry = ::readdir(dir.get())) names->push_back(entry->d_name);
    return errno;
  }
  int readlink(const std::string& path, std::string* target) override {
    char buffer[4096];
    ssize_t n = ::readlink(path.c_str(), buffer, sizeof buffer);
    if (n >= 0) target->assign(buffer, static_cast<size_t>(n));
    return errno_unless(n >= 0);
  }
  int mkdir(const std::string& path, mode_t mode) override {
    return errno_unless(::mkdir(path.c_str(), mode) == 0);
  }
  int symlink(const std::string& target, const std::string& path) override {
    return errno_unless(::symlink(target.c_str(), path.c_str()) == 0);
  }
  int mknod(const std::string& path, mode_t mode, dev_t dev) override {
    return errno_unless(::mknod(path.c_str(), mode, dev) == 0);
  }
  int chmod(const std::string& path, mode_t mode) override {
    return errno_unless(::chmod(path.c_str(), mode) == 0);
  }
  int lchown(const std::string& path, uid_t uid, gid_t gid) override {
    return errno_unless(::lchown(path.c_str(), uid, gid) == 0);
  }
  int set_mtime(const std::string& path, const timespec& mtime) override {
    timespec times[2] = {{0, UTIME_OMIT}, mtime};
    return errno_unless(::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
  }
  int open(const std::string& path, int flags, mode_t mode) override {
    return minus_errno(::open(path.c_str(), flags | O_CLOEXEC, mode));
  }
  ssize_t pread(int fd, void* buffer, size_t size, off_t offset) override {
    ssize_t n = ::pread(fd, buffer, size, offset);
    return n < 0 ? -errno : n;
  }
  ssize_t pwrite(int fd, const void* buffer, size_t size, off_t offset) override {
    ssize_t n = ::pwrite(fd, buffer, size, offset);
    return n < 0 ? -errno : n;
  }
  ssize_t copy_range(int in, int out, off_t offset, size_t size) override {
    off_t to = offset;
    ssize_t n = ::copy_file_range(in, &offset, out, &to, size, 0);
    return n < 0 ? -errno : n;
  }
  int ftruncate(int fd, off_t size) override { return errno_unless(::ftruncate(fd, size) == 0); }
  int close(int fd) override { return errno_unless(::close(fd) == 0); }
};

class TaskSide final : public Side {
 public:
  explicit TaskSide(Shell& shell) : shell_(shell), call_(shell.call().c()) {}

  int lstat(const std::string& path, struct stat* st) override {
    return -myfs_lstat_x(task(), &call_, path.c_str(), st);
  }
  int stat(const std::string& path, struct stat* st) override {
    return -myfs_stat_x(task(), &call_, path.c_str(), st);
  }
  int list(const std::string& path, std::vector<std::string>* names) override {
    auto dir = shell_.task().open_dir(path, shell_.call());
    if (!dir) return dir.error().value();
    while (true) {
      auto entry = dir->next(shell_.call());
      if (!entry) return entry.error().value();
      if (!entry->has_value()) return 0;
      names->emplace_back((*entry)->name());
    }
  }
  int readlink(const std::string& path, std::string* target) override {
    auto result = shell_.task().readlink(path, shell_.call());
    if (!result) return result.error().value();
    *target = *result;
    return 0;
  }
  int mkdir(const std::string& path, mode_t mode) override {
    return -myfs_mkdir_x(task(), &call_, path.c_str(), mode);
  }
  int symlink(const std::string& target, const std::string& path) override {
    return -myfs_symlink_x(task(), &call_, target.c_str(), path.c_str());
  }
  int mknod(const std::string& path, mode_t mode, dev_t dev) override {
    return -myfs_mknod_x(task(), &call_, path.c_str(), mode, dev);
  }
  int chmod(const std::string& path, mode_t mode) override {
    return -myfs_chmod_x(task(), &call_, path.c_str(), mode);
  }
  int lchown(const std::string& path, uid_t uid, gid_t gid) override {
    return -myfs_lchown_x(task(), &call_, path.c_str(), uid, gid);
  }
  int set_mtime(const std::string& path, const timespec& mtime) override {
    timespec times[2] = {{0, UTIME_OMIT}, mtime};
    return -myfs_utimens_x(task(), &call_, path.c_str(), times, AT_SYMLINK_NOFOLLOW);
  }
  int open(const std::string& path, int flags, mode_t mode) override {
    return myfs_open_x(task(), &call_, path.c_str(), flags, mode);
  }
  ssize_t pread(int fd, void* buffer, size_t size, off_t offset) override {
    return myfs_pread_x(task(), &call_, fd, buffer, size, offset);
  }
  ssize_t pwrite(int fd, const void* buffer, size_t size, off_t offset) override {
    return myfs_pwrite_x(task(), &call_, fd, buffer, size, offset);
  }
  ssize_t copy_range(int in, int out, off_t offset, size_t size) override {
    off_t to = offset;
    return myfs_copy_file_range_x(task(), &call_, in, &offset, out, &to, size, 0);
  }
  int ftruncate(int fd, off_t size) override { return -myfs_ftruncate_x(task(), &call_, fd, size); }
  int close(int fd) override { return -myfs_close(task(), fd); }

 private:
  myfs_task* task() { return shell_.task().get(); }
  Shell& shell_;
  const myfs_call call_;
};

}  // namespace

std::unique_ptr<Side> local_side() { return std::make_unique<LocalSide>(); }
std::unique_ptr<Side> task_side(Shell& shell) { return std::make_unique<TaskSide>(shell); }

}  // namespace shell
