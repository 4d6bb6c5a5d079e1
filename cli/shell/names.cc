// Commands on names and attributes: mkdir, rmdir, rm, mv, ln, chmod, chown.

#include <cerrno>
#include <cstdio>

#include "cli/shell/format.h"
#include "cli/shell/shell.h"

namespace shell {
namespace {

int make_parents(Shell& shell, const Args& args, const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    std::string parent = path.substr(0, slash);
    if (parent.back() == '/') continue;
    auto made = shell.task().mkdir(parent, 0777, shell.call());
    if (!made && made.error().value() != EEXIST) return shell.fail(args, parent, made.error());
  }
  return 0;
}

int run_mkdir(Shell& shell, const Args& args) {
  int status = 0;
  for (const std::string& path : args.words) {
    if (args.has('p') && make_parents(shell, args, path) != 0) {
      status = 1;
      continue;
    }
    auto made = shell.task().mkdir(path, 0777, shell.call());
    if (made) continue;
    if (args.has('p') && made.error().value() == EEXIST) {
      auto st = shell.task().stat(path, shell.call());
      if (st && S_ISDIR(st->st_mode)) continue;
    }
    status = shell.fail(args, path, made.error());
  }
  return status;
}

int run_rmdir(Shell& shell, const Args& args) {
  int status = 0;
  for (const std::string& path : args.words) {
    auto removed = shell.task().rmdir(path, shell.call());
    if (!removed) status = shell.fail(args, path, removed.error());
  }
  return status;
}

int remove_tree(Shell& shell, const Args& args, const std::string& path) {
  std::vector<std::pair<std::string, bool>> children;  // path, whether a directory
  {
    auto dir = shell.task().open_dir(path, shell.call());
    if (!dir) return shell.fail(args, path, dir.error());
    while (true) {
      auto entry = dir->next(shell.call());
      if (!entry) return shell.fail(args, path, entry.error());
      if (!entry->has_value()) break;
      std::string name((*entry)->name());
      if (name == "." || name == "..") continue;
      children.emplace_back(join(path, name), (*entry)->dirent.type == DT_DIR);
    }
  }
  int status = 0;
  for (const auto& [child, is_directory] : children) {
    if (shell.interrupted()) return 1;
    if (is_directory) {
      status |= remove_tree(shell, args, child);
      continue;
    }
    auto removed = shell.task().unlink(child, shell.call());
    if (!removed) status = shell.fail(args, child, removed.error());
  }
  if (status != 0) return status;
  auto removed = shell.task().rmdir(path, shell.call());
  return removed ? 0 : shell.fail(args, path, removed.error());
}

int run_rm(Shell& shell, const Args& args) {
  int status = 0;
  for (const std::string& path : args.words) {
    auto removed = shell.task().unlink(path, shell.call());
    if (removed) continue;
    int error = removed.error().value();
    if (args.has('f') && error == ENOENT) continue;
    if ((args.has('r') || args.has('R')) && (error == EISDIR || error == EPERM)) {
      status |= remove_tree(shell, args, path);
    } else {
      status = shell.fail(args, path, removed.error());
    }
  }
  return status;
}

// As mv and ln: an existing directory as target means "into it".
std::string target_path(Shell& shell, const std::string& source, const std::string& target) {
  auto st = shell.task().stat(target, shell.call());
  return st && S_ISDIR(st->st_mode) ? join(target, base_name(source)) : target;
}

bool target_must_be_directory(Shell& shell, const Args& args) {
  if (args.words.size() == 2) return true;
  auto st = shell.task().stat(args.words.back(), shell.call());
  if (st && S_ISDIR(st->st_mode)) return true;
  shell.fail(args, args.words.back(), "is no directory");
  return false;
}

int run_mv(Shell& shell, const Args& args) {
  if (!target_must_be_directory(shell, args)) return 1;
  int status = 0;
  for (size_t i = 0; i + 1 < args.words.size(); ++i) {
    std::string to = target_path(shell, args.words[i], args.words.back());
    auto moved = shell.task().rename(args.words[i], to, 0, shell.call());
    if (!moved) status = shell.fail(args, args.words[i] + " to " + to, moved.error());
  }
  return status;
}

int run_ln(Shell& shell, const Args& args) {
  std::string to = target_path(shell, args.words[0], args.words[1]);
  auto made = args.has('s') ? shell.task().symlink(args.words[0], to, shell.call())
                            : shell.task().link(args.words[0], to, shell.call());
  return made ? 0 : shell.fail(args, to, made.error());
}

int run_chmod(Shell& shell, const Args& args) {
  int status = 0;
  for (size_t i = 1; i < args.words.size(); ++i) {
    auto st = shell.task().stat(args.words[i], shell.call());
    if (!st) {
      status = shell.fail(args, args.words[i], st.error());
      continue;
    }
    mode_t mode = 0;
    if (!parse_mode(args.words[0], st->st_mode, &mode)) {
      std::fprintf(stderr, "chmod: %s: must be octal up to 7777, or like u+x,go-w\n",
                   args.words[0].c_str());
      return 2;
    }
    auto changed = shell.task().chmod(args.words[i], mode, shell.call());
    if (!changed) status = shell.fail(args, args.words[i], changed.error());
  }
  return status;
}

int run_chown(Shell& shell, const Args& args) {
  auto uid = static_cast<uid_t>(-1);
  auto gid = static_cast<gid_t>(-1);
  const std::string& owner = args.words[0];
  size_t colon = owner.find(':');
  std::string user = owner.substr(0, colon);
  std::string group = colon == std::string::npos ? "" : owner.substr(colon + 1);
  if ((!user.empty() && !parse_user(user, &uid)) || (!group.empty() && !parse_group(group, &gid)) ||
      (user.empty() && group.empty())) {
    std::fprintf(stderr, "chown: %s: must be USER, USER:GROUP or :GROUP, names or numbers\n",
                 owner.c_str());
    return 2;
  }
  int status = 0;
  for (size_t i = 1; i < args.words.size(); ++i) {
    auto changed = args.has('h') ? shell.task().lchown(args.words[i], uid, gid, shell.call())
                                 : shell.task().chown(args.words[i], uid, gid, shell.call());
    if (!changed) status = shell.fail(args, args.words[i], changed.error());
  }
  return status;
}

}  // namespace

void add_name_commands(std::vector<Command>& table) {
  table.insert(
      table.end(),
      {{"mkdir", "p", 1, -1, "mkdir [-p] DIR...", "make directories; -p parents too, no complaint",
        run_mkdir},
       {"rmdir", "", 1, -1, "rmdir DIR...", "remove empty directories", run_rmdir},
       {"rm", "rRf", 1, -1, "rm [-rf] PATH...", "remove; -r with all below, -f missing is fine",
        run_rm},
       {"mv", "", 2, -1, "mv FROM... TO", "rename, or move into a directory", run_mv},
       {"ln", "s", 2, 2, "ln [-s] TARGET NAME", "make a hard link; -s a symbolic one", run_ln},
       {"chmod", nullptr, 2, -1, "chmod MODE PATH...", "set the mode: 644, u+x,go-w", run_chmod},
       {"chown", "h", 2, -1, "chown [-h] USER[:GROUP] PATH...",
        "set the owner; -h of the link itself", run_chown}});
}

}  // namespace shell
