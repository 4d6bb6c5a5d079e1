// FsckWalk: one pass over a store; fsck.h tells what for.
// Kernel counterpart: e2fsck's passes 1 to 5.
// Thread safety: one thread.
// Owns / is owned by: lives for one run; borrows the stores and the repair.
// Invariants: (1) faults of inodes are kept until their paths are known; (2) what a repair does to
// one fault is right whatever it does to the others; what follows from it is the next pass's.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "server/fsck.h"
#include "server/fsck_repair.h"
#include "server/records.h"
#include "server/store/block_store.h"
#include "server/store/meta_store.h"

namespace myfs::server {

// Of a key that is a type and a number and no more: I, B, O, S.
inline Result<uint64_t> sole_number(std::string_view key) {
  constexpr size_t kSize_bytes = 1 + sizeof(uint64_t);
  if (key.size() != kSize_bytes) return Errno(EUCLEAN);
  return parse_number(key);
}

class FsckWalk {
 public:
  // repair: null to look only; else it learns what to change.
  FsckWalk(const MetaStore& meta, BlockStore& blocks, std::ostream& out, FsckRepair* repair)
      : meta_(meta), blocks_(blocks), out_(out), repair_(repair) {}
  // kFsckClean, kFsckDamaged, kFsckUnreadable. In a repair prints what it mends, or if that is
  // nothing, what is left.
  int run();
  uint64_t faults() const { return fault_count_; }
  uint64_t mended() const { return mended_count_; }
  std::string seen() const;

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
  // What speaks of an inode whose record is damaged or missing; keys are of the store.
  struct Lost {
    bool damaged = false;                                     // there is a record
    std::vector<std::pair<std::string, DirentRecord>> names;  // entries that lead to it
    std::vector<std::string> entries;                         // of it
    std::vector<std::string> xattrs;
    std::vector<uint32_t> chunks;
    uint64_t end = 0;  // of its content
  };
  struct Fault {
    uint64_t ino = 0;
    std::string what;
    std::string remedy;
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
  void check_dirent(std::string_view key, const DirentKey& place, const DirentRecord& record,
                    const Inode& inode);
  void see_parent(std::string_view key, std::string_view value);
  void see_xattr(std::string_view key, std::string_view value);
  void see_session(std::string_view key, std::string_view value);
  void see_reply(std::string_view key, std::string_view value);
  void check_inodes();
  void check_inode(uint64_t ino, const Inode& inode);
  void check_high_water(uint64_t largest);
  void check_links(uint64_t ino, const Inode& inode, uint32_t links);
  void check_reachable();

  // fsck_lost.cc: inodes without a record
  void check_lost();
  void check_lost(uint64_t ino, const Lost& lost);
  // 0: too little is known of it to make it anew.
  static uint32_t mode_of(uint64_t ino, const Lost& lost);
  std::string_view made_anew(uint64_t ino, const Lost& lost);

  // fsck_content.cc
  void see_chunk(std::string_view key, std::string_view value);
  void see_lost_chunk(uint64_t ino, uint32_t index, const ChunkRecord& record);
  void see_refs(std::string_view key, std::string_view value);
  void see_deferred(std::string_view key, std::string_view value);
  void check_files();
  void check_chunks();
  void check_chunk(const ChunkId& chunk, const ChunkRecord& record);
  std::string_view disowned(const ChunkId& chunk, const ChunkRecord& record);
  std::string_view left_as_hole(const ChunkId& chunk, const ChunkRecord& record, BlockId missing);
  std::string_view cut(const ChunkId& chunk, const ChunkRecord& record, uint32_t blk,
                       uint32_t length);

  // A fault that has a place of its own, of an inode, of an entry of a directory. remedy: what is
  // done about it; empty: nothing.
  void fault(const std::string& place, const std::string& what, std::string_view remedy = {});
  void fault_of(uint64_t ino, std::string what, std::string_view remedy = {}) {
    faults_.push_back({ino, std::move(what), std::string(remedy)});
  }
  void fault_of(uint64_t dir, std::string_view name, const std::string& what,
                std::string_view remedy = {});
  // Remedies; they do nothing and are empty when fsck only looks.
  std::string_view removed(std::string_view key);
  std::string_view corrected(std::string_view key, std::string value);
  std::string_view kept(uint64_t ino);
  std::string_view forbidden(uint64_t session);
  std::string_view detached(uint64_t dir);
  template <typename Edit>
  std::string_view edited(uint64_t ino, Edit edit) {
    InodeRecord* record = repair_ == nullptr ? nullptr : repair_->inode(ino);
    if (record == nullptr) return {};
    edit(*record);
    return "corrected";
  }
  void print_faults();
  std::string dir_path(uint64_t dir) const;

  const MetaStore& meta_;
  BlockStore& blocks_;
  std::ostream& out_;
  FsckRepair* const repair_;
  std::ostringstream left_;  // faults that nothing is done about

  absl::flat_hash_map<uint64_t, Inode> inodes_;
  // Where a directory is entered: its parent and name.
  absl::flat_hash_map<uint64_t, std::pair<uint64_t, std::string>> entries_of_dirs_;
  std::map<ChunkId, ChunkRecord> chunks_;
  absl::flat_hash_map<BlockId, ChunkId> owners_;   // the chunk that writes to the block
  absl::flat_hash_map<BlockId, uint32_t> naming_;  // chunk records that name it, dead inodes' too
  absl::flat_hash_set<BlockId> dead_owned_;
  absl::flat_hash_map<BlockId, std::vector<std::pair<uint8_t, DeferredRecord>>> deferred_;
  absl::flat_hash_set<uint64_t> garbage_inodes_;
  absl::flat_hash_map<BlockId, std::string> garbage_blocks_;  // the record's key
  std::map<uint64_t, Lost> lost_;
  std::optional<DirentHasher> hasher_;
  std::vector<Fault> faults_;
  uint64_t fault_count_ = 0;
  uint64_t mended_count_ = 0;
  uint64_t entry_count_ = 0;
  bool unreadable_ = false;
};

}  // namespace myfs::server
