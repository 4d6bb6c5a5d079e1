// Fsck: tells whether a store at rest says the same thing everywhere.
// Kernel counterpart: e2fsck -n.  Differs: only looks.
// Thread safety: one call per store; no server may run on it.
// Invariants: (1) nothing is written, not even a lock file's content; (2) what the next start of
// the server cleans up by itself (recorded orphans, garbage, blocks that no commit has named) is no
// damage.
#pragma once

#include <iostream>
#include <ostream>
#include <string>

#include "server/store/block_store.h"
#include "server/store/meta_store.h"

namespace myfs::server {

inline constexpr int kFsckClean = 0;
inline constexpr int kFsckDamaged = 2;
inline constexpr int kFsckUnreadable = 3;

// Checks the data directory. One line per fault, "PATH: what is wrong", then one line of summary.
int run_fsck(const std::string& dir, std::ostream& out);

// The same on open stores.
int run_fsck(const MetaStore& meta, BlockStore& blocks, std::ostream& out);

inline int fsck_main(const std::string& dir) { return run_fsck(dir, std::cout); }

}  // namespace myfs::server
