// The command find: walks trees and applies an expression to each entry.

#include <algorithm>
#include <memory>
#include <utility>

#include "cli/shell/commands/find_expression.h"
#include "cli/shell/shell.h"
#include "cli/shell/text/attributes.h"
#include "cli/shell/text/format.h"
#include "cli/shell/text/json.h"
#include "cli/shell/tree/walk.h"

namespace shell {
namespace {

class Finder final : public Visitor, public FindWorld {
 public:
  Finder(Shell& shell, const Args& args, const FindPlan& plan, JsonArray* json)
      : shell_(shell), args_(args), plan_(plan), json_(json) {}

  int status() const { return status_; }

  // Visitor
  bool enter(const Visit& visit) override {
    pruned_ = false;
    bool later = plan_.depth_first && S_ISDIR(visit.attributes.st_mode);
    if (!later) apply(visit);
    return visit.depth < plan_.max_depth && (!pruned_ || plan_.depth_first);
  }
  void leave(const Visit& visit) override {
    if (plan_.depth_first) apply(visit);
  }
  void failed(const std::string& path, const myfs::Error& error) override {
    status_ = shell_.fail(args_, path, error);
  }
  bool stopped() const override { return quit_ || shell_.stopped(); }

  // FindWorld
  bool is_empty_directory(const FindFile& file) override {
    auto dir = shell_.task().open_dir(file.path, shell_.call());
    if (!dir) return failed(file.path, dir.error()), false;
    while (true) {
      auto entry = dir->next(shell_.call());
      if (!entry) return failed(file.path, entry.error()), false;
      if (!entry->has_value()) return true;
      if ((*entry)->name() != "." && (*entry)->name() != "..") return false;
    }
  }
  std::string link_target(const FindFile& file) override {
    auto target = shell_.task().readlink(file.path, shell_.call());
    if (!target) failed(file.path, target.error());
    return target ? *target : std::string();
  }
  void print(const FindFile& file, char end) override {
    if (json_ == nullptr) {
      std::string line = end == '\n' ? shell_.out().shown(file.path) : file.path;
      line.push_back(end);
      shell_.out().write(line);
      return;
    }
    JsonObject object;
    object.add("path", file.path).add("depth", static_cast<uint64_t>(file.depth));
    add_attributes(file.attributes, &object);
    json_->add(object);
  }
  void print_long(const FindFile& file) override {
    if (json_ != nullptr) return print(file, '\n');
    const struct stat& st = file.attributes;
    std::string target = S_ISLNK(st.st_mode) ? " -> " + link_target(file) : std::string();
    shell_.out().print("%9llu %6lld %s %s%s\n", static_cast<unsigned long long>(st.st_ino),
                       static_cast<long long>((st.st_blocks + 1) / 2), long_line(st).c_str(),
                       shell_.out().shown(file.path).c_str(), shell_.out().shown(target).c_str());
  }
  bool remove(const FindFile& file) override {
    if (file.path == ".") return true;
    auto removed = S_ISDIR(file.attributes.st_mode)
                       ? shell_.task().rmdir(file.path, shell_.call())
                       : shell_.task().unlink(file.path, shell_.call());
    if (!removed) failed(file.path, removed.error());
    return removed.ok();
  }
  void prune() override { pruned_ = true; }
  void quit() override { quit_ = true; }

 private:
  void apply(const Visit& visit) {
    if (visit.depth < plan_.min_depth || visit.depth > plan_.max_depth) return;
    plan_.test(FindFile{visit.path, visit.attributes, visit.depth}, *this);
  }

  Shell& shell_;
  const Args& args_;
  const FindPlan& plan_;
  JsonArray* const json_;
  bool pruned_ = false;
  bool quit_ = false;
  int status_ = 0;
};

int run_find(Shell& shell, const Args& args) {
  std::vector<std::string> words = args.words;
  size_t before = words.size();
  std::erase(words, "--json");
  bool as_json = words.size() < before;
  size_t starts = find_starting_points(words);
  std::vector<std::string> paths(words.begin(), words.begin() + static_cast<ptrdiff_t>(starts));
  words.erase(words.begin(), words.begin() + static_cast<ptrdiff_t>(starts));
  if (paths.empty()) paths.push_back(".");

  FindContext context{};
  ::clock_gettime(CLOCK_REALTIME, &context.now);
  context.stat = [&](const std::string& path, struct stat* st) {
    auto found = shell.task().stat(path, shell.call());
    if (found) *st = *found;
    return found.ok();
  };
  FindPlan plan;
  std::string error = parse_find(words, context, &plan);
  if (!error.empty()) return shell.wrong(args, error);
  std::unique_ptr<JsonArray> json;
  if (as_json) json = std::make_unique<JsonArray>(shell.out());
  Finder finder(shell, args, plan, json.get());
  for (const std::string& path : paths) {
    if (!finder.stopped()) walk(shell, path, plan.one_file_system, finder);
  }
  return finder.status();
}

constexpr char kDetails[] =
    "Without an action -print is meant. Symbolic links are not followed. The order is that of the\n"
    "names. Patterns in PATH are expanded, those in the expression are find's own.\n"
    "\n"
    "Tests (N: exactly; +N: more; -N: less):\n"
    "  -name -iname PATTERN    the last component; with i regardless of upper and lower case\n"
    "  -path -wholename -ipath PATTERN   the whole path; * matches / too\n"
    "  -lname -ilname PATTERN  a symbolic link's target\n"
    "  -type f,d,l,p,s,c,b     file, directory, link, fifo, socket, character, block device\n"
    "  -size N[cwbkMG]         bytes, words, 512-byte blocks (default), KiB, MiB, GiB; rounded up\n"
    "  -empty                  a file without bytes, a directory without entries\n"
    "  -perm MODE -MODE /MODE  exactly these bits; all of them; any of them. 644 or u+x\n"
    "  -mtime -atime -ctime N  days since modification, access, change; fractions are left out\n"
    "  -mmin -amin -cmin N     the same in minutes\n"
    "  -newer -anewer -cnewer FILE   modified, accessed, changed after FILE was modified\n"
    "  -newermt TIME           modified after TIME (see `help touch`)\n"
    "  -user -group NAME       owner, group; or their numbers\n"
    "  -uid -gid -links -inum N\n"
    "  -nouser -nogroup        owned by a number without a name\n"
    "  -true -false\n"
    "Actions:\n"
    "  -print -print0          the path and a newline, or a zero byte\n"
    "  -ls                     all attributes, as ls -il shows them\n"
    "  -delete                 removes it; contents come before their directory\n"
    "  -prune                  goes into this directory no further\n"
    "  -quit                   ends at once\n"
    "Joined by, first what binds most: ( EXPR ), ! EXPR or -not, EXPR EXPR or -a, EXPR -o EXPR.\n"
    "For all: -maxdepth N, -mindepth N, -depth (contents first), -xdev (one file system),\n"
    "--json (an array of objects: path, depth and all attributes).\n"
    "There is no -exec: pipe the paths of -print0 to a local program.\n";

}  // namespace

void add_find_commands(std::vector<Command>& table) {
  table.push_back({"find",
                   {},
                   "[PATH...] [EXPRESSION]",
                   0,
                   -1,
                   Operands::kFind,
                   "find entries below PATH (default: here) by their names and attributes",
                   kDetails,
                   run_find,
                   true});
}

}  // namespace shell
