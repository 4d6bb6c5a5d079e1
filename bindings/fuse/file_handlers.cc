// Requests about open files.

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>

#include <memory>

#include "bindings/fuse/request.h"

namespace bridge {

namespace {

// FMODE_EXEC of the kernel's <linux/fs.h>.
static_assert(MYFS_O_EXEC == 0x20);

constexpr int kStatusFlags = O_APPEND | O_NONBLOCK | O_NOATIME | O_DIRECT;

std::unique_ptr<FileHandle> new_handle(int flags) {
  auto handle = std::make_unique<FileHandle>();
  handle->flags.store(flags & kStatusFlags);
  return handle;
}

void on_open(fuse_req_t req, fuse_ino_t ino, fuse_file_info* info) {
  Request request(req);
  myfs_inode* inode = request.node(ino);
  if (inode == nullptr) return;
  auto handle = new_handle(info->flags);
  // Of what is to be executed the kernel says so by the bit that MYFS_O_EXEC is.
  const int result = myfs_ll_open(inode, request.call(), info->flags, &handle->file);
  if (result < 0) return request.error(result);
  info->direct_io = 1;
  request.open(std::move(handle), info);
}

void on_create(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode,
               fuse_file_info* info) {
  Request request(req);
  myfs_inode* dir = request.node(parent);
  if (dir == nullptr) return;
  auto handle = new_handle(info->flags);
  myfs_entry entry{};
  entry.size = sizeof entry;
  // What the kernel asks for by FUSE_TMPFILE (device.h).
  const bool unnamed = (info->flags & O_TMPFILE) == O_TMPFILE;
  const int result = unnamed ? myfs_ll_tmpfile(dir, request.call(), info->flags, mode & 07777,
                                               request.umask(), &entry, &handle->file)
                             : myfs_ll_create(dir, request.call(), name, info->flags, mode & 07777,
                                              request.umask(), &entry, &handle->file);
  if (unnamed) entry.keep_name_ms = 0;
  if (result < 0) return request.error(result);
  info->direct_io = 1;
  request.create(entry, parent, name, std::move(handle), info);
}

// fcntl(F_SETFL) tells nobody: the kernel says with each read and write how the file is open. The
// library appends by itself what is opened so; the kernel's offset may be old.
void follow_flags(FileHandle& handle, int flags) {
  const int wanted = flags & kStatusFlags;
  if (handle.flags.exchange(wanted) != wanted) myfs_ll_set_flags(handle.file, wanted);
}

// One buffer per thread: it serves one request at a time.
char* thread_buffer() {
  thread_local const std::unique_ptr<char[]> buffer(new char[kIoMax_bytes]);
  return buffer.get();
}

void on_read(fuse_req_t req, fuse_ino_t, size_t size, off_t offset, fuse_file_info* info) {
  Request request(req);
  if (size > kIoMax_bytes) size = kIoMax_bytes;
  FileHandle& handle = *FileHandle::of(info);
  follow_flags(handle, info->flags);
  const iovec to{thread_buffer(), size};
  const ssize_t count = myfs_ll_read(handle.file, request.call(), &to, 1, offset);
  if (count < 0) return request.error(static_cast<int>(count));
  request.buffer(to.iov_base, static_cast<size_t>(count));
}

// RWF_* of a write. What the kernel writes back of a mapping is of the file, not of a way to open
// it. RWF_DSYNC, RWF_SYNC and a mount with `sync` show as if the file were open so.
unsigned rwf_of(const fuse_file_info& info) {
  if (info.writepage != 0) return MYFS_RWF_PAGE;
  if ((info.flags & O_SYNC) == O_SYNC) return RWF_SYNC;
  return (info.flags & O_DSYNC) != 0 ? RWF_DSYNC : 0;
}

void on_write(fuse_req_t req, fuse_ino_t, const char* data, size_t size, off_t offset,
              fuse_file_info* info) {
  Request request(req);
  FileHandle& handle = *FileHandle::of(info);
  if (info->writepage == 0) follow_flags(handle, info->flags);
  const iovec from{const_cast<char*>(data), size};
  const ssize_t count =
      myfs_ll_pwritev2(handle.file, request.call(), &from, 1, offset, rwf_of(*info));
  if (count < 0) return request.error(static_cast<int>(count));
  request.written(static_cast<size_t>(count));
}

void on_flush(fuse_req_t req, fuse_ino_t, fuse_file_info* info) {
  Request request(req);
  FileHandle& handle = *FileHandle::of(info);
  const int result = myfs_ll_flush(handle.file, request.call());
  unlock_all(handle, info->lock_owner, result == -ECANCELED ? kUnlockKilled_ms : kUnlock_ms);
  request.error(result);
}

void on_fsync(fuse_req_t req, fuse_ino_t, int datasync, fuse_file_info* info) {
  Request request(req);
  request.error(myfs_ll_fsync(FileHandle::of(info)->file, request.call(), datasync));
}

void on_release(fuse_req_t req, fuse_ino_t, fuse_file_info* info) {
  FileHandle* const handle = FileHandle::of(info);
  unlock_owners(*handle);
  static_cast<Bridge*>(fuse_req_userdata(req))->handles.drop(handle);
  fuse_reply_err(req, 0);
}

void on_lseek(fuse_req_t req, fuse_ino_t, off_t offset, int whence, fuse_file_info* info) {
  Request request(req);
  const off_t found = myfs_ll_lseek(FileHandle::of(info)->file, request.call(), offset, whence);
  if (found < 0) return request.error(static_cast<int>(found));
  request.offset(found);
}

void on_fallocate(fuse_req_t req, fuse_ino_t, int mode, off_t offset, off_t length,
                  fuse_file_info* info) {
  Request request(req);
  request.error(
      myfs_ll_fallocate(FileHandle::of(info)->file, request.call(), mode, offset, length));
}

void on_copy_file_range(fuse_req_t req, fuse_ino_t, off_t from_offset, fuse_file_info* from,
                        fuse_ino_t, off_t to_offset, fuse_file_info* to, size_t size, int) {
  Request request(req);
  // The kernel lets nobody copy to a file that is open to append to: now it is not.
  FileHandle& target = *FileHandle::of(to);
  follow_flags(target, target.flags.load() & ~O_APPEND);
  const ssize_t count = myfs_ll_copy_file_range(FileHandle::of(from)->file, request.call(),
                                                from_offset, target.file, to_offset, size);
  if (count < 0) return request.error(static_cast<int>(count));
  request.written(static_cast<size_t>(count));
}

}  // namespace

void set_file_handlers(fuse_lowlevel_ops* ops) {
  ops->open = on_open;
  ops->create = on_create;
  ops->read = on_read;
  ops->write = on_write;
  ops->flush = on_flush;
  ops->fsync = on_fsync;
  ops->release = on_release;
  ops->lseek = on_lseek;
  ops->fallocate = on_fallocate;
  ops->copy_file_range = on_copy_file_range;
}

}  // namespace bridge
