#include "server/lock_table.h"

#include <algorithm>
#include <set>
#include <utility>

namespace myfs::server {

bool LockTable::conflicts(const LockRange& a, const LockRange& b) {
  if (a.owner == b.owner) return false;
  if ((a.owner.kind == LockKind::kFlock) != (b.owner.kind == LockKind::kFlock)) return false;
  if (a.last < b.first || b.last < a.first) return false;
  return a.type == LockType::kWrite || b.type == LockType::kWrite;
}

const LockRange* LockTable::find_conflict(const Entry& entry, const LockRange& lock) {
  for (const LockRange& held : entry.held) {
    if (conflicts(held, lock)) return &held;
  }
  return nullptr;
}

const LockRange* LockTable::find_own_flock(const Entry& entry, const LockRange& lock) {
  if (lock.owner.kind != LockKind::kFlock || lock.type == LockType::kUnlock) return nullptr;
  for (const LockRange& held : entry.held) {
    if (held.owner == lock.owner) return &held;
  }
  return nullptr;
}

std::optional<LockRange> LockTable::conflict(uint64_t ino, const LockRange& lock) const {
  auto it = inodes_.find(ino);
  if (it == inodes_.end()) return std::nullopt;
  const LockRange* first = nullptr;
  for (const LockRange& held : it->second.held) {
    if (conflicts(held, lock) && (first == nullptr || held.first < first->first)) first = &held;
  }
  return first == nullptr ? std::nullopt : std::optional(*first);
}

std::set<SessionId> LockTable::holders(uint64_t ino, const LockRange& lock) const {
  std::set<SessionId> sessions;
  auto it = inodes_.find(ino);
  if (it == inodes_.end()) return sessions;
  for (const LockRange& held : it->second.held) {
    if (held.owner.session != lock.owner.session && conflicts(held, lock))
      sessions.insert(held.owner.session);
  }
  return sessions;
}

std::set<SessionId> LockTable::in_the_way(const std::set<SessionId>& sessions) const {
  std::set<SessionId> found;
  if (sessions.empty()) return found;
  for (const auto& [number, ticket] : tickets_) {
    for (const LockRange& held : inodes_.at(ticket.ino).held) {
      const SessionId holder = held.owner.session;
      if (holder != ticket.lock.owner.session && sessions.contains(holder) &&
          conflicts(held, ticket.lock))
        found.insert(holder);
    }
  }
  return found;
}

void LockTable::count(SessionId session, ptrdiff_t more) {
  if (more == 0) return;
  auto it = counts_.try_emplace(session).first;
  it->second += static_cast<size_t>(more);
  if (it->second == 0) counts_.erase(it);
}

bool LockTable::has_room(SessionId session, size_t more) const {
  auto it = counts_.find(session);
  return more <= kSessionLocksMax - (it == counts_.end() ? 0 : it->second);
}

// Cuts the range out of what the owner holds, puts the new lock there and joins neighbours.
std::vector<LockRange> LockTable::with(const Entry& entry, const LockRange& lock) {
  std::vector<LockRange> next;
  LockRange merged = lock;
  for (const LockRange& held : entry.held) {
    if (!(held.owner == lock.owner)) {
      next.push_back(held);
      continue;
    }
    bool touches = held.first <= (lock.last == UINT64_MAX ? lock.last : lock.last + 1) &&
                   lock.first <= (held.last == UINT64_MAX ? held.last : held.last + 1);
    if (touches && held.type == lock.type) {
      merged.first = std::min(merged.first, held.first);
      merged.last = std::max(merged.last, held.last);
      continue;
    }
    if (held.last < lock.first || held.first > lock.last) {
      next.push_back(held);
      continue;
    }
    if (held.first < lock.first) {
      next.push_back(held);
      next.back().last = lock.first - 1;
    }
    if (held.last > lock.last) {
      next.push_back(held);
      next.back().first = lock.last + 1;
    }
  }
  if (lock.type != LockType::kUnlock) next.push_back(merged);
  return next;
}

uint64_t LockTable::put(Entry& entry, const LockRange& lock, std::vector<LockRange> held) {
  count(lock.owner.session,
        static_cast<ptrdiff_t>(held.size()) - static_cast<ptrdiff_t>(entry.held.size()));
  entry.held = std::move(held);
  return ++seq_;
}

// As the kernel: among POSIX owners only. Of an open file description nobody knows whether whoever
// would unlock it is among those who wait. Every owner is looked at once, by however many ways he
// is waited for; a search that does not come to its end finds nothing.
bool LockTable::would_deadlock(const Entry& entry, const LockRange& lock) const {
  if (lock.owner.kind != LockKind::kPosix) return false;
  std::set<LockOwner> seen;
  std::vector<LockOwner> todo;
  size_t looks = 0;
  auto add_holders = [&](const Entry& where, const LockRange& wanted) {
    looks += where.held.size();
    for (const LockRange& held : where.held) {
      if (conflicts(held, wanted) && seen.insert(held.owner).second) todo.push_back(held.owner);
    }
  };
  add_holders(entry, lock);
  while (!todo.empty() && looks < kDeadlockLooksMax) {
    LockOwner owner = todo.back();
    todo.pop_back();
    if (owner == lock.owner) return true;
    auto it = waits_.find(owner);
    if (it == waits_.end()) continue;
    for (uint64_t number : it->second) {
      const Ticket& ticket = tickets_.at(number);
      add_holders(inodes_.at(ticket.ino), ticket.lock);
    }
  }
  return false;
}

LockTable::Answer LockTable::set(uint64_t ino, const LockRange& lock, bool wait) {
  Answer answer = acquire(ino, lock, wait);
  serve_waiting(ino);  // a lock made weaker may let others in
  return answer;
}

LockTable::Answer LockTable::acquire(uint64_t ino, const LockRange& lock, bool wait) {
  Entry& entry = inodes_[ino];  // serve_waiting() drops it if nothing comes of it
  Answer answer;
  if (const LockRange* own = find_own_flock(entry, lock); own != nullptr) {
    if (own->type == lock.type) return {.seq = ++seq_};
    LockRange gone = lock;
    gone.type = LockType::kUnlock;
    answer.seq = put(entry, gone, with(entry, gone));
  }
  if (lock.type != LockType::kUnlock && find_conflict(entry, lock) != nullptr) {
    if (!wait) {
      answer.error = Errno(EAGAIN);
    } else if (would_deadlock(entry, lock)) {
      answer.error = Errno(EDEADLK);
    } else if (entry.waiting.size() >= kInodeWaitersMax ||
               !has_room(lock.owner.session, kTicketWeight)) {
      answer.error = Errno(ENOLCK);
    } else {
      answer = {.ticket = next_ticket_++, .queued = true, .seq = answer.seq};
      enqueue(answer.ticket, ino, lock);
    }
    return answer;
  }
  std::vector<LockRange> held = with(entry, lock);
  if (held.size() > entry.held.size() &&
      !has_room(lock.owner.session, held.size() - entry.held.size())) {
    answer.error = Errno(ENOLCK);
    return answer;
  }
  return {.seq = put(entry, lock, std::move(held))};
}

LockTable::Answer LockTable::reclaim(uint64_t ino, const LockRange& lock, uint64_t ticket) {
  Answer answer;
  if (ticket == 0) {
    answer = acquire(ino, lock, false);
    serve_waiting(ino);
    return answer;
  }
  // Said before, and granted since: that is told again.
  auto granted = unacknowledged_.find(ticket);
  if (granted != unacknowledged_.end() && granted->second.owner == lock.owner)
    return {.ticket = ticket, .queued = true};
  auto entry = inodes_.find(ino);
  const bool crowded = entry != inodes_.end() && entry->second.waiting.size() >= kInodeWaitersMax;
  if (crowded || !has_room(lock.owner.session, kTicketWeight)) return {.error = Errno(ENOLCK)};
  const bool taken =
      ticket >= first_ticket_ || tickets_.contains(ticket) || granted != unacknowledged_.end();
  answer = {.ticket = taken ? next_ticket_++ : ticket, .queued = true};
  enqueue(answer.ticket, ino, lock);
  serve_waiting(ino);
  return answer;
}

void LockTable::release_tickets() {
  tickets_held_ = false;
  std::vector<uint64_t> inodes;
  for (const auto& [ino, entry] : inodes_) {
    if (!entry.waiting.empty()) inodes.push_back(ino);
  }
  for (uint64_t ino : inodes) serve_waiting(ino);
}

std::set<SessionId> LockTable::all_holders() const {
  std::set<SessionId> sessions;
  for (const auto& [ino, entry] : inodes_) {
    for (const LockRange& held : entry.held) sessions.insert(held.owner.session);
  }
  return sessions;
}

void LockTable::enqueue(uint64_t number, uint64_t ino, const LockRange& lock) {
  tickets_[number] = Ticket{.ino = ino, .lock = lock};
  inodes_[ino].waiting.insert(number);
  if (lock.owner.kind == LockKind::kPosix) waits_[lock.owner].insert(number);
  count(lock.owner.session, kTicketWeight);
}

void LockTable::dequeue(uint64_t number) {
  auto it = tickets_.find(number);
  const Ticket& ticket = it->second;
  count(ticket.lock.owner.session, -static_cast<ptrdiff_t>(kTicketWeight));
  inodes_.at(ticket.ino).waiting.erase(number);
  if (auto waits = waits_.find(ticket.lock.owner); waits != waits_.end()) {
    waits->second.erase(number);
    if (waits->second.empty()) waits_.erase(waits);
  }
  tickets_.erase(it);
}

bool LockTable::weakens(const Entry& entry, const LockRange& lock) {
  if (lock.type == LockType::kWrite) return false;
  return std::any_of(entry.held.begin(), entry.held.end(), [&](const LockRange& held) {
    return held.owner == lock.owner && held.type == LockType::kWrite && held.first <= lock.last &&
           lock.first <= held.last;
  });
}

// True: a grant has made a lock weaker that may have kept out somebody who came earlier.
bool LockTable::serve_once(Entry& entry) {
  bool again = false;
  for (auto next = entry.waiting.begin(); next != entry.waiting.end();) {
    const uint64_t number = *next++;
    const uint64_t ino = tickets_.at(number).ino;
    const LockRange lock = tickets_.at(number).lock;
    if (find_conflict(entry, lock) != nullptr) continue;
    again |= weakens(entry, lock);
    dequeue(number);
    const SessionId session = lock.owner.session;
    const uint64_t seq = put(entry, lock, with(entry, lock));
    count(session, 1);
    unacknowledged_[number] = Grant{.owner = lock.owner, .ino = ino, .seq = seq};
    granted_.push_back(Granted{.ticket = number, .session = session, .seq = seq});
  }
  return again;
}

void LockTable::serve_waiting(uint64_t ino) {
  auto it = inodes_.find(ino);
  if (it == inodes_.end()) return;
  while (!tickets_held_ && serve_once(it->second)) {
  }
  if (it->second.held.empty() && it->second.waiting.empty()) inodes_.erase(it);
}

template <typename Condition>
void LockTable::forget_grants(Condition condition) {
  std::erase_if(unacknowledged_, [&](const auto& entry) {
    if (!condition(entry.second)) return false;
    count(entry.second.owner.session, -1);
    return true;
  });
}

Result<uint64_t> LockTable::cancel(SessionId session, uint64_t ticket) {
  if (auto granted = unacknowledged_.find(ticket); granted != unacknowledged_.end()) {
    const uint64_t seq = granted->second.seq;
    return acknowledge(session, ticket) ? Result<uint64_t>(seq) : Errno(ENOENT);
  }
  auto it = tickets_.find(ticket);
  if (it == tickets_.end() || it->second.lock.owner.session != session) return Errno(ENOENT);
  const uint64_t ino = it->second.ino;
  dequeue(ticket);
  serve_waiting(ino);
  return uint64_t{0};
}

bool LockTable::acknowledge(SessionId session, uint64_t ticket) {
  auto it = unacknowledged_.find(ticket);
  if (it == unacknowledged_.end() || it->second.owner.session != session) return false;
  unacknowledged_.erase(it);
  count(session, -1);
  return true;
}

uint64_t LockTable::release_owner(uint64_t ino, const LockOwner& owner) {
  uint64_t seq = ++seq_;
  forget_grants([&](const Grant& grant) { return grant.ino == ino && grant.owner == owner; });
  auto it = inodes_.find(ino);
  if (it == inodes_.end()) return seq;
  size_t gone =
      std::erase_if(it->second.held, [&](const LockRange& held) { return held.owner == owner; });
  count(owner.session, -static_cast<ptrdiff_t>(gone));
  const std::set<uint64_t> waiting = it->second.waiting;
  for (uint64_t number : waiting) {
    if (tickets_.at(number).lock.owner == owner) dequeue(number);
  }
  serve_waiting(ino);
  return seq;
}

void LockTable::remove_tickets(SessionId session) {
  std::vector<uint64_t> waits;
  for (const auto& [number, ticket] : tickets_) {
    if (ticket.lock.owner.session == session) waits.push_back(number);
  }
  for (uint64_t number : waits) {
    const uint64_t ino = tickets_.at(number).ino;
    dequeue(number);
    serve_waiting(ino);
  }
}

void LockTable::remove_session(SessionId session) {
  forget_grants([&](const Grant& grant) { return grant.owner.session == session; });
  remove_tickets(session);
  std::set<uint64_t> inodes;
  for (auto& [ino, entry] : inodes_) {
    size_t gone = std::erase_if(
        entry.held, [&](const LockRange& held) { return held.owner.session == session; });
    count(session, -static_cast<ptrdiff_t>(gone));
    if (gone != 0) inodes.insert(ino);
  }
  for (uint64_t ino : inodes) serve_waiting(ino);
}

std::vector<LockTable::Granted> LockTable::take_granted() { return std::exchange(granted_, {}); }

std::vector<LockTable::Granted> LockTable::unacknowledged(SessionId session) const {
  std::vector<Granted> grants;
  for (const auto& [ticket, grant] : unacknowledged_) {
    if (grant.owner.session == session)
      grants.push_back(Granted{.ticket = ticket, .session = session, .seq = grant.seq});
  }
  return grants;
}

}  // namespace myfs::server
