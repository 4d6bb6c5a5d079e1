// Commands on the attributes of files and file systems: stat, df, statfs, stats.

#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include <iterator>
#include <memory>

#include "cli/shell/shell.h"
#include "cli/shell/text/attributes.h"
#include "cli/shell/text/format.h"
#include "cli/shell/text/json.h"

namespace shell {
namespace {

void print_stat(Shell& shell, const std::string& path, const struct stat& st) {
  Output& out = shell.out();
  out.print("  File: %s", out.shown(path).c_str());
  if (S_ISLNK(st.st_mode)) {
    auto target = shell.task().readlink(path, shell.call());
    if (target) out.print(" -> %s", out.shown(*target).c_str());
  }
  out.print("\n  Size: %lld\tBlocks: %lld\tIO Block: %ld\t%s\n", static_cast<long long>(st.st_size),
            static_cast<long long>(st.st_blocks), static_cast<long>(st.st_blksize),
            kind_text(st.st_mode));
  out.print(" Inode: %llu\tLinks: %llu", static_cast<unsigned long long>(st.st_ino),
            static_cast<unsigned long long>(st.st_nlink));
  if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
    out.print("\tDevice: %u,%u", major(st.st_rdev), minor(st.st_rdev));
  }
  out.print("\nAccess: (%04o/%s)\tUid: (%u/%s)\tGid: (%u/%s)\n", st.st_mode & 07777,
            mode_text(st.st_mode).c_str(), st.st_uid, user_text(st.st_uid).c_str(), st.st_gid,
            group_text(st.st_gid).c_str());
  out.print("Access: %s\nModify: %s\nChange: %s\n", time_text(st.st_atim).c_str(),
            time_text(st.st_mtim).c_str(), time_text(st.st_ctim).c_str());
}

int run_stat(Shell& shell, const Args& args) {
  std::unique_ptr<JsonArray> json;
  if (args.has("json")) json = std::make_unique<JsonArray>(shell.out());
  int status = 0;
  for (const std::string& path : args.words) {
    auto st = args.has("L") ? shell.task().stat(path, shell.call())
                            : shell.task().lstat(path, shell.call());
    if (!st) {
      status = shell.fail(args, path, st.error());
    } else if (json != nullptr) {
      JsonObject object;
      object.add("path", path);
      add_attributes(*st, &object);
      json->add(object);
    } else {
      print_stat(shell, path, *st);
    }
  }
  return status;
}

// The URL of the mount that the path leads into.
std::string url_of(Shell& shell, const std::string& path) {
  std::string url = shell.url();
  auto st = shell.task().stat(path, shell.call());
  for (const MountPoint& mount : shell.mounts()) {
    auto at = shell.task().stat(mount.at, shell.call());
    if (st && at && st->st_dev == at->st_dev) url = mount.url;
  }
  return url;
}

struct Space {
  std::string url;
  struct statfs fs;
  uint64_t bytes(uint64_t blocks) const { return blocks * static_cast<uint64_t>(fs.f_bsize); }
};

uint64_t percent(uint64_t used, uint64_t all) {
  return all == 0 ? 0 : (used * 100 + all - 1) / all;
}

void print_space(const Args& args, Output& out, const Space& space) {
  const struct statfs& fs = space.fs;
  bool inodes = args.has("i");
  uint64_t all = inodes ? fs.f_files : space.bytes(fs.f_blocks);
  uint64_t used = inodes ? fs.f_files - fs.f_ffree : space.bytes(fs.f_blocks - fs.f_bfree);
  uint64_t free = inodes ? fs.f_ffree : space.bytes(fs.f_bavail);
  auto text = [&](uint64_t number) {
    if (args.has("h")) return human_size(number);
    return std::to_string(inodes ? number : number / 1024);
  };
  out.print("%-32s %12s %12s %12s %4llu%%\n", space.url.c_str(), text(all).c_str(),
            text(used).c_str(), text(free).c_str(),
            static_cast<unsigned long long>(percent(used, used + free)));
}

JsonObject space_json(const std::string& path, const Space& space) {
  const struct statfs& fs = space.fs;
  JsonObject object;
  object.add("path", path)
      .add("url", space.url)
      .add("size_bytes", space.bytes(fs.f_blocks))
      .add("used_bytes", space.bytes(fs.f_blocks - fs.f_bfree))
      .add("available_bytes", space.bytes(fs.f_bavail))
      .add("block_bytes", static_cast<uint64_t>(fs.f_bsize))
      .add("blocks", uint64_t{fs.f_blocks})
      .add("blocks_free", uint64_t{fs.f_bfree})
      .add("blocks_available", uint64_t{fs.f_bavail})
      .add("files", uint64_t{fs.f_files})
      .add("files_free", uint64_t{fs.f_ffree})
      .add("name_max", static_cast<uint64_t>(fs.f_namelen));
  return object;
}

int run_df(Shell& shell, const Args& args) {
  std::vector<std::string> paths = args.words;
  if (paths.empty()) {
    for (const MountPoint& mount : shell.mounts()) paths.push_back(mount.at);
  }
  std::unique_ptr<JsonArray> json;
  if (args.has("json")) json = std::make_unique<JsonArray>(shell.out());
  bool title = json == nullptr;
  int status = 0;
  for (const std::string& path : paths) {
    auto fs = shell.task().statfs(path, shell.call());
    if (!fs) {
      status = shell.fail(args, path, fs.error());
      continue;
    }
    Space space{url_of(shell, path), *fs};
    if (json != nullptr) {
      json->add(space_json(path, space));
      continue;
    }
    if (title) {
      const char* all = args.has("i") ? "Inodes" : args.has("h") ? "Size" : "1K-blocks";
      shell.out().print("%-32s %12s %12s %12s %5s\n", "Filesystem", all,
                        args.has("i") ? "IUsed" : "Used", args.has("i") ? "IFree" : "Available",
                        "Use%");
    }
    title = false;
    print_space(args, shell.out(), space);
  }
  return status;
}

struct Counter {
  const char* name;
  uint64_t myfs_stats::*value;
};

constexpr Counter kCounters[] = {{"operations", &myfs_stats::operations},
                                 {"active calls", &myfs_stats::active_calls},
                                 {"dentry hits", &myfs_stats::dentry_hits},
                                 {"dentry misses", &myfs_stats::dentry_misses},
                                 {"attribute hits", &myfs_stats::attr_hits},
                                 {"attribute misses", &myfs_stats::attr_misses},
                                 {"page hits", &myfs_stats::page_hits},
                                 {"page misses", &myfs_stats::page_misses},
                                 {"RPCs", &myfs_stats::rpcs},
                                 {"renewals", &myfs_stats::renewals},
                                 {"bytes sent", &myfs_stats::bytes_sent},
                                 {"bytes received", &myfs_stats::bytes_received},
                                 {"bytes read", &myfs_stats::bytes_read},
                                 {"bytes written", &myfs_stats::bytes_written},
                                 {"reconnects", &myfs_stats::reconnects},
                                 {"sessions lost", &myfs_stats::sessions_lost},
                                 {"sessions reclaimed", &myfs_stats::sessions_reclaimed},
                                 {"recalls", &myfs_stats::recalls},
                                 {"leases", &myfs_stats::leases},
                                 {"memory budget", &myfs_stats::memory_budget_bytes},
                                 {"memory used", &myfs_stats::memory_used_bytes},
                                 {"pages cached", &myfs_stats::pages_cached_bytes},
                                 {"pages dirty", &myfs_stats::pages_dirty_bytes},
                                 {"dentries", &myfs_stats::dentries},
                                 {"inodes", &myfs_stats::inodes}};

int run_stats(Shell& shell, const Args& args) {
  if (args.has("json")) {
    shell.out().write(shell.task().stats_json() + "\n");
    return 0;
  }
  auto stats = shell.task().stats();
  if (!stats) return shell.fail(args, "/", stats.error());
  for (const Counter& counter : kCounters) {
    shell.out().print("%-18s %llu\n", counter.name,
                      static_cast<unsigned long long>(stats.value().*counter.value));
  }
  shell.out().print("%-18s %u\n%-18s %u\n", "connections", stats->connections, "threads",
                    stats->threads);
  return 0;
}

const std::vector<Option>& space_options() {
  static const std::vector<Option> options = {
      {"h", "human-readable", "", "sizes such as 1.5M"},
      {"i", "inodes", "", "numbers of inodes, not of bytes"},
      {"", "json", "", "an array of objects with all that statfs(2) knows"}};
  return options;
}

}  // namespace

void add_stat_commands(std::vector<Command>& table) {
  table.push_back({"stat",
                   {{"L", "dereference", "", "of what a symbolic link points to"},
                    {"", "json", "", "an array of objects: path and all attributes"}},
                   "PATH...",
                   1,
                   -1,
                   Operands::kRemote,
                   "show all attributes",
                   "",
                   run_stat});
  for (const char* name : {"df", "statfs"}) {
    table.push_back({name, space_options(), "[PATH...]", 0, -1, Operands::kRemote,
                     "show the space of file systems (default: of all that are mounted)", "",
                     run_df});
  }
  table.push_back({"stats",
                   {{"", "json", "", "one object, with more: per connection, per kind of RPC"}},
                   "",
                   0,
                   0,
                   Operands::kText,
                   "show the client's counters",
                   "",
                   run_stats});
}

}  // namespace shell
