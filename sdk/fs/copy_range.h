// Copy_range: bytes from descriptor to descriptor without a buffer of the caller's.
// Kernel counterpart: vfs_copy_file_range (fs/read_write.c), fs/remap_range.c, fs/splice.c,
// fs/ioctl.c (fiemap).
// Differs: files of two super blocks are EXDEV, nothing is copied through the client; a splice has
// a kernel descriptor at one end.
// Thread safety: all.
// Lock rank: f_pos_lock, one at a time; i_rwsem exclusive of the file that changes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sdk/base/call_context.h"
#include "sdk/base/result.h"
#include "sdk/fs/file.h"
#include "sdk/fs/task.h"

namespace myfs::fs {

// Offsets: null: the file's position, which moves on; else *offset, which does. Bytes, 0 at the end
// of `fd_in`. EBADF, EINVAL, EISDIR, EXDEV, EFBIG, EOVERFLOW, ENOSPC.
Result<size_t> vfs_copy_file_range(const CallContext& ctx, const TaskStruct& task, int fd_in,
                                   int64_t* offset_in, int fd_out, int64_t* offset_out,
                                   size_t length);
// The same by open file, for callers without descriptors.
Result<size_t> vfs_copy_file_range(const CallContext& ctx, File& in, int64_t offset_in, File& out,
                                   int64_t offset_out, size_t length);
// FICLONERANGE. length 0: to the end of `fd_in`. EBADF, EINVAL (not on block boundaries, overlap),
// EISDIR, EXDEV, EOPNOTSUPP.
Result<void> vfs_clone_file_range(const CallContext& ctx, const TaskStruct& task, int fd_in,
                                  int64_t offset_in, int fd_out, int64_t offset_out,
                                  int64_t length);
// FS_IOC_FIEMAP with FIEMAP_FLAG_SYNC. At most `max` extents. EBADF, EINVAL, EOPNOTSUPP.
Result<FileExtents> vfs_fiemap(const CallContext& ctx, const TaskStruct& task, int fd,
                               int64_t offset, int64_t length, size_t max);

}  // namespace myfs::fs
