// The part of fsck that reads the content of files: chunks, blocks, checksums.
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "absl/strings/str_format.h"
#include "server/chunk_map.h"
#include "server/crc32c.h"
#include "server/fsck_walk.h"
#include "server/overlay.h"

namespace myfs::server {
void FsckWalk::see_chunk(std::string_view key, std::string_view value) {
  auto ino = parse_number(key);
  auto index = parse_chunk_index(key);
  if (!ino.ok() || !index.ok()) return fault("a chunk", "has a damaged key");
  const std::string chunk = absl::StrFormat("chunk %d", *index);
  auto record = ChunkRecord::decode(value);
  if (!record.ok()) return fault_of(*ino, chunk + ": record is damaged");
  for (BlockId id : record->files()) ++naming_[id];
  if (garbage_inodes_.contains(*ino)) {
    dead_owned_.insert(record->block);
    return;
  }
  auto inode = inodes_.find(*ino);
  if (inode == inodes_.end()) return fault_of(*ino, chunk + ": belongs to no inode");
  if (!S_ISREG(inode->second.mode)) fault_of(*ino, chunk + ": belongs to no regular file");
  if (*index == 0 && inode->second.has_inline) {
    fault_of(*ino, chunk + ": lies under inline content");
  }
  for (BlockId id : record->files()) {
    if (garbage_blocks_.contains(id)) {
      fault_of(*ino, chunk + absl::StrFormat(": block %016x is marked as garbage", id));
    }
  }
  const BlockId block = record->block;
  chunks_[{*ino, *index}] = std::move(*record);
  if (block == 0) return;
  auto [it, inserted] = owners_.try_emplace(block, ChunkId{*ino, *index});
  if (!inserted) {
    fault_of(*ino,
             chunk + absl::StrFormat(": shares block %016x with inode %d", block, it->second.ino));
  }
}

void FsckWalk::see_refs(std::string_view key, std::string_view value) {
  auto id = parse_number(key);
  if (!id.ok()) return fault("a block", "has a damaged key");
  const std::string block = absl::StrFormat("block %016x", *id);
  auto record = RefsRecord::decode(value);
  if (!record.ok()) return fault(block, "reference record is damaged");
  if (garbage_blocks_.contains(*id)) return;
  auto named = naming_.find(*id);
  if (named == naming_.end()) return fault(block, "unreferenced: no chunk names it");
  if (record->refs != named->second) {
    fault(block,
          absl::StrFormat("reference count is %d, should be %d", record->refs, named->second));
  }
}

void FsckWalk::see_deferred(std::string_view key, std::string_view value) {
  auto id = parse_number(key);
  auto blk = parse_slot(key);
  if (!id.ok() || !blk.ok() || *blk >= kBlocksPerChunk) {
    return fault("a deferred write", "has a damaged key");
  }
  if (garbage_blocks_.contains(*id) || dead_owned_.contains(*id)) return;
  auto chunk = owners_.find(*id);
  auto record = DeferredRecord::decode(value);
  if (chunk == owners_.end()) {
    return fault(absl::StrFormat("block %016x", *id), "deferred write without a chunk");
  }
  if (!record.ok()) return fault_of(chunk->second.ino, "deferred write is damaged");
  if (record->ino != chunk->second.ino || record->chunk != chunk->second.index) {
    fault_of(chunk->second.ino, "deferred write names another file");
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
  std::vector<std::pair<uint64_t, std::string>> missing;
  for (const auto& [chunk, record] : chunks_) {
    std::set<BlockId> used;
    for (const BlockEntry& entry : record.entries) {
      used.insert(entry.block == 0 ? record.block : entry.block);
    }
    for (BlockId id : record.files()) {
      if (used.contains(id) && !present.contains(id)) {
        missing.emplace_back(chunk.ino,
                             absl::StrFormat("chunk %d: block %016x is missing", chunk.index, id));
      }
      auto refs = meta_.get(block_key(id));
      if (!refs.ok() || !refs->has_value()) {
        missing.emplace_back(
            chunk.ino,
            absl::StrFormat("chunk %d: block %016x has no reference count", chunk.index, id));
      }
    }
  }
  std::sort(missing.begin(), missing.end());
  for (auto& [ino, what] : missing) fault_of(ino, std::move(what));
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
      fault_of(chunk.ino, absl::StrFormat("bytes from %d lie behind the end of the file", start));
    }
  }
}

}  // namespace myfs::server
