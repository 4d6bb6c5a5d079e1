// CallbackSink: what a server tells its client unasked, already decoded.
// Kernel counterpart: fs/nfs/callback_proc.c, ceph_handle_caps (fs/ceph/caps.c).  Differs: this
// room only decodes and hands over; answers are later calls of Client.
// Thread safety: called on the I/O loop, one call at a time.
// Lock rank: an implementation takes LEAF locks only and never waits: it enqueues.
// Owns / is owned by: outlives the Client that it was given to; after Client's destructor nothing
// is called.
// Invariants: (1) per session on_session_started comes first, on_session_lost last, no callback of
// a dead session comes after its on_session_lost; between the first next_reclaim and on_resumed
// come only those two of reclaiming, or on_session_lost; (2) recalls come in the order in which the
// server sent them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/base/call_context.h"
#include "sdk/rpc/reclaim.h"
#include "sdk/rpc/types.h"

namespace myfs::rpc {

class CallbackSink {
 public:
  virtual ~CallbackSink() = default;

  // A login succeeded: everything of an earlier session is void. `sent_boottime_ns`: when the login
  // left; the lease deadline is that + info.term_ms. `server_time_ns`: the server's clock (hello)
  // at about that moment.
  virtual void on_session_started(const SessionInfo& info, int64_t sent_boottime_ns,
                                  int64_t server_time_ns) = 0;
  // The server does not know the session any more. Calls in flight that change something fail with
  // EIO, in doubt; others with kSessionLost.
  virtual void on_session_lost(std::string_view why) = 0;

  // Asked while reconnecting: what the client holds, the most important first; only the first
  // kHeldGrantsMax are sent.
  virtual std::vector<Grant> held_grants() = 0;
  // The session goes on over a new connection. What is not in `kept` is no longer held. The lease
  // deadline is sent_boottime_ns + info.term_ms.
  virtual void on_rebound(const SessionInfo& info, std::vector<Grant> kept, bool grace,
                          int64_t sent_boottime_ns) = 0;

  // The server was begun anew since: what the client holds, part by part; `begin`: from the
  // beginning, whatever was asked for before. The last one has no leases in it. Nothing else is
  // sent for the session before it is answered.
  virtual ReclaimPart next_reclaim(bool begin) = 0;
  virtual void on_reclaimed(const ReclaimPart& part, ReclaimAnswer answer) = 0;
  // In place of on_rebound, after the last part.
  virtual void on_resumed(const SessionInfo& info, int64_t sent_boottime_ns) = 0;

  // A renewal was answered: the lease deadline is sent_boottime_ns + term_ms.
  virtual void on_renewed(uint32_t term_ms, int64_t sent_boottime_ns) = 0;

  virtual void on_recall(std::vector<RecallItem> items) = 0;
  virtual void on_glimpse(uint64_t glimpse_id, uint64_t ino) = 0;
  virtual void on_lock_granted(uint64_t lock_id, uint64_t seq) = 0;
  virtual void on_trim(uint32_t leases) = 0;
  // Announced end: the session is about to be refused. on_session_lost follows when the client
  // learns it for sure.
  virtual void on_evicted(std::string_view why) = 0;
  // A change that its caller gave up has been answered for good. Hand it to a thread that may wait
  // for settled(). `unheard`: what the answer grants, which nobody has taken in.
  virtual void on_settled(Ref<PendingChange> change, std::vector<Grant> unheard) = 0;
  virtual void on_changed(uint64_t ino, uint64_t change, uint32_t mask, std::string name) = 0;
};

inline constexpr size_t kHeldGrantsMax = 65'536;   // of one bind: 2 MiB on the wire
inline constexpr size_t kRecallItemsMax = 65'536;  // of one recall message; more: protocol error

}  // namespace myfs::rpc
