// LeaseWord: what may be used of one inode's cached knowledge right now, readable without a lock.
// Kernel counterpart: ceph_inode_info::i_caps_issued_mask with the session's s_cap_gen (fs/ceph).
// Differs: one atomic word that a reader samples before and after its copy. Thread safety: all.
// Writers (grant, revoke) are serialised by the file system's own lease lock. Invariants: (1) a
// reader's copy is good iff the word covered the parts before the copy, version and generation are
// the same after it, and Validity::alive() was true after the last byte was copied; (2) version
// rises whenever any part but P is lost, so whatever was learned under an older version (a dentry's
// d_time) is not used; (3) revoke happens before the recall is acknowledged.
#pragma once

#include <atomic>
#include <cstdint>

#include "sdk/base/clock.h"

namespace myfs::fs {

// The bits of include/myfs/myfs.capnp.
enum LeasePart : uint16_t {
  kLeaseA = 1,  // attributes
  kLeaseAX = 2,
  kLeaseD = 4,  // directory content
  kLeaseDX = 8,
  kLeaseR = 16,   // data read
  kLeaseW = 32,   // data write buffer
  kLeaseP = 64,   // pin
  kLeaseU = 128,  // uncached I/O
};
using LeaseParts = uint16_t;

// Of a super block: the session that all its leases hang on. A local file system (ramfs) leaves the
// defaults.
struct Validity {
  std::atomic<uint16_t> generation{1};            // changes when a session is lost
  std::atomic<int64_t> deadline_ns{kNoDeadline};  // boottime_ns scale
  // What is older is not used where Inode::attr_young() is asked, whatever is held.
  std::atomic<int64_t> attr_timeout_ns{kNoDeadline};

  // To be asked after the last byte was copied.
  bool alive() const {
    int64_t deadline = deadline_ns.load(std::memory_order_acquire);
    return deadline == kNoDeadline || boottime_ns() < deadline;
  }
};

class LeaseWord {
 public:
  // A sample: parts in bits 0..15, generation in 16..31, version in 32..63.
  using Sample = uint64_t;
  static LeaseParts parts(Sample s) { return static_cast<LeaseParts>(s); }
  static uint16_t generation(Sample s) { return static_cast<uint16_t>(s >> 16); }
  static uint32_t version(Sample s) { return static_cast<uint32_t>(s >> 32); }

  Sample sample() const { return word_.load(std::memory_order_acquire); }
  static bool covers(Sample s, LeaseParts wanted, const Validity& validity) {
    return (s & wanted) == wanted &&
           generation(s) == validity.generation.load(std::memory_order_acquire);
  }
  // Whether nothing of `wanted` was lost since `begin`; call after the copy, then ask
  // Validity::alive().
  bool still(Sample begin, LeaseParts wanted) const {
    std::atomic_thread_fence(std::memory_order_acquire);
    Sample now = word_.load(std::memory_order_relaxed);
    return (now >> 16) == (begin >> 16) && (now & wanted) == wanted;
  }
  uint32_t version() const { return version(sample()); }

  // Adds parts under session generation `gen`; a new generation drops what the old one held.
  void grant(LeaseParts wanted, uint16_t gen) {
    Sample old = word_.load(std::memory_order_relaxed), next;
    do {
      next = generation(old) == gen
                 ? old | wanted
                 : (uint64_t{version(old) + 1} << 32) | (uint64_t{gen} << 16) | wanted;
    } while (!word_.compare_exchange_weak(old, next, std::memory_order_acq_rel));
  }
  // Takes parts away. Returns those that were held.
  LeaseParts revoke(LeaseParts lost) {
    Sample old = word_.load(std::memory_order_relaxed), next;
    do {
      uint32_t bump = (parts(old) & lost & ~kLeaseP) != 0 ? 1 : 0;
      next = (uint64_t{version(old) + bump} << 32) | (old & 0xffff0000u) |
             (old & 0xffffu & ~uint64_t{lost});
    } while (!word_.compare_exchange_weak(old, next, std::memory_order_acq_rel));
    return parts(old) & lost;
  }

 private:
  std::atomic<Sample> word_{0};
};

}  // namespace myfs::fs
