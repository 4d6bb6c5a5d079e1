// CallWindow: which calls that may bring grants are unanswered, and the lease seqs that must be
// remembered until they are (docs/protocol.md, Leases).
// Kernel counterpart: none; fs/ceph keeps the inode while a cap message may be on its way.
// Differs: an inode may leave the cache at any time; what a late reply must not resurrect is kept
// here, in a table of fixed size.
// Thread safety: grants_void() any; all else none, guarded by LeaseTable's mutex.
// Owns / is owned by: part of a LeaseTable.
// Invariants: (1) an entry lives until every call that was unanswered when it was made has been
// answered; (2) if it could not be kept, the grants of all those replies are void, as are those of
// replies that have not been taken in when the list of what is held is made for a bind: the server
// forgets what is not in it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>

#include "absl/container/flat_hash_map.h"

namespace myfs::netfs {

inline constexpr size_t kRememberedSeqsMax = 1024;

class CallWindow {
 public:
  // The number of a call, from before it is sent until its reply has been taken in.
  uint64_t begin();
  void end(uint64_t number);
  // The number that the next call will have.
  uint64_t next() const { return first_ + answered_.size(); }

  void remember(uint64_t ino, uint64_t seq);
  // The newest seq that was remembered for `ino`; 0: none.
  uint64_t newest_seq(uint64_t ino) const;
  // The replies of all calls begun so far bring no grants.
  void make_grants_void();
  // Whether that, or an overflow of the table, has come since the call began. Whoever takes a grant
  // in looks under the mutex of the record that it is for, which whoever lists the records takes
  // afterwards.
  bool grants_void(uint64_t number) const {
    return number < void_below_.load(std::memory_order_acquire);
  }
  // A new session: seqs start anew. Calls that are unanswered now belong to the old one.
  void clear();
  size_t remembered() const { return entries_.size(); }

 private:
  void forget_answered();

  struct Entry {
    uint64_t seq = 0;
    uint64_t until = 0;  // forgotten when all calls below this number are answered
  };

  uint64_t first_ = 1;         // the oldest unanswered call, or the next number
  std::deque<bool> answered_;  // of first_, first_ + 1, ...
  std::atomic<uint64_t> void_below_{0};
  absl::flat_hash_map<uint64_t, Entry> entries_;
  uint64_t soonest_ = UINT64_MAX;  // smallest `until` of all entries
};

}  // namespace myfs::netfs
