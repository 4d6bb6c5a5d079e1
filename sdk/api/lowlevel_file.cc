// Open files and directories, by inode.

#include <unistd.h>

#include <cstring>

#include "sdk/api/lowlevel_call.h"
#include "sdk/fs/copy_range.h"
#include "sdk/fs/open.h"
#include "sdk/fs/read_write.h"
#include "sdk/fs/readdir.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

namespace {

Errno check_file_out(myfs_file** file) {
  return file == nullptr ? fail(Errno(EINVAL), "there is no place for the result") : Errno();
}

Result<fs::IoVec> io_vec(const struct iovec* iov, int count) {
  if (count < 0 || (iov == nullptr && count > 0)) {
    return fail(Errno(EINVAL), "the vector is null or its count negative");
  }
  return fs::IoVec(iov, static_cast<size_t>(count));
}

Result<void> open_new(CallScope& scope, myfs_inode* dir, const char* name, uint32_t flags,
                      mode_t mode, mode_t umask, myfs_entry* entry, myfs_file** file) {
  if (Errno error = check_file_out(file); !error.ok()) return error;
  if (Errno error = api::check_entry(entry); !error.ok()) return error;
  MYFS_ASSIGN(const fs::At at, api::name_at(dir, name));
  MYFS_ASSIGN(Ref<fs::File> opened,
              fs::filp_open(scope.ctx(), scope.task(), at, flags, mode, umask & 0777));
  api::LowLevel& lowlevel = dir->task->lowlevel;
  MYFS_TRY(api::fill_entry(scope.ctx(), lowlevel, opened->f_path(), nullptr, entry));
  *file = lowlevel.add_file(std::move(opened));
  return ok_result();
}

}  // namespace

extern "C" {

int myfs_ll_open(myfs_inode* inode, const myfs_call* call, int flags, myfs_file** file) {
  CallScope scope(api::task_of(inode), call, "open");
  return scope.run([&]() -> Result<void> {
    if (Errno error = check_file_out(file); !error.ok()) return error;
    MYFS_ASSIGN(Ref<fs::File> opened,
                fs::dentry_open(scope.ctx(), inode->place, static_cast<uint32_t>(flags)));
    *file = inode->task->lowlevel.add_file(std::move(opened));
    return ok_result();
  });
}

int myfs_ll_create(myfs_inode* dir, const myfs_call* call, const char* name, int flags, mode_t mode,
                   mode_t umask, myfs_entry* entry, myfs_file** file) {
  CallScope scope(api::task_of(dir), call, "create");
  return scope.run([&] {
    constexpr uint32_t kAlways = O_CREAT | O_NOFOLLOW;
    return open_new(scope, dir, name, static_cast<uint32_t>(flags) | kAlways, mode, umask, entry,
                    file);
  });
}

int myfs_ll_tmpfile(myfs_inode* dir, const myfs_call* call, int flags, mode_t mode, mode_t umask,
                    myfs_entry* entry, myfs_file** file) {
  CallScope scope(api::task_of(dir), call, "tmpfile");
  return scope.run([&] {
    return open_new(scope, dir, ".", static_cast<uint32_t>(flags) | O_TMPFILE, mode, umask, entry,
                    file);
  });
}

int myfs_ll_flush(myfs_file* file, const myfs_call* call) {
  CallScope scope(api::task_of(file), call, "close");
  return scope.run([&] { return file->file->f_op().flush(scope.ctx(), *file->file); });
}

int myfs_ll_release(myfs_file* file) {
  if (file == nullptr) return 0;
  CallScope scope(api::task_of(file), nullptr, "release");
  return scope.run([&]() -> Result<void> {
    file->task->lowlevel.remove_file(file);
    return ok_result();
  });
}

ssize_t myfs_ll_read(myfs_file* file, const myfs_call* call, const struct iovec* iov, int count,
                     off_t offset) {
  CallScope scope(api::task_of(file), call, "read");
  const ssize_t done = scope.run([&]() -> Result<size_t> {
    MYFS_ASSIGN(const fs::IoVec to, io_vec(iov, count));
    return fs::vfs_iter_read(scope.ctx(), *file->file, to, offset);
  });
  if (done > 0) file->task->bytes_read.add(done);
  return done;
}

ssize_t myfs_ll_write(myfs_file* file, const myfs_call* call, const struct iovec* iov, int count,
                      off_t offset) {
  return myfs_ll_pwritev2(file, call, iov, count, offset, 0);
}

ssize_t myfs_ll_pwritev2(myfs_file* file, const myfs_call* call, const struct iovec* iov, int count,
                         off_t offset, unsigned flags) {
  static_assert(MYFS_RWF_PAGE == fs::kRwfPage && MYFS_O_EXEC == fs::kOpenExec);
  CallScope scope(api::task_of(file), call, "write");
  const ssize_t done = scope.run([&]() -> Result<size_t> {
    MYFS_ASSIGN(const fs::IoVec from, io_vec(iov, count));
    MYFS_ASSIGN(const fs::WriteResult written,
                fs::vfs_iter_write(scope.ctx(), *file->file, from, offset, flags));
    return written.count;
  });
  if (done > 0) file->task->bytes_written.add(done);
  return done;
}

int myfs_ll_set_flags(myfs_file* file, int flags) {
  CallScope scope(api::task_of(file), nullptr, "fcntl");
  return scope.run([&]() -> Result<void> {
    file->file->set_status_flags(static_cast<uint32_t>(flags));
    return ok_result();
  });
}

int myfs_ll_fsync(myfs_file* file, const myfs_call* call, int datasync) {
  CallScope scope(api::task_of(file), call, "fsync");
  return scope.run([&] { return fs::vfs_fsync(scope.ctx(), *file->file, datasync != 0); });
}

off_t myfs_ll_lseek(myfs_file* file, const myfs_call* call, off_t offset, int whence) {
  CallScope scope(api::task_of(file), call, "lseek");
  return scope.run([&]() -> Result<int64_t> {
    if (whence != SEEK_DATA && whence != SEEK_HOLE) return Errno(EINVAL);
    return fs::vfs_llseek(scope.ctx(), *file->file, offset, whence);
  });
}

int myfs_ll_fallocate(myfs_file* file, const myfs_call* call, int mode, off_t offset,
                      off_t length) {
  CallScope scope(api::task_of(file), call, "fallocate");
  return scope.run(
      [&] { return fs::vfs_fallocate(scope.ctx(), *file->file, mode, offset, length); });
}

ssize_t myfs_ll_copy_file_range(myfs_file* from, const myfs_call* call, off_t from_offset,
                                myfs_file* to, off_t to_offset, size_t size) {
  CallScope scope(api::task_of(from), call, "copy_file_range");
  return scope.run([&]() -> Result<size_t> {
    if (to == nullptr || to->task != from->task) {
      return fail(Errno(EINVAL), "the files are of two tasks");
    }
    return fs::vfs_copy_file_range(scope.ctx(), *from->file, from_offset, *to->file, to_offset,
                                   size);
  });
}

int myfs_ll_readdir(myfs_file* dir, const myfs_call* call, int64_t position, myfs_dirent* entries,
                    int count) {
  CallScope scope(api::task_of(dir), call, "readdir");
  return scope.run([&]() -> Result<int> {
    if (entries == nullptr || count <= 0)
      return fail(Errno(EINVAL), "there is no place for entries");
    int taken = 0;
    auto emit = [&](const fs::DirEntry& from) {
      if (taken == count) return false;
      myfs_dirent& to = entries[taken++];
      to.ino = from.d_ino;
      to.next = from.d_off;
      to.type = from.d_type;
      to.name_length = static_cast<uint16_t>(from.name.size());
      std::memcpy(to.name, from.name.data(), from.name.size());
      to.name[from.name.size()] = '\0';
      return true;
    };
    MYFS_TRY(fs::iterate_dir_at(scope.ctx(), *dir->file, position, emit));
    return taken;
  });
}

}  // extern "C"
