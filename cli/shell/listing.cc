// Commands that look: ls, stat, df, readlink, pwd, cd, stats.

#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstdio>

#include "cli/shell/format.h"
#include "cli/shell/shell.h"

namespace shell {
namespace {

struct Listed {
  std::string name;
  struct stat attributes;
};

void print_entry(Shell& shell, const Args& args, const std::string& path, const Listed& entry) {
  if (!args.has('l')) {
    std::printf("%s\n", entry.name.c_str());
    return;
  }
  std::string arrow;
  if (S_ISLNK(entry.attributes.st_mode)) {
    auto target = shell.task().readlink(path, shell.call());
    if (target) arrow = " -> " + *target;
  }
  std::printf("%s %s%s\n", long_line(entry.attributes).c_str(), entry.name.c_str(), arrow.c_str());
}

int list_directory(Shell& shell, const Args& args, const std::string& path, bool title) {
  auto dir = shell.task().open_dir(path, shell.call());
  if (!dir) return shell.fail(args, path, dir.error());
  if (title) std::printf("%s:\n", path.c_str());
  std::vector<Listed> entries;
  while (true) {
    auto entry = dir->next_plus(shell.call());
    if (!entry) return shell.fail(args, path, entry.error());
    if (!entry->has_value()) break;
    std::string name((*entry)->name());
    if (name[0] != '.' || args.has('a')) entries.push_back({name, (*entry)->attributes});
  }
  std::sort(entries.begin(), entries.end(),
            [](const Listed& a, const Listed& b) { return a.name < b.name; });
  int status = 0;
  for (Listed& entry : entries) {
    std::string full = join(path, entry.name);
    if (entry.attributes.st_ino == 0) {
      auto st = shell.task().lstat(full, shell.call());
      if (!st) {
        status = shell.fail(args, full, st.error());
        continue;
      }
      entry.attributes = *st;
    }
    print_entry(shell, args, full, entry);
  }
  for (const Listed& entry : entries) {
    if (shell.interrupted()) return 1;
    bool child = args.has('R') && S_ISDIR(entry.attributes.st_mode) && entry.name != "." &&
                 entry.name != "..";
    if (!child) continue;
    std::printf("\n");
    status = std::max(status, list_directory(shell, args, join(path, entry.name), true));
  }
  return status;
}

int run_ls(Shell& shell, const Args& args) {
  std::vector<std::string> paths = args.words;
  if (paths.empty()) paths.push_back(".");
  int status = 0;
  bool first = true;
  for (const std::string& path : paths) {
    auto st = shell.task().lstat(path, shell.call());
    if (st && S_ISLNK(st->st_mode) && !args.has('l')) st = shell.task().stat(path, shell.call());
    if (!st) {
      status = shell.fail(args, path, st.error());
      continue;
    }
    if (!S_ISDIR(st->st_mode)) {
      print_entry(shell, args, path, {path, *st});
    } else {
      if (!first) std::printf("\n");
      int result = list_directory(shell, args, path, paths.size() > 1 || args.has('R'));
      status = std::max(status, result);
    }
    first = false;
  }
  return status;
}

int run_stat(Shell& shell, const Args& args) {
  int status = 0;
  for (const std::string& path : args.words) {
    auto st = shell.task().lstat(path, shell.call());
    if (!st) {
      status = shell.fail(args, path, st.error());
      continue;
    }
    std::printf("  File: %s\n", path.c_str());
    std::printf("  Size: %lld\tBlocks: %lld\tIO Block: %ld\t%s\n",
                static_cast<long long>(st->st_size), static_cast<long long>(st->st_blocks),
                static_cast<long>(st->st_blksize), kind_text(st->st_mode));
    std::printf(" Inode: %llu\tLinks: %llu", static_cast<unsigned long long>(st->st_ino),
                static_cast<unsigned long long>(st->st_nlink));
    if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
      std::printf("\tDevice: %u,%u", major(st->st_rdev), minor(st->st_rdev));
    }
    std::printf("\nAccess: (%04o/%s)\tUid: (%u/%s)\tGid: (%u/%s)\n", st->st_mode & 07777,
                mode_text(st->st_mode).c_str(), st->st_uid, user_text(st->st_uid).c_str(),
                st->st_gid, group_text(st->st_gid).c_str());
    std::printf("Access: %s\nModify: %s\nChange: %s\n", time_text(st->st_atim).c_str(),
                time_text(st->st_mtim).c_str(), time_text(st->st_ctim).c_str());
  }
  return status;
}

int run_df(Shell& shell, const Args& args) {
  std::string path = args.words.empty() ? "." : args.words[0];
  auto fs = shell.task().statfs(path, shell.call());
  if (!fs) return shell.fail(args, path, fs.error());
  auto kib = [&](uint64_t blocks) {
    return static_cast<unsigned long long>(blocks * static_cast<uint64_t>(fs->f_bsize) / 1024);
  };
  uint64_t used = fs->f_blocks - fs->f_bfree;
  uint64_t usable = used + fs->f_bavail;
  std::printf("%-32s %12s %12s %12s %5s\n", "Filesystem", "1K-blocks", "Used", "Available", "Use%");
  std::printf(
      "%-32s %12llu %12llu %12llu %4llu%%\n", shell.url().c_str(), kib(fs->f_blocks), kib(used),
      kib(fs->f_bavail),
      static_cast<unsigned long long>(usable == 0 ? 0 : (used * 100 + usable - 1) / usable));
  return 0;
}

int run_readlink(Shell& shell, const Args& args) {
  int status = 0;
  for (const std::string& path : args.words) {
    auto target = shell.task().readlink(path, shell.call());
    if (target) {
      std::printf("%s\n", target->c_str());
    } else {
      status = shell.fail(args, path, target.error());
    }
  }
  return status;
}

int run_cd(Shell& shell, const Args& args) {
  std::string path = args.words.empty() ? "/" : args.words[0];
  auto changed = shell.task().chdir(path, shell.call());
  return changed ? 0 : shell.fail(args, path, changed.error());
}

int run_pwd(Shell& shell, const Args& args) {
  auto cwd = shell.task().getcwd();
  if (!cwd) return shell.fail(args, ".", cwd.error());
  std::printf("%s\n", cwd->c_str());
  return 0;
}

int run_stats(Shell& shell, const Args&) {
  std::printf("%s\n", shell.task().stats_json().c_str());
  return 0;
}

}  // namespace

void add_listing_commands(std::vector<Command>& table) {
  table.insert(
      table.end(),
      {{"ls", "laR1", 0, -1, "ls [-laR] [PATH...]",
        "list; -l attributes, -a names with a leading dot too, -R directories below", run_ls},
       {"stat", "", 1, -1, "stat PATH...", "show all attributes", run_stat},
       {"df", "", 0, 1, "df [PATH]", "show the space of the file system", run_df},
       {"readlink", "", 1, -1, "readlink PATH...", "show where symbolic links point", run_readlink},
       {"cd", "", 0, 1, "cd [DIR]", "change the directory (default /)", run_cd},
       {"pwd", "", 0, 0, "pwd", "show the directory", run_pwd},
       {"stats", "", 0, 0, "stats", "show the client's counters as JSON", run_stats}});
}

}  // namespace shell
