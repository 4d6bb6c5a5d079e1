// Commands on whole trees: tree, du.

#include <algorithm>
#include <charconv>
#include <climits>
#include <memory>
#include <set>
#include <utility>

#include "cli/shell/shell.h"
#include "cli/shell/text/format.h"
#include "cli/shell/text/json.h"
#include "cli/shell/tree/walk.h"

namespace shell {
namespace {

// The value of an option that is a number of levels; false: it is none.
bool take_levels(const Args& args, const char* option, int* levels) {
  const std::string* text = args.value(option);
  if (text == nullptr) return true;
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), *levels);
  return error == std::errc() && end == text->data() + text->size() && *levels >= 0;
}

class TreePrinter {
 public:
  TreePrinter(Shell& shell, const Args& args, int levels)
      : shell_(shell), args_(args), levels_(levels) {}

  void run(const std::string& path) {
    auto st = shell_.task().stat(path, shell_.call());
    if (!st) {
      status_ = shell_.fail(args_, path, st.error());
      return;
    }
    shell_.out().write(shell_.out().shown(path) + "\n");
    ++(S_ISDIR(st->st_mode) ? directories_ : files_);
    if (S_ISDIR(st->st_mode)) below(path, "", 1);
  }

  int finish() {
    if (shell_.stopped()) return kFailed;
    if (args_.has("noreport")) return status_;
    shell_.out().print("\n%zu director%s", directories_, directories_ == 1 ? "y" : "ies");
    if (!args_.has("d")) shell_.out().print(", %zu file%s", files_, files_ == 1 ? "" : "s");
    shell_.out().write("\n");
    return status_;
  }

 private:
  struct Branch {
    Listed entry;
    std::string path;
    std::string target;  // of a symbolic link
    bool is_directory;   // or a link to one
  };

  std::vector<Branch> branches(const std::string& path) {
    std::vector<Branch> result;
    auto entries = list_attributes(shell_, path);
    if (!entries) {
      status_ = shell_.fail(args_, path, entries.error());
      return result;
    }
    for (Listed& entry : *entries) {
      if (entry.name[0] == '.' && !args_.has("a")) continue;
      Branch branch{entry, join(path, entry.name), "", S_ISDIR(entry.attributes.st_mode)};
      if (S_ISLNK(entry.attributes.st_mode)) {
        auto target = shell_.task().readlink(branch.path, shell_.call());
        if (target) branch.target = *target;
        auto st = shell_.task().stat(branch.path, shell_.call());
        branch.is_directory = st && S_ISDIR(st->st_mode);
      }
      if (branch.is_directory || !args_.has("d")) result.push_back(std::move(branch));
    }
    if (args_.has("dirsfirst")) {
      std::stable_partition(result.begin(), result.end(),
                            [](const Branch& branch) { return branch.is_directory; });
    }
    return result;
  }

  void below(const std::string& path, const std::string& indent, int level) {
    if (level > levels_) return;
    std::vector<Branch> all = branches(path);
    for (size_t i = 0; i < all.size() && !shell_.stopped(); ++i) {
      const Branch& branch = all[i];
      bool last = i + 1 == all.size();
      std::string line = indent + (last ? "└── " : "├── ");
      line += shell_.out().shown(args_.has("f") ? branch.path : branch.entry.name);
      if (!branch.target.empty()) line += " -> " + shell_.out().shown(branch.target);
      shell_.out().write(line + "\n");
      ++(branch.is_directory ? directories_ : files_);
      if (S_ISDIR(branch.entry.attributes.st_mode)) {
        below(branch.path, indent + (last ? "    " : "│   "), level + 1);
      }
    }
  }

  Shell& shell_;
  const Args& args_;
  const int levels_;
  size_t directories_ = 0, files_ = 0;
  int status_ = 0;
};

int run_tree(Shell& shell, const Args& args) {
  int levels = INT_MAX;
  if (!take_levels(args, "L", &levels) || levels == 0) {
    return shell.wrong(args, "-L must be a number of levels from 1 on");
  }
  TreePrinter printer(shell, args, levels);
  if (args.words.empty()) printer.run(".");
  for (const std::string& path : args.words) {
    if (!shell.stopped()) printer.run(path);
  }
  return printer.finish();
}

// Sums up what trees use; a file with several names counts once.
class DiskUsage final : public Visitor {
 public:
  DiskUsage(Shell& shell, const Args& args, int levels, JsonArray* json)
      : shell_(shell), args_(args), levels_(levels), json_(json) {}

  bool enter(const Visit& visit) override {
    const struct stat& st = visit.attributes;
    bool directory = S_ISDIR(st.st_mode);
    if (!args_.has("l") && !seen_.insert({st.st_dev, st.st_ino}).second) return false;
    uint64_t bytes = args_.has("apparent-size") || args_.has("b")
                         ? apparent_size(st)
                         : static_cast<uint64_t>(st.st_blocks) * 512;
    if (directory) {
      open_.push_back(bytes);
    } else {
      add(bytes);
      if (args_.has("a") || visit.depth == 0) print(visit, bytes);
    }
    return true;
  }
  void leave(const Visit& visit) override {
    if (open_.size() != static_cast<size_t>(visit.depth) + 1) return;  // it has been counted before
    uint64_t bytes = open_.back();
    open_.pop_back();
    add(bytes);
    print(visit, bytes);
  }
  void failed(const std::string& path, const myfs::Error& error) override {
    status_ = shell_.fail(args_, path, error);
  }
  bool stopped() const override { return shell_.stopped(); }

  int finish() {
    if (args_.has("c") && !stopped()) print_line("total", total_);
    return status_;
  }

 private:
  static uint64_t apparent_size(const struct stat& st) {
    bool counts = S_ISREG(st.st_mode) || S_ISLNK(st.st_mode);
    return counts ? static_cast<uint64_t>(st.st_size) : 0;
  }

  void add(uint64_t bytes) { (open_.empty() ? total_ : open_.back()) += bytes; }

  void print(const Visit& visit, uint64_t bytes) {
    if (visit.depth <= levels_) print_line(visit.path, bytes);
  }

  void print_line(const std::string& path, uint64_t bytes) {
    if (json_ != nullptr) {
      JsonObject object;
      object.add("path", path).add("bytes", bytes);
      json_->add(object);
      return;
    }
    uint64_t unit = args_.has("b") ? 1 : args_.has("m") ? 1 << 20 : 1 << 10;
    std::string size =
        args_.has("h") ? human_size(bytes) : std::to_string((bytes + unit - 1) / unit);
    shell_.out().write(size + "\t" + shell_.out().shown(path) + "\n");
  }

  Shell& shell_;
  const Args& args_;
  const int levels_;
  JsonArray* const json_;
  std::set<std::pair<dev_t, ino_t>> seen_;
  std::vector<uint64_t> open_;  // sums of the directories that we are in
  uint64_t total_ = 0;
  int status_ = 0;
};

int run_du(Shell& shell, const Args& args) {
  int levels = args.has("s") ? 0 : INT_MAX;
  if (!take_levels(args, "d", &levels)) {
    return shell.wrong(args, "-d must be a number of levels from 0 on");
  }
  if (args.has("s") && (args.has("a") || args.has("d"))) {
    return shell.wrong(args, "-s goes with neither -a nor -d");
  }
  std::unique_ptr<JsonArray> json;
  if (args.has("json")) json = std::make_unique<JsonArray>(shell.out());
  DiskUsage usage(shell, args, levels, json.get());
  std::vector<std::string> paths = args.words;
  if (paths.empty()) paths.push_back(".");
  for (const std::string& path : paths) {
    if (!shell.stopped()) walk(shell, path, args.has("x"), usage);
  }
  return usage.finish();
}

// What the server counts, which asks for no name.
int run_dirstat(Shell& shell, const Args& args) {
  std::unique_ptr<JsonArray> json;
  if (args.has("json")) json = std::make_unique<JsonArray>(shell.out());
  std::vector<std::string> paths = args.words;
  if (paths.empty()) paths.push_back(".");
  int status = 0;
  for (const std::string& path : paths) {
    auto counted = shell.task().dirstats(path, !args.has("1"), shell.call());
    if (!counted) {
      status = shell.fail(args, path, counted.error());
    } else if (json != nullptr) {
      JsonObject object;
      object.add("path", path)
          .add("entries", counted->entries)
          .add("directories", counted->subdirs);
      json->add(object.add("bytes", counted->bytes));
    } else {
      shell.out().write(std::to_string(counted->entries) + " entries, " +
                        std::to_string(counted->subdirs) + " directories, " +
                        std::to_string(counted->bytes) + " bytes\t" + shell.out().shown(path) +
                        "\n");
    }
  }
  return status;
}

int run_refresh(Shell& shell, const Args& args) {
  int status = 0;
  for (const std::string& path : args.words) {
    auto done = shell.task().refresh(path, shell.call());
    if (!done) status = shell.fail(args, path, done.error());
  }
  return status;
}

}  // namespace

void add_tree_commands(std::vector<Command>& table) {
  table.push_back({"tree",
                   {{"a", "", "", "names with a leading dot, too"},
                    {"d", "", "", "directories only"},
                    {"f", "", "", "whole paths"},
                    {"L", "", "LEVELS", "go no deeper than this"},
                    {"", "dirsfirst", "", "directories before files"},
                    {"", "noreport", "", "without the count at the end"}},
                   "[DIR...]",
                   0,
                   -1,
                   Operands::kRemote,
                   "draw trees",
                   "Symbolic links are not followed; one to a directory counts as a directory.\n",
                   run_tree});
  table.push_back(
      {"du",
       {{"a", "all", "", "all files, too"},
        {"s", "summarize", "", "only the sum of each PATH"},
        {"h", "human-readable", "", "sizes such as 1.5M"},
        {"c", "total", "", "a line with the sum of all"},
        {"d", "max-depth", "LEVELS", "print no deeper than this"},
        {"x", "one-file-system", "", "not what is mounted below"},
        {"l", "count-links", "", "count a file as often as it has names"},
        {"b", "bytes", "", "as --apparent-size, in bytes"},
        {"k", "", "", "in KiB (the default)"},
        {"m", "", "", "in MiB"},
        {"", "apparent-size", "", "lengths of files and links instead of the space they take"},
        {"", "json", "", "an array of objects: path, bytes"}},
       "[PATH...]",
       0,
       -1,
       Operands::kRemote,
       "sum up the space that trees take (default: here)",
       "Contents come before their directory; a file with several names counts once.\n",
       run_du});
  table.push_back({"dirstat",
                   {{"1", "", "", "the directory alone, not what is below"},
                    {"", "json", "", "an array of objects: path, entries, directories, bytes"}},
                   "[DIR...]",
                   0,
                   -1,
                   Operands::kRemote,
                   "count entries, directories and bytes below (default: here), at the server",
                   "Bytes are lengths of regular files, each once. du looks at every file.\n",
                   run_dirstat});
  table.push_back({"refresh",
                   {},
                   "DIR...",
                   1,
                   -1,
                   Operands::kRemote,
                   "forget what is cached of directories and read them again",
                   "",
                   run_refresh});
}

}  // namespace shell
