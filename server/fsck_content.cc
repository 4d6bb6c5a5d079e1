// The part of fsck that reads the content of files: chunks, blocks, checksums.
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <span>

#include "absl/strings/str_format.h"
#include "server/chunk_map.h"
#include "server/crc32c.h"
#include "server/fsck_walk.h"
#include "server/overlay.h"

namespace myfs::server {
void FsckWalk::see_chunk(std::string_view key, std::string_view value) {
  auto ino = parse_number(key);
  auto index = parse_chunk_index(key);
  if (!ino.ok() || !index.ok()) return fault("a chunk", "has a damaged key", removed(key));
  const std::string chunk = absl::StrFormat("chunk %d", *index);
  auto record = ChunkRecord::decode(value);
  if (!record.ok()) return fault_of(*ino, chunk + ": record is damaged", removed(key));
  for (BlockId id : record->files()) ++naming_[id];
  if (garbage_inodes_.contains(*ino)) {
    dead_owned_.insert(record->block);
    return;
  }
  auto inode = inodes_.find(*ino);
  if (inode == inodes_.end()) return see_lost_chunk(*ino, *index, *record);
  if (!S_ISREG(inode->second.mode)) {
    fault_of(*ino, chunk + ": belongs to no regular file", removed(key));
  }
  if (*index == 0 && inode->second.has_inline) {
    fault_of(*ino, chunk + ": lies under inline content", removed(key));
  }
  for (BlockId id : record->files()) {
    auto garbage = garbage_blocks_.find(id);
    if (garbage == garbage_blocks_.end()) continue;
    fault_of(*ino, chunk + absl::StrFormat(": block %016x is marked as garbage", id),
             removed(garbage->second));
  }
  const BlockId block = record->block;
  if (block != 0) {
    auto [it, inserted] = owners_.try_emplace(block, ChunkId{*ino, *index});
    if (!inserted) {
      fault_of(*ino,
               chunk + absl::StrFormat(": shares block %016x with inode %d", block, it->second.ino),
               disowned({*ino, *index}, *record));
    }
  }
  chunks_[{*ino, *index}] = std::move(*record);
}

void FsckWalk::see_lost_chunk(uint64_t ino, uint32_t index, const ChunkRecord& record) {
  Lost& lost = lost_[ino];
  lost.chunks.push_back(index);
  if (record.block != 0) owners_.try_emplace(record.block, ChunkId{ino, index});
  for (const BlockEntry& entry : record.entries) {
    const uint64_t start = index * kChunkSize_bytes + entry.blk * uint64_t{kBlockSize_bytes};
    lost.end = std::max(lost.end, start + entry.length);
  }
}

// Two chunks must not write to one block, but they may read from it.
std::string_view FsckWalk::disowned(const ChunkId& chunk, const ChunkRecord& record) {
  if (repair_ == nullptr) return {};
  ChunkRecord& changed = repair_->chunk(chunk.ino, chunk.index, record);
  for (BlockEntry& entry : changed.entries) {
    if (entry.block == 0) entry.block = record.block;
  }
  changed.block = 0;
  return "shares it for reading only";
}

std::string_view FsckWalk::left_as_hole(const ChunkId& chunk, const ChunkRecord& record,
                                        BlockId missing) {
  if (repair_ == nullptr) return {};
  ChunkRecord& changed = repair_->chunk(chunk.ino, chunk.index, record);
  std::erase_if(changed.entries, [&](const BlockEntry& entry) {
    return (entry.block == 0 ? record.block : entry.block) == missing;
  });
  if (changed.block == missing) changed.block = 0;
  return "its bytes are a hole now";
}

void FsckWalk::see_refs(std::string_view key, std::string_view value) {
  auto id = sole_number(key);
  if (!id.ok()) return fault("a block", "has a damaged key", removed(key));
  const std::string block = absl::StrFormat("block %016x", *id);
  auto named = naming_.find(*id);
  const uint32_t refs = named == naming_.end() ? 0 : named->second;
  auto right = [&] { return refs == 0 ? removed(key) : corrected(key, RefsRecord{refs}.encode()); };
  auto record = RefsRecord::decode(value);
  if (!record.ok()) return fault(block, "reference record is damaged", right());
  if (garbage_blocks_.contains(*id)) return;
  if (refs == 0) return fault(block, "unreferenced: no chunk names it", removed(key));
  if (record->refs != refs) {
    fault(block, absl::StrFormat("reference count is %d, should be %d", record->refs, refs),
          right());
  }
}

void FsckWalk::see_deferred(std::string_view key, std::string_view value) {
  auto id = parse_number(key);
  auto blk = parse_slot(key);
  if (!id.ok() || !blk.ok() || *blk >= kBlocksPerChunk) {
    return fault("a deferred write", "has a damaged key", removed(key));
  }
  if (garbage_blocks_.contains(*id) || dead_owned_.contains(*id)) return;
  auto chunk = owners_.find(*id);
  auto record = DeferredRecord::decode(value);
  if (chunk == owners_.end()) {
    return fault(absl::StrFormat("block %016x", *id), "deferred write without a chunk",
                 removed(key));
  }
  if (!record.ok()) return fault_of(chunk->second.ino, "deferred write is damaged", removed(key));
  if (record->ino != chunk->second.ino || record->chunk != chunk->second.index) {
    fault_of(chunk->second.ino, "deferred write names another file", removed(key));
  }
  if (auto lost = lost_.find(record->ino); lost != lost_.end() && !record->extents.empty()) {
    const OverlayExtent& last = record->extents.back();
    const uint64_t start = record->chunk * kChunkSize_bytes + *blk * uint64_t{kBlockSize_bytes};
    lost->second.end = std::max(lost->second.end, start + last.offset + last.length);
  }
  deferred_[*id].emplace_back(static_cast<uint8_t>(*blk), std::move(*record));
}

void FsckWalk::check_files() {
  auto ids = blocks_.list();
  if (!ids.ok()) {
    unreadable_ = true;
    return;
  }
  absl::flat_hash_set<BlockId> present(ids->begin(), ids->end());
  for (const auto& [chunk, record] : chunks_) {
    std::set<BlockId> used;
    for (const BlockEntry& entry : record.entries) {
      used.insert(entry.block == 0 ? record.block : entry.block);
    }
    for (BlockId id : record.files()) {
      if (used.contains(id) && !present.contains(id)) {
        fault_of(chunk.ino, absl::StrFormat("chunk %d: block %016x is missing", chunk.index, id),
                 left_as_hole(chunk, record, id));
      }
      auto refs = meta_.get(block_key(id));
      if (!refs.ok() || !refs->has_value()) {
        fault_of(chunk.ino,
                 absl::StrFormat("chunk %d: block %016x has no reference count", chunk.index, id),
                 corrected(block_key(id), RefsRecord{naming_.at(id)}.encode()));
      }
    }
  }
}

void FsckWalk::check_chunks() {
  for (const auto& [chunk, record] : chunks_) check_chunk(chunk, record);
}

void FsckWalk::check_chunk(const ChunkId& chunk, const ChunkRecord& record) {
  std::vector<uint8_t> bytes;
  std::vector<uint32_t> bases(kBlocksPerChunk);
  for (const BlockEntry& entry : record.entries) {
    bytes.resize(entry.length);
    bases[entry.blk] = entry.length;
    const BlockId id = entry.block == 0 ? record.block : entry.block;
    auto read = blocks_.pread(id, uint64_t{entry.slot} * kBlockSize_bytes, bytes);
    const uint64_t at = chunk.index * kChunkSize_bytes + entry.blk * uint64_t{kBlockSize_bytes};
    if (!read.ok()) {
      if (read.error() == Errno(ENOENT)) continue;  // told by check_files()
      fault_of(chunk.ino,
               absl::StrFormat("bytes from %d cannot be read: %s", at, read.error().text()));
    } else if (crc32c(bytes) != entry.crc) {
      fault_of(chunk.ino, absl::StrFormat("bytes from %d: bad checksum", at));
    }
  }
  std::vector<Overlay> overlays(kBlocksPerChunk);
  auto deferred = deferred_.find(record.block);
  if (deferred != deferred_.end()) {
    for (const auto& [blk, write] : deferred->second) overlays[blk] = Overlay(write.extents);
  }
  auto inode = inodes_.find(chunk.ino);
  if (inode == inodes_.end()) return;
  for (uint32_t blk = 0; blk < kBlocksPerChunk; ++blk) {
    const uint32_t length = effective_length(bases[blk], overlays[blk]);
    inode->second.counted_blocks += blocks512_of(length);
    const uint64_t start = chunk.index * kChunkSize_bytes + blk * uint64_t{kBlockSize_bytes};
    if (length > 0 && start + length > inode->second.size) {
      const uint64_t size = inode->second.size;
      fault_of(chunk.ino, absl::StrFormat("bytes from %d lie behind the end of the file", start),
               cut(chunk, record, blk, size <= start ? 0 : static_cast<uint32_t>(size - start)));
    }
  }
}

// What lies behind the first `length` bytes of a block goes, below an overlay and in it.
std::string_view FsckWalk::cut(const ChunkId& chunk, const ChunkRecord& record, uint32_t blk,
                               uint32_t length) {
  if (repair_ == nullptr) return {};
  ChunkRecord& changed = repair_->chunk(chunk.ino, chunk.index, record);
  auto entry = std::find_if(changed.entries.begin(), changed.entries.end(),
                            [blk](const BlockEntry& candidate) { return candidate.blk == blk; });
  if (entry != changed.entries.end() && length == 0) {
    changed.entries.erase(entry);
  } else if (entry != changed.entries.end() && entry->length > length) {
    std::vector<uint8_t> bytes(entry->length);
    const BlockId id = entry->block == 0 ? record.block : entry->block;
    auto read = blocks_.pread(id, uint64_t{entry->slot} * kBlockSize_bytes, bytes);
    if (!read.ok() || crc32c(bytes) != entry->crc) return {};  // told, and to be looked at first
    entry->length = length;
    entry->crc = crc32c(std::span(bytes).first(length));
  }
  auto deferred = deferred_.find(record.block);
  if (deferred == deferred_.end()) return "cut off";
  for (const auto& [at, write] : deferred->second) {
    if (at != blk) continue;
    DeferredRecord rest{write.ino, write.chunk, {}};
    for (OverlayExtent extent : write.extents) {
      if (extent.offset >= length) break;
      extent.length = std::min(extent.length, length - extent.offset);
      if (!extent.data.empty()) extent.data.resize(extent.length);
      rest.extents.push_back(std::move(extent));
    }
    const std::string key = deferred_key(record.block, static_cast<uint16_t>(blk));
    rest.extents.empty() ? repair_->remove(key) : repair_->put(key, rest.encode());
  }
  return "cut off";
}

}  // namespace myfs::server
