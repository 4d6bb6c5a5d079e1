// SbWriters: lets changes of a super block through, or keeps them waiting while it is frozen.
// WantWrite: one change under way, or a promise that there will be some.
// Kernel counterpart: struct sb_writers, freeze_super, sb_start_write (fs/super.c); mnt_want_write
// (fs/namespace.c).  Differs: one level instead of three: what is under way has been counted before
// it took its first lock, and write-back goes on, since a frozen super block has nothing dirty.
// Thread safety: all.
// Lock rank: kFdTable, a leaf. Waiting for the thaw counts as a lock between kFilePos and kRename:
// who waits holds the position of a file at most.
// Invariants: (1) kFrozen, and kFreezing once begin_freeze() has returned: nobody is between
// start_write() and end_write(); (2) a thread is there once at a time; (3) kFreezing is ended by
// who began it, and by nobody else.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "sdk/base/call_context.h"
#include "sdk/base/errno.h"
#include "sdk/base/result.h"
#include "sdk/base/sync.h"

namespace myfs::fs {

class File;
class Mount;
class SuperBlock;
struct Path;

class SbWriters {
 public:
  // Waits for the thaw: ETIMEDOUT, EINTR (cancelled), EAGAIN (in a NoWaitScope).
  Errno start_write(const CallContext& ctx) {
    if (try_start_write()) [[likely]]
      return Errno();
    return start_write_slow(ctx);
  }
  void end_write();

  // Waits for what is under way; whoever comes from now on waits. EBUSY: frozen, or being frozen;
  // ETIMEDOUT, EINTR: it is not. Afterwards it is being frozen until end_freeze().
  Errno begin_freeze(const CallContext& ctx);
  // [SB_FREEZE_COMPLETE] By who has begun: from now on it is frozen, and others may thaw it; or, if
  // not `good`, it never was.
  void end_freeze(bool good);
  // EINVAL: it is not frozen, or its freeze is under way.
  Errno thaw();
  bool is_frozen() const { return state_.load(std::memory_order_acquire) == kFrozen; }

 private:
  enum : uint8_t { kThawed, kFreezing, kFrozen };
  static constexpr unsigned kCells = 16;
  struct alignas(64) Cell {
    std::atomic<int64_t> count{0};
  };
  static unsigned cell_of_thread();
  bool try_start_write() {
    cells_[cell_of_thread()].count.fetch_add(1, std::memory_order_seq_cst);
    if (state_.load(std::memory_order_seq_cst) == kThawed) return true;
    end_write();
    return false;
  }
  Errno start_write_slow(const CallContext& ctx);
  int64_t under_way() const;
  void let_go_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::atomic<uint8_t> state_{kThawed};
  Cell cells_[kCells];
  Event writer_left_;  // of who freezes
  Mutex mutex_{LockRank::kFdTable};
  std::vector<Event*> waiters_ ABSL_GUARDED_BY(mutex_);
};

// [mnt_want_write .. mnt_drop_write] The place outlives it.
class WantWrite {
 public:
  // EROFS; waits for the thaw.
  static Result<WantWrite> get(const CallContext& ctx, const Path& path);
  // [file_start_write] Of a file that is open for writing.
  static Result<WantWrite> get(const CallContext& ctx, const File& file);
  // Of a super block with something open for writing.
  static Result<WantWrite> get(const CallContext& ctx, SuperBlock& sb);
  // [mnt_get_write_access] As long as a file is open for writing; no freeze ends it. EROFS.
  static Errno open_for_writing(const Path& path);
  static void close_for_writing(const Path& path);

  WantWrite(WantWrite&& other) noexcept
      : mnt_(std::exchange(other.mnt_, nullptr)), sb_(std::exchange(other.sb_, nullptr)) {}
  WantWrite& operator=(WantWrite&& other) noexcept {
    std::swap(mnt_, other.mnt_);
    std::swap(sb_, other.sb_);
    return *this;
  }
  ~WantWrite();

 private:
  WantWrite(Mount* mnt, SuperBlock* sb) : mnt_(mnt), sb_(sb) {}
  Mount* mnt_;  // null: of a file
  SuperBlock* sb_;
};

}  // namespace myfs::fs
