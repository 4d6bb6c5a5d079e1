#include "sdk/fs/locks.h"

#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "sdk/base/error_detail.h"
#include "sdk/fs/file.h"
#include "sdk/fs/stat.h"
#include "sdk/fs/task.h"

namespace myfs::fs {

struct FileLockContext::Waiter {
  FileLock lock;
  FileLock blocker;
  Event wake;
};

namespace {

constexpr int64_t kReleaseTimeout_ns = 10 * kNsPerSec;

// [blocked_hash] The POSIX owners that wait, of all inodes of the process, each with whom it waits
// for.
struct Blocked {
  FileLock waiter, blocker;
};
Mutex blocked_lock{LockRank::kInodeHash};
std::vector<Blocked> blocked ABSL_GUARDED_BY(blocked_lock);

// [posix_locks_deadlock]
bool would_deadlock(const FileLock& lock, FileLock blocker)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(blocked_lock) {
  for (size_t steps = 0; steps <= blocked.size(); ++steps) {
    if (blocker.same_owner(lock)) return true;
    auto next = std::find_if(blocked.begin(), blocked.end(), [&](const Blocked& entry) {
      return entry.waiter.same_owner(blocker);
    });
    if (next == blocked.end()) return false;
    blocker = next->blocker;
  }
  return false;
}

// What is left of `piece` beside the range of `by`.
void cut(const FileLock& piece, const FileLock& by, std::vector<FileLock>* to) {
  if (!piece.overlaps(by)) {
    to->push_back(piece);
    return;
  }
  if (piece.fl_start < by.fl_start) {
    to->push_back(piece);
    to->back().fl_end = by.fl_start - 1;
  }
  if (piece.fl_end > by.fl_end) {
    to->push_back(piece);
    to->back().fl_start = by.fl_end + 1;
  }
}

// Neighbours that are alike become one, if they are of this owner.
void join_neighbours(const FileLock& owner, std::vector<FileLock>* locks) {
  auto first = std::stable_partition(locks->begin(), locks->end(),
                                     [&](const FileLock& lock) { return !lock.same_owner(owner); });
  std::vector<FileLock> mine(first, locks->end());
  locks->erase(first, locks->end());
  std::sort(mine.begin(), mine.end(),
            [](const FileLock& a, const FileLock& b) { return a.fl_start < b.fl_start; });
  const size_t others = locks->size();
  for (const FileLock& lock : mine) {
    FileLock* before = locks->size() == others ? nullptr : &locks->back();
    if (before != nullptr && before->fl_type == lock.fl_type && before->fl_lost == lock.fl_lost &&
        before->fl_end + 1 >= lock.fl_start) {
      before->fl_end = std::max(before->fl_end, lock.fl_end);
    } else {
      locks->push_back(lock);
    }
  }
}

}  // namespace

bool FileLockContext::conflicts(const FileLock& a, const FileLock& b) {
  if (a.same_owner(b) || a.fl_lost || b.fl_lost) return false;
  if ((a.fl_kind == LockKind::kFlock) != (b.fl_kind == LockKind::kFlock)) return false;
  if (a.fl_type == F_UNLCK || b.fl_type == F_UNLCK || !a.overlaps(b)) return false;
  return a.fl_type == F_WRLCK || b.fl_type == F_WRLCK;
}

const FileLock* FileLockContext::find_conflict_locked(const FileLock& lock) const {
  for (const FileLock& held : held_) {
    if (conflicts(held, lock)) return &held;
  }
  return nullptr;
}

std::optional<FileLock> FileLockContext::conflict(const FileLock& lock) {
  MutexLock guard(flc_lock_);
  const FileLock* found = find_conflict_locked(lock);
  return found == nullptr ? std::nullopt : std::optional(*found);
}

// Where the owner has something newer, that stays; elsewhere `lock` takes the place of what was.
void FileLockContext::apply_locked(const FileLock& lock) {
  std::vector<FileLock> next, fresh{lock};
  for (const FileLock& old : held_) {
    if (!old.same_owner(lock)) {
      next.push_back(old);
    } else if (old.fl_seq <= lock.fl_seq) {
      cut(old, lock, &next);
    } else {
      next.push_back(old);
      std::vector<FileLock> rest;
      for (const FileLock& piece : fresh) cut(piece, old, &rest);
      fresh = std::move(rest);
    }
  }
  next.insert(next.end(), fresh.begin(), fresh.end());
  held_ = std::move(next);
  ++version_;
}

// Unlocks are remembered only where something older may come; elsewhere the owner's ranges are
// put together.
void FileLockContext::forget_unlocked_locked(const FileLock& owner,
                                             const std::vector<LockSpan>& older) {
  std::erase_if(held_, [&](const FileLock& piece) {
    if (piece.fl_type != F_UNLCK || !piece.same_owner(owner)) return false;
    return std::none_of(older.begin(), older.end(), [&](const LockSpan& span) {
      return piece.fl_start <= span.end && span.start <= piece.fl_end;
    });
  });
  if (older.empty()) join_neighbours(owner, &held_);
  std::sort(held_.begin(), held_.end(),
            [](const FileLock& a, const FileLock& b) { return a.fl_start < b.fl_start; });
}

void FileLockContext::wake_locked() {
  for (Waiter* waiter : blocked_) waiter->wake.set();
}

// [flock_lock_inode, posix_lock_inode] A flock of another type goes first, whatever becomes of the
// new one.
Errno FileLockContext::try_lock_locked(const FileLock& lock, FileLock* blocker) {
  FileLock mine = lock;
  mine.fl_seq = ++seq_;
  if (lock.fl_kind == LockKind::kFlock) {
    for (const FileLock& held : held_) {
      if (held.same_owner(lock) && held.fl_type == lock.fl_type) return {};
    }
    FileLock gone = mine;
    gone.fl_type = F_UNLCK;
    apply_locked(gone);
    forget_unlocked_locked(gone, {});
    wake_locked();
  }
  if (const FileLock* found = find_conflict_locked(lock); found != nullptr) {
    *blocker = *found;
    return Errno(EAGAIN);
  }
  apply_locked(mine);
  forget_unlocked_locked(mine, {});
  wake_locked();  // unlocked, or made weaker
  return {};
}

Result<void> FileLockContext::lock(const CallContext& ctx, const FileLock& lock, bool wait) {
  const bool listed = lock.fl_kind == LockKind::kPosix;
  auto unlist = [&](const Waiter& waiter) {
    flc_lock_.assert_held();
    std::erase(blocked_, &waiter);
    if (!listed) return;
    MutexLock guard(blocked_lock);
    auto mine = std::find_if(blocked.begin(), blocked.end(), [&](const Blocked& entry) {
      return entry.waiter.same_owner(lock) && entry.blocker.same_owner(waiter.blocker);
    });
    if (mine != blocked.end()) blocked.erase(mine);
  };
  while (true) {
    Waiter waiter{.lock = lock, .blocker = {}, .wake = {}};
    {
      MutexLock guard(flc_lock_);
      Errno error = try_lock_locked(lock, &waiter.blocker);
      if (error.ok() || !wait) return error;
      if (listed) {
        MutexLock all(blocked_lock);
        if (would_deadlock(lock, waiter.blocker)) return Errno(EDEADLK);
        blocked.push_back({lock, waiter.blocker});
      }
      blocked_.push_back(&waiter);
    }
    bool in_time;
    {
      CancelToken::Listener listener(ctx.cancel, [&] { waiter.wake.set(); });
      in_time = waiter.wake.wait_until(ctx.deadline_ns);
    }
    MutexLock guard(flc_lock_);
    unlist(waiter);
    if (ctx.cancelled()) return Errno(EINTR);
    if (!in_time && !waiter.wake.is_set()) return Errno(ETIMEDOUT);
  }
}

// --- what a server has decided

void FileLockContext::note_lost_locked() {
  const bool any =
      std::any_of(held_.begin(), held_.end(), [](const FileLock& lock) { return lock.fl_lost; });
  if (any) {
    inode_.i_flags.fetch_or(Inode::kLostLocks, std::memory_order_acq_rel);
  } else {
    inode_.i_flags.fetch_and(~uint32_t{Inode::kLostLocks}, std::memory_order_acq_rel);
  }
}

bool FileLockContext::record(const FileLock& lock, const std::vector<LockSpan>& older) {
  MutexLock guard(flc_lock_);
  apply_locked(lock);
  forget_unlocked_locked(lock, older);
  return !held_.empty();
}

bool FileLockContext::forget_unlocked(const FileLock& lock, const std::vector<LockSpan>& older) {
  MutexLock guard(flc_lock_);
  forget_unlocked_locked(lock, older);
  return !held_.empty();
}

void FileLockContext::lose_all() {
  MutexLock guard(flc_lock_);
  std::erase_if(held_, [](const FileLock& lock) { return lock.fl_type == F_UNLCK; });
  // The next session counts anew.
  for (FileLock& lock : held_) {
    lock.fl_lost = true;
    lock.fl_seq = 0;
  }
  ++version_;
  note_lost_locked();
}

void FileLockContext::lose(const FileLock& lock) {
  MutexLock guard(flc_lock_);
  for (FileLock& held : held_) {
    if (held.same_owner(lock) && held.overlaps(lock) && held.fl_type != F_UNLCK) {
      held.fl_lost = true;
    }
  }
  ++version_;
  note_lost_locked();
}

bool FileLockContext::unlock_lost(const FileLock& lock) {
  MutexLock guard(flc_lock_);
  std::vector<FileLock> next;
  bool live = false;
  for (const FileLock& held : held_) {
    if (!held.same_owner(lock) || !held.overlaps(lock)) {
      next.push_back(held);
      continue;
    }
    if (!held.fl_lost) {
      live |= held.fl_type != F_UNLCK;
      next.push_back(held);
      continue;
    }
    cut(held, lock, &next);
  }
  held_ = std::move(next);
  ++version_;
  note_lost_locked();
  return live;
}

std::vector<FileLock> FileLockContext::held(const FileLock& lock, uint64_t* version) {
  MutexLock guard(flc_lock_);
  std::vector<FileLock> found;
  for (const FileLock& held : held_) {
    if (held.same_owner(lock) && held.overlaps(lock) && held.fl_type != F_UNLCK && !held.fl_lost) {
      found.push_back(held);
      found.back().fl_start = std::max(held.fl_start, lock.fl_start);
      found.back().fl_end = std::min(held.fl_end, lock.fl_end);
    }
  }
  if (version != nullptr) *version = version_;
  return found;
}

std::vector<FileLock> FileLockContext::all_held() {
  MutexLock guard(flc_lock_);
  std::vector<FileLock> found;
  for (const FileLock& held : held_) {
    if (held.fl_type != F_UNLCK && !held.fl_lost) found.push_back(held);
  }
  return found;
}

bool FileLockContext::holds_any(const FileLock& lock) {
  MutexLock guard(flc_lock_);
  return std::any_of(held_.begin(), held_.end(), [&](const FileLock& held) {
    return held.same_owner(lock) && held.fl_type != F_UNLCK;
  });
}

bool FileLockContext::lost(uint64_t open_id, uint64_t lock_owner) {
  MutexLock guard(flc_lock_);
  return std::any_of(held_.begin(), held_.end(), [&](const FileLock& held) {
    if (!held.fl_lost) return false;
    return held.fl_open_id == open_id ||
           (held.fl_kind == LockKind::kPosix && held.fl_owner == lock_owner);
  });
}

bool FileLockContext::lost_for_any(uint64_t open_id) {
  MutexLock guard(flc_lock_);
  return std::any_of(held_.begin(), held_.end(), [&](const FileLock& held) {
    return held.fl_lost && (held.fl_open_id == open_id || held.fl_kind == LockKind::kPosix);
  });
}

bool locks_lost_slow(const File& file, uint64_t lock_owner) {
  FileLockContext* context = file.f_inode().i_flctx();
  if (context == nullptr || !context->lost(file.f_open_id, lock_owner)) return false;
  (void)fail(Errno(EIO), "a lock on the file was lost with the session");
  return true;
}

// --- calls

namespace {

struct Command {
  LockKind kind = LockKind::kPosix;
  LockCmd cmd = LockCmd::kGet;
};

Result<Command> decode_command(int cmd) {
  switch (cmd) {
    case F_GETLK:
      return Command{LockKind::kPosix, LockCmd::kGet};
    case F_SETLK:
      return Command{LockKind::kPosix, LockCmd::kSet};
    case F_SETLKW:
      return Command{LockKind::kPosix, LockCmd::kSetWait};
    case F_OFD_GETLK:
      return Command{LockKind::kOfd, LockCmd::kGet};
    case F_OFD_SETLK:
      return Command{LockKind::kOfd, LockCmd::kSet};
    case F_OFD_SETLKW:
      return Command{LockKind::kOfd, LockCmd::kSetWait};
    default:
      return fail(Errno(EINVAL), "not a command for locks");
  }
}

// [flock_to_posix_lock]
Result<void> decode_range(const CallContext& ctx, File& file, const struct flock& from,
                          FileLock* to) {
  int64_t start = 0;
  switch (from.l_whence) {
    case SEEK_SET:
      break;
    case SEEK_CUR: {
      MutexLock lock(file.f_pos_lock);
      start = file.f_pos;
      break;
    }
    case SEEK_END: {
      MYFS_ASSIGN(Kstat stat, vfs_getattr(ctx, file.f_inode()));
      start = static_cast<int64_t>(stat.size);
      break;
    }
    default:
      return fail(Errno(EINVAL), "l_whence must be SEEK_SET, SEEK_CUR or SEEK_END");
  }
  if (__builtin_add_overflow(start, from.l_start, &start)) {
    return from.l_start < 0 ? Errno(EINVAL) : Errno(EOVERFLOW);
  }
  if (start < 0) return fail(Errno(EINVAL), "the range begins before the file");
  int64_t end = INT64_MAX;
  if (from.l_len > 0) {
    if (__builtin_add_overflow(start, from.l_len - 1, &end)) return Errno(EOVERFLOW);
  } else if (from.l_len < 0) {
    end = start - 1;
    start += from.l_len;  // start is not negative: no overflow
    if (start < 0) return fail(Errno(EINVAL), "the range begins before the file");
  }
  if (from.l_type != F_RDLCK && from.l_type != F_WRLCK && from.l_type != F_UNLCK) {
    return fail(Errno(EINVAL), "l_type must be F_RDLCK, F_WRLCK or F_UNLCK");
  }
  to->fl_type = from.l_type;
  to->fl_start = static_cast<uint64_t>(start);
  to->fl_end = static_cast<uint64_t>(end);
  return ok_result();
}

// [posix_lock_to_flock]
void encode_lock(const FileLock& from, struct flock* to) {
  to->l_type = from.fl_type;
  if (from.fl_type == F_UNLCK) return;
  to->l_whence = SEEK_SET;
  to->l_start = static_cast<off_t>(from.fl_start);
  to->l_len = from.fl_end == kOffsetMax ? 0 : static_cast<off_t>(from.fl_end - from.fl_start + 1);
  to->l_pid = from.fl_kind == LockKind::kOfd ? -1 : from.fl_pid;
}

Result<Ref<File>> lockable_file(const TaskStruct& task, int fd) {
  RefPtr<File> file = task.files.fget(fd);
  if (!file || (file->f_mode & File::kPath) != 0) return Errno(EBADF);
  return std::move(file).to_ref();
}

}  // namespace

Result<void> fcntl_lock_file(const CallContext& ctx, File& file, int cmd, uint64_t owner,
                             int32_t pid, struct flock* lock) {
  MYFS_ASSIGN(const Command command, decode_command(cmd));
  const bool ofd = command.kind == LockKind::kOfd;
  FileLock wanted{.fl_kind = command.kind,
                  .fl_owner = ofd ? file.f_open_id : owner,
                  .fl_pid = ofd ? -1 : pid,
                  .fl_open_id = file.f_open_id};
  MYFS_TRY(decode_range(ctx, file, *lock, &wanted));
  if (ofd && lock->l_pid != 0) return fail(Errno(EINVAL), "l_pid must be 0 for F_OFD_*");
  if (command.cmd == LockCmd::kGet) {
    if (wanted.fl_type == F_UNLCK) return fail(Errno(EINVAL), "F_GETLK of F_UNLCK");
    MYFS_TRY(file.f_op().lock(ctx, file, command.cmd, wanted));
    encode_lock(wanted, lock);
    return ok_result();
  }
  if (wanted.fl_type == F_RDLCK && !file.may_read()) return Errno(EBADF);
  if (wanted.fl_type == F_WRLCK && !file.may_write()) return Errno(EBADF);
  return file.f_op().lock(ctx, file, command.cmd, wanted);
}

Result<void> flock_lock_file(const CallContext& ctx, File& file, int operation) {
  FileLock wanted{.fl_kind = LockKind::kFlock,
                  .fl_owner = file.f_open_id,
                  .fl_pid = ::getpid(),
                  .fl_open_id = file.f_open_id};
  switch (operation & ~LOCK_NB) {
    case LOCK_SH:
      wanted.fl_type = F_RDLCK;
      break;
    case LOCK_EX:
      wanted.fl_type = F_WRLCK;
      break;
    case LOCK_UN:
      wanted.fl_type = F_UNLCK;
      break;
    default:
      return fail(Errno(EINVAL), "flock: must be LOCK_SH, LOCK_EX or LOCK_UN, with LOCK_NB");
  }
  const bool waits = (operation & LOCK_NB) == 0 && wanted.fl_type != F_UNLCK;
  return file.f_op().lock(ctx, file, waits ? LockCmd::kSetWait : LockCmd::kSet, wanted);
}

Result<void> vfs_fcntl_lock(const CallContext& ctx, const TaskStruct& task, int fd, int cmd,
                            struct flock* lock) {
  MYFS_ASSIGN(Ref<File> file, lockable_file(task, fd));
  MYFS_TRY(fcntl_lock_file(ctx, *file, cmd, task.lock_owner, ::getpid(), lock));
  if ((cmd != F_SETLK && cmd != F_SETLKW) || lock->l_type == F_UNLCK) return ok_result();
  // [do_lock_file_wait] The descriptor was closed meanwhile, and the locks went before this one
  // came.
  if (task.files.names(fd, *file)) return ok_result();
  locks_remove_posix(ctx, *file, task.lock_owner);
  return Errno(EBADF);
}

Result<void> vfs_flock(const CallContext& ctx, const TaskStruct& task, int fd, int operation) {
  MYFS_ASSIGN(Ref<File> file, lockable_file(task, fd));
  return flock_lock_file(ctx, *file, operation);
}

void locks_remove_posix(const CallContext& ctx, File& file, uint64_t owner) {
  if ((file.f_mode & File::kPath) != 0 || file.f_inode().i_flctx() == nullptr) return;
  FileLock all{.fl_kind = LockKind::kPosix, .fl_owner = owner, .fl_open_id = file.f_open_id};
  (void)file.f_op().lock(ctx, file, LockCmd::kSet, all);
}

void locks_remove_file(File& file) {
  if ((file.f_mode & File::kPath) != 0 || file.f_inode().i_flctx() == nullptr) return;
  CallContext ctx;
  ctx.cred = file.f_cred;
  ctx.deadline_ns = deadline_after_ns(kReleaseTimeout_ns);
  for (LockKind kind : {LockKind::kFlock, LockKind::kOfd}) {
    FileLock all{.fl_kind = kind, .fl_owner = file.f_open_id, .fl_open_id = file.f_open_id};
    (void)file.f_op().lock(ctx, file, LockCmd::kSet, all);
  }
}

}  // namespace myfs::fs
