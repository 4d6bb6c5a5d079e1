// FdTable: a task's descriptors.
// Kernel counterpart: struct fdtable, struct files_struct (fs/file.c).  Differs: two fixed levels
// instead of a copied array.
// Thread safety: all. Look-ups take no lock.
// Lock rank: kFdTable, a leaf; files are released outside it.
// Owns / is owned by: member of TaskStruct; holds one reference to each file in it.
// A number of sdk/fs/pinned_fds means what that says, here too.
// Invariants: (1) a new descriptor is the lowest free one; (2) fewer than kDescriptorsMax.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "sdk/base/limits.h"
#include "sdk/base/ref.h"
#include "sdk/base/result.h"
#include "sdk/base/sync.h"
#include "sdk/fs/file.h"
#include "sdk/fs/pinned_fds.h"

namespace myfs::fs {

class FdTable {
 public:
  FdTable() = default;
  ~FdTable();  // drops what is left without flush; TaskStruct::exit_files closes properly first
  FdTable(const FdTable&) = delete;
  FdTable& operator=(const FdTable&) = delete;

  // Inside an rcu read section; null: EBADF. Good until the section ends.
  File* fcheck_rcu(int fd) const {
    if (static_cast<unsigned>(fd) >= static_cast<unsigned>(kDescriptorsMax)) [[unlikely]]
      return PinnedFds::file_of(fd);
    const Chunk* chunk = chunks_[fd / kChunk].load(std::memory_order_acquire);
    return chunk == nullptr ? nullptr : chunk->files[fd % kChunk].load(std::memory_order_acquire);
  }
  RefPtr<File> fget(int fd) const;  // null: EBADF
  // The descriptor's number; fd itself, unless it is of PinnedFds. -1: there was none.
  static int number(int fd);
  // Whether the descriptor names this file (still).
  bool names(int fd, const File& file) const;

  // A number for a file that is still to be opened or made; until fd_bind() it is as if closed.
  // EMFILE.
  Result<int> fd_reserve();
  void fd_bind(int reserved, Ref<File> file, bool close_on_exec = false);
  void fd_cancel(int reserved);
  // EMFILE when full.
  Result<int> fd_install(Ref<File> file, int lowest = 0, bool close_on_exec = false);
  // dup2: closes what `fd` was, which is returned for the caller to flush. EBADF: out of range;
  // EBUSY: reserved.
  Result<RefPtr<File>> fd_replace(int fd, Ref<File> file, bool close_on_exec = false);
  // Takes the file out; the caller flushes and drops it. Null: EBADF.
  RefPtr<File> fd_close(int fd);
  // The mark is the descriptor's, not the file's. EBADF.
  Result<bool> close_on_exec(int fd) const;
  Result<void> set_close_on_exec(int fd, bool value);
  std::vector<int> open_fds() const;
  size_t size() const;

 private:
  static constexpr int kChunk = 256;
  static constexpr int kChunks = kDescriptorsMax / kChunk;
  struct Chunk {
    std::array<std::atomic<File*>, kChunk> files{};
  };
  std::atomic<File*>& slot_locked(int fd) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  int lowest_free_locked(int from) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void mark_locked(int fd, bool used) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void mark_close_on_exec_locked(int fd, bool value) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Null: closed, reserved, or none.
  File* file_locked(int fd) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The number of a descriptor that is open, and if it is of PinnedFds, still names its file; -1.
  int open_number_locked(int fd) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::array<std::atomic<Chunk*>, kChunks> chunks_{};
  mutable Mutex mutex_{LockRank::kFdTable};
  std::array<uint64_t, kDescriptorsMax / 64> used_ ABSL_GUARDED_BY(mutex_){};
  std::array<uint64_t, kDescriptorsMax / 64> close_on_exec_ ABSL_GUARDED_BY(mutex_){};
  int next_free_ ABSL_GUARDED_BY(mutex_) = 0;  // nothing below it is free
  size_t count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace myfs::fs
