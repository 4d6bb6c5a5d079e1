#include "server/lease_table.h"

#include <algorithm>
#include <cassert>

namespace myfs::server {

std::vector<uint64_t> LeaseTable::remove_session(SessionId session) {
  std::vector<uint64_t> inodes = inodes_of(session);
  std::erase_if(recalls_, [&](const auto& out) { return out.second.session == session; });
  for (uint64_t ino : inodes) {
    Holder* holder = find(session, ino);
    holder->parts = 0;
    holder->recalls.clear();
    drop_if_empty(session, ino);
  }
  sessions_.erase(session);
  return inodes;
}

LeaseTable::Holder* LeaseTable::find(SessionId session, uint64_t ino) {
  return const_cast<Holder*>(std::as_const(*this).find(session, ino));
}

const LeaseTable::Holder* LeaseTable::find(SessionId session, uint64_t ino) const {
  auto it = inodes_.find(ino);
  if (it == inodes_.end()) return nullptr;
  for (const Holder& holder : it->second.holders) {
    if (holder.session == session) return &holder;
  }
  return nullptr;
}

void LeaseTable::drop_if_empty(SessionId session, uint64_t ino) {
  auto it = inodes_.find(ino);
  if (it == inodes_.end()) return;
  auto& holders = it->second.holders;
  for (auto holder = holders.begin(); holder != holders.end(); ++holder) {
    if (holder->session != session) continue;
    if (holder->parts != 0 || !holder->recalls.empty()) return;
    holders.erase(holder);
    --leases_;
    if (auto state = sessions_.find(session); state != sessions_.end())
      state->second.inodes.erase(ino);
    break;
  }
  if (holders.empty() && it->second.blocks.empty()) inodes_.erase(it);
}

Parts LeaseTable::held(SessionId session, uint64_t ino) const {
  const Holder* holder = find(session, ino);
  return holder == nullptr ? 0 : holder->parts;
}

uint64_t LeaseTable::seq(SessionId session, uint64_t ino) const {
  const Holder* holder = find(session, ino);
  return holder == nullptr ? 0 : holder->seq;
}

bool LeaseTable::held_write_since(SessionId session, uint64_t ino, uint64_t seq) const {
  const Holder* holder = find(session, ino);
  return holder != nullptr && (holder->parts & kPartW) != 0 && seq >= holder->write_seq &&
         seq <= holder->seq;
}

Parts LeaseTable::held_by_others(SessionId session, uint64_t ino, Parts parts) const {
  auto it = inodes_.find(ino);
  if (it == inodes_.end()) return 0;
  Parts held = 0;
  for (const Holder& holder : it->second.holders) {
    if (holder.session != session) held |= effective(holder.parts);
  }
  return held & parts;
}

SessionId LeaseTable::writer(uint64_t ino, SessionId except) const {
  auto it = inodes_.find(ino);
  if (it == inodes_.end()) return 0;
  for (const Holder& holder : it->second.holders) {
    if (holder.session != except && (holder.parts & kPartW) != 0) return holder.session;
  }
  return 0;
}

bool LeaseTable::pinned(uint64_t ino) const { return held_by_others(0, ino, kPartP) != 0; }

std::vector<SessionId> LeaseTable::pinners(uint64_t ino) const {
  std::vector<SessionId> sessions;
  if (auto it = inodes_.find(ino); it != inodes_.end()) {
    for (const Holder& holder : it->second.holders) {
      if ((holder.parts & kPartP) != 0) sessions.push_back(holder.session);
    }
  }
  std::sort(sessions.begin(), sessions.end());
  return sessions;
}

Parts LeaseTable::grantable(SessionId session, uint64_t ino, Parts wanted, uint64_t ticket) const {
  wanted &= kGrantableParts;
  auto state = sessions_.find(session);
  if (wanted == 0 || state == sessions_.end()) return 0;
  auto it = inodes_.find(ino);
  const Holder* mine = nullptr;
  if (it != inodes_.end()) {
    for (const Holder& holder : it->second.holders) {
      if (holder.session == session) {
        mine = &holder;
        continue;
      }
      for (Parts bit = 1; bit != 0 && bit <= wanted; bit = static_cast<Parts>(bit << 1)) {
        if ((conflicting_parts(bit) & effective(holder.parts)) != 0) wanted &= ~bit;
      }
    }
    for (const Block& block : it->second.blocks) {
      if (block.stops(session, ticket)) wanted &= ~block.parts;
    }
  }
  if (mine != nullptr && !mine->recalls.empty()) return 0;
  if (mine == nullptr &&
      (state->second.inodes.size() >= kSessionLeasesMax || leases_ >= kLeasesTotalMax))
    return 0;
  return wanted;
}

Grant LeaseTable::grant(SessionId session, uint64_t ino, Parts parts) {
  auto state = sessions_.find(session);
  if (parts == 0 || state == sessions_.end()) return Grant{.ino = ino};
  Holder* holder = find(session, ino);
  if (holder == nullptr) {
    auto& holders = inodes_[ino].holders;
    holders.push_back(Holder{.session = session});
    holder = &holders.back();
    state->second.inodes.insert(ino);
    ++leases_;
  }
  const bool had_write = (holder->parts & kPartW) != 0;
  holder->parts |= parts;
  holder->seq = ++state->second.seq;
  if (!had_write && (parts & kPartW) != 0) holder->write_seq = holder->seq;
  return Grant{.ino = ino, .parts = holder->parts, .seq = holder->seq};
}

Grant LeaseTable::regrant(SessionId session, uint64_t ino, Parts parts, uint64_t write_since) {
  const Grant given = grant(session, ino, parts);
  Holder* holder = find(session, ino);
  // A retry of a WRITE that was under way when the server ended names the grant of then.
  if (holder != nullptr && (parts & kPartW) != 0) {
    holder->write_seq = std::min(holder->write_seq, write_since);
  }
  return given;
}

bool LeaseTable::release(SessionId session, uint64_t ino, Parts parts, uint64_t seq) {
  Holder* holder = find(session, ino);
  if (holder == nullptr || holder->seq > seq) return false;
  holder->parts = effective(holder->parts) & ~parts;
  drop_if_empty(session, ino);
  return true;
}

Parts LeaseTable::recalling(SessionId session, uint64_t ino) const {
  Parts parts = 0;
  if (const Holder* holder = find(session, ino)) {
    for (uint64_t id : holder->recalls) parts |= recalls_.at(id).item.parts;
  }
  return parts;
}

std::vector<LeaseTable::RecallOut*> LeaseTable::recall(SessionId except, uint64_t ino, Parts parts,
                                                       int64_t now_ns) {
  std::vector<RecallOut*> started;
  auto it = inodes_.find(ino);
  if (it == inodes_.end()) return started;
  for (Holder& holder : it->second.holders) {
    if (holder.session == except) continue;
    for (RecallOut* out : recall_from(holder.session, ino, parts, now_ns)) started.push_back(out);
  }
  return started;
}

std::vector<LeaseTable::RecallOut*> LeaseTable::recall_from(SessionId session, uint64_t ino,
                                                            Parts parts, int64_t now_ns) {
  Holder* holder = find(session, ino);
  if (holder == nullptr) return {};
  Parts due = effective(holder->parts) & parts & ~recalling(session, ino);
  if (due == 0) return {};
  RecallOut out{.session = session, .started_ns = now_ns, .progress_ns = now_ns};
  out.item.recall_id = next_recall_id_++;
  out.item.ino = ino;
  out.item.seq = ++sessions_[session].seq;
  out.item.parts = due;
  holder->recalls.push_back(out.item.recall_id);
  ++recalls_started_;
  return {&recalls_.emplace(out.item.recall_id, out).first->second};
}

bool LeaseTable::acknowledge(SessionId session, uint64_t recall_id, uint64_t ino, Parts kept) {
  auto out = recalls_.find(recall_id);
  if (out == recalls_.end() || out->second.session != session || out->second.item.ino != ino)
    return false;
  Parts recalled = out->second.item.parts;
  recalls_.erase(out);
  Holder* holder = find(session, ino);
  if (holder == nullptr) return true;
  auto& ids = holder->recalls;
  ids.erase(std::remove(ids.begin(), ids.end(), recall_id), ids.end());
  holder->parts = effective(holder->parts) & kept & ~recalled;
  drop_if_empty(session, ino);
  return true;
}

bool LeaseTable::recall_out(SessionId session, uint64_t ino) const {
  const Holder* holder = find(session, ino);
  return holder != nullptr && !holder->recalls.empty();
}

void LeaseTable::progress(SessionId session, uint64_t ino, int64_t now_ns) {
  if (const Holder* holder = find(session, ino)) {
    for (uint64_t id : holder->recalls) recalls_.at(id).progress_ns = now_ns;
  }
}

std::vector<LeaseTable::RecallOut*> LeaseTable::recalls_of(SessionId session) {
  std::vector<RecallOut*> recalls;
  for (auto& [id, out] : recalls_) {
    if (out.session == session) recalls.push_back(&out);
  }
  return recalls;
}

LeaseTable::RecallOut* LeaseTable::find_recall(SessionId session, uint64_t recall_id,
                                               uint64_t ino) {
  auto out = recalls_.find(recall_id);
  if (out == recalls_.end() || out->second.session != session || out->second.item.ino != ino)
    return nullptr;
  return &out->second;
}

std::vector<LeaseTable::RecallOut*> LeaseTable::recalls_unsent() {
  std::vector<RecallOut*> recalls;
  for (auto& [id, out] : recalls_) {
    if (!out.sent) recalls.push_back(&out);
  }
  return recalls;
}

void LeaseTable::block(uint64_t ino, uint64_t ticket, SessionId session, Parts parts,
                       bool absolute) {
  Entry& entry = inodes_[ino];
  for (Block& block : entry.blocks) {
    if (block.ticket == ticket && block.absolute == absolute) {
      block.parts |= parts;
      return;
    }
  }
  entry.blocks.push_back(
      {.ticket = ticket, .session = session, .parts = parts, .absolute = absolute});
}

void LeaseTable::unblock(uint64_t ino, uint64_t ticket) {
  auto it = inodes_.find(ino);
  if (it == inodes_.end()) return;
  auto& blocks = it->second.blocks;
  auto gone = [&](const Block& block) { return block.ticket == ticket; };
  blocks.erase(std::remove_if(blocks.begin(), blocks.end(), gone), blocks.end());
  if (it->second.holders.empty() && blocks.empty()) inodes_.erase(it);
}

bool LeaseTable::blocked(SessionId session, uint64_t ino, Parts parts, uint64_t ticket) const {
  auto it = inodes_.find(ino);
  if (it == inodes_.end()) return false;
  for (const Block& block : it->second.blocks) {
    if (block.stops(session, ticket) && (block.parts & parts) != 0) return true;
  }
  return false;
}

std::vector<uint64_t> LeaseTable::inodes_of(SessionId session) const {
  auto state = sessions_.find(session);
  if (state == sessions_.end()) return {};
  std::vector<uint64_t> inodes(state->second.inodes.begin(), state->second.inodes.end());
  std::sort(inodes.begin(), inodes.end());
  return inodes;
}

bool LeaseTable::holds_more_than_pins(SessionId session) const {
  auto state = sessions_.find(session);
  if (state == sessions_.end()) return false;
  return std::any_of(state->second.inodes.begin(), state->second.inodes.end(),
                     [&](uint64_t ino) { return (held(session, ino) & ~kPartP) != 0; });
}

size_t LeaseTable::leases_of(SessionId session) const {
  auto state = sessions_.find(session);
  return state == sessions_.end() ? 0 : state->second.inodes.size();
}

}  // namespace myfs::server
