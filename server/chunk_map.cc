#include "server/chunk_map.h"

#include <algorithm>
#include <cassert>
#include <set>

namespace myfs::server {

Result<void> BlockFile::ensure_created(BlockStore& store) {
  MutexLock lock(mutex_);
  if (presence_ == Presence::kPresent) return {};
  if (presence_ == Presence::kLeftover) {
    MYFS_TRY(store.remove(id_));
    presence_ = Presence::kAbsent;
  }
  MYFS_TRY(store.create(id_));
  presence_ = Presence::kPresent;
  return {};
}

bool BlockFile::present() const {
  MutexLock lock(mutex_);
  return presence_ == Presence::kPresent;
}

Result<void> BlockFile::hold(uint16_t slot) {
  if (holders_[slot] >= kSlotHoldersMax) return Errno(ENFILE);
  ++holders_[slot];
  return {};
}

void BlockFile::release(uint16_t slot) {
  assert(holders_[slot] > 0);
  --holders_[slot];
}

std::vector<uint16_t> BlockFile::take(size_t count) {
  std::vector<uint16_t> slots;
  size_t run = 0;
  for (uint16_t slot = 0; slot < kSlotsMax && run < count; ++slot) {
    run = holders_[slot] == 0 ? run + 1 : 0;
    if (run == count) {
      for (size_t i = 0; i < count; ++i)
        slots.push_back(static_cast<uint16_t>(slot - count + 1 + i));
    }
  }
  for (uint16_t slot = 0; slot < kSlotsMax && slots.size() < count; ++slot) {
    if (holders_[slot] == 0) slots.push_back(slot);
  }
  if (slots.size() < count) return {};
  for (uint16_t slot : slots) {
    (void)hold(slot);  // the first one
    written_.set(slot);
  }
  return slots;
}

std::vector<uint16_t> BlockFile::take_garbage(size_t at_least) {
  std::vector<uint16_t> slots;
  for (uint16_t slot = 0; slot < kSlotsMax; ++slot) {
    if (written_.test(slot) && holders_[slot] == 0) slots.push_back(slot);
  }
  if (slots.size() < at_least) return {};
  for (uint16_t slot : slots) (void)hold(slot);  // the first one
  return slots;
}

void BlockFile::discarded(const std::vector<uint16_t>& slots) {
  for (uint16_t slot : slots) {
    written_.reset(slot);
    release(slot);
  }
}

bool ChunkContent::empty() const {
  if (!overlays.empty()) return false;
  for (const BlockEntry& entry : entries) {
    if (entry.length > 0) return false;
  }
  return true;
}

uint32_t ChunkContent::length(uint8_t blk) const {
  auto it = overlays.find(blk);
  return it == overlays.end() ? entries[blk].length
                              : effective_length(entries[blk].length, *it->second);
}

uint64_t blocks512_of(uint32_t length) { return (uint64_t{length} + 4095) / 4096 * 8; }

uint64_t ChunkContent::blocks512() const {
  uint64_t blocks = 0;
  for (uint8_t blk = 0; blk < kBlocksPerChunk; ++blk) {
    if (has(blk)) blocks += blocks512_of(length(blk));
  }
  return blocks;
}

size_t ChunkContent::deferred_bytes() const {
  size_t bytes = 0;
  for (const auto& [blk, overlay] : overlays) bytes += overlay->data_bytes() + 64;
  return bytes;
}

void ChunkContent::disown(const BlockFileRef& from) {
  for (BlockEntry& entry : entries) {
    if (entry.length == 0 || entry.block != 0) continue;
    entry.block = from->id();
    others[from->id()] = from;
  }
}

void ChunkContent::forget_unused() {
  std::set<BlockId> used;
  for (const BlockEntry& entry : entries) {
    if (entry.length > 0 && entry.block != 0) used.insert(entry.block);
  }
  std::erase_if(others, [&](const auto& other) { return !used.contains(other.first); });
}

bool ChunkContent::uses_own_file() const {
  return !overlays.empty() || std::any_of(entries.begin(), entries.end(), [](const auto& entry) {
    return entry.length > 0 && entry.block == 0;
  });
}

ChunkRecord ChunkContent::to_record(BlockId id) const {
  ChunkRecord record;
  record.block = id;
  for (const BlockEntry& entry : entries) {
    if (entry.length > 0) record.entries.push_back(entry);
  }
  return record;
}

bool ChunkState::evictable() const {
  for (const BlockFileRef* held : {&file, &next_file}) {
    if (*held != nullptr && ((*held)->quarantined() || held->use_count() > 1)) return false;
  }
  return !doomed;
}

Result<ChunkRef> load_chunk(const ReadView& view, uint64_t ino, uint32_t chunk,
                            const FindFile& find) {
  auto state = std::make_shared<ChunkState>();
  MYFS_ASSIGN(std::optional<std::string> value, view.get(chunk_key(ino, chunk)));
  if (!value.has_value()) return state;
  MYFS_ASSIGN(ChunkRecord record, ChunkRecord::decode(*value));
  ChunkContent& content = state->committed;
  bool own_slots = false;
  for (const BlockEntry& entry : record.entries) {
    own_slots |= entry.block == 0;
    content.entries[entry.blk] = entry;
    if (entry.block == 0 || content.others.contains(entry.block)) continue;
    content.others[entry.block] = find(entry.block, BlockFile::Presence::kPresent);
  }
  if (record.block != 0) {
    state->file = find(record.block,
                       own_slots ? BlockFile::Presence::kPresent : BlockFile::Presence::kLeftover);
  }
  for (const BlockEntry& entry : record.entries) {
    MYFS_TRY(content.file_of(entry, state->file)->hold(entry.slot));
  }
  if (record.block == 0) return state;
  Errno damaged;
  auto range = number_range('W', record.block);
  MYFS_TRY(view.scan(range.first, range.second, 0, [&](std::string_view key, std::string_view raw) {
    auto blk = parse_slot(key);
    auto deferred = DeferredRecord::decode(raw);
    if (!blk.ok() || *blk >= kBlocksPerChunk || !deferred.ok()) {
      damaged = Errno(EUCLEAN);
      return false;
    }
    state->committed.overlays[static_cast<uint8_t>(*blk)] =
        std::make_shared<const Overlay>(std::move(deferred->extents));
    return true;
  }));
  if (!damaged.ok()) return damaged;
  return state;
}

}  // namespace myfs::server
