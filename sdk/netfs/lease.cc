#include "sdk/netfs/lease.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "sdk/netfs/app_lease.h"

namespace myfs::netfs {

// --- LeaseRecord

LeaseRecord::LeaseRecord(fs::LeaseWord& word, const fs::Validity& validity, fs::Inode* host)
    : host(host), word_(word), validity_(validity) {}
LeaseRecord::~LeaseRecord() = default;

void LeaseRecord::refresh_locked() {
  const uint16_t now = generation();
  if (generation_ == now) return;
  generation_ = now;
  held_ = 0;
  seq_seen_ = grant_seq_ = write_since_ = 0;  // a new session counts anew
  recalls_.clear();
  stopping_ = 0;
  giving_back_ = 0;
  own_times = false;
  space_bytes = 0;
  if (app != nullptr) app->lose(kDataParts);
}

bool LeaseRecord::accept_locked(const rpc::Grant& grant, uint16_t call_generation) {
  refresh_locked();
  if (grant.seq == 0 || call_generation != generation_ || grant.seq <= seq_seen_) return false;
  seq_seen_ = grant_seq_ = grant.seq;
  // What is on its way back is not taken again before it is back: its pages are still going.
  LeaseParts returning = giving_back_ | stopping_;
  for (const Recall& recall : recalls_) returning |= recall.parts;
  returning &= kDataParts;
  if ((returning & fs::kLeaseR) != 0) returning |= fs::kLeaseW;
  const bool had_write = (held_ & fs::kLeaseW) != 0;
  held_ =
      static_cast<LeaseParts>((effective_parts(grant.parts) & ~returning) | (held_ & stopping_));
  if (!had_write) write_since_ = grant.seq;
  space_bytes = grant.space_bytes;
  return true;
}

void LeaseRecord::publish_locked(LeaseParts except) {
  refresh_locked();
  const LeaseParts usable = held_ & ~except & ~stopping_;
  word_.revoke(static_cast<LeaseParts>(kAllParts & ~held_));
  word_.grant(usable, generation_);
}

LeaseParts LeaseRecord::held_locked() {
  refresh_locked();
  return held_;
}

LeaseSeq LeaseRecord::grant_seq_locked() {
  refresh_locked();
  return grant_seq_;
}

LeaseSeq LeaseRecord::seq_seen_locked() {
  refresh_locked();
  return seq_seen_;
}

void LeaseRecord::raise_seq_locked(LeaseSeq seq) {
  refresh_locked();
  seq_seen_ = std::max(seq_seen_, seq);
}

bool LeaseRecord::begin_write(int64_t dirty_deadline_ns) {
  MutexLock lock(mu);
  refresh_locked();
  if (!covers(fs::kLeaseW) || (stopping_ & fs::kLeaseW) != 0) return false;
  if (dirty_deadline_ns != kNoDeadline && boottime_ns() >= dirty_deadline_ns) return false;
  ++write_uses_;
  return true;
}

void LeaseRecord::end_write() {
  MutexLock lock(mu);
  assert(write_uses_ > 0);
  if (--write_uses_ == 0) idle_.notify_all();
}

std::optional<rpc::AckArgs> LeaseRecord::begin_recall_locked(const rpc::RecallItem& item,
                                                             const SessionMark& session) {
  refresh_locked();
  if (session.generation != generation_) {
    return rpc::AckArgs{
        .recall_id = item.recall_id, .ino = ino_, .incarnation = session.incarnation};
  }
  seq_seen_ = std::max(seq_seen_, item.seq);
  LeaseParts lost = item.parts & kAllParts;
  if ((lost & fs::kLeaseP) != 0) nameless.store(true, std::memory_order_release);
  if ((lost & fs::kLeaseR) != 0) lost |= fs::kLeaseW;  // W without R is nothing
  const Recall recall{.id = item.recall_id,
                      .incarnation = session.incarnation,
                      .seq = item.seq,
                      .parts = lost,
                      .had_write = (held_ & lost & fs::kLeaseW) != 0};
  const LeaseParts at_once = lost & ~kDataParts;
  word_.revoke(at_once);
  held_ &= ~at_once;
  if ((held_ & lost & kDataParts) == 0) return ack_locked(recall);
  stopping_ |= held_ & lost & kDataParts;
  // Cached pages of an R that goes are not shown any more. Under W they stay the truth until the
  // acknowledgement.
  if ((held_ & fs::kLeaseW) == 0) word_.revoke(fs::kLeaseR);
  recalls_.push_back(recall);
  return std::nullopt;
}

bool LeaseRecord::begin_give_back_locked(bool from_writers) {
  refresh_locked();
  if ((held_ & fs::kLeaseW) == 0 || stopping_ != 0) return false;
  if (writers_ != 0 && !from_writers) return false;
  if (app != nullptr && app->holds(fs::kLeaseW) && !from_writers) return false;
  stopping_ |= fs::kLeaseW;
  giving_back_ |= fs::kLeaseW;
  return true;
}

void LeaseRecord::begin_forget_locked() {
  refresh_locked();
  const LeaseParts lost = held_ & ~fs::kLeaseP;
  giving_back_ |= lost;
  const LeaseParts at_once = lost & ~kDataParts;
  word_.revoke(at_once);
  held_ &= ~at_once;
  stopping_ |= lost & kDataParts;
  if ((held_ & fs::kLeaseW) == 0) word_.revoke(fs::kLeaseR);  // as when it is recalled
}

void LeaseRecord::forget_recalls_locked() {
  refresh_locked();
  giving_back_ |= stopping_;
  recalls_.clear();
  if (app != nullptr) app->held_off.clear();
}

rpc::Grant LeaseRecord::take_given_back_locked(uint16_t* generation) {
  refresh_locked();
  *generation = generation_;
  if ((stopping_ & giving_back_) != 0) return {};
  // Not what has been granted anew meanwhile.
  const LeaseParts parts = std::exchange(giving_back_, 0) & ~held_;
  return {.ino = ino_, .parts = parts, .seq = grant_seq_};
}

LeaseParts LeaseRecord::stopping_locked() {
  refresh_locked();
  return stopping_;
}

void LeaseRecord::wait_no_writers_locked() {
  while (write_uses_ != 0) idle_.wait(mu);
}

void LeaseRecord::drop_locked(LeaseParts parts) {
  refresh_locked();
  word_.revoke(parts);
  held_ &= ~parts;
  stopping_ &= ~parts;
  if ((parts & fs::kLeaseW) != 0) own_times = false;
  if (app != nullptr) app->lose(parts);
}

std::vector<rpc::AckArgs> LeaseRecord::finish_locked() {
  refresh_locked();
  std::vector<rpc::AckArgs> acks;
  for (auto it = recalls_.begin(); it != recalls_.end();) {
    if ((held_ & it->parts & kDataParts) != 0) {
      ++it;
      continue;
    }
    acks.push_back(ack_locked(*it));
    it = recalls_.erase(it);
  }
  return acks;
}

rpc::AckArgs LeaseRecord::ack_locked(const Recall& recall) {
  rpc::AckArgs ack;
  ack.recall_id = recall.id;
  ack.ino = ino_;
  ack.kept = held_ & ~recall.parts;
  ack.seq = recall.seq;
  ack.incarnation = recall.incarnation;
  ack.have_size = recall.had_write;
  for (Open* open = opens_; open != nullptr; open = open->next) {
    if (open->registered_in == generation_) continue;
    ack.opens.push_back({.open_id = open->open_id, .cred = open->cred, .access = open->access});
    open->registered_in = generation_;
  }
  return ack;
}

void LeaseRecord::link_open_locked(Open& open) {
  open.prev = nullptr;
  open.next = opens_;
  if (opens_ != nullptr) opens_->prev = &open;
  opens_ = &open;
  if ((open.access & rpc::kAccessWrite) != 0) ++writers_;
}

void LeaseRecord::add_open(Open& open, uint16_t registered_in) {
  MutexLock lock(mu);
  refresh_locked();
  open.registered_in = registered_in;
  link_open_locked(open);
}

bool LeaseRecord::add_open(Open& open, const Ticket& ticket, const LeaseTable& table) {
  MutexLock lock(mu);
  refresh_locked();
  const bool known = !table.forgotten(ticket);
  open.registered_in = known ? ticket.generation : uint16_t{0};
  link_open_locked(open);
  return known;
}

void LeaseRecord::registered(Open& open, uint16_t generation) {
  MutexLock lock(mu);
  open.registered_in = generation;
}

bool LeaseRecord::add_open_if_covered(Open& open) {
  MutexLock lock(mu);
  refresh_locked();
  if (!covers(fs::kLeaseA) || (!covers(fs::kLeaseR) && !covers(fs::kLeaseW))) return false;
  open.registered_in = 0;
  link_open_locked(open);
  return true;
}

bool LeaseRecord::add_open_if_pinned(Open& open) {
  MutexLock lock(mu);
  refresh_locked();
  if ((held_ & fs::kLeaseP) == 0) return false;
  open.registered_in = 0;
  link_open_locked(open);
  return true;
}

uint16_t LeaseRecord::remove_open(Open& open) {
  MutexLock lock(mu);
  refresh_locked();
  (open.prev != nullptr ? open.prev->next : opens_) = open.next;
  if (open.next != nullptr) open.next->prev = open.prev;
  open.next = open.prev = nullptr;
  if ((open.access & rpc::kAccessWrite) != 0) --writers_;
  return open.registered_in == generation_ ? generation_ : uint16_t{0};
}

size_t LeaseRecord::opens() {
  MutexLock lock(mu);
  size_t count = 0;
  for (Open* open = opens_; open != nullptr; open = open->next) count += open->access != 0;
  return count;
}

bool LeaseRecord::others_open_locked(uint64_t open_id, bool only_writers) {
  const uint8_t wanted = only_writers ? rpc::kAccessWrite : uint8_t{0xff};
  for (Open* open = opens_; open != nullptr; open = open->next) {
    if (open->open_id != open_id && (open->access & wanted) != 0) return true;
  }
  return false;
}

rpc::Opener LeaseRecord::any_reader() {
  constexpr int kLookedAtMax = 16;
  MutexLock lock(mu);
  rpc::Opener found;
  Open* open = opens_;
  for (int i = 0; open != nullptr && i < kLookedAtMax; ++i, open = open->next) {
    if ((open->access & rpc::kAccessRead) != 0) {
      return {.open_id = open->open_id, .cred = open->cred, .access = open->access};
    }
    if (open->access == 0) continue;
    found = {.open_id = 0, .cred = open->cred, .access = rpc::kAccessRead};
  }
  return found;
}

// --- LeaseTable

Ticket LeaseTable::begin_call() {
  MutexLock lock(mutex_);
  return {window_.begin(), validity_.generation.load(std::memory_order_acquire)};
}

void LeaseTable::end_call(const Ticket& ticket) {
  MutexLock lock(mutex_);
  window_.end(ticket.number);
}

bool LeaseTable::usable(const Ticket& ticket) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  return ticket.generation == validity_.generation.load(std::memory_order_acquire) &&
         !window_.grants_void(ticket.number);
}

void LeaseTable::add(uint64_t ino, LeaseRecord& record) {
  {
    MutexLock lock(record.mu);
    if (record.ino_ == ino) return;
  }
  MutexLock lock(mutex_);
  LeaseSeq seq = window_.newest_seq(ino), granted = 0;
  auto [entry, fresh] = records_.try_emplace(ino, &record);
  if (!fresh && entry->second != &record) {
    // An inode of this number is on its way out of the cache: the new one speaks from now on.
    LeaseRecord& old = *entry->second;
    old.mu.lock_nested();
    seq = std::max(seq, old.seq_seen_locked());
    granted = old.grant_seq_;
    old.mu.unlock();
    entry->second = &record;
  }
  record.mu.lock_nested();
  record.raise_seq_locked(seq);
  record.grant_seq_ = std::max(record.grant_seq_, granted);
  record.ino_ = ino;
  record.mu.unlock();
}

void LeaseTable::remove(uint64_t ino, LeaseRecord& record) {
  MutexLock lock(mutex_);
  auto found = records_.find(ino);
  if (found == records_.end() || found->second != &record) return;
  record.mu.lock_nested();
  const LeaseSeq seq = record.seq_seen_locked();
  const LeaseSeq granted = record.grant_seq_locked();
  record.drop_locked(kAllParts);
  record.recalls_.clear();
  record.ino_ = 0;
  record.mu.unlock();
  records_.erase(found);
  window_.remember(ino, seq);
  if (granted != 0) returns_.grants.push_back({.ino = ino, .parts = kAllParts, .seq = seq});
}

// A session that ends after the look empties the list before it begins (new_session).
bool LeaseTable::release(const rpc::Grant& grant, uint16_t generation) {
  MutexLock lock(mutex_);
  if (!lives_locked(generation)) return false;
  returns_.grants.push_back(grant);
  return returns_.grants.size() + returns_.closed.size() >= kReturnBatchMax;
}

bool LeaseTable::closed(uint64_t open_id, uint16_t generation) {
  MutexLock lock(mutex_);
  if (!lives_locked(generation)) return false;
  returns_.closed.push_back(open_id);
  return returns_.grants.size() + returns_.closed.size() >= kReturnBatchMax;
}

bool LeaseTable::return_unheard(rpc::Grant grant, uint16_t generation) {
  MutexLock lock(mutex_);
  if (!lives_locked(generation)) return false;
  // An older answer that is taken in later must not bring what goes back now.
  if (auto found = records_.find(grant.ino); found != records_.end()) {
    LeaseRecord& record = *found->second;
    record.mu.lock_nested();
    grant.parts &= ~record.held_locked();
    record.raise_seq_locked(grant.seq);
    record.mu.unlock();
  } else {
    window_.remember(grant.ino, grant.seq);
  }
  if (grant.parts != 0) returns_.grants.push_back(grant);
  return returns_.grants.size() + returns_.closed.size() >= kReturnBatchMax;
}

LeaseTable::Returns LeaseTable::take_returns() {
  MutexLock lock(mutex_);
  return std::exchange(returns_, Returns{.incarnation = returns_.incarnation});
}

void LeaseTable::new_session(uint64_t incarnation) {
  MutexLock lock(mutex_);
  window_.clear();
  returns_ = {.incarnation = incarnation};
}

std::vector<rpc::Grant> LeaseTable::held_grants(size_t max, std::vector<uint64_t>* lost_data) {
  MutexLock lock(mutex_);
  window_.make_grants_void();
  struct Held {
    int use;  // 2: with content that the server may lack; 1: open
    rpc::Grant grant;
  };
  std::vector<Held> all;
  for (auto& [ino, record] : records_) {
    record->mu.lock_nested();
    const LeaseParts held = record->held_locked();
    if (held != 0) {
      all.push_back({.use = (held & fs::kLeaseW) != 0   ? 2
                            : record->opens_ != nullptr ? 1
                                                        : 0,
                     .grant = {.ino = ino, .parts = held, .seq = record->grant_seq_}});
    }
    record->mu.unlock();
  }
  // What is in use, then the newest; the same order whatever the hash table's.
  std::sort(all.begin(), all.end(), [](const Held& a, const Held& b) {
    return a.use != b.use ? a.use > b.use : a.grant.seq > b.grant.seq;
  });
  // The server gives the others away as soon as it has the list.
  for (; all.size() > max; all.pop_back()) {
    const rpc::Grant& grant = all.back().grant;
    LeaseRecord& record = *records_.at(grant.ino);
    record.mu.lock_nested();
    if (lose_locked(record, grant.parts)) lost_data->push_back(grant.ino);
    record.mu.unlock();
  }
  std::vector<rpc::Grant> grants;
  grants.reserve(all.size());
  for (const Held& held : all) grants.push_back(held.grant);
  return grants;
}

// True: data parts are among them.
bool LeaseTable::lose_locked(LeaseRecord& record, LeaseParts parts) {
  record.mu.assert_held();
  record.drop_locked(parts);
  if ((parts & kDataParts) == 0) return false;
  record.pages_generation = 0;
  return true;
}

std::vector<uint64_t> LeaseTable::keep_only(const std::vector<rpc::Grant>& kept) {
  absl::flat_hash_map<uint64_t, LeaseParts> keep;
  for (const rpc::Grant& grant : kept) keep[grant.ino] = effective_parts(grant.parts);
  std::vector<uint64_t> lost_data;
  MutexLock lock(mutex_);
  for (auto& [ino, record] : records_) {
    record->mu.lock_nested();
    const LeaseParts held = record->held_locked();
    auto found = keep.find(ino);
    const LeaseParts lost = held & ~(found == keep.end() ? LeaseParts{0} : found->second);
    if (lost != 0 && lose_locked(*record, lost)) lost_data.push_back(ino);
    record->mu.unlock();
  }
  std::sort(lost_data.begin(), lost_data.end());
  return lost_data;
}

size_t LeaseTable::size() {
  MutexLock lock(mutex_);
  return records_.size();
}

}  // namespace myfs::netfs
