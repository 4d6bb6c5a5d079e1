#include "server/shard.h"

#include <algorithm>
#include <cassert>

#include "sdk/base/log.h"

namespace myfs::server {
namespace {

constexpr size_t kCommittedHeld = 256;  // records that FileData may be looking at in one turn

}  // namespace

Shard::Shard(ShardDeps deps, ShardOptions options, const SuperRecord& super, uint64_t boot)
    : deps_(std::move(deps)),
      options_(std::move(options)),
      hasher_(super.hash_key),
      boot_(boot),
      view_(*deps_.meta, hasher_),
      leases_(boot),
      locks_(boot),
      next_glimpse_((boot << 32) + 1),
      next_session_((boot << 32) + 1) {
  std::memcpy(handle_key_.data(), super.handle_key.data(), sizeof handle_key_);
  std::memcpy(&fsid_, super.uuid.data(), sizeof fsid_);
  internal_ = std::make_shared<Session>();
  internal_->principal.anyone = true;
  internal_->mac = HandleMac(handle_key_, 0, kRootIno);
}

Shard::~Shard() {
  // What waits is answered by the connections' end; FileData goes before what it calls back into.
  run_queue_.clear();
  waiting_.clear();
  on_commit_.clear();
  settling_.clear();
  data_.reset();
}

void Shard::admit(RequestRef request, SessionRef session, const Cred& cred, const Op* op,
                  uint64_t hash) {
  ++stats_.operations;
  request->cred = session->principal.acting_as(cred);
  request->session = std::move(session);
  request->ticket = next_ticket_++;
  if (held_up(*request)) {
    limbo_.push_back(std::move(request));
    return;
  }
  if (!request->session->live()) return request->deliver(Errno(ESTALE));
  if (op != nullptr) {
    if (op->epoch != request->session->epoch) return request->deliver(Errno(ESTALE));
    request->op = *op;
    request->hash = hash;
    auto begun = request->session->replies.begin(
        *op, hash, [request](const Outcome& outcome) { request->replay(outcome); });
    if (!begun.error.ok()) return request->deliver(begun.error);
    if (begun.verdict == ReplyCache::Verdict::kReplay) {
      open_again(*request, begun.outcome);
      return request->replay(begun.outcome);
    }
    if (begun.verdict == ReplyCache::Verdict::kAttached) return;
    request->has_op = true;
  }
  enqueue(request);
  pump();
}

// It is registered already, but if the change was made by the last run.
void Shard::open_again(const Request& request, const Outcome& outcome) {
  Opener open = request.traits.opens;
  if (open.open_id == 0 || outcome.error != 0 || outcome.ino == 0) return;
  open.cred = request.session->principal.acting_as(open.cred);
  (void)opens_.add(request.session->id, outcome.ino, open);
}

// What has begun goes on to its end.
bool Shard::held_up(const Request& request) const {
  return stopped_ || (closing_ && request.phase == 0 && request.session != internal_);
}

void Shard::enqueue(const RequestRef& request) {
  if (request->queued) return;
  request->queued = true;
  run_queue_.push_back(request);
}

void Shard::pump() {
  if (pumping_) return;
  pumping_ = true;
  while (!run_queue_.empty()) {
    RequestRef request = std::move(run_queue_.front());
    run_queue_.pop_front();
    run(request);
  }
  pumping_ = false;
  if (shutting_down_) finish_shutdown();
  arm();
}

void Shard::resume(const RequestRef& request) {
  ++request->phase;
  run(request);
  pump();
}

void Shard::run(const RequestRef& request) {
  request->queued = false;
  std::vector<Need> before;
  if (request->parked) before = unpark(*request);
  if (held_up(*request)) {
    let_go(*request);
    limbo_.push_back(request);
  } else if (!request->session->live() && request->phase == 0) {
    let_go(*request);
    finish(request, Errno(ESTALE));
  } else if (waits_for_grace(*request)) {
    park(request, {Need{.kind = Need::Kind::kGrace}});
  } else {
    Turn turn(*this, *request);
    request->attempt(turn);
    if (turn.blocked()) {
      park(request, std::move(turn.needs_));
    } else if (turn.async_) {
      start_async(request, turn);
    } else if (turn.goes_on_) {
      deps_.post([this, request] {
        enqueue(request);
        pump();
      });
    } else {
      complete(request, turn);
    }
  }
  for (const Need& need : before) {
    if (need.ino != 0) wake(need.ino);
  }
}

void Shard::start_async(const RequestRef& request, Turn& turn) {
  for (const Need& need : turn.needs_) {
    request->needs.push_back(need);
    if (need.kind == Need::Kind::kLane) {
      if (lanes_.emplace(need.ino, request->ticket).second) request->lanes.push_back(need.ino);
    } else if (need.kind == Need::Kind::kRecall) {
      leases_.block(need.ino, request->ticket, request->session->id, need.parts, true);
    }
  }
  for (uint64_t ino : turn.uses_) {
    request->busy.push_back(ino);
    ++busy_[ino];
  }
  if (!std::exchange(request->begun, true)) ++request->session->begun;
  turn.async_();
}

void Shard::complete(const RequestRef& request, Turn& turn) {
  Outcome outcome = request->outcome();
  uint64_t seq = turn.depends_;
  if (outcome.error == 0) {
    Staged staged = std::move(turn.staged_);
    for (auto& [ino, record] : turn.edits_) staged.inodes[ino] = std::move(record);
    bool carries = false;
    for (DataChange& change : turn.changes_) carries |= !change.empty();
    if (!staged.empty() || carries || staged.durable) {
      if (request->has_op) {
        ReplyRecord record{.slot_seq = request->op.slot_seq,
                           .hash = request->hash,
                           .error = outcome.error,
                           .ino = outcome.ino,
                           .generation = outcome.gen,
                           .offset = outcome.off,
                           .count = outcome.count,
                           .verifier = outcome.verifier};
        staged.keys[reply_key(request->session->id, request->op.slot)] = record.encode();
      }
      if (turn.ino_limit_ != 0) ino_limit_ = turn.ino_limit_;
      seq = std::max(seq, submit(std::move(staged), std::move(turn.changes_)));
    } else {
      for (DataChange& change : turn.changes_) change.settle(true);
    }
  }
  let_go(*request);
  on_commit(seq, [this, request](Errno error) { finish(request, error); });
  if (!std::exchange(request->begun, false)) return;
  --request->session->begun;
  if (request->session->end_is_durable) commit_written(request->session);
}

void Shard::finish(const RequestRef& request, Errno error) {
  Outcome outcome = error.ok() ? request->outcome() : Outcome{.error = error.value()};
  if (request->has_op && outcome.error == kOverloaded) {
    request->session->replies.take_back(request->op, outcome);
  } else if (request->has_op) {
    request->session->replies.finish(request->op, outcome);
  }
  request->deliver(error);
}

void Shard::let_go(Request& request) {
  for (uint64_t ino : std::exchange(request.lanes, {})) lanes_.erase(ino);
  std::vector<Need> needs = std::exchange(request.needs, {});
  for (const Need& need : needs) leases_.unblock(need.ino, request.ticket);
  for (const Need& need : needs) wake(need.ino);
  for (uint64_t ino : std::exchange(request.busy, {})) {
    auto it = busy_.find(ino);
    if (--it->second != 0) continue;
    busy_.erase(it);
    reap_if_unused(ino);
  }
}

// Once such a transaction is settled, slots are written again and files of blocks are removed:
// a power cut that took it would leave records of what is not there any more.
bool Shard::gives_up_content(const Staged& staged, const std::vector<DataChange>& changes) {
  for (const DataChange& change : changes) {
    if (change.gives_up_slots()) return true;
  }
  for (const auto& [ino, record] : staged.inodes) {
    if (record != nullptr) continue;
    Result<InodeRef> before = view_.inode(ino);
    if (!before.ok()) return true;
    if (*before == nullptr || !(*before)->is_regular()) continue;
    if ((*before)->blocks > ((*before)->data.empty() ? 0 : kInlineBlocks512)) return true;
  }
  return false;
}

uint64_t Shard::submit(Staged staged, std::vector<DataChange> changes) {
  if (options_.relaxed && gives_up_content(staged, changes)) staged.durable = true;
  uint64_t seq = next_seq_++;
  Settling settling{.seq = seq, .changes = std::move(changes), .removed = {}};
  for (DataChange& change : settling.changes) change.move_to(staged.data);
  for (const auto& [ino, record] : staged.inodes) {
    if (record == nullptr) {
      settling.removed.push_back(ino);
    } else if (record->nlink == 0) {
      orphans_.insert(ino);
    } else {
      orphans_.erase(ino);
    }
  }
  bool durable = staged.durable;
  ++stats_.commits;
  Txn txn = view_.apply(std::move(staged), seq);
  if (!settling.changes.empty() || !settling.removed.empty())
    settling_.push_back(std::move(settling));
  deps_.commits->submit(
      Commit{.txn = std::move(txn), .seq = seq, .generation = generation_, .durable = durable});
  return seq;
}

void Shard::on_commit(uint64_t seq, absl::AnyInvocable<void(Errno)> fn) {
  if (seq <= committed_) return fn(Errno());
  on_commit_[seq].push_back(std::move(fn));
}

void Shard::when_durable(absl::AnyInvocable<void(Errno)> fn) {
  on_commit(next_seq_ - 1, std::move(fn));
}

void Shard::on_report(uint64_t seq, Errno error) {
  if (seq <= committed_) return;
  if (!error.ok()) {
    fail_uncommitted(error);
    return pump();
  }
  committed_ = seq;
  view_.committed(seq);
  while (!settling_.empty() && settling_.front().seq <= seq) {
    Settling settling = std::move(settling_.front());
    settling_.pop_front();
    for (DataChange& change : settling.changes) change.settle(true);
    for (uint64_t ino : settling.removed) {
      data_->removed(ino);
      orphans_.erase(ino);
      tmpfiles_.erase(ino);
    }
  }
  while (!on_commit_.empty() && on_commit_.begin()->first <= seq) {
    auto waiting = std::move(on_commit_.begin()->second);
    on_commit_.erase(on_commit_.begin());
    for (auto& fn : waiting) fn(Errno());
  }
  pump();
}

void Shard::fail_uncommitted(Errno error) {
  log(LogLevel::kError, "shard: changes %d to %d are undone: %s", committed_ + 1, next_seq_ - 1,
      error.text());
  committed_ = next_seq_ - 1;
  ++generation_;
  ino_limit_ = next_ino_;  // the mark may be among what is lost
  view_.reset();
  for (Settling& settling : std::exchange(settling_, {})) {
    for (DataChange& change : settling.changes) change.settle(false);
  }
  if (error != Errno(ENOSPC) && error != Errno(EDQUOT)) error = Errno(EIO);
  for (auto& [seq, waiting] : std::exchange(on_commit_, {})) {
    for (auto& fn : waiting) fn(error);
  }
}

uint64_t Shard::next_change(uint64_t old_change) const { return change_after(old_change, boot_); }

uint64_t Shard::new_ino(Turn& turn) {
  if (next_ino_ >= std::max(ino_limit_, turn.ino_limit_)) {
    turn.ino_limit_ = next_ino_ + kInoBlock;
    turn.put(meta_key(kMetaInoHighWater), encode_u64(turn.ino_limit_));
    turn.must_be_durable();
  }
  return next_ino_++;
}

uint64_t Shard::write_space() const {
  return std::min(kWriteSpaceMax_bytes, data_->recent_space().free_bytes / 8);
}

bool Shard::has_room() {
  constexpr int64_t kStale_ns = 100 * kNsPerMs;
  int64_t now_ns = boottime();
  if (now_ns >= room_known_until_ns_) {
    has_room_ = deps_.meta->free_bytes() >= kMetaReserve_bytes;
    room_known_until_ns_ = now_ns + kStale_ns;
  }
  return has_room_;
}

ShardStats Shard::stats() const {
  ShardStats stats = stats_;
  stats.sessions = sessions_.size();
  stats.leases = leases_.size();
  stats.recalls = leases_.recalls_started();
  return stats;
}

bool Shard::pinned(uint64_t ino) const {
  // Who has not come back may have anything open.
  return leases_.pinned(ino) || opens_.any(ino) || busy(ino) || awaited(Awaited::kPins) ||
         maybe_open_.contains(ino);
}

const InodeRecord* Shard::committed_inode(uint64_t ino) {
  InodeRef record = view_.committed_inode(ino);
  if (record == nullptr || !record->is_regular()) return nullptr;
  if (committed_held_.size() >= kCommittedHeld) committed_held_.pop_front();
  committed_held_.push_back(record);
  return record.get();
}

void Shard::submit_background(Txn txn, bool on_disk, absl::AnyInvocable<void(bool durable)> done) {
  Staged staged;
  staged.data = std::move(txn);
  staged.durable = on_disk;
  uint64_t seq = submit(std::move(staged), {});
  on_commit(seq, [done = std::move(done)](Errno error) mutable { done(error.ok()); });
}

}  // namespace myfs::server
