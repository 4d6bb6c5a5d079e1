// ErrSeq: the last write-back error of a mapping, reported once to every open file.
// Kernel counterpart: errseq_t (lib/errseq.c).
// Thread safety: all. Invariants: (1) an error set after a sample is returned exactly once by
// check_and_advance of that sample; (2) an error nobody has seen is returned to a new opener too.
#pragma once

#include <atomic>
#include <cstdint>

#include "sdk/base/errno.h"

namespace myfs::mm {

class ErrSeq {
 public:
  using Sample = uint32_t;

  void set(Errno error);
  // For a new open file description.
  Sample sample() const {
    Sample now = value_.load(std::memory_order_acquire);
    return (now & kSeen) != 0 ? now : 0;
  }
  // For one operation that reports only what happens during it.
  Sample sample_now() const { return value_.load(std::memory_order_acquire); }
  // Whether an error came since; does not mark it as seen.
  Errno check(Sample since) const;
  // Returns the error that came since, or Errno{0}, and moves the sample on.
  Errno check_and_advance(Sample* since);

 private:
  static constexpr uint32_t kErrnoMask = 0xfff, kSeen = 0x1000, kStep = 0x2000;
  std::atomic<uint32_t> value_{0};
};

}  // namespace myfs::mm
