// Reads everything back through a second client and compares it with the manifest.

#include <sys/sysmacros.h>
#include <unistd.h>

#include <map>
#include <mutex>
#include <unordered_map>

#include "examples/tree/put.h"
#include "examples/tree/sha256.h"
#include "examples/tree/work.h"

namespace tree {
namespace {

constexpr size_t kBuffer_bytes = 1 << 20;

class Verifier {
 public:
  Verifier(myfs::Task& task, const std::vector<Entry>& manifest, unsigned threads)
      : task_(task), manifest_(manifest), threads_(threads) {}

  bool run();

 private:
  void list(const std::string& dir);
  void compare(const Entry& expected);
  void compare_content(const Entry& expected);
  void compare_links();
  void differs(const Entry& expected, const char* what, const std::string& found,
               const std::string& wanted) {
    complain(&totals_, expected.path, what, "is " + found + ", should be " + wanted);
  }
  void differs(const Entry& expected, const char* what, uint64_t found, uint64_t wanted) {
    differs(expected, what, std::to_string(found), std::to_string(wanted));
  }

  myfs::Task& task_;
  const std::vector<Entry>& manifest_;
  const unsigned threads_;
  std::map<std::string, unsigned char> listed_;  // path -> DT_*
  std::mutex mutex_;
  std::unordered_map<std::string, uint64_t> inodes_;  // path -> st_ino, guarded by mutex_
  Totals totals_;
};

void Verifier::list(const std::string& dir) {
  auto opened = task_.open_dir(dir.empty() ? "/" : dir);
  totals_.operations.fetch_add(1);
  if (!opened) {
    complain(&totals_, dir, "opendir", opened.error().message());
    return;
  }
  while (true) {
    auto entry = opened->next();
    if (!entry) {
      complain(&totals_, dir, "readdir", entry.error().message());
      return;
    }
    if (!entry->has_value()) return;
    std::string name((*entry)->name());
    if (name == "." || name == "..") continue;
    std::string path = dir + "/" + name;
    if (!listed_.emplace(path, (*entry)->dirent.type).second) {
      complain(&totals_, path, "listing", "is listed twice");
    }
    totals_.entries.fetch_add(1);
    if ((*entry)->dirent.type == DT_DIR) list(path);
  }
}

void Verifier::compare_content(const Entry& expected) {
  auto file = task_.open_file(expected.path, O_RDONLY);
  totals_.operations.fetch_add(2);
  if (!file) {
    complain(&totals_, expected.path, "open", file.error().message());
    return;
  }
  thread_local std::vector<std::byte> buffer(kBuffer_bytes);
  Sha256 digest;
  while (true) {
    auto n = file->read(buffer);
    totals_.operations.fetch_add(1);
    if (!n) {
      complain(&totals_, expected.path, "read", n.error().message());
      return;
    }
    if (*n == 0) break;
    digest.add(buffer.data(), *n);
    totals_.bytes.fetch_add(*n);
  }
  std::string found = digest.finish();
  if (found != expected.sha256) differs(expected, "SHA-256", found, expected.sha256);
}

void Verifier::compare(const Entry& expected) {
  auto st = task_.lstat(expected.path);
  totals_.operations.fetch_add(1);
  if (!st) {
    complain(&totals_, expected.path, "lstat", st.error().message());
    return;
  }
  Entry found = entry_of(*st, expected.path);
  // Permission bits of symbolic links mean nothing and cannot be set.
  if (S_ISLNK(expected.mode)) found.mode = (found.mode & S_IFMT) | (expected.mode & 07777);
  if (found.mode != expected.mode) differs(expected, "mode", found.mode, expected.mode);
  if (::geteuid() == 0 && found.uid != expected.uid) {
    differs(expected, "uid", found.uid, expected.uid);
  }
  if (::geteuid() == 0 && found.gid != expected.gid) {
    differs(expected, "gid", found.gid, expected.gid);
  }
  if (found.rdev != expected.rdev) differs(expected, "device", found.rdev, expected.rdev);
  if (found.size != expected.size) differs(expected, "size", found.size, expected.size);
  if (found.mtime_sec != expected.mtime_sec || found.mtime_nsec != expected.mtime_nsec) {
    differs(expected, "mtime",
            std::to_string(found.mtime_sec) + " " + std::to_string(found.mtime_nsec),
            std::to_string(expected.mtime_sec) + " " + std::to_string(expected.mtime_nsec));
  }
  if (S_ISLNK(expected.mode)) {
    auto target = task_.readlink(expected.path);
    totals_.operations.fetch_add(1);
    if (!target) {
      complain(&totals_, expected.path, "readlink", target.error().message());
    } else if (*target != expected.target) {
      differs(expected, "target", printable(*target), printable(expected.target));
    }
  }
  if (S_ISREG(expected.mode)) compare_content(expected);
  std::lock_guard lock(mutex_);
  inodes_[expected.path] = st->st_ino;
}

void Verifier::compare_links() {
  for (const Entry& entry : manifest_) {
    if (!entry.same_as.empty() && inodes_[entry.path] != inodes_[entry.same_as]) {
      differs(entry, "inode", inodes_[entry.path], inodes_[entry.same_as]);
    }
  }
}

bool Verifier::run() {
  {
    Progress progress("list", totals_, manifest_.size());
    list("");
    progress.finish();
  }
  std::map<std::string, unsigned char> extra = listed_;
  for (const Entry& entry : manifest_) {
    if (extra.erase(entry.path) == 0) complain(&totals_, entry.path, "listing", "is missing");
  }
  for (const auto& [path, type] : extra) complain(&totals_, path, "listing", "was never copied");
  uint64_t failures = totals_.failures.load();
  totals_.entries = 0;
  totals_.operations = 0;
  {
    Progress progress("check", totals_, manifest_.size());
    run_parallel(manifest_.size(), threads_, [&](size_t i) {
      compare(manifest_[i]);
      totals_.entries.fetch_add(1);
      progress.tick();
    });
    compare_links();
    progress.finish();
  }
  return failures == 0 && totals_.failures.load() == 0;
}

}  // namespace

bool verify(myfs::Task& task, const std::vector<Entry>& manifest, unsigned threads) {
  return Verifier(task, manifest, threads).run();
}

}  // namespace tree
