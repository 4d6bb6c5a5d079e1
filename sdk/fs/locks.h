// Locks: flock, POSIX byte-range locks and those of open file descriptions (OFD).
// Kernel counterpart: fs/locks.c (struct file_lock, struct file_lock_context, posix_lock_inode,
// flock_lock_inode), fcntl_setlk of fs/fcntl.c.
// Differs: ranges are kept per inode in one list; a file system whose server decides records here
// what it has granted (record()) and numbers what it does (fl_seq), since answers may be overtaken;
// locks can be lost with a session, and then stand here as fl_lost until they are given up.
// Thread safety: all; record(), lose() and lose_all() also on the I/O loop.
// Lock rank: flc_lock is of kInode, as i_lock, and never held with it; the list of those who wait
// (blocked_lock) is kInodeHash, inside flc_lock.
// Owns / is owned by: an Inode owns its FileLockContext from the first lock on.
// Invariants: (1) ranges of one owner do not overlap, neighbours that are alike are one; (2) POSIX
// and OFD locks conflict with one another, flock with flock only, nothing with its own owner; (3)
// what is lost conflicts with nothing here, and makes every I/O of its owner on the inode fail with
// EIO (locks_lost) until the owner unlocks it or closes the file.
//
// COHERENCE. Who has been granted a lock must see what the last holder wrote. Nothing is done for
// that here or in netfs: a lease lets bytes stay in a client only as long as nobody else looks. A
// read() of the new holder is answered from a cache under R, which is granted after W of others has
// come back with their bytes, or by the server, which recalls W first; so is its stat(). A write
// without W (write_uncached) has reached the server when it returns, and the server has taken R
// from all others by then. An unlock therefore has nothing to flush, as little as a grant has to
// drop.
#pragma once

#include <fcntl.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "sdk/base/call_context.h"
#include "sdk/base/result.h"
#include "sdk/base/sync.h"
#include "sdk/fs/inode.h"

namespace myfs::fs {

class File;
class TaskStruct;

enum class LockKind : uint8_t { kPosix, kOfd, kFlock };  // [FL_POSIX, FL_OFDLCK, FL_FLOCK]
inline constexpr uint64_t kOffsetMax = INT64_MAX;        // a range up to it has no end

struct FileLock {
  LockKind fl_kind = LockKind::kPosix;
  int16_t fl_type = F_UNLCK;  // F_RDLCK, F_WRLCK
  uint64_t fl_start = 0;
  uint64_t fl_end = kOffsetMax;  // inclusive
  uint64_t fl_owner = 0;         // of POSIX locks the task's lock_owner; else the file's f_open_id
  int32_t fl_pid = 0;            // -1 of OFD locks
  uint64_t fl_open_id = 0;       // of the file through which it was asked for
  uint64_t fl_seq = 0;           // newer than everything with a smaller one
  bool fl_lost = false;

  bool same_owner(const FileLock& other) const {
    return fl_kind == other.fl_kind && fl_owner == other.fl_owner;
  }
  bool overlaps(const FileLock& other) const {
    return fl_start <= other.fl_end && other.fl_start <= fl_end;
  }
};

struct LockSpan {
  uint64_t start = 0;
  uint64_t end = kOffsetMax;  // inclusive
};

// What FileOps::lock is asked for [F_GETLK, F_SETLK, F_SETLKW].
enum class LockCmd : uint8_t { kGet, kSet, kSetWait };

class FileLockContext {
 public:
  explicit FileLockContext(Inode& inode) : inode_(inode) {}
  FileLockContext(const FileLockContext&) = delete;
  FileLockContext& operator=(const FileLockContext&) = delete;

  // --- for file systems that decide here
  std::optional<FileLock> conflict(const FileLock& lock);
  // Sets or unlocks. EAGAIN, or with `wait` EDEADLK; EINTR cancelled, ETIMEDOUT.
  Result<void> lock(const CallContext& ctx, const FileLock& lock, bool wait);

  // --- for those whose server decides
  // The server has done it. Where something newer is known it changes nothing. `older`: where
  // later records may be of earlier changes of this owner; what is unlocked there is remembered.
  // False: nothing is left of anybody.
  bool record(const FileLock& lock, const std::vector<LockSpan>& older = {});
  // Earlier changes of the owner of `lock` may be recorded within `older` only, from now on.
  bool forget_unlocked(const FileLock& lock, const std::vector<LockSpan>& older);
  // All (or those of the owner of `lock` within its range) are gone at the server, and their owners
  // do not know.
  void lose_all();
  void lose(const FileLock& lock);
  // Forgets what is lost of this owner within the range. Whether anything of it is still held
  // there.
  bool unlock_lost(const FileLock& lock);
  // What the owner of `lock` holds within its range; `version` changes with every change.
  std::vector<FileLock> held(const FileLock& lock, uint64_t* version = nullptr);
  bool holds_any(const FileLock& lock);  // of that owner, anywhere
  std::vector<FileLock> all_held();      // of all owners
  // Whether I/O of this task through the file of this number must fail: a lock of theirs was lost.
  bool lost(uint64_t open_id, uint64_t lock_owner);
  // The same for whoever may act through it.
  bool lost_for_any(uint64_t open_id);

 private:
  struct Waiter;
  static bool conflicts(const FileLock& a, const FileLock& b);
  const FileLock* find_conflict_locked(const FileLock& lock) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(flc_lock_);
  void apply_locked(const FileLock& lock) ABSL_EXCLUSIVE_LOCKS_REQUIRED(flc_lock_);
  void forget_unlocked_locked(const FileLock& owner, const std::vector<LockSpan>& older)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(flc_lock_);
  Errno try_lock_locked(const FileLock& lock, FileLock* blocker)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(flc_lock_);
  void wake_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(flc_lock_);
  void note_lost_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(flc_lock_);

  Inode& inode_;
  Mutex flc_lock_{LockRank::kInode};
  std::vector<FileLock> held_ ABSL_GUARDED_BY(flc_lock_);  // by start; F_UNLCK: remembered unlocks
  std::vector<Waiter*> blocked_ ABSL_GUARDED_BY(flc_lock_);
  uint64_t version_ ABSL_GUARDED_BY(flc_lock_) = 0;
  uint64_t seq_ ABSL_GUARDED_BY(flc_lock_) = 0;  // where no server numbers
};

// --- calls. `lock` is a struct flock as for fcntl(2); cmd: F_GETLK, F_SETLK, F_SETLKW and F_OFD_*.
// EBADF also for what the descriptor's mode does not permit; EINVAL, EOVERFLOW for ranges; EIO if a
// lock of the caller on this file was lost.
Result<void> vfs_fcntl_lock(const CallContext& ctx, const TaskStruct& task, int fd, int cmd,
                            struct flock* lock);
// operation: LOCK_SH, LOCK_EX, LOCK_UN with LOCK_NB.
Result<void> vfs_flock(const CallContext& ctx, const TaskStruct& task, int fd, int operation);
// The same on a file, for an owner that the caller names.
Result<void> fcntl_lock_file(const CallContext& ctx, File& file, int cmd, uint64_t owner,
                             int32_t pid, struct flock* lock);
Result<void> flock_lock_file(const CallContext& ctx, File& file, int operation);

// A descriptor of the file was closed: the owner's POSIX locks on its inode go, whatever other
// descriptors of it he has. `ctx` bounds the wait; the locks go all the same.
void locks_remove_posix(const CallContext& ctx, File& file, uint64_t owner);
// The last reference to the file goes: so do its flock and OFD locks.
void locks_remove_file(File& file);

// EIO if a lock of the task or the file on this inode was lost.
bool locks_lost_slow(const File& file, uint64_t lock_owner);

}  // namespace myfs::fs
