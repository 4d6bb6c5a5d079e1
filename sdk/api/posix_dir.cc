// Directory streams.
// A stream takes entries from the VFS in batches, as the C library does from getdents; its position
// is that of the entry handed out last, not of the batch.

#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "sdk/api/call_scope.h"
#include "sdk/api/kstat_out.h"
#include "sdk/base/nowait.h"
#include "sdk/fs/open.h"
#include "sdk/fs/read_write.h"
#include "sdk/fs/readdir.h"
#include "sdk/fs/stat.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

struct myfs_dir {
  explicit myfs_dir(myfs_task* owner, int descriptor) : task(owner), fd(descriptor) {}

  myfs_task* const task;
  const int fd;
  Mutex mutex{LockRank::kDirStream};
  std::vector<myfs_dirent> batch ABSL_GUARDED_BY(mutex);
  size_t next ABSL_GUARDED_BY(mutex) = 0;
  int64_t position ABSL_GUARDED_BY(mutex) = 0;
};

namespace {

constexpr size_t kBatch = 128;

void to_dirent(const fs::DirEntry& from, myfs_dirent* to) {
  to->ino = from.d_ino;
  to->next = from.d_off;
  to->type = from.d_type;
  to->name_length = static_cast<uint16_t>(from.name.size());
  std::memcpy(to->name, from.name.data(), from.name.size());
  to->name[from.name.size()] = '\0';
}

// EBADF; ENOTDIR.
Result<void> check_stream(CallScope& scope, int fd) {
  Kstat stat;
  MYFS_TRY(fs::vfs_fstat(scope.ctx(), scope.task(), fd, &stat));
  MYFS_ASSIGN(const uint32_t flags, fs::vfs_get_flags(scope.task(), fd));
  if ((flags & O_PATH) != 0) return Errno(EBADF);
  return stat.is_dir() ? Errno() : Errno(ENOTDIR);
}

// Of the batch that is there.
Result<int> next_entry_now(myfs_dir& dir, myfs_dirent* entry) {
  if (!dir.mutex.try_lock()) return refuse_to_wait();
  const bool there = dir.next < dir.batch.size();
  if (there) {
    *entry = dir.batch[dir.next++];
    dir.position = entry->next;
  }
  dir.mutex.unlock();
  if (!there) return refuse_to_wait();
  return 1;
}

Result<int> next_entry(CallScope& scope, myfs_dir& dir, myfs_dirent* entry) {
  if (must_not_wait()) return next_entry_now(dir, entry);
  MutexLock lock(dir.mutex);
  if (dir.next == dir.batch.size()) {
    auto batch = std::exchange(dir.batch, {});
    batch.clear();
    dir.next = 0;
    auto taken = fs::vfs_readdir(scope.ctx(), scope.task(), dir.fd, [&](const fs::DirEntry& from) {
      if (batch.size() == kBatch) return false;
      to_dirent(from, &batch.emplace_back());
      return true;
    });
    dir.batch = std::move(batch);
    // What was taken before an error comes first; the error shows when the batch is used up.
    if (!taken.ok() && dir.batch.empty()) return taken.error();
    if (dir.batch.empty()) return 0;
  }
  *entry = dir.batch[dir.next++];
  dir.position = entry->next;
  return 1;
}

myfs_task* task_of(myfs_dir* dir) { return dir == nullptr ? nullptr : dir->task; }

}  // namespace

extern "C" {

int myfs_opendirat_x(myfs_task* task, const myfs_call* call, int dirfd, const char* path,
                     myfs_dir** dir) {
  CallScope scope(task, call, "opendir");
  return scope.run([&]() -> Result<void> {
    if (dir == nullptr) return fail(Errno(EINVAL), "there is no place for the result");
    MYFS_ASSIGN(fs::At at, api::path_at(path, dirfd));
    constexpr uint32_t kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    MYFS_ASSIGN(int fd, fs::vfs_open(scope.ctx(), scope.task(), at, kFlags, 0));
    *dir = new myfs_dir(task, fd);
    return {};
  });
}
int myfs_opendirat(myfs_task* task, int dirfd, const char* path, myfs_dir** dir) {
  return myfs_opendirat_x(task, nullptr, dirfd, path, dir);
}

int myfs_fdopendir(myfs_task* task, int fd, myfs_dir** dir) {
  CallScope scope(task, nullptr, "fdopendir");
  return scope.run([&]() -> Result<void> {
    if (dir == nullptr) return fail(Errno(EINVAL), "there is no place for the result");
    MYFS_TRY(check_stream(scope, fd));
    MYFS_ASSIGN(const int64_t position, fs::vfs_lseek(scope.ctx(), scope.task(), fd, 0, SEEK_CUR));
    auto stream = std::make_unique<myfs_dir>(task, fd);
    {
      MutexLock lock(stream->mutex);
      stream->position = position;
    }
    *dir = stream.release();
    return {};
  });
}

int myfs_opendir_x(myfs_task* task, const myfs_call* call, const char* path, myfs_dir** dir) {
  return myfs_opendirat_x(task, call, AT_FDCWD, path, dir);
}
int myfs_opendir(myfs_task* task, const char* path, myfs_dir** dir) {
  return myfs_opendir_x(task, nullptr, path, dir);
}

int myfs_readdir_x(myfs_dir* dir, const myfs_call* call, myfs_dirent* entry) {
  CallScope scope(task_of(dir), call, "readdir");
  return scope.run([&]() -> Result<int> {
    if (entry == nullptr) return fail(Errno(EINVAL), "there is no place for the result");
    return next_entry(scope, *dir, entry);
  });
}
int myfs_readdir(myfs_dir* dir, myfs_dirent* entry) { return myfs_readdir_x(dir, nullptr, entry); }

int myfs_readdirplus_x(myfs_dir* dir, const myfs_call* call, myfs_dirent* entry,
                       struct stat* attributes) {
  CallScope scope(task_of(dir), call, "readdirplus");
  return scope.run([&]() -> Result<int> {
    if (entry == nullptr || attributes == nullptr) {
      return fail(Errno(EINVAL), "there is no place for the result");
    }
    MYFS_ASSIGN(int found, next_entry(scope, *dir, entry));
    if (found == 0) return 0;
    *attributes = {};
    Kstat stat;
    fs::At at{dir->fd, entry->name};
    // An entry may vanish between its listing and this: that is no failure of the listing.
    if (fs::vfs_stat(scope.ctx(), scope.task(), at, AT_SYMLINK_NOFOLLOW, &stat).ok()) {
      api::to_stat(stat, attributes);
    } else {
      clear_error_detail();
    }
    return 1;
  });
}
int myfs_readdirplus(myfs_dir* dir, myfs_dirent* entry, struct stat* attributes) {
  return myfs_readdirplus_x(dir, nullptr, entry, attributes);
}

int64_t myfs_telldir(myfs_dir* dir) {
  CallScope scope(task_of(dir), nullptr, "telldir");
  return scope.run([&]() -> Result<int64_t> {
    MutexLock lock(dir->mutex);
    return dir->position;
  });
}

int myfs_seekdir(myfs_dir* dir, int64_t position) {
  CallScope scope(task_of(dir), nullptr, "seekdir");
  return scope.run([&]() -> Result<void> {
    MutexLock lock(dir->mutex);
    MYFS_TRY(fs::vfs_lseek(scope.ctx(), scope.task(), dir->fd, position, SEEK_SET));
    dir->batch.clear();
    dir->next = 0;
    dir->position = position;
    return {};
  });
}

int myfs_dirfd(myfs_dir* dir) {
  CallScope scope(task_of(dir), nullptr, "dirfd");
  return scope.run([&]() -> Result<int> { return dir->fd; });
}

int myfs_closedir(myfs_dir* dir) {
  if (dir == nullptr) return -EINVAL;
  int result = myfs_close(dir->task, dir->fd);
  delete dir;
  return result;
}

int myfs_refresh_x(myfs_task* task, const myfs_call* call, const char* path) {
  CallScope scope(task, call, "refresh");
  return scope.run([&]() -> Result<void> {
    MYFS_ASSIGN(const fs::At at, api::path_at(path));
    return fs::vfs_refresh(scope.ctx(), scope.task(), at);
  });
}
int myfs_refresh(myfs_task* task, const char* path) { return myfs_refresh_x(task, nullptr, path); }

int myfs_dirstats_x(myfs_task* task, const myfs_call* call, const char* path, int recursive,
                    myfs_dirstat* out) {
  CallScope scope(task, call, "dirstats");
  return scope.run([&]() -> Result<void> {
    if (out == nullptr || out->size != sizeof(myfs_dirstat)) {
      return fail(Errno(EINVAL), "myfs_dirstat.size is wrong");
    }
    if (recursive != 0 && recursive != 1) return fail(Errno(EINVAL), "recursive must be 0 or 1");
    MYFS_ASSIGN(const fs::At at, api::path_at(path));
    MYFS_ASSIGN(const fs::DirStats stats,
                fs::vfs_dir_stats(scope.ctx(), scope.task(), at, recursive == 1));
    out->entries = stats.entries;
    out->subdirs = stats.subdirs;
    out->bytes = stats.bytes;
    return ok_result();
  });
}
int myfs_dirstats(myfs_task* task, const char* path, int recursive, myfs_dirstat* out) {
  return myfs_dirstats_x(task, nullptr, path, recursive, out);
}

}  // extern "C"
