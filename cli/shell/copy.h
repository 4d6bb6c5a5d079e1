// Copy: trees between the local file system and MyFS, and inside MyFS, behind one interface for
// both sides.
#pragma once

#include <cstddef>

#include "cli/shell/shell.h"

namespace shell {

inline constexpr size_t kCopyBuffer_bytes = 1 << 20;

// One side of a copy: the local file system, or a task. Errors are errno numbers, 0 = done.
class Side {
 public:
  virtual ~Side() = default;
  virtual int lstat(const std::string& path, struct stat* st) = 0;
  virtual int stat(const std::string& path, struct stat* st) = 0;
  virtual int list(const std::string& path, std::vector<std::string>* names) = 0;
  virtual int readlink(const std::string& path, std::string* target) = 0;
  virtual int mkdir(const std::string& path, mode_t mode) = 0;
  virtual int symlink(const std::string& target, const std::string& path) = 0;
  virtual int mknod(const std::string& path, mode_t mode, dev_t dev) = 0;
  virtual int chmod(const std::string& path, mode_t mode) = 0;
  virtual int set_mtime(const std::string& path, const timespec& mtime) = 0;
  // Open files; negative: -errno.
  virtual int open(const std::string& path, int flags, mode_t mode) = 0;
  virtual ssize_t pread(int fd, void* buffer, size_t size, off_t offset) = 0;
  virtual ssize_t pwrite(int fd, const void* buffer, size_t size, off_t offset) = 0;
  virtual int ftruncate(int fd, off_t size) = 0;
  virtual int close(int fd) = 0;
};

std::unique_ptr<Side> local_side();
std::unique_ptr<Side> task_side(Shell& shell);

// Copies each of `sources` to `target`, into it if it is a directory; directories only with
// `recursive`. Modes and times follow, holes stay holes. Complains itself; returns the command's
// status.
int copy_all(Shell& shell, const Args& args, Side& from, const std::vector<std::string>& sources,
             Side& to, const std::string& target, bool recursive);

}  // namespace shell
