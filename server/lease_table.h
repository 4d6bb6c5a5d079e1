// LeaseTable: which session holds which parts of which inode, what is being recalled, and what
// waiting operations keep from being granted.
// Kernel counterpart: struct ceph_cap of fs/ceph, file_lock_context::flc_lease.  Differs: parts of
// shared and exclusive kind, several holders.
// Thread safety: the shard's loop only.
// Owns / is owned by: member of Shard; knows sessions by number only.
// Invariants: (1) no two sessions hold conflicting parts of one inode; (2) a session's seq rises
// with every grant and recall, and is never reset: each boot begins above the one before; (3) no
// grant goes to a session on an inode while a recall of it is out; (4) an acknowledged recall
// leaves none of its parts behind, whatever the client claims to keep; (5) iteration orders never
// depend on a hash table.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/container/inlined_vector.h"
#include "server/types.h"

namespace myfs::server {

using SessionId = uint64_t;
inline constexpr size_t kLeasesTotalMax = 8'000'000;
inline constexpr uint64_t kNoTicket = UINT64_MAX;

class LeaseTable {
 public:
  struct RecallOut {  // a recall that is not acknowledged
    SessionId session = 0;
    RecallItem item{};
    int64_t started_ns = 0;
    int64_t progress_ns = 0;  // of the newest write-back or partial acknowledgement
    bool sent = false;        // false: the session has no connection at the moment
    bool answered = false;    // what it has written is made durable before it counts
    bool awaited = true;      // false: nobody is kept waiting, and no session ends over it
  };

  // `boot`: of the server; seqs and recall ids begin at its multiple of 2^32.
  explicit LeaseTable(uint64_t boot = 0)
      : first_seq_(boot << 32), next_recall_id_((boot << 32) + 1) {}

  void add_session(SessionId session) {
    sessions_.try_emplace(session, SessionState{.seq = first_seq_});
  }
  // Drops everything that the session holds. Returns the inodes concerned, ascending.
  std::vector<uint64_t> remove_session(SessionId session);

  Parts held(SessionId session, uint64_t ino) const;
  uint64_t seq(SessionId session, uint64_t ino) const;  // of the newest grant
  // Whether the session holds W and has held it without a break since its grant `seq`.
  bool held_write_since(SessionId session, uint64_t ino, uint64_t seq) const;
  // W implies R.
  static Parts effective(Parts parts) {
    return (parts & kPartW) != 0 ? static_cast<Parts>(parts | kPartR) : parts;
  }
  // Those of `parts` that sessions other than `session` hold.
  Parts held_by_others(SessionId session, uint64_t ino, Parts parts) const;
  // The session other than `except` that holds W, or 0.
  SessionId writer(uint64_t ino, SessionId except) const;
  bool pinned(uint64_t ino) const;  // somebody holds P
  std::vector<SessionId> pinners(uint64_t ino) const;

  // Those of `wanted` that may be granted now to an operation with `ticket` (kNoTicket: one that
  // never waits, which yields to all that do).
  Parts grantable(SessionId session, uint64_t ino, Parts wanted, uint64_t ticket = kNoTicket) const;
  // Adds parts, which must be grantable. The answer names the whole set.
  Grant grant(SessionId session, uint64_t ino, Parts parts);
  // As grant(), of what the session has held since before this boot: W without a break since its
  // grant `write_since`, by what its client says.
  Grant regrant(SessionId session, uint64_t ino, Parts parts, uint64_t write_since);
  // The voluntary return of parts under grant `seq`. False: a newer grant exists, nothing changed.
  bool release(SessionId session, uint64_t ino, Parts parts, uint64_t seq);

  // Starts to recall `parts` from everybody but `except`. Returns the recalls that are new.
  std::vector<RecallOut*> recall(SessionId except, uint64_t ino, Parts parts, int64_t now_ns);
  std::vector<RecallOut*> recall_from(SessionId session, uint64_t ino, Parts parts, int64_t now_ns);
  // False: not out (late, or already settled by the session's death).
  bool acknowledge(SessionId session, uint64_t recall_id, uint64_t ino, Parts kept);
  bool recall_out(SessionId session, uint64_t ino) const;
  void progress(SessionId session, uint64_t ino, int64_t now_ns);
  const std::map<uint64_t, RecallOut>& recalls_out() const { return recalls_; }
  std::vector<RecallOut*> recalls_of(SessionId session);
  // Null: not out.
  RecallOut* find_recall(SessionId session, uint64_t recall_id, uint64_t ino);
  std::vector<RecallOut*> recalls_unsent();

  // While operation `ticket` of `session` waits, no other session is granted any of `parts`, but
  // to operations that came before. While it runs (`absolute`) to nobody.
  void block(uint64_t ino, uint64_t ticket, SessionId session, Parts parts, bool absolute = false);
  void unblock(uint64_t ino, uint64_t ticket);
  // Whether an operation of another session that came before `ticket` keeps `parts` from us.
  bool blocked(SessionId session, uint64_t ino, Parts parts, uint64_t ticket) const;

  // Every inode on which a session holds something, ascending.
  std::vector<uint64_t> inodes_of(SessionId session) const;
  size_t leases_of(SessionId session) const;
  bool holds_more_than_pins(SessionId session) const;
  size_t size() const { return leases_; }
  uint64_t recalls_started() const { return recalls_started_; }

 private:
  struct Holder {
    SessionId session = 0;
    Parts parts = 0;
    uint64_t seq = 0;                            // of the newest grant
    uint64_t write_seq = 0;                      // of the grant that brought W, while it is held
    absl::InlinedVector<uint64_t, 1> recalls{};  // ids of those that are out
  };
  struct Block {
    uint64_t ticket = 0;
    SessionId session = 0;
    Parts parts = 0;
    bool absolute = false;
    bool stops(SessionId other, uint64_t other_ticket) const {
      return session != other && (absolute || ticket < other_ticket);
    }
  };
  struct Entry {
    absl::InlinedVector<Holder, 2> holders{};
    absl::InlinedVector<Block, 1> blocks{};
  };
  struct SessionState {
    uint64_t seq = 0;
    absl::flat_hash_set<uint64_t> inodes{};
  };

  Holder* find(SessionId session, uint64_t ino);
  const Holder* find(SessionId session, uint64_t ino) const;
  Parts recalling(SessionId session, uint64_t ino) const;
  void drop_if_empty(SessionId session, uint64_t ino);

  absl::flat_hash_map<uint64_t, Entry> inodes_;
  absl::flat_hash_map<SessionId, SessionState> sessions_;
  std::map<uint64_t, RecallOut> recalls_;  // by recall id
  const uint64_t first_seq_;
  uint64_t next_recall_id_;
  uint64_t recalls_started_ = 0;
  size_t leases_ = 0;
};

}  // namespace myfs::server
