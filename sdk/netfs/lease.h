// LeaseRecord: what the session holds of one inode and who uses it. LeaseTable: all records of a
// session, and what it gives back.
// Kernel counterpart: struct ceph_cap, ceph_inode_info::i_wrbuffer_ref (fs/ceph/caps.c).
// Differs: what a reader may use is one lock-free word (fs::LeaseWord); this is the slow side of
// it:
// grants, recalls, uses of W, local opens.
// Thread safety: all; *_locked methods require mu.
// Lock rank: kLease; the table's mutex first, then a record's (lock_nested). Inside a record's
// mutex: Inode::i_lock.
// Owns / is owned by: a record is part of its Inode; the table, part of a Super, names records that
// are registered and never frees one.
// Invariants: (1) a grant whose seq is not above the newest seen of the inode is dropped; (2) parts
// that a recall names are not in the word when the recall is acknowledged; (3) from the moment in
// which a recall of W is taken note of, begin_write() fails; its acknowledgement waits for
// write_uses == 0; (4) what was held under another session generation counts as nothing; (5) an
// open made locally is in the acknowledgement of the first recall after it, or the server knows it,
// also the next server if that keeps nothing that it would have to recall;
// (6) what is given back or acknowledged names the session that it was held in, and is sent in no
// other: the next one counts its seqs anew.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "sdk/base/sync.h"
#include "sdk/fs/lease_word.h"
#include "sdk/netfs/call_window.h"
#include "sdk/rpc/meta_calls.h"
#include "sdk/rpc/reclaim.h"

namespace myfs::fs {
class Inode;
}

namespace myfs::netfs {

class AppLeases;

using fs::LeaseParts;
using LeaseSeq = uint64_t;

inline constexpr LeaseParts kDataParts = fs::kLeaseR | fs::kLeaseW;
inline constexpr LeaseParts kAllParts = 0xff;

// W implies R.
constexpr LeaseParts effective_parts(LeaseParts parts) {
  return (parts & fs::kLeaseW) != 0 ? static_cast<LeaseParts>(parts | fs::kLeaseR) : parts;
}

// Names one call from before it is sent until its reply has been taken in.
struct Ticket {
  uint64_t number = 0;
  uint16_t generation = 0;  // of the session when the call began; grants to an older one are void
};

// Which session something unasked came from.
struct SessionMark {
  uint64_t incarnation = 0;  // rpc::SessionInfo's
  uint16_t generation = 0;   // Validity's while it lives
};

class LeaseTable;

class LeaseRecord {
 public:
  // `host`: the inode, for those who find the record by number; may be null in tests.
  LeaseRecord(fs::LeaseWord& word, const fs::Validity& validity, fs::Inode* host);
  ~LeaseRecord();
  LeaseRecord(const LeaseRecord&) = delete;
  LeaseRecord& operator=(const LeaseRecord&) = delete;

  fs::Inode* const host;
  Mutex mu{LockRank::kLease};

  // --- grants
  // Takes note of a grant, but for data parts that are being given back. False: it is old or void,
  // and changes nothing. The word is set by
  // publish_locked(), after the attributes that came with it.
  bool accept_locked(const rpc::Grant& grant, uint16_t generation)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Lets readers use what is held, but for `except`.
  void publish_locked(LeaseParts except) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // What the server believes that we hold.
  LeaseParts held_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  LeaseSeq grant_seq_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  LeaseSeq seq_seen_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void raise_seq_locked(LeaseSeq seq) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Whether the word covers `parts` under the present generation.
  bool covers(LeaseParts parts) const {
    return fs::LeaseWord::covers(word_.sample(), parts, validity_);
  }

  // --- uses of W: for the time of copying into pages
  // `dirty_deadline_ns`: no new dirty data after it (2/3 of the term without a renewal).
  bool begin_write(int64_t dirty_deadline_ns);
  void end_write();

  // --- recalls
  // From the loop. Gives up A and D at once and stops new uses of R and W; if nothing more has to
  // be done, the acknowledgement. Else a worker must do it: drop_locked(), finish_locked(). A
  // recall of a session that has ended changes nothing.
  std::optional<rpc::AckArgs> begin_recall_locked(const rpc::RecallItem& item,
                                                  const SessionMark& session)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Those of R and W that recalls want back; 0: no recall is waiting for us.
  LeaseParts stopping_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void wait_no_writers_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // The parts are out of use, what W covered is durable: they leave the word.
  void drop_locked(LeaseParts parts) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // The acknowledgements of all recalls that want nothing more.
  std::vector<rpc::AckArgs> finish_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // W goes back unasked: as if it were recalled, but for the acknowledgement. False: not held, or a
  // recall is on already, or, unless `from_writers`, somebody has the file open for writing.
  bool begin_give_back_locked(bool from_writers) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // Everything but P goes back unasked; A and D are out of use at once.
  void begin_forget_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // The server that recalled is no more: what it wanted goes back unasked.
  void forget_recalls_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // What give-backs have freed and the server has not been told of; parts 0: nothing.
  // `generation`: of the session that is to be told.
  rpc::Grant take_given_back_locked(uint16_t* generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  // A worker was told of this record and has not looked yet.
  bool queued ABSL_GUARDED_BY(mu) = false;

  // --- local opens
  // One open file of this client's; part of what the file system keeps with it.
  struct Open {
    uint64_t open_id = 0;
    CredRef cred;
    uint8_t access = 0;          // 0: it keeps the inode alive and does no I/O
    uint16_t registered_in = 0;  // generation of the session that knows it; 0: none
    Open* next = nullptr;
    Open* prev = nullptr;
  };
  // `registered_in`: the generation of the session that knows it; 0: none. `open` stays where it is
  // until remove_open().
  void add_open(Open& open, uint16_t registered_in);
  // The same for what the call with this ticket has opened. False: the server that answered it is
  // no more, and the next one does not know of the open.
  bool add_open(Open& open, const Ticket& ticket, const LeaseTable& table);
  void registered(Open& open, uint16_t generation);
  // Only if the word covers A and one of R and W at that moment: an open that the server does not
  // know of.
  bool add_open_if_covered(Open& open);
  // Only if P is held: then the inode lives on although the server does not know of the open.
  bool add_open_if_pinned(Open& open);
  // The generation of the session that knows it and must be told; 0: none.
  uint16_t remove_open(Open& open);
  // Those that do I/O.
  size_t opens();
  // Some open for reading, for page fills and readahead, which serve everybody. If all are for
  // writing: the credentials of one, by which the server decides.
  rpc::Opener any_reader();
  // Whether open files besides this one do I/O, or may write.
  bool others_open_locked(uint64_t open_id, bool only_writers) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);

  // --- leases of the application (app_lease.h); null until there was one
  std::unique_ptr<AppLeases> app ABSL_GUARDED_BY(mu);
  std::atomic<bool> has_app_leases{false};  // app is not null

  // --- content
  // The generation under which the cached pages were read; pages of another one are not used.
  uint16_t pages_generation ABSL_GUARDED_BY(mu) = 0;
  // The server has taken P back: the last name is gone, and what nobody has open is, too.
  std::atomic<bool> nameless{false};
  // Under W: mtime and ctime in the inode are newer than the server's.
  bool own_times ABSL_GUARDED_BY(mu) = false;
  // The inode has a reference of its own because it may have content that the server lacks.
  bool pinned ABSL_GUARDED_BY(mu) = false;
  uint32_t write_uses_locked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) { return write_uses_; }
  uint64_t space_bytes ABSL_GUARDED_BY(mu) = 0;

 private:
  friend class LeaseTable;
  struct Recall {
    uint64_t id = 0;
    uint64_t incarnation = 0;
    LeaseSeq seq = 0;
    LeaseParts parts = 0;
    bool had_write = false;
  };

  // Forgets what belongs to a lost session (invariant 4).
  void refresh_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  static rpc::OpenRecord record_of(const Open& open) {
    return {.open_id = open.open_id, .cred = open.cred, .access = open.access};
  }
  void link_open_locked(Open& open) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  rpc::AckArgs ack_locked(const Recall& recall) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  uint16_t generation() const { return validity_.generation.load(std::memory_order_acquire); }

  fs::LeaseWord& word_;
  const fs::Validity& validity_;
  uint64_t ino_ ABSL_GUARDED_BY(mu) = 0;         // 0: not registered
  uint16_t generation_ ABSL_GUARDED_BY(mu) = 0;  // that what follows belongs to
  LeaseParts held_ ABSL_GUARDED_BY(mu) = 0;
  LeaseSeq seq_seen_ ABSL_GUARDED_BY(mu) = 0;     // of grants and recalls
  LeaseSeq grant_seq_ ABSL_GUARDED_BY(mu) = 0;    // of the newest grant accepted
  LeaseSeq write_since_ ABSL_GUARDED_BY(mu) = 0;  // of that which brought W, while it is held
  absl::InlinedVector<Recall, 1> recalls_ ABSL_GUARDED_BY(mu);
  LeaseParts stopping_ ABSL_GUARDED_BY(mu) = 0;
  LeaseParts giving_back_ ABSL_GUARDED_BY(mu) = 0;

  uint32_t write_uses_ ABSL_GUARDED_BY(mu) = 0;
  CondVar idle_;
  Open* opens_ ABSL_GUARDED_BY(mu) = nullptr;  // newest first
  uint32_t writers_ ABSL_GUARDED_BY(mu) = 0;   // of them: for writing
};

class LeaseTable {
 public:
  explicit LeaseTable(const fs::Validity& validity) : validity_(validity) {}

  // --- calls that may bring grants
  Ticket begin_call();
  void end_call(const Ticket& ticket);
  // Whether the grants in the reply of this call may be used; asked under the mutex of the record
  // that takes one in.
  bool usable(const Ticket& ticket) const;
  // Whether another server has been told since the call began what is held: it knows nothing of
  // what the call has opened. To be asked under the mutex of the record that it is for.
  bool forgotten(const Ticket& ticket) const {
    return ticket.number < forgotten_below_.load(std::memory_order_acquire);
  }

  // --- records
  // Makes the record known; idempotent and cheap when it is.
  void add(uint64_t ino, LeaseRecord& record);
  // Before the record's inode is freed. What it held is released.
  void remove(uint64_t ino, LeaseRecord& record);
  // Runs fn(record) under the table's and the record's mutex; a recall's seq is remembered if there
  // is no record. Returns whether there was.
  template <typename Fn>
  bool with_record(uint64_t ino, LeaseSeq recall_seq, Fn fn) {
    MutexLock lock(mutex_);
    auto found = records_.find(ino);
    if (found == records_.end()) {
      window_.remember(ino, recall_seq);
      return false;
    }
    found->second->mu.lock_nested();
    fn(*found->second);
    found->second->mu.unlock();
    return true;
  }

  // --- what is given back
  // To the session of `generation`; nothing if it has ended. All return true if there is enough
  // for a message.
  bool release(const rpc::Grant& grant, uint16_t generation);
  bool closed(uint64_t open_id, uint16_t generation);
  // A grant of an answer that nobody has taken in or may take in any more, but for what is held
  // without it. A pin that only the server knows of would keep a file without a name until the
  // session ends.
  bool return_unheard(rpc::Grant grant, uint16_t generation);
  struct Returns {
    uint64_t incarnation = 0;  // of the session that they go to
    std::vector<rpc::Grant> grants;
    std::vector<uint64_t> closed;
    bool empty() const { return grants.empty() && closed.empty(); }
  };
  Returns take_returns();

  // --- sessions
  // After the generation has changed.
  void new_session(uint64_t incarnation);
  // What bind() is told, at most `max`; what is not in it is not held any more, and neither are
  // grants of answers that have not been taken in. `lost_data`: the inodes that lost data parts.
  std::vector<rpc::Grant> held_grants(size_t max, std::vector<uint64_t>* lost_data);
  // What a server that was begun anew is told, part by part. False: that is all.
  void begin_reclaim();
  bool next_claims(rpc::ReclaimPart* part);
  struct Reclaimed {
    std::vector<uint64_t> lost_data;  // inodes
    size_t kept = 0, dropped = 0;     // inodes; dropped: in part or whole
  };
  Reclaimed keep_reclaimed(const std::vector<rpc::LeaseClaim>& claims,
                           const std::vector<rpc::Grant>& kept);
  // After a bind: what is not in `kept` is no longer held. Returns the inodes that lost data parts.
  std::vector<uint64_t> keep_only(const std::vector<rpc::Grant>& kept);
  size_t size();

 private:
  bool lives_locked(uint16_t generation) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return generation == validity_.generation.load(std::memory_order_acquire);
  }

  static bool lose_locked(LeaseRecord& record, LeaseParts parts);
  void claim_locked(LeaseRecord& record, rpc::ReclaimPart* part)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void claim_uncovered_locked(LeaseRecord& record, const rpc::Handle& handle)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool keep_locked(LeaseRecord& record, const rpc::Handle& handle, const rpc::Grant& kept)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const fs::Validity& validity_;
  std::atomic<uint64_t> forgotten_below_{0};
  Mutex mutex_{LockRank::kLease};
  CallWindow window_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, LeaseRecord*> records_ ABSL_GUARDED_BY(mutex_);
  Returns returns_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint64_t> to_claim_ ABSL_GUARDED_BY(mutex_);  // the last first
  std::deque<rpc::OpenClaim> open_claims_ ABSL_GUARDED_BY(mutex_);
};

inline constexpr size_t kReturnBatchMax = 64;  // releases and closes of one message

// A ticket for the time of one call and of taking in its reply.
class CallScope {
 public:
  explicit CallScope(LeaseTable& table) : table_(table), ticket_(table.begin_call()) {}
  ~CallScope() { table_.end_call(ticket_); }
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;
  const Ticket& ticket() const { return ticket_; }

 private:
  LeaseTable& table_;
  const Ticket ticket_;
};

}  // namespace myfs::netfs
