// LockTable: byte-range, OFD and flock locks of all clients, and who waits for them.
// Kernel counterpart: fs/locks.c (posix_lock_inode, flock_lock_inode, posix_locks_deadlock).
// Differs: owners are (session, kind, number); a wait is a ticket that is granted by callback;
// whatever changes what an owner holds has a number, by which the client knows the order.
// Thread safety: the shard's loop only.
// Owns / is owned by: member of Shard; knows sessions by number only.
// Invariants: (1) locks of one owner on one inode never overlap, neighbours of one type are one;
// (2) POSIX and OFD locks conflict with one another, flock only with flock; (3) only what is held
// stands in the way: a ticket is granted once nothing held conflicts with it, the earlier ones
// first, and who waits holds up no newcomer. Fairness among them would make waits for one another
// where the kernel has none; (4) a grant stays in unacknowledged_ until its client has it for sure,
// gives it up or releases its owner's locks; (5) no session has more than kSessionLocksMax: what a
// ticket may become is counted while it waits, so a grant never has to be refused.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "sdk/base/result.h"
#include "server/lease_table.h"

namespace myfs::server {

// Of a session: what it holds, kTicketWeight for each wait, and grants that it has not
// acknowledged.
inline constexpr size_t kSessionLocksMax = 65'536;
// What may become of a ticket: a lock that splits another one of its owner, and a grant to
// remember.
inline constexpr size_t kTicketWeight = 3;
inline constexpr size_t kInodeWaitersMax = 4096;      // each change of its locks looks at all
inline constexpr size_t kDeadlockLooksMax = 1 << 20;  // at locks, in one search for a circle

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
  // `boot`: of the server; tickets and seqs begin at its multiple of 2^32.
  explicit LockTable(uint64_t boot = 0)
      : first_ticket_((boot << 32) + 1), next_ticket_(first_ticket_), seq_(boot << 32) {}

  struct Answer {
    Errno error{};  // EAGAIN, EDEADLK, ENOLCK
    uint64_t ticket = 0;
    bool queued = false;
    uint64_t seq = 0;  // of what it has changed; 0: nothing
  };
  struct Granted {
    uint64_t ticket = 0;
    SessionId session = 0;
    uint64_t seq = 0;
  };

  // A flock of another type than the one held takes its place: that one is gone also if the new one
  // is not to be had, as in the kernel.
  Answer set(uint64_t ino, const LockRange& lock, bool wait);
  // What was held when the server ended, or waited for by `ticket`, which it keeps if it can.
  // EAGAIN: another owner has said the same of what conflicts with it. ENOLCK.
  Answer reclaim(uint64_t ino, const LockRange& lock, uint64_t ticket);
  // Until release_tickets() no ticket is granted: what it waits for may not have been told yet.
  void hold_tickets() { tickets_held_ = true; }
  void release_tickets();
  std::set<SessionId> all_holders() const;
  // What keeps `lock` from being had; of several the one that begins first.
  std::optional<LockRange> conflict(uint64_t ino, const LockRange& lock) const;
  // The sequence number of the grant if it had been granted before, else 0. ENOENT: no such ticket
  // of the session.
  Result<uint64_t> cancel(SessionId session, uint64_t ticket);
  bool acknowledge(SessionId session, uint64_t ticket);
  // Returns the sequence number.
  uint64_t release_owner(uint64_t ino, const LockOwner& owner);
  void remove_session(SessionId session);
  // It waits for nothing any more.
  void remove_tickets(SessionId session);

  // Tickets granted by the calls since the last one, for the callbacks.
  std::vector<Granted> take_granted();
  // Of the session: what its client may not have heard of.
  std::vector<Granted> unacknowledged(SessionId session) const;
  // Other sessions that hold what `lock` conflicts with.
  std::set<SessionId> holders(uint64_t ino, const LockRange& lock) const;
  // Those of `sessions` that hold what a ticket of another one waits for.
  std::set<SessionId> in_the_way(const std::set<SessionId>& sessions) const;
  bool any_waits() const { return !tickets_.empty(); }
  size_t size() const { return inodes_.size(); }

 private:
  struct Ticket {
    uint64_t ino = 0;
    LockRange lock;
  };
  struct Entry {
    std::vector<LockRange> held;
    std::set<uint64_t> waiting;  // tickets, in order of arrival
  };
  struct Grant {
    LockOwner owner;
    uint64_t ino = 0;
    uint64_t seq = 0;
  };

  static bool conflicts(const LockRange& a, const LockRange& b);
  static const LockRange* find_conflict(const Entry& entry, const LockRange& lock);
  static const LockRange* find_own_flock(const Entry& entry, const LockRange& lock);
  static bool weakens(const Entry& entry, const LockRange& lock);
  static std::vector<LockRange> with(const Entry& entry, const LockRange& lock);
  bool has_room(SessionId session, size_t more) const;
  Answer acquire(uint64_t ino, const LockRange& lock, bool wait);
  uint64_t put(Entry& entry, const LockRange& lock, std::vector<LockRange> held);
  void enqueue(uint64_t number, uint64_t ino, const LockRange& lock);
  void dequeue(uint64_t number);
  bool would_deadlock(const Entry& entry, const LockRange& lock) const;
  void count(SessionId session, ptrdiff_t more);
  bool serve_once(Entry& entry);
  void serve_waiting(uint64_t ino);
  template <typename Condition>
  void forget_grants(Condition condition);

  std::map<uint64_t, Entry> inodes_;
  std::map<SessionId, size_t> counts_;
  std::map<uint64_t, Ticket> tickets_;             // waiting
  std::map<LockOwner, std::set<uint64_t>> waits_;  // of POSIX owners: tickets
  std::map<uint64_t, Grant> unacknowledged_;       // granted
  std::vector<Granted> granted_;
  const uint64_t first_ticket_;
  uint64_t next_ticket_;
  uint64_t seq_;
  bool tickets_held_ = false;
};

}  // namespace myfs::server
