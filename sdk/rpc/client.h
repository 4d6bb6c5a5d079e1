// Client: one server as seen by one mount: a control connection, data connections, one session at a
// time.
// Kernel counterpart: struct nfs_client with its rpc_clnt and nfs4_session (fs/nfs/nfs4client.c,
// nfs4session.c). Differs: a call names no transport; a broken connection is repaired below the
// calls, which see it only as time passing.
// Thread safety: all methods, from any thread that is not inside a loop callback (the *_async and
// non-waiting ones may be called there too).
// Lock rank: whoever calls a synchronous method or one of *_async holds no LEAF lock; release, ack,
// glimpsed and lock_granted take LEAF locks only.
// Owns / is owned by: owns its connections and everything KJ; borrows the Loop and the
// CallbackSink, which outlive it.
// Invariants: (1) a call that changes something is executed exactly once within a session, over any
// number of reconnects; (2) a caller that gives up (deadline, cancel) before the final reply of
// such a call is told in_doubt, and the slot stays taken until that reply; (3) no memory of a
// caller's is touched after its call has returned or completed.
//
// Errors of every call, beside the server's: ETIMEDOUT (deadline passed; `soft`: timeout passed
// without an answer), EINTR (cancelled), kSessionLost (the session ended; the call was not
// executed, its handles are void: look up again), EIO with thread_error_detail().in_doubt (the
// session ended while a change was in flight), EPROTO (the server sent nonsense), EOPNOTSUPP (the
// server does not know the call), ESHUTDOWN (close() has begun).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/base/call_context.h"
#include "sdk/base/limits.h"
#include "sdk/base/result.h"
#include "sdk/rpc/admission.h"
#include "sdk/rpc/callback.h"
#include "sdk/rpc/data_calls.h"
#include "sdk/rpc/meta_calls.h"
#include "sdk/rpc/stats.h"
#include "sdk/rpc/types.h"

namespace myfs::uv_io {
class Loop;
}

namespace myfs::rpc {

// What a call that changes nothing returns when the session that its handles belong to has ended.
inline constexpr Errno kSessionLost{EREMCHG};

// Gives a connected stream socket (ownership passes), instead of an address: the embedded server's
// socketpair, tests. Called on the loop for each connection and reconnection; must not wait.
using Connector = std::function<Result<int>()>;

struct ClientOptions {
  // "tcp:HOST:PORT", "tcp:[V6]:PORT" or "unix:PATH"; without the scheme, what has a '/' is a path.
  // Tried in turn.
  std::vector<std::string> addresses;
  Connector connector;  // if set, addresses[0] is only its name in messages
  std::string export_path = "/";
  std::string secret;  // key of the login's HMAC; empty: the peer's credentials decide
  CredRef cred;        // the session's principal; null: uid and gid of the process
  // The caller of a call as the server knows him; null: as he is.
  std::function<CredRef(const CredRef&)> server_cred;
  bool read_only = false;
  bool soft = false;
  int64_t timeout_ns = kDefaultTimeout_ns;  // soft only
  int64_t connect_timeout_ns = kDefaultConnectTimeout_ns;
  int data_connections = 2;  // 1..kDataConnectionsMax
};

// How long a call waits for a server that does not answer.
struct Patience {
  bool soft = false;
  int64_t timeout_ns = kDefaultTimeout_ns;  // soft only
};

class Client {
 public:
  // Connects and logs in, within connect_timeout and ctx; the error's detail names server and
  // reason. `sink` has been told on_session_started when this returns.
  static Result<std::unique_ptr<Client>> create(uv_io::Loop& loop, ClientOptions options,
                                                CallbackSink& sink, const CallContext& ctx);
  // Orderly end of the session within ctx's deadline; later calls fail with ESHUTDOWN. Calls in
  // flight fail at once.
  void close(const CallContext& ctx);
  ~Client();  // closes without waiting for the server
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // At first as the options say; for calls that begin afterwards.
  Patience patience() const;
  void set_patience(const Patience& patience);
  // The session of the newest login; a copy.
  SessionInfo session() const;
  // Counts logins: 1 for the first session. A handle is valid only in the incarnation that it came
  // from.
  uint64_t incarnation() const;
  // Sends at most max_io bytes in one read or write: the smaller of the server's and ours.
  uint32_t max_io_bytes() const;

  // --- Admission. Waits; in order of arrival among those of equal urgency.
  Result<Admission> admit(const CallContext& ctx, const AdmitArgs& args);
  // EAGAIN instead of waiting.
  Result<Admission> try_admit(const AdmitArgs& args);
  // Waits without a thread; see QueuedAdmission.
  std::unique_ptr<QueuedAdmission> queue_for_admission(const AdmitArgs& args, Waker& waker);

  // --- Names and attributes. Admission is part of the call.
  Result<LookupReply> lookup(const CallContext& ctx, LookupArgs args);
  Result<Node> getattr(const CallContext& ctx, GetattrArgs args);
  Result<NodesReply> getattrs(const CallContext& ctx, GetattrsArgs args);
  Result<Changed> setattr(const CallContext& ctx, SetattrArgs args);
  Result<Changed> create_node(const CallContext& ctx, CreateArgs args);
  Result<Changed> link(const CallContext& ctx, LinkArgs args);
  Result<Changed> unlink(const CallContext& ctx, UnlinkArgs args);
  Result<Changed> rename(const CallContext& ctx, RenameArgs args);
  Result<ReaddirReply> readdir(const CallContext& ctx, ReaddirArgs args);
  Result<Changed> open(const CallContext& ctx, OpenArgs args);
  Result<StatfsReply> statfs(const CallContext& ctx, const Handle& node);
  Result<std::string> getxattr(const CallContext& ctx, GetxattrArgs args);
  Result<ListxattrReply> listxattr(const CallContext& ctx, const Handle& node);
  Result<Changed> setxattr(const CallContext& ctx, SetxattrArgs args);
  Result<LockReply> lock(const CallContext& ctx, LockArgs args);  // what is refused is an error
  Result<LockRange> lock_test(const CallContext& ctx, LockTestArgs args);  // kUnlock: free
  // Their completions get what the server has answered, whenever that is, or the end of the
  // session: no deadline and no `soft` timeout ends them. The admission has a slot.
  void lock_async(const CallContext& ctx, LockArgs args, Admission admission,
                  Completion<LockReply> done);
  // `node`: whose session the lock_id is of. The grant's sequence number if it was granted before,
  // else 0.
  void lock_cancel_async(const CallContext& ctx, const Handle& node, uint64_t lock_id,
                         Admission admission, Completion<uint64_t> done);
  Result<void> lock_release(const CallContext& ctx, LockReleaseArgs args);
  Result<Node> resolve_handle(const CallContext& ctx, ResolveHandleArgs args);
  Result<std::string> persist_handle(const CallContext& ctx, const Handle& node);
  Result<ParentReply> parent_of(const CallContext& ctx, const Handle& dir);
  Result<DirStatsReply> dir_stats(const CallContext& ctx, DirStatsArgs args);
  Result<uint64_t> sync(const CallContext& ctx);  // the boot verifier

  // --- File content. The admission must cover the bytes (and a slot where the call changes
  // something); it is given back when the completion runs. A completion always runs, exactly once,
  // also when the Client is closed.
  void read_async(const CallContext& ctx, ReadArgs args, Buffers destination, Admission admission,
                  Completion<ReadReply> done);
  // At most one WRITE in flight per page is the caller's duty (coherency rule 15).
  void write_async(const CallContext& ctx, WriteArgs args, Buffers source, Admission admission,
                   Completion<WriteReply> done);
  void commit_async(const CallContext& ctx, CommitArgs args, Admission admission,
                    Completion<CommitReply> done);
  // Waiting twins; they admit themselves. Written bytes are copied first, so that the caller may
  // give up.
  Result<ReadReply> read(const CallContext& ctx, ReadArgs args, Buffers destination);
  Result<WriteReply> write(const CallContext& ctx, WriteArgs args, Buffers source);
  Result<AppendReply> append(const CallContext& ctx, AppendArgs args, Buffers source);
  Result<CommitReply> commit(const CallContext& ctx, CommitArgs args,
                             Urgency urgency = Urgency::kNormal);
  Result<Changed> fallocate(const CallContext& ctx, FallocateArgs args);
  Result<uint64_t> seek(const CallContext& ctx, SeekArgs args);
  Result<ExtentsReply> extents(const CallContext& ctx, ExtentsArgs args);
  Result<CopyReply> copy(const CallContext& ctx, CopyArgs args);
  Result<NodesReply> read_many(const CallContext& ctx, ReadManyArgs args);

  // --- The session. It is renewed unasked at a third of its term (CallbackSink::on_renewed), as
  // long as this object lives. ping, stats wait; the others are sent and forgotten: they survive
  // reconnects, and what ends them is the end of the session, which the sink learns anyway. They
  // need no admission. `incarnation`: that of the session which they speak of
  // (SessionInfo::incarnation); sent in no other, since numbers of an old session would mean
  // something else there.
  Result<void> ping(const CallContext& ctx);
  Result<ServerStats> server_stats(const CallContext& ctx);
  void release(std::vector<Grant> grants, std::vector<uint64_t> closed_open_ids,
               uint64_t incarnation);
  void ack(AckArgs args);
  void glimpsed(GlimpsedArgs args);
  void lock_granted(uint64_t lock_id, uint64_t incarnation);

  // How a thread waits for what a completion will set: it drives the I/O loop meanwhile. False at
  // the deadline, or if it is not set and the loop has stopped. Waiting calls do it by themselves.
  bool wait_for(Event& event, int64_t deadline_ns);
  // Loop::expect, for who does not wait in a thread.
  void expect(int replies);

  ClientStats stats() const;
  std::vector<ActiveCall> active_calls() const;  // unanswered, oldest first
  // Breaks every connection as if the network had: for tests of recovery and for a forced umount.
  void break_connections();

 private:
  class Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace myfs::rpc
