// Copies local trees into MyFS: directories first, then files by several threads, hard links, and
// at last the directories' own attributes, which their children's creation would have changed.

#include "examples/tree/put.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <utility>

#include "examples/tree/sha256.h"
#include "examples/tree/work.h"

namespace tree {
namespace {

constexpr size_t kBuffer_bytes = 1 << 20;

struct Source {
  std::string local;
  Entry entry;
};

class Copier {
 public:
  Copier(myfs::Task& task, const PutOptions& options) : task_(task), options_(options) {}

  bool run(std::vector<Entry>* manifest);

 private:
  void scan(const std::string& local, const std::string& remote);
  void add(const std::string& local, const std::string& remote, const struct stat& st);
  void make(Source& source);
  void make_file(Source& source);
  bool copy_bytes(int from, myfs::File& to, Source& source);
  void make_link(const Source& source);
  // Owner before mode: chown clears setuid and setgid.
  void dress(const Source& source);
  bool check(const Source& source, const char* what, const myfs::Result<void>& result);

  myfs::Task& task_;
  const PutOptions& options_;
  std::vector<Source> directories_, others_, links_;
  std::map<std::pair<dev_t, ino_t>, std::string> first_names_;
  Totals totals_;
};

void Copier::add(const std::string& local, const std::string& remote, const struct stat& st) {
  Source source{local, entry_of(st, remote)};
  if (S_ISDIR(st.st_mode)) {
    directories_.push_back(std::move(source));
    return;
  }
  if (st.st_nlink > 1) {
    auto [first, inserted] = first_names_.try_emplace({st.st_dev, st.st_ino}, remote);
    if (!inserted) {
      source.entry.same_as = first->second;
      links_.push_back(std::move(source));
      return;
    }
  }
  others_.push_back(std::move(source));
}

void Copier::scan(const std::string& local, const std::string& remote) {
  struct stat st;
  if (::lstat(local.c_str(), &st) != 0) {
    complain(&totals_, local, "lstat", std::strerror(errno));
    return;
  }
  add(local, remote, st);
  if (!S_ISDIR(st.st_mode)) return;
  std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(local.c_str()), ::closedir);
  if (dir == nullptr) {
    complain(&totals_, local, "opendir", std::strerror(errno));
    return;
  }
  while (const dirent* entry = ::readdir(dir.get())) {
    std::string name = entry->d_name;
    if (name != "." && name != "..") scan(local + "/" + name, remote + "/" + name);
  }
}

bool Copier::check(const Source& source, const char* what, const myfs::Result<void>& result) {
  totals_.operations.fetch_add(1);
  if (result) return true;
  complain(&totals_, source.entry.path, what, result.error().message());
  return false;
}

void Copier::dress(const Source& source) {
  const Entry& e = source.entry;
  if (::geteuid() == 0) check(source, "lchown", task_.lchown(e.path, e.uid, e.gid));
  if (!S_ISLNK(e.mode)) check(source, "chmod", task_.chmod(e.path, e.mode & 07777));
  timespec mtime{e.mtime_sec, static_cast<long>(e.mtime_nsec)};
  timespec times[2] = {mtime, mtime};
  check(source, "utimens", task_.utimens(e.path, times, AT_SYMLINK_NOFOLLOW));
}

bool Copier::copy_bytes(int from, myfs::File& to, Source& source) {
  thread_local std::vector<std::byte> buffer(kBuffer_bytes);
  Sha256 digest;
  off_t position = 0;
  const auto size = static_cast<off_t>(source.entry.size);
  while (position < size) {
    // Holes are kept: they are digested as the zeros that they read as, and not written.
    off_t data = ::lseek(from, position, SEEK_DATA);
    if (data < 0 && errno == ENXIO) data = size;
    if (data < 0) data = position;
    std::fill(buffer.begin(), buffer.end(), std::byte{0});
    while (position < data) {
      size_t zeros = std::min<size_t>(buffer.size(), static_cast<size_t>(data - position));
      digest.add(buffer.data(), zeros);
      position += static_cast<off_t>(zeros);
    }
    if (position >= size) break;
    ssize_t n = ::pread(from, buffer.data(), buffer.size(), position);
    if (n <= 0) {
      complain(&totals_, source.local, "read", n == 0 ? "it shrank" : std::strerror(errno));
      return false;
    }
    size_t length = std::min<size_t>(static_cast<size_t>(n), static_cast<size_t>(size - position));
    auto written = to.pwrite({buffer.data(), length}, position);
    totals_.operations.fetch_add(1);
    if (!written) {
      complain(&totals_, source.entry.path, "write", written.error().message());
      return false;
    }
    digest.add(buffer.data(), length);
    position += static_cast<off_t>(length);
    totals_.bytes.fetch_add(length);
  }
  source.entry.sha256 = digest.finish();
  return true;
}

void Copier::make_file(Source& source) {
  int from = ::open(source.local.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (from < 0) {
    complain(&totals_, source.local, "open", std::strerror(errno));
    return;
  }
  auto to = task_.open_file(source.entry.path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  totals_.operations.fetch_add(1);
  if (!to) {
    complain(&totals_, source.entry.path, "create", to.error().message());
  } else if (copy_bytes(from, *to, source)) {
    check(source, "ftruncate", to->truncate(static_cast<off_t>(source.entry.size)));
    check(source, "close", to->close());
    dress(source);
  }
  ::close(from);
}

void Copier::make(Source& source) {
  Entry& e = source.entry;
  if (S_ISREG(e.mode)) {
    make_file(source);
  } else if (S_ISLNK(e.mode)) {
    char target[4096];
    ssize_t n = ::readlink(source.local.c_str(), target, sizeof target);
    if (n < 0) {
      complain(&totals_, source.local, "readlink", std::strerror(errno));
      return;
    }
    e.target.assign(target, static_cast<size_t>(n));
    if (check(source, "symlink", task_.symlink(e.target, e.path))) dress(source);
  } else if (check(source, "mknod", task_.mknod(e.path, e.mode, e.rdev))) {
    dress(source);
  }
  totals_.entries.fetch_add(1);
}

void Copier::make_link(const Source& source) {
  check(source, "link", task_.link(source.entry.same_as, source.entry.path));
  totals_.entries.fetch_add(1);
}

bool Copier::run(std::vector<Entry>* manifest) {
  for (const auto& [local, remote] : options_.trees) scan(local, remote);
  Progress progress("copy", totals_, directories_.size() + others_.size() + links_.size());
  for (const Source& source : directories_) {
    check(source, "mkdir", task_.mkdir(source.entry.path, 0700));
    totals_.entries.fetch_add(1);
    progress.tick();
  }
  run_parallel(others_.size(), options_.threads, [&](size_t i) {
    make(others_[i]);
    progress.tick();
  });
  for (const Source& source : links_) make_link(source);
  // Children before parents, so that nothing changes a directory after its times are set.
  for (auto it = directories_.rbegin(); it != directories_.rend(); ++it) dress(*it);
  if (auto synced = task_.sync(); !synced) {
    complain(&totals_, "/", "sync", synced.error().message());
  }
  progress.finish();
  std::map<std::string, const Entry*> firsts;
  for (const Source& source : others_) firsts[source.entry.path] = &source.entry;
  for (Source& source : links_) {
    source.entry.sha256 = firsts[source.entry.same_as]->sha256;
    source.entry.target = firsts[source.entry.same_as]->target;
  }
  for (const auto* list : {&directories_, &others_, &links_}) {
    for (const Source& source : *list) manifest->push_back(source.entry);
  }
  return totals_.failures.load() == 0;
}

}  // namespace

bool put(myfs::Task& task, const PutOptions& options, std::vector<Entry>* manifest) {
  return Copier(task, options).run(manifest);
}

}  // namespace tree
