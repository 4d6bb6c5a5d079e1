// Side: one side of a copy: the local file system, or a task of MyFS.
// Thread safety: the main thread alone.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "cli/shell/tree/name_source.h"

namespace shell {

class Shell;

// Errors are errno numbers, 0 = done.
class Side : public NameSource {
 public:
  virtual int readlink(const std::string& path, std::string* target) = 0;
  virtual int mkdir(const std::string& path, mode_t mode) = 0;
  virtual int symlink(const std::string& target, const std::string& path) = 0;
  virtual int mknod(const std::string& path, mode_t mode, dev_t dev) = 0;
  virtual int chmod(const std::string& path, mode_t mode) = 0;
  virtual int lchown(const std::string& path, uid_t uid, gid_t gid) = 0;
  virtual int set_mtime(const std::string& path, const timespec& mtime) = 0;
  // Open files; negative: -errno.
  virtual int open(const std::string& path, int flags, mode_t mode) = 0;
  virtual ssize_t pread(int fd, void* buffer, size_t size, off_t offset) = 0;
  virtual ssize_t pwrite(int fd, const void* buffer, size_t size, off_t offset) = 0;
  // Copies inside of the side without the bytes coming here; returns how many, 0 at the end.
  virtual ssize_t copy_range(int in, int out, off_t offset, size_t size) = 0;
  virtual int ftruncate(int fd, off_t size) = 0;
  virtual int close(int fd) = 0;
};

std::unique_ptr<Side> local_side();
// Its calls are those of the command that runs.
std::unique_ptr<Side> task_side(Shell& shell);

}  // namespace shell
