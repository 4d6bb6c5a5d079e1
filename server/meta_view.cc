#include "server/meta_view.h"

#include <cassert>
#include <cstring>

namespace myfs::server {
namespace {

std::string name_key(uint64_t dir, std::string_view name) {
  std::string key(sizeof dir, '\0');
  std::memcpy(key.data(), &dir, sizeof dir);
  return key.append(name);
}

}  // namespace

Result<std::optional<std::string>> MetaView::get(std::string_view key) const {
  if (auto it = overlay_.find(key); it != overlay_.end()) return it->second.value;
  return store_.get(key);
}

Result<void> MetaView::scan(std::string_view from, std::string_view to, size_t limit,
                            const ScanFn& fn) const {
  auto over = overlay_.lower_bound(from);
  auto in_range = [&](const auto& it) {
    return it != overlay_.end() && (to.empty() || it->first < to);
  };
  if (!in_range(over)) return store_.scan(from, to, limit, fn);
  size_t shown = 0;
  bool more = true;
  auto show = [&](std::string_view key, std::string_view value) {
    more = fn(key, value) && (limit == 0 || ++shown < limit);
    return more;
  };
  auto show_overlay_below = [&](const std::string_view* key) {
    for (; more && in_range(over) && (key == nullptr || over->first < *key); ++over) {
      if (over->second.value) show(over->first, *over->second.value);
    }
  };
  // The committer may apply a batch meanwhile: what it brings is in the overlay as well, which
  // wins.
  MYFS_TRY(store_.scan(from, to, 0, [&](std::string_view key, std::string_view value) {
    show_overlay_below(&key);
    if (!more) return false;
    if (in_range(over) && over->first == key) return true;  // shown, or deleted, by the overlay
    return show(key, value);
  }));
  if (more) show_overlay_below(nullptr);
  return {};
}

Result<InodeRef> MetaView::load(uint64_t ino) {
  if (const InodeRef* cached = inodes_.find(ino)) return *cached;
  MYFS_ASSIGN(std::optional<std::string> value, store_.get(inode_key(ino)));
  if (!value) return InodeRef();
  MYFS_ASSIGN(InodeRecord record, InodeRecord::decode(*value));
  return *inodes_.insert(ino, std::make_shared<const InodeRecord>(std::move(record)));
}

Result<InodeRef> MetaView::inode(uint64_t ino) {
  if (auto it = pending_.find(ino); it != pending_.end()) return it->second.versions.back().second;
  return load(ino);
}

InodeRef MetaView::committed_inode(uint64_t ino) {
  if (auto it = pending_.find(ino); it != pending_.end()) return it->second.committed;
  return load(ino).value_or(InodeRef());
}

Result<std::optional<FoundDirent>> MetaView::dirent(uint64_t dir, std::string_view name) {
  std::string key = name_key(dir, name);
  if (const auto* cached = dirents_.find(key)) return *cached;
  MYFS_ASSIGN(auto found, find_dirent(*this, hasher_, dir, name));
  return *dirents_.insert(key, found);
}

void MetaView::note_dirent(std::string_view key, const std::optional<std::string>& value) {
  Result<DirentKey> parsed = parse_dirent_key(key);
  if (!parsed.ok()) return;
  std::string name = name_key(parsed->dir, parsed->name);
  if (!value) {
    dirents_.insert(name, std::nullopt);
    return;
  }
  if (Result<DirentRecord> record = DirentRecord::decode(*value); record.ok()) {
    dirents_.insert(name, FoundDirent{.cookie = parsed->cookie, .record = *record});
  } else {
    dirents_.erase(name);
  }
}

uint64_t MetaView::pending(uint64_t ino) const {
  auto it = pending_.find(ino);
  return it == pending_.end() ? 0 : it->second.versions.back().first;
}

Txn MetaView::apply(Staged staged, uint64_t seq) {
  assert(in_flight_.empty() || in_flight_.back().seq < seq);
  Txn txn;
  InFlight flight{.seq = seq, .inodes = {}, .keys = {}};
  for (auto& [ino, record] : staged.inodes) {
    auto it = pending_.find(ino);
    if (it == pending_.end()) {
      // Unreadable as it was: then nobody has it in hand, and what comes replaces it.
      InodeRef before = load(ino).value_or(InodeRef());
      it =
          pending_.emplace(ino, PendingInode{.committed = std::move(before), .versions = {}}).first;
    }
    it->second.versions.emplace_back(seq, record);
    if (record != nullptr) {
      txn.put(inode_key(ino), record->encode());
    } else {
      txn.del(inode_key(ino));
    }
    flight.inodes.push_back(ino);
  }
  for (auto& [key, value] : staged.keys) {
    if (key[0] == 'E') note_dirent(key, value);
    if (value) {
      txn.put(key, *value);
    } else {
      txn.del(key);
    }
    overlay_.insert_or_assign(key, Overlay{.seq = seq, .value = std::move(value)});
    flight.keys.push_back(key);
  }
  for (const Mutation& mutation : staged.data.mutations()) txn.append(mutation);
  in_flight_.push_back(std::move(flight));
  return txn;
}

void MetaView::committed(uint64_t seq) {
  while (!in_flight_.empty() && in_flight_.front().seq <= seq) {
    InFlight& flight = in_flight_.front();
    for (uint64_t ino : flight.inodes) {
      auto it = pending_.find(ino);
      PendingInode& pending = it->second;
      assert(pending.versions.front().first == flight.seq);
      pending.committed = std::move(pending.versions.front().second);
      pending.versions.pop_front();
      if (!pending.versions.empty()) continue;
      if (pending.committed != nullptr) {
        inodes_.insert(ino, std::move(pending.committed));
      } else {
        inodes_.erase(ino);
      }
      pending_.erase(it);
    }
    for (const std::string& key : flight.keys) {
      auto it = overlay_.find(key);
      if (it != overlay_.end() && it->second.seq == flight.seq) overlay_.erase(it);
    }
    in_flight_.pop_front();
  }
}

void MetaView::reset() {
  inodes_.clear();
  dirents_.clear();
  pending_.clear();
  overlay_.clear();
  in_flight_.clear();
}

}  // namespace myfs::server
