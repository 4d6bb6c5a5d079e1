// FileDataImpl: the state machine behind FileData (file_data.h tells the rules).
// Kernel counterpart: fs/ext4/inode.c with its page cache.
// Thread safety: the loop's; workers see only the job structures that are handed to them.
// Owns / is owned by: owned by FileData and, weakly, by DataChanges and by what it has posted.
// Invariants: (1) a FileState exists while anything of its inode is pending, waiting or running;
// (2) `lane_busy` from the taking of a commit to the settling of its change; (3) a PendingBlock
// with Base::kSlot holds its slot once.
#pragma once

#include <bitset>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/chunk_map.h"
#include "server/file_data.h"
#include "server/space_gauge.h"

namespace myfs::server {

inline constexpr size_t kChunksPerTurn = 32;  // planned, or looked at

struct PendingBlock {
  enum class Base : uint8_t { kInherit, kHole, kSlot };
  Base base = Base::kInherit;
  BlockEntry entry;   // kSlot
  BlockFileRef file;  // kSlot
  Overlay overlay;
};

struct Layer {
  std::map<uint64_t, PendingBlock> blocks;  // by number in the file
  uint64_t end = 0;                         // of the furthest write
  Time mtime{};                             // the newest
  std::optional<uint64_t> truncate_to;
  size_t overlay_bytes = 0;

  bool empty() const { return blocks.empty() && end == 0 && !truncate_to.has_value(); }
};

// A write under way.
struct WriteOp {
  uint64_t offset = 0;
  std::span<const uint8_t> data;
  Time mtime{};
  WriteDone done;
  HeldWritesRef held;     // null: it becomes pending at once
  uint32_t failures = 0;  // of its file when it started

  struct Segment {
    uint64_t blkno = 0;
    BlockFileRef file;
    BlockEntry entry;  // crc: the worker's
    std::span<const uint8_t> data;
  };
  struct Patch {
    uint64_t blkno = 0;
    uint32_t offset = 0;
    std::string_view data;
  };
  std::vector<Segment> segments;
  std::vector<Patch> patches;
  std::list<std::vector<uint8_t>> owned;  // blocks made up of patches
  Errno error;                            // the worker's

  uint64_t first() const { return offset / kBlockSize_bytes; }
  uint64_t last() const { return (offset + data.size() - 1) / kBlockSize_bytes; }
};

struct LaneOp {
  enum class Kind : uint8_t { kCommit, kTruncate, kPunch, kClone, kFold };
  Kind kind = Kind::kCommit;
  uint64_t from = 0, to = 0;  // kTruncate: from is the size; kFold: the chunk
  ChangeDone done;
  uint64_t source_ino = 0, source_offset = 0;  // kClone
  HeldWritesRef held{};                        // kCommit: takes these along

  // Waits for every earlier write, and later writes wait for it.
  bool is_edit() const { return kind != Kind::kCommit && kind != Kind::kFold; }
};

// A block whose overlay goes to a slot.
struct Merge {
  uint8_t blk = 0;
  BlockEntry base;         // length 0: none
  BlockFileRef base_file;  // null: none
  Overlay overlay;
  BlockEntry result;  // crc: the worker's
};

struct ChunkPlan {
  uint32_t index = 0;
  ChunkRef chunk;
  ChunkContent after;
  BlockFileRef file;  // the chunk's own, of `after`; null: it has none
  std::vector<uint8_t> touched;
  std::bitset<kBlocksPerChunk> inherited;  // touched, and in the slot where it was
  std::vector<Merge> merges;
  BlockFileRef pending_file;  // of the pending slots
  std::vector<std::pair<BlockFileRef, uint16_t>>
      spent;  // pending slots that a merge or a hole replaces
  bool new_slots = false;
  // Once it is handed over: files that it names newly, those that it names no more, and of these
  // those that nobody names any more.
  std::vector<BlockFileRef> named, dropped, lost;
};

// A chunk behind the new end of a file.
struct ChunkDrop {
  uint32_t index = 0;
  std::vector<BlockFileRef> shared;  // files that others name, too
  std::vector<BlockId> garbage;
};

struct CommitRun {
  static constexpr uint64_t kUnplanned = UINT64_MAX;
  LaneOp op;
  std::vector<uint32_t> chunks;  // to be planned; found so far: below `found_to`
  size_t planned = 0;            // of them
  size_t pending_chunks = 0;     // the first ones, ascending: they have pending blocks
  uint64_t found_to = 0;
  bool taken = false;  // `chunks` is complete
  std::vector<ChunkPlan> plans;
  std::vector<ChunkDrop> drops;
  std::vector<Mutation> drop_mutations;
  std::vector<BlockFileRef> dropped;  // as ChunkPlan's, of all drops
  Overlay inlined;
  uint64_t size = kUnplanned;
  uint64_t blocks = 0;
  std::string inline_data;
  bool changes_inode = false;
  Errno error;  // the worker's
};

struct FileState {
  explicit FileState(uint64_t number) : ino(number) {}
  const uint64_t ino;
  Layer held, pending, committing;
  HeldWritesRef holder;  // of `held`
  bool lane_busy = false;
  bool lent = false;      // to a clone, until that is settled: nothing of it starts
  bool planning = false;  // in steps: writes wait, so that what is planned stays so
  std::shared_ptr<CommitRun> run;
  std::vector<std::shared_ptr<WriteOp>> writing;
  struct Waiting {
    std::shared_ptr<WriteOp> write;  // or
    std::optional<LaneOp> lane;
  };
  std::deque<Waiting> waiting;
  uint32_t failures = 0;
  bool removed = false;

  bool idle() const {
    return !lane_busy && !lent && writing.empty() && waiting.empty() && pending.empty() &&
           held.empty() && !removed;
  }
};

struct ReadPiece {
  BlockFileRef file;  // null: nothing but the overlay
  BlockEntry entry;
  std::shared_ptr<const Overlay> overlay;
  uint32_t from = 0, to = 0;  // wanted bytes of the checksum block
  size_t at = 0;              // their place in the buffer
};

struct ReadOp {
  uint64_t ino = 0;
  DataBuffer buffer;
  std::vector<ReadPiece> pieces;
  ReadDone done;
  Errno error;
};

class FileDataImpl : public std::enable_shared_from_this<FileDataImpl> {
 public:
  FileDataImpl(const FileData::Options& options, uint32_t block_epoch)
      : options_(options),
        meta_(*options.meta),
        blocks_(*options.blocks),
        pool_(*options.pool),
        host_(*options.host),
        space_(blocks_, options.space_reserve_bytes, options.boottime),
        block_epoch_(block_epoch) {}

  // file_data.cc: order
  void write(uint64_t ino, uint64_t offset, std::span<const uint8_t> data, WriteDone done,
             Time mtime, HeldWritesRef held);
  void lane(uint64_t ino, LaneOp op);
  void removed(uint64_t ino);
  bool has_pending(uint64_t ino) const { return files_.contains(ino); }
  uint64_t pending_end(uint64_t ino) const;
  void forget_mtime(uint64_t ino);
  std::vector<uint64_t> inodes_with_pending() const;
  uint32_t verifier_count() const { return verifier_count_; }
  bool idle() const;
  SpaceGauge& space() { return space_; }

  // file_read.cc
  void read(uint64_t ino, uint64_t offset, size_t length, ReadDone done);
  Result<void> walk(uint64_t ino, ExtentWalk* walk);

  // file_commit.cc
  void settle(uint64_t ino, bool durable);

  // file_recovery.cc
  void start_recovery();

 private:
  using ChunkId = std::pair<uint64_t, uint32_t>;
  struct Garbage {
    uint64_t ino = 0;
    BlockId block = 0;  // 0: the whole inode
    BlockFileRef file;  // while somebody may read it
  };

  // ---- file_data.cc
  FileState& file(uint64_t ino);
  void pump(FileState& file);
  bool may_start(const FileState& file, size_t position) const;
  static bool may_write(const FileState& file, size_t position);
  void forget_if_idle(uint64_t ino);
  Result<ChunkRef> chunk(uint64_t ino, uint32_t index);
  void evict_chunks();
  Result<BlockFileRef> writable_file(ChunkState& chunk);
  // Runs in the pool, then on the loop; counted by idle().
  void run_job(Job work, Job done);
  template <typename Done, typename T>
  void answer(Done done, T result) {
    host_.post([done = std::move(done), result = std::move(result)]() mutable {
      done(std::move(result));
    });
  }

  // ---- file_share.cc: files that several chunks name
  BlockFileRef block_file(BlockId id, BlockFile::Presence presence);
  Result<uint32_t> refs(BlockFile& file);
  Result<bool> shared(BlockFile& file);
  Result<void> know_refs(const ChunkState& chunk);
  static void name_file(BlockFile& file, std::vector<Mutation>& out);
  static bool drop_file(uint64_t ino, BlockFile& file, std::vector<Mutation>& out);
  static void release_slots(ChunkState& chunk);
  void take_back_names(CommitRun& run);
  void put_plan(uint64_t ino, ChunkPlan& plan, std::vector<Mutation>& out);
  bool is_quiet(uint64_t ino) const;
  void give_back_source(uint64_t ino, const CommitRun& run);
  Result<uint64_t> find_cloned(const CommitRun& run, std::set<uint64_t>* found);
  Result<void> lay_clone(FileState& file, const CommitRun& run, uint32_t index);

  // ---- file_read.cc
  Result<void> find_pieces(ReadOp& op, uint64_t offset, uint64_t end, size_t* slots);

  // ---- file_write.cc
  void start_write(FileState& file, std::shared_ptr<WriteOp> op);
  Result<void> prepare_write(FileState& file, WriteOp& op);
  Result<void> place_piece(FileState& file, WriteOp& op, ChunkState& chunk, uint64_t blkno,
                           uint32_t offset, std::span<const uint8_t> data,
                           std::vector<WriteOp::Segment>& segments);
  Result<void> give_slots(ChunkState& chunk, std::vector<WriteOp::Segment>& segments);
  uint32_t known_length(const FileState& file, const ChunkState& chunk, uint64_t blkno) const;
  void finish_write(uint64_t ino, const std::shared_ptr<WriteOp>& op);
  void install(FileState& file, WriteOp& op);
  void let_held_go(FileState& file);
  void add_overlay_bytes(Layer& layer, size_t before, size_t after);
  // `failed`: what it wrote is in doubt, and its files take no more; else its slots are free.
  void drop_layer(Layer& layer, bool failed);

  // ---- file_commit.cc
  void start_lane(FileState& file, LaneOp op);
  void plan_on(FileState& file);
  void execute(FileState& file);
  Result<bool> plan_some(FileState& file, CommitRun& run);
  Result<void> plan_begin(FileState& file, CommitRun& run);
  Result<void> find_chunks(FileState& file, CommitRun& run);
  Result<std::vector<uint32_t>> stored_chunks(uint64_t ino, uint64_t first, uint64_t last);
  Result<void> plan_next(FileState& file, CommitRun& run);
  Result<void> plan_end(FileState& file, CommitRun& run);
  Result<void> lay_zeros(FileState& file, uint32_t index, uint64_t from, uint64_t to);
  Result<void> plan_chunk(FileState& file, CommitRun& run, uint32_t index);
  static void finish_chunk(ChunkState& state, CommitRun& run, ChunkPlan& plan);
  Result<void> plan_merge(ChunkPlan& plan, uint8_t blk, BlockEntry base, Overlay overlay,
                          uint32_t length);
  Result<void> lay_edit(FileState& file, const CommitRun& run, uint32_t index);
  Result<void> plan_drop(FileState& file, CommitRun& run, uint32_t index);
  Result<void> plan_fold(FileState& file, CommitRun& run);
  Result<void> plan_block(ChunkPlan& plan, uint8_t blk, BlockEntry base, Overlay overlay,
                          size_t deferred_max);
  bool plan_inline(FileState& file, CommitRun& run, const InodeRecord& inode);
  void finish_data(uint64_t ino, const std::shared_ptr<CommitRun>& run);
  DataChange make_change(FileState& file, CommitRun& run);
  void put_drops(uint64_t ino, CommitRun& run, std::vector<Mutation>& out);
  void apply_plan(uint64_t ino, ChunkPlan& plan);
  void apply_drops(uint64_t ino, const std::shared_ptr<CommitRun>& run, size_t from);
  void apply_drop(uint64_t ino, ChunkDrop& drop);
  void fail_file(FileState& file, Errno error);

  // ---- file_recovery.cc
  void note_deferred(uint64_t ino, uint32_t index, size_t bytes);
  void fold_some();
  void add_garbage(Garbage garbage);
  struct Reaping {
    struct Item {
      Garbage garbage;
      std::vector<BlockId> removals;
      bool failed = false;
    };
    std::vector<Item> batch;
    size_t removals = 0;                // of all
    size_t looked = 0;                  // at chunks and the files that they name
    std::vector<BlockFileRef> dropped;  // that others name still, as often as a record goes
    std::vector<BlockFileRef> removed;
    std::vector<BlockFileRef> lost;  // of those dropped: nobody else names them after all
    Txn txn;
  };
  // What one dead inode's records say, while they are read.
  struct Collected {
    std::vector<BlockId> removals;
    std::vector<BlockFileRef> dropped, removed;
    std::vector<std::string> deleted;  // keys
    size_t looked = 0;
  };
  Result<void> collect_chunks(Garbage& garbage, const Reaping& reaping, Collected& one);
  bool collect_inode(Garbage garbage, Reaping& reaping);
  Result<void> collect_file(BlockId id, Collected& one);
  void reap_again(Reaping& reaping);
  void reap();
  void finish_reap(std::shared_ptr<Reaping> reaping);
  void discard_garbage(const BlockFileRef& file);
  void remove_stray_file(const BlockFileRef& file);

  const FileData::Options options_;
  MetaStore& meta_;
  BlockStore& blocks_;
  IoPool& pool_;
  FileData::Host& host_;
  SpaceGauge space_;
  const uint32_t block_epoch_;
  uint32_t next_block_ = 1;

  absl::flat_hash_map<uint64_t, std::unique_ptr<FileState>> files_;
  std::map<ChunkId, ChunkRef> chunks_;
  static constexpr size_t kBlockFilesPruned = 1024;  // fewer are not looked through
  absl::flat_hash_map<BlockId, std::weak_ptr<BlockFile>> block_files_;  // and some that have gone
  size_t block_files_prune_at_ = kBlockFilesPruned;
  ChunkId eviction_hand_{};
  size_t overlay_bytes_ = 0;  // of all layers
  uint32_t verifier_count_ = 0;
  size_t jobs_ = 0;

  std::map<ChunkId, size_t> deferred_;
  size_t deferred_bytes_ = 0;
  ChunkId fold_hand_{};
  bool folding_ = false;

  std::deque<Garbage> garbage_;
  bool reaping_ = false;
};

}  // namespace myfs::server
