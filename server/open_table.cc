#include "server/open_table.h"

#include <algorithm>

namespace myfs::server {

Errno OpenTable::add(SessionId session, uint64_t ino, const Opener& opener) {
  auto& opens = sessions_[session];
  auto found = opens.find(opener.open_id);
  if (found != opens.end()) return found->second.ino == ino ? Errno() : Errno(EINVAL);
  if (opens.size() >= kSessionOpensMax) return Errno(ENFILE);
  opens.emplace(opener.open_id, Open{.ino = ino, .opener = opener});
  ++counts_[ino];
  return {};
}

void OpenTable::forget_one(uint64_t ino) {
  if (auto count = counts_.find(ino); --count->second == 0) counts_.erase(count);
}

uint64_t OpenTable::remove(SessionId session, uint64_t open_id) {
  auto opens = sessions_.find(session);
  if (opens == sessions_.end()) return 0;
  auto open = opens->second.find(open_id);
  if (open == opens->second.end()) return 0;
  uint64_t ino = open->second.ino;
  opens->second.erase(open);
  forget_one(ino);
  return ino;
}

const Opener* OpenTable::find(SessionId session, uint64_t ino, uint64_t open_id) const {
  auto opens = sessions_.find(session);
  if (opens == sessions_.end()) return nullptr;
  auto open = opens->second.find(open_id);
  return open != opens->second.end() && open->second.ino == ino ? &open->second.opener : nullptr;
}

std::vector<uint64_t> OpenTable::remove_session(SessionId session) {
  std::vector<uint64_t> inodes;
  auto opens = sessions_.find(session);
  if (opens == sessions_.end()) return inodes;
  for (const auto& [id, open] : opens->second) {
    inodes.push_back(open.ino);
    forget_one(open.ino);
  }
  sessions_.erase(opens);
  std::sort(inodes.begin(), inodes.end());
  inodes.erase(std::unique(inodes.begin(), inodes.end()), inodes.end());
  return inodes;
}

std::vector<SessionId> OpenTable::sessions_of(uint64_t ino) const {
  std::vector<SessionId> sessions;
  if (!any(ino)) return sessions;
  for (const auto& [session, opens] : sessions_) {
    if (std::any_of(opens.begin(), opens.end(),
                    [&](const auto& open) { return open.second.ino == ino; }))
      sessions.push_back(session);
  }
  return sessions;
}

}  // namespace myfs::server
