// FsckWalk: one pass over a store; fsck.h tells what for.
// Kernel counterpart: e2fsck's passes 1 to 5.
// Thread safety: one thread.
// Owns / is owned by: lives for one run; borrows the stores.
// Invariants: (1) faults of inodes are kept until their paths are known.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "server/records.h"
#include "server/store/block_store.h"
#include "server/store/meta_store.h"

namespace myfs::server {

class FsckWalk {
 public:
  FsckWalk(const MetaStore& meta, BlockStore& blocks, std::ostream& out)
      : meta_(meta), blocks_(blocks), out_(out) {}
  int run();

 private:
  struct Inode {
    uint32_t mode = 0;
    uint32_t nlink = 0;
    uint32_t generation = 0;
    uint32_t names = 0;
    uint32_t subdirs = 0;
    uint64_t size = 0;
    uint64_t blocks = 0;
    uint64_t counted_blocks = 0;
    uint64_t parent = 0;  // directories: as their record says
    bool has_inline = false;
    bool orphan = false;
  };
  struct ChunkId {
    uint64_t ino = 0;
    uint32_t index = 0;
    auto operator<=>(const ChunkId&) const = default;
  };
  using Visit = void (FsckWalk::*)(std::string_view key, std::string_view value);

  // fsck.cc: names
  void each(char type, Visit visit);
  void see_meta();
  void see_inode(std::string_view key, std::string_view value);
  void check_acl(uint64_t ino, const InodeRecord& record);
  void see_orphan(std::string_view key, std::string_view value);
  void see_garbage(std::string_view key, std::string_view value);
  void see_dirent(std::string_view key, std::string_view value);
  void see_parent(std::string_view key, std::string_view value);
  void see_xattr(std::string_view key, std::string_view value);
  void see_session(std::string_view key, std::string_view value);
  void see_reply(std::string_view key, std::string_view value);
  void check_inodes();
  void check_inode(uint64_t ino, const Inode& inode);
  void check_reachable();

  // fsck_content.cc
  void see_chunk(std::string_view key, std::string_view value);
  void see_refs(std::string_view key, std::string_view value);
  void see_deferred(std::string_view key, std::string_view value);
  void check_files();
  void check_chunks();
  void check_chunk(const ChunkId& chunk, const ChunkRecord& record);

  // A fault that has a place of its own, of an inode, of an entry of a directory.
  void fault(const std::string& place, const std::string& what);
  void fault_of(uint64_t ino, std::string what) { faults_.emplace_back(ino, std::move(what)); }
  void fault_of(uint64_t dir, std::string_view name, const std::string& what);
  void print_faults();
  std::string dir_path(uint64_t dir) const;

  const MetaStore& meta_;
  BlockStore& blocks_;
  std::ostream& out_;

  absl::flat_hash_map<uint64_t, Inode> inodes_;
  // Where a directory is entered: its parent and name.
  absl::flat_hash_map<uint64_t, std::pair<uint64_t, std::string>> entries_of_dirs_;
  std::map<ChunkId, ChunkRecord> chunks_;
  absl::flat_hash_map<BlockId, ChunkId> owners_;   // the chunk that writes to the block
  absl::flat_hash_map<BlockId, uint32_t> naming_;  // chunk records that name it, dead inodes' too
  absl::flat_hash_set<BlockId> dead_owned_;
  absl::flat_hash_map<BlockId, std::vector<std::pair<uint8_t, DeferredRecord>>> deferred_;
  absl::flat_hash_set<uint64_t> garbage_inodes_;
  absl::flat_hash_set<BlockId> garbage_blocks_;
  std::optional<DirentHasher> hasher_;
  std::vector<std::pair<uint64_t, std::string>> faults_;
  uint64_t fault_count_ = 0;
  uint64_t entry_count_ = 0;
  bool unreadable_ = false;
};

}  // namespace myfs::server
