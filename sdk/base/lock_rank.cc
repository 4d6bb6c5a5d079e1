#include "sdk/base/lock_rank.h"

#ifdef MYFS_LOCK_RANKS

#include <cstdio>
#include <cstdlib>

namespace myfs {
namespace {

constexpr int kMaxHeld = 64;

struct Held {
  LockRank rank;
  const void* lock;
};
thread_local Held t_held[kMaxHeld];
thread_local int t_held_count = 0;

[[noreturn]] void fail(const char* what, LockRank held, LockRank wanted) {
  std::fprintf(stderr, "lock order violated: %s (held rank %d, wanted rank %d)\n", what,
               static_cast<int>(held), static_cast<int>(wanted));
  std::abort();
}

}  // namespace

void lock_rank_acquire(LockRank rank, bool nested, const void* lock) {
  if (rank == LockRank::kUnranked) return;
  for (int i = 0; i < t_held_count; ++i) {
    const Held& held = t_held[i];
    if (held.lock == lock) fail("locked twice by one thread", held.rank, rank);
    if (held.rank > rank || (held.rank == rank && !nested)) fail("rank inversion", held.rank, rank);
  }
  if (t_held_count == kMaxHeld) fail("too many locks held", rank, rank);
  t_held[t_held_count++] = Held{rank, lock};
}

void lock_rank_release(LockRank rank, const void* lock) {
  if (rank == LockRank::kUnranked) return;
  for (int i = t_held_count - 1; i >= 0; --i) {
    if (t_held[i].lock != lock) continue;
    for (int j = i; j + 1 < t_held_count; ++j) t_held[j] = t_held[j + 1];
    --t_held_count;
    return;
  }
  fail("released a lock that this thread does not hold", rank, rank);
}

void lock_rank_assert_may_sleep() {
  for (int i = 0; i < t_held_count; ++i) {
    if (t_held[i].rank >= kFirstLeaf) fail("sleeps under a leaf lock", t_held[i].rank, kFirstLeaf);
  }
}

}  // namespace myfs

#endif
