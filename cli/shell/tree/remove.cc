#include "cli/shell/tree/remove.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace shell {
namespace {

struct Child {
  std::string path;
  bool is_directory;
};

myfs::Result<std::vector<Child>> children_of(Shell& shell, const std::string& path) {
  auto dir = shell.task().open_dir(path, shell.call());
  if (!dir) return dir.error();
  std::vector<Child> children;
  while (true) {
    auto entry = dir->next(shell.call());
    if (!entry) return entry.error();
    if (!entry->has_value()) return children;
    std::string name((*entry)->name());
    if (name == "." || name == "..") continue;
    children.push_back({join(path, name), (*entry)->dirent.type == DT_DIR});
  }
}

void count_one(ProgressBar* bar, const std::string& path) {
  if (bar == nullptr) return;
  bar->progress().begin(path);
  bar->progress().item_done();
  bar->draw();
}

}  // namespace

int remove_tree(Shell& shell, const Args& args, const std::string& path, ProgressBar* bar) {
  auto children = children_of(shell, path);
  if (!children) return shell.fail(args, path, children.error());
  int status = 0;
  for (const Child& child : *children) {
    if (shell.interrupted()) return kInterrupted;
    if (child.is_directory) {
      status = std::max(status, remove_tree(shell, args, child.path, bar));
      continue;
    }
    auto removed = shell.task().unlink(child.path, shell.call());
    if (!removed) status = shell.fail(args, child.path, removed.error());
    if (removed) count_one(bar, child.path);
  }
  // A directory that still has something in it has been told of.
  if (status != 0) return status;
  auto removed = shell.task().rmdir(path, shell.call());
  if (!removed) return shell.fail(args, path, removed.error());
  count_one(bar, path);
  return 0;
}

}  // namespace shell
