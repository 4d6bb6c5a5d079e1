#include "sdk/fs/fdtable.h"

#include <bit>

#include "sdk/base/rcu.h"

namespace myfs::fs {

FdTable::~FdTable() {
  for (int fd : open_fds()) fd_close(fd);
  for (std::atomic<Chunk*>& chunk : chunks_) delete chunk.load(std::memory_order_relaxed);
}

RefPtr<File> FdTable::fget(int fd) const {
  RcuReadGuard guard;
  // A count of 0 means that the descriptor is being closed just now.
  return RefPtr<File>::try_from(fcheck_rcu(fd));
}

std::atomic<File*>& FdTable::slot_locked(int fd) {
  std::atomic<Chunk*>& chunk = chunks_[fd / kChunk];
  if (chunk.load(std::memory_order_relaxed) == nullptr) {
    chunk.store(new Chunk, std::memory_order_release);
  }
  return chunk.load(std::memory_order_relaxed)->files[fd % kChunk];
}

int FdTable::lowest_free_locked(int from) const {
  for (int fd = from < next_free_ ? next_free_ : from; fd < kDescriptorsMax;) {
    uint64_t free = ~used_[fd / 64] & (~uint64_t{0} << (fd % 64));
    if (free != 0) return fd / 64 * 64 + std::countr_zero(free);
    fd = (fd / 64 + 1) * 64;
  }
  return -1;
}

void FdTable::mark_locked(int fd, bool used) {
  uint64_t bit = uint64_t{1} << (fd % 64);
  if (used) {
    used_[fd / 64] |= bit;
    ++count_;
    if (fd == next_free_) ++next_free_;
  } else {
    used_[fd / 64] &= ~bit;
    --count_;
    if (fd < next_free_) next_free_ = fd;
  }
}

Result<int> FdTable::fd_reserve() {
  MutexLock lock(mutex_);
  int fd = lowest_free_locked(0);
  if (fd < 0) return Errno(EMFILE);
  mark_locked(fd, true);
  return fd;
}

void FdTable::mark_close_on_exec_locked(int fd, bool value) {
  const uint64_t bit = uint64_t{1} << (fd % 64);
  uint64_t& word = close_on_exec_[fd / 64];
  word = value ? word | bit : word & ~bit;
}

int FdTable::number(int fd) {
  if (fd < kDescriptorsMax) return fd;
  const PinnedFds::Pin* pin = PinnedFds::find(fd);
  return pin != nullptr && pin->file ? pin->fd : -1;
}

bool FdTable::names(int fd, const File& file) const {
  RcuReadGuard guard;
  return fcheck_rcu(number(fd)) == &file;
}

File* FdTable::file_locked(int fd) const {
  if (fd < 0 || fd >= kDescriptorsMax) return nullptr;
  const Chunk* chunk = chunks_[fd / kChunk].load(std::memory_order_relaxed);
  return chunk == nullptr ? nullptr : chunk->files[fd % kChunk].load(std::memory_order_relaxed);
}

int FdTable::open_number_locked(int fd) const {
  const int number = FdTable::number(fd);
  const File* file = file_locked(number);
  if (file == nullptr) return -1;
  return number == fd || PinnedFds::file_of(fd) == file ? number : -1;
}

Result<bool> FdTable::close_on_exec(int fd) const {
  MutexLock lock(mutex_);
  fd = open_number_locked(fd);
  if (fd < 0) return Errno(EBADF);
  return (close_on_exec_[fd / 64] >> (fd % 64) & 1) != 0;
}

Result<void> FdTable::set_close_on_exec(int fd, bool value) {
  MutexLock lock(mutex_);
  fd = open_number_locked(fd);
  if (fd < 0) return Errno(EBADF);
  mark_close_on_exec_locked(fd, value);
  return ok_result();
}

void FdTable::fd_bind(int reserved, Ref<File> file, bool close_on_exec) {
  MutexLock lock(mutex_);
  mark_close_on_exec_locked(reserved, close_on_exec);
  slot_locked(reserved).store(file.leak(), std::memory_order_release);
}

void FdTable::fd_cancel(int reserved) {
  MutexLock lock(mutex_);
  mark_locked(reserved, false);
}

Result<int> FdTable::fd_install(Ref<File> file, int lowest, bool close_on_exec) {
  if (lowest < 0 || lowest >= kDescriptorsMax) return Errno(EINVAL);
  MutexLock lock(mutex_);
  int fd = lowest_free_locked(lowest);
  if (fd < 0) return Errno(EMFILE);
  slot_locked(fd).store(file.leak(), std::memory_order_release);
  mark_locked(fd, true);
  mark_close_on_exec_locked(fd, close_on_exec);
  return fd;
}

Result<RefPtr<File>> FdTable::fd_replace(int fd, Ref<File> file, bool close_on_exec) {
  if (fd < 0 || fd >= kDescriptorsMax) return Errno(EBADF);
  MutexLock lock(mutex_);
  const bool used = (used_[fd / 64] >> (fd % 64) & 1) != 0;
  if (used && slot_locked(fd).load(std::memory_order_relaxed) == nullptr) return Errno(EBUSY);
  File* old = slot_locked(fd).exchange(file.leak(), std::memory_order_acq_rel);
  if (!used) mark_locked(fd, true);
  mark_close_on_exec_locked(fd, close_on_exec);
  return RefPtr<File>::adopt(old);
}

RefPtr<File> FdTable::fd_close(int fd) {
  MutexLock lock(mutex_);
  fd = open_number_locked(fd);
  if (fd < 0) return nullptr;
  mark_locked(fd, false);
  return RefPtr<File>::adopt(slot_locked(fd).exchange(nullptr, std::memory_order_acq_rel));
}

std::vector<int> FdTable::open_fds() const {
  MutexLock lock(mutex_);
  std::vector<int> fds;
  fds.reserve(count_);
  for (size_t word = 0; word < used_.size(); ++word) {
    for (uint64_t bits = used_[word]; bits != 0; bits &= bits - 1) {
      fds.push_back(static_cast<int>(word * 64) + std::countr_zero(bits));
    }
  }
  return fds;
}

size_t FdTable::size() const {
  MutexLock lock(mutex_);
  return count_;
}

}  // namespace myfs::fs
