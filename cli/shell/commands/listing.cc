// Commands that look at directories: ls, readlink, cd, pwd.

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "cli/shell/shell.h"
#include "cli/shell/text/attributes.h"
#include "cli/shell/text/columns.h"
#include "cli/shell/text/format.h"
#include "cli/shell/text/json.h"
#include "cli/shell/tree/walk.h"

namespace shell {
namespace {

// One ls: files first, then directories with all in them.
class Lister {
 public:
  Lister(Shell& shell, const Args& args) : shell_(shell), args_(args) {
    if (args.has("json")) json_ = std::make_unique<JsonArray>(shell.out());
  }

  int run(std::vector<std::string> paths) {
    if (paths.empty()) paths.push_back(".");
    std::vector<Listed> files;
    std::vector<std::string> directories;
    for (const std::string& path : paths) sort_out(path, &files, &directories);
    order(&files);
    print(files, "");
    bool titles = paths.size() > 1 || args_.has("R");
    for (const std::string& path : directories) {
      if (shell_.stopped()) break;
      list(path, titles);
    }
    return status_;
  }

 private:
  void sort_out(const std::string& path, std::vector<Listed>* files,
                std::vector<std::string>* directories) {
    auto st = shell_.task().lstat(path, shell_.call());
    bool follow = st && S_ISLNK(st->st_mode) && !args_.has("l") && !args_.has("d");
    if (follow) {
      auto target = shell_.task().stat(path, shell_.call());
      if (target && S_ISDIR(target->st_mode)) st = target;
    }
    if (!st) {
      status_ = shell_.fail(args_, path, st.error());
    } else if (S_ISDIR(st->st_mode) && !args_.has("d")) {
      directories->push_back(path);
    } else {
      files->push_back({path, *st});
    }
  }

  void list(const std::string& path, bool title) {
    auto listed = list_attributes(shell_, path, args_.has("a"));
    if (!listed) {
      status_ = shell_.fail(args_, path, listed.error());
      return;
    }
    std::vector<Listed> entries = *std::move(listed);
    if (!args_.has("a") && !args_.has("A")) {
      std::erase_if(entries, [](const Listed& entry) { return entry.name[0] == '.'; });
    }
    order(&entries);
    if (title && json_ == nullptr) {
      shell_.out().print("%s%s:\n", first_ ? "" : "\n", shell_.out().shown(path).c_str());
    }
    first_ = false;
    print(entries, path);
    if (!args_.has("R")) return;
    for (const Listed& entry : entries) {
      if (shell_.stopped()) return;
      bool below = S_ISDIR(entry.attributes.st_mode) && entry.name != "." && entry.name != "..";
      if (below) list(join(path, entry.name), true);
    }
  }

  void order(std::vector<Listed>* entries) const {
    std::stable_sort(entries->begin(), entries->end(), [&](const Listed& a, const Listed& b) {
      const struct stat &x = a.attributes, &y = b.attributes;
      if (args_.has("S") && x.st_size != y.st_size) return x.st_size > y.st_size;
      if (args_.has("t") && x.st_mtim.tv_sec != y.st_mtim.tv_sec) {
        return x.st_mtim.tv_sec > y.st_mtim.tv_sec;
      }
      if (args_.has("t") && x.st_mtim.tv_nsec != y.st_mtim.tv_nsec) {
        return x.st_mtim.tv_nsec > y.st_mtim.tv_nsec;
      }
      return a.name < b.name;
    });
    if (args_.has("r")) std::reverse(entries->begin(), entries->end());
  }

  void print(const std::vector<Listed>& entries, const std::string& directory) {
    if (entries.empty()) return;
    first_ = false;
    if (shell_.out().is_terminal() && !args_.has("l") && !args_.has("1") && json_ == nullptr) {
      std::vector<std::string> names;
      names.reserve(entries.size());
      for (const Listed& entry : entries) names.push_back(name_of(entry));
      winsize size{};
      bool known = ::ioctl(shell_.out().fd(), TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
      shell_.out().write(in_columns(names, known ? size.ws_col : 80));
      return;
    }
    for (const Listed& entry : entries) {
      if (shell_.stopped()) return;
      std::string path = directory.empty() ? entry.name : join(directory, entry.name);
      if (json_ != nullptr) {
        print_json(entry, path);
      } else {
        print_line(entry, path);
      }
    }
  }

  std::string name_of(const Listed& entry) const {
    std::string text;
    if (args_.has("i")) text = std::to_string(entry.attributes.st_ino) + " ";
    return text + shell_.out().shown(entry.name);
  }

  void print_line(const Listed& entry, const std::string& path) {
    std::string line;
    if (args_.has("l")) line = long_line(entry.attributes, args_.has("h"), args_.has("n")) + " ";
    line += name_of(entry);
    if (args_.has("l") && S_ISLNK(entry.attributes.st_mode)) {
      auto target = shell_.task().readlink(path, shell_.call());
      if (target) line += " -> " + shell_.out().shown(*target);
    }
    shell_.out().write(line + "\n");
  }

  void print_json(const Listed& entry, const std::string& path) {
    JsonObject object;
    object.add("name", base_name(entry.name)).add("path", path);
    add_attributes(entry.attributes, &object);
    if (S_ISLNK(entry.attributes.st_mode)) {
      auto target = shell_.task().readlink(path, shell_.call());
      if (target) object.add("target", *target);
    }
    json_->add(object);
  }

  Shell& shell_;
  const Args& args_;
  std::unique_ptr<JsonArray> json_;
  bool first_ = true;  // nothing has been printed
  int status_ = 0;
};

int run_ls(Shell& shell, const Args& args) { return Lister(shell, args).run(args.words); }

int run_readlink(Shell& shell, const Args& args) {
  int status = 0;
  for (const std::string& path : args.words) {
    auto target = shell.task().readlink(path, shell.call());
    if (target) {
      shell.out().write(*target + "\n");
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
  shell.out().write(*cwd + "\n");
  return 0;
}

}  // namespace

void add_listing_commands(std::vector<Command>& table) {
  table.push_back({"ls",
                   {{"l", "long", "", "mode, links, owner, group, size and time, too"},
                    {"a", "all", "", "names with a leading dot, too, . and .. among them"},
                    {"A", "almost-all", "", "names with a leading dot, but not . and .."},
                    {"R", "recursive", "", "all directories below, too"},
                    {"d", "directory", "", "directories themselves, not what is in them"},
                    {"h", "human-readable", "", "with -l: sizes such as 1.5M"},
                    {"n", "numeric", "", "with -l: owner and group as numbers"},
                    {"i", "inode", "", "the inode number before each name"},
                    {"r", "reverse", "", "the other way around"},
                    {"S", "", "", "largest first"},
                    {"t", "", "", "newest first, by the time of modification"},
                    {"1", "", "", "one name a line, on a terminal too"},
                    {"", "json", "", "an array of objects: name, path and all attributes"}},
                   "[PATH...]",
                   0,
                   -1,
                   Operands::kRemote,
                   "list directories (default: the current one)",
                   "Sorted by name. On a terminal names stand side by side.\n",
                   run_ls});
  table.push_back({"readlink",
                   {},
                   "PATH...",
                   1,
                   -1,
                   Operands::kRemote,
                   "show where symbolic links point",
                   "",
                   run_readlink});
  table.push_back(
      {"cd", {}, "[DIR]", 0, 1, Operands::kRemote, "change the directory (default /)", "", run_cd});
  table.push_back({"pwd", {}, "", 0, 0, Operands::kText, "show the directory", "", run_pwd});
}

}  // namespace shell
