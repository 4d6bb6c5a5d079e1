// Read_write: data in and out of descriptors.
// Kernel counterpart: fs/read_write.c, fs/sync.c.  Differs: a read that the page cache can answer
// takes no reference and no lock; a write is whole against reads of the same client
// (AddressSpace::i_write_seq, i_rwsem).
// Thread safety: all.
// Lock rank: f_pos_lock for calls that use the position; i_rwsem shared for reads that miss,
// exclusive for writes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "sdk/base/call_context.h"
#include "sdk/base/result.h"
#include "sdk/fs/file.h"
#include "sdk/fs/task.h"

namespace myfs::fs {

// EBADF, EISDIR, EINVAL (negative offset, length beyond SSIZE_MAX, more than kIovMax vectors),
// EFBIG, ESPIPE, ENXIO.
inline constexpr size_t kIovMax = 1024;
// O_DIRECT: offsets and lengths are multiples of this (EINVAL), but for a read at the end.
inline constexpr uint64_t kDirectAlign_bytes = 512;
// A single transfer's limit, as Linux's MAX_RW_COUNT.
inline constexpr size_t kRwCountMax_bytes = 0x7ffff000;

Result<size_t> vfs_pread(const CallContext& ctx, const TaskStruct& task, int fd, void* to,
                         size_t count, int64_t offset);
Result<size_t> vfs_pwrite(const CallContext& ctx, const TaskStruct& task, int fd, const void* from,
                          size_t count, int64_t offset);
Result<size_t> vfs_read(const CallContext& ctx, const TaskStruct& task, int fd, void* to,
                        size_t count);
Result<size_t> vfs_write(const CallContext& ctx, const TaskStruct& task, int fd, const void* from,
                         size_t count);
// offset -1: the file's position. rwf: RWF_*; EOPNOTSUPP for what is not known, and for a write
// with RWF_NOWAIT that would be cached. RWF_NOWAIT: EAGAIN unless the cache has all of it.
Result<size_t> vfs_readv(const CallContext& ctx, const TaskStruct& task, int fd, IoVec to,
                         int64_t offset, uint32_t rwf = 0);
// What the cache answers to vfs_readv at once; nullopt: nothing. Waits for nobody.
Result<std::optional<size_t>> vfs_readv_hit(const TaskStruct& task, int fd, IoVec to,
                                            int64_t offset);
Result<size_t> vfs_writev(const CallContext& ctx, const TaskStruct& task, int fd, IoVec from,
                          int64_t offset, uint32_t rwf = 0);
// whence: SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE.
Result<int64_t> vfs_lseek(const CallContext& ctx, const TaskStruct& task, int fd, int64_t offset,
                          int whence);
Result<void> vfs_fsync(const CallContext& ctx, const TaskStruct& task, int fd, bool datasync);
Result<void> vfs_fsync(const CallContext& ctx, File& file, bool datasync);
// flags: SYNC_FILE_RANGE_*. length 0: to the end.
Result<void> vfs_sync_file_range(const CallContext& ctx, const TaskStruct& task, int fd,
                                 int64_t offset, int64_t length, uint32_t flags);
// advice: POSIX_FADV_*. length 0: to the end.
Result<void> vfs_fadvise(const CallContext& ctx, const TaskStruct& task, int fd, int64_t offset,
                         int64_t length, int advice);
// mode: FALLOC_FL_KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE; others EOPNOTSUPP.
Result<void> vfs_fallocate(const CallContext& ctx, const TaskStruct& task, int fd, int mode,
                           int64_t offset, int64_t length);

// The same by open file, for callers without descriptors [vfs_iter_read, vfs_llseek].
Result<size_t> vfs_iter_read(const CallContext& ctx, File& file, IoVec to, int64_t offset);
// rwf: RWF_* as above; kRwfPage: what a mapping's page holds goes to `offset`, whatever O_APPEND
// and O_DIRECT say.
inline constexpr uint32_t kRwfPage = 1U << 31;
Result<WriteResult> vfs_iter_write(const CallContext& ctx, File& file, IoVec from, int64_t offset,
                                   uint32_t rwf = 0);
Result<int64_t> vfs_llseek(const CallContext& ctx, File& file, int64_t offset, int whence);
Result<void> vfs_fallocate(const CallContext& ctx, File& file, int mode, int64_t offset,
                           int64_t length);
// sync(2), for every mount of the task; the first error.
Result<void> vfs_sync(const CallContext& ctx, const TaskStruct& task);
Result<void> vfs_syncfs(const CallContext& ctx, const TaskStruct& task, int fd);
Result<void> sync_filesystem(const CallContext& ctx, SuperBlock& sb);

}  // namespace myfs::fs
