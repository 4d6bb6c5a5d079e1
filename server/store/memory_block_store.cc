#include "server/store/memory_block_store.h"

#include <algorithm>
#include <cstring>

namespace myfs::server {
namespace {

void write_into(std::string& content, uint64_t offset, std::string_view data) {
  if (content.size() < offset + data.size()) content.resize(offset + data.size());
  content.replace(offset, data.size(), data);
}

// A small generator of its own, so that one seed means one crash.
uint64_t next_random(uint64_t& state) {
  state += 0x9e3779b97f4a7c15;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

Result<void> MemoryBlockStore::create(BlockId id) {
  MutexLock lock(mutex_);
  return blocks_.try_emplace(id).second ? Result<void>() : Errno(EEXIST);
}

Result<void> MemoryBlockStore::pwrite(BlockId id, uint64_t offset, std::span<const uint8_t> data) {
  MutexLock lock(mutex_);
  auto it = blocks_.find(id);
  if (it == blocks_.end()) return Errno(ENOENT);
  Block& block = it->second;
  uint64_t end = offset + data.size();
  uint64_t growth = end > block.now.size() ? end - block.now.size() : 0;
  if (used_bytes_ + growth > capacity_bytes_) return Errno(ENOSPC);
  used_bytes_ += growth;
  std::string bytes(reinterpret_cast<const char*>(data.data()), data.size());
  write_into(block.now, offset, bytes);
  block.since_sync.push_back({offset, std::move(bytes)});
  return {};
}

Result<void> MemoryBlockStore::pread(BlockId id, uint64_t offset, std::span<uint8_t> out) {
  MutexLock lock(mutex_);
  auto it = blocks_.find(id);
  if (it == blocks_.end()) return Errno(ENOENT);
  const std::string& content = it->second.now;
  size_t there = offset < content.size() ? std::min(out.size(), content.size() - offset) : 0;
  if (there > 0) std::memcpy(out.data(), content.data() + offset, there);
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(there), out.end(), uint8_t{0});
  return {};
}

Result<void> MemoryBlockStore::pread_nowait(BlockId id, uint64_t offset, std::span<uint8_t> out) {
  return pread(id, offset, out);
}

Result<void> MemoryBlockStore::sync(std::span<const BlockId> ids) {
  MutexLock lock(mutex_);
  for (BlockId id : ids) {
    auto it = blocks_.find(id);
    if (it == blocks_.end()) return Errno(ENOENT);
    Block& block = it->second;
    for (const Write& write : block.since_sync) {
      write_into(block.durable, write.offset, write.data);
    }
    block.since_sync.clear();
    block.exists_durably = true;
  }
  return {};
}

void MemoryBlockStore::discard(BlockId id, uint64_t offset, uint64_t length) {
  MutexLock lock(mutex_);
  auto it = blocks_.find(id);
  if (it == blocks_.end()) return;
  // Garbage and not zeros, in both, so that whoever still needs the range finds out.
  for (std::string* content : {&it->second.now, &it->second.durable}) {
    if (offset >= content->size()) continue;
    size_t there = std::min<uint64_t>(length, content->size() - offset);
    content->replace(offset, there, there, '\xdb');
  }
}

Result<void> MemoryBlockStore::remove(BlockId id) {
  MutexLock lock(mutex_);
  auto it = blocks_.find(id);
  if (it == blocks_.end()) return {};
  used_bytes_ -= it->second.now.size();
  blocks_.erase(it);
  return {};
}

Result<std::vector<BlockId>> MemoryBlockStore::list() {
  MutexLock lock(mutex_);
  std::vector<BlockId> ids;
  ids.reserve(blocks_.size());
  for (const auto& [id, block] : blocks_) ids.push_back(id);
  return ids;
}

BlockSpace MemoryBlockStore::space() const {
  MutexLock lock(mutex_);
  return {capacity_bytes_, capacity_bytes_ - used_bytes_};
}

void MemoryBlockStore::crash(uint64_t seed) {
  MutexLock lock(mutex_);
  const bool all = seed == UINT64_MAX, none = seed == 0;
  uint64_t state = seed;
  for (auto it = blocks_.begin(); it != blocks_.end();) {
    Block& block = it->second;
    if (!block.exists_durably && !all && (none || next_random(state) % 2 == 0)) {
      used_bytes_ -= block.now.size();
      it = blocks_.erase(it);
      continue;
    }
    std::string survives = block.durable;
    for (const Write& write : block.since_sync) {
      uint64_t dice = none ? 0 : all ? 2 : next_random(state) % 3;
      if (dice == 0) continue;
      size_t length = dice == 1 ? next_random(state) % (write.data.size() + 1) : write.data.size();
      write_into(survives, write.offset, std::string_view(write.data).substr(0, length));
    }
    used_bytes_ += survives.size();
    used_bytes_ -= block.now.size();
    block = Block{survives, survives, {}, true};
    ++it;
  }
}

void MemoryBlockStore::forget_unsynced(std::span<const BlockId> ids) {
  MutexLock lock(mutex_);
  for (BlockId id : ids) {
    if (auto it = blocks_.find(id); it != blocks_.end()) it->second.since_sync.clear();
  }
}

void MemoryBlockStore::damage(BlockId id, uint64_t offset) {
  MutexLock lock(mutex_);
  auto it = blocks_.find(id);
  if (it == blocks_.end() || offset >= it->second.now.size()) return;
  it->second.now[offset] = static_cast<char>(it->second.now[offset] ^ 1);
  if (offset < it->second.durable.size()) it->second.durable[offset] = it->second.now[offset];
}

}  // namespace myfs::server
