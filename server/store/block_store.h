// BlockStore: numbered files of bytes below the content of files; it knows no inodes and no sums.
// Kernel counterpart: the block device below a file system.  Differs: many small devices that are
// made and removed.
// Thread safety: all. Every call may block: workers call, the loop only uses pread_nowait.
// Owns / is owned by: owned by the server; a directory belongs to one open store at a time.
// Invariants: (1) create() fails if the block was ever there and has not been removed; (2) what
// pwrite wrote is durable once sync() of that id has returned ok after it; a block made by create()
// is durable then as well; (3) after a failed sync() nothing is known of the bytes written since
// the last good one; (4) bytes never written and bytes past the end read as zeros.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sdk/base/result.h"

namespace myfs::server {

using BlockId = uint64_t;  // never 0, never used twice in the life of a store

struct BlockSpace {
  uint64_t total_bytes = 0;
  uint64_t free_bytes = 0;
};

class BlockStore {
 public:
  virtual ~BlockStore() = default;
  // EEXIST, ENOSPC, EDQUOT, EMFILE, EIO.
  virtual Result<void> create(BlockId id) = 0;
  // Writes all of `data`. ENOENT: no such block; ENOSPC, EDQUOT, EIO.
  virtual Result<void> pwrite(BlockId id, uint64_t offset, std::span<const uint8_t> data) = 0;
  // Fills `out`. ENOENT, EIO.
  virtual Result<void> pread(BlockId id, uint64_t offset, std::span<uint8_t> out) = 0;
  // As pread, but EAGAIN instead of waiting for a disk. May be called on a loop.
  virtual Result<void> pread_nowait(BlockId id, uint64_t offset, std::span<uint8_t> out) = 0;
  // Makes what was written to these blocks, and their existence, durable. After an error none of
  // them counts as durable.
  virtual Result<void> sync(std::span<const BlockId> ids) = 0;
  // Gives the space of a range back; its bytes are unknown until written again. Never fails.
  virtual void discard(BlockId id, uint64_t offset, uint64_t length) = 0;
  // A block that is not there: ok.
  virtual Result<void> remove(BlockId id) = 0;
  // Every block there is, in no order.
  virtual Result<std::vector<BlockId>> list() = 0;
  virtual BlockSpace space() const = 0;
};

struct BlockStoreOptions {
  bool read_only = false;
  size_t open_files_max = 512;  // descriptors kept open
};

// Files in `dir`/blocks/<xx>/<id in 16 hex digits>.
Result<std::unique_ptr<BlockStore>> open_file_block_store(const std::string& dir,
                                                          const BlockStoreOptions& options);

}  // namespace myfs::server
