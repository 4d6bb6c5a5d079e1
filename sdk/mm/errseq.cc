#include "sdk/mm/errseq.h"

namespace myfs::mm {

void ErrSeq::set(Errno error) {
  Sample old = value_.load(std::memory_order_relaxed), next;
  do {
    next = (old & ~(kErrnoMask | kSeen)) | (static_cast<Sample>(error.value()) & kErrnoMask);
    // Nobody can tell two errors apart of which none was seen: the count moves only after a look.
    if ((old & kSeen) != 0) next += kStep;
    if (next == old) return;
  } while (!value_.compare_exchange_weak(old, next, std::memory_order_acq_rel));
}

Errno ErrSeq::check(Sample since) const {
  Sample now = value_.load(std::memory_order_acquire);
  if ((now & ~kSeen) == (since & ~kSeen)) return Errno();
  return Errno(static_cast<int>(now & kErrnoMask));
}

Errno ErrSeq::check_and_advance(Sample* since) {
  Sample now = value_.load(std::memory_order_acquire);
  if (now == *since) return Errno();
  Sample seen = now | kSeen;
  // Losing the race means that another caller marked it or that a newer error came, which the next
  // call reports.
  if (now != seen) (void)value_.compare_exchange_strong(now, seen, std::memory_order_acq_rel);
  *since = seen;
  return Errno(static_cast<int>(seen & kErrnoMask));
}

}  // namespace myfs::mm
