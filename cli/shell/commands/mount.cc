// Commands on what is mounted: mount, umount.

#include <sys/mount.h>

#include <algorithm>

#include "cli/shell/shell.h"
#include "cli/shell/text/json.h"

namespace shell {
namespace {

int list_mounts(Shell& shell, const Args& args) {
  if (args.has("json")) {
    JsonArray json(shell.out());
    for (const MountPoint& mount : shell.mounts()) {
      JsonObject object;
      object.add("url", mount.url).add("path", mount.at).add("read_only", mount.read_only);
      json.add(object);
    }
    return 0;
  }
  for (const MountPoint& mount : shell.mounts()) {
    shell.out().print("%s on %s%s\n", mount.url.c_str(), shell.out().shown(mount.at).c_str(),
                      mount.read_only ? " (ro)" : "");
  }
  return 0;
}

int run_mount(Shell& shell, const Args& args) {
  if (args.words.empty()) return list_mounts(shell, args);
  if (args.words.size() == 1) return shell.wrong(args, "needs both URL and DIR");
  const std::string* given = args.value("o");
  std::string options = given != nullptr ? *given : "";
  std::string at = shell.absolute(args.words[1]);
  auto mounted = shell.task().mount(args.words[0], at, options);
  if (!mounted) return shell.fail(args, args.words[0], mounted.error());
  bool read_only = ("," + options + ",").find(",ro,") != std::string::npos;
  shell.mounts().push_back({at, args.words[0], read_only});
  return 0;
}

int run_umount(Shell& shell, const Args& args) {
  int flags = (args.has("f") ? MNT_FORCE : 0) | (args.has("l") ? MNT_DETACH : 0);
  int status = 0;
  for (const std::string& path : args.words) {
    std::string at = shell.absolute(path);
    if (at == "/") {
      status = shell.fail(args, path, "is the root of this shell; `exit` ends it");
      continue;
    }
    auto done = shell.task().umount(at, flags);
    if (!done) {
      status = shell.fail(args, path, done.error());
      continue;
    }
    // The last one mounted there is on top.
    auto& mounts = shell.mounts();
    auto found = std::find_if(mounts.rbegin(), mounts.rend(),
                              [&](const MountPoint& mount) { return mount.at == at; });
    if (found != mounts.rend()) mounts.erase(std::next(found).base());
  }
  return status;
}

}  // namespace

void add_mount_commands(std::vector<Command>& table) {
  table.push_back({"mount",
                   {{"o", "options", "OPTIONS", "mount options, comma separated: ro,rsize=1M"},
                    {"", "json", "", "the list as an array of objects: url, path, read_only"}},
                   "[URL DIR]",
                   0,
                   2,
                   Operands::kTextRemote,
                   "mount another file system at a directory; without words list them",
                   "Only this shell sees it, and only as long as it runs.\n",
                   run_mount});
  table.push_back({"umount",
                   {{"f", "force", "", "even if a server does not answer; data may be lost"},
                    {"l", "lazy", "", "even if it is in use"}},
                   "DIR...",
                   1,
                   -1,
                   Operands::kRemote,
                   "take a file system away again",
                   "",
                   run_umount});
}

}  // namespace shell
