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

const LockRange* LockTable::find_own_flock(const Entry& entry, const LockOwner& owner) {
  if (owner.kind != LockKind::kFlock) return nullptr;
  for (const LockRange& held : entry.held) {
    if (held.owner == owner) return &held;
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
    if (conflicts(held, lock)) sessions.insert(held.owner.session);
  }
  return sessions;
}

std::set<SessionId> LockTable::in_the_way() const {
  std::set<uint64_t> waited_for;
  for (const auto& [number, ticket] : tickets_) waited_for.insert(ticket.second);
  std::set<SessionId> sessions;
  for (uint64_t ino : waited_for) {
    const Entry& entry = inodes_.at(ino);
    for (const Ticket& ticket : entry.waiting) {
      for (const LockRange& held : entry.held) {
        if (held.owner.session != ticket.lock.owner.session && conflicts(held, ticket.lock))
          sessions.insert(held.owner.session);
      }
    }
  }
  return sessions;
}

void LockTable::count(SessionId session, ptrdiff_t more) {
  if (more == 0) return;
  auto it = counts_.try_emplace(session).first;
  it->second += static_cast<size_t>(more);
  if (it->second == 0) counts_.erase(it);
}

// Cuts the range out of what the owner holds, puts the new lock there and joins neighbours.
uint64_t LockTable::apply(Entry& entry, const LockRange& lock) {
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
  count(lock.owner.session,
        static_cast<ptrdiff_t>(next.size()) - static_cast<ptrdiff_t>(entry.held.size()));
  entry.held = std::move(next);
  return ++seq_;
}

// As the kernel: among POSIX owners only. Of an open file description nobody knows whether whoever
// would unlock it is among those who wait. Every owner is looked at once, by however many ways he
// is waited for.
bool LockTable::would_deadlock(const Entry& entry, const LockRange& lock) const {
  if (lock.owner.kind != LockKind::kPosix) return false;
  std::map<LockOwner, std::vector<std::pair<const Entry*, const LockRange*>>> waits;
  for (const auto& [ino, other] : inodes_) {
    for (const Ticket& ticket : other.waiting) {
      if (ticket.lock.owner.kind != LockKind::kPosix) continue;
      waits[ticket.lock.owner].emplace_back(&other, &ticket.lock);
    }
  }
  std::set<LockOwner> seen;
  std::vector<LockOwner> todo;
  auto add_holders = [&](const Entry& where, const LockRange& wanted) {
    for (const LockRange& held : where.held) {
      if (conflicts(held, wanted) && seen.insert(held.owner).second) todo.push_back(held.owner);
    }
  };
  add_holders(entry, lock);
  while (!todo.empty()) {
    LockOwner owner = todo.back();
    todo.pop_back();
    if (owner == lock.owner) return true;
    auto it = waits.find(owner);
    if (it == waits.end()) continue;
    for (const auto& [where, wanted] : it->second) add_holders(*where, *wanted);
  }
  return false;
}

LockTable::Answer LockTable::set(uint64_t ino, const LockRange& lock, bool wait) {
  if (lock.type == LockType::kUnlock) {
    Answer answer{.seq = ++seq_};
    if (auto it = inodes_.find(ino); it != inodes_.end()) answer.seq = apply(it->second, lock);
    serve_waiting(ino);
    return answer;
  }
  auto counted = counts_.find(lock.owner.session);
  if (counted != counts_.end() && counted->second >= kSessionLocksMax)
    return {.error = Errno(ENOLCK)};
  Entry& entry = inodes_[ino];
  Answer answer{.error = Errno(EAGAIN)};
  if (const LockRange* own = find_own_flock(entry, lock.owner); own != nullptr) {
    if (own->type == lock.type) return {.seq = ++seq_};
    LockRange gone = lock;
    gone.type = LockType::kUnlock;
    answer.seq = apply(entry, gone);
  }
  if (find_conflict(entry, lock) == nullptr) {
    answer = {.seq = apply(entry, lock)};
  } else if (wait && would_deadlock(entry, lock)) {
    answer.error = Errno(EDEADLK);
  } else if (wait) {
    answer = {.ticket = next_ticket_++, .queued = true, .seq = answer.seq};
    entry.waiting.push_back(Ticket{.number = answer.ticket, .lock = lock});
    tickets_[answer.ticket] = {lock.owner.session, ino};
    count(lock.owner.session, 1);
  }
  serve_waiting(ino);  // a lock made weaker may let others in
  return answer;
}

void LockTable::serve_waiting(uint64_t ino) {
  auto it = inodes_.find(ino);
  if (it == inodes_.end()) return;
  Entry& entry = it->second;
  std::vector<Ticket> still;
  for (Ticket& ticket : entry.waiting) {
    if (find_conflict(entry, ticket.lock) != nullptr) {
      still.push_back(ticket);
      continue;
    }
    const LockOwner& owner = ticket.lock.owner;
    uint64_t seq = apply(entry, ticket.lock);
    count(owner.session, -1);
    tickets_.erase(ticket.number);
    unacknowledged_[ticket.number] = Grant{.owner = owner, .ino = ino, .seq = seq};
    granted_.push_back(Granted{.ticket = ticket.number, .session = owner.session, .seq = seq});
  }
  entry.waiting = std::move(still);
  if (entry.held.empty() && entry.waiting.empty()) inodes_.erase(it);
}

Result<uint64_t> LockTable::cancel(SessionId session, uint64_t ticket) {
  if (auto it = unacknowledged_.find(ticket);
      it != unacknowledged_.end() && it->second.owner.session == session) {
    uint64_t seq = it->second.seq;
    unacknowledged_.erase(it);
    return seq;
  }
  auto it = tickets_.find(ticket);
  if (it == tickets_.end() || it->second.first != session) return Errno(ENOENT);
  uint64_t ino = it->second.second;
  tickets_.erase(it);
  count(session, -1);
  Entry& entry = inodes_[ino];
  std::erase_if(entry.waiting, [&](const Ticket& waiting) { return waiting.number == ticket; });
  if (entry.held.empty() && entry.waiting.empty()) inodes_.erase(ino);
  return uint64_t{0};
}

bool LockTable::acknowledge(SessionId session, uint64_t ticket) {
  auto it = unacknowledged_.find(ticket);
  if (it == unacknowledged_.end() || it->second.owner.session != session) return false;
  unacknowledged_.erase(it);
  return true;
}

uint64_t LockTable::release_owner(uint64_t ino, const LockOwner& owner) {
  uint64_t seq = ++seq_;
  std::erase_if(unacknowledged_, [&](const auto& grant) {
    return grant.second.ino == ino && grant.second.owner == owner;
  });
  auto it = inodes_.find(ino);
  if (it == inodes_.end()) return seq;
  size_t gone =
      std::erase_if(it->second.held, [&](const LockRange& held) { return held.owner == owner; });
  gone += std::erase_if(it->second.waiting, [&](const Ticket& ticket) {
    if (!(ticket.lock.owner == owner)) return false;
    tickets_.erase(ticket.number);
    return true;
  });
  count(owner.session, -static_cast<ptrdiff_t>(gone));
  serve_waiting(ino);
  return seq;
}

void LockTable::remove_session(SessionId session) {
  std::vector<uint64_t> inodes;
  for (auto& [ino, entry] : inodes_) {
    size_t before = entry.held.size() + entry.waiting.size();
    std::erase_if(entry.held, [&](const LockRange& held) { return held.owner.session == session; });
    std::erase_if(entry.waiting,
                  [&](const Ticket& ticket) { return ticket.lock.owner.session == session; });
    if (entry.held.size() + entry.waiting.size() != before) inodes.push_back(ino);
  }
  std::erase_if(tickets_, [&](const auto& ticket) { return ticket.second.first == session; });
  std::erase_if(unacknowledged_,
                [&](const auto& grant) { return grant.second.owner.session == session; });
  counts_.erase(session);
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
