// LockTable: byte-range, OFD and flock locks of all clients, and who waits for them.
// Kernel counterpart: fs/locks.c (posix_lock_inode, flock_lock_inode, posix_locks_deadlock).
// Differs: owners are (session, kind, number); a wait is a ticket that is granted by callback.
// Thread safety: the shard's loop only.
// Owns / is owned by: member of Shard; knows sessions by number only.
// Invariants: (1) locks of one owner on one inode never overlap, neighbours of one type are one;
// (2) POSIX and OFD locks conflict with one another, flock only with flock; (3) a ticket is granted
// once nothing that is held and no earlier ticket of another owner conflicts with it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "sdk/base/result.h"
#include "server/lease_table.h"

namespace myfs::server {

inline constexpr size_t kSessionLocksMax = 65'536;  // held and waited for

enum class LockKind : uint8_t { kPosix = 0, kOfd = 1, kFlock = 2 };
enum class LockType : uint8_t { kRead = 0, kWrite = 1, kUnlock = 2 };

struct LockOwner {
  SessionId session = 0;
  LockKind kind = LockKind::kPosix;
  uint64_t number = 0;
  auto operator<=>(const LockOwner&) const = default;
};

struct LockRange {
  LockOwner owner;
  LockType type = LockType::kRead;
  uint64_t first = 0;
  uint64_t last = UINT64_MAX;  // inclusive
  int32_t pid = 0;
};

class LockTable {
 public:
  struct Answer {
    Errno error;  // EAGAIN, EDEADLK, ENOLCK
    uint64_t ticket = 0;
    bool queued = false;
  };
  struct Granted {
    uint64_t ticket = 0;
    SessionId session = 0;
  };

  Answer set(uint64_t ino, const LockRange& lock, bool wait);
  // What keeps `lock` from being had.
  std::optional<LockRange> conflict(uint64_t ino, const LockRange& lock) const;
  // True: it had been granted before. ENOENT: no such ticket of the session.
  Result<bool> cancel(SessionId session, uint64_t ticket);
  bool acknowledge(SessionId session, uint64_t ticket);
  void release_owner(uint64_t ino, const LockOwner& owner);
  void remove_session(SessionId session);

  // Tickets granted by the calls since the last one, for the callbacks.
  std::vector<Granted> take_granted();
  size_t size() const { return inodes_.size(); }

 private:
  struct Ticket {
    uint64_t number = 0;
    LockRange lock;
  };
  struct Entry {
    std::vector<LockRange> held;
    std::vector<Ticket> waiting;  // in order of arrival
  };

  static bool conflicts(const LockRange& a, const LockRange& b);
  static const LockRange* find_conflict(const Entry& entry, const LockRange& lock);
  static void apply(Entry& entry, const LockRange& lock);
  bool would_deadlock(const Entry& entry, const LockRange& lock) const;
  size_t count_of(SessionId session) const;
  void serve_waiting(uint64_t ino);

  std::map<uint64_t, Entry> inodes_;
  std::map<uint64_t, std::pair<SessionId, uint64_t>> tickets_;  // waiting: session, inode
  std::map<uint64_t, SessionId> unacknowledged_;                // granted
  std::vector<Granted> granted_;
  uint64_t next_ticket_ = 1;
};

}  // namespace myfs::server
