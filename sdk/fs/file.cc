#include "sdk/fs/file.h"

#include <fcntl.h>

#include "sdk/base/rcu.h"
#include "sdk/fs/locks.h"
#include "sdk/fs/open.h"
#include "sdk/fs/readdir.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

namespace {

constexpr uint32_t kSettableFlags = O_APPEND | O_NONBLOCK | O_NOATIME | O_DIRECT;
// Not remembered: they concern the open itself.
constexpr uint32_t kCreationFlags = O_CREAT | O_EXCL | O_NOCTTY;

uint32_t mode_of(uint32_t flags) {
  if ((flags & O_PATH) != 0) return File::kPath;
  switch (flags & O_ACCMODE) {
    case O_RDONLY:
      return File::kRead;
    case O_WRONLY:
      return File::kWrite;
    case O_RDWR:
      return File::kRead | File::kWrite;
    default:
      return 0;  // access mode 3
  }
}

}  // namespace

File::File(uint64_t open_id, uint32_t flags, CredRef cred)
    : f_mode(mode_of(flags)),
      f_cred(std::move(cred)),
      f_open_id(open_id),
      f_flags_(flags & ~kCreationFlags) {}

File::~File() {
  // Their references went with the last reference to the file.
  (void)f_path_.dentry.leak();
  (void)f_path_.mnt.leak();
}

Ref<File> File::create(Path path, uint32_t flags, CredRef cred) {
  Ref<File> file = create_unbound(path.dentry->d_sb(), flags, std::move(cred));
  file->set_path(std::move(path));
  return file;
}

Ref<File> File::create_unbound(SuperBlock& sb, uint32_t flags, CredRef cred) {
  return Ref<File>(new File(sb.next_open_id(), flags, std::move(cred)), Ref<File>::Adopt{});
}

void File::set_path(Path path) {
  f_path_ = std::move(path);
  f_inode_ = f_path_.dentry->d_inode();
}

bool File::unref_unless_last() const {
  uint32_t old = count_.load(std::memory_order_relaxed);
  while (old > 1) {
    if (count_.compare_exchange_weak(old, old - 1, std::memory_order_release,
                                     std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

Errno File::get_write_access() {
  if (!may_write() || f_writer_) return Errno();
  const Errno error = WantWrite::open_for_writing(f_path_);
  f_writer_ = error.ok();
  return error;
}

void File::set_status_flags(uint32_t flags) {
  uint32_t old = f_flags_.load(std::memory_order_relaxed);
  while (!f_flags_.compare_exchange_weak(old, (old & ~kSettableFlags) | (flags & kSettableFlags))) {
  }
}

uint32_t File::access() const {
  const uint32_t flags = f_flags();
  const bool neither = (f_mode & kPath) == 0 && (flags & O_ACCMODE) == O_ACCMODE;
  return (neither || may_read() ? 1 : 0) | (neither || may_write() ? 2 : 0) |
         ((flags & kOpenExec) != 0 ? 8 : 0);
}

void File::last_ref_dropped() {
  if ((f_mode & kOpened) != 0) {
    locks_remove_file(*this);
    f_op().release(*this);
  }
  f_private = nullptr;
  if (f_writer_) WantWrite::close_for_writing(f_path_);
  // References go now: rcu frees memory only, since it runs on whichever thread comes along. The
  // pointers stay, for walks that start here in a read section.
  if (f_path_.dentry) f_path_.dentry->unref();
  Mount* mnt = f_path_.mnt.get();
  rcu_delete(this);
  if (mnt != nullptr) mnt->unref();
}

static Errno advance_wb_err(const File& file, std::atomic<mm::ErrSeq::Sample>& told) {
  mm::AddressSpace& mapping = *file.f_inode().i_mapping;
  mm::ErrSeq::Sample before = told.load(std::memory_order_acquire);
  while (true) {
    mm::ErrSeq::Sample since = before;
    const Errno error = mapping.wb_err.check_and_advance(&since);
    // If another call of this open file was faster, it reports the error.
    if (!error.ok()) mapping.ops().note_told();
    if (error.ok() || told.compare_exchange_strong(before, since, std::memory_order_acq_rel)) {
      return error;
    }
  }
}

Errno file_check_and_advance_wb_err(File& file) {
  const Errno error = advance_wb_err(file, file.f_wb_err);
  if (!error.ok()) (void)advance_wb_err(file, file.f_wb_told);
  return error;
}

Errno file_tell_wb_err(File& file) { return advance_wb_err(file, file.f_wb_told); }

size_t iov_length_bytes(IoVec iov) {
  size_t sum = 0;
  for (const iovec& part : iov) sum += part.iov_len;
  return sum;
}

Result<void> FileOps::open(const CallContext&, Inode&, File&, bool) { return ok_result(); }
Result<void> FileOps::open_path(const CallContext&, Inode&, File&) { return ok_result(); }
Result<void> FileOps::flush(const CallContext&, File&) { return ok_result(); }
void FileOps::release(File&) {}
Result<size_t> FileOps::read(const CallContext&, File&, IoVec, uint64_t) { return Errno(EINVAL); }
Result<WriteResult> FileOps::write(const CallContext&, File&, IoVec, uint64_t, bool) {
  return Errno(EINVAL);
}
Result<void> FileOps::fsync(const CallContext&, File&, bool) { return Errno(EINVAL); }
Result<uint64_t> FileOps::seek_data(const CallContext& ctx, File& file, uint64_t offset,
                                    bool hole) {
  MYFS_ASSIGN(Kstat stat, file.f_inode().i_op().getattr(ctx, file.f_inode()));
  if (offset >= stat.size) return Errno(ENXIO);
  return hole ? stat.size : offset;
}
Result<void> FileOps::fallocate(const CallContext&, File&, int, uint64_t, uint64_t) {
  return Errno(EOPNOTSUPP);
}
Result<uint64_t> FileOps::copy_file_range(const CallContext&, File&, uint64_t, File&, uint64_t,
                                          uint64_t) {
  return Errno(EOPNOTSUPP);
}
Result<void> FileOps::remap_file_range(const CallContext&, File&, uint64_t, File&, uint64_t,
                                       uint64_t) {
  return Errno(EOPNOTSUPP);
}
Result<FileExtents> FileOps::fiemap(const CallContext&, File&, uint64_t, uint64_t, size_t) {
  return Errno(EOPNOTSUPP);
}
Result<void> FileOps::sync_range(const CallContext&, File&, uint64_t, uint64_t, bool, bool) {
  return ok_result();
}
Result<void> FileOps::fadvise(const CallContext&, File&, uint64_t, uint64_t, int) {
  return ok_result();
}
Result<void> FileOps::lock(const CallContext& ctx, File& file, LockCmd cmd, FileLock& lock) {
  Inode& inode = file.f_inode();
  if (cmd != LockCmd::kGet)
    return inode.get_lock_context().lock(ctx, lock, cmd == LockCmd::kSetWait);
  std::optional<FileLock> found;
  if (inode.i_flctx() != nullptr) found = inode.i_flctx()->conflict(lock);
  if (found.has_value()) {
    lock = *found;
  } else {
    lock.fl_type = F_UNLCK;
  }
  return ok_result();
}
Result<void> FileOps::break_lease(const CallContext&, Inode&, uint64_t, bool, bool) {
  return ok_result();
}
Result<DirPage> FileOps::readdir(const CallContext&, File&, uint64_t) { return Errno(ENOTDIR); }

}  // namespace myfs::fs
