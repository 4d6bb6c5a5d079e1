// IovCursor: a place in a caller's scatter list.
// Kernel counterpart: struct iov_iter.
// Thread safety: one thread. Owns / is owned by: on the stack; refers to the caller's list.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <span>

#include "sdk/base/seqcount.h"

namespace myfs::mm {

class IovCursor {
 public:
  explicit IovCursor(std::span<const iovec> iov) : iov_(iov) {}

  static size_t total(std::span<const iovec> iov) {
    size_t sum = 0;
    for (const iovec& part : iov) sum += part.iov_len;
    return sum;
  }
  // Precondition of both: at least `size_bytes` are left.
  void copy_out(const void* from, size_t size_bytes) {
    each(size_bytes, [&from](std::byte* to, size_t n) {
      racy_copy(to, from, n);
      from = static_cast<const std::byte*>(from) + n;
    });
  }
  void copy_in(void* to, size_t size_bytes) {
    each(size_bytes, [&to](std::byte* from, size_t n) {
      racy_copy(to, from, n);
      to = static_cast<std::byte*>(to) + n;
    });
  }

 private:
  template <typename Step>
  void each(size_t size_bytes, Step step) {
    while (size_bytes > 0) {
      assert(part_ < iov_.size());
      size_t n = std::min(size_bytes, iov_[part_].iov_len - used_);
      step(static_cast<std::byte*>(iov_[part_].iov_base) + used_, n);
      size_bytes -= n;
      used_ += n;
      if (used_ == iov_[part_].iov_len) {
        ++part_;
        used_ = 0;
      }
    }
  }

  std::span<const iovec> iov_;
  size_t part_ = 0;
  size_t used_ = 0;
};

}  // namespace myfs::mm
