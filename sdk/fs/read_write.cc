#include "sdk/fs/read_write.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <optional>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "sdk/base/fault.h"
#include "sdk/base/limits.h"
#include "sdk/base/rcu.h"
#include "sdk/fs/locks.h"
#include "sdk/fs/mmap.h"
#include "sdk/fs/namei_ops.h"
#include "sdk/fs/readdir.h"
#include "sdk/fs/stat.h"
#include "sdk/fs/super_block.h"
#include "sdk/mm/filemap.h"

namespace myfs::fs {

namespace {

using IoVector = absl::InlinedVector<iovec, 8>;

constexpr uint32_t kRwfKnown = RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT | RWF_APPEND;

bool is_direct(const File& file) { return (file.f_flags() & O_DIRECT) != 0; }

uint64_t end_of(IoVec iov, uint64_t offset) { return offset + iov_length_bytes(iov); }

// [rw_verify_area] What would end where no file offset can.
bool overflows(IoVec iov, uint64_t offset) { return end_of(iov, offset) > INT64_MAX; }

// The cache's answer to a read; nullopt: it has none. Inside an rcu read section.
std::optional<size_t> read_hit(const File& file, IoVec to, uint64_t offset) {
  const Inode& inode = file.f_inode();
  if (inode.i_mapping == nullptr || is_direct(file) || overflows(to, offset)) return std::nullopt;
  // What was stored into a mapping comes over it.
  const uint32_t flags = inode.i_flags.load(std::memory_order_acquire);
  if ((flags & Inode::kMappedStores) != 0 || inode.content_in_doubt()) [[unlikely]]
    return std::nullopt;
  const Validity& validity = inode.i_sb().s_validity;
  const LeaseWord::Sample sample = inode.i_lease.sample();
  const LeaseParts held = LeaseWord::parts(sample) & (kLeaseR | kLeaseW);
  if (held == 0 || (sample & kLeaseU) != 0 || !LeaseWord::covers(sample, held, validity)) {
    return std::nullopt;
  }
  int64_t count =
      to.size() == 1 ? mm::filemap_read_hit(*inode.i_mapping, offset, to[0].iov_base, to[0].iov_len)
                     : mm::filemap_read_hit(*inode.i_mapping, offset, to);
  if (count < 0 || !inode.i_lease.still(sample, held) || !validity.alive()) return std::nullopt;
  inode.i_sb().s_counters.read_hits.add();
  return static_cast<size_t>(count);
}

bool is_aligned(IoVec iov, uint64_t offset) {
  uint64_t bits = offset;
  for (const iovec& part : iov) bits |= part.iov_len;
  return bits % kDirectAlign_bytes == 0;
}

// A lock of the caller on the file was lost: what he does under it must not seem to go on.
bool locks_lost(const File& file, uint64_t lock_owner) {
  const uint32_t flags = file.f_inode().i_flags.load(std::memory_order_acquire);
  return (flags & Inode::kLostLocks) != 0 && locks_lost_slow(file, lock_owner);
}
constexpr uint64_t kNoOwner = 0;  // of callers by open file: what was locked through it counts

// Besides: what could have been written through an open file, and is lost, is told by its next
// call.
Errno check_lost(File& file, uint64_t lock_owner) {
  constexpr uint32_t kAny = Inode::kLostLocks | Inode::kLostWrites;
  const uint32_t flags = file.f_inode().i_flags.load(std::memory_order_acquire);
  if ((flags & kAny) == 0) [[likely]]
    return Errno();
  if (locks_lost(file, lock_owner)) return Errno(EIO);
  const bool tells = (flags & Inode::kLostWrites) != 0 && file.may_write();
  return tells ? file_tell_wb_err(file) : Errno();
}

Errno check_readable(File& file, uint64_t lock_owner) {
  if (!file.may_read()) return Errno(EBADF);
  if (Errno lost = check_lost(file, lock_owner); !lost.ok()) return lost;
  if (file.f_inode().is_dir()) return Errno(EISDIR);
  return file.f_inode().is_regular() ? Errno() : Errno(EINVAL);
}

Result<size_t> read_file(const CallContext& ctx, uint64_t lock_owner, File& file, IoVec to,
                         uint64_t offset) {
  Inode& inode = file.f_inode();
  if (iov_length_bytes(to) == 0) return size_t{0};
  if (overflows(to, offset)) return Errno(EINVAL);
  if (is_direct(file) && !is_aligned(to, offset)) {
    // Whoever reads a file to its end asks once more from there, wherever that is.
    MYFS_ASSIGN(const Kstat stat, vfs_getattr(ctx, inode));
    if (offset >= stat.size) return size_t{0};
    return Errno(EINVAL);
  }
  inode.i_sb().s_counters.read_misses.add();
  ReadLock lock(inode.i_rwsem);
  Result<size_t> count = file.f_op().read(ctx, file, to, offset);
  if (count.ok()) MYFS_TRY(mmap_overlay(ctx, inode, to, offset, *count));
  if (count.ok()) MYFS_TRY(Result<void>(check_lost(file, lock_owner)));  // meanwhile
  return count;
}

Result<void> check_vector(IoVec iov) {
  if (iov.size() > kIovMax) return Errno(EINVAL);
  uint64_t sum = 0;
  for (const iovec& part : iov) {
    if (part.iov_len > SSIZE_MAX) return Errno(EINVAL);
    sum += part.iov_len;
    if (sum > SSIZE_MAX) return Errno(EINVAL);
  }
  return ok_result();
}

// `iov` cut to `limit_bytes`.
IoVec clip(IoVec iov, uint64_t limit_bytes, IoVector* copy) {
  if (iov_length_bytes(iov) <= limit_bytes) return iov;
  IoVector cut;
  for (const iovec& part : iov) {
    if (limit_bytes == 0) break;
    size_t size = std::min<uint64_t>(part.iov_len, limit_bytes);
    cut.push_back({part.iov_base, size});
    limit_bytes -= size;
  }
  *copy = std::move(cut);
  return *copy;
}

Result<WriteResult> write_file(const CallContext& ctx, uint64_t lock_owner, File& file, IoVec from,
                               uint64_t offset, uint32_t rwf = 0) {
  if (!file.may_write()) return Errno(EBADF);
  const bool page = (rwf & kRwfPage) != 0;  // of a mapping: who syncs it hears what is lost
  if (page && locks_lost(file, lock_owner)) return Errno(EIO);
  if (!page) MYFS_TRY(Result<void>(check_lost(file, lock_owner)));
  Inode& inode = file.f_inode();
  if (!inode.is_regular() || overflows(from, offset)) return Errno(EINVAL);
  const bool append = !page && ((file.f_flags() & O_APPEND) != 0 || (rwf & RWF_APPEND) != 0);
  if ((rwf & RWF_NOWAIT) != 0) return Errno(is_direct(file) ? EAGAIN : EOPNOTSUPP);
  if (iov_length_bytes(from) == 0) return WriteResult{0, offset};
  if (is_direct(file) && !page && !is_aligned(from, append ? 0 : offset)) return Errno(EINVAL);
  IoVector copy;
  if (!append) {
    if (offset >= kFileSizeMax_bytes) return Errno(EFBIG);
    from = clip(from, kFileSizeMax_bytes - offset, &copy);
  }
  WriteResult result;
  {
    MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, file));
    WriteLock lock(inode.i_rwsem);
    const uint64_t first = append ? 0 : offset, last = append ? UINT64_MAX : end_of(from, offset);
    MYFS_TRY(mmap_changing(ctx, inode, first, last));
    MYFS_ASSIGN(result, file.f_op().write(ctx, file, from, offset, append));
    mmap_changed(ctx, inode, result.offset, result.offset + result.count);
  }
  if ((file.f_flags() & (O_SYNC | O_DSYNC)) != 0 || (rwf & (RWF_SYNC | RWF_DSYNC)) != 0) {
    const bool datasync = (file.f_flags() & O_SYNC) != O_SYNC && (rwf & RWF_SYNC) == 0;
    MYFS_TRY(file.f_op().fsync(ctx, file, datasync));
  }
  if (locks_lost(file, lock_owner)) return Errno(EIO);  // meanwhile
  return result;
}

Result<Ref<File>> file_of(const TaskStruct& task, int fd) {
  RefPtr<File> file = task.files.fget(fd);
  if (!file || (file->f_mode & File::kPath) != 0) return Errno(EBADF);
  return std::move(file).to_ref();
}

// The position after a transfer: what Linux keeps in a loff_t.
int64_t position_after(uint64_t offset, size_t count) {
  return static_cast<int64_t>(std::min<uint64_t>(offset + count, INT64_MAX));
}

Result<size_t> do_readv_at(const CallContext& ctx, const TaskStruct& task, int fd, IoVec to,
                           int64_t offset, uint32_t rwf = 0) {
  if (offset < 0) return Errno(EINVAL);
  {
    RcuReadGuard guard;
    File* file = task.files.fcheck_rcu(fd);
    if (file == nullptr) return Errno(EBADF);
    if (Errno error = check_readable(*file, task.lock_owner); !error.ok()) return error;
    if (auto hit = read_hit(*file, to, static_cast<uint64_t>(offset)); hit.has_value()) return *hit;
  }
  if ((rwf & RWF_NOWAIT) != 0) return Errno(EAGAIN);
  MYFS_ASSIGN(Ref<File> file, file_of(task, fd));
  return read_file(ctx, task.lock_owner, *file, to, static_cast<uint64_t>(offset));
}

// read(2) on a hit: the position is free and nobody must be waited for.
std::optional<size_t> read_hit_at_position(File& file, IoVec to) {
  if (!file.f_pos_lock.try_lock()) return std::nullopt;
  std::optional<size_t> hit = read_hit(file, to, static_cast<uint64_t>(file.f_pos));
  if (hit.has_value()) file.f_pos = position_after(static_cast<uint64_t>(file.f_pos), *hit);
  file.f_pos_lock.unlock();
  return hit;
}

Result<size_t> do_readv(const CallContext& ctx, const TaskStruct& task, int fd, IoVec to,
                        uint32_t rwf = 0) {
  {
    RcuReadGuard guard;
    File* file = task.files.fcheck_rcu(fd);
    if (file == nullptr) return Errno(EBADF);
    if (Errno error = check_readable(*file, task.lock_owner); !error.ok()) return error;
    if (auto hit = read_hit_at_position(*file, to); hit.has_value()) return *hit;
  }
  if ((rwf & RWF_NOWAIT) != 0) return Errno(EAGAIN);
  MYFS_ASSIGN(Ref<File> file, file_of(task, fd));
  MutexLock lock(file->f_pos_lock);
  const auto offset = static_cast<uint64_t>(file->f_pos);
  MYFS_ASSIGN(size_t count, read_file(ctx, task.lock_owner, *file, to, offset));
  file->f_pos = position_after(offset, count);
  return count;
}

Result<size_t> do_writev_at(const CallContext& ctx, const TaskStruct& task, int fd, IoVec from,
                            int64_t offset, uint32_t rwf = 0) {
  if (offset < 0) return Errno(EINVAL);
  MYFS_ASSIGN(Ref<File> file, file_of(task, fd));
  MYFS_ASSIGN(WriteResult result,
              write_file(ctx, task.lock_owner, *file, from, static_cast<uint64_t>(offset), rwf));
  return result.count;
}

Result<size_t> do_writev(const CallContext& ctx, const TaskStruct& task, int fd, IoVec from,
                         uint32_t rwf = 0) {
  MYFS_ASSIGN(Ref<File> file, file_of(task, fd));
  MutexLock lock(file->f_pos_lock);
  MYFS_ASSIGN(WriteResult result, write_file(ctx, task.lock_owner, *file, from,
                                             static_cast<uint64_t>(file->f_pos), rwf));
  if (result.count > 0) file->f_pos = position_after(result.offset, result.count);
  return result.count;
}

iovec vector_of(const void* data, size_t count) {
  return {const_cast<void*>(data), std::min(count, kRwCountMax_bytes)};
}

Result<int64_t> seek_dir(File& file, int64_t offset, int whence) {
  MutexLock lock(file.f_pos_lock);
  if (whence == SEEK_CUR) offset += file.f_pos;
  if ((whence != SEEK_SET && whence != SEEK_CUR) || offset < 0) return Errno(EINVAL);
  seek_dir_locked(file, offset);
  return offset;
}

// Where a seek leads; the file's position is its caller's.
Result<int64_t> seek_target(const CallContext& ctx, File& file, int64_t pos, int64_t offset,
                            int whence) {
  int64_t base = 0;
  switch (whence) {
    case SEEK_SET:
      break;
    case SEEK_CUR:
      base = pos;
      break;
    case SEEK_END: {
      MYFS_ASSIGN(Kstat stat, vfs_getattr(ctx, file.f_inode()));
      base = static_cast<int64_t>(stat.size);
      break;
    }
    case SEEK_DATA:
    case SEEK_HOLE: {
      if (offset < 0) return Errno(ENXIO);
      MYFS_ASSIGN(uint64_t found, file.f_op().seek_data(ctx, file, static_cast<uint64_t>(offset),
                                                        whence == SEEK_HOLE));
      return static_cast<int64_t>(found);
    }
    default:
      return Errno(EINVAL);
  }
  int64_t target;
  if (__builtin_add_overflow(base, offset, &target)) return Errno(EOVERFLOW);
  if (target < 0 || static_cast<uint64_t>(target) > kFileSizeMax_bytes) return Errno(EINVAL);
  return target;
}

}  // namespace

Result<size_t> vfs_pread(const CallContext& ctx, const TaskStruct& task, int fd, void* to,
                         size_t count, int64_t offset) {
  if (count > SSIZE_MAX) return Errno(EINVAL);
  const iovec part = vector_of(to, count);
  return do_readv_at(ctx, task, fd, IoVec(&part, 1), offset);
}

Result<size_t> vfs_pwrite(const CallContext& ctx, const TaskStruct& task, int fd, const void* from,
                          size_t count, int64_t offset) {
  if (count > SSIZE_MAX) return Errno(EINVAL);
  const iovec part = vector_of(from, count);
  return do_writev_at(ctx, task, fd, IoVec(&part, 1), offset);
}

Result<size_t> vfs_read(const CallContext& ctx, const TaskStruct& task, int fd, void* to,
                        size_t count) {
  if (count > SSIZE_MAX) return Errno(EINVAL);
  const iovec part = vector_of(to, count);
  return do_readv(ctx, task, fd, IoVec(&part, 1));
}

Result<size_t> vfs_write(const CallContext& ctx, const TaskStruct& task, int fd, const void* from,
                         size_t count) {
  if (count > SSIZE_MAX) return Errno(EINVAL);
  const iovec part = vector_of(from, count);
  return do_writev(ctx, task, fd, IoVec(&part, 1));
}

Result<size_t> vfs_readv(const CallContext& ctx, const TaskStruct& task, int fd, IoVec to,
                         int64_t offset, uint32_t rwf) {
  IoVector copy;
  if ((rwf & ~kRwfKnown) != 0) return Errno(EOPNOTSUPP);
  MYFS_TRY(check_vector(to));
  const IoVec checked = clip(to, kRwCountMax_bytes, &copy);
  return offset == -1 ? do_readv(ctx, task, fd, checked, rwf)
                      : do_readv_at(ctx, task, fd, checked, offset, rwf);
}

Result<std::optional<size_t>> vfs_readv_hit(const TaskStruct& task, int fd, IoVec to,
                                            int64_t offset) {
  IoVector copy;
  MYFS_TRY(check_vector(to));
  to = clip(to, kRwCountMax_bytes, &copy);
  if (offset < -1) return Errno(EINVAL);
  RcuReadGuard guard;
  File* file = task.files.fcheck_rcu(fd);
  if (file == nullptr) return Errno(EBADF);
  if (Errno error = check_readable(*file, task.lock_owner); !error.ok()) return error;
  return offset == -1 ? read_hit_at_position(*file, to)
                      : read_hit(*file, to, static_cast<uint64_t>(offset));
}

Result<size_t> vfs_writev(const CallContext& ctx, const TaskStruct& task, int fd, IoVec from,
                          int64_t offset, uint32_t rwf) {
  IoVector copy;
  if ((rwf & ~kRwfKnown) != 0) return Errno(EOPNOTSUPP);
  MYFS_TRY(check_vector(from));
  const IoVec checked = clip(from, kRwCountMax_bytes, &copy);
  return offset == -1 ? do_writev(ctx, task, fd, checked, rwf)
                      : do_writev_at(ctx, task, fd, checked, offset, rwf);
}

Result<int64_t> vfs_lseek(const CallContext& ctx, const TaskStruct& task, int fd, int64_t offset,
                          int whence) {
  MYFS_ASSIGN(Ref<File> file, file_of(task, fd));
  return vfs_llseek(ctx, *file, offset, whence);
}

// What a read has brought, as the caller is to see it.
static size_t shown(IoVec to, size_t count) {
  if (count > 0 && MYFS_FAULTY(kFlipRead, 1000)) *static_cast<char*>(to.front().iov_base) ^= 1;
  return count;
}

Result<size_t> vfs_iter_read(const CallContext& ctx, File& file, IoVec to, int64_t offset) {
  IoVector copy;
  if (offset < 0) return Errno(EINVAL);
  MYFS_TRY(check_vector(to));
  const IoVec checked = clip(to, kRwCountMax_bytes, &copy);
  if (Errno error = check_readable(file, kNoOwner); !error.ok()) return error;
  {
    RcuReadGuard guard;
    if (auto hit = read_hit(file, checked, static_cast<uint64_t>(offset)); hit.has_value()) {
      return shown(checked, *hit);
    }
  }
  MYFS_ASSIGN(const size_t count,
              read_file(ctx, kNoOwner, file, checked, static_cast<uint64_t>(offset)));
  return shown(checked, count);
}

Result<WriteResult> vfs_iter_write(const CallContext& ctx, File& file, IoVec from, int64_t offset,
                                   uint32_t rwf) {
  IoVector copy;
  if ((rwf & ~(kRwfKnown | kRwfPage)) != 0) return Errno(EOPNOTSUPP);
  if (offset < 0) return Errno(EINVAL);
  MYFS_TRY(check_vector(from));
  return write_file(ctx, kNoOwner, file, clip(from, kRwCountMax_bytes, &copy),
                    static_cast<uint64_t>(offset), rwf);
}

Result<int64_t> vfs_llseek(const CallContext& ctx, File& file, int64_t offset, int whence) {
  if (file.f_inode().is_dir()) return seek_dir(file, offset, whence);
  MutexLock lock(file.f_pos_lock);
  MYFS_ASSIGN(int64_t target, seek_target(ctx, file, file.f_pos, offset, whence));
  file.f_pos = target;
  return target;
}

Result<void> vfs_fsync(const CallContext& ctx, const TaskStruct& task, int fd, bool datasync) {
  MYFS_ASSIGN(Ref<File> file, file_of(task, fd));
  return vfs_fsync(ctx, *file, datasync);
}

Result<void> vfs_fsync(const CallContext& ctx, File& file, bool datasync) {
  MYFS_TRY(mmap_write_out(ctx, file.f_inode()));
  return file.f_op().fsync(ctx, file, datasync);
}

Result<void> vfs_fallocate(const CallContext& ctx, const TaskStruct& task, int fd, int mode,
                           int64_t offset, int64_t length) {
  MYFS_ASSIGN(Ref<File> file, file_of(task, fd));
  if (file->may_write() && locks_lost(*file, task.lock_owner)) return Errno(EIO);
  return vfs_fallocate(ctx, *file, mode, offset, length);
}

Result<void> vfs_fallocate(const CallContext& ctx, File& file, int mode, int64_t offset,
                           int64_t length) {
  if (offset < 0 || length <= 0) return Errno(EINVAL);
  constexpr int kKnown = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
  const bool punches = (mode & FALLOC_FL_PUNCH_HOLE) != 0;
  const bool punches_well = (mode & kKnown) == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
  if ((mode & ~kKnown) != 0 || (punches && !punches_well)) return Errno(EOPNOTSUPP);
  if (!file.may_write()) return Errno(EBADF);
  if (locks_lost(file, kNoOwner)) return Errno(EIO);
  Inode& inode = file.f_inode();
  if (!inode.is_regular()) return Errno(ENODEV);
  int64_t end;
  if (__builtin_add_overflow(offset, length, &end) ||
      static_cast<uint64_t>(end) > kFileSizeMax_bytes) {
    return Errno(EFBIG);
  }
  MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, file));
  WriteLock lock(inode.i_rwsem);
  MYFS_TRY(mmap_changing(ctx, inode, static_cast<uint64_t>(offset), static_cast<uint64_t>(end)));
  Result<void> done;
  {
    ChangeInFlight change({}, {&inode}, Inode::kChanging + Inode::kChangingData);
    done = file.f_op().fallocate(change.context(ctx), file, mode, static_cast<uint64_t>(offset),
                                 static_cast<uint64_t>(length));
  }
  mmap_changed(ctx, inode, static_cast<uint64_t>(offset), static_cast<uint64_t>(end));
  return done;
}

Result<void> vfs_sync_file_range(const CallContext& ctx, const TaskStruct& task, int fd,
                                 int64_t offset, int64_t length, uint32_t flags) {
  constexpr uint32_t kKnown =
      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
  MYFS_ASSIGN(Ref<File> file, file_of(task, fd));
  int64_t end;
  if ((flags & ~kKnown) != 0 || offset < 0 || length < 0 ||
      __builtin_add_overflow(offset, length, &end)) {
    return Errno(EINVAL);
  }
  const auto from = static_cast<uint64_t>(offset);
  const uint64_t to = length == 0 ? UINT64_MAX : static_cast<uint64_t>(end);
  MYFS_TRY(mmap_write_out(ctx, file->f_inode()));
  if ((flags & SYNC_FILE_RANGE_WAIT_BEFORE) != 0) {
    MYFS_TRY(file->f_op().sync_range(ctx, *file, from, to, false, true));
  }
  const bool start = (flags & SYNC_FILE_RANGE_WRITE) != 0;
  const bool wait = (flags & SYNC_FILE_RANGE_WAIT_AFTER) != 0;
  if (!start && !wait) return ok_result();
  return file->f_op().sync_range(ctx, *file, from, to, start, wait);
}

Result<void> vfs_fadvise(const CallContext& ctx, const TaskStruct& task, int fd, int64_t offset,
                         int64_t length, int advice) {
  MYFS_ASSIGN(Ref<File> file, file_of(task, fd));
  const bool known = advice >= POSIX_FADV_NORMAL && advice <= POSIX_FADV_NOREUSE;
  if (length < 0 || !known) return Errno(EINVAL);
  const auto from = static_cast<uint64_t>(offset);
  uint64_t to;
  if (length == 0 || __builtin_add_overflow(from, static_cast<uint64_t>(length), &to)) {
    to = UINT64_MAX;
  }
  ReadLock lock(file->f_inode().i_rwsem);
  return file->f_op().fadvise(ctx, *file, from, to, advice);
}

Result<void> sync_filesystem(const CallContext& ctx, SuperBlock& sb) {
  ReadLock lock(sb.s_umount);
  if (!sb.is_active() || sb.is_read_only()) return ok_result();
  return sb.s_op().sync_fs(ctx);
}

Result<void> vfs_sync(const CallContext& ctx, const TaskStruct& task) {
  Errno first = mmap_sync(ctx, task).error();
  for (const Ref<SuperBlock>& sb : task.nsproxy->super_blocks()) {
    Result<void> result = sync_filesystem(ctx, *sb);
    if (!result.ok() && first.ok()) first = result.error();
  }
  return first;
}

Result<void> vfs_syncfs(const CallContext& ctx, const TaskStruct& task, int fd) {
  MYFS_ASSIGN(Ref<File> file, file_of(task, fd));
  SuperBlock& sb = file->f_inode().i_sb();
  Result<void> stored = mmap_sync(ctx, sb);
  Result<void> synced = sync_filesystem(ctx, sb);
  return stored.ok() ? synced : stored;
}

}  // namespace myfs::fs
