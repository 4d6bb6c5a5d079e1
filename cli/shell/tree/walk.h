// Walk: goes through a tree of MyFS, top down, names sorted, symbolic links not followed.
// Thread safety: the main thread alone.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "cli/shell/shell.h"

namespace shell {

struct Listed {
  std::string name;
  struct stat attributes;
};

// The entries of a directory with their attributes, sorted by name; what is removed meanwhile is
// left out. `dots`: also "." and "..".
myfs::Result<std::vector<Listed>> list_attributes(Shell& shell, const std::string& path,
                                                  bool dots = false);

struct Visit {
  const std::string& path;
  const struct stat& attributes;
  int depth;  // 0: where the walk began
};

class Visitor {
 public:
  virtual ~Visitor() = default;
  // Each entry. False: what lies below a directory is left out.
  virtual bool enter(const Visit& visit) = 0;
  // Each directory again when all below it has been visited, also if it was left out.
  virtual void leave(const Visit& visit) { (void)visit; }
  // A path that could not be looked at or listed.
  virtual void failed(const std::string& path, const myfs::Error& error) = 0;
  // No more is wanted.
  virtual bool stopped() const = 0;
};

// Visits `path` and all below it. one_file_system: not what is mounted below.
void walk(Shell& shell, const std::string& path, bool one_file_system, Visitor& visitor);

}  // namespace shell
