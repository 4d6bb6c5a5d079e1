// FindExpression: the language of find(1): tests and actions joined by ( ) ! -a -o, as a plan that
// is applied to one file after the other. It asks the world only through FindWorld and is the same
// for any file system.
// Thread safety: a plan is constant; its world belongs to one thread.
#pragma once

#include <sys/stat.h>
#include <time.h>

#include <climits>
#include <functional>
#include <string>
#include <vector>

namespace shell {

struct FindFile {
  const std::string& path;
  const struct stat& attributes;
  int depth;
};

// What a plan does and asks beyond a file's path and attributes.
class FindWorld {
 public:
  virtual ~FindWorld() = default;
  virtual bool is_empty_directory(const FindFile& file) = 0;
  virtual std::string link_target(const FindFile& file) = 0;
  virtual void print(const FindFile& file, char end) = 0;
  virtual void print_long(const FindFile& file) = 0;
  // False: it could not be removed.
  virtual bool remove(const FindFile& file) = 0;
  // What lies below this directory is left out.
  virtual void prune() = 0;
  virtual void quit() = 0;
};

struct FindPlan {
  std::function<bool(const FindFile&, FindWorld&)> test;
  int min_depth = 0, max_depth = INT_MAX;
  bool depth_first = false;  // a directory after what is in it
  bool one_file_system = false;
};

struct FindContext {
  timespec now;
  // Attributes of the file that -newer names; false: it cannot be looked at.
  std::function<bool(const std::string& path, struct stat* st)> stat;
};

// The number of words that are starting points: those before the expression.
size_t find_starting_points(const std::vector<std::string>& words);

// Makes a plan of the words of an expression. Without an action it prints. Returns what is wrong,
// or an empty text.
std::string parse_find(const std::vector<std::string>& words, const FindContext& context,
                       FindPlan* plan);

}  // namespace shell
