// Commands on modes and owners: chmod, chown, chgrp.

#include <functional>

#include "cli/shell/shell.h"
#include "cli/shell/text/format.h"
#include "cli/shell/tree/walk.h"

namespace shell {
namespace {

constexpr auto kNobody = static_cast<uint32_t>(-1);  // of chown(2): unchanged

using Change = std::function<int(const std::string& path, const struct stat& st)>;

// Applies a change to a tree, each directory before what is in it.
class Changer final : public Visitor {
 public:
  Changer(Shell& shell, const Args& args, const Change& change)
      : shell_(shell), args_(args), change_(change) {}

  bool enter(const Visit& visit) override {
    status_ |= change_(visit.path, visit.attributes);
    return true;
  }
  void failed(const std::string& path, const myfs::Error& error) override {
    status_ |= shell_.fail(args_, path, error);
  }
  bool stopped() const override { return shell_.stopped(); }
  int status() const { return status_; }

 private:
  Shell& shell_;
  const Args& args_;
  const Change& change_;
  int status_ = 0;
};

// Applies it to each path; with -R to all below, and then to links as such; else to what links
// point to unless `links`.
int change_all(Shell& shell, const Args& args, const std::vector<std::string>& paths, bool links,
               const Change& change) {
  int status = 0;
  for (const std::string& path : paths) {
    if (args.has("R")) {
      Changer changer(shell, args, change);
      walk(shell, path, false, changer);
      status |= changer.status();
      continue;
    }
    auto st =
        links ? shell.task().lstat(path, shell.call()) : shell.task().stat(path, shell.call());
    status |= st ? change(path, *st) : shell.fail(args, path, st.error());
  }
  return status;
}

int run_chmod(Shell& shell, const Args& args) {
  mode_t mode = 0;
  mode_t mask = shell.task().umask(0);
  shell.task().umask(mask);
  const std::string& text = args.words[0];
  if (!parse_mode(text, 0, &mode, mask)) {
    return shell.wrong(args, text + ": must be octal up to 7777, or like u+x,go-w");
  }
  std::vector<std::string> paths(args.words.begin() + 1, args.words.end());
  return change_all(shell, args, paths, false, [&](const std::string& path, const struct stat& st) {
    if (S_ISLNK(st.st_mode)) return 0;
    parse_mode(text, st.st_mode, &mode, mask);
    auto changed = shell.task().chmod(path, mode, shell.call());
    return changed ? 0 : shell.fail(args, path, changed.error());
  });
}

int change_owner(Shell& shell, const Args& args, uid_t uid, gid_t gid) {
  bool links = args.has("h") || args.has("R");
  std::vector<std::string> paths(args.words.begin() + 1, args.words.end());
  return change_all(shell, args, paths, links, [&](const std::string& path, const struct stat&) {
    auto changed = links ? shell.task().lchown(path, uid, gid, shell.call())
                         : shell.task().chown(path, uid, gid, shell.call());
    return changed ? 0 : shell.fail(args, path, changed.error());
  });
}

int run_chown(Shell& shell, const Args& args) {
  uid_t uid = kNobody;
  gid_t gid = kNobody;
  const std::string& owner = args.words[0];
  size_t colon = owner.find(':');
  std::string user = owner.substr(0, colon);
  std::string group = colon == std::string::npos ? "" : owner.substr(colon + 1);
  if ((!user.empty() && !parse_user(user, &uid)) || (!group.empty() && !parse_group(group, &gid)) ||
      (user.empty() && group.empty())) {
    return shell.wrong(args, owner + ": must be USER, USER:GROUP or :GROUP, names or numbers");
  }
  return change_owner(shell, args, uid, gid);
}

int run_chgrp(Shell& shell, const Args& args) {
  gid_t gid = kNobody;
  if (!parse_group(args.words[0], &gid)) {
    return shell.wrong(args, args.words[0] + ": must be a group, its name or number");
  }
  return change_owner(shell, args, kNobody, gid);
}

std::vector<Option> owner_options() {
  return {{"R", "recursive", "", "all below, too; of links themselves"},
          {"h", "no-dereference", "", "of a symbolic link itself"}};
}

}  // namespace

void add_attribute_commands(std::vector<Command>& table) {
  table.push_back(
      {"chmod",
       {{"R", "recursive", "", "all below, too; not where links lead"}},
       "MODE PATH...",
       2,
       -1,
       Operands::kTextRemote,
       "set the mode",
       "MODE is octal up to 7777, or [ugoa][+-=][rwxXstugo] with commas between: u+x,go-w.\n"
       "Without one of ugoa the bits of the umask stay as they are.\n",
       run_chmod,
       false,
       "-+=,rwxXstugoa01234567"});
  table.push_back({"chown", owner_options(), "[USER][:GROUP] PATH...", 2, -1, Operands::kTextRemote,
                   "set owner and group",
                   "Names are those of the local system; numbers are taken as they are.\n",
                   run_chown});
  table.push_back(
      {"chgrp", owner_options(), "GROUP PATH...", 2, -1, Operands::kTextRemote, "set the group",
       "Names are those of the local system; numbers are taken as they are.\n", run_chgrp});
}

}  // namespace shell
