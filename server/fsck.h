// Fsck: tells whether a store at rest says the same thing everywhere, and repairs what does not.
// Kernel counterpart: e2fsck -n, e2fsck -y.  Differs: never asks; bytes of files are never changed,
// so that a bad checksum stays a fault.
// Thread safety: one call per store; no server may run on it.
// Invariants: (1) who only looks writes nothing, not even a lock file's content; (2) what the next
// start of the server cleans up by itself (recorded orphans, garbage, blocks that no commit has
// named) is no damage; (3) what has lost its name, or its inode's record, comes into /lost+found
// with its content; (4) each pass of a repair is one transaction, and the last one finds nothing
// that it could repair.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>

#include "server/store/block_store.h"
#include "server/store/meta_store.h"

namespace myfs::server {

inline constexpr int kFsckClean = 0;
inline constexpr int kFsckRepaired = 1;
inline constexpr int kFsckDamaged = 2;  // after a repair: what cannot be repaired
inline constexpr int kFsckUnreadable = 3;

// The repair of one fault may show another one.
inline constexpr int kFsckPassesMax = 16;

enum class FsckMode : uint8_t { kCheck, kRepair };

// Checks the data directory. One line per fault, "PATH: what is wrong", after a repair with
// "; what was done"; then one line of summary.
int run_fsck(const std::string& dir, FsckMode mode, std::ostream& out);

// The same on open stores.
int run_fsck(const MetaStore& meta, BlockStore& blocks, std::ostream& out);
int repair_store(MetaStore& meta, BlockStore& blocks, std::ostream& out);

}  // namespace myfs::server
