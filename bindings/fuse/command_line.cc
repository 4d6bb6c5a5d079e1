#include "bindings/fuse/command_line.h"

#include <errno.h>
#include <limits.h>
#include <myfs/myfs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string_view>
#include <vector>

namespace bridge {

namespace {

constexpr std::string_view kKernelOptions[] = {"dev",  "nodev",   "suid",    "nosuid",
                                               "exec", "noexec",  "atime",   "noatime",
                                               "sync", "dirsync", "relatime"};
constexpr std::string_view kRefused[] = {"kernel_cache", "auto_cache", "writeback_cache"};

constexpr char kFooter[] = R"(
Options after -o:
  allow_other           users other than the one who mounts may use the mount
  ro, rw                read only; both (the default)
  lease_cache           the kernel keeps names and attributes while leases cover them
  default_permissions   the kernel checks permission, too, before the server does: also of who opens
                        a FIFO or a device, for which it asks nobody else
  dev, nodev, suid, nosuid, exec, noexec, atime, noatime, relatime, sync, dirsync
                        as mount(8) has them; without them nosuid and nodev
  fsname=NAME           the source that /proc/mounts shows (the URL)
  and each option of a MyFS URL: soft, timeout=5s, rsize=1M, cache_size=256M, write_policy=sync,
  secret_file=PATH, ...

The server checks each caller's uid, gid and groups; run as root, or as the user who runs the
server, it may act for all of them, else for its own user only. fusermount3 -u MOUNTPOINT, SIGINT
and SIGTERM end the mount. Exit status: 0 unmounted, or mounted in the background; 1 failure; 2
wrong usage.)";

void append(std::string* list, std::string_view item) {
  if (!list->empty()) *list += ',';
  *list += item;
}

template <size_t N>
bool contains(const std::string_view (&list)[N], std::string_view item) {
  return std::find(list, list + N, item) != list + N;
}

bool fail(const std::string& message) {
  fprintf(stderr, "myfs-fuse: %s\n", message.c_str());
  return false;
}

bool take_option(const std::string& option, CommandLine* line) {
  if (option.empty()) return true;
  if (contains(kRefused, option)) {
    return fail("option " + option + ": not possible: leases decide what is cached");
  }
  if (option == "allow_other") {
    line->allow_other = true;
  } else if (option == "lease_cache") {
    line->lease_cache = true;
  } else if (option == "default_permissions") {
    line->kernel_checks = true;
    append(&line->kernel_options, option);
  } else if (option.starts_with("fsname=") || contains(kKernelOptions, option)) {
    append(&line->kernel_options, option);
  } else {
    if (option == "ro") line->read_only = true;
    append(&line->library_options, option);
  }
  return true;
}

bool find_mountpoint(CommandLine* line) {
  char path[PATH_MAX];
  struct stat stat;
  if (realpath(line->mountpoint.c_str(), path) == nullptr || ::stat(path, &stat) != 0) {
    return fail(line->mountpoint + ": " + strerror(errno));
  }
  if (!S_ISDIR(stat.st_mode)) return fail(line->mountpoint + ": " + strerror(ENOTDIR));
  line->mountpoint = path;
  return true;
}

}  // namespace

bool parse_command_line(int argc, char** argv, CommandLine* line, int* status) {
  CLI::App app("Mounts a MyFS file system through the kernel's FUSE.", "myfs-fuse");
  std::vector<std::string> options;
  app.add_option("URL", line->url,
                 "myfs://HOST[:PORT]/[SUBDIR], myfs+unix:/PATH/TO/SOCKET, embedded:/DATA/DIR")
      ->required();
  app.add_option("MOUNTPOINT", line->mountpoint, "A directory")->required();
  app.add_flag("-f", line->foreground,
               "Stay in the foreground, and say on stdout when the mount stands");
  app.add_flag("-d", line->debug, "Show each request on stderr; stays in the foreground");
  app.add_option("-o", options, "Options, comma separated; may be repeated")
      ->delimiter(',')
      ->take_all()
      ->allow_extra_args(false);
  app.set_version_flag("-V,--version", std::string("myfs-fuse ") + myfs_version());
  app.footer(kFooter);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    *status = app.exit(error) == 0 ? kExitOk : kExitUsage;
    return false;
  }
  *status = kExitUsage;
  for (const std::string& option : options) {
    if (!take_option(option, line)) return false;
  }
  if (!find_mountpoint(line)) return false;
  if (line->debug) line->foreground = true;
  return true;
}

}  // namespace bridge
