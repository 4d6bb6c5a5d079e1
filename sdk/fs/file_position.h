// FilePosition: where a call that transfers data reads or writes a file: at an offset of its
// caller, or at the file's own position.
// Kernel counterpart: the `loff_t *` of fs/splice.c and fs/read_write.c, null for f_pos.
// Threads: one; f_pos is read and written under f_pos_lock, which is not held between, as in the
// kernel: two transfers at one file's position may overlap.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sdk/base/sync.h"
#include "sdk/fs/file.h"

namespace myfs::fs {

class FilePosition {
 public:
  // `given` may be null; else it must outlive this object.
  FilePosition(File& file, int64_t* given) : file_(file), given_(given) {
    if (given != nullptr) {
      at_ = *given;
      return;
    }
    MutexLock lock(file.f_pos_lock);
    at_ = file.f_pos;
  }

  int64_t at() const { return at_; }

  // The caller, or the file, sees the new position.
  void move_to(int64_t at) {
    at_ = at;
    if (given_ != nullptr) {
      *given_ = at_;
      return;
    }
    MutexLock lock(file_.f_pos_lock);
    file_.f_pos = at_;
  }
  void advance(size_t count) { move_to(at_ + static_cast<int64_t>(count)); }

 private:
  File& file_;
  int64_t* const given_;
  int64_t at_ = 0;
};

}  // namespace myfs::fs
