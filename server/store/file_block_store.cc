#include "server/store/file_block_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "sdk/base/error_detail.h"

namespace myfs::server {
namespace {

constexpr int kDirectories = 256;

// Neighbours in number share a directory: a commit of many new blocks fsyncs few of them.
int directory_of(BlockId id) { return static_cast<int>(id >> 8 & 0xff); }
std::string directory_name(int directory) { return absl::StrFormat("%02x", directory); }
std::string file_name(BlockId id) { return absl::StrFormat("%02x/%016x", directory_of(id), id); }

Errno last_error() { return Errno(errno); }

Result<void> fsync_path(int dir_fd, const std::string& name) {
  int fd = openat(dir_fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return last_error();
  int rc = fsync(fd);
  Errno error = last_error();
  close(fd);
  return rc == 0 ? Result<void>() : error;
}

bool parse_block_name(const char* name, BlockId* id) {
  if (std::strlen(name) != 16) return false;
  *id = 0;
  for (const char* c = name; *c != '\0'; ++c) {
    int digit = *c >= '0' && *c <= '9' ? *c - '0' : *c >= 'a' && *c <= 'f' ? *c - 'a' + 10 : -1;
    if (digit < 0) return false;
    *id = *id << 4 | static_cast<unsigned>(digit);
  }
  return *id != 0;
}

}  // namespace

class FileBlockStore::Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { close(fd_); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  const int fd_;
};

FileBlockStore::~FileBlockStore() { close(dir_fd_); }

FileBlockStore::FdRef FileBlockStore::cached(BlockId id) {
  MutexLock lock(mutex_);
  auto it = cache_.find(id);
  if (it != cache_.end()) {
    lru_.splice(lru_.begin(), lru_, it->second.place);
    return it->second.fd;
  }
  auto dirty = unsynced_.find(id);
  return dirty == unsynced_.end() ? nullptr : dirty->second;
}

void FileBlockStore::shrink_locked(size_t limit, std::vector<FdRef>& closed) {
  while (cache_.size() > limit) {
    auto it = cache_.find(lru_.back());
    closed.push_back(std::move(it->second.fd));
    cache_.erase(it);
    lru_.pop_back();
  }
}

void FileBlockStore::cache_locked(BlockId id, const FdRef& fd) {
  auto [it, inserted] = cache_.try_emplace(id);
  if (!inserted) return;
  lru_.push_front(id);
  it->second = {fd, lru_.begin()};
}

Result<FileBlockStore::FdRef> FileBlockStore::open_block(BlockId id, int flags) {
  if (flags == 0) {
    if (FdRef fd = cached(id)) return fd;
  }
  const std::string name = file_name(id);
  flags |= (options_.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;
  int raw = openat(dir_fd_, name.c_str(), flags, 0600);
  if (raw < 0 && (errno == EMFILE || errno == ENFILE)) {
    std::vector<FdRef> closed;
    {
      MutexLock lock(mutex_);
      shrink_locked(0, closed);
    }
    closed.clear();
    raw = openat(dir_fd_, name.c_str(), flags, 0600);
  }
  if (raw < 0) return last_error();
  auto fd = std::make_shared<Fd>(raw);
  std::vector<FdRef> closed;  // outlives the lock
  MutexLock lock(mutex_);
  cache_locked(id, fd);
  shrink_locked(options_.open_files_max, closed);
  return fd;
}

Result<void> FileBlockStore::create(BlockId id) {
  MYFS_ASSIGN(FdRef fd, open_block(id, O_CREAT | O_EXCL));
  MutexLock lock(mutex_);
  fresh_.insert(id);
  return {};
}

void FileBlockStore::note_unsynced(BlockId id, const FdRef& fd) {
  std::pair<BlockId, FdRef> victim;
  {
    MutexLock lock(mutex_);
    unsynced_.try_emplace(id, fd);
    if (unsynced_.size() <= options_.open_files_max) return;
    auto it = unsynced_.begin();
    victim = *it;
    // Out of the set before the sync: a write that ends meanwhile puts it in again.
    unsynced_.erase(it);
    syncing_early_.insert(victim.first);
  }
  Errno error = fdatasync(victim.second->get()) == 0 ? Errno() : last_error();
  {
    MutexLock lock(mutex_);
    if (!error.ok()) failed_[victim.first] = error;
    syncing_early_.erase(syncing_early_.find(victim.first));
  }
  early_done_.notify_all();
}

Result<void> FileBlockStore::pwrite(BlockId id, uint64_t offset, std::span<const uint8_t> data) {
  MYFS_ASSIGN(FdRef fd, open_block(id, 0));
  Errno error;
  while (!data.empty()) {
    ssize_t n = ::pwrite(fd->get(), data.data(), data.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      error = last_error();
      break;
    }
    data = data.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  note_unsynced(id, fd);  // also after an error: a part may be written
  return error;
}

Result<void> FileBlockStore::pread(BlockId id, uint64_t offset, std::span<uint8_t> out) {
  MYFS_ASSIGN(FdRef fd, open_block(id, 0));
  while (!out.empty()) {
    ssize_t n = ::pread(fd->get(), out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return last_error();
    if (n == 0) break;
    out = out.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  std::fill(out.begin(), out.end(), uint8_t{0});
  return {};
}

Result<void> FileBlockStore::pread_nowait(BlockId id, uint64_t offset, std::span<uint8_t> out) {
  FdRef fd = cached(id);
  if (fd == nullptr) return Errno(EAGAIN);
  iovec iov{out.data(), out.size()};
  ssize_t n = preadv2(fd->get(), &iov, 1, static_cast<off_t>(offset), RWF_NOWAIT);
  // A short count may mean the end or a page that is not in memory: the worker finds out.
  return n == static_cast<ssize_t>(out.size()) ? Result<void>() : Errno(EAGAIN);
}

Result<void> FileBlockStore::sync_directories(std::span<const BlockId> ids) {
  std::vector<BlockId> fresh;
  {
    MutexLock lock(mutex_);
    for (BlockId id : ids) {
      if (fresh_.contains(id)) fresh.push_back(id);
    }
  }
  std::set<int> directories;
  for (BlockId id : fresh) directories.insert(directory_of(id));
  for (int directory : directories) MYFS_TRY(fsync_path(dir_fd_, directory_name(directory)));
  MutexLock lock(mutex_);
  for (BlockId id : fresh) fresh_.erase(id);
  return {};
}

Result<void> FileBlockStore::sync(std::span<const BlockId> ids) {
  std::vector<FdRef> fds;
  Errno failed;
  {
    MutexLock lock(mutex_);
    for (BlockId id : ids) {
      while (syncing_early_.contains(id)) early_done_.wait(mutex_);
      if (auto it = unsynced_.find(id); it != unsynced_.end()) {
        fds.push_back(std::move(it->second));
        unsynced_.erase(it);
      }
      if (auto it = failed_.find(id); it != failed_.end()) {
        failed = it->second;
        failed_.erase(it);
      }
    }
  }
  // All of them, also after a failure: an error that is not taken now would hit a later commit.
  for (const FdRef& fd : fds) {
    if (fdatasync(fd->get()) != 0 && failed.ok()) failed = last_error();
  }
  if (!failed.ok()) return failed;
  return sync_directories(ids);
}

void FileBlockStore::discard(BlockId id, uint64_t offset, uint64_t length) {
  auto fd = open_block(id, 0);
  if (!fd.ok()) return;
  (void)fallocate(fd.value()->get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                  static_cast<off_t>(offset), static_cast<off_t>(length));
}

Result<void> FileBlockStore::remove(BlockId id) {
  FdRef closed, unsynced;
  {
    MutexLock lock(mutex_);
    if (auto it = cache_.find(id); it != cache_.end()) {
      closed = std::move(it->second.fd);
      lru_.erase(it->second.place);
      cache_.erase(it);
    }
    if (auto it = unsynced_.find(id); it != unsynced_.end()) {
      unsynced = std::move(it->second);
      unsynced_.erase(it);
    }
    fresh_.erase(id);
    failed_.erase(id);
  }
  if (unlinkat(dir_fd_, file_name(id).c_str(), 0) == 0 || errno == ENOENT) return {};
  return last_error();
}

Result<std::vector<BlockId>> FileBlockStore::list() {
  std::vector<BlockId> ids;
  for (int directory = 0; directory < kDirectories; ++directory) {
    const std::string path = dir_ + "/" + directory_name(directory);
    DIR* stream = opendir(path.c_str());
    if (stream == nullptr) {
      if (errno == ENOENT) continue;
      return last_error();
    }
    while (const dirent* entry = readdir(stream)) {
      BlockId id = 0;
      if (parse_block_name(entry->d_name, &id) && directory_of(id) == directory) ids.push_back(id);
    }
    closedir(stream);
  }
  return ids;
}

BlockSpace FileBlockStore::space() const {
  struct statvfs fs;
  if (fstatvfs(dir_fd_, &fs) != 0) return {};
  return {fs.f_blocks * fs.f_frsize, fs.f_bavail * fs.f_frsize};
}

Result<std::unique_ptr<BlockStore>> open_file_block_store(const std::string& dir,
                                                          const BlockStoreOptions& options) {
  const std::string path = dir + "/blocks";
  if (!options.read_only && mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(last_error(), "cannot create " + path);
  }
  int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail(last_error(), "cannot open " + path);
  auto store = std::make_unique<FileBlockStore>(path, fd, options);
  if (options.read_only) return std::unique_ptr<BlockStore>(std::move(store));
  for (int directory = 0; directory < kDirectories; ++directory) {
    if (mkdirat(fd, directory_name(directory).c_str(), 0700) != 0 && errno != EEXIST) {
      return fail(last_error(), "cannot create directories in " + path);
    }
  }
  if (fsync(fd) != 0) return fail(last_error(), "cannot sync " + path);
  MYFS_TRY(fsync_path(AT_FDCWD, dir));
  return std::unique_ptr<BlockStore>(std::move(store));
}

}  // namespace myfs::server
