// Commands on names: mkdir, rmdir, rm, mv, ln.

#include <cerrno>
#include <memory>

#include "cli/shell/shell.h"
#include "cli/shell/text/format.h"
#include "cli/shell/tree/copy.h"
#include "cli/shell/tree/remove.h"

namespace shell {
namespace {

int make_parents(Shell& shell, const Args& args, const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    std::string parent = path.substr(0, slash);
    if (parent.back() == '/') continue;
    auto made = shell.task().mkdir(parent, 0777, shell.call());
    if (made || made.error().value() == EEXIST) continue;
    // A file system that is not to be changed may have it all the same.
    auto st = shell.task().stat(parent, shell.call());
    if (!st || !S_ISDIR(st->st_mode)) return shell.fail(args, parent, made.error());
  }
  return 0;
}

int make_directory(Shell& shell, const Args& args, const std::string& path, mode_t mode) {
  if (args.has("p") && make_parents(shell, args, path) != 0) return kFailed;
  auto made = shell.task().mkdir(path, 0777, shell.call());
  if (!made && args.has("p") && made.error().value() == EEXIST) {
    auto st = shell.task().stat(path, shell.call());
    if (st && S_ISDIR(st->st_mode)) return 0;
  }
  if (!made) return shell.fail(args, path, made.error());
  if (!args.has("m")) return 0;
  auto changed = shell.task().chmod(path, mode, shell.call());
  return changed ? 0 : shell.fail(args, path, changed.error());
}

int run_mkdir(Shell& shell, const Args& args) {
  mode_t mode = 0;
  const std::string* text = args.value("m");
  if (text != nullptr && !parse_mode(*text, S_IFDIR | 0777, &mode)) {
    return shell.wrong(args, *text + ": must be octal up to 7777, or like u+x,go-w");
  }
  int status = 0;
  for (const std::string& path : args.words) {
    if (make_directory(shell, args, path, mode) != 0) status = kFailed;
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

bool is_dot_or_root(const std::string& path) {
  std::string name = base_name(path);
  return name == "." || name == ".." || name == "/";
}

int remove_one(Shell& shell, const Args& args, const std::string& path, ProgressBar* bar) {
  if (args.has("r") && is_dot_or_root(path)) {
    return shell.fail(args, path, "is not removed: . and .. and / never are");
  }
  auto removed = shell.task().unlink(path, shell.call());
  if (removed) return 0;
  int error = removed.error().value();
  if (args.has("f") && error == ENOENT) return 0;
  if (error == EISDIR || error == EPERM) {
    auto st = shell.task().lstat(path, shell.call());
    bool directory = st && S_ISDIR(st->st_mode);
    if (directory && args.has("r")) return remove_tree(shell, args, path, bar);
    if (directory) return shell.fail(args, path, "is a directory (use -r)");
  }
  return shell.fail(args, path, removed.error());
}

int run_rm(Shell& shell, const Args& args) {
  ProgressBar bar("rm");
  shell.set_bar(&bar);
  int status = 0;
  for (const std::string& path : args.words) {
    if (shell.interrupted()) break;
    status |= remove_one(shell, args, path, &bar);
  }
  shell.set_bar(nullptr);
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

// From one mounted file system to another: a copy, and then the original goes.
int move_across(Shell& shell, const Args& args, const std::string& from, const std::string& to) {
  auto side = task_side(shell);
  CopyOptions options;
  options.recursive = options.owners = options.bar = true;
  int status = copy_all(shell, args, *side, {from}, *side, to, options);
  if (status != 0) return status;
  auto st = shell.task().lstat(from, shell.call());
  if (!st) return shell.fail(args, from, st.error());
  if (S_ISDIR(st->st_mode)) return remove_tree(shell, args, from, nullptr);
  auto removed = shell.task().unlink(from, shell.call());
  return removed ? 0 : shell.fail(args, from, removed.error());
}

int move_one(Shell& shell, const Args& args, const std::string& from) {
  std::string to = target_path(shell, from, args.words.back());
  constexpr unsigned kNoReplace = 1;
  auto moved = shell.task().rename(from, to, args.has("n") ? kNoReplace : 0, shell.call());
  if (moved || (args.has("n") && moved.error().value() == EEXIST)) return 0;
  if (moved.error().value() != EXDEV) {
    return shell.fail(args, from + " to " + to, moved.error());
  }
  auto there = shell.task().lstat(to, shell.call());
  if (there && args.has("n")) return 0;
  if (there) {
    auto gone = S_ISDIR(there->st_mode) ? shell.task().rmdir(to, shell.call())
                                        : shell.task().unlink(to, shell.call());
    if (!gone) return shell.fail(args, to, gone.error());
  }
  return move_across(shell, args, from, to);
}

int run_mv(Shell& shell, const Args& args) {
  if (!target_must_be_directory(shell, args)) return kFailed;
  int status = 0;
  for (size_t i = 0; i + 1 < args.words.size() && !shell.interrupted(); ++i) {
    status |= move_one(shell, args, args.words[i]);
  }
  return status;
}

int link_one(Shell& shell, const Args& args, const std::string& target, const std::string& to) {
  if (args.has("f")) {
    auto removed = shell.task().unlink(to, shell.call());
    if (!removed && removed.error().value() != ENOENT) {
      return shell.fail(args, to, removed.error());
    }
  }
  auto made = args.has("s") ? shell.task().symlink(target, to, shell.call())
                            : shell.task().link(target, to, shell.call());
  return made ? 0 : shell.fail(args, to, made.error());
}

int run_ln(Shell& shell, const Args& args) {
  if (!target_must_be_directory(shell, args)) return kFailed;
  int status = 0;
  for (size_t i = 0; i + 1 < args.words.size(); ++i) {
    const std::string& target = args.words[i];
    status |= link_one(shell, args, target, target_path(shell, target, args.words.back()));
  }
  return status;
}

}  // namespace

void add_name_commands(std::vector<Command>& table) {
  constexpr auto kRemote = Operands::kRemote;
  table.push_back({"mkdir",
                   {{"p", "parents", "", "missing parents, too; no complaint if it is there"},
                    {"m", "mode", "MODE", "with this mode, the umask aside: 700, u=rwx,go="}},
                   "DIR...",
                   1,
                   -1,
                   kRemote,
                   "make directories",
                   "",
                   run_mkdir});
  table.push_back(
      {"rmdir", {}, "DIR...", 1, -1, kRemote, "remove empty directories", "", run_rmdir});
  table.push_back({"rm",
                   {{"rR", "recursive", "", "directories and all below them, too"},
                    {"f", "force", "", "no complaint of what is missing"}},
                   "PATH...",
                   1,
                   -1,
                   kRemote,
                   "remove files",
                   "On a terminal -r shows how many are gone.\n",
                   run_rm});
  table.push_back({"mv",
                   {{"n", "no-clobber", "", "replace nothing"}},
                   "FROM... TO",
                   2,
                   -1,
                   kRemote,
                   "rename, or move into a directory",
                   "To another mounted file system it copies and then removes.\n",
                   run_mv});
  table.push_back({"ln",
                   {{"s", "symbolic", "", "symbolic links, to TARGET as it is written"},
                    {"f", "force", "", "in place of what is there"}},
                   "TARGET... NAME",
                   2,
                   -1,
                   kRemote,
                   "make hard links; NAME may be a directory for them",
                   "",
                   run_ln});
}

}  // namespace shell
