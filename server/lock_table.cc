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

std::optional<LockRange> LockTable::conflict(uint64_t ino, const LockRange& lock) const {
  auto it = inodes_.find(ino);
  if (it == inodes_.end()) return std::nullopt;
  const LockRange* held = find_conflict(it->second, lock);
  return held == nullptr ? std::nullopt : std::optional(*held);
}

// Cuts the range out of what the owner holds, puts the new lock there and joins neighbours.
void LockTable::apply(Entry& entry, const LockRange& lock) {
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
  entry.held = std::move(next);
}

size_t LockTable::count_of(SessionId session) const {
  size_t count = 0;
  for (const auto& [ino, entry] : inodes_) {
    for (const LockRange& held : entry.held) count += held.owner.session == session;
    for (const Ticket& ticket : entry.waiting) count += ticket.lock.owner.session == session;
  }
  return count;
}

// As the kernel: among POSIX owners only, the others have no process that could be named. Every
// owner is looked at once, by however many ways he is waited for.
bool LockTable::would_deadlock(const Entry& entry, const LockRange& lock) const {
  if (lock.owner.kind != LockKind::kPosix) return false;
  std::map<LockOwner, std::vector<std::pair<const Entry*, const LockRange*>>> waits;
  for (const auto& [ino, other] : inodes_) {
    for (const Ticket& ticket : other.waiting)
      waits[ticket.lock.owner].emplace_back(&other, &ticket.lock);
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
    if (auto it = inodes_.find(ino); it != inodes_.end()) apply(it->second, lock);
    serve_waiting(ino);
    return {};
  }
  if (count_of(lock.owner.session) >= kSessionLocksMax) return {.error = Errno(ENOLCK)};
  Entry& entry = inodes_[ino];
  auto stands_before = [&](const Ticket& ticket) { return conflicts(ticket.lock, lock); };
  bool free = find_conflict(entry, lock) == nullptr &&
              std::none_of(entry.waiting.begin(), entry.waiting.end(), stands_before);
  if (free) {
    apply(entry, lock);
    serve_waiting(ino);  // a lock made weaker may let others in
    return {};
  }
  Answer answer{.error = Errno(EAGAIN)};
  if (wait) {
    answer.error = would_deadlock(entry, lock) ? Errno(EDEADLK) : Errno();
    if (answer.error.ok()) {
      answer.ticket = next_ticket_++;
      answer.queued = true;
      entry.waiting.push_back(Ticket{.number = answer.ticket, .lock = lock});
      tickets_[answer.ticket] = {lock.owner.session, ino};
    }
  }
  if (entry.held.empty() && entry.waiting.empty()) inodes_.erase(ino);
  return answer;
}

void LockTable::serve_waiting(uint64_t ino) {
  auto it = inodes_.find(ino);
  if (it == inodes_.end()) return;
  Entry& entry = it->second;
  std::vector<Ticket> still;
  for (Ticket& ticket : entry.waiting) {
    auto stands_before = [&](const Ticket& earlier) {
      return conflicts(earlier.lock, ticket.lock);
    };
    if (find_conflict(entry, ticket.lock) != nullptr ||
        std::any_of(still.begin(), still.end(), stands_before)) {
      still.push_back(ticket);
      continue;
    }
    apply(entry, ticket.lock);
    SessionId session = ticket.lock.owner.session;
    tickets_.erase(ticket.number);
    unacknowledged_[ticket.number] = session;
    granted_.push_back(Granted{.ticket = ticket.number, .session = session});
  }
  entry.waiting = std::move(still);
  if (entry.held.empty() && entry.waiting.empty()) inodes_.erase(it);
}

Result<bool> LockTable::cancel(SessionId session, uint64_t ticket) {
  if (auto it = unacknowledged_.find(ticket);
      it != unacknowledged_.end() && it->second == session) {
    unacknowledged_.erase(it);
    return true;
  }
  auto it = tickets_.find(ticket);
  if (it == tickets_.end() || it->second.first != session) return Errno(ENOENT);
  uint64_t ino = it->second.second;
  tickets_.erase(it);
  auto& waiting = inodes_[ino].waiting;
  std::erase_if(waiting, [&](const Ticket& candidate) { return candidate.number == ticket; });
  serve_waiting(ino);
  return false;
}

bool LockTable::acknowledge(SessionId session, uint64_t ticket) {
  auto it = unacknowledged_.find(ticket);
  if (it == unacknowledged_.end() || it->second != session) return false;
  unacknowledged_.erase(it);
  return true;
}

void LockTable::release_owner(uint64_t ino, const LockOwner& owner) {
  auto it = inodes_.find(ino);
  if (it == inodes_.end()) return;
  std::erase_if(it->second.held, [&](const LockRange& held) { return held.owner == owner; });
  std::erase_if(it->second.waiting, [&](const Ticket& ticket) {
    if (!(ticket.lock.owner == owner)) return false;
    tickets_.erase(ticket.number);
    return true;
  });
  serve_waiting(ino);
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
  std::erase_if(unacknowledged_, [&](const auto& ticket) { return ticket.second == session; });
  for (uint64_t ino : inodes) serve_waiting(ino);
}

std::vector<LockTable::Granted> LockTable::take_granted() { return std::exchange(granted_, {}); }

}  // namespace myfs::server
