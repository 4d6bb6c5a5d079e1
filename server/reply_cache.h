// ReplyCache: the slots of one session, by which a call that arrives twice is executed once.
// Kernel counterpart: struct nfsd4_slot (fs/nfsd/state.h).  Differs: the outcome of a change is
// also durable, in the same transaction as the change.
// Thread safety: the shard's loop only.
// Owns / is owned by: member of Session. Holds the retries that wait for the first execution.
// Invariants: (1) a slot executes one call at a time; (2) a slot leaves `executing` only by
// finish() or take_back(); (3) an outcome holds errno and identity only, no lease and no
// attributes.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "sdk/base/limits.h"
#include "server/types.h"

namespace myfs::server {

// What a replayed reply can still tell.
struct Outcome {
  int error = 0;
  uint64_t ino = 0;  // of the inode made or changed
  uint32_t gen = 0;
  uint64_t off = 0;    // append: where; lock: the lock's id
  uint64_t count = 0;  // write, copy: bytes
  // Write: it is lost under any other; 0: it is durable. Commit: under which it was executed.
  uint64_t verifier = 0;
};

class ReplyCache {
 public:
  enum class Verdict : uint8_t {
    kRun,      // new: execute, then finish()
    kReplay,   // done: `outcome` tells
    kAttached  // executing: `attach` will be called with the outcome
  };
  using Attach = absl::AnyInvocable<void(const Outcome&)>;
  struct Begun {
    Errno
        error;  // EPROTO: same seq with other content, or a slot in use; EALREADY: a seq long past
    Verdict verdict = Verdict::kRun;
    Outcome outcome{};
  };

  ReplyCache() : slots_(kSlotsPerSession) {}

  // `attach` is kept only when the verdict is kAttached.
  Begun begin(const Op& op, uint64_t hash, Attach attach);
  void finish(const Op& op, const Outcome& outcome);
  // It was not begun after all: the same seq may come again. Tells the attached as finish() does.
  void take_back(const Op& op, const Outcome& outcome);
  // The newest seq seen of each slot.
  std::vector<uint64_t> seqs() const;
  // A durable record read back.
  void restore(uint16_t slot, uint64_t seq, uint64_t hash, const Outcome& outcome);

 private:
  enum class State : uint8_t { kFree, kExecuting, kDone };
  struct Slot {
    State state = State::kFree;
    uint64_t seq = 0;
    uint64_t hash = 0;
    Outcome outcome{};
    std::vector<Attach> attached{};
  };
  std::vector<Slot> slots_;
};

}  // namespace myfs::server
