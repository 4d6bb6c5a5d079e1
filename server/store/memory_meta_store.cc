#include "server/store/memory_meta_store.h"

#include <utility>

namespace myfs::server {

Result<std::optional<std::string>> MemoryMetaStore::get(std::string_view key) const {
  ReadLock lock(mutex_);
  auto it = map_.find(key);
  if (it == map_.end()) return std::optional<std::string>();
  return std::optional<std::string>(it->second);
}

Result<void> MemoryMetaStore::scan(std::string_view from, std::string_view to, size_t limit,
                                   const ScanFn& fn) const {
  // A copy in slices, so that `fn` may read the store.
  constexpr size_t kSlice = 256;
  std::string next(from);
  size_t seen = 0;
  for (;;) {
    std::vector<std::pair<std::string, std::string>> slice;
    {
      ReadLock lock(mutex_);
      for (auto it = map_.lower_bound(next); it != map_.end() && slice.size() < kSlice; ++it) {
        if (!to.empty() && it->first >= to) break;
        slice.emplace_back(*it);
      }
    }
    for (const auto& [key, value] : slice) {
      if (!fn(key, value)) return {};
      if (++seen == limit) return {};
    }
    if (slice.size() < kSlice) return {};
    next = slice.back().first + '\0';
  }
}

void MemoryMetaStore::apply_locked(const Mutation& mutation, bool keep_undo) {
  auto it = map_.find(mutation.key);
  if (keep_undo) {
    undo_.push_back(
        {mutation.key, it == map_.end() ? std::nullopt : std::optional<std::string>(it->second)});
  }
  switch (mutation.kind) {
    case Mutation::Kind::kPut:
      map_[mutation.key] = mutation.value;
      break;
    case Mutation::Kind::kDelete:
      if (it != map_.end()) map_.erase(it);
      break;
    case Mutation::Kind::kAdd: {
      int64_t old = it == map_.end() ? 0 : decode_counter(it->second);
      map_[mutation.key] = encode_counter(old + mutation.delta);
      break;
    }
  }
}

Result<void> MemoryMetaStore::commit_batch(std::span<const Txn* const> batch,
                                           Durability durability) {
  WriteLock lock(mutex_);
  for (const Txn* txn : batch) {
    for (const Expectation& expected : txn->expectations()) {
      auto it = map_.find(expected.key);
      bool present = it != map_.end();
      if (present != expected.value.has_value()) return Errno(ESTALE);
      if (present && it->second != *expected.value) return Errno(ESTALE);
    }
  }
  for (const Txn* txn : batch) {
    for (const Mutation& mutation : txn->mutations()) {
      apply_locked(mutation, durability == Durability::kRelaxed);
    }
  }
  if (durability == Durability::kDurable) undo_.clear();
  return {};
}

Result<void> MemoryMetaStore::sync() {
  WriteLock lock(mutex_);
  undo_.clear();
  return {};
}

void MemoryMetaStore::crash() {
  WriteLock lock(mutex_);
  for (auto it = undo_.rbegin(); it != undo_.rend(); ++it) {
    if (it->old_value.has_value()) {
      map_[it->key] = std::move(*it->old_value);
    } else {
      map_.erase(it->key);
    }
  }
  undo_.clear();
}

size_t MemoryMetaStore::size() const {
  ReadLock lock(mutex_);
  return map_.size();
}

}  // namespace myfs::server
