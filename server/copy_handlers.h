// CopyHandlers: ranges that go from one file to another without the client in between.
// Kernel counterpart: vfs_copy_file_range (fs/read_write.c), fs/remap_range.c, nfsd4_copy.
// Differs: bodies of requests that leave the loop between their pieces.
// Thread safety: the shard's loop only.
// Invariants: (1) the source is read as it was committed after every W on it had come back, and no
// W is granted before the end; (2) what is copied is durable before it is answered, hence before
// anybody can read it, all of it in one transaction with the record of the answer; (3) a turn
// handles one piece.
#pragma once

#include <memory>
#include <optional>

#include "server/namespace.h"
#include "server/requests.h"
#include "server/turn.h"

namespace myfs::server {

inline constexpr uint64_t kCopyPiece_bytes = 4 << 20;     // read and written at once
inline constexpr uint64_t kCopyCallMax_bytes = 64 << 20;  // of one call; the count is short then
inline constexpr uint64_t kCloneCallMax_bytes = uint64_t{16} << 30;  // likewise, holes and all

struct CopyState {
  enum class Stage : uint8_t { kBegin, kRead, kWritten, kCommitted, kFlushed, kCloned };
  Stage stage = Stage::kBegin;
  uint64_t len = 0;   // to do in all
  uint64_t done = 0;  // of it written
  DataBuffer piece{};
  Errno error{};  // that ended it early
  bool commit_wanted = false;
  HeldWritesRef held = std::make_shared<HeldWrites>();
  ContentChangeRef change = std::make_shared<ContentChange>();
};
using CopyStateRef = std::shared_ptr<CopyState>;

// EINVAL (overlapping ranges of one file, no regular file), EISDIR, EBADF, EACCES, EROFS, EFBIG,
// ENOSPC, EIO.
Errno copy(Turn& turn, const CopyArgs& args, const CopyStateRef& state, CopyAnswer& reply);

// FICLONERANGE with blocks of kBlockSize_bytes: the target shares what the source has. len 0: to
// the end of the source. Errors as copy(); EINVAL: not on block boundaries, unless it ends at the
// end of the source and at or behind that of the target; a range beyond the source. One transaction
// for up to kCloneCallMax_bytes.
Errno clone(Turn& turn, const CopyArgs& args, const CopyStateRef& state, CopyAnswer& reply);

}  // namespace myfs::server
