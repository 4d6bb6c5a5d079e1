// What a server that was begun anew is told, and what becomes of that which it does not keep: of
// LeaseTable, NetLocks and Super.
#include <algorithm>
#include <tuple>
#include <utility>

#include "sdk/base/log.h"
#include "sdk/netfs/super.h"

namespace myfs::netfs {

// --- leases and opens

void LeaseTable::begin_reclaim() {
  MutexLock lock(mutex_);
  window_.make_grants_void();
  forgotten_below_.store(window_.next(), std::memory_order_release);
  open_claims_.clear();
  to_claim_.clear();
  to_claim_.reserve(records_.size());
  for (const auto& [ino, record] : records_) to_claim_.push_back(ino);
  std::sort(to_claim_.rbegin(), to_claim_.rend());
}

bool LeaseTable::next_claims(rpc::ReclaimPart* part) {
  MutexLock lock(mutex_);
  while (!to_claim_.empty() && part->leases.size() < rpc::kReclaimMax &&
         open_claims_.size() < rpc::kReclaimMax) {
    auto found = records_.find(to_claim_.back());
    to_claim_.pop_back();
    if (found == records_.end()) continue;  // evicted: nothing of it is held
    LeaseRecord& record = *found->second;
    record.mu.lock_nested();
    claim_locked(record, part);
    record.mu.unlock();
  }
  while (!open_claims_.empty() && part->opens.size() < rpc::kReclaimMax) {
    part->opens.push_back(std::move(open_claims_.front()));
    open_claims_.pop_front();
  }
  return !part->leases.empty() || !part->opens.empty() || !to_claim_.empty();
}

void LeaseTable::claim_locked(LeaseRecord& record, rpc::ReclaimPart* part) {
  record.mu.assert_held();
  record.forget_recalls_locked();
  rpc::Handle handle;
  if (record.host == nullptr || !net_inode(*record.host).handle(&handle)) return;
  const LeaseParts held = record.held_locked();
  if (held != 0) {
    part->leases.push_back({.node = handle,
                            .parts = held,
                            .change = record.host->i_attr().change,
                            .write_since = record.write_since_});
  }
  for (LeaseRecord::Open* open = record.opens_; open != nullptr; open = open->next) {
    if (open->registered_in == record.generation_) {
      open_claims_.push_back({.node = handle, .open = LeaseRecord::record_of(*open)});
    }
  }
  claim_uncovered_locked(record, handle);
}

// What no recall will ask for.
void LeaseTable::claim_uncovered_locked(LeaseRecord& record, const rpc::Handle& handle) {
  record.mu.assert_held();
  const LeaseParts held = record.held_locked();
  for (LeaseRecord::Open* open = record.opens_; open != nullptr; open = open->next) {
    const LeaseParts needed = open->access == 0 ? fs::kLeaseP : fs::kLeaseA;
    if (open->registered_in == record.generation_ || (held & needed) != 0) continue;
    open->registered_in = record.generation_;
    open_claims_.push_back({.node = handle, .open = LeaseRecord::record_of(*open)});
  }
}

LeaseTable::Reclaimed LeaseTable::keep_reclaimed(const std::vector<rpc::LeaseClaim>& claims,
                                                 const std::vector<rpc::Grant>& kept) {
  absl::flat_hash_map<uint64_t, rpc::Grant> by_ino;
  for (const rpc::Grant& grant : kept) by_ino[grant.ino] = grant;
  Reclaimed done;
  MutexLock lock(mutex_);
  for (const rpc::LeaseClaim& claim : claims) {
    auto found = by_ino.find(claim.node.ino);
    rpc::Grant grant = found == by_ino.end() ? rpc::Grant{.ino = claim.node.ino} : found->second;
    grant.parts = effective_parts(grant.parts);
    ++((effective_parts(claim.parts) & ~grant.parts) == 0 ? done.kept : done.dropped);
    auto record = records_.find(claim.node.ino);
    if (record == records_.end()) {
      // Evicted since: what was given back then named no grant of this server's.
      if (grant.parts != 0) returns_.grants.push_back(grant);
      continue;
    }
    record->second->mu.lock_nested();
    if (keep_locked(*record->second, claim.node, grant)) done.lost_data.push_back(grant.ino);
    record->second->mu.unlock();
  }
  return done;
}

// True: data parts are lost.
bool LeaseTable::keep_locked(LeaseRecord& record, const rpc::Handle& handle,
                             const rpc::Grant& kept) {
  record.mu.assert_held();
  const LeaseParts held = record.held_locked();
  const LeaseParts lost = held & ~kept.parts;
  const bool lost_data = lose_locked(record, lost);
  record.giving_back_ &= kept.parts;
  record.raise_seq_locked(kept.seq);
  record.grant_seq_ = std::max(record.grant_seq_, kept.seq);
  record.space_bytes = kept.space_bytes;
  // Given back since it was claimed.
  const LeaseParts surplus = kept.parts & ~held;
  if (surplus != 0) returns_.grants.push_back({.ino = kept.ino, .parts = surplus, .seq = kept.seq});
  claim_uncovered_locked(record, handle);
  return lost_data;
}

// --- locks

void NetLocks::begin_reclaim() {
  MutexLock guard(mutex_);
  claims_.clear();
  early_.clear();  // the calls that would have named these tickets are made anew
  if (shut_) return;
  for (NetInode* inode : holders_) {
    rpc::Handle handle;
    if (!inode->handle(&handle)) continue;
    for (const fs::FileLock& lock : inode->i_flctx()->all_held()) {
      for (const fs::FileLock& piece : surely_held_locked(*inode, lock))
        claims_.push_back({.node = handle, .range = wire_range(piece)});
    }
  }
  for (const auto& [ticket, request] : queued_) {
    claims_.push_back(
        {.node = request->handle, .range = wire_range(request->lock), .ticket = ticket});
  }
  std::sort(claims_.begin(), claims_.end(), [](const auto& a, const auto& b) {
    return std::tie(a.ticket, a.node.ino, a.range.kind, a.range.owner, a.range.start) <
           std::tie(b.ticket, b.node.ino, b.range.kind, b.range.owner, b.range.start);
  });
}

// What is being given up, or made weaker, may be another's by now: the server that was asked may
// have done it. What it has not done the next one will, when it is asked again.
std::vector<fs::FileLock> NetLocks::surely_held_locked(const NetInode& inode,
                                                       const fs::FileLock& held) const {
  std::vector<fs::FileLock> pieces{held};
  for (const LockRequest* request : asked_) {
    const fs::FileLock& asked = request->lock;
    const bool same = &request->net == &inode && asked.same_owner(held);
    // A flock is given up before it is taken with another type.
    const bool weakens = asked.fl_type != F_WRLCK || held.fl_kind == fs::LockKind::kFlock;
    if (!same || !weakens || asked.fl_type == held.fl_type) continue;
    std::vector<fs::FileLock> next;
    for (const fs::FileLock& piece : pieces) {
      if (!piece.overlaps(asked)) {
        next.push_back(piece);
        continue;
      }
      if (piece.fl_start < asked.fl_start) {
        next.push_back(piece);
        next.back().fl_end = asked.fl_start - 1;
      }
      if (piece.fl_end > asked.fl_end) {
        next.push_back(piece);
        next.back().fl_start = asked.fl_end + 1;
      }
      if (asked.fl_type == F_UNLCK || held.fl_kind == fs::LockKind::kFlock) continue;
      next.push_back(piece);
      next.back().fl_type = F_RDLCK;
      next.back().fl_start = std::max(piece.fl_start, asked.fl_start);
      next.back().fl_end = std::min(piece.fl_end, asked.fl_end);
    }
    pieces = std::move(next);
  }
  return pieces;
}

bool NetLocks::next_claims(rpc::ReclaimPart* part) {
  MutexLock guard(mutex_);
  while (!claims_.empty() && part->locks.size() < rpc::kReclaimMax) {
    part->locks.push_back(claims_.front());
    claims_.pop_front();
  }
  return !part->locks.empty();
}

void NetLocks::reclaimed(const std::vector<rpc::LockClaim>& claims,
                         const std::vector<rpc::ReclaimAnswer::Lock>& answers) {
  MutexLock guard(mutex_);
  if (shut_) return;  // the inodes may have gone
  for (size_t i = 0; i < claims.size() && i < answers.size(); ++i) {
    if (claims[i].ticket != 0) {
      go_on_waiting_locked(claims[i], answers[i]);
    } else if (!answers[i].error.ok()) {
      lose_locked(claims[i]);
    }
  }
}

void NetLocks::lose_locked(const rpc::LockClaim& claim) {
  for (NetInode* inode : holders_) {
    if (inode->i_ino != claim.node.ino || inode->i_generation != claim.node.gen) continue;
    fs::FileLock lost;
    take_range(claim.range, &lost);
    lost.fl_owner = claim.range.owner;
    inode->i_flctx()->lose(lost);
    log(LogLevel::kWarning, "%s: a lock on inode %d was lost: the server was begun anew",
        super_.options().s_id, claim.node.ino);
  }
}

void NetLocks::go_on_waiting_locked(const rpc::LockClaim& claim,
                                    const rpc::ReclaimAnswer::Lock& answer) {
  auto found = queued_.find(claim.ticket);
  if (found == queued_.end()) return;
  RefPtr<LockRequest> request = found->second;
  if (!answer.error.ok()) {
    queued_.erase(found);
    return end_locked(*request, answer.error);
  }
  if (answer.ticket == claim.ticket) return;
  queued_.erase(found);
  request->ticket = answer.ticket;
  queued_[answer.ticket] = std::move(request);
}

// --- the session

rpc::ReclaimPart Super::next_reclaim(bool begin) {
  if (begin) {
    restarts_.fetch_add(1, std::memory_order_acq_rel);
    leases_->begin_reclaim();
    locks_.begin_reclaim();
  }
  rpc::ReclaimPart part;
  // What the answers leave open comes after them.
  const bool more = leases_->next_claims(&part);
  const bool locks = !more && locks_.next_claims(&part);
  part.last = !more && !locks;
  return part;
}

void Super::on_reclaimed(const rpc::ReclaimPart& part, rpc::ReclaimAnswer answer) {
  LeaseTable::Reclaimed done = leases_->keep_reclaimed(part.leases, answer.kept);
  locks_.reclaimed(part.locks, answer.locks);
  counters_.leases_kept.add(static_cast<int64_t>(done.kept));
  counters_.leases_dropped.add(static_cast<int64_t>(done.dropped));
  lose_pages_later(std::move(done.lost_data), "the server was begun anew and has something else");
}

void Super::on_resumed(const rpc::SessionInfo& info, int64_t sent_boottime_ns) {
  counters_.sessions_reclaimed.add();
  relaxed_.store(info.relaxed, std::memory_order_release);
  if (sb_->s_listeners.any()) worker_.post([this] { sb_->s_listeners.invalidate_all(); });
  set_deadlines(sent_boottime_ns, info.term_ms);
  returns_pending(false);
}

}  // namespace myfs::netfs
