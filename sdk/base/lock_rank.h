// LockRank: the lock order of the whole SDK, outermost first; the only place where it is written as
// code. Kernel counterpart: the lock ordering comments of fs/inode.c and mm/filemap.c, and lockdep.
// Differs: an enum that debug builds (MYFS_LOCK_RANKS) check at every acquisition. Thread safety:
// the record of held ranks is per thread. Invariants: (1) a thread acquires ranks in rising order;
// the same rank twice only through lock_nested(), whose caller states the order within the class;
// (2) no rank >= kFirstLeaf is held across an RPC, a wait, a user callback or the release of a Ref
// that may destroy. docs/locking.md tells why this cannot deadlock.
#pragma once

#include <cstdint>

namespace myfs {

enum class LockRank : uint8_t {
  kUnranked = 0,   // tests and tools only
  kDirStream = 5,  // a directory stream of the facade
  // Sleeping locks: may be held across an RPC or a wait.
  kSuperUmount = 10,  // SuperBlock::s_umount
  kNamespace = 12,    // mount name space of a task
  kFilePos = 20,      // File::f_pos_lock
  kRename = 30,       // SuperBlock::s_rename_mutex
  kInodeRwsem = 40,   // Inode::i_rwsem; nested: ancestor first, then non-directories by number
  kMmap = 45,         // InodeMappings::mutex_
  kInvalidate = 50,   // AddressSpace::invalidate_lock
  kPage = 60,         // the lock bit of a page; nested: ascending index in one mapping
  kLead = 65,         // who drives the I/O loop; below it leaf locks only and no user code
  // Leaf locks.
  kLease = 70,       // netfs lease records
  kInode = 80,       // Inode::i_lock
  kInodeHash = 85,   // inode hash of a super block
  kDcache = 90,      // dcache shard
  kPages = 100,      // AddressSpace::i_pages
  kWriteback = 110,  // dirty lists
  kBudget = 115,     // memory budget
  kLru = 120,        // LRU shards of pages and dentries
  kFdTable = 130,    // descriptor table
  kCall = 140,       // one call's state
  kSession = 145,    // session state
  kLoop = 150,       // submission queue of the I/O loop
  kBlockFile = 155,  // server: a file of blocks, held while its store makes it
  kStore = 160,      // server: stores and worker pool
  kRcu = 200,        // retired objects
  kLog = 210,        // log sink
};

inline constexpr LockRank kFirstLeaf = LockRank::kLease;

#ifdef MYFS_LOCK_RANKS
// Abort with both ranks named when invariant (1) is broken.
void lock_rank_acquire(LockRank rank, bool nested, const void* lock);
void lock_rank_release(LockRank rank, const void* lock);
// Aborts if the thread holds a leaf lock: called by everything that may sleep.
void lock_rank_assert_may_sleep();
#else
inline void lock_rank_acquire(LockRank, bool, const void*) {}
inline void lock_rank_release(LockRank, const void*) {}
inline void lock_rank_assert_may_sleep() {}
#endif

}  // namespace myfs
