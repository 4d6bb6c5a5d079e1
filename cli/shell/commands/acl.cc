// Commands on access control lists: getfacl, setfacl.

#include <cerrno>
#include <optional>

#include "cli/shell/shell.h"
#include "cli/shell/text/acl.h"
#include "cli/shell/text/format.h"
#include "cli/shell/tree/walk.h"
#include "cli/shell/tree/xattrs.h"

namespace shell {
namespace {

constexpr char kAccess[] = "system.posix_acl_access", kDefault[] = "system.posix_acl_default";

// The two lists of a file. A server without ACLs has those of the mode.
struct Lists {
  Acl access, defaults;  // defaults of a directory alone; empty: none
};

// An empty list if there is none; a value: what went wrong.
std::optional<std::string> read_list(Shell& shell, const std::string& path, const char* name,
                                     Acl* acl) {
  auto bytes = get_xattr(shell, path, name, Links::kFollow);
  if (bytes) {
    if (Acl::decode(*bytes, acl)) return std::nullopt;
    return std::string(name) + " is no access control list";
  }
  int error = bytes.error().value();
  *acl = Acl();
  if (error == ENODATA || error == EOPNOTSUPP) return std::nullopt;
  return bytes.error().message();
}

bool read_lists(Shell& shell, const Args& args, const std::string& path, const struct stat& st,
                Lists* lists) {
  auto error = read_list(shell, path, kAccess, &lists->access);
  if (lists->access.empty()) lists->access = Acl::from_mode(st.st_mode);
  if (!error && S_ISDIR(st.st_mode)) error = read_list(shell, path, kDefault, &lists->defaults);
  if (error) shell.fail(args, path, *error);
  return !error;
}

// Applies a command to each path, with -R to all below; links are passed over there.
class AclVisitor : public Visitor {
 public:
  AclVisitor(Shell& shell, const Args& args) : shell_(shell), args_(args) {}

  int run() {
    for (const std::string& path : args_.words) {
      if (stopped()) break;
      if (args_.has("R")) {
        walk(shell_, path, false, *this);
        continue;
      }
      auto st = shell_.task().stat(path, shell_.call());
      status_ |= st ? apply(path, *st) : shell_.fail(args_, path, st.error());
    }
    return status_;
  }

  bool enter(const Visit& visit) override {
    if (!S_ISLNK(visit.attributes.st_mode)) status_ |= apply(visit.path, visit.attributes);
    return true;
  }
  void failed(const std::string& path, const myfs::Error& error) override {
    status_ |= shell_.fail(args_, path, error);
  }
  bool stopped() const override { return shell_.stopped(); }

 protected:
  virtual int apply(const std::string& path, const struct stat& st) = 0;

  Shell& shell_;
  const Args& args_;

 private:
  int status_ = 0;
};

class AclPrinter final : public AclVisitor {
 public:
  using AclVisitor::AclVisitor;

 private:
  int apply(const std::string& path, const struct stat& st) override {
    Lists lists;
    if (!read_lists(shell_, args_, path, st, &lists)) return kFailed;
    bool numeric = args_.has("n");
    std::string text;
    if (!args_.has("c")) text = header(path, st, numeric);
    // With one of the two options no prefix is needed to tell them apart.
    if (!args_.has("d")) text += lists.access.text("", numeric);
    if (!args_.has("a")) text += lists.defaults.text(args_.has("d") ? "" : "default:", numeric);
    shell_.out().write(text + "\n");
    return 0;
  }

  std::string header(const std::string& path, const struct stat& st, bool numeric) const {
    std::string text = "# file: " + shell_.out().shown(path) + "\n";
    text += "# owner: " + (numeric ? std::to_string(st.st_uid) : user_text(st.st_uid)) + "\n";
    text += "# group: " + (numeric ? std::to_string(st.st_gid) : group_text(st.st_gid)) + "\n";
    if ((st.st_mode & 07000) == 0) return text;
    std::string flags = "sst";
    for (size_t i = 0; i < 3; ++i) {
      if ((st.st_mode & (04000u >> i)) == 0) flags[i] = '-';
    }
    return text + "# flags: " + flags + "\n";
  }
};

int run_getfacl(Shell& shell, const Args& args) { return AclPrinter(shell, args).run(); }

// What one setfacl does to each file.
struct AclEdit {
  bool remove_extended = false, remove_defaults = false, replace = false, keep_mask = false;
  std::vector<AclChange> removals, changes;
};

class AclEditor final : public AclVisitor {
 public:
  AclEditor(Shell& shell, const Args& args, const AclEdit& edit)
      : AclVisitor(shell, args), edit_(edit) {}

 private:
  int apply(const std::string& path, const struct stat& st) override {
    Lists lists;
    if (!read_lists(shell_, args_, path, st, &lists)) return kFailed;
    Acl access = lists.access, defaults = lists.defaults;
    if (edit_.remove_extended) access.remove_extended();
    if (edit_.remove_defaults) defaults = Acl();
    if (edit_.replace) replace(&access, &defaults);
    if (!change(path, st, false, access, &access)) return kFailed;
    if (S_ISDIR(st.st_mode)) {
      if (!change(path, st, true, access, &defaults)) return kFailed;
    } else if (touches(true) && !args_.has("R")) {
      return shell_.fail(args_, path, "only directories have a default list");
    }
    if (access.encode() != lists.access.encode() && write_access(path, st, access) != 0) {
      return kFailed;
    }
    return defaults.encode() != lists.defaults.encode() ? write_defaults(path, defaults) : 0;
  }

  // --set: the entries given are all; what a mode says must be among them.
  void replace(Acl* access, Acl* defaults) const {
    for (const AclChange& change : edit_.changes) *(change.of_default ? defaults : access) = Acl();
  }

  bool touches(bool of_default) const {
    auto same = [&](const AclChange& change) { return change.of_default == of_default; };
    for (const auto* list : {&edit_.removals, &edit_.changes}) {
      for (const AclChange& change : *list) {
        if (same(change)) return true;
      }
    }
    return false;
  }

  // Removals, then changes, then the mask. False: it has complained.
  bool change(const std::string& path, const struct stat& st, bool of_default, const Acl& access,
              Acl* acl) {
    if (!touches(of_default)) return true;
    bool mask_given = false;
    for (const AclChange& removal : edit_.removals) {
      if (removal.of_default != of_default) continue;
      acl->remove(removal.entry.tag, removal.entry.id);
      mask_given = mask_given || removal.entry.tag == AclTag::kMask;
    }
    for (const AclChange& change : edit_.changes) {
      if (change.of_default != of_default) continue;
      AclEntry entry = change.entry;
      bool executable = S_ISDIR(st.st_mode) || (st.st_mode & 0111) != 0;
      if (entry.conditional_execute && executable) entry.permissions |= 1;
      entry.conditional_execute = false;
      acl->set(entry);
      mask_given = mask_given || entry.tag == AclTag::kMask;
    }
    // A new default list begins with what the access list says.
    if (of_default && !acl->empty()) complete(access, acl);
    if (!mask_given && (!edit_.keep_mask || acl->find(AclTag::kMask) == nullptr)) {
      acl->recalculate_mask();
    }
    std::string complaint = acl->empty() && of_default ? "" : acl->complaint();
    if (!complaint.empty()) shell_.fail(args_, path, "the list would be wrong: " + complaint);
    return complaint.empty();
  }

  static void complete(const Acl& access, Acl* acl) {
    for (AclTag tag : {AclTag::kUserObj, AclTag::kGroupObj, AclTag::kOther}) {
      const AclEntry* entry = access.find(tag);
      if (acl->find(tag) == nullptr && entry != nullptr) acl->set(*entry);
    }
  }

  int write_access(const std::string& path, const struct stat& st, const Acl& acl) {
    auto done = set_xattr(shell_, path, kAccess, acl.encode(), Links::kFollow);
    if (!done && done.error().value() == EOPNOTSUPP && acl.is_minimal()) {
      done = shell_.task().chmod(path, (st.st_mode & 07000) | acl.mode(), shell_.call());
    }
    return done ? 0 : shell_.fail(args_, path, done.error());
  }

  int write_defaults(const std::string& path, const Acl& acl) {
    auto done = acl.empty() ? remove_xattr(shell_, path, kDefault, Links::kFollow)
                            : set_xattr(shell_, path, kDefault, acl.encode(), Links::kFollow);
    if (done || (acl.empty() && done.error().value() == ENODATA)) return 0;
    return shell_.fail(args_, path, done.error());
  }

  const AclEdit& edit_;
};

// Reads the entries of an option; false: *status tells that they are wrong.
bool take_entries(Shell& shell, const Args& args, const char* option,
                  std::vector<AclChange>* changes, int* status) {
  for (const std::string& text : args.values(option)) {
    std::string error;
    if (!parse_acl(text, std::string_view(option) != "x", changes, &error)) {
      *status = shell.wrong(args, error);
      return false;
    }
  }
  return true;
}

int run_setfacl(Shell& shell, const Args& args) {
  AclEdit edit;
  edit.remove_extended = args.has("b");
  edit.remove_defaults = args.has("b") || args.has("k");
  edit.replace = args.has("set");
  edit.keep_mask = args.has("n");
  int status = 0;
  bool good = take_entries(shell, args, "x", &edit.removals, &status) &&
              take_entries(shell, args, "set", &edit.changes, &status) &&
              take_entries(shell, args, "m", &edit.changes, &status);
  if (!good) return status;
  if (args.has("d")) {
    for (AclChange& change : edit.removals) change.of_default = true;
    for (AclChange& change : edit.changes) change.of_default = true;
  }
  if (edit.removals.empty() && edit.changes.empty() && !edit.remove_defaults) {
    return shell.wrong(args, "one of -m, -x, --set, -b and -k is needed");
  }
  return AclEditor(shell, args, edit).run();
}

}  // namespace

void add_acl_commands(std::vector<Command>& table) {
  table.push_back({"getfacl",
                   {{"a", "access", "", "only the access list"},
                    {"d", "default", "", "only the default list"},
                    {"c", "omit-header", "", "without the lines that begin with #"},
                    {"n", "numeric", "", "users and groups as numbers"},
                    {"R", "recursive", "", "all below, too"}},
                   "PATH...",
                   1,
                   -1,
                   Operands::kRemote,
                   "show access control lists",
                   "What the mask takes away stands behind #effective.\n",
                   run_getfacl});
  table.push_back(
      {"setfacl",
       {{"m", "modify", "ACL", "add or change these entries"},
        {"x", "remove", "ACL", "remove these entries; without permissions: u:joe,m"},
        {"", "set", "ACL", "these entries in place of all"},
        {"b", "remove-all", "", "remove all that a mode does not say"},
        {"k", "remove-default", "", "remove the default list"},
        {"d", "default", "", "the entries are of the default list"},
        {"n", "no-mask", "", "leave the mask as it is"},
        {"R", "recursive", "", "all below, too; not where links lead"}},
       "PATH...",
       1,
       -1,
       Operands::kRemote,
       "change access control lists",
       "ACL is a list of [d:]u:[USER]:rwx, [d:]g:[GROUP]:rwx, [d:]m::rwx and [d:]o::rwx,\n"
       "separated by commas; d: is of the default list, X is x where it makes sense. First\n"
       "-b and -k are done, then --set, -x and -m; at last the mask becomes all that the\n"
       "entries of groups and named users grant, unless it was given.\n",
       run_setfacl});
}

}  // namespace shell
