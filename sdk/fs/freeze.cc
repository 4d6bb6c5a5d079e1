#include "sdk/fs/freeze.h"

#include <cassert>

#include "sdk/base/nowait.h"
#include "sdk/fs/file.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

unsigned SbWriters::cell_of_thread() {
  static std::atomic<unsigned> next{0};
  static thread_local const unsigned cell = next.fetch_add(1, std::memory_order_relaxed) % kCells;
  return cell;
}

void SbWriters::end_write() {
  cells_[cell_of_thread()].count.fetch_sub(1, std::memory_order_seq_cst);
  if (state_.load(std::memory_order_seq_cst) == kFreezing) writer_left_.set();
}

int64_t SbWriters::under_way() const {
  int64_t sum = 0;
  for (const Cell& cell : cells_) sum += cell.count.load(std::memory_order_seq_cst);
  return sum;
}

Errno SbWriters::start_write_slow(const CallContext& ctx) {
  if (must_not_wait()) return refuse_to_wait();
  do {
    Event thawed;
    {
      MutexLock lock(mutex_);
      if (state_.load(std::memory_order_relaxed) == kThawed) continue;
      waiters_.push_back(&thawed);
    }
    bool in_time;
    {
      CancelToken::Listener listener(ctx.cancel, [&] { thawed.set(); });
      in_time = thawed.wait_until(ctx.deadline_ns);
    }
    {
      MutexLock lock(mutex_);
      std::erase(waiters_, &thawed);
    }
    if (ctx.cancelled()) return Errno(EINTR);
    if (!in_time) return Errno(ETIMEDOUT);
  } while (!try_start_write());
  return Errno();
}

Errno SbWriters::begin_freeze(const CallContext& ctx) {
  {
    MutexLock lock(mutex_);
    if (state_.load(std::memory_order_relaxed) != kThawed) return Errno(EBUSY);
    writer_left_.reset();
    state_.store(kFreezing, std::memory_order_seq_cst);
  }
  Errno failed;
  while (failed.ok() && under_way() != 0) {
    CancelToken::Listener listener(ctx.cancel, [&] { writer_left_.set(); });
    const bool in_time = writer_left_.wait_until(ctx.deadline_ns);
    writer_left_.reset();
    if (ctx.cancelled()) failed = Errno(EINTR);
    if (!in_time) failed = Errno(ETIMEDOUT);
  }
  if (!failed.ok()) end_freeze(false);
  return failed;
}

void SbWriters::end_freeze(bool good) {
  MutexLock lock(mutex_);
  assert(state_.load(std::memory_order_relaxed) == kFreezing);
  if (!good) return let_go_locked();
  state_.store(kFrozen, std::memory_order_seq_cst);
}

Errno SbWriters::thaw() {
  MutexLock lock(mutex_);
  if (state_.load(std::memory_order_relaxed) != kFrozen) return Errno(EINVAL);
  let_go_locked();
  return Errno();
}

void SbWriters::let_go_locked() {
  state_.store(kThawed, std::memory_order_seq_cst);
  for (Event* waiter : waiters_) waiter->set();
}

Result<WantWrite> WantWrite::get(const CallContext& ctx, const Path& path) {
  Mount& mnt = *path.mnt;
  SuperBlock& sb = mnt.mnt_sb();
  if (mnt.is_read_only() || sb.is_read_only()) return Errno(EROFS);
  MYFS_TRY(Result<void>(sb.s_writers.start_write(ctx)));
  if (Errno error = open_for_writing(path); !error.ok()) {
    sb.s_writers.end_write();
    return error;
  }
  return WantWrite(&mnt, &sb);
}

Result<WantWrite> WantWrite::get(const CallContext& ctx, const File& file) {
  return get(ctx, file.f_inode().i_sb());
}

Result<WantWrite> WantWrite::get(const CallContext& ctx, SuperBlock& sb) {
  MYFS_TRY(Result<void>(sb.s_writers.start_write(ctx)));
  return WantWrite(nullptr, &sb);
}

WantWrite::~WantWrite() {
  if (mnt_ != nullptr) {
    sb_->write_count().put();
    mnt_->write_count().put();
  }
  if (sb_ != nullptr) sb_->s_writers.end_write();
}

Errno WantWrite::open_for_writing(const Path& path) {
  WriteCount& mnt = path.mnt->write_count();
  if (!mnt.get()) return Errno(EROFS);
  if (path.mnt->mnt_sb().write_count().get()) return Errno();
  mnt.put();
  return Errno(EROFS);
}

void WantWrite::close_for_writing(const Path& path) {
  path.mnt->mnt_sb().write_count().put();
  path.mnt->write_count().put();
}

}  // namespace myfs::fs
