// The part of Shard that knows clients as sessions: login, bind, renewal, acknowledgement, end.
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <string_view>

#include "sdk/base/log.h"
#include "sdk/base/random.h"
#include "server/namespace.h"
#include "server/shard.h"

namespace myfs::server {
namespace {

constexpr int64_t kQuiet_ns = 10 * kNsPerMs;  // after a bind, for its answer to leave first
constexpr int64_t kLockLook_ns = kNsPerSec;   // how often holders of locks are looked after
constexpr uint32_t kTrimPart = 10;            // a full session is asked for one lease in ten

std::array<uint8_t, 16> bytes16(std::string_view text) {
  std::array<uint8_t, 16> bytes{};
  std::copy_n(text.begin(), std::min(text.size(), bytes.size()), bytes.begin());
  return bytes;
}

SessionRecord record_of(const Session& session, const PeerInfo& peer, std::string export_path) {
  SessionRecord record;
  record.local = peer.is_unix && peer.pid == ::getpid();
  record.terms_known = true;
  record.export_path = std::move(export_path);
  record.squash = session.principal.squash;
  record.uuid = bytes16(session.client);
  record.secret = bytes16(session.secret);
  record.epoch = session.epoch;
  record.number = session.number;
  record.read_only = session.read_only;
  record.forced_cred = !session.principal.anyone;
  record.cred = session.principal.cred;
  record.root_ino = session.export_ino;
  record.address = peer.address;
  return record;
}

bool is_user_of(const Session& session, const Principal& who) {
  return who.anyone || (!session.principal.anyone && who.cred.uid == session.principal.cred.uid);
}

SessionReply refused(Errno error, std::string why) {
  SessionReply reply;
  reply.error = error.value();
  reply.why = std::move(why);
  return reply;
}

// EPROTO: by its holder's word the file has bytes that have not come. He gives W back all the same,
// so what comes of them later is refused; the others wait for him no longer.
Errno check_written(Shard& shard, const Session& session, const AckArgs& args) {
  if (!args.have_size || (shard.leases().held(session.id, args.ino) & kPartW) == 0) return {};
  Result<InodeRef> inode = shard.view().inode(args.ino);
  if (!inode.ok() || *inode == nullptr) return {};
  const uint64_t size = std::max((*inode)->size, shard.data().pending_end(args.ino));
  if (args.size <= size) return {};
  log(LogLevel::kWarning,
      "session %d gives back W of inode %d before it has written: it has %d bytes, %d have come",
      session.id, args.ino, args.size, size);
  return Errno(EPROTO);
}

}  // namespace

// Whoever may mount an export may do so whatever lies above it; below it he must be let through.
Result<InodeRef> Shard::resolve_export(const Export& offered, const Cred& cred,
                                       std::string_view path, uint64_t* ino) {
  size_t unchecked =
      offered.path == "/"
          ? 0
          : static_cast<size_t>(std::count(offered.path.begin(), offered.path.end(), '/'));
  *ino = kRootIno;
  MYFS_ASSIGN(InodeRef dir, view_.inode(kRootIno));
  if (path.size() >= kPathMax_bytes) return Errno(ENAMETOOLONG);
  while (!path.empty()) {
    size_t slash = std::min(path.find('/'), path.size());
    std::string_view name = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (name.empty()) continue;
    if (Errno error = check_name(name); !error.ok()) return error;
    const Errno searched = may(owner_of(*dir), cred, kMayExec);
    if (!searched.ok() && unchecked == 0) return searched;
    if (unchecked > 0) --unchecked;
    MYFS_ASSIGN(std::optional<FoundDirent> found, view_.dirent(*ino, name));
    if (!found) return Errno(ENOENT);
    *ino = found->record.ino;
    MYFS_ASSIGN(dir, view_.inode(*ino));
    if (dir == nullptr) return Errno(EUCLEAN);
    if (!dir->is_dir()) return Errno(ENOTDIR);
  }
  return dir;
}

void Shard::login(LoginArgs args, Done<SessionReply> done) {
  ++stats_.operations;
  if (args.client.size() != 16) return done(refused(Errno(EINVAL), "client: 16 bytes"));
  AuthResult auth =
      authenticate(options_.auth, args.peer, args.challenge, args.client, args.proof, args.cred);
  if (!auth.error.ok()) return done(refused(auth.error, auth.why));
  if (shutting_down_) return done(refused(Errno(EAGAIN), "the server is shutting down"));
  if (Errno error = sessions_.admits(auth.principal); !error.ok())
    return done(refused(error, "too many sessions"));
  const Export* offered = find_export(options_.exports, args.export_path);
  if (offered == nullptr)
    return done(refused(Errno(EACCES), "export " + args.export_path + " is not offered"));
  auth.principal.squash = offered->squash;
  uint64_t export_ino = kRootIno;
  const Cred acting = auth.principal.acting_as(auth.principal.cred);
  auto root = resolve_export(*offered, acting, args.export_path, &export_ino);
  if (!root.ok()) return done(refused(root.error(), "export " + args.export_path));

  if (args.number != 0 && newest_number(args.client, auth.principal) >= args.number)
    return done(refused(Errno(EAGAIN), "the client has a newer session"));
  end_earlier(args.client, auth.principal);
  auto session = std::make_shared<Session>();
  session->id = next_session_++;
  session->client = args.client;
  session->number = args.number;
  session->secret.resize(kSecretSize_bytes);
  random_bytes(session->secret.data(), session->secret.size());
  session->principal = std::move(auth.principal);
  session->read_only = args.read_only || offered->read_only;
  session->export_ino = export_ino;
  session->mac = HandleMac(handle_key_, session->id, export_ino);
  session->peer = std::move(args.callback);
  session->binding = 1;
  SessionTable::add_connection(*session, args.peer.connection);
  session->seen_ns = boottime();
  session->deadline_ns = session->seen_ns + server_term_ns();
  sessions_.add(session);
  leases_.add_session(session->id);
  Staged staged;
  staged.keys[session_key(session->id)] =
      record_of(*session, args.peer, std::move(args.export_path)).encode();
  staged.durable = true;
  uint64_t seq = submit(std::move(staged), {});
  on_commit(seq, [this, session, done = std::move(done)](Errno error) mutable {
    if (error.ok()) return welcome(session, kPartA | kPartD, std::move(done));
    session->state = Session::State::kDead;
    leases_.remove_session(session->id);
    sessions_.remove(session->id);
    done(refused(error, "the session could not be recorded"));
  });
}

uint64_t Shard::newest_number(const std::string& client, const Principal& who) const {
  uint64_t newest = 0;
  for (const auto& [id, session] : sessions_.all()) {
    if (session->client == client && is_user_of(*session, who))
      newest = std::max(newest, session->number);
  }
  return newest;
}

// Who logs in anew has given up what an earlier session of his let him cache.
void Shard::end_earlier(const std::string& client, const Principal& who) {
  if (!awaited(Awaited::kPins)) return;
  std::vector<SessionRef> given_up;
  for (const auto& [id, session] : sessions_.all()) {
    if (session->awaited != Awaited::kNo && session->client == client && is_user_of(*session, who))
      given_up.push_back(session);
  }
  for (const SessionRef& session : given_up) end_session(session);
}

void Shard::welcome(SessionRef session, Parts want, Done<SessionReply> done) {
  auto show_root = [want](Turn& turn, NodeOnlyReply& reply) {
    reply.node = turn.reply(turn.session().export_ino, want);
    return Errno(reply.node.error);
  };
  auto answer = [session, done = std::move(done)](NodeOnlyReply root) mutable {
    if (root.error != 0) return done(refused(Errno(root.error), "the export is gone"));
    SessionReply reply;
    reply.session = session;
    reply.binding = session->binding;
    reply.data_token = SessionTable::new_data_token(*session);
    reply.root = std::move(root.node);
    reply.slot_seqs = session->replies.seqs();
    done(std::move(reply));
  };
  execute<NodeOnlyReply>(session, session->principal.cred, nullptr, 0, std::move(show_root),
                         std::move(answer), CallTraits{.pass = {.always = true}});
}

void Shard::bind(BindArgs args, Done<SessionReply> done) {
  ++stats_.operations;
  AuthResult auth =
      authenticate(options_.auth, args.peer, args.challenge, args.client, args.proof, {});
  if (!auth.error.ok()) return done(refused(auth.error, auth.why));
  SessionRef session = sessions_.find(args.session_id);
  if (session == nullptr || !session->live() || session->epoch != args.epoch)
    return done(refused(Errno(ESTALE), "the session has ended"));
  // One that cannot go on has none.
  if (!is_user_of(*session, auth.principal) || session->client != args.client ||
      session->secret.empty() || !equal_constant_time(session->secret, args.secret))
    return done(refused(Errno(EACCES), "not this client's session"));
  if (args.boot_verifier != 0 && !knows_boot(args.boot_verifier))
    return done(
        refused(Errno(ESTALE), "the server's store is older than what the client has seen"));
  if (shutting_down_ && session->awaited != Awaited::kNo)
    return done(refused(Errno(EAGAIN), "the server is shutting down"));
  // Its list of what is held is old, too. Not ESTALE: the client has the session.
  if (args.number != 0 && args.number <= session->number)
    return done(refused(Errno(EAGAIN), "the session was bound anew since"));
  session->number = std::max(session->number, args.number);
  // Before the newest seq of each slot is told: what the old ones have not brought never comes.
  SessionTable::move_to_connection(*session, args.peer.connection);
  ++session->binding;
  session->peer = std::move(args.callback);
  session->seen_ns = boottime();
  session->deadline_ns = session->seen_ns + server_term_ns();
  session->quiet_until_ns = session->seen_ns + kQuiet_ns;
  const bool same_boot = args.boot_verifier == 0 || args.boot_verifier >> 32 == boot_marks_.back();
  session->reclaims = false;
  std::vector<Grant> kept;
  if (session->awaited != Awaited::kNo || !same_boot) {
    begin_reclaim(*session);
  } else {
    kept = keep_held(*session, args.held);
  }
  for (LeaseTable::RecallOut* out : leases_.recalls_of(session->id)) {
    out->sent = false;
    // It could not answer while it was away. The hard cap goes on: else who binds again and again
    // would never have to.
    out->progress_ns = session->seen_ns;
  }
  if (!locks_.unacknowledged(session->id).empty()) regrants_.insert(session->id);
  arm_wanted_ = true;
  auto answer = [kept = std::move(kept), grace = in_grace(), reclaim = session->reclaims,
                 done = std::move(done)](SessionReply reply) mutable {
    reply.kept = std::move(kept);
    reply.grace = grace;
    reply.reclaim = reclaim;
    done(std::move(reply));
  };
  // He asks for nothing, and what he is granted unasked he does not look at.
  welcome(session, 0, std::move(answer));
}

// What both sides believe to be held stays held; a grant that never arrived is forgotten.
std::vector<Grant> Shard::keep_held(Session& session, const std::vector<Grant>& held) {
  std::map<uint64_t, Parts> client;
  for (const Grant& grant : held) client[grant.ino] |= grant.parts;
  std::vector<Grant> kept;
  for (uint64_t ino : leases_.inodes_of(session.id)) {
    auto it = client.find(ino);
    Parts both = it == client.end() ? 0 : it->second & leases_.held(session.id, ino);
    auto gone = static_cast<Parts>(~both);
    if ((gone & kPartW) != 0 && has_unwritten(session.id, ino)) {
      give_up(session.id, Grant{.ino = ino, .parts = kPartW, .seq = UINT64_MAX});
      gone &= ~kPartW;
    }
    leases_.release(session.id, ino, gone, UINT64_MAX);
    if (both != 0)
      kept.push_back(Grant{.ino = ino, .parts = both, .seq = leases_.seq(session.id, ino)});
    wake(ino);
    reap_if_unused(ino);
  }
  return kept;
}

Errno Shard::renew(Session& session, uint64_t epoch) {
  if (!session.live() || session.epoch != epoch) return Errno(ESTALE);
  session.seen_ns = boottime();
  session.deadline_ns = session.seen_ns + server_term_ns();
  if (!session.maybe_open.empty() && session.awaited == Awaited::kNo &&
      session.seen_ns - session.reclaim_progress_ns > server_term_ns()) {
    forget_maybe_open(session);
    pump();
  }
  size_t leases = leases_.leases_of(session.id);
  if (leases > kSessionLeasesMax / kTrimPart * (kTrimPart - 1) && session.peer != nullptr)
    session.peer->trim(static_cast<uint32_t>(leases / kTrimPart));
  return {};
}

void Shard::release(Session& session, const std::vector<Grant>& grants,
                    const std::vector<uint64_t>& closed) {
  ++stats_.operations;
  if (!session.live()) return;
  for (uint64_t open_id : closed) {
    if (uint64_t ino = opens_.remove(session.id, open_id); ino != 0) reap_if_unused(ino);
  }
  for (const Grant& grant : grants) give_up(session.id, grant);
  pump();
}

// What came under W and is in no commit yet would change the file after others have cached it.
bool Shard::has_unwritten(SessionId session, uint64_t ino) const {
  return (leases_.held(session, ino) & kPartW) != 0 && data_->has_pending(ino);
}

void Shard::give_up(SessionId session, const Grant& grant) {
  auto release = [this, session](const Grant& given) {
    if (!leases_.release(session, given.ino, given.parts, given.seq)) return;
    wake(given.ino);
    reap_if_unused(given.ino);
  };
  if ((grant.parts & kPartW) == 0 || !has_unwritten(session, grant.ino)) return release(grant);
  // Not what is granted meanwhile.
  Grant then = grant;
  then.seq = std::min(grant.seq, leases_.seq(session, grant.ino));
  write_back({grant.ino}, [this, release, then](Errno) {
    release(then);
    pump();
  });
}

Errno Shard::acknowledge(Session& session, const AckArgs& args) {
  ++stats_.operations;
  if (!session.live()) return Errno(ESTALE);
  if (!leases_.recall_out(session.id, args.ino))
    return {};  // late: its session was in nobody's way
  apply_ack(session, args);
  leases_.progress(session.id, args.ino, boottime());
  LeaseTable::RecallOut* out = leases_.find_recall(session.id, args.recall_id, args.ino);
  bool loses_write = out != nullptr && ((out->item.parts | ~args.kept) & kPartW) != 0;
  Errno told = loses_write ? check_written(*this, session, args) : Errno();
  if (loses_write && has_unwritten(session.id, args.ino)) {
    out->answered = true;
    write_back({args.ino}, [this, id = session.id, args](Errno) { settle_ack(id, args); });
  } else {
    settle_ack(session.id, args);
  }
  return told;
}

void Shard::settle_ack(SessionId session, const AckArgs& args) {
  leases_.acknowledge(session, args.recall_id, args.ino, args.kept);
  wake(args.ino);
  reap_if_unused(args.ino);
  pump();
}

// What the client learned under the lease counts before the change that took the lease away.
void Shard::apply_ack(Session& session, const AckArgs& args) {
  Result<InodeRef> inode = view_.inode(args.ino);
  if (!inode.ok() || *inode == nullptr) return;
  for (const Opener& claimed : args.opens) {
    Opener open = claimed;
    open.cred = session.principal.acting_as(claimed.cred);
    if (may_open(**inode, open)) (void)opens_.add(session.id, args.ino, open);
  }
  bool newer = args.have_size && args.mtime > (*inode)->mtime;
  if (!newer || (leases_.held(session.id, args.ino) & kPartW) == 0) return;
  auto set_mtime = [args](Turn& turn, NodeOnlyReply&) {
    Result<InodeRef> now = turn.inode(args.ino);
    if (now.ok() && args.mtime > (*now)->mtime)
      turn.edit(args.ino).mtime = std::min(args.mtime, turn.now());
    return Errno();
  };
  execute<NodeOnlyReply>(internal_, Cred(), nullptr, 0, std::move(set_mtime), [](NodeOnlyReply) {});
}

void Shard::disconnected(const SessionRef& session, uint64_t binding) {
  if (session->binding == binding) session->peer = nullptr;
}

SessionRef Shard::attach_data(const PeerInfo& peer, uint64_t session_id, std::string_view token) {
  ++stats_.operations;
  SessionRef session = sessions_.take_data_token(session_id, token);
  if (session != nullptr) SessionTable::add_connection(*session, peer.connection);
  return session;
}

void Shard::close(const SessionRef& session, Done<Errno> done) {
  ++stats_.operations;
  if (!session->live()) return done(Errno(ESTALE));
  end_session(session);
  when_durable(std::move(done));
  pump();
}

void Shard::evict(const SessionRef& session, const std::string& why) {
  if (session == nullptr || !session->live()) return;
  log(LogLevel::kWarning, "session %d is ended: %s", session->id, why);
  ++stats_.evictions;
  if (session->peer != nullptr) session->peer->evicted(why);
  end_session(session);
}

void Shard::end_session(const SessionRef& session) {
  if (!session->live()) return;
  session->state = Session::State::kDying;
  for (auto& [ino, waiting] : waiting_) {
    for (auto& [ticket, request] : waiting) {
      if (request->session == session) enqueue(request);
    }
  }
  commit_end(session);
}

void Shard::commit_end(const SessionRef& session) {
  Staged staged;
  staged.keys[session_key(session->id)] = std::nullopt;
  uint16_t slot = 0;
  for (const uint64_t seq : session->replies.seqs()) {
    if (seq != 0) staged.keys[reply_key(session->id, slot)] = std::nullopt;
    ++slot;
  }
  staged.durable = true;
  uint64_t seq = submit(std::move(staged), {});
  on_commit(seq, [this, session](Errno error) {
    if (error.ok()) {
      session->end_is_durable = true;
      return commit_written(session);
    }
    to_end_again_.push_back(session);
    arm_wanted_ = true;
  });
}

// What it was answered stays: nobody has told it otherwise, and it may not be there any more to
// write it again. Others see the file after that only.
void Shard::commit_written(const SessionRef& session) {
  if (session->begun != 0) return;  // the last of them comes back here
  std::vector<uint64_t> written;
  for (uint64_t ino : leases_.inodes_of(session->id)) {
    if ((leases_.held(session->id, ino) & kPartW) != 0 && data_->has_pending(ino))
      written.push_back(ino);
  }
  write_back(written, [this, session](Errno error) {
    if (!error.ok())
      log(LogLevel::kError, "session %d: some of what it wrote is lost: %s", session->id,
          error.text());
    session_is_gone(session);
  });
}

void Shard::session_is_gone(const SessionRef& session) {
  session->state = Session::State::kDead;
  session->peer = nullptr;
  std::vector<uint64_t> inodes = leases_.inodes_of(session->id);
  leases_.remove_session(session->id);
  for (uint64_t ino : opens_.remove_session(session->id)) inodes.push_back(ino);
  locks_.remove_session(session->id);
  regrants_.erase(session->id);
  sessions_.remove(session->id);
  tell_lock_grants();
  forget_maybe_open(*session);
  await_no_more(*session);
  auto waiting = waits_for_end_.extract(session->id);
  if (!waiting.empty()) {
    for (const RequestRef& request : waiting.mapped()) resume(request);
  }
  for (uint64_t ino : inodes) {
    wake(ino);
    reap_if_unused(ino);
  }
  pump();
}

// Whoever cannot be reached is told when he has bound anew.
void Shard::tell_lock_grants() {
  if (locks_.any_waits() && lock_look_ns_ == 0) look_at_locks_by(boottime() + kLockLook_ns);
  for (const LockTable::Granted& granted : locks_.take_granted()) {
    SessionRef session = sessions_.find(granted.session);
    if (session == nullptr || session->peer == nullptr) continue;
    if (boottime() < session->quiet_until_ns) {
      regrants_.insert(session->id);
      arm_wanted_ = true;
    } else {
      session->peer->lock_granted(granted.ticket, granted.seq);
    }
  }
}

void Shard::tell_grants_again() {
  for (SessionId id : std::exchange(regrants_, {})) {
    SessionRef session = sessions_.find(id);
    if (session == nullptr || session->peer == nullptr) continue;
    if (boottime() < session->quiet_until_ns) {
      regrants_.insert(id);
      continue;
    }
    for (const LockTable::Granted& granted : locks_.unacknowledged(id))
      session->peer->lock_granted(granted.ticket, granted.seq);
  }
}

std::vector<SessionRef> Shard::expired(const std::set<SessionId>& sessions) const {
  std::vector<SessionRef> found;
  for (SessionId id : sessions) {
    SessionRef session = sessions_.find(id);
    if (session != nullptr && (!session->live() || boottime() > session->deadline_ns))
      found.push_back(std::move(session));
  }
  return found;
}

void Shard::resume_without(const std::vector<SessionRef>& sessions, const RequestRef& request) {
  waits_for_end_[sessions.front()->id].push_back(request);
  for (const SessionRef& session : sessions) evict(session, "it has expired and holds a lock");
}

void Shard::look_at_locks_by(int64_t at_ns) {
  lock_look_ns_ = at_ns;
  arm_wanted_ = true;
}

// Who has expired ends when somebody waits for what he has locked. Nobody is looked for when locks
// change: what matters here only time changes, but for an expired session that gets in the way.
void Shard::look_after_locks() {
  lock_look_ns_ = 0;
  if (!locks_.any_waits()) return;
  const int64_t now_ns = boottime();
  int64_t next_ns = now_ns + kLockLook_ns;
  std::set<SessionId> over;
  for (const auto& [id, session] : sessions_.all()) {
    if (now_ns > session->deadline_ns) {
      over.insert(id);
    } else {
      next_ns = std::min(next_ns, session->deadline_ns + 1);
    }
  }
  for (SessionId id : locks_.in_the_way(over))
    evict(sessions_.find(id), "it has expired and holds a lock");
  if (locks_.any_waits()) look_at_locks_by(next_ns);
}

void Shard::reap_if_unused(uint64_t ino) {
  if (!orphans_.contains(ino) || pinned(ino)) return;
  auto reap = [ino](Turn& turn, NodeOnlyReply&) {
    Result<InodeRef> inode = turn.inode(ino);
    if (!inode.ok() || (*inode)->nlink != 0 || turn.shard().pinned(ino)) return Errno();
    return remove_inode(turn, ino);
  };
  execute<NodeOnlyReply>(internal_, Cred(), nullptr, 0, std::move(reap), [](NodeOnlyReply) {});
}

}  // namespace myfs::server
