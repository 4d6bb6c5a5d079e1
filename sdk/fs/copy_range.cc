#include "sdk/fs/copy_range.h"

#include <fcntl.h>

#include <algorithm>
#include <climits>

#include "sdk/base/limits.h"
#include "sdk/fs/file_position.h"
#include "sdk/fs/locks.h"
#include "sdk/fs/mmap.h"
#include "sdk/fs/namei_ops.h"
#include "sdk/fs/read_write.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

namespace {

Result<Ref<File>> file_of(const TaskStruct& task, int fd) {
  RefPtr<File> file = task.files.fget(fd);
  if (!file || (file->f_mode & File::kPath) != 0) return Errno(EBADF);
  if (locks_lost_slow(*file, task.lock_owner)) return Errno(EIO);
  return std::move(file).to_ref();
}

// [generic_file_rw_checks]
Errno check_files(const File& in, const File& out) {
  if (in.f_inode().is_dir() || out.f_inode().is_dir()) return Errno(EISDIR);
  if (!in.f_inode().is_regular() || !out.f_inode().is_regular()) return Errno(EINVAL);
  if (!in.may_read() || !out.may_write() || (out.f_flags() & O_APPEND) != 0) return Errno(EBADF);
  return &in.f_inode().i_sb() == &out.f_inode().i_sb() ? Errno() : Errno(EXDEV);
}

// [generic_copy_file_checks] Of any length: what counts is where the source ends.
Errno check_copy(int64_t offset_in, int64_t offset_out, size_t length) {
  uint64_t end;
  if (__builtin_add_overflow(static_cast<uint64_t>(offset_in), length, &end) ||
      __builtin_add_overflow(static_cast<uint64_t>(offset_out), length, &end)) {
    return Errno(EOVERFLOW);
  }
  return offset_in < 0 || offset_out < 0 ? Errno(EINVAL) : Errno();
}

bool overlaps(const File& in, int64_t offset_in, const File& out, int64_t offset_out,
              uint64_t length) {
  if (&in.f_inode() != &out.f_inode()) return false;
  const uint64_t apart = static_cast<uint64_t>(offset_in < offset_out ? offset_out - offset_in
                                                                      : offset_in - offset_out);
  return apart < length;
}

// [generic_write_sync]
Result<void> sync_as_opened(const CallContext& ctx, File& file) {
  if ((file.f_flags() & (O_SYNC | O_DSYNC)) == 0) return {};
  return file.f_op().fsync(ctx, file, (file.f_flags() & O_SYNC) != O_SYNC);
}

}  // namespace

Result<size_t> vfs_copy_file_range(const CallContext& ctx, const TaskStruct& task, int fd_in,
                                   int64_t* offset_in, int fd_out, int64_t* offset_out,
                                   size_t length) {
  MYFS_ASSIGN(Ref<File> in, file_of(task, fd_in));
  MYFS_ASSIGN(Ref<File> out, file_of(task, fd_out));
  if (Errno error = check_files(*in, *out); !error.ok()) return error;
  FilePosition from(*in, offset_in), to(*out, offset_out);
  MYFS_ASSIGN(const size_t count, vfs_copy_file_range(ctx, *in, from.at(), *out, to.at(), length));
  if (count == 0) return size_t{0};
  from.advance(count);
  to.advance(count);
  return count;
}

Result<size_t> vfs_copy_file_range(const CallContext& ctx, File& in, int64_t offset_in, File& out,
                                   int64_t offset_out, size_t length) {
  if (Errno error = check_files(in, out); !error.ok()) return error;
  constexpr uint64_t kNoOwner = 0;  // of callers by open file: what was locked through it counts
  if (locks_lost_slow(in, kNoOwner) || locks_lost_slow(out, kNoOwner)) return Errno(EIO);
  MYFS_TRY(Result<void>(check_copy(offset_in, offset_out, length)));
  const auto from = static_cast<uint64_t>(offset_in), start = static_cast<uint64_t>(offset_out);
  if (start >= kFileSizeMax_bytes) return Errno(EFBIG);
  if (from >= kFileSizeMax_bytes) return size_t{0};
  length = std::min(length, kRwCountMax_bytes);
  length = std::min<uint64_t>(length, kFileSizeMax_bytes - std::max(from, start));
  if (length == 0) return size_t{0};
  uint64_t count = 0;
  MYFS_TRY(mmap_write_out(ctx, in.f_inode()));
  {
    Inode& inode = out.f_inode();
    MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, out));
    WriteLock lock(inode.i_rwsem);
    MYFS_TRY(mmap_changing(ctx, inode, start, start + length));
    {
      ChangeInFlight change({}, {&inode}, Inode::kChanging + Inode::kChangingData);
      MYFS_ASSIGN(count,
                  out.f_op().copy_file_range(change.context(ctx), in, from, out, start, length));
    }
    mmap_changed(ctx, inode, start, start + count);
  }
  if (count == 0) return size_t{0};
  MYFS_TRY(sync_as_opened(ctx, out));
  return static_cast<size_t>(count);
}

Result<void> vfs_clone_file_range(const CallContext& ctx, const TaskStruct& task, int fd_in,
                                  int64_t offset_in, int fd_out, int64_t offset_out,
                                  int64_t length) {
  MYFS_ASSIGN(Ref<File> in, file_of(task, fd_in));
  MYFS_ASSIGN(Ref<File> out, file_of(task, fd_out));
  if (Errno error = check_files(*in, *out); !error.ok()) return error;
  if (offset_in < 0 || offset_out < 0 || length < 0) return Errno(EINVAL);
  int64_t end;
  if (__builtin_add_overflow(offset_in, length, &end) ||
      __builtin_add_overflow(offset_out, length, &end)) {
    return Errno(EINVAL);
  }
  if (length != 0 && overlaps(*in, offset_in, *out, offset_out, static_cast<uint64_t>(length))) {
    return Errno(EINVAL);
  }
  if (static_cast<uint64_t>(end) > kFileSizeMax_bytes) return Errno(EFBIG);
  MYFS_TRY(mmap_write_out(ctx, in->f_inode()));
  Inode& inode = out->f_inode();
  const auto start = static_cast<uint64_t>(offset_out);
  const uint64_t last = length == 0 ? UINT64_MAX : start + static_cast<uint64_t>(length);
  {
    MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, *out));
    WriteLock lock(inode.i_rwsem);
    MYFS_TRY(mmap_changing(ctx, inode, start, last));
    Result<void> done;
    {
      ChangeInFlight change({}, {&inode}, Inode::kChanging + Inode::kChangingData);
      done =
          out->f_op().remap_file_range(change.context(ctx), *in, static_cast<uint64_t>(offset_in),
                                       *out, start, static_cast<uint64_t>(length));
    }
    mmap_changed(ctx, inode, start, last);
    MYFS_TRY(done);
  }
  return sync_as_opened(ctx, *out);
}

Result<FileExtents> vfs_fiemap(const CallContext& ctx, const TaskStruct& task, int fd,
                               int64_t offset, int64_t length, size_t max) {
  MYFS_ASSIGN(Ref<File> file, file_of(task, fd));
  if (offset < 0 || length <= 0 || max == 0) return Errno(EINVAL);
  if (!file->f_inode().is_regular()) return Errno(EOPNOTSUPP);
  const auto start = static_cast<uint64_t>(offset);
  const uint64_t size = std::min(static_cast<uint64_t>(length), uint64_t{INT64_MAX} - start);
  return file->f_op().fiemap(ctx, *file, start, size, max);
}

}  // namespace myfs::fs
