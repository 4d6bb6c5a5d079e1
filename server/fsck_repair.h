// FsckRepair: what one pass of fsck wants changed, committed as one transaction.
// Kernel counterpart: e2fsck -p.  Differs: records are rewritten or removed, never bytes of files.
// Thread safety: one thread.
// Owns / is owned by: owned by run_fsck() for one pass; borrows the store.
// Invariants: (1) reads see the store before the pass; (2) several edits of one record add up;
// (3) nothing happens before commit(), and all of it or nothing by it; (4) the change counter of
// what is changed rises above all that clients have seen: they keep no copy of it.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "server/records.h"
#include "server/store/meta_store.h"

namespace myfs::server {

class FsckRepair {
 public:
  explicit FsckRepair(MetaStore& meta) : meta_(meta) {}

  void remove(std::string_view key);
  void put(std::string_view key, std::string value);
  // The record as it will be. nullptr: there is none that can be read.
  InodeRecord* inode(uint64_t ino);
  void make_inode(uint64_t ino, InodeRecord record) { inodes_[ino] = std::move(record); }
  // Likewise; `now` is what the store has.
  ChunkRecord& chunk(uint64_t ino, uint32_t index, const ChunkRecord& now);
  // A name "#INO" in /lost+found, which is made if it is missing, for an inode without any; its
  // link count and parent follow. ENOTDIR: /lost+found is something else; ENOENT: there is no root.
  Result<void> keep(const DirentHasher& hasher, uint64_t ino);
  // Nobody can bind it any more; its client is waited for as long as he may use what he has cached.
  void forbid_session(uint64_t session);

  Result<void> commit();

 private:
  Result<uint64_t> lost_and_found(const DirentHasher& hasher);
  Result<uint64_t> new_ino();
  void note_change(std::string_view key);
  Result<void> count_changes();

  MetaStore& meta_;
  Txn txn_;
  std::set<uint64_t> changed_;  // inodes, beside those below
  std::set<std::string> gone_;  // keys of inodes
  std::map<uint64_t, InodeRecord> inodes_;
  std::map<std::pair<uint64_t, uint32_t>, ChunkRecord> chunks_;
  uint64_t lost_and_found_ = 0;
};

}  // namespace myfs::server
