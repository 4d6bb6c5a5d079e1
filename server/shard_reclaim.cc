// The part of Shard by which sessions outlive a restart: their clients bind them and tell what they
// hold, and whatever depends on that waits.
#include <algorithm>
#include <utility>

#include "sdk/base/log.h"
#include "server/namespace.h"
#include "server/shard.h"

namespace myfs::server {
namespace {

constexpr size_t kReclaimMax = 4096;                 // of each kind, in one message
constexpr int64_t kReclaimPause_ns = 2 * kNsPerSec;  // who says more within it gets on

}  // namespace

void Shard::await(Session& session, Awaited what) {
  session.awaited = what;
  ++awaited_[static_cast<size_t>(what)];
}

void Shard::await_no_more(Session& session) {
  if (session.awaited == Awaited::kNo) return;
  const bool grace = in_grace(), locks = awaited(Awaited::kLocks);
  --awaited_[static_cast<size_t>(std::exchange(session.awaited, Awaited::kNo))];
  if (locks && !awaited(Awaited::kLocks)) {
    locks_.release_tickets();
    tell_lock_grants();
  }
  if (grace && !in_grace()) log(LogLevel::kInfo, "nobody of the last run is waited for any more");
  wake(0);
  if (awaited(Awaited::kPins)) return;
  if (std::exchange(longest_term_ns_, options_.term_ns) != options_.term_ns) {
    Staged staged;
    staged.keys[meta_key(kMetaLeaseTerm)] = encode_u64(static_cast<uint64_t>(options_.term_ns));
    submit(std::move(staged), {});
  }
  std::vector<uint64_t> orphans(orphans_.begin(), orphans_.end());
  std::sort(orphans.begin(), orphans.end());
  for (uint64_t ino : orphans) reap_if_unused(ino);
}

// Nobody is given what they may hold before their end is durable (session_is_gone). Who is telling
// what he holds gets some more time.
void Shard::look_after_awaited() {
  const int64_t now_ns = boottime();
  if (!awaited(Awaited::kPins) || now_ns < awaited_until_ns_) return;
  std::vector<SessionRef> late;
  int64_t next_ns = awaited_at_most_ns_;
  for (const auto& [id, session] : sessions_.all()) {
    if (session->awaited == Awaited::kNo || !session->live()) continue;
    const int64_t patience_ns = session->reclaim_progress_ns + kReclaimPause_ns;
    if (!session->reclaims || now_ns >= std::min(patience_ns, awaited_at_most_ns_)) {
      late.push_back(session);
    } else {
      next_ns = std::min(next_ns, patience_ns);
    }
  }
  awaited_until_ns_ = next_ns;
  arm_wanted_ = true;
  for (const SessionRef& session : late) {
    log(LogLevel::kInfo, "session %d has not come back", session->id);
    end_session(session);
  }
}

// It has had the time to send again what was not answered.
void Shard::forget_maybe_open(Session& session) {
  for (uint64_t ino : std::exchange(session.maybe_open, {})) {
    auto it = maybe_open_.find(ino);
    if (--it->second != 0) continue;
    maybe_open_.erase(it);
    reap_if_unused(ino);
  }
}

// What of a session's own is safe: no other holds what would conflict with its leases, and it has
// told all of them.
bool Shard::waits_for_grace(const Request& request) const {
  if (request.session == internal_ || request.phase != 0 || request.traits.pass.always)
    return false;
  if (request.session->awaited != Awaited::kNo) return true;
  if (!in_grace()) return false;
  const Parts held = leases_.held(request.session->id, request.traits.pass.ino);
  return request.traits.pass.ino == 0 ||
         (LeaseTable::effective(held) & request.traits.pass.parts) == 0;
}

bool Shard::knows_boot(uint64_t verifier) const {
  const auto mark = static_cast<uint32_t>(verifier >> 32);
  return std::find(boot_marks_.begin(), boot_marks_.end(), mark) != boot_marks_.end();
}

// From the beginning, whatever an earlier connection brought.
void Shard::begin_reclaim(Session& session) {
  session.reclaims = true;
  session.reclaim_progress_ns = boottime();
  if (session.awaited == Awaited::kNo) return locks_.remove_tickets(session.id);
  for (uint64_t ino : leases_.inodes_of(session.id)) {
    leases_.release(session.id, ino, static_cast<Parts>(~Parts{0}), UINT64_MAX);
    wake(ino);
  }
  opens_.remove_session(session.id);
  locks_.remove_session(session.id);
}

Errno Shard::check_claims(const Session& session, const ReclaimArgs& args) const {
  if (args.leases.size() > kReclaimMax || args.opens.size() > kReclaimMax ||
      args.locks.size() > kReclaimMax)
    return Errno(EPROTO);
  auto foreign = [&](const auto& claim) { return !session.mac.valid(claim.node); };
  const bool any = std::any_of(args.leases.begin(), args.leases.end(), foreign) ||
                   std::any_of(args.opens.begin(), args.opens.end(), foreign) ||
                   std::any_of(args.locks.begin(), args.locks.end(), foreign);
  return any ? Errno(EPROTO) : Errno();
}

ReclaimReply Shard::reclaim(const SessionRef& session, const ReclaimArgs& args) {
  ++stats_.operations;
  ReclaimReply reply;
  auto refuse = [&](Errno error, std::string why) {
    reply.error = error.value();
    reply.why = std::move(why);
    return std::move(reply);
  };
  if (!session->live()) return refuse(Errno(ESTALE), "the session has ended");
  if (shutting_down_) return refuse(Errno(EAGAIN), "the server is shutting down");
  if (!session->reclaims) return refuse(Errno(EPROTO), "the session has nothing to reclaim");
  if (Errno error = check_claims(*session, args); !error.ok())
    return refuse(error, "too much at a time, or a handle of another session");
  session->reclaim_progress_ns = boottime();
  for (const LeaseClaim& claim : args.leases) {
    Grant kept;
    if (!reclaim_lease(*session, claim, &kept)) {
      evict(session, "it has claimed what another session holds");
      pump();
      reply.kept.clear();
      return refuse(Errno(EPROTO), "another session holds what is claimed");
    }
    const bool whole = LeaseTable::effective(kept.parts) == LeaseTable::effective(claim.parts);
    ++(whole ? stats_.leases_kept : stats_.leases_dropped);
    if (kept.parts != 0) reply.kept.push_back(kept);
  }
  for (const OpenClaim& claim : args.opens) reclaim_open(*session, claim);
  for (const LockClaim& claim : args.locks) reply.locks.push_back(reclaim_lock(*session, claim));
  tell_lock_grants();
  if (args.last) {
    session->reclaims = false;
    if (!std::exchange(session->reclaimed, true)) ++stats_.sessions_reclaimed;
    await_no_more(*session);
  }
  pump();
  return reply;
}

// What may be kept if nobody else has it. A copy of what has not changed since is as good as one
// made now. W counts whatever the server knows: nobody else can have changed what it covers; but
// not over a store that is older than the client.
Parts Shard::may_reclaim(const Session& session, const LeaseClaim& claim,
                         const InodeRecord& inode) {
  Parts parts = claim.parts & parts_of(inode);
  if (claim.change != inode.change) parts &= ~(kPartA | kPartD | kPartR);
  // Privileges fell when W was granted, to all but root. Of whom the server does not trust, it does
  // not take that on trust.
  const Cred nobody{.uid = UINT32_MAX, .gid = UINT32_MAX, .groups = {}};
  const bool privileged = !session.principal.trusts() && drops_privileges(inode, nobody);
  const bool may_write = session.awaited == Awaited::kLeases && !session.read_only &&
                         claim.change <= inode.change && !privileged;
  return may_write ? parts : parts & ~kPartW;
}

// False: another session holds what conflicts.
bool Shard::reclaim_lease(Session& session, const LeaseClaim& claim, Grant* kept) {
  const uint64_t ino = claim.node.ino;
  *kept = Grant{.ino = ino};
  Result<InodeRef> inode = view_.inode(ino);
  if (!inode.ok() || *inode == nullptr || (*inode)->generation != claim.node.gen) return true;
  if (session.awaited == Awaited::kNo) {
    // Said before: the answer was lost.
    kept->parts = LeaseTable::effective(leases_.held(session.id, ino)) & claim.parts;
    kept->seq = leases_.seq(session.id, ino);
    return true;
  }
  const Parts may = may_reclaim(session, claim, **inode);
  const Parts others = leases_.held_by_others(session.id, ino, conflicting_parts(may));
  if (others != 0 && session.awaited == Awaited::kLeases) return false;
  const Parts parts = leases_.grantable(session.id, ino, may);
  if (parts == 0) return true;
  *kept = leases_.regrant(session.id, ino, parts, claim.write_since);
  if ((kept->parts & kPartW) != 0) kept->space_bytes = write_space();
  return true;
}

// It was permitted when it was opened, whatever the mode has become. Only who is trusted to say who
// he is can say so.
void Shard::reclaim_open(Session& session, const OpenClaim& claim) {
  const uint64_t ino = claim.node.ino;
  Result<InodeRef> inode = view_.inode(ino);
  if (!inode.ok() || *inode == nullptr || (*inode)->generation != claim.node.gen) return;
  Opener open = claim.opener;
  open.cred = session.principal.acting_as(open.cred);
  if (open.open_id == 0) return;
  if (session.principal.trusts() || may_open(**inode, open))
    (void)opens_.add(session.id, ino, open);
}

ReclaimReply::Lock Shard::reclaim_lock(Session& session, const LockClaim& claim) {
  if (!claim.error.ok()) return {.error = claim.error.value()};
  LockRange range = claim.range;
  range.owner.session = session.id;
  if (range.type == LockType::kUnlock) return {.error = EINVAL};
  const LockTable::Answer answer = locks_.reclaim(claim.node.ino, range, claim.ticket);
  return {.error = answer.error.value(), .ticket = answer.ticket};
}

}  // namespace myfs::server
