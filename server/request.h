// Request: one call of a client on its way through the shard: attempted, parked while others give
// up leases, attempted again, held until what it saw is durable, answered.
// Kernel counterpart: struct svc_rqst with cache_deferred_req (net/sunrpc).  Differs: attempted
// from the start each time, so nothing that it read before it waited is trusted afterwards.
// Thread safety: the shard's loop only.
// Owns / is owned by: shared by whoever will continue it: the run queue, the waiters of an inode, a
// commit, a job in the pool.
// Invariants: (1) exactly one of deliver() and replay() is called, once; (2) it keeps its ticket,
// hence its place, however often it is attempted.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "server/requests.h"
#include "server/session_table.h"
#include "server/types.h"

namespace myfs::server {

class Turn;

// What an attempt waits for.
struct Need {
  enum class Kind : uint8_t {
    kRecall,      // others give up `parts`
    kOwn,         // so do we
    kAcquire,     // `parts` become grantable to us
    kLane,        // the inode's lane of server-side I/O
    kGlimpse,     // another writer's size and times
    kGlimpseAny,  // or our own
    kGrace,       // the end of the grace
    kOldLocks     // who held locks before this boot has told so, or is gone
  };
  Kind kind = Kind::kRecall;
  uint64_t ino = 0;
  Parts parts = 0;
};

struct Glimpsed {
  bool valid = false;  // false: the session asked holds nothing that differs from ours
  bool timed_out = false;
  uint64_t size = 0;
  Time mtime{};
};

// What of a client's is done before all sessions of the last boot have told what they hold.
struct GracePass {
  bool always = false;
  uint64_t ino = 0;  // or if the session holds one of `parts` of this inode
  Parts parts = 0;
};

struct CallTraits {
  GracePass pass{};
  // What the call registers beside its change: again when it is replayed, since opens are memory.
  Opener opens{};
};

class Request : public std::enable_shared_from_this<Request> {
 public:
  virtual ~Request() = default;
  virtual void attempt(Turn& turn) = 0;
  // Sends the answer that the last attempt left, or `error` in its place.
  virtual void deliver(Errno error) = 0;
  // Sends what a record of an earlier execution tells.
  virtual void replay(const Outcome& outcome) = 0;
  virtual Outcome outcome() const = 0;

  // Constant once the shard has it.
  SessionRef session{};
  Cred cred{};  // the session's principal has been applied
  bool has_op = false;
  Op op{};
  uint64_t hash = 0;
  CallTraits traits{};
  uint64_t ticket = 0;

  // The shard's notes.
  int phase = 0;         // rises when work outside the loop has come back
  uint64_t depends = 0;  // the newest transaction that an attempt has seen, if that matters
  bool parked = false;
  bool waited = false;       // it has been parked before
  size_t payload_bytes = 0;  // kept in memory while it waits
  bool queued = false;       // in the run queue
  bool begun = false;        // it is counted by its session
  std::vector<Need> needs{};
  std::vector<uint64_t> lanes{};                     // of inodes, held until the answer is settled
  std::vector<uint64_t> busy{};                      // inodes whose content is in use by the pool
  absl::flat_hash_map<uint64_t, Glimpsed> glimpses;  // answers so far
};
using RequestRef = std::shared_ptr<Request>;

// How a reply of each type looks when only a record is left.
inline void fill_replayed(const Outcome& outcome, const HandleMac& mac, ChangedReply* reply) {
  reply->error = outcome.error;
  reply->replayed = true;
  if (outcome.ino != 0) reply->node.handle = mac.seal(outcome.ino, outcome.gen);
}
inline void fill_replayed(const Outcome& outcome, const HandleMac&, WriteAnswer* reply) {
  reply->error = outcome.error;
  reply->replayed = true;
  reply->off = outcome.off;
  reply->count = outcome.count;
  reply->verifier = outcome.verifier;
  reply->stable = outcome.verifier == 0;
}
inline void fill_replayed(const Outcome& outcome, const HandleMac&, CopyAnswer* reply) {
  reply->error = outcome.error;
  reply->replayed = true;
  reply->count = outcome.count;
}
// Queries are executed again and never replayed.
template <typename Reply>
void fill_replayed(const Outcome& outcome, const HandleMac&, Reply* reply) {
  reply->error = outcome.error;
}
template <typename Reply>
Outcome outcome_of(const Reply& reply) {
  return {.error = reply.error};
}

template <typename Reply>
class TypedRequest : public Request {
 public:
  using Body = absl::AnyInvocable<Errno(Turn&, Reply&)>;
  TypedRequest(Body body, Done<Reply> done) : body_(std::move(body)), done_(std::move(done)) {}

  void attempt(Turn& turn) override {
    if (phase == 0) reply_ = Reply();
    reply_.error = body_(turn, reply_).value();
  }
  void deliver(Errno error) override {
    if (!error.ok()) {
      reply_ = Reply();
      reply_.error = error.value();
    }
    body_ = nullptr;
    done_(std::move(reply_));
  }
  void replay(const Outcome& outcome) override {
    reply_ = Reply();
    fill_replayed(outcome, session->mac, &reply_);
    body_ = nullptr;
    done_(std::move(reply_));
  }
  Outcome outcome() const override { return outcome_of(reply_); }

 private:
  Body body_;
  Done<Reply> done_;
  Reply reply_;
};

}  // namespace myfs::server
