// Shard: one part of the name space: a single-writer state machine on one loop thread.
// Kernel counterpart: struct super_block with its journal, and the state of fs/nfsd.  Differs: no
// locks; what would wait is parked and attempted again.
// Thread safety: everything on the loop's thread, but create(), which runs before the loop does.
// Owns / is owned by: owned by the server. Owns tables, view, FileData. Stores, pool and commit
// queue are the server's and outlive it.
// Invariants: (1) no answer leaves before every change that it has seen is durable; (2) a session's
// leases stand until its death and what it wrote under them are durable; (3) a request that waits
// holds nothing but its place and the blocks that keep new leases out of its way; (4) of those that
// wait for one another the one with the lowest ticket waits for clients only, so every recall that
// ends lets somebody go on.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "sdk/base/clock.h"
#include "server/commit_queue.h"
#include "server/export.h"
#include "server/file_data.h"
#include "server/lease_table.h"
#include "server/lock_table.h"
#include "server/meta_view.h"
#include "server/open_table.h"
#include "server/peer.h"
#include "server/request.h"
#include "server/session_table.h"
#include "server/turn.h"

namespace myfs::server {

inline constexpr int64_t kGlimpseTimeout_ns = 2 * kNsPerSec;  // then W is recalled
inline constexpr uint32_t kSessionParkedMax = 4096;
inline constexpr size_t kSessionParkedMax_bytes = 2 * kIoMax_bytes;
inline constexpr uint64_t kInoBlock = 4096;                          // numbers made durable at once
inline constexpr uint64_t kWriteSpaceMax_bytes = uint64_t{1} << 30;  // of one W grant
inline constexpr uint64_t kMetaReserve_bytes = 16 << 20;             // less: nothing new
inline constexpr uint64_t kWriteSpaceMin_bytes = 4 << 20;            // less: W is not granted

struct ShardDeps {
  MetaStore* meta = nullptr;
  BlockStore* blocks = nullptr;
  IoPool* pool = nullptr;
  CommitQueue* commits = nullptr;
  PostFn post;
  std::function<void(int64_t deadline_ns)> arm_timer;  // calls tick() then; replaces the last one
  std::function<int64_t()> boottime = [] { return boottime_ns(); };
  std::function<int64_t()> realtime = [] { return realtime_ns(); };
};

struct ShardOptions {
  int64_t term_ns = kDefaultLeaseTerm_ns;
  int64_t recall_timeout_ns = kRecallTimeout_ns;
  int64_t recall_cap_ns = kRecallHardCap_ns;
  AuthPolicy auth{};
  std::vector<Export> exports{};  // none: everything is offered
  bool forget_sessions = false;   // of the last run: their clients have to log in anew
  bool relaxed = false;           // the commit queue's mode: what is committed may be not durable
};

struct LoginArgs {
  PeerInfo peer{};
  std::string challenge{}, client{}, proof{}, export_path{};
  Cred cred{};
  bool read_only = false;
  uint64_t number = 0;  // of this client's logins and binds; 0: it does not count them
  std::shared_ptr<ClientPeer> callback{};
};
struct BindArgs {
  PeerInfo peer{};
  std::string challenge{}, client{}, proof{}, secret{};
  uint64_t session_id = 0;
  uint64_t epoch = 0;
  std::vector<Grant> held{};
  uint64_t boot_verifier = 0;  // the newest that the client has; 0: it does not say
  uint64_t number = 0;         // as of LoginArgs
  std::shared_ptr<ClientPeer> callback{};
};
struct SessionReply {
  int error = 0;
  std::string why{};
  SessionRef session{};
  uint64_t binding = 0;
  std::string data_token{};
  NodeReply root{};
  std::vector<uint64_t> slot_seqs{};
  std::vector<Grant> kept{};
  bool grace = false;
  bool reclaim = false;
};

// What a client held when the last server ended, or one part of it.
struct LeaseClaim {
  Handle node{};
  Parts parts = 0;
  uint64_t change = 0;  // of the inode, the newest that the client has seen
  uint64_t write_since = 0;
};
struct OpenClaim {
  Handle node{};
  Opener opener{};
};
struct LockClaim {
  Handle node{};
  LockRange range{};    // the owner's session is filled in
  Errno error{};        // of the range
  uint64_t ticket = 0;  // by which it waits for it; 0: it is held
};
struct ReclaimArgs {
  std::vector<LeaseClaim> leases{};
  std::vector<OpenClaim> opens{};
  std::vector<LockClaim> locks{};
  bool last = false;
};
struct ReclaimReply {
  struct Lock {
    int error = 0;
    uint64_t ticket = 0;
  };
  int error = 0;
  std::string why{};
  std::vector<Grant> kept{};
  std::vector<Lock> locks{};
};

struct AckArgs {
  uint64_t recall_id = 0;
  uint64_t ino = 0;
  Parts kept = 0;
  uint64_t seq = 0;
  std::vector<Opener> opens{};
  bool have_size = false;
  uint64_t size = 0;
  Time mtime{};
};

struct ShardStats {
  uint64_t operations = 0;
  uint64_t sessions = 0;
  uint64_t leases = 0;
  uint64_t recalls = 0;
  uint64_t commits = 0;
  uint64_t evictions = 0;
  uint64_t damaged_writes = 0;  // refused: the bytes were not what their crcs said
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  uint64_t bytes_copied = 0;  // from file to file
  uint64_t sessions_reclaimed = 0;
  uint64_t leases_kept = 0;     // at reclaim; inodes
  uint64_t leases_dropped = 0;  // likewise, in part or whole
};

class Shard : public FileData::Host {
 public:
  // Reads the store, counts the boot, deletes the clean mark, makes a root if there is none. The
  // sessions of the last boot go on, but for those that cannot come back; their clients bind and
  // reclaim. Blocks.
  static Result<std::unique_ptr<Shard>> create(ShardDeps deps, ShardOptions options);
  ~Shard() override;

  // On the loop: serving begins, and the clean-up that the boot owes.
  void start();
  // Recalls everything, waits at most `limit_ns` for what comes back, makes durable what clients
  // wrote up to then, leaves the clean mark, ends the sessions' service; the records of those that
  // may still use what they have cached stay for the next boot. `done` gets what could not be made
  // durable.
  void shutdown(int64_t limit_ns, Done<Errno> done);
  // The time for which arm_timer() asked has come; any other time is as good.
  void tick();

  // ---- sessions
  void login(LoginArgs args, Done<SessionReply> done);
  void bind(BindArgs args, Done<SessionReply> done);
  // After a bind that has asked for it, in parts; nothing else of the session's is done before the
  // last. EPROTO: the session has nothing to reclaim, there is too much in one part, a handle is
  // not the session's; or what is claimed conflicts with what another session has reclaimed: then
  // the session is ended. ESTALE.
  ReclaimReply reclaim(const SessionRef& session, const ReclaimArgs& args);
  Errno renew(Session& session, uint64_t epoch);
  void release(Session& session, const std::vector<Grant>& grants,
               const std::vector<uint64_t>& closed);
  Errno acknowledge(Session& session, const AckArgs& args);
  void glimpsed(Session& session, uint64_t glimpse_id, uint64_t ino, const Glimpsed& answer);
  // The orderly end. Done when it is durable.
  void close(const SessionRef& session, Done<Errno> done);
  void disconnected(const SessionRef& session, uint64_t binding);
  SessionRef attach_data(const PeerInfo& peer, uint64_t session_id, std::string_view token);
  // Ends a session against its will.
  void evict(const SessionRef& session, const std::string& why);

  // ---- calls
  // `body` is attempted until nothing stands in its way; `done` gets the answer once it may be
  // seen. `op`, when there is one, makes it happen once.
  template <typename Reply>
  void execute(SessionRef session, const Cred& cred, const Op* op, uint64_t hash,
               typename TypedRequest<Reply>::Body body, Done<Reply> done, CallTraits traits = {}) {
    auto request = std::make_shared<TypedRequest<Reply>>(std::move(body), std::move(done));
    request->traits = std::move(traits);
    admit(std::move(request), std::move(session), cred, op, hash);
  }
  void resume(const RequestRef& request);
  // For calls that change no state of a slot: unlocks a value once everything so far is durable.
  void when_durable(absl::AnyInvocable<void(Errno)> fn);

  // ---- what turns and the rooms of operations use
  MetaView& view() { return view_; }
  LeaseTable& leases() { return leases_; }
  OpenTable& opens() { return opens_; }
  LockTable& locks() { return locks_; }
  // Sends the callbacks of what the lock table has granted.
  void tell_lock_grants();
  // Those of `sessions` whose time is over.
  std::vector<SessionRef> expired(const std::set<SessionId>& sessions) const;
  // Ends them; the request is resumed when what they held is free.
  void resume_without(const std::vector<SessionRef>& sessions, const RequestRef& request);
  SessionTable& sessions() { return sessions_; }
  FileData& data() { return *data_; }
  const ShardOptions& options() const { return options_; }
  const DirentHasher& hasher() const { return hasher_; }
  int64_t boottime() const { return deps_.boottime(); }
  int64_t realtime() const { return deps_.realtime(); }
  uint64_t next_change(uint64_t old_change) const;
  // Rises when changes that could be seen are undone.
  uint64_t generation() const { return generation_; }
  uint64_t new_ino(Turn& turn);
  uint64_t verifier() const {
    return (uint64_t{boot_marks_.back()} << 32) | data_->verifier_count();
  }
  uint64_t fsid() const { return fsid_; }
  const SipKey& handle_key() const { return handle_key_; }
  uint64_t write_space() const;
  // Whether the store should take anything new: what it holds must stay changeable.
  bool has_room();
  uint64_t inos_used() const { return next_ino_; }
  BlockSpace space() const { return data_->space(); }
  ShardStats stats() const;
  ShardStats& counters() { return stats_; }
  int64_t server_term_ns() const { return with_margin(options_.term_ns); }
  bool shutting_down() const { return shutting_down_; }
  bool busy(uint64_t ino) const { return busy_.contains(ino); }
  // Whether an inode without names must live on for the time being.
  bool pinned(uint64_t ino) const;
  absl::flat_hash_set<uint64_t>& tmpfiles() { return tmpfiles_; }
  // Makes everything that clients wrote durable.
  void write_back_all(Done<Errno> done) {
    write_back(data_->inodes_with_pending(), std::move(done));
  }
  void write_back(const std::vector<uint64_t>& inodes, Done<Errno> done);

  // ---- FileData::Host
  const InodeRecord* committed_inode(uint64_t ino) override;
  void submit_background(Txn txn, bool on_disk,
                         absl::AnyInvocable<void(bool durable)> done) override;
  void post(Job job) override { deps_.post(std::move(job)); }

 private:
  friend class Turn;
  struct Settling {  // DataChanges of a transaction under way
    uint64_t seq = 0;
    std::vector<DataChange> changes{};
    std::vector<uint64_t> removed{};  // inodes whose content goes with it
  };
  struct GlimpseOut {
    SessionId session = 0;
    uint64_t ino = 0;
    RequestRef request{};
    int64_t deadline_ns = 0;
  };

  static int64_t with_margin(int64_t term_ns) {
    return term_ns + term_ns / 100 + kNsPerSec;  // rule 14: 1 % + 1 s
  }

  Shard(ShardDeps deps, ShardOptions options, const SuperRecord& super, uint64_t boot);

  // shard_boot.cc
  static Result<SuperRecord> read_or_make_super(MetaStore& meta, int64_t now_ns);
  Result<void> boot();
  Result<void> mark_boot(Txn& txn);
  Result<void> restore_sessions(Txn& txn);
  Result<void> plan_grace(Txn& txn);
  Result<void> restore_replies(Txn& txn);
  void restore_session(SessionId id, const SessionRecord& record);
  Result<void> find_orphans(Txn& txn);
  Result<void> reap_orphan(uint64_t ino, Txn& txn);

  // shard.cc: the way of a request
  void admit(RequestRef request, SessionRef session, const Cred& cred, const Op* op, uint64_t hash);
  void open_again(const Request& request, const Outcome& outcome);
  void run(const RequestRef& request);
  void start_async(const RequestRef& request, Turn& turn);
  void complete(const RequestRef& request, Turn& turn);
  bool held_up(const Request& request) const;
  void finish(const RequestRef& request, Errno error);
  void let_go(Request& request);
  void enqueue(const RequestRef& request);
  void pump();
  uint64_t submit(Staged staged, std::vector<DataChange> changes);
  bool gives_up_content(const Staged& staged, const std::vector<DataChange>& changes);
  void on_commit(uint64_t seq, absl::AnyInvocable<void(Errno)> fn);
  void on_report(uint64_t seq, Errno error);
  void fail_uncommitted(Errno error);

  // shard_recall.cc: waiting for others
  void park(const RequestRef& request, std::vector<Need> needs);
  bool may_wait(const Request& request) const;
  bool ready(const Request& request) const;
  std::vector<Need> unpark(Request& request);
  void wake(uint64_t ino);
  void send_recalls(const std::vector<LeaseTable::RecallOut*>& recalls);
  void recall_unnamed(SessionId except, uint64_t ino);
  SessionId writer_asked(const Request& request, const Need& need) const;
  void send_glimpse(const RequestRef& request, const Need& need);
  void look_after_recalls();
  void look_after_glimpses();
  void arm();

  // shard_session.cc
  Result<InodeRef> resolve_export(const Export& offered, const Cred& cred, std::string_view path,
                                  uint64_t* ino);
  uint64_t newest_number(const std::string& client, const Principal& who) const;
  void end_earlier(const std::string& client, const Principal& who);
  void welcome(SessionRef session, Parts want, Done<SessionReply> done);
  std::vector<Grant> keep_held(Session& session, const std::vector<Grant>& held);
  void end_session(const SessionRef& session);
  void commit_end(const SessionRef& session);
  void session_is_gone(const SessionRef& session);
  void commit_written(const SessionRef& session);
  void reap_if_unused(uint64_t ino);
  void tell_grants_again();
  void look_after_locks();
  void look_at_locks_by(int64_t at_ns);
  void apply_ack(Session& session, const AckArgs& args);
  bool has_unwritten(SessionId session, uint64_t ino) const;
  void give_up(SessionId session, const Grant& grant);
  void settle_ack(SessionId session, const AckArgs& args);

  // shard_reclaim.cc: sessions of earlier boots come back. While one of them may hold leases it is
  // grace: nothing is done for anybody that depends on what they hold.
  bool in_grace() const { return awaited(Awaited::kLeases); }
  bool awaited(Awaited least) const {
    for (auto what = static_cast<size_t>(least); what < awaited_.size(); ++what) {
      if (awaited_[what] != 0) return true;
    }
    return false;
  }
  bool waits_for_grace(const Request& request) const;
  void await(Session& session, Awaited what);
  void await_no_more(Session& session);
  void look_after_awaited();
  void forget_maybe_open(Session& session);
  void begin_reclaim(Session& session);
  bool knows_boot(uint64_t verifier) const;
  Errno check_claims(const Session& session, const ReclaimArgs& args) const;
  bool reclaim_lease(Session& session, const LeaseClaim& claim, Grant* kept);
  Parts may_reclaim(const Session& session, const LeaseClaim& claim, const InodeRecord& inode);
  void reclaim_open(Session& session, const OpenClaim& claim);
  ReclaimReply::Lock reclaim_lock(Session& session, const LockClaim& claim);

  void finish_shutdown();
  void note_holds(const Session& session, SessionRecord::Holds holds, Staged& staged);
  void leave_clean_mark(Errno error);

  ShardDeps deps_;
  const ShardOptions options_;
  const DirentHasher hasher_;
  SipKey handle_key_;
  uint64_t fsid_ = 0;
  const uint64_t boot_;
  MetaView view_;
  LeaseTable leases_;
  OpenTable opens_;
  LockTable locks_;
  int64_t lock_look_ns_ = 0;      // when look_after_locks() is due; 0: nobody waits
  std::set<SessionId> regrants_;  // to be told of grants that may not have reached them
  std::map<SessionId, std::vector<RequestRef>> waits_for_end_;  // requests, of a session's end
  SessionTable sessions_;
  std::unique_ptr<FileData> data_;
  ShardStats stats_;
  SessionRef internal_;  // for the shard's own operations

  uint64_t next_ticket_ = 1;
  std::deque<RequestRef> run_queue_;
  bool pumping_ = false;
  std::map<uint64_t, std::map<uint64_t, RequestRef>> waiting_;  // inode, ticket
  absl::flat_hash_map<uint64_t, uint64_t> lanes_;               // inode -> ticket inside
  absl::flat_hash_map<uint64_t, uint32_t> busy_;                // inode -> users of its content
  std::map<uint64_t, GlimpseOut> glimpses_;
  uint64_t next_glimpse_;  // above those of earlier boots, whose answers may still come

  uint64_t next_seq_ = 1;
  uint64_t committed_ = 0;
  uint64_t generation_ = 1;
  std::map<uint64_t, std::vector<absl::AnyInvocable<void(Errno)>>> on_commit_;
  std::deque<Settling> settling_;

  uint64_t next_ino_ = 0;
  uint64_t ino_limit_ = 0;  // durable, or in the transaction that uses it first
  uint64_t next_session_;
  absl::flat_hash_set<uint64_t> orphans_;   // inodes without names, as the view has it
  absl::flat_hash_set<uint64_t> tmpfiles_;  // that never had a name, and may be given one
  std::vector<SessionRef> to_end_again_;    // whose end could not be committed

  std::deque<InodeRef> committed_held_;  // keeps what committed_inode() showed

  int64_t longest_term_ns_ = 0;      // that a client may have been told
  std::array<size_t, 4> awaited_{};  // sessions, by what they may hold
  int64_t awaited_until_ns_ = 0;     // then those that have not told it are ended,
  int64_t awaited_at_most_ns_ = 0;   // or then, if they were about to tell
  // What calls of before this boot may have opened that are not sent again yet: inode, sessions.
  absl::flat_hash_map<uint64_t, uint32_t> maybe_open_;
  std::vector<uint32_t> boot_marks_;  // random; of the boots that the store has seen, ours last

  bool has_room_ = true;
  int64_t room_known_until_ns_ = 0;

  bool shutting_down_ = false;
  bool closing_ = false;           // clients' calls are not begun any more
  bool stopped_ = false;           // nothing is executed any more
  std::vector<RequestRef> limbo_;  // what came after that; its connections end soon
  int64_t shutdown_deadline_ns_ = 0;
  Done<Errno> shutdown_done_;
  bool writing_back_ = false;  // shutdown has come to the content
  bool arm_wanted_ = true;
};

}  // namespace myfs::server
