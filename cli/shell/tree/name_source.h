// NameSource: the little of a file system that patterns and completion need.
// Thread safety: as the implementation's; those here are used by the main thread alone.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

namespace shell {

// Errors are errno numbers, 0 = done.
class NameSource {
 public:
  virtual ~NameSource() = default;
  virtual int lstat(const std::string& path, struct stat* st) = 0;
  virtual int stat(const std::string& path, struct stat* st) = 0;
  // "." and ".." may be among them.
  virtual int list(const std::string& path, std::vector<std::string>* names) = 0;
};

}  // namespace shell
