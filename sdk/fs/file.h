// File: an open file description: what open() made and dup shares.
// Kernel counterpart: struct file, struct file_operations (include/linux/fs.h).  Differs: locked
// positions by a mutex of its own; readdir is paged by the file system and emitted by the VFS
// (readdir.h).
// Thread safety: all. Freed by rcu, so that a hit may use it without a reference.
// Lock rank: f_pos_lock kFilePos.
// Owns / is owned by: owned by descriptor tables and calls under way; owns its path and with it
// mount and inode.
// Invariants: (1) f_mode, f_inode, f_cred, f_open_id are constant once it is in a table; (2)
// FileOps::release runs exactly once, after the last reference, if open succeeded.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sdk/base/call_context.h"
#include "sdk/base/ref.h"
#include "sdk/base/result.h"
#include "sdk/base/sync.h"
#include "sdk/fs/dcache.h"
#include "sdk/fs/inode.h"
#include "sdk/fs/path.h"
#include "sdk/mm/errseq.h"
#include "sdk/mm/readahead.h"

namespace myfs::fs {

struct DirCursor;
struct FileLock;
enum class LockCmd : uint8_t;

class File final : public RefCounted<File> {
 public:
  enum Mode : uint32_t {
    kRead = 1,
    kWrite = 2,
    kPath = 4,    // O_PATH: names a place, does no I/O
    kOpened = 8,  // FileOps::open (or create) succeeded
  };
  // What a file system keeps per open file.
  struct Private {
    virtual ~Private() = default;
  };

  // `path` is positive. flags: O_*.
  static Ref<File> create(Path path, uint32_t flags, CredRef cred);
  // For open(O_CREAT), where the path is known only afterwards: set_path comes before it enters a
  // table.
  static Ref<File> create_unbound(SuperBlock& sb, uint32_t flags, CredRef cred);
  void set_path(Path path);
  // Of what is open for writing, until its last reference goes: the mount stays writable. EROFS.
  Errno get_write_access();

  // For who must not wait: the last reference's going may. False, and nothing is done: it is that.
  bool unref_unless_last() const;

  const Path& f_path() const { return f_path_; }
  Inode& f_inode() const { return *f_inode_; }
  FileOps& f_op() const { return f_inode_->i_fop(); }
  bool may_read() const { return (f_mode & kRead) != 0; }
  bool may_write() const { return (f_mode & kWrite) != 0; }
  uint32_t f_flags() const { return f_flags_.load(std::memory_order_relaxed); }
  // F_SETFL: O_APPEND, O_NONBLOCK, O_NOATIME, O_DIRECT.
  void set_status_flags(uint32_t flags);
  // What the opener needed: 1 read, 2 write, 8 execute, as the wire's opener says. With access mode
  // 3 both of the first, though neither is allowed.
  uint32_t access() const;

  uint32_t f_mode;
  const CredRef f_cred;      // of the opener
  const uint64_t f_open_id;  // unique in the super block: the opener of the protocol
  // Newest write-back error of the mapping that was reported here: by fsync or close; by whatever
  // call. The file system samples them in open.
  std::atomic<mm::ErrSeq::Sample> f_wb_err{0}, f_wb_told{0};
  // [filemap_sample_wb_err]
  void sample_wb_err(const mm::ErrSeq& wb_err) {
    const mm::ErrSeq::Sample now = wb_err.sample();
    f_wb_err.store(now, std::memory_order_relaxed);
    f_wb_told.store(now, std::memory_order_relaxed);
  }
  mm::FileRaState f_ra;
  std::unique_ptr<Private> f_private;

  Mutex f_pos_lock{LockRank::kFilePos};
  int64_t f_pos ABSL_GUARDED_BY(f_pos_lock) = 0;
  std::unique_ptr<DirCursor> f_dir ABSL_GUARDED_BY(f_pos_lock);

  ~File();
  void last_ref_dropped();

 private:
  File(uint64_t open_id, uint32_t flags, CredRef cred);
  std::atomic<uint32_t> f_flags_;
  Path f_path_;
  Inode* f_inode_ = nullptr;  // f_path's
  bool f_writer_ = false;     // get_write_access() succeeded
};

// [file_check_and_advance_wb_err] What was lost of the file's content and this open file has not
// been told of by fsync or close; each error once, also if several threads ask.
Errno file_check_and_advance_wb_err(File& file);
// The same by any call, whose report replaces neither of these: whoever syncs may be somebody else.
Errno file_tell_wb_err(File& file);

using IoVec = std::span<const iovec>;
size_t iov_length_bytes(IoVec iov);

struct WriteResult {
  size_t count = 0;
  uint64_t offset = 0;  // where it began: for appends found out by the write
};

// One page of a directory, as the file system delivers it.
struct DirPage {
  struct Entry {
    std::string name;
    uint64_t cookie = 0;  // >= 1, ascending, stable while the entry exists
    uint64_t ino = 0;
    uint8_t type = 0;  // DT_*
  };
  std::vector<Entry> entries;  // cookies above the one asked for
  bool eof = false;
  // What the page is based on; sampled after what came with it was learned.
  DirVersion version;
  // Every entry has been given to Dcache::d_learn: the directory may become COMPLETE.
  bool learned = false;
};

// Where a file has content of its own [struct fiemap_extent].
struct FileExtent {
  uint64_t offset = 0;
  uint64_t length = 0;
  bool shared = false;  // with other files
};
struct FileExtents {
  std::vector<FileExtent> extents;  // ascending
  bool last = false;                // there is nothing behind them
};

// Every call may block; none is made under a leaf lock or in an rcu read section.
class FileOps {
 public:
  virtual ~FileOps() = default;

  // Checks permission for f_flags unless `permitted`, registers the opener, truncates if f_flags
  // has O_TRUNC. Locally if the leases allow (A, and R or W), else at the server.
  virtual Result<void> open(const CallContext& ctx, Inode& inode, File& file, bool permitted);
  // O_PATH: from now on the inode lives as long as the file, with or without a name. Neither flush
  // nor release follow: what it takes is in f_private and goes with it, as `release` may. Default:
  // it lives anyway.
  virtual Result<void> open_path(const CallContext& ctx, Inode& inode, File& file);
  // Each close() of a descriptor; its result is that of close.
  virtual Result<void> flush(const CallContext& ctx, File& file);
  // The last reference is gone. Must not fail and not wait without bound.
  virtual void release(File& file);
  // Up to the end of the file; 0 at or behind it. i_rwsem shared. The VFS has checked mode, type
  // and ranges.
  virtual Result<size_t> read(const CallContext& ctx, File& file, IoVec to, uint64_t offset);
  // i_rwsem exclusive. append: at the end, wherever that is; else at `offset`. O_SYNC and O_DSYNC
  // are handled by the VFS; O_DIRECT in f_flags says not to cache, here as in read. setuid and
  // setgid bits go, if the writer is not privileged.
  virtual Result<WriteResult> write(const CallContext& ctx, File& file, IoVec from, uint64_t offset,
                                    bool append);
  virtual Result<void> fsync(const CallContext& ctx, File& file, bool datasync);
  // First data (or hole) at or after `offset`; ENXIO behind the end. Default: all is data up to
  // i_size.
  virtual Result<uint64_t> seek_data(const CallContext& ctx, File& file, uint64_t offset,
                                     bool hole);
  virtual Result<void> fallocate(const CallContext& ctx, File& file, int mode, uint64_t offset,
                                 uint64_t length);
  // Bytes of `from`, of the same super block, go into `to`; fewer at the end of `from`. i_rwsem of
  // `to` is held exclusive and its i_changing raised; the VFS has checked modes, types and ranges,
  // but for the overlap of ranges of one file.
  virtual Result<uint64_t> copy_file_range(const CallContext& ctx, File& from, uint64_t from_offset,
                                           File& to, uint64_t to_offset, uint64_t length);
  // [REMAP_FILE: FICLONERANGE] The same, all of it, by sharing. length 0: to the end of `from`.
  virtual Result<void> remap_file_range(const CallContext& ctx, File& from, uint64_t from_offset,
                                        File& to, uint64_t to_offset, uint64_t length);
  // At most `max` extents of [offset, offset + length).
  virtual Result<FileExtents> fiemap(const CallContext& ctx, File& file, uint64_t offset,
                                     uint64_t length, size_t max);
  // What is dirty in the bytes [from, to) goes to the server, durable or not: `start` sends it,
  // `wait` waits for it and reports as fsync does. Default: nothing is ever dirty.
  virtual Result<void> sync_range(const CallContext& ctx, File& file, uint64_t from, uint64_t to,
                                  bool start, bool wait);
  // advice: POSIX_FADV_*. i_rwsem shared. Default: it is not listened to.
  virtual Result<void> fadvise(const CallContext& ctx, File& file, uint64_t from, uint64_t to,
                               int advice);
  // [->lock, ->flock] kGet: `lock` becomes what stands in its way, or F_UNLCK. kSet: sets, or
  // unlocks; EAGAIN. kSetWait: waits; EDEADLK. The VFS has checked mode and range. Default: locks
  // of this process alone, in the inode's FileLockContext. Also for what a close() gives up: then
  // the error is not heard.
  virtual Result<void> lock(const CallContext& ctx, File& file, LockCmd cmd, FileLock& lock);
  // [break_lease] Before a regular file is cut, and after it was opened, under no lock: waits until
  // no open file but `open_id` (0: none) holds a lease that reading, or writing, breaks. EAGAIN:
  // `may_wait` is false. Default: there are no leases.
  virtual Result<void> break_lease(const CallContext& ctx, Inode& inode, uint64_t open_id,
                                   bool writes, bool may_wait);
  // Entries with cookies above `cookie`, 0 for the first page; '.' and '..' excluded.
  virtual Result<DirPage> readdir(const CallContext& ctx, File& file, uint64_t cookie);
};

}  // namespace myfs::fs
