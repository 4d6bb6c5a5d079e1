// FileDataImpl: the state machine behind FileData (file_data.h tells the rules).
// Kernel counterpart: fs/ext4/inode.c with its page cache.
// Thread safety: the loop's; workers see only the job structures that are handed to them.
// Owns / is owned by: owned by FileData and, weakly, by DataChanges and by what it has posted.
// Invariants: (1) a FileState exists while anything of its inode is pending, waiting or running;
// (2) `lane_busy` from the taking of a commit to the settling of its change; (3) a PendingBlock
// with Base::kSlot holds its slot once.
#pragma once

#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/chunk_map.h"
#include "server/file_data.h"
#include "server/space_gauge.h"

namespace myfs::server {

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
  enum class Kind : uint8_t { kCommit, kTruncate, kPunch, kFold };
  Kind kind = Kind::kCommit;
  uint64_t from = 0, to = 0;  // kTruncate: from is the size; kFold: the chunk
  ChangeDone done;

  // Waits for every earlier write, and later writes wait for it.
  bool is_edit() const { return kind != Kind::kCommit && kind != Kind::kFold; }
};

// A block whose overlay goes to a slot.
struct Merge {
  uint8_t blk = 0;
  BlockEntry base;  // length 0: none
  Overlay overlay;
  BlockEntry result;  // crc: the worker's
};

struct ChunkPlan {
  uint32_t index = 0;
  ChunkRef chunk;
  ChunkContent after;
  BlockFileRef file;  // of `after`; null: nothing is left
  std::vector<uint8_t> touched;
  std::vector<Merge> merges;
  BlockFileRef pending_file;    // of the pending slots
  std::vector<uint16_t> spent;  // pending slots that a merge or a hole replaces
  bool new_slots = false;
};

struct CommitRun {
  LaneOp op;
  std::vector<ChunkPlan> plans;
  uint64_t size = 0;
  uint64_t blocks = 0;
  std::string inline_data;
  bool changes_inode = false;
  Errno error;  // the worker's
};

struct FileState {
  explicit FileState(uint64_t number) : ino(number) {}
  const uint64_t ino;
  Layer pending, committing;
  bool lane_busy = false;
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
    return !lane_busy && writing.empty() && waiting.empty() && pending.empty() && !removed;
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
             Time mtime);
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
  Result<std::vector<DataExtent>> extents(uint64_t ino, uint64_t offset, uint64_t length,
                                          size_t max);
  Result<uint64_t> seek(uint64_t ino, uint64_t offset, bool hole);

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
  void forget_if_idle(uint64_t ino);
  Result<ChunkRef> chunk(uint64_t ino, uint32_t index);
  void evict_chunks();
  const BlockFileRef& writable_file(ChunkState& chunk);
  // Runs in the pool, then on the loop; counted by idle().
  void run_job(Job work, Job done);
  template <typename Done, typename T>
  void answer(Done done, T result) {
    host_.post([done = std::move(done), result = std::move(result)]() mutable {
      done(std::move(result));
    });
  }

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
  void add_overlay_bytes(Layer& layer, size_t before, size_t after);
  void drop_layer(Layer& layer);

  // ---- file_commit.cc
  void start_lane(FileState& file, LaneOp op);
  Result<void> zero_range(FileState& file, uint64_t from, uint64_t to);
  Result<void> plan(FileState& file, CommitRun& run);
  Result<void> plan_chunk(FileState& file, CommitRun& run, uint32_t index, const Overlay* inlined);
  Result<void> plan_fold(FileState& file, CommitRun& run);
  Result<void> plan_block(ChunkPlan& plan, uint8_t blk, BlockEntry base, Overlay overlay,
                          size_t deferred_max);
  bool plan_inline(FileState& file, CommitRun& run, const InodeRecord& inode);
  void finish_data(uint64_t ino, const std::shared_ptr<CommitRun>& run);
  DataChange make_change(FileState& file, CommitRun& run);
  void apply_plan(uint64_t ino, ChunkPlan& plan);
  void fail_file(FileState& file, Errno error);

  // ---- file_recovery.cc
  void note_deferred(uint64_t ino, uint32_t index, size_t bytes);
  void fold_some();
  void add_garbage(Garbage garbage);
  bool collect_inode(Garbage& garbage, Txn& txn, std::vector<BlockId>& removals);
  void reap();
  void finish_reap(std::vector<Garbage> batch, Txn txn);
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
