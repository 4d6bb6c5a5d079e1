#include "cli/shell/tree/walk.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace shell {
namespace {

class Walker {
 public:
  Walker(Shell& shell, bool one_file_system, Visitor& visitor)
      : shell_(shell), one_file_system_(one_file_system), visitor_(visitor) {}

  void run(const std::string& path) {
    auto st = shell_.task().lstat(path, shell_.call());
    if (!st) return visitor_.failed(path, st.error());
    device_ = st->st_dev;
    visit(path, *st, 0);
  }

 private:
  void visit(const std::string& path, const struct stat& st, int depth) {
    Visit here{path, st, depth};
    bool below = visitor_.enter(here) && S_ISDIR(st.st_mode);
    if (one_file_system_ && st.st_dev != device_) below = false;
    if (below) children(path, depth);
    if (S_ISDIR(st.st_mode) && !visitor_.stopped()) visitor_.leave(here);
  }

  void children(const std::string& path, int depth) {
    auto entries = list_attributes(shell_, path);
    if (!entries) return visitor_.failed(path, entries.error());
    for (const Listed& entry : *entries) {
      if (visitor_.stopped()) return;
      visit(join(path, entry.name), entry.attributes, depth + 1);
    }
  }

  Shell& shell_;
  const bool one_file_system_;
  Visitor& visitor_;
  dev_t device_ = 0;
};

}  // namespace

myfs::Result<std::vector<Listed>> list_attributes(Shell& shell, const std::string& path,
                                                  bool dots) {
  auto dir = shell.task().open_dir(path, shell.call());
  if (!dir) return dir.error();
  std::vector<Listed> entries;
  while (true) {
    auto entry = dir->next_plus(shell.call());
    if (!entry) return entry.error();
    if (!entry->has_value()) break;
    std::string name((*entry)->name());
    if (!dots && (name == "." || name == "..")) continue;
    struct stat st = (*entry)->attributes;
    // What is mounted on a directory shows only to who goes there.
    bool ask = st.st_ino == 0 || (shell.mounts().size() > 1 && S_ISDIR(st.st_mode));
    if (ask) {
      auto asked = shell.task().lstat(join(path, name), shell.call());
      if (!asked && asked.error().value() == ENOENT) continue;
      if (!asked) return asked.error();
      st = *asked;
    }
    entries.push_back({std::move(name), st});
  }
  std::sort(entries.begin(), entries.end(),
            [](const Listed& a, const Listed& b) { return a.name < b.name; });
  return entries;
}

void walk(Shell& shell, const std::string& path, bool one_file_system, Visitor& visitor) {
  Walker(shell, one_file_system, visitor).run(path);
}

}  // namespace shell
