// ChunkState, BlockFile: what the loop knows of one chunk of a file and of the file that holds it.
// Kernel counterpart: the extent status tree (fs/ext4/extents_status.c) and the block bitmap.
// Thread safety: the loop's; of BlockFile id and ensure_created() are for workers too.
// Owns / is owned by: a ChunkState is shared by FileData's cache and the commits that change it; a
// BlockFile by its chunk, by layers with slots in it and by readers, whose presence keeps it.
// Invariants: (1) a slot is free iff its count of holders is 0; (2) `next_file` is where new writes
// go while the chunk has no committed file, will lose it by a running commit (`doomed`), or shares
// it: a file that several chunk records name gets no new slots; (3) there is one BlockFile per
// file, and only its own chunk takes slots of it.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "sdk/base/sync.h"
#include "server/overlay.h"
#include "server/records.h"
#include "server/store/block_store.h"
#include "server/store/meta_store.h"

namespace myfs::server {

inline constexpr uint32_t kSlotHoldersMax = 1 << 24;  // layers, readers and writers of one slot

class BlockFile {
 public:
  enum class Presence : uint8_t { kAbsent, kPresent, kLeftover };
  BlockFile(BlockId id, Presence presence) : id_(id), presence_(presence) {}

  BlockId id() const { return id_; }
  // Makes the file if it is not there; several workers may ask at once. What a crash left under a
  // number that no slot was committed of is removed first.
  Result<void> ensure_created(BlockStore& store);
  bool present() const;

  // ENFILE: there are too many holders already.
  Result<void> hold(uint16_t slot);
  void release(uint16_t slot);
  // `count` free slots, now held, in one run if there is one. Empty: there are not as many.
  std::vector<uint16_t> take(size_t count);
  // Slots that were written and that nobody holds: now held, for discarding.
  std::vector<uint16_t> take_garbage(size_t at_least);
  void discarded(const std::vector<uint16_t>& slots);

  // Slots whose fate is unknown stay held: the file must not be forgotten before the next boot.
  void quarantine() { quarantined_ = true; }
  bool quarantined() const { return quarantined_; }

  // Chunk records that name it, by the newest transaction handed over; nullopt: not asked for.
  std::optional<uint32_t> refs;
  uint32_t dropping = 0;  // of them, those of dead inodes that are on their way out

 private:
  const BlockId id_;
  std::array<uint32_t, kSlotsMax> holders_{};
  std::bitset<kSlotsMax> written_;
  bool quarantined_ = false;
  mutable Mutex mutex_{LockRank::kBlockFile};
  Presence presence_ ABSL_GUARDED_BY(mutex_);
};
using BlockFileRef = std::shared_ptr<BlockFile>;

// The content of a chunk: per checksum block a slot, an overlay, both or neither.
struct ChunkContent {
  std::array<BlockEntry, kBlocksPerChunk> entries{};  // length 0: none
  std::map<uint8_t, std::shared_ptr<const Overlay>> overlays;
  std::map<BlockId, BlockFileRef> others;  // the files of entries that are not in the own one

  // Of an entry. `own`: the chunk's file.
  const BlockFileRef& file_of(const BlockEntry& entry, const BlockFileRef& own) const {
    return entry.block == 0 ? own : others.at(entry.block);
  }
  // What lies in the chunk's own file `from` becomes somebody else's: it has another now.
  void disown(const BlockFileRef& from);
  // Forgets other files that no entry is in.
  void forget_unused();
  bool uses_own_file() const;
  bool has(uint8_t blk) const { return entries[blk].length > 0 || overlays.contains(blk); }
  bool empty() const;
  uint32_t length(uint8_t blk) const;
  uint64_t blocks512() const;
  size_t deferred_bytes() const;
  ChunkRecord to_record(BlockId id) const;
};

struct ChunkState {
  ChunkContent committed;
  BlockFileRef file;  // its own; null: there is no record, or all of it lies in other files
  BlockFileRef next_file;
  bool doomed = false;

  bool has_record() const { return file != nullptr || !committed.empty(); }
  // Nobody but the cache knows it.
  bool evictable() const;
};
using ChunkRef = std::shared_ptr<ChunkState>;

// 512-byte units that a block of this effective length counts for.
uint64_t blocks512_of(uint32_t length);

// What the store says; `find` gives the file of a number. EUCLEAN, EIO.
using FindFile = std::function<BlockFileRef(BlockId, BlockFile::Presence)>;
Result<ChunkRef> load_chunk(const ReadView& view, uint64_t ino, uint32_t chunk,
                            const FindFile& find);

}  // namespace myfs::server
